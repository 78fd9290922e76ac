//! Raw → checked, once: flags over environment over file over defaults.
//!
//! Every error names where the value came from, so that nobody looks for a flag that was never given.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use thiserror::Error;

use crate::cluster::ClusterSettings;
use crate::events::EventSettings;
use crate::pairs::Format;
use crate::pipeline::{ErrorLimit, Limits};
use crate::secret::{Secret, is_secret};
use crate::spec::RawSpec;

use super::args::{ApplyArgs, ClusterArgs, EventArgs, InputArgs, OutputArgs, PlanArgs, WorkArgs};
use super::file::ConfigFile;
use super::settings::{
    ApplySettings, InputSettings, InputSource, OutputSettings, PlanSettings, WorkSettings,
};
use super::values;

/// The environment variables of Kafka's properties begin so.
const KAFKA_ENV: &str = "TRIBUTARY_KAFKA_";

/// Groups at once where nothing is said.
const IN_FLIGHT: usize = 256;

/// More groups at once than this help nobody.
const MAX_IN_FLIGHT: usize = 65_536;

/// Failed groups that stop a run where nothing is said.
const MAX_ERRORS: u64 = 1_000;

/// What is wrong with the settings, in one line.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Where a value came from.
#[derive(Clone, Debug)]
enum Origin {
    Flag(String),
    Environment(String),
    File(PathBuf, String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::File(path, key) => write!(f, "{} in {}", key, path.display()),
        }
    }
}

/// The layers that settings are taken from.
pub(super) struct Layers<'a> {
    /// Where clap found what it found.
    matches: &'a ArgMatches,
    file: ConfigFile,
    /// The environment, for what clap does not know.
    environment: Vec<(String, String)>,
}

impl<'a> Layers<'a> {
    /// Reads the configuration file, if one is named.
    pub(super) fn new(
        matches: &'a ArgMatches,
        config: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let file = match config.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        let environment = environment
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self { matches, file, environment })
    }

    /// A setting as text, from the first layer that has it. An empty variable counts as unset.
    fn text(&self, setting: &str, given: Option<&str>) -> Option<(String, Origin)> {
        let from_environment = self.matches.value_source(setting) == Some(ValueSource::EnvVariable);
        if let Some(text) = given.filter(|text| !(from_environment && text.is_empty())) {
            let origin = if from_environment {
                Origin::Environment(format!("TRIBUTARY_{}", setting.to_uppercase()))
            } else {
                Origin::Flag(format!("--{}", setting.replace('_', "-")))
            };
            return Some((text.to_owned(), origin));
        }
        let text = self.file.text(setting)?;
        Some((text.to_owned(), Origin::File(self.file.path.clone(), setting.to_owned())))
    }

    /// A setting as a value; `None` if no layer has it.
    fn value<T>(
        &self,
        setting: &str,
        given: Option<&String>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        self.text(setting, given.map(String::as_str))
            .map(|(text, origin)| {
                parse(&text)
                    .map_err(|wrong| SettingsError::new(format!("{origin}: '{text}' {wrong}")))
            })
            .transpose()
    }

    /// A switch, from the first layer that has it. An empty variable counts as unset.
    fn switch(&self, setting: &str, given: bool) -> bool {
        let said = match self.matches.value_source(setting) {
            Some(ValueSource::CommandLine) => true,
            Some(ValueSource::EnvVariable) => {
                let mut raw = self.matches.get_raw(setting).into_iter().flatten();
                raw.any(|text| !text.is_empty())
            }
            _ => false,
        };
        if said { given } else { self.file.switch(setting).unwrap_or(false) }
    }

    fn password(&self) -> Result<Option<Secret>, SettingsError> {
        let set = self.environment.iter().find(|(name, _)| name == "TRIBUTARY_PASSWORD");
        match set.filter(|(_, password)| !password.is_empty()) {
            Some((_, password)) => Ok(Some(Secret::new(password))),
            None => self.file.password(),
        }
    }

    /// Kafka's properties; of two with one name the later one wins.
    fn properties(&self, given: &[String]) -> Result<Vec<(String, String)>, SettingsError> {
        let mut properties = self.file.properties()?;
        let mut from_environment: Vec<_> = self
            .environment
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(KAFKA_ENV)?.to_lowercase().replace('_', ".");
                Some((key, value.clone()))
            })
            .collect();
        from_environment.sort();
        properties.append(&mut from_environment);
        for property in given {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            if key.trim().is_empty() || !property.contains('=') {
                let shown = if is_secret(property) { "***" } else { property };
                return Err(SettingsError::new(format!(
                    "-X: '{shown}' is not key=value, such as linger.ms=5"
                )));
            }
            properties.push((key.trim().to_owned(), value.to_owned()));
        }
        Ok(properties)
    }
}

/// The settings of `plan`.
pub(super) fn plan(args: &PlanArgs, layers: &Layers<'_>) -> Result<PlanSettings, SettingsError> {
    Ok(PlanSettings { input: input(&args.input, layers)?, output: output(&args.output, layers)? })
}

/// The settings of `apply`.
pub(super) fn apply(args: &ApplyArgs, layers: &Layers<'_>) -> Result<ApplySettings, SettingsError> {
    let spec = spec(&args.work, layers)?;
    Ok(ApplySettings {
        input: input(&args.input, layers)?,
        cluster: cluster(&args.cluster, layers)?,
        events: events(&args.events, spec.event.is_some(), layers)?,
        spec,
        work: work(&args.work, layers)?,
        output: output(&args.output, layers)?,
    })
}

