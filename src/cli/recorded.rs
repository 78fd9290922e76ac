//! The settings as run.json keeps them: what a run went by, so that it can go on in the same way.
//!
//! Nothing secret is among them: the password is left out, and Kafka's properties are redacted by name.

mod pace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::{ClusterSettings, TlsSettings};
use crate::events::EventSettings;
use crate::model::AccountType;
use crate::pairs::{Accepted, Format};
use crate::pipeline::{Discover, ErrorLimit};
use crate::run::{RunDir, RunError, RunRecord, files};
use crate::secret::redacted;
use crate::spec::RawSpec;

use super::layers::Origin;
use super::settings::{MergeSettings, PaceSettings, PlanSettings};
use super::values;
use pace::RecordedPace;

/// How the pairs of a run are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedFormat {
    from_column: String,
    to_column: String,
    delimiter: String,
    trim: bool,
    /// The rules whose lines were let through; a run of an earlier version does not say it, and let all through.
    #[serde(default = "everything")]
    accept: Vec<String>,
    /// What ids were read as; a run of an earlier version does not say it, and read them as text.
    #[serde(default = "as_text")]
    account_type: String,
}

/// All settings of a run that merges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedSettings {
    #[serde(flatten)]
    format: RecordedFormat,
    hosts: Vec<String>,
    keyspace: String,
    local_dc: Option<String>,
    /// Null where connections are not encrypted; a run of an earlier version has none.
    #[serde(default)]
    tls: Option<RecordedTls>,
    username: Option<String>,
    consistency: String,
    /// The name of the merge specification; its text is in spec.toml.
    spec: String,
    /// Where it was read; null for the built-in one.
    spec_path: Option<String>,
    spec_sha256: String,
    /// A run of an earlier version has none, and found enrolments by content.
    #[serde(default = "by_content")]
    discover: String,
    /// Null where nothing is announced.
    events: Option<RecordedEvents>,
    #[serde(flatten)]
    pace: RecordedPace,
    settle_ms: u64,
    /// Null where there is none.
    limit: Option<usize>,
    /// A number of groups or a share such as "5%".
    max_errors: Value,
    sweep: bool,
}

/// All settings of a plan, and what a run may be bound to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedPlan {
    #[serde(flatten)]
    format: RecordedFormat,
    /// The name of the merge specification; its text is in spec.toml.
    pub(super) spec: String,
    /// Where it was read; null for the built-in one.
    spec_path: Option<String>,
    pub(super) spec_sha256: String,
    /// Of all groups, in order.
    pub(super) groups_sha256: String,
    /// Null without --inspect.
    pub(super) inspected: Option<RecordedInspection>,
}

/// The settings of an inspection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedInspection {
    hosts: Vec<String>,
    pub(super) keyspace: String,
    local_dc: Option<String>,
    username: Option<String>,
    consistency: String,
    pub(super) discover: String,
    /// Groups that were drawn at random; null where all were inspected.
    sample: Option<usize>,
    #[serde(flatten)]
    pace: RecordedPace,
}

impl RecordedPlan {
    /// `format` is how the pairs were read in the end.
    pub(super) fn new(settings: &PlanSettings, format: &Format, groups_sha256: String) -> Self {
        let PlanSettings { spec, spec_path, inspect, .. } = settings;
        Self {
            format: RecordedFormat::new(format),
            spec: spec.name.clone(),
            spec_path: spec_path.clone(),
            spec_sha256: spec.sha256(),
            groups_sha256,
            inspected: inspect.as_ref().map(|inspect| RecordedInspection {
                hosts: inspect.cluster.hosts.clone(),
                keyspace: inspect.cluster.keyspace.clone(),
                local_dc: inspect.cluster.local_dc.clone(),
                username: inspect.cluster.username.clone(),
                consistency: inspect.cluster.consistency.to_string(),
                discover: inspect.discover.to_string(),
                sample: inspect.sample,
                pace: inspect.pace.into(),
            }),
        }
    }
}

/// A number or a word, as it could be given.
fn plain(value: &Value) -> String {
    match value {
        Value::String(word) => word.clone(),
        number => number.to_string(),
    }
}

/// Where the events of a run go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RecordedEvents {
    brokers: String,
    topic: String,
    properties: BTreeMap<String, String>,
}

