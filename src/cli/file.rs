//! The configuration file: TOML, the long names of the flags with `_` for `-`.
//!
//! Errors name the file, the line and the key, and never show a value: the file may hold a password,
//! and a parser's own message would quote the line.

use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::catalogue;
use crate::advice::Advice;
use crate::setting::{Given, Layer, Origin, SettingRow, SettingsError, ValueKind};

/// Reads the file; nothing is checked but its shape.
///
/// # Errors
/// It cannot be read, is no TOML, or has a key that no setting has.
pub(super) fn read(path: &Path) -> Result<Vec<Given>, SettingsError> {
    let text = fs::read_to_string(path)
        .map_err(|error| SettingsError::new(format!("cannot read {}: {error}", path.display())))?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Given>, SettingsError> {
    let source = Text { text, path };
    let table = DeTable::parse(text).map_err(|error| {
        // Some messages have a second line; none quotes the file.
        let message = error.message().replace('\n', "; ");
        source.wrong(error.span().unwrap_or_default(), &message)
    })?;
    let mut found = Vec::new();
    for (key, value) in table.get_ref() {
        let row = catalogue::find(key.get_ref()).filter(|row| row.is_in(Layer::File));
        match (row, value.get_ref()) {
            (None, _) => return Err(source.unknown(key)),
            (Some(SettingRow { kind: ValueKind::Table, name, .. }), DeValue::Table(properties)) => {
                flatten(name, properties, &source, &mut found)?;
            }
            (Some(row), written) => {
                let text = value_of(row, written, path)
                    .map_err(|expected| source.kind(key, written, &expected))?;
                found.push(source.given(row.name.to_owned(), text, key));
            }
        }
    }
    Ok(found)
}

/// Dots in unquoted keys make tables in TOML, which are joined again.
fn flatten(
    prefix: &str,
    table: &DeTable<'_>,
    source: &Text<'_>,
    found: &mut Vec<Given>,
) -> Result<(), SettingsError> {
    for (name, value) in table {
        let key = format!("{prefix}.{}", name.get_ref());
        match (scalar(value.get_ref()), value.get_ref()) {
            (Some(text), _) => found.push(source.given(key, text, name)),
            (None, DeValue::Table(table)) => flatten(&key, table, source, found)?,
            (None, _) => {
                let what = format!("{key} must be text, a number, true or false");
                return Err(source.wrong(name.span(), &what));
            }
        }
    }
    Ok(())
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(on) => Some(on.to_string()),
        DeValue::Array(_) | DeValue::Table(_) | DeValue::Datetime(_) => None,
    }
}

/// The text of a value as its setting may be written, or what was expected.
fn value_of(row: &SettingRow, written: &DeValue<'_>, file: &Path) -> Result<String, String> {
    let text = match (row.kind, written) {
        // From the folder of this file.
        (ValueKind::Path, DeValue::String(path)) => {
            let folder = file.parent().unwrap_or(Path::new(""));
            Some(folder.join(path.as_ref()).to_string_lossy().into_owned())
        }
        (ValueKind::Switch, DeValue::Boolean(_))
        | (ValueKind::Number | ValueKind::Count, DeValue::Integer(_) | DeValue::Float(_)) => {
            scalar(written)
        }
        (ValueKind::Switch | ValueKind::Table, _) => None,
        (ValueKind::List, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| item.get_ref().as_str());
            texts.collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        (_, DeValue::String(text)) => Some(text.to_string()),
        _ => None,
    };
    text.ok_or_else(|| match row.kind {
        ValueKind::Switch => "true or false".to_owned(),
        ValueKind::Number | ValueKind::Count => "a number or text in quotes".to_owned(),
        ValueKind::List => "text in quotes or a list of such texts".to_owned(),
        ValueKind::Table => format!("a table: [{}]", row.name),
        ValueKind::Text | ValueKind::Optional(_) | ValueKind::Path | ValueKind::Secret => {
            "text in quotes".to_owned()
        }
    })
}