fn input(args: &InputArgs, layers: &Layers<'_>) -> Result<InputSettings, SettingsError> {
    let name = |text: &str| {
        if text.trim().is_empty() { Err("is not a column".to_owned()) } else { Ok(text.to_owned()) }
    };
    let default = Format::default();
    let format = Format {
        from_column: layers
            .value("from_column", args.from_column.as_ref(), name)?
            .unwrap_or(default.from_column),
        to_column: layers
            .value("to_column", args.to_column.as_ref(), name)?
            .unwrap_or(default.to_column),
        delimiter: layers
            .value("delimiter", args.delimiter.as_ref(), values::delimiter)?
            .unwrap_or(default.delimiter),
        trim: layers.switch("trim", args.trim),
    };
    format.check().map_err(|error| SettingsError::new(error.to_string()))?;
    let source = match args.pairs.as_os_str().to_str() {
        Some("-") => InputSource::Stdin,
        Some("") => return Err(SettingsError::new("PAIRS: '' is not a file")),
        _ => InputSource::File(args.pairs.clone()),
    };
    Ok(InputSettings { source, format })
}

fn cluster(args: &ClusterArgs, layers: &Layers<'_>) -> Result<ClusterSettings, SettingsError> {
    let any = |text: &str| Ok(text.to_owned());
    let username = layers.value("username", args.username.as_ref(), any)?;
    let password = layers.password()?;
    match (&username, &password) {
        (Some(user), None) => {
            return Err(SettingsError::new(format!(
                "the password of '{user}' is missing: set TRIBUTARY_PASSWORD, or password or \
                 password_file in the configuration file"
            )));
        }
        (None, Some(_)) => {
            return Err(SettingsError::new("there is a password but no --username"));
        }
        _ => {}
    }
    Ok(ClusterSettings {
        hosts: layers
            .value("hosts", args.hosts.as_ref(), values::hosts)?
            .unwrap_or_else(|| vec!["127.0.0.1:9042".to_owned()]),
        keyspace: layers
            .value("keyspace", args.keyspace.as_ref(), values::keyspace)?
            .ok_or_else(|| missing("keyspace", "the keyspace that holds the tables"))?,
        local_dc: layers.value("local_dc", args.local_dc.as_ref(), any)?,
        username,
        password,
        consistency: layers
            .value("consistency", args.consistency.as_ref(), values::consistency)?
            .unwrap_or_default(),
    })
}

fn events(
    args: &EventArgs,
    spec_has_event: bool,
    layers: &Layers<'_>,
) -> Result<Option<EventSettings>, SettingsError> {
    if !spec_has_event || layers.switch("no_events", args.no_events) {
        return Ok(None);
    }
    let settings = EventSettings {
        brokers: layers
            .value("brokers", args.brokers.as_ref(), values::brokers)?
            .unwrap_or_else(|| "127.0.0.1:9092".to_owned()),
        topic: layers
            .value("topic", args.topic.as_ref(), values::topic)?
            .ok_or_else(|| missing("topic", "the topic that gets the events (or --no-events)"))?,
        properties: layers.properties(&args.properties)?,
    };
    settings.check().map_err(|error| SettingsError::new(error.to_string()))?;
    Ok(Some(settings))
}

fn spec(args: &WorkArgs, layers: &Layers<'_>) -> Result<RawSpec, SettingsError> {
    let Some((path, origin)) = layers.text("spec", args.spec.as_deref()) else {
        return RawSpec::course_batch().map_err(|error| SettingsError::new(error.to_string()));
    };
    let text = fs::read_to_string(&path)
        .map_err(|error| SettingsError::new(format!("{origin}: cannot read '{path}': {error}")))?;
    RawSpec::parse(&text, &path).map_err(|error| SettingsError::new(error.to_string()))
}

fn work(args: &WorkArgs, layers: &Layers<'_>) -> Result<WorkSettings, SettingsError> {
    let in_flight = |text: &str| values::count(text, 1, MAX_IN_FLIGHT);
    let limit = |text: &str| values::count(text, 1, usize::MAX);
    Ok(WorkSettings {
        in_flight: layers
            .value("in_flight", args.in_flight.as_ref(), in_flight)?
            .unwrap_or(IN_FLIGHT),
        settle: layers
            .value("settle", args.settle.as_ref(), values::settle)?
            .unwrap_or(std::time::Duration::from_secs(2)),
        limits: Limits {
            groups: layers.value("limit", args.limit.as_ref(), limit)?.unwrap_or(usize::MAX),
            errors: layers
                .value("max_errors", args.max_errors.as_ref(), values::max_errors)?
                .unwrap_or(ErrorLimit::Groups(MAX_ERRORS)),
        },
    })
}

fn output(args: &OutputArgs, layers: &Layers<'_>) -> Result<OutputSettings, SettingsError> {
    let path = |text: &str| {
        if text.is_empty() { Err("is not a directory".to_owned()) } else { Ok(PathBuf::from(text)) }
    };
    Ok(OutputSettings {
        run_dir: layers.value("run_dir", args.run_dir.as_ref(), path)?,
        json: layers.switch("json", args.json),
        quiet: layers.switch("quiet", args.quiet),
        verbose: args.verbose,
    })
}

fn missing(setting: &str, what: &str) -> SettingsError {
    let variable = setting.to_uppercase();
    let flag = setting.replace('_', "-");
    SettingsError::new(format!(
        "--{flag} is missing: {what}; also as TRIBUTARY_{variable} or {setting} in the \
         configuration file"
    ))
}

/// The environment of this process.
pub(super) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os()
}

#[cfg(test)]
mod tests;
