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
pub struct PlanSettings {
    /// The pairs.
    pub input: InputSettings,
    /// The merge specification that they would be merged by.
    pub spec: RawSpec,
    /// Where the specification was read; none for the built-in one.
    pub spec_path: Option<String>,
    /// What is looked up in the cluster; nothing without --inspect.
    pub inspect: Option<InspectSettings>,
    /// The run directory; `runs/<run id>` if none is named.
    pub run_dir: Option<PathBuf>,
    /// The settings in effect, as run.json keeps them.
    pub recorded: Value,
    /// How to report.
    pub output: OutputSettings,
}

/// What `plan --inspect` works with.
#[derive(Clone, Debug)]
pub struct InspectSettings {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// How many groups are drawn at random; all are inspected if there is no number.
    pub sample: Option<usize>,
    /// How clustered rows are found.
    pub discover: Discover,
    /// How fast.
    pub pace: PaceSettings,
}

/// What `apply` works with.
#[derive(Clone, Debug)]
pub struct ApplySettings {
    /// The pairs.
    pub input: InputSettings,
    /// The plan that it is bound to.
    pub plan: Option<Bound>,
    /// How they are merged.
    pub merge: MergeSettings,
    /// The run directory; `runs/<run id>` if none is named.
    pub run_dir: Option<PathBuf>,
    /// When the session ends by the clock, if it does.
    pub until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub listen: Option<Listen>,
    /// The settings in effect, as run.json keeps them.
    pub recorded: Value,
    /// How to report.
    pub output: OutputSettings,
    /// The flags that have to be given again to resume the run, because secrets are kept nowhere.
    pub secret_flags: Vec<String>,
}

/// What `resume` works with.
#[derive(Clone, Debug)]
pub struct ResumeSettings {
    /// How the run's copy of the pairs is written.
    pub format: Format,
    /// How they are merged.
    pub merge: MergeSettings,
    /// Go by the copy although the original has changed.
    pub use_copy: bool,
    /// When the session ends by the clock, if it does.
    pub until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub listen: Option<Listen>,
    /// The settings in effect, as run.json keeps them.
    pub recorded: Value,
    /// How to report.
    pub output: OutputSettings,
    /// As in [`ApplySettings::secret_flags`].
    pub secret_flags: Vec<String>,
}

/// What `verify` works with.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// Where the events of repairs go; none without repairs, with --no-events, or if the run had none.
    pub events: Option<EventSettings>,
    /// The run's specification.
    pub spec: RawSpec,
    /// Write what is missing or worse again.
    pub repair: bool,
    /// Begin anew.
    pub restart: bool,
    /// How fast.
    pub pace: PaceSettings,
    /// When the session ends by the clock, if it does.
    pub until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub listen: Option<Listen>,
    /// The settings in effect, as the report keeps them.
    pub recorded: Value,
    /// How to report.
    pub output: OutputSettings,
    /// As in [`ApplySettings::secret_flags`].
    pub secret_flags: Vec<String>,
}

/// What `undo` works with.
#[derive(Clone, Debug)]
pub struct UndoSettings {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// Where events go; none with --no-events, or if the run had none.
    pub events: Option<EventSettings>,
    /// The run's specification.
    pub spec: RawSpec,
    /// The pairs whose groups are undone, and how they are written; none for all of them.
    pub pairs: Option<(PathBuf, Format)>,
    /// Take back also what has been changed since.
    pub force: bool,
    /// How far before its first look a group is dated, as in the run.
    pub settle: Duration,
    /// How fast.
    pub pace: PaceSettings,
    /// When the session ends by the clock, if it does.
    pub until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub listen: Option<Listen>,
    /// The settings in effect, as the report keeps them.
    pub recorded: Value,
    /// How to report.
    pub output: OutputSettings,
    /// As in [`ApplySettings::secret_flags`].
    pub secret_flags: Vec<String>,
}

/// How fast groups are worked on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaceSettings {
    /// Groups at once, at most.
    pub in_flight: InFlight,
    /// Groups per second, at most; none where there is no limit.
    pub rate: Option<f64>,
    /// How long a read may take while the run goes on; none where that is not bounded.
    pub max_latency: Option<Duration>,
}

/// How groups are merged: what `apply` and `resume` have in common.
#[derive(Clone, Debug)]
pub struct MergeSettings {
    /// The cluster.
    pub cluster: ClusterSettings,
    /// Where events go; none with --no-events, or where the specification has none.
    pub events: Option<EventSettings>,
    /// The merge specification, not yet checked against a schema.
    pub spec: RawSpec,
    /// Where the specification was read; none for the built-in one.
    pub spec_path: Option<String>,
    /// How fast, how far.
    pub work: WorkSettings,
}

/// Where the pairs are and how they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSettings {
    /// Where they are.
    pub source: InputSource,
    /// How they are written.
    pub format: Format,
}

/// Where pairs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputSource {
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
pub struct WorkSettings {
    /// How clustered rows are found.
    pub discover: Discover,
    /// How fast.
    pub pace: PaceSettings,
    /// How far before its first read a group is merged as of.
    pub settle: Duration,
    /// So long tombstones must be kept at least.
    pub min_gc_grace: Duration,
    /// When to stop early.
    pub limits: Limits,
    /// Whether the sources are looked at again at the end.
    pub sweep: bool,
}

/// How to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSettings {
    /// Print the report as JSON.
    pub json: bool,
    /// No progress, and nothing but errors on standard error.
    pub quiet: bool,
    /// How much more to say: 0, 1 or 2.
    pub verbose: u8,
    /// How log lines are written.
    pub log_format: LogFormat,
}

impl MergeSettings {
    /// What is allowed, but worth a warning.
    pub fn warnings(&self) -> Vec<String> {
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