impl RecordedEvents {
    fn new(events: &EventSettings) -> Self {
        let properties = events.properties.iter();
        let properties =
            properties.map(|(key, value)| (key.clone(), redacted(key, value).to_owned()));
        Self {
            brokers: events.brokers.clone(),
            topic: events.topic.clone(),
            properties: properties.collect(),
        }
    }
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RecordedTls {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    hostname_check: bool,
}

impl RecordedTls {
    fn new(tls: &TlsSettings) -> Self {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        Self {
            ca: tls.ca.as_ref().map(text),
            cert: tls.identity.as_ref().map(|(cert, _)| text(cert)),
            key: tls.identity.as_ref().map(|(_, key)| text(key)),
            hostname_check: tls.hostname_check,
        }
    }
}

/// What `verify` and `undo` go by beside the run's own settings, as their reports show it.
///
/// # Errors
/// It cannot be written as JSON.
pub(super) fn walk_settings(
    cluster: &ClusterSettings,
    events: Option<&EventSettings>,
    pace: &PaceSettings,
) -> serde_json::Result<Value> {
    let events = serde_json::to_value(events.map(RecordedEvents::new))?;
    let tls = serde_json::to_value(cluster.tls.as_ref().map(RecordedTls::new))?;
    let RecordedPace { in_flight, rate, max_latency_us } = (*pace).into();
    Ok(json!({
        "hosts": cluster.hosts,
        "keyspace": cluster.keyspace,
        "local_dc": cluster.local_dc,
        "username": cluster.username,
        "tls": tls,
        "consistency": cluster.consistency.to_string(),
        "events": events,
        "in_flight": in_flight,
        "rate": rate,
        "max_latency_us": max_latency_us,
    }))
}

fn everything() -> Vec<String> {
    Accepted::all().names().map(str::to_owned).collect()
}

fn as_text() -> String {
    AccountType::Text.to_string()
}

fn by_content() -> String {
    Discover::Content.to_string()
}

impl RecordedFormat {
    pub(super) fn new(format: &Format) -> Self {
        Self {
            from_column: format.from_column.clone(),
            to_column: format.to_column.clone(),
            delimiter: char::from(format.delimiter).to_string(),
            trim: format.trim,
            accept: format.accept.names().map(str::to_owned).collect(),
            account_type: format.accounts.to_string(),
        }
    }

    fn format(&self) -> Result<Format, String> {
        let format = Format {
            from_column: self.from_column.clone(),
            to_column: self.to_column.clone(),
            delimiter: values::delimiter(&self.delimiter)
                .map_err(|wrong| format!("the delimiter '{}' {wrong}", self.delimiter))?,
            trim: self.trim,
            accept: Accepted::parse(&self.accept.join(","))?,
            accounts: self.account_type.parse()?,
        };
        format.check().map_err(|error| error.to_string())?;
        Ok(format)
    }
}

/// How the pairs of a run are written.
///
/// # Errors
/// run.json is not what the run wrote.
pub(super) fn format_of(run: &Path, record: &RunRecord) -> Result<Format, RunError> {
    let recorded: Result<RecordedFormat, _> = serde_json::from_value(record.settings.clone());
    let format = recorded.map_err(|error| error.to_string()).and_then(|format| format.format());
    format.map_err(|what| RunError::Unusable { path: run.join(files::RUN), what })
}

impl RecordedSettings {
    pub(super) fn new(format: &Format, merge: &MergeSettings) -> Self {
        let MergeSettings { cluster, events, spec, spec_path, work } = merge;
        Self {
            format: RecordedFormat::new(format),
            hosts: cluster.hosts.clone(),
            keyspace: cluster.keyspace.clone(),
            local_dc: cluster.local_dc.clone(),
            tls: cluster.tls.as_ref().map(RecordedTls::new),
            username: cluster.username.clone(),
            consistency: cluster.consistency.to_string(),
            spec: spec.name.clone(),
            spec_path: spec_path.clone(),
            spec_sha256: spec.sha256(),
            discover: work.discover.to_string(),
            events: events.as_ref().map(RecordedEvents::new),
            pace: work.pace.into(),
            settle_ms: u64::try_from(work.settle.as_millis()).unwrap_or(u64::MAX),
            limit: (work.limits.groups < usize::MAX).then_some(work.limits.groups),
            max_errors: match work.limits.errors {
                ErrorLimit::Groups(groups) => groups.into(),
                ErrorLimit::Percent(percent) => format!("{percent}%").into(),
            },
            sweep: work.sweep,
        }
    }
}

/// The settings of a run that is gone on with, and its own copy of the specification.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// run.json, as errors name it.
    path: PathBuf,
    settings: RecordedSettings,
    format: Format,
    spec: RawSpec,
}

