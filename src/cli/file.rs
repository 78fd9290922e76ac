//! The configuration file: TOML, the long names of the flags with `_` for `-`.
//!
//! Errors name the file, the line and the key, and never show a value: the file may hold a password,
//! and a parser's own message would quote the line.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::{Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use crate::secret::{Secret, is_secret};

use super::layers::SettingsError;

/// The file as written; nothing is checked but its shape.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    #[serde(skip)]
    pub(super) path: PathBuf,
    from_column: Option<Text>,
    to_column: Option<Text>,
    delimiter: Option<Text>,
    trim: Option<bool>,
    #[serde(default, deserialize_with = "list")]
    hosts: Option<Text>,
    keyspace: Option<Text>,
    local_dc: Option<Text>,
    username: Option<Text>,
    password: Option<Password>,
    password_file: Option<PathBuf>,
    consistency: Option<Text>,
    #[serde(default, deserialize_with = "list")]
    brokers: Option<Text>,
    topic: Option<Text>,
    no_events: Option<bool>,
    no_sweep: Option<bool>,
    spec: Option<Text>,
    discover: Option<Text>,
    #[serde(default, deserialize_with = "number")]
    in_flight: Option<Text>,
    #[serde(default, deserialize_with = "number")]
    settle: Option<Text>,
    #[serde(default, deserialize_with = "number")]
    limit: Option<Text>,
    #[serde(default, deserialize_with = "number")]
    max_errors: Option<Text>,
    #[serde(default, deserialize_with = "number")]
    rate: Option<Text>,
    run_dir: Option<Text>,
    #[serde(default, deserialize_with = "number")]
    listen: Option<Text>,
    json: Option<bool>,
    quiet: Option<bool>,
    kafka: Option<Table>,
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
        let mut file: Self = toml::from_str(text).map_err(|error| {
            let place = error.span().map(|span| place(text, span.start)).unwrap_or_default();
            // Some messages have a second line; none quotes the file.
            let message = error.message().replace('\n', "; ");
            SettingsError::new(format!("{}{place}: {message}", path.display()))
        })?;
        file.path = path.to_path_buf();
        Ok(file)
    }

    /// The text of a setting.
    pub(super) fn text(&self, setting: &str) -> Option<&str> {
        let text = match setting {
            "from_column" => &self.from_column,
            "to_column" => &self.to_column,
            "delimiter" => &self.delimiter,
            "hosts" => &self.hosts,
            "keyspace" => &self.keyspace,
            "local_dc" => &self.local_dc,
            "username" => &self.username,
            "consistency" => &self.consistency,
            "brokers" => &self.brokers,
            "topic" => &self.topic,
            "spec" => &self.spec,
            "discover" => &self.discover,
            "in_flight" => &self.in_flight,
            "settle" => &self.settle,
            "limit" => &self.limit,
            "max_errors" => &self.max_errors,
            "rate" => &self.rate,
            "run_dir" => &self.run_dir,
            "listen" => &self.listen,
            _ => return None,
        };
        text.as_ref().map(|Text(text)| text.as_str())
    }

    /// Whether a switch is on or off, if the file says so.
    pub(super) fn switch(&self, setting: &str) -> Option<bool> {
        match setting {
            "trim" => self.trim,
            "no_events" => self.no_events,
            "no_sweep" => self.no_sweep,
            "json" => self.json,
            "quiet" => self.quiet,
            _ => None,
        }
    }

    /// The password, from the file itself or from the one it names (relative to it).
    pub(super) fn password(&self) -> Result<Option<Secret>, SettingsError> {
        let wrong = |why: String| SettingsError::new(format!("{}: {why}", self.path.display()));
        match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => {
                Err(wrong("give either password or password_file, not both".to_owned()))
            }
            (Some(Password(secret)), None) => Ok(Some(secret.clone())),
            (None, Some(file)) => {
                let file = self.path.parent().unwrap_or(Path::new("")).join(file);
                let password = fs::read_to_string(&file).map_err(|error| {
                    wrong(format!("cannot read the password_file {}: {error}", file.display()))
                })?;
                Ok(Some(Secret::new(password.trim_end_matches(['\r', '\n']))))
            }
            (None, None) => Ok(None),
        }
    }

    /// Whether a secret comes from this file.
    pub(super) fn has_secrets(&self) -> bool {
        let properties = self.properties().unwrap_or_default();
        self.password.is_some()
            || self.password_file.is_some()
            || properties.iter().any(|(key, _)| is_secret(key))
    }

    /// Kafka's properties: dots in unquoted keys make tables in TOML, which are joined again.
    pub(super) fn properties(&self) -> Result<Vec<(String, String)>, SettingsError> {
        let mut properties = Vec::new();
        if let Some(table) = &self.kafka {
            self.flatten("", table, &mut properties)?;
        }
        Ok(properties)
    }

    fn flatten(
        &self,
        prefix: &str,
        table: &Table,
        properties: &mut Vec<(String, String)>,
    ) -> Result<(), SettingsError> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                Value::Boolean(flag) => flag.to_string(),
                Value::Table(table) => {
                    self.flatten(&format!("{key}."), table, properties)?;
                    continue;
                }
                Value::Array(_) | Value::Datetime(_) => {
                    return Err(SettingsError::new(format!(
                        "{}: kafka.{key} must be text, a number, true or false",
                        self.path.display()
                    )));
                }
            };
            properties.push((key, text));
        }
        Ok(())
    }
}

