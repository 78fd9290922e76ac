//! The settings of a command, checked: one value per consumer, so that no stage sees what is not its.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use super::bound::Bound;
use super::catalogue::output::LogFormat;
use super::until::Until;
use crate::cluster::ClusterSettings;
use crate::events::EventSettings;
use crate::live::Listen;
use crate::model::Part;
use crate::pairs::Format;
use crate::pipeline::WorkSettings;
use crate::spec::RawSpec;
use crate::{undo, verify};

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
    /// Whether targets are followed to where they are now.
    pub(crate) follow: bool,
    /// How groups are worked on.
    pub(crate) work: WorkSettings,
}

/// What every command over a run works with. It is handed on whole: what of it reaches the cluster, the event sink or the
/// groups is a field of their own settings, and is named nowhere on the way there.
#[derive(Clone, Debug)]
pub(crate) struct RunSettings {
    pub(crate) cluster: ClusterSettings,
    /// Where events go; none with --no-events, where the specification or the run has none, and in a verification that
    /// repairs nothing.
    pub(crate) events: Option<EventSettings>,
    /// The merge specification, not yet checked against a schema.
    pub(crate) spec: RawSpec,
    /// How groups are worked on.
    pub(crate) work: WorkSettings,
    /// When the session ends by the clock, if it does.
    pub(crate) until: Option<Until>,
    /// Where the live page is served, if anywhere.
    pub(crate) listen: Option<Listen>,
    /// The settings in effect, as run.json and the report keep them.
    pub(crate) recorded: Value,
    /// How to report.
    pub(crate) output: OutputSettings,
    /// The flags that have to be given again to resume the run, because secrets are kept nowhere.
    pub(crate) secret_flags: Vec<String>,
}

/// What `apply` works with.
#[derive(Clone, Debug)]
pub(crate) struct ApplySettings {
    pub(crate) run: RunSettings,
    /// The pairs.
    pub(crate) input: InputSettings,
    pub(crate) plan: Option<Bound>,
    /// Whether targets are followed to where they are now.
    pub(crate) follow: bool,
    /// The part of the plan that is merged; all of it if there is none.
    pub(crate) part: Option<Part>,
    /// The run directory; `runs/<run id>` if none is named.
    pub(crate) run_dir: Option<PathBuf>,
    /// Whether a run that is there already is gone on with.
    pub(crate) or_resume: bool,
}

/// What `resume` works with.
#[derive(Clone, Debug)]
pub(crate) struct ResumeSettings {
    pub(crate) run: RunSettings,
    /// How the run's copy of the pairs is written.
    pub(crate) format: Format,
    /// Go by the copy although the original has changed.
    pub(crate) use_copy: bool,
}

/// What `verify` works with.
#[derive(Clone, Debug)]
pub(crate) struct VerifySettings {
    pub(crate) run: RunSettings,
    pub(crate) options: verify::Options,
}

/// What `undo` works with.
#[derive(Clone, Debug)]
pub(crate) struct UndoSettings {
    pub(crate) run: RunSettings,
    /// The pairs whose groups are undone, and how they are written; none for all of them.
    pub(crate) pairs: Option<(PathBuf, Format)>,
    pub(crate) options: undo::Options,
}

/// Where the pairs are and how they are written.
#[derive(Clone, Debug)]
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

/// How to report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
