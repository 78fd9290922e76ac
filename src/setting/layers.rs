//! The layers that settings are taken from, each laid over the next: flags, environment, file, what a run recorded.
//!
//! Every value knows where it came from, so that errors name it and nobody looks for a flag that was never given.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use super::{Described, Layer, Setting, SettingRow};
use crate::secret::{
    Properties, REDACTED, is_redacted_address, is_secret, redacted, redacted_address,
};

/// What is wrong with the settings, in one line.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    /// An error of this text.
    #[expect(clippy::needless_pass_by_value, reason = "so that errors can be mapped with it")]
    pub(crate) fn new(message: impl ToString) -> Self {
        Self(message.to_string())
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
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

/// A setting as it was written somewhere.
#[derive(Clone)]
pub(crate) struct Given {
    /// Its name; of a property the name of its table, a dot, and its own.
    pub(crate) key: String,
    /// Its value.
    pub(crate) text: String,
    /// Where that is written.
    pub(crate) origin: Origin,
}

/// Any of them may be a secret.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key, self.origin)
    }
}

impl Given {
    /// The name of a property in its table.
    pub(crate) fn property(&self) -> &str {
        self.key.split_once('.').map_or(&self.key, |(_, name)| name)
    }

    /// A property and its value as it may be shown.
    pub(crate) fn shown(&self) -> (&str, &str) {
        (self.property(), redacted(self.property(), &self.text))
    }
}

/// All that is given, the strongest first.
#[derive(Debug, Default)]
pub struct Layers(Vec<Given>);

impl Layers {
    /// Lays what is there over a further layer.
    #[must_use]
    pub(crate) fn over(mut self, further: impl IntoIterator<Item = Given>) -> Self {
        self.0.extend(further);
        self
    }

    /// All that is given, the strongest first.
    pub(crate) fn all(&self) -> &[Given] {
        &self.0
    }

    /// A setting as it is in effect; nothing if no layer has it.
    pub(crate) fn written(&self, row: &SettingRow) -> Option<&Given> {
        self.0.iter().find(|given| given.key == row.name)
    }

    /// What is given to this command, whatever a run recorded.
    pub(crate) fn given(&self, row: &SettingRow) -> Option<&Given> {
        self.written(row).filter(|given| !matches!(given.origin, Origin::Run(..)))
    }

    /// What a run recorded.
    pub(crate) fn recorded(&self, row: &SettingRow) -> Option<&Given> {
        let mut of_run = self.0.iter().filter(|given| matches!(given.origin, Origin::Run(..)));
        of_run.find(|given| given.key == row.name)
    }

    /// The properties of a table, in the order of their names.
    pub(crate) fn table(&self, row: &SettingRow) -> Vec<&Given> {
        let is_of = |key: &str| key.strip_prefix(row.name).is_some_and(|key| key.starts_with('.'));
        let found = self.0.iter().rev().filter(|given| is_of(&given.key));
        let strongest: BTreeMap<_, _> = found.map(|given| (&given.key, given)).collect();
        strongest.into_values().collect()
    }

    /// The same with their values, those that are secrets of a run given again; `of` is what they are properties of, as in
    /// `Kafka`.
    ///
    /// # Errors
    /// The run had a secret that nobody gives now.
    pub(crate) fn properties(
        &self,
        row: &SettingRow,
        of: &str,
    ) -> Result<Properties, SettingsError> {
        let property = |found: &Given| {
            let (key, is_recorded) = (found.property(), matches!(found.origin, Origin::Run(..)));
            if is_recorded && is_secret(key) && found.text == REDACTED {
                let variable = key.to_uppercase().replace('.', "_");
                let ways = format!("{}_{variable} or in the table [{}]", row.variable(), row.name);
                return Err(lost_secret(&format!("{of}'s {key}"), &ways));
            }
            Ok((key.to_owned(), found.text.clone()))
        };
        self.table(row).into_iter().map(property).collect::<Result<_, _>>().map(Properties)
    }

    /// The value of a setting; `None` if no layer has it and it has no default.
    ///
    /// # Errors
    /// What is written is no value, or not that of the run which is pinned to it.
    pub(crate) fn find<T>(&self, setting: &Setting<T>) -> Result<Option<T>, SettingsError> {
        let row = setting.row();
        let Some(given) = self.written(row) else {
            return match row.default {
                "" => Ok(None),
                default => (setting.parse)(default).map(Some).map_err(SettingsError::new),
            };
        };
        if matches!(given.origin, Origin::Run(..)) && is_redacted_address(&given.text) {
            return Err(lost_secret(
                &row.flag(),
                &format!("{} or as {}", row.variable(), row.name),
            ));
        }
        let value = parse(setting, given)?;
        if let Some(own) = self.recorded(row).filter(|_| row.pinned)
            && let Some(keep) = setting.keep
            && keep(&value) != keep(&parse(setting, own)?)
        {
            return Err(SettingsError::new(format!(
                "{} is '{}', but this run goes on with '{}' only ({}); leave it out, or apply the pairs as a new run",
                given.origin,
                redacted_address(&given.text),
                own.text,
                own.origin
            )));
        }
        Ok(Some(value))
    }

    /// The value of a setting that must have one.
    ///
    /// # Errors
    /// As of [`find`](Self::find), or it has none.
    pub(crate) fn get<T>(&self, setting: &Setting<T>) -> Result<T, SettingsError> {
        self.find(setting)?.ok_or_else(|| {
            let row = setting.row();
            let also = match (row.is_in(Layer::Environment), row.is_in(Layer::File)) {
                (true, true) => {
                    format!(
                        "; also as {} or {} in the configuration file",
                        row.variable(),
                        row.name
                    )
                }
                (true, false) => format!("; also as {}", row.variable()),
                (false, true) => format!("; also as {} in the configuration file", row.name),
                (false, false) => String::new(),
            };
            SettingsError::new(format!("{} is missing: {}{also}", row.flag(), row.missing))
        })
    }
}

/// What the run had and nobody gives now; and how it can be given, up to the configuration file.
fn lost_secret(what: &str, ways: &str) -> SettingsError {
    SettingsError::new(format!(
        "the run had a secret for {what}, and secrets are kept nowhere: give it again, as {ways} of the configuration file"
    ))
}

fn parse<T>(setting: &Setting<T>, Given { text, origin, .. }: &Given) -> Result<T, SettingsError> {
    let wrong = |wrong: String| format!("{origin}: '{}' {wrong}", redacted_address(text));
    (setting.parse)(text).map_err(|words| SettingsError::new(wrong(words)))
}
