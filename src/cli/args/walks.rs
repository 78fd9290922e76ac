//! The arguments of the commands that go through a run that is over.

use std::path::PathBuf;

use clap::Args;

use super::parts::{ClusterArgs, EventArgs, FormatArgs, LiveArgs, OutputArgs};

pub(in crate::cli) const VERIFY_EXAMPLES: &str = "\
EXAMPLES
  Compare the cluster with what the run should have left:
    tributary verify runs/20261123T041455Z-3f9a

  Gently, while the application is at work:
    tributary verify runs/20261123T041455Z-3f9a --rate 200

  Write what is missing or worse again, and announce it:
    tributary verify runs/20261123T041455Z-3f9a --repair

WHAT IS FOUND
  diff.csv has a line for each row that is missing or worse than the run left it (exit
  code 4), and for each that was changed since (which is no difference). A difference is
  read again before it is reported. What was stopped goes on where it was.";

pub(in crate::cli) const UNDO_EXAMPLES: &str = "\
EXAMPLES
  Give everything back that the run moved:
    tributary undo runs/20261123T041455Z-3f9a

  Only the groups of some pairs (a file with the header and the lines of those pairs):
    tributary undo runs/20261123T041455Z-3f9a --pairs wrong.csv

  Also where somebody has changed a row since, which is lost then:
    tributary undo runs/20261123T041455Z-3f9a --force

WHAT IS LEFT ALONE
  A row of the survivor that was changed or deleted since the run is a conflict: it stays as it is
  and is listed in conflicts.csv (exit code 4). What was written to a source since stays there,
  beside what it gets back. Whatever stops it, the same command goes on.";

/// The arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Write what is missing or worse again, with a time of now
    #[arg(long)]
    pub repair: bool,

    /// Begin with the first group again, instead of going on where a verification was stopped
    #[arg(long)]
    pub restart: bool,

    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The events of repairs.
    #[command(flatten)]
    pub events: EventArgs,
    /// How fast.
    #[command(flatten)]
    pub pace: PaceArgs,
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

/// The arguments of `undo`.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The run directory
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Take back only the groups that these pairs are in: a CSV, written as the run's pairs are
    #[arg(long, value_name = "FILE")]
    pub pairs: Option<PathBuf>,

    /// Take back also what has been changed under survivors since the run, and lose those changes
    #[arg(long)]
    pub force: bool,

    /// How the pairs are written.
    #[command(flatten)]
    pub format: FormatArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The events.
    #[command(flatten)]
    pub events: EventArgs,
    /// How fast.
    #[command(flatten)]
    pub pace: PaceArgs,
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

/// When a session ends by the clock.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub struct UntilArgs {
    /// Begin no group after this time: 06:00 (the next one, of this machine's clock), or RFC 3339 with an offset
    ///
    /// What is under way then is finished, as after Ctrl-C: exit code 130, and the command that goes on is told. It
    /// holds for this call alone.
    #[arg(long, value_name = "TIME", conflicts_with = "duration")]
    pub until: Option<String>,

    /// Begin no group after this long, counted from the start of the command: 4h, 90s, 1h30m
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<String>,
}

/// How fast a run that is over is gone through.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub struct PaceArgs {
    /// Requests to the cluster at once: a number, or auto [default: auto]
    #[arg(long, value_name = "N", env = "TRIBUTARY_IN_FLIGHT", hide_env = true)]
    pub in_flight: Option<String>,

    /// Groups per second, at most [default: as many as the cluster can take]
    #[arg(long, value_name = "N", env = "TRIBUTARY_RATE", hide_env = true)]
    pub rate: Option<String>,

    /// Fewer requests at once while reads take longer than this: 20ms, or none [default: none]
    ///
    /// A small read of a merged account is made a hundred times a second; all but one in a hundred should take no
    /// longer. --in-flight is then the most that is taken.
    #[arg(long, value_name = "DURATION", env = "TRIBUTARY_MAX_LATENCY", hide_env = true)]
    pub max_latency: Option<String>,
}

impl PaceArgs {
    /// --in-flight, --rate, --max-latency.
    pub(in crate::cli) fn given(&self) -> [&Option<String>; 3] {
        [&self.in_flight, &self.rate, &self.max_latency]
    }
}
