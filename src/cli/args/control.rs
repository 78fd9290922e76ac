//! The arguments of `control`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parts::SwitchParser;

pub(in crate::cli) const CONTROL_EXAMPLES: &str = "\
EXAMPLES
  The application is slow: hold the run, and go on later:
    tributary control runs/20261123T041455Z-3f9a pause
    tributary control runs/20261123T041455Z-3f9a resume

  No more than 50 groups per second; as many as the cluster can take:
    tributary control runs/20261123T041455Z-3f9a rate 50
    tributary control runs/20261123T041455Z-3f9a rate none

  How far is it, and what was the address of its live page?
    tributary control runs/20261123T041455Z-3f9a status

A change of the rate is for the process that runs now; what `resume` begins with is the rate
that the run was given. Exit code 1 if no process works on the run.";

/// The arguments of `control`.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// The run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// What is asked.
    #[command(subcommand)]
    pub ask: Ask,
}

/// What is asked of a run.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// Begin no group any more; those in flight go on to their end
    Pause,
    /// Begin groups again
    Resume,
    /// Begin so many groups per second, at most
    Rate {
        /// Groups per second, or none for as many as the cluster can take
        #[arg(value_name = "N|none")]
        rate: String,
    },
    /// Finish the groups in flight and end, as Ctrl-C does
    Stop,
    /// Say how far it is
    Status {
        /// Print all figures as JSON
        #[arg(long, env = "TRIBUTARY_JSON", hide_env = true, value_parser = SwitchParser)]
        json: bool,
    },
}