/// The text of the file, of which errors tell the line.
struct Text<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Text<'_> {
    /// A value that stands here.
    fn given(&self, key: String, text: String, written: &Spanned<impl Sized>) -> Given {
        let line = self.line(written.span().start);
        let origin = Origin::File(self.path.to_path_buf(), key.clone(), line);
        Given { key, text, origin }
    }

    /// The line, from 1 on.
    fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// `tributary.toml, line 3 (in_flight): …`
    fn wrong(&self, span: Range<usize>, what: &str) -> SettingsError {
        let line = self.line(span.start);
        let written = self.text.lines().nth(line - 1).and_then(|line| line.split_once('='));
        let key = written.map_or_else(String::new, |(key, _)| format!(" ({})", key.trim()));
        SettingsError::new(format!("{}, line {line}{key}: {what}", self.path.display()))
    }

    /// A value of another type than it may be.
    fn kind(
        &self,
        key: &Spanned<impl Sized>,
        written: &DeValue<'_>,
        expected: &str,
    ) -> SettingsError {
        let written = written.type_str();
        self.wrong(key.span(), &format!("invalid type: {written}, expected {expected}"))
    }

    fn unknown(&self, key: &Spanned<impl AsRef<str>>) -> SettingsError {
        let wrong = key.get_ref().as_ref();
        let hint = match catalogue::nearest(wrong) {
            Some(name) => format!("did you mean {name}?"),
            None => format!("`{}` lists all of them", Advice::Config),
        };
        let what = format!("there is no setting '{}'; {hint}", wrong.escape_debug());
        let (line, path) = (self.line(key.span().start), self.path.display());
        SettingsError::new(format!("{path}, line {line}: {what}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<Given>, SettingsError> {
        super::parse(text, Path::new("t.toml"))
    }

    fn message(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn values_may_be_written_naturally() {
        let file = parse(
            "hosts = ['a:1', 'b']\nin_flight = 64\nsettle = 1.5\nmax_errors = '1%'\ntrim = true\n\
             [kafka]\nsecurity.protocol = 'SSL'\nsecurity.x.y = true\n'linger.ms' = 7\n",
        )
        .unwrap();
        let found: Vec<_> = file
            .iter()
            .map(|given| {
                let Origin::File(_, _, line) = given.origin else { unreachable!() };
                (given.key.as_str(), given.text.as_str(), line)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("hosts", "a:1,b", 1),
                ("in_flight", "64", 2),
                ("kafka.linger.ms", "7", 9),
                ("kafka.security.protocol", "SSL", 7),
                ("kafka.security.x.y", "true", 8),
                ("max_errors", "1%", 4),
                ("settle", "1.5", 3),
                ("trim", "true", 5),
            ]
        );
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let unknown = message("keyspace = 'k'\n\nin_fligth = 3\n");
        assert_eq!(
            unknown,
            "t.toml, line 3: there is no setting 'in_fligth'; did you mean in_flight?"
        );
        let strange = message("[colour]\nx = 1\n");
        assert!(strange.ends_with("'colour'; `tributary config` lists all of them"), "{strange}");
        let kind = message("trim = 'yes'\n");
        assert!(kind.starts_with("t.toml, line 1 (trim): invalid type"), "{kind}");
        let syntax = message("keyspace = \n");
        assert!(syntax.starts_with("t.toml, line 1 (keyspace): "), "{syntax}");
        let array = message("[kafka]\nx = [1]");
        assert_eq!(array, "t.toml, line 2 (x): kafka.x must be text, a number, true or false");
    }

    #[test]
    fn values_of_another_type_are_refused() {
        for (text, expected) in [
            (
                "\nkeyspace = 5",
                "t.toml, line 2 (keyspace): invalid type: integer, expected text in",
            ),
            ("topic = 1.5", "t.toml, line 1 (topic): invalid type: float, expected text in quotes"),
            ("spec = ['a']", "t.toml, line 1 (spec): invalid type: array, expected text in quotes"),
            ("run_dir = true", "t.toml, line 1 (run_dir): invalid type: boolean, expected text"),
            ("in_flight = [1]", "t.toml, line 1 (in_flight): invalid type: array, expected a numb"),
            ("hosts = 9042", "t.toml, line 1 (hosts): invalid type: integer, expected text in quo"),
            ("brokers = ['a', 1]", "t.toml, line 1 (brokers): invalid type: array, expected text"),
            ("kafka = 1", "t.toml, line 1 (kafka): invalid type: integer, expected a table"),
        ] {
            let message = message(text);
            assert!(message.starts_with(expected), "{message}");
        }
    }

    #[test]
    fn passwords_are_not_repeated() {
        for text in
            ["password = 40961", "password = ['40961']", "password = '40961", "password = 40961x"]
        {
            let message = message(text);
            assert!(
                !message.contains("40961") && message.contains("line 1 (password)"),
                "{message}"
            );
        }
        let file = parse("password = '40961'").unwrap();
        assert!(!format!("{file:?}").contains("40961"));
    }
}
