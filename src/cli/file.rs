//! The configuration file: TOML, the long names of the flags with `_` for `-`.
//!
//! Errors name the file, the line and the key, and never show a value: the file may hold a password,
//! and a parser's own message would quote the line.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::advice::Advice;
use crate::secret::{Secret, is_secret};

use super::catalogue::{self, KAFKA, Kind, Setting};
use super::layers::SettingsError;

/// The file as written; nothing is checked but its shape.
#[derive(Debug, Default)]
pub(super) struct ConfigFile {
    pub(super) path: PathBuf,
    entries: BTreeMap<&'static str, Entry>,
    /// Kafka's properties, in the order of their names.
    properties: BTreeMap<String, Property>,
}

/// A setting in the file.
#[derive(Debug)]
struct Entry {
    value: Value,
    line: usize,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Switch(bool),
    Secret(Secret),
}

/// One of Kafka's properties in the file.
#[derive(Clone)]
pub(super) struct Property {
    pub(super) value: String,
    pub(super) line: usize,
}

/// Any of them may be a secret.
impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}", self.line)
    }
}

impl ConfigFile {
    /// Reads the file.
    pub(super) fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = fs::read_to_string(path).map_err(|error| {
            SettingsError::new(format!("cannot read {}: {error}", path.display()))
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let source = Text { text, path };
        let table = DeTable::parse(text).map_err(|error| {
            // Some messages have a second line; none quotes the file.
            let message = error.message().replace('\n', "; ");
            source.wrong(error.span().unwrap_or_default(), &message)
        })?;
        let mut file = Self { path: path.to_path_buf(), ..Self::default() };
        for (key, value) in table.get_ref() {
            match (catalogue::find(key.get_ref()), value.get_ref()) {
                (Some(setting), written) => {
                    let value = read(setting, written)
                        .map_err(|expected| source.kind(key, written, expected))?;
                    let line = source.line(key.span().start);
                    file.entries.insert(setting.name, Entry { value, line });
                }
                (None, DeValue::Table(properties)) if key.get_ref() == KAFKA => {
                    file.flatten("", properties, &source)?;
                }
                (None, other) if key.get_ref() == KAFKA => {
                    return Err(source.kind(key, other, "a table: [kafka]"));
                }
                (None, _) => return Err(source.unknown(key)),
            }
        }
        Ok(file)
    }

    /// The text of a setting.
    pub(super) fn text(&self, setting: &str) -> Option<String> {
        let kind = catalogue::find(setting)?.kind;
        match &self.entries.get(setting)?.value {
            Value::Text(path) if kind == Kind::Path => Some(self.beside(path)),
            Value::Text(text) => Some(text.clone()),
            Value::Switch(_) | Value::Secret(_) => None,
        }
    }

    /// Whether a switch is on or off, if the file says so.
    pub(super) fn switch(&self, setting: &str) -> Option<bool> {
        match self.entries.get(setting)?.value {
            Value::Switch(on) => Some(on),
            Value::Text(_) | Value::Secret(_) => None,
        }
    }

    /// The line of a setting.
    pub(super) fn line(&self, setting: &str) -> Option<usize> {
        self.entries.get(setting).map(|entry| entry.line)
    }

    /// The path of a file that is named relative to this one.
    fn beside(&self, path: &str) -> String {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        folder.join(path).to_string_lossy().into_owned()
    }

    /// The password, from the file itself or from the one it names (relative to it).
    pub(super) fn password(&self) -> Result<Option<Secret>, SettingsError> {
        let wrong = |why: String| SettingsError::new(format!("{}: {why}", self.path.display()));
        let password = self.entries.get("password").map(|entry| &entry.value);
        match (password, self.text("password_file")) {
            (Some(_), Some(_)) => {
                Err(wrong("give either password or password_file, not both".to_owned()))
            }
            (Some(Value::Secret(secret)), None) => Ok(Some(secret.clone())),
            (_, Some(file)) => {
                let password = fs::read_to_string(&file).map_err(|error| {
                    wrong(format!("cannot read the password_file {file}: {error}"))
                })?;
                Ok(Some(Secret::new(password.trim_end_matches(['\r', '\n']))))
            }
            (_, None) => Ok(None),
        }
    }

    /// Whether a secret comes from this file.
    pub(super) fn has_secrets(&self) -> bool {
        self.entries.contains_key("password")
            || self.entries.contains_key("password_file")
            || self.properties.keys().any(|key| is_secret(key))
    }

    /// Kafka's properties.
    pub(super) fn properties(&self) -> &BTreeMap<String, Property> {
        &self.properties
    }

    /// Dots in unquoted keys make tables in TOML, which are joined again.
    fn flatten(
        &mut self,
        prefix: &str,
        table: &DeTable<'_>,
        source: &Text<'_>,
    ) -> Result<(), SettingsError> {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let value = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.to_string(),
                DeValue::Boolean(flag) => flag.to_string(),
                DeValue::Table(table) => {
                    self.flatten(&format!("{key}."), table, source)?;
                    continue;
                }
                DeValue::Array(_) | DeValue::Datetime(_) => {
                    let what = format!("kafka.{key} must be text, a number, true or false");
                    return Err(source.wrong(name.span(), &what));
                }
            };
            let line = source.line(name.span().start);
            self.properties.insert(key, Property { value, line });
        }
        Ok(())
    }
}

