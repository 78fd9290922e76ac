//! The settings of a command, checked: one value per consumer, so that no stage sees what is not its.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{ClusterSettings, Consistency};
use crate::events::EventSettings;
use crate::pairs::Format;
use crate::pipeline::{ErrorLimit, Limits};
use crate::secret::redacted;
use crate::spec::RawSpec;

/// What `plan` works with.
#[derive(Clone, Debug)]
pub struct PlanSettings {
    /// The pairs.
    pub input: InputSettings,
    /// How to report.
    pub output: OutputSettings,
}

/// What `apply` works with.
#[derive(Clone, Debug)]
pub struct ApplySettings {
    /// The pairs.
    pub input: InputSettings,
    /// The cluster.
    pub cluster: ClusterSettings,
    /// Where events go; none with --no-events, or where the specification has none.
    pub events: Option<EventSettings>,
    /// The merge specification, not yet checked against a schema.
    pub spec: RawSpec,
    /// How to merge.
    pub work: WorkSettings,
    /// How to report.
    pub output: OutputSettings,
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
    /// Groups at once, at most.
    pub in_flight: usize,
    /// How far before its first read a group is merged as of.
    pub settle: Duration,
    /// When to stop early.
    pub limits: Limits,
}

/// Where and how to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSettings {
    /// The run directory; `runs/<run id>` if none is named.
    pub run_dir: Option<PathBuf>,
    /// Print the report as JSON.
    pub json: bool,
    /// No progress, and nothing but errors on standard error.
    pub quiet: bool,
    /// How much more to say: 0, 1 or 2.
    pub verbose: u8,
}

impl PlanSettings {
    /// The settings as run.json and the report show them.
    pub fn redacted(&self) -> Value {
        self.input.redacted()
    }
}

impl ApplySettings {
    /// The settings as run.json and the report show them: nothing secret is among them.
    pub fn redacted(&self) -> Value {
        let mut settings = self.input.redacted();
        let cluster = &self.cluster;
        let events = self.events.as_ref().map(|events| {
            let properties: serde_json::Map<_, _> = events
                .properties
                .iter()
                .map(|(key, value)| (key.clone(), redacted(key, value).into()))
                .collect();
            json!({ "brokers": events.brokers, "topic": events.topic, "properties": properties })
        });
        let limits = &self.work.limits;
        let ours = json!({
            "hosts": cluster.hosts,
            "keyspace": cluster.keyspace,
            "local_dc": cluster.local_dc,
            "username": cluster.username,
            "consistency": cluster.consistency.to_string(),
            "spec": self.spec.name,
            "events": events,
            "in_flight": self.work.in_flight,
            "settle_ms": self.work.settle.as_millis() as u64,
            "limit": (limits.groups < usize::MAX).then_some(limits.groups),
            "max_errors": match limits.errors {
                ErrorLimit::Groups(groups) => json!(groups),
                ErrorLimit::Percent(percent) => json!(format!("{percent}%")),
            },
        });
        if let (Value::Object(settings), Value::Object(ours)) = (&mut settings, ours) {
            settings.extend(ours);
        }
        settings
    }

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

impl InputSettings {
    fn redacted(&self) -> Value {
        let format = &self.format;
        json!({
            "from_column": format.from_column,
            "to_column": format.to_column,
            "delimiter": char::from(format.delimiter).to_string(),
            "trim": format.trim,
        })
    }
}
