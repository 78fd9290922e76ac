//! The layers that settings are taken from: flags over environment over file over what a run recorded.
//!
//! Every value knows where it came from, so that errors name it and nobody looks for a flag that was
//! never given.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;
use thiserror::Error;

use crate::secret::{REDACTED, Secret, is_secret};

use super::catalogue::{KAFKA, Kind, Setting};
use super::file::ConfigFile;
use super::recorded::Recorded;

/// The environment variables of Kafka's properties begin so.
const KAFKA_ENV: &str = "TRIBUTARY_KAFKA_";

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
pub(super) enum Origin {
    Flag(String),
    Environment(String),
    /// The configuration file, the key in it, and its line.
    File(PathBuf, String, usize),
    /// A run's run.json, and the key in it.
    Run(PathBuf, String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::File(path, key, line) => write!(f, "{key} in {}:{line}", path.display()),
            Self::Run(path, key) => write!(f, "{key} in {}", path.display()),
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
    /// The settings of the run that is gone on with.
    recorded: Option<&'a Recorded>,
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
        Ok(Self { matches, file, environment, recorded: None })
    }

    /// Lays these layers over the settings of a run.
    pub(super) fn over(self, recorded: &'a Recorded) -> Self {
        Self { recorded: Some(recorded), ..self }
    }