/// `, line 3 (in_flight)`
fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count();
    let key =
        text.lines().nth(line).and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
    match key {
        Some(key) => format!(", line {} ({key})", line + 1),
        None => format!(", line {}", line + 1),
    }
}

/// The text of a setting, however it is written.
#[derive(Debug)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written::Text)
    }
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    deserializer.deserialize_any(Written::Number).map(Some)
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Text>, D::Error> {
    deserializer.deserialize_any(Written::List).map(Some)
}

/// How the text of a setting may be written; always also as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Text,
    Number,
    /// Texts, which are joined by commas.
    List,
}

impl<'de> Visitor<'de> for Written {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text in quotes",
            Self::Number => "a number or text in quotes",
            Self::List => "text in quotes or a list of such texts",
        })
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Text, E> {
        match self {
            Self::Number => Ok(Text(number.to_string())),
            _ => Err(E::invalid_type(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Text, E> {
        match self {
            Self::Number => Ok(Text(number.to_string())),
            _ => Err(E::invalid_type(Unexpected::Float(number), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
        if self != Self::List {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        }
        let mut texts = Vec::<String>::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(Text(texts.join(",")))
    }
}

/// Text whose wrong values are not repeated.
#[derive(Debug)]
struct Password(Secret);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(Secret::new(text))),
            _ => Err(Error::custom("must be text in quotes")),
        }
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
        assert_eq!(file.text("hosts"), Some("a:1,b"));
        assert_eq!(file.text("in_flight"), Some("64"));
        assert_eq!(file.text("settle"), Some("1.5"));
        assert_eq!(file.switch("trim"), Some(true));
        assert_eq!(file.switch("json"), None);
        let owned = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            file.properties().unwrap(),
            [
                owned("linger.ms", "7"),
                owned("security.protocol", "SSL"),
                owned("security.x.y", "true")
            ]
        );
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let unknown = message("keyspace = 'k'\n\nin_fligth = 3\n");
        assert!(unknown.starts_with("t.toml, line 3 (in_fligth): unknown field"), "{unknown}");
        let kind = message("trim = 'yes'\n");
        assert!(kind.starts_with("t.toml, line 1 (trim): invalid type"), "{kind}");
        let syntax = message("keyspace = \n");
        assert!(syntax.starts_with("t.toml, line 1 (keyspace): "), "{syntax}");
        let array = parse("[kafka]\nx = [1]").unwrap().properties().unwrap_err().to_string();
        assert_eq!(array, "t.toml: kafka.x must be text, a number, true or false");
    }

    #[test]
    fn values_of_another_type_are_refused() {
        for (text, expected) in [
            (
                "\nkeyspace = 5",
                "t.toml, line 2 (keyspace): invalid type: integer `5`, expected text",
            ),
            ("topic = 1.5", "t.toml, line 1 (topic): invalid type: floating point `1.5`, expected"),
            ("spec = ['a']", "t.toml, line 1 (spec): invalid type: sequence, expected text in"),
            ("run_dir = true", "t.toml, line 1 (run_dir): invalid type: boolean `true`, expected"),
            ("in_flight = [1]", "t.toml, line 1 (in_flight): invalid type: sequence, expected a n"),
            ("hosts = 9042", "t.toml, line 1 (hosts): invalid type: integer `9042`, expected text"),
            ("brokers = ['a', 1]", "t.toml, line 1 (brokers): invalid type: integer `1`, expected"),
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
