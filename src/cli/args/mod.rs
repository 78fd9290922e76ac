//! The command line as it is written: every flag, its help and its environment variable.
//!
//! Nothing is checked here and nothing has a default: values are text until they have been laid over
//! the configuration file and checked, once, by [`resolve`](super::resolve).

mod control;
mod examples;
mod inspect;
mod parts;
mod shell;
mod walks;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(super) use control::{Ask, ControlArgs};
pub(super) use inspect::{InspectArgs, PlannedInputArgs};
pub(super) use parts::{
    ClusterArgs, EventArgs, FormatArgs, InputArgs, LiveArgs, OutputArgs, PlaceArgs, SpecArgs,
    WorkArgs,
};
pub(super) use shell::{CompletionsArgs, ConfigArgs, ManArgs};
pub(super) use walks::{PaceArgs, UndoArgs, UntilArgs, VerifyArgs};

use parts::SwitchParser;

/// Merges duplicate accounts in Apache Cassandra and announces each changed enrolment on Kafka.
///
/// The input is a CSV of pairs: everything that belongs to the account `from` moves under the account
/// `to`, nothing is lost, and `from` is empty afterwards.
#[derive(Debug, Parser)]
#[command(version = env!("TRIBUTARY_VERSION"), after_long_help = examples::AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check and resolve the pairs, and say what a merge would do. Changes nothing.
    ///
    /// Says how many groups the pairs make, which lines are rejected and why, and writes
    /// rejects.csv and report.json into a run directory. Without --inspect it opens no connection; with it, it
    /// reads the cluster, and cannot write to it.
    #[command(after_long_help = examples::PLAN_EXAMPLES)]
    Plan(Box<PlanArgs>),
    /// Merge the accounts and announce what changed.
    ///
    /// Plans first, as `plan` does; then merges group by group: what is about to be changed is
    /// journaled first, rows are copied before they are deleted, and events are sent when all is
    /// written. Whatever stops it, `resume` goes on.
    #[command(after_long_help = examples::APPLY_EXAMPLES)]
    Apply(Box<ApplyArgs>),
    /// Go on with a run that was stopped, or in which groups failed.
    ///
    /// Groups that are done are not touched. What was half done is done again from the journal,
    /// with the same values and the same times; failed groups and those that were never begun have
    /// their turn. Settings that are not given are those of the run.
    #[command(after_long_help = examples::RESUME_EXAMPLES)]
    Resume(Box<ResumeArgs>),
    /// Compare the cluster with what a run should have left there.
    ///
    /// Looks at every group that is done: each row that was copied or merged must be there, no value
    /// may be worse than before, and the sources must be empty. Changes nothing without --repair.
    #[command(after_long_help = walks::VERIFY_EXAMPLES)]
    Verify(Box<VerifyArgs>),
    /// Take a run back, or the groups of some of its pairs.
    ///
    /// From the before-images in the journal, sources get their rows again, overwritten values are put
    /// back, and copies go away; each enrolment that came back is announced. What was changed since the
    /// run is left alone, unless told otherwise.
    #[command(after_long_help = walks::UNDO_EXAMPLES)]
    Undo(Box<UndoArgs>),
    /// Ask a run that goes on to pause, go on, change its rate, or stop; or how far it is.
    ///
    /// Works from any terminal of the user who owns the run directory, with or without --listen.
    #[command(after_long_help = control::CONTROL_EXAMPLES)]
    Control(ControlArgs),
    /// Say where an account went, in which run.
    ///
    /// Looks into the journals of runs, and for groups that were not begun yet into their pairs.
    /// Changes nothing, needs no cluster, and may be asked while a run goes on.
    #[command(after_long_help = examples::LOOKUP_EXAMPLES)]
    Lookup(LookupArgs),
    /// Print what a run recorded for the group of an account, as JSON.
    ///
    /// Rows as they were before, what was written over them, deletes and events, slice by slice, as the
    /// journal has them. Changes nothing, needs no cluster, and may be asked while a run goes on.
    #[command(after_long_help = examples::RECORD_EXAMPLES)]
    Record(RecordArgs),
    /// Print the settings in effect, and where each comes from.
    ///
    /// Takes the flags of `apply` (or, with RUN, those of `resume`) and changes nothing. Secrets are not
    /// shown.
    #[command(after_long_help = shell::CONFIG_EXAMPLES)]
    Config(Box<ConfigArgs>),
    /// Print a script that completes commands and flags in a shell.
    #[command(after_long_help = shell::COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print the man page, or write one for each command.
    #[command(after_long_help = shell::MAN_EXAMPLES)]
    Man(ManArgs),
}

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Where the pairs are.
    #[command(flatten)]
    pub input: InputArgs,
    /// What is merged.
    #[command(flatten)]
    pub spec: SpecArgs,
    /// What of it is looked up.
    #[command(flatten)]
    pub inspect: InspectArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How fast.
    #[command(flatten)]
    pub pace: PaceArgs,
    /// Where the run is kept.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How to report.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The arguments of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Where the pairs are.
    #[command(flatten)]
    pub input: PlannedInputArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The events.
    #[command(flatten)]
    pub events: EventArgs,
    /// How to merge.
    #[command(flatten)]
    pub work: WorkArgs,
    /// When to stop.
    #[command(flatten)]
    pub until: UntilArgs,
    /// Where the run is kept.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How to watch it.
    #[command(flatten)]
    pub live: LiveArgs,
    /// How to report.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Go by the run's own copy of the pairs, though the file that they came from has changed since
    #[arg(long)]
    pub use_copy: bool,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The events.
    #[command(flatten)]
    pub events: EventArgs,
    /// How to merge.
    #[command(flatten)]
    pub work: WorkArgs,
    /// When to stop.
    #[command(flatten)]
    pub until: UntilArgs,
    /// How to watch it.
    #[command(flatten)]
    pub live: LiveArgs,
    /// How to report.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The arguments of `lookup`.
#[derive(Debug, Args)]
pub struct LookupArgs {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    pub account: String,

    /// A run directory, or a folder of them [default: runs/]
    #[arg(value_name = "PATH")]
    pub path: Option<PathBuf>,

    /// Print what was found as JSON
    #[arg(long, env = "TRIBUTARY_JSON", hide_env = true, value_parser = SwitchParser)]
    pub json: bool,
}

/// The arguments of `record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// An account of the group: its survivor or one of its sources
    #[arg(value_name = "ACCOUNT")]
    pub account: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_inspected_is_all_or_a_sample() {
        let parsed = |args: &[&str]| {
            let args = ["tributary", "plan"].iter().chain(args);
            let Command::Plan(args) = Cli::try_parse_from(args).ok()?.command else { return None };
            args.inspect.inspect
        };
        assert_eq!(parsed(&["p.csv"]), None);
        assert_eq!(parsed(&["p.csv", "--inspect"]).as_deref(), Some("all"));
        assert_eq!(parsed(&["--inspect", "sample=50", "p.csv"]).as_deref(), Some("sample=50"));
        let swallowed = Cli::try_parse_from(["tributary", "plan", "--inspect", "p.csv"]);
        let error = swallowed.unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("tributary plan p.csv --inspect"), "{error}");
    }
}
