//! The settings of a command, checked: one value per consumer, so that no stage sees what is not its.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::bound::Bound;
use super::catalogue::output::LogFormat;
use super::until::Until;
use crate::cluster::{ClusterSettings, Consistency};
use crate::events::EventSettings;
use crate::live::Listen;
use crate::pace::InFlight;
use crate::pairs::Format;
use crate::pipeline::{Discover, Limits};
use crate::spec::RawSpec;

/// What `plan` works with.
#[derive(Clone, Debug)]
pub(crate) struct PlanSettings {
    /// The pairs.
    pub(crate) input: InputSettings,
    /// The merge specification that they would be merged by.
    pub(crate) spec: RawSpec,
    /// What is looked up in the cluster; nothing without --inspect.
    pub(crate) inspect: Option<InspectSettings>,
    /// The run directory; `runs/<run id>` if none is named.
    pub(crate) run_dir: Option<PathBuf>,
    /// The settings in effect, as run.json keeps them.
    pub(crate) recorded: Value,
    /// How to report.
    pub(crate) output: OutputSettings,
}

/// What `plan --inspect` works with.
#[derive(Clone, Debug)]
pub(crate) struct InspectSettings {
    pub(crate) cluster: ClusterSettings,
    /// How many groups are drawn at random; all are inspected if there is no number.
    pub(crate) sample: Option<usize>,
    /// How clustered rows are found.
    pub(crate) discover: Discover,
    /// Whether targets are followed to where they are now.
    pub(crate) follow: bool,
    /// How fast.
    pub(crate) pace: PaceSettings,
}

/// What `apply` works with.
#[derive(Clone, Debug)]
pub(crate) struct ApplySettings {
    /// The pairs.
    pub(crate) input: InputSettings,
    /// The plan that it is bound to.
    pub(crate) plan: Option<Bound>,
    /// Whether targets are followed to where they are now.
    pub(crate) follow: bool,
    /// How they are merged.
    pub(crate) merge: MergeSettings,
    /// The run directory; `runs/<run id>` if none is named.
    pub(crate) run_dir: Option<PathBuf>,
    /// When the session ends by the clock, if it does.
    pub(crate) until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub(crate) listen: Option<Listen>,
    /// The settings in effect, as run.json keeps them.
    pub(crate) recorded: Value,
    /// How to report.
    pub(crate) output: OutputSettings,
    /// The flags that have to be given again to resume the run, because secrets are kept nowhere.
    pub(crate) secret_flags: Vec<String>,
}

/// What `resume` works with.
#[derive(Clone, Debug)]
pub(crate) struct ResumeSettings {
    /// How the run's copy of the pairs is written.
    pub(crate) format: Format,
    /// How they are merged.
    pub(crate) merge: MergeSettings,
    /// Go by the copy although the original has changed.
    pub(crate) use_copy: bool,
    /// When the session ends by the clock, if it does.
    pub(crate) until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub(crate) listen: Option<Listen>,
    /// The settings in effect, as run.json keeps them.
    pub(crate) recorded: Value,
    /// How to report.
    pub(crate) output: OutputSettings,
    /// As in [`ApplySettings::secret_flags`].
    pub(crate) secret_flags: Vec<String>,
}

/// What `verify` works with.
#[derive(Clone, Debug)]
pub(crate) struct VerifySettings {
    pub(crate) cluster: ClusterSettings,
    /// Where the events of repairs go; none without repairs, with --no-events, or if the run had none.
    pub(crate) events: Option<EventSettings>,
    /// The run's specification.
    pub(crate) spec: RawSpec,
    /// Write what is missing or worse again.
    pub(crate) repair: bool,
    /// Begin anew.
    pub(crate) restart: bool,
    /// How fast.
    pub(crate) pace: PaceSettings,
    /// When the session ends by the clock, if it does.
    pub(crate) until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub(crate) listen: Option<Listen>,
    /// The settings in effect, as the report keeps them.
    pub(crate) recorded: Value,
    /// How to report.
    pub(crate) output: OutputSettings,
}

/// What `undo` works with.
#[derive(Clone, Debug)]
pub(crate) struct UndoSettings {
    pub(crate) cluster: ClusterSettings,
    /// Where events go; none with --no-events, or if the run had none.
    pub(crate) events: Option<EventSettings>,
    /// The run's specification.
    pub(crate) spec: RawSpec,
    /// The pairs whose groups are undone, and how they are written; none for all of them.
    pub(crate) pairs: Option<(PathBuf, Format)>,
    /// Take back also what has been changed since.
    pub(crate) force: bool,
    /// End what an undo has begun, and leave what was changed.
    pub(crate) keep_changed: bool,
    /// How far before its first look a group is dated, as in the run.
    pub(crate) settle: Duration,
    /// How fast.
    pub(crate) pace: PaceSettings,
    /// When the session ends by the clock, if it does.
    pub(crate) until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub(crate) listen: Option<Listen>,
    /// The settings in effect, as the report keeps them.
    pub(crate) recorded: Value,
    /// How to report.
    pub(crate) output: OutputSettings,
}

/// How fast groups are worked on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PaceSettings {
    /// Groups at once, at most.
    pub(crate) in_flight: InFlight,
    /// Groups per second, at most; none where there is no limit.
    pub(crate) rate: Option<f64>,
    /// How long a read may take while the run goes on; none where that is not bounded.
    pub(crate) max_latency: Option<Duration>,
}

/// How groups are merged: what `apply` and `resume` have in common.
#[derive(Clone, Debug)]
pub(crate) struct MergeSettings {
    pub(crate) cluster: ClusterSettings,
    /// Where events go; none with --no-events, or where the specification has none.
    pub(crate) events: Option<EventSettings>,
    /// The merge specification, not yet checked against a schema.
    pub(crate) spec: RawSpec,
    /// Where the specification was read; none for the built-in one.
    pub(crate) spec_path: Option<String>,
    /// How fast, how far.
    pub(crate) work: WorkSettings,
}

/// Where the pairs are and how they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InputSettings {
    /// Where they are.
    pub(crate) source: InputSource,
    /// How they are written.
    pub(crate) format: Format,
}

/// Where pairs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InputSource {
    /// A file, plain or gzip.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl fmt::Display for InputSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("-"),
        }
    }
}

/// How to merge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkSettings {
    /// How clustered rows are found.
    pub(crate) discover: Discover,
    /// How fast.
    pub(crate) pace: PaceSettings,
    /// How far before its first read a group is merged as of.
    pub(crate) settle: Duration,
    /// So long tombstones must be kept at least.
    pub(crate) min_gc_grace: Duration,
    /// When to stop early.
    pub(crate) limits: Limits,
    /// Whether the sources are looked at again at the end.
    pub(crate) sweep: bool,
}

/// How to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputSettings {
    /// Print the report as JSON.
    pub(crate) json: bool,
    /// No progress, and nothing but errors on standard error.
    pub(crate) quiet: bool,
    /// How much more to say: 0, 1 or 2.
    pub(crate) verbose: u8,
    /// How log lines are written.
    pub(crate) log_format: LogFormat,
}

impl MergeSettings {
    /// What is allowed, but worth a warning.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let level = self.cluster.consistency;
        match level {
            Consistency::One | Consistency::LocalOne | Consistency::Two => vec![format!(
                "the consistency {level} may overlook rows that were acknowledged elsewhere; what \
                 is overlooked is deleted without having been copied"
            )],
            _ => Vec::new(),
        }
    }
}