impl Recorded {
    /// Reads what a run recorded.
    ///
    /// # Errors
    /// run.json or spec.toml is not what the run wrote.
    pub(super) fn load(run: &RunDir, record: &RunRecord) -> Result<Self, RunError> {
        Self::look(run.path(), record)
    }

    /// As [`load`](Self::load), of a run that need not be taken up.
    pub(super) fn look(run: &Path, record: &RunRecord) -> Result<Self, RunError> {
        let path = run.join(files::RUN);
        let wrong = |path: &PathBuf, what: String| RunError::Unusable { path: path.clone(), what };
        let settings: RecordedSettings = serde_json::from_value(record.settings.clone())
            .map_err(|error| wrong(&path, format!("its settings are not understood ({error})")))?;
        let format = format_of(run, record)?;
        let spec_path = run.join(files::SPEC);
        let text =
            fs::read_to_string(&spec_path).map_err(|error| wrong(&spec_path, error.to_string()))?;
        let spec = RawSpec::parse(&text, &spec_path.display().to_string())
            .map_err(|error| wrong(&spec_path, error.to_string()))?;
        if spec.sha256() != settings.spec_sha256 {
            let what = "it is not the specification that the run began with (its SHA-256 differs from \
                        the one in run.json); put the original back";
            return Err(wrong(&spec_path, what.to_owned()));
        }
        Ok(Self { path, settings, format, spec })
    }

    /// How the pairs are written.
    pub(super) fn format(&self) -> &Format {
        &self.format
    }

    /// The specification.
    pub(super) fn spec(&self) -> &RawSpec {
        &self.spec
    }

    /// Where the specification was read; none for the built-in one.
    pub(super) fn spec_path(&self) -> Option<&str> {
        self.settings.spec_path.as_deref()
    }

    /// Whether the run announces what it changes.
    pub(super) fn has_events(&self) -> bool {
        self.settings.events.is_some()
    }

    /// The text of a setting, as it could be given.
    pub(super) fn text(&self, setting: &str) -> Option<String> {
        let settings = &self.settings;
        let events = settings.events.as_ref();
        let tls = settings.tls.as_ref();
        match setting {
            "from_column" => Some(settings.format.from_column.clone()),
            "to_column" => Some(settings.format.to_column.clone()),
            "delimiter" => Some(settings.format.delimiter.clone()),
            "accept" => Some(settings.format.accept.join(",")),
            "hosts" => Some(settings.hosts.join(",")),
            "keyspace" => Some(settings.keyspace.clone()),
            "local_dc" => settings.local_dc.clone(),
            "tls_ca" => tls.and_then(|tls| tls.ca.clone()),
            "tls_cert" => tls.and_then(|tls| tls.cert.clone()),
            "tls_key" => tls.and_then(|tls| tls.key.clone()),
            "username" => settings.username.clone(),
            "consistency" => Some(settings.consistency.clone()),
            "brokers" => events.map(|events| events.brokers.clone()),
            "topic" => events.map(|events| events.topic.clone()),
            "discover" => Some(settings.discover.clone()),
            "in_flight" => Some(plain(&settings.pace.in_flight)),
            "rate" => settings.pace.rate.map(|rate| rate.to_string()),
            "max_latency" => settings.pace.max_latency(),
            "settle" => Some(format!("{}ms", settings.settle_ms)),
            "limit" => settings.limit.map(|limit| limit.to_string()),
            "max_errors" => Some(plain(&settings.max_errors)),
            _ => None,
        }
    }

    /// Whether a switch was on. Each session is told anew not to sweep.
    pub(super) fn switch(&self, setting: &str) -> bool {
        match setting {
            "trim" => self.settings.format.trim,
            "no_events" => self.settings.events.is_none(),
            "tls" => self.settings.tls.is_some(),
            "tls_no_hostname_check" => {
                self.settings.tls.as_ref().is_some_and(|tls| !tls.hostname_check)
            }
            _ => false,
        }
    }

    /// Kafka's properties, redacted.
    pub(super) fn properties(&self) -> Vec<(String, String)> {
        let events = self.settings.events.iter();
        events.flat_map(|events| events.properties.clone()).collect()
    }

    /// Where a setting is recorded.
    pub(super) fn origin(&self, setting: &str) -> Origin {
        Origin::Run(self.path.clone(), setting.to_owned())
    }
}