    /// The run that is gone on with.
    pub(super) fn recorded(&self) -> Option<&'a Recorded> {
        self.recorded
    }

    /// A setting as text, from the first layer that has it. An empty variable counts as unset.
    pub(super) fn text(&self, setting: &str, given: Option<&str>) -> Option<(String, Origin)> {
        self.given(setting, given).or_else(|| {
            let recorded = self.recorded?;
            Some((recorded.text(setting)?, recorded.origin(setting)))
        })
    }

    /// A setting as text, but for what the run recorded.
    fn given(&self, setting: &str, given: Option<&str>) -> Option<(String, Origin)> {
        if let Some(text) = given {
            let from_environment =
                self.matches.value_source(setting) == Some(ValueSource::EnvVariable);
            if !(from_environment && text.is_empty()) {
                let origin = if from_environment { variable(setting) } else { flag(setting) };
                return Some((text.to_owned(), origin));
            }
        }
        Some((self.file.text(setting)?, self.in_file(setting)))
    }

    fn in_file(&self, setting: &str) -> Origin {
        let line = self.file.line(setting).unwrap_or_default();
        Origin::File(self.file.path.clone(), setting.to_owned(), line)
    }

    /// A setting as a value; `None` if no layer has it.
    pub(super) fn value<T>(
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

    /// A setting that a run cannot change once it has begun: it may be given again, but not differ.
    pub(super) fn pinned(
        &self,
        setting: &str,
        given: Option<&String>,
        parse: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<Option<String>, SettingsError> {
        let recorded = self.recorded.and_then(|run| Some((run.text(setting)?, run)));
        let given = given.map(String::as_str);
        if let (Some((text, origin)), Some((own, run))) = (self.given(setting, given), recorded)
            && text != own
        {
            let own_origin = run.origin(setting);
            return Err(SettingsError::new(format!(
                "{origin} is '{text}', but this run goes on with '{own}' only ({own_origin}); leave it \
                 out, or apply the pairs as a new run"
            )));
        }
        self.value(setting, given.map(str::to_owned).as_ref(), parse)
    }

    /// A switch, from the first layer that has it. An empty variable counts as unset.
    pub(super) fn switch(&self, setting: &str, given: bool) -> bool {
        let recorded = || self.recorded.is_some_and(|recorded| recorded.switch(setting));
        self.said(setting, given).unwrap_or_else(recorded)
    }

    /// A switch, if any layer but the recorded one says something.
    pub(super) fn said(&self, setting: &str, given: bool) -> Option<bool> {
        match self.said_where(setting) {
            Some(_) => Some(given),
            None => self.file.switch(setting),
        }
    }

    /// What says something of a switch, above the file.
    fn said_where(&self, setting: &str) -> Option<Origin> {
        match self.matches.value_source(setting) {
            Some(ValueSource::CommandLine) => Some(flag(setting)),
            Some(ValueSource::EnvVariable) => {
                let mut raw = self.matches.get_raw(setting).into_iter().flatten();
                raw.any(|text| !text.is_empty()).then(|| variable(setting))
            }
            _ => None,
        }
    }

    /// A setting as it is written, and where, whatever its kind; a secret without its value. Nothing if no
    /// layer has it.
    pub(super) fn written(&self, setting: &Setting) -> Option<(String, Origin)> {
        let name = setting.name;
        match setting.kind {
            Kind::Switch => {
                let given = self.matches.try_get_one::<bool>(name).ok().flatten().copied();
                if let Some(origin) = self.said_where(name) {
                    return Some((given.unwrap_or_default().to_string(), origin));
                }
                if let Some(on) = self.file.switch(name) {
                    return Some((on.to_string(), self.in_file(name)));
                }
                let recorded = self.recorded.filter(|recorded| recorded.switch(name))?;
                Some(("true".to_owned(), recorded.origin(name)))
            }
            Kind::Secret => match self.password_variable() {
                Some(_) => Some((REDACTED.to_owned(), variable(name))),
                None => self.file.line(name).map(|_| (REDACTED.to_owned(), self.in_file(name))),
            },
            // It is counted on the command line.
            _ if name == "verbose" => match self.matches.get_count(name) {
                0 => self.text(name, None),
                count => Some((count.to_string(), Origin::Flag("-v".to_owned()))),
            },
            Kind::Text | Kind::Number | Kind::List | Kind::Path => {
                let given = self.matches.try_get_many::<String>(name).ok().flatten();
                let given = given.map(|all| all.map(String::as_str).collect::<Vec<_>>().join(","));
                self.text(name, given.as_deref())
            }
        }
    }

    /// Whether a setting stands on the command line itself.
    pub(super) fn is_flag(&self, setting: &str, given: Option<&String>) -> bool {
        matches!(self.given(setting, given.map(String::as_str)), Some((_, Origin::Flag(_))))
    }

    pub(super) fn password(&self) -> Result<Option<Secret>, SettingsError> {
        match self.password_variable() {
            Some(password) => Ok(Some(Secret::new(password))),
            None => self.file.password(),
        }
    }

    fn password_variable(&self) -> Option<&str> {
        let set = self.environment.iter().find(|(name, _)| name == "TRIBUTARY_PASSWORD");
        set.map(|(_, password)| password.as_str()).filter(|password| !password.is_empty())
    }

    /// Kafka's properties; of two with one name the later one wins.
    pub(super) fn properties(
        &self,
        given: &[String],
    ) -> Result<Vec<(String, String)>, SettingsError> {
        let all = self.written_properties(given)?;
        Ok(all.into_iter().map(|(key, value, _)| (key, value)).collect())
    }

    /// Kafka's properties with where they are written, the strongest layer last.
    pub(super) fn written_properties(
        &self,
        given: &[String],
    ) -> Result<Vec<(String, String, Origin)>, SettingsError> {
        let recorded = self.recorded.into_iter().flat_map(|recorded| {
            let origin = |key: &str| recorded.origin(&format!("{KAFKA}.{key}"));
            let properties = recorded.properties().into_iter();
            properties.map(move |(key, value)| (key.clone(), value, origin(&key)))
        });
        let (mut properties, redacted): (Vec<_>, Vec<_>) =
            recorded.partition(|(key, value, _)| !(is_secret(key) && value == REDACTED));
        properties.extend(self.file.properties().iter().map(|(key, found)| {
            let place = (self.file.path.clone(), format!("{KAFKA}.{key}"), found.line);
            (key.clone(), found.value.clone(), Origin::File(place.0, place.1, place.2))
        }));
        let mut from_environment: Vec<_> = self
            .environment
            .iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(KAFKA_ENV)?.to_lowercase().replace('_', ".");
                Some((key, value.clone(), Origin::Environment(name.clone())))
            })
            .collect();
        from_environment.sort_by(|one, other| one.0.cmp(&other.0));
        properties.append(&mut from_environment);
        for property in given {
            let (key, value) = property.split_once('=').unwrap_or((property, ""));
            if key.trim().is_empty() || !property.contains('=') {
                let shown = if is_secret(property) { REDACTED } else { property };
                return Err(SettingsError::new(format!(
                    "-X: '{shown}' is not key=value, such as linger.ms=5"
                )));
            }
            let origin = Origin::Flag("-X".to_owned());
            properties.push((key.trim().to_owned(), value.to_owned(), origin));
        }
        let missing =
            redacted.iter().find(|(key, ..)| !properties.iter().any(|(name, ..)| name == key));
        match missing {
            Some((key, ..)) => Err(SettingsError::new(format!(
                "the run had a secret for Kafka's {key}, and secrets are kept nowhere: give it again, as \
                 {KAFKA_ENV}{} or in the table [kafka] of the configuration file",
                key.to_uppercase().replace('.', "_")
            ))),
            None => Ok(properties),
        }
    }

    /// The flags that hold a secret or lead to one: a run records none, so they are needed again to go
    /// on with it. What came by the environment is still there.
    pub(super) fn secret_flags(&self, properties: &[String]) -> Vec<String> {
        let mut flags = Vec::new();
        if self.file.has_secrets() {
            flags.extend(["--config".to_owned(), self.file.path.display().to_string()]);
        }
        for key in properties.iter().filter_map(|property| Some(property.split_once('=')?.0)) {
            if is_secret(key) {
                flags.extend(["-X".to_owned(), format!("{key}={REDACTED}")]);
            }
        }
        flags
    }
}

fn flag(setting: &str) -> Origin {
    Origin::Flag(format!("--{}", setting.replace('_', "-")))
}

fn variable(setting: &str) -> Origin {
    Origin::Environment(format!("TRIBUTARY_{}", setting.to_uppercase()))
}