/// A value as its setting may be written, or what was expected.
fn read(setting: &Setting, written: &DeValue<'_>) -> Result<Value, &'static str> {
    match (setting.kind, written) {
        (Kind::Secret, DeValue::String(text)) => Ok(Value::Secret(Secret::new(text.as_ref()))),
        (Kind::Switch, DeValue::Boolean(on)) => Ok(Value::Switch(*on)),
        (Kind::Switch, _) => Err("true or false"),
        (Kind::Text | Kind::Number | Kind::List | Kind::Path, DeValue::String(text)) => {
            Ok(Value::Text(text.to_string()))
        }
        (Kind::Number, DeValue::Integer(number)) => Ok(Value::Text(number.to_string())),
        (Kind::Number, DeValue::Float(number)) => Ok(Value::Text(number.to_string())),
        (Kind::Number, _) => Err("a number or text in quotes"),
        (Kind::List, DeValue::Array(items)) => {
            let texts: Option<Vec<&str>> =
                items.iter().map(|item| item.get_ref().as_str()).collect();
            let texts = texts.ok_or("text in quotes or a list of such texts")?;
            Ok(Value::Text(texts.join(",")))
        }
        (Kind::List, _) => Err("text in quotes or a list of such texts"),
        (Kind::Text | Kind::Path | Kind::Secret, _) => Err("text in quotes"),
    }
}

/// The text of the file, of which errors tell the place.
struct Text<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Text<'_> {
    /// The line, from 1 on.
    fn line(&self, offset: usize) -> usize {
        self.text.get(..offset).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// `tributary.toml, line 3 (in_flight): …`
    fn wrong(&self, place: Range<usize>, what: &str) -> SettingsError {
        let line = self.line(place.start);
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

    fn parse(text: &str) -> Result<ConfigFile, SettingsError> {
        ConfigFile::parse(text, Path::new("t.toml"))
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
        assert_eq!(file.text("hosts").as_deref(), Some("a:1,b"));
        assert_eq!(file.text("in_flight").as_deref(), Some("64"));
        assert_eq!(file.text("settle").as_deref(), Some("1.5"));
        assert_eq!([file.line("settle"), file.line("json")], [Some(3), None]);
        assert_eq!(file.switch("trim"), Some(true));
        assert_eq!(file.switch("json"), None);
        let properties = file.properties().iter();
        let properties: Vec<_> = properties
            .map(|(key, found)| (key.as_str(), found.value.as_str(), found.line))
            .collect();
        assert_eq!(
            properties,
            [("linger.ms", "7", 9), ("security.protocol", "SSL", 7), ("security.x.y", "true", 8)]
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
        assert_eq!(file.password().unwrap().unwrap().expose(), "40961");
        let both = parse("password = 'x'\npassword_file = 'y'").unwrap();
        assert!(both.password().unwrap_err().to_string().contains("not both"));
        let missing = parse("password_file = '/nowhere/x'").unwrap().password().unwrap_err();
        assert!(
            missing.to_string().contains("password_file /nowhere/x: No such file"),
            "{missing}"
        );
    }
}
