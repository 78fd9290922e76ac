//! What is given to a command: its flags, over the environment, over the configuration file.

use std::ffi::OsString;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::catalogue::{self, output::CONFIG};
use super::file;
use crate::secret::{REDACTED, is_secret};
use crate::setting::{
    Described, Given, Layer, Layers, Origin, SettingRow, SettingsError, ValueKind,
};

/// Reads all three.
///
/// # Errors
/// A property is none, or the configuration file cannot be read.
pub(super) fn layers(
    matches: &ArgMatches,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Layers, SettingsError> {
    let layers = Layers::default().over(flags(matches)?).over(variables(matches, environment)?);
    match layers.find(&CONFIG)? {
        Some(path) if !path.as_os_str().is_empty() => Ok(layers.over(file::read(&path)?)),
        _ => Ok(layers),
    }
}

fn rows() -> impl Iterator<Item = &'static SettingRow> {
    catalogue::all().map(Described::row)
}

/// Whether the command has the flag of a setting.
fn has_flag(matches: &ArgMatches, row: &SettingRow) -> bool {
    matches.try_contains_id(row.name).is_ok()
}

fn flags(matches: &ArgMatches) -> Result<Vec<Given>, SettingsError> {
    let mut given = Vec::new();
    let is_given = |row: &&SettingRow| {
        has_flag(matches, row) && matches.value_source(row.name) == Some(ValueSource::CommandLine)
    };
    for row in rows().filter(is_given) {
        let raw = matches.get_raw(row.name).into_iter().flatten();
        let texts: Vec<_> = raw.map(|text| text.to_string_lossy().into_owned()).collect();
        let of_row = |text: String| vec![(row.name.to_owned(), text)];
        let found = match row.kind {
            // Of two with one name the later one wins.
            ValueKind::Table => {
                texts.iter().rev().map(|text| property(row, text)).collect::<Result<_, _>>()?
            }
            ValueKind::Switch => of_row("true".to_owned()),
            ValueKind::Count => of_row(matches.get_count(row.name).min(2).to_string()),
            _ => of_row(texts.join(",")),
        };
        let origin = Origin::Flag(row.flag());
        given.extend(found.into_iter().map(|(key, text)| Given {
            key,
            text,
            origin: origin.clone(),
        }));
    }
    Ok(given)
}

/// The key and the value of `name=value`.
fn property(row: &SettingRow, text: &str) -> Result<(String, String), SettingsError> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((format!("{}.{}", row.name, name.trim()), value.to_owned()))
        }
        _ => Err(SettingsError::new(format!(
            "{}: '{}' is not key=value, such as {}",
            row.flag(),
            if is_secret(text) { REDACTED } else { text },
            row.example
        ))),
    }
}

/// What the environment says of the settings that the command takes. An empty variable counts as unset.
fn variables(
    matches: &ArgMatches,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<Given>, SettingsError> {
    let named = |(name, text): (OsString, OsString)| Some((name.into_string().ok()?, text));
    let mut variables: Vec<_> = environment.filter_map(named).collect();
    variables.sort();
    let is_read = |row: &&SettingRow| {
        row.is_in(Layer::Environment) && (!row.is_in(Layer::Flag) || has_flag(matches, row))
    };
    let rows: Vec<_> = rows().filter(is_read).map(|row| (row, row.variable())).collect();
    let given = variables.into_iter().filter_map(|(name, text)| {
        let key = rows.iter().find_map(|(row, variable)| match row.kind {
            ValueKind::Table => {
                let property = name.strip_prefix(variable)?.strip_prefix('_')?;
                Some(format!("{}.{}", row.name, property.to_lowercase().replace('_', ".")))
            }
            _ => (!text.is_empty() && name == *variable).then(|| row.name.to_owned()),
        })?;
        let wrong = |_| SettingsError::new(format!("{name} is not UTF-8"));
        let given = text.into_string().map_err(wrong);
        Some(given.map(|text| Given { key, text, origin: Origin::Environment(name) }))
    });
    given.collect()
}
