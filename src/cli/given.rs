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

/// What debug builds ask the environment for, so that tests need not wait.
const OF_TESTS: [&str; 4] = ["FAILPOINT", "JOURNAL_MAX_PAGES", "LEASE", "WINDOW"];

/// Names the variables that look like ours and are those of no setting, with what may have been meant. They are no error:
/// whoever runs a service named tributary has such variables in every container, and those are not named.
pub(super) fn unknown(environment: impl Iterator<Item = (OsString, OsString)>) -> Option<String> {
    let mut wrong: Vec<String> = environment
        .filter(|(_, value)| !value.is_empty())
        .filter_map(|(name, value)| {
            let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
            let own = name.strip_prefix("TRIBUTARY_")?;
            let is_known = rows().any(|row| match row.kind {
                ValueKind::Table => name.starts_with(&(row.variable() + "_")),
                _ => row.is_in(Layer::Environment) && name == row.variable(),
            });
            let is_of_test = cfg!(debug_assertions) && OF_TESTS.contains(&own);
            (!is_known && !is_of_test && !is_of_service(own, &value)).then(|| hinted(&name, own))
        })
        .collect();
    wrong.sort();
    (!wrong.is_empty()).then(|| {
        let named = wrong.join(", ");
        format!("not read from the environment, for there are no such settings: {named}")
    })
}

/// A variable that no setting has, with what may have been meant.
fn hinted(name: &str, own: &str) -> String {
    let own = own.to_lowercase();
    let row = catalogue::find(&own)
        .or_else(|| catalogue::find(catalogue::nearest(&own).unwrap_or_default()));
    match row {
        Some(row) if row.is_in(Layer::Environment) => {
            format!("{name} (did you mean {}?)", row.variable())
        }
        Some(row) if row.is_in(Layer::Flag) => {
            format!("{name} (a flag alone says that: {})", row.flag())
        }
        _ => name.to_owned(),
    }
}

/// Whether Kubernetes sets such a variable for a service whose name begins with ours.
fn is_of_service(own: &str, value: &str) -> bool {
    let is = |last: &str| own == last || own.ends_with(&format!("_{last}"));
    let is_port = |own: &str| {
        let port = own.strip_prefix("PORT_").or_else(|| Some(own.split_once("_PORT_")?.1));
        let number = port.and_then(|port| port.split_once('_')).map(|(number, _)| number);
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    is("SERVICE_HOST")
        || is("SERVICE_PORT")
        || own.starts_with("SERVICE_PORT_")
        || own.contains("_SERVICE_PORT_")
        || is("PORT") && value.contains("://")
        || is_port(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_no_setting_are_named_with_what_may_have_been_meant() {
        let told = |given: &[(&str, &str)]| {
            let pair = |(name, value): &(&str, &str)| (OsString::from(*name), value.into());
            unknown(given.iter().map(pair))
        };
        let service = [
            ("TRIBUTARY_SERVICE_HOST", "10.0.0.7"),
            ("TRIBUTARY_LIVE_SERVICE_PORT_HTTP", "8088"),
            ("TRIBUTARY_PORT", "tcp://10.0.0.7:8088"),
            ("TRIBUTARY_PORT_8088_TCP_ADDR", "10.0.0.7"),
            ("TRIBUTARY_LIVE_PORT_8088_TCP", "tcp://10.0.0.7:8088"),
        ];
        assert_eq!(told(&service), None);
        let read = [("TRIBUTARY_HOSTS", "a"), ("TRIBUTARY_KAFKA_LINGER_MS", "2"), ("HOME", "/")];
        assert_eq!(told(&read), None);
        assert_eq!(told(&[("TRIBUTARY_HOST", "")]), None);
        let wrong = [
            ("TRIBUTARY_PORT", "9042"),
            ("TRIBUTARY_HOST", "secret"),
            ("TRIBUTARY_FORCE", "true"),
            ("TRIBUTARY_XYZZY", "1"),
        ];
        assert_eq!(
            told(&wrong).unwrap(),
            "not read from the environment, for there are no such settings: TRIBUTARY_FORCE (a flag \
             alone says that: --force), TRIBUTARY_HOST (did you mean TRIBUTARY_HOSTS?), TRIBUTARY_PORT, TRIBUTARY_XYZZY"
        );
    }
}
