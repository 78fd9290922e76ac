//! A setting: everything that is to be known of it, in one row of one table.
//!
//! From the row follow its flag, its help, the environment variable, the key of the configuration file, what a run
//! records of it, and its line in `config`. Whoever needs settings describes them: those of the event sink are in
//! [`events`](crate::events), those of the input in [`pairs`](crate::pairs); `cli` has the others and puts all together.
//! To add one, write its row, and ask the [`Layers`] for its value where it is needed.

mod layers;
pub mod values;

use serde::Serialize;
use serde_json::Value;

pub use layers::{Given, Layers, Origin, SettingsError};

/// A command that takes settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the command of its name")]
pub enum Command {
    Plan,
    Apply,
    Resume,
    Verify,
    Undo,
    Lookup,
    ControlStatus,
    Config,
}

impl Command {
    /// The command of these words after the name of the program.
    pub fn named(words: &str) -> Option<Self> {
        match words {
            "plan" => Some(Self::Plan),
            "apply" => Some(Self::Apply),
            "resume" => Some(Self::Resume),
            "verify" => Some(Self::Verify),
            "undo" => Some(Self::Undo),
            "lookup" => Some(Self::Lookup),
            "control status" => Some(Self::ControlStatus),
            "config" => Some(Self::Config),
            _ => None,
        }
    }
}

/// How a setting may be written in the configuration file and on the command line; in the file, all but switches,
/// secrets and tables also as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A number or a word.
    Number,
    /// Texts, which are joined by commas; the flag may be repeated.
    List,
    /// True or false; a flag without a value.
    Switch,
    /// How often the flag is given.
    Count,
    /// A flag that may stand alone, and then has this value.
    Optional(&'static str),
    /// The path of a file, in the configuration file from its folder.
    Path,
    /// Text that is never shown.
    Secret,
    /// Properties by name, which are settings of something else: `[kafka]`.
    Table,
}

/// Where a setting can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the layers")]
pub enum Place {
    Flag,
    Environment,
    File,
}

/// What there is to know of a setting but the type of its values.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The key in the configuration file; flag and variable are made of it.
    pub name: &'static str,
    /// How it may be written.
    pub kind: Kind,
    /// What stands for the value in the help.
    pub value_name: &'static str,
    /// The short flag.
    pub short: Option<char>,
    /// The text of its value where nothing is said; empty if it is nothing then.
    pub default: &'static str,
    /// A value that it could have, where the default is none.
    pub example: &'static str,
    /// Where it can be given.
    pub places: &'static [Place],
    /// Where it stands in the help; empty for the common options.
    pub heading: &'static str,
    /// Which commands take it; `config` takes whatever can be in the configuration file.
    pub commands: &'static [Command],
    /// Whether it is a secret, or names a file that holds one.
    pub secret: bool,
    /// What is recorded of it.
    pub recorded: Option<Recorded>,
    /// Whether a run that goes on must keep to what it recorded.
    pub pinned: bool,
    /// What it is, for those who must give it and have not.
    missing: &'static str,
    /// What it is for, as it stands above the row: a summary, and paragraphs behind empty lines.
    help: &'static str,
}

/// Where and how the settings in a run.json hold one.
#[derive(Clone, Copy, Debug)]
pub struct Recorded {
    /// A JSON pointer without its leading `/`.
    pub at: &'static str,
    /// The text of what is there, as it could be given; nothing if it says nothing.
    pub recall: fn(&Value) -> Option<String>,
}

impl Row {
    /// Whether it can be given there.
    pub fn is_in(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    /// Whether a command takes it.
    pub fn is_taken_by(&self, command: Command) -> bool {
        self.commands.contains(&command) || command == Command::Config && self.is_in(Place::File)
    }

    /// The long flag, or the short one where there is no long one.
    pub fn flag(&self) -> String {
        match (self.kind, self.short) {
            (Kind::Table | Kind::Count, Some(short)) => format!("-{short}"),
            _ => format!("--{}", self.name.replace('_', "-")),
        }
    }

    /// The environment variable.
    pub fn variable(&self) -> String {
        format!("TRIBUTARY_{}", self.name.to_uppercase())
    }

    /// The paragraphs of its help, the summary first and with the default.
    pub fn help(&self) -> Vec<String> {
        let paragraphs = self.help.split("\n\n").map(|paragraph| {
            paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
        });
        let mut paragraphs: Vec<_> = paragraphs.collect();
        let is_told = self.default.is_empty()
            || matches!(self.kind, Kind::Switch | Kind::Count)
            || self.help.contains("[default:");
        if let (Some(summary), false) = (paragraphs.first_mut(), is_told) {
            *summary += &format!(" [default: {}]", self.default);
        }
        paragraphs
    }
}

/// A setting with values of a type.
#[derive(Debug)]
pub struct Setting<T> {
    row: Row,
    /// A value from its text, or what is wrong in words that continue "'abc' …".
    parse: fn(&str) -> Result<T, String>,
    /// A value as run.json keeps it.
    keep: Option<fn(&T) -> Value>,
}

/// A setting, whatever its type.
pub trait Described: Sync {
    /// All but its type.
    fn row(&self) -> &Row;

    /// What is wrong with a text.
    ///
    /// # Errors
    /// In words that continue "'abc' …".
    fn check(&self, text: &str) -> Result<(), String>;

    /// The value in effect as run.json keeps it; nothing if that keeps none of it.
    ///
    /// # Errors
    /// As of [`Layers::find`].
    fn kept(&self, layers: &Layers) -> Result<Option<Value>, SettingsError>;
}

impl<T> Described for Setting<T> {
    fn row(&self) -> &Row {
        &self.row
    }

    fn check(&self, text: &str) -> Result<(), String> {
        (self.parse)(text).map(drop)
    }

    fn kept(&self, layers: &Layers) -> Result<Option<Value>, SettingsError> {
        if self.row.kind == Kind::Table {
            return Ok(Some(layers.table(&self.row).iter().map(|found| found.shown()).collect()));
        }
        let Some(keep) = self.keep else { return Ok(None) };
        Ok(Some(layers.find(self)?.map_or(Value::Null, |value| keep(&value))))
    }
}

impl<T> Setting<T> {
    const fn new(
        name: &'static str,
        kind: Kind,
        value_name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        let row = Row {
            name,
            kind,
            value_name,
            short: None,
            default: "",
            example: "",
            places: &[Place::Flag, Place::Environment, Place::File],
            heading: "",
            commands: &[],
            secret: false,
            recorded: None,
            pinned: false,
            missing: "",
            help: "",
        };
        Self { row, parse, keep: None }
    }

    /// A setting that is text.
    pub const fn text(
        name: &'static str,
        value_name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self::new(name, Kind::Text, value_name, parse)
    }

    /// One that is a number or a word.
    pub const fn number(
        name: &'static str,
        value_name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self::new(name, Kind::Number, value_name, parse)
    }

    /// One that is a list.
    pub const fn list(
        name: &'static str,
        value_name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self::new(name, Kind::List, value_name, parse)
    }

    /// One that is the path of a file.
    pub const fn path(
        name: &'static str,
        value_name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self::new(name, Kind::Path, value_name, parse)
    }

    /// One whose flag may stand alone, for `alone`.
    pub const fn optional(
        name: &'static str,
        value_name: &'static str,
        alone: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self::new(name, Kind::Optional(alone), value_name, parse)
    }

    /// One that is counted.
    pub const fn count(
        name: &'static str,
        short: char,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        Self::new(name, Kind::Count, "", parse).short(short).default("0")
    }

    /// One that is not for the command line, where other users could see it, and is recorded nowhere.
    pub const fn secret(name: &'static str, parse: fn(&str) -> Result<T, String>) -> Self {
        let secret = Self::new(name, Kind::Secret, "", parse).leads_to_secret();
        secret.only(&[Place::Environment, Place::File])
    }

    /// It names something that holds a secret.
    pub const fn leads_to_secret(mut self) -> Self {
        self.row.secret = true;
        self
    }

    /// It has a short flag, too.
    pub const fn short(mut self, short: char) -> Self {
        self.row.short = Some(short);
        self
    }

    /// What it is where nothing is said.
    pub const fn default(mut self, text: &'static str) -> Self {
        self.row.default = text;
        self
    }

    /// A value that it could have.
    pub const fn example(mut self, text: &'static str) -> Self {
        self.row.example = text;
        self
    }

    /// It must be given, and is told to be this where it is not.
    pub const fn required(mut self, what: &'static str) -> Self {
        self.row.missing = what;
        self
    }

    /// It can be given there alone.
    pub const fn only(mut self, places: &'static [Place]) -> Self {
        self.row.places = places;
        self
    }

    /// It holds for one call: it is a flag and nothing else.
    pub const fn of_a_call(self) -> Self {
        self.only(&[Place::Flag])
    }

    /// These commands take it, instead of those of its table.
    pub const fn taken_by(mut self, commands: &'static [Command]) -> Self {
        self.row.commands = commands;
        self
    }

    /// It stands there in the help, instead of where its table does.
    pub const fn under(mut self, heading: &'static str) -> Self {
        self.row.heading = heading;
        self
    }

    /// A run records it under its name.
    pub const fn recorded(self, keep: fn(&T) -> Value) -> Self {
        let name = self.row.name;
        self.recorded_at(name, keep, recall)
    }

    /// A run records it elsewhere, or in another form than it is given in.
    pub const fn recorded_at(
        mut self,
        at: &'static str,
        keep: fn(&T) -> Value,
        recall: fn(&Value) -> Option<String>,
    ) -> Self {
        self.keep = Some(keep);
        self.recalled_from(at, recall)
    }

    /// What a run records of others tells it.
    pub const fn recalled_from(
        mut self,
        at: &'static str,
        recall: fn(&Value) -> Option<String>,
    ) -> Self {
        self.row.recorded = Some(Recorded { at, recall });
        self
    }

    /// A run cannot change it once it has begun: it may be given again, but not differ.
    pub const fn pinned(mut self) -> Self {
        self.row.pinned = true;
        self
    }

    /// What its table says of it, as far as it does not do so itself.
    pub const fn of_table(
        mut self,
        heading: &'static str,
        commands: &'static [Command],
        help: &'static str,
    ) -> Self {
        if self.row.heading.is_empty() {
            self.row.heading = heading;
        }
        if self.row.commands.is_empty() {
            self.row.commands = commands;
        }
        self.row.help = help;
        self
    }
}

impl Setting<bool> {
    /// A setting that is on or off.
    pub const fn switch(name: &'static str) -> Self {
        Self::new(name, Kind::Switch, "", values::switch).default("false")
    }
}

impl Setting<()> {
    /// Properties of something else, which are recorded but for their secrets.
    pub const fn table(
        name: &'static str,
        short: char,
        value_name: &'static str,
        at: &'static str,
    ) -> Self {
        let table = Self::new(name, Kind::Table, value_name, |_| Ok(()));
        table.short(short).recalled_from(at, |_| None)
    }
}

/// A value that run.json keeps as text.
pub fn text(value: &impl ToString) -> Value {
    value.to_string().into()
}

/// A value that run.json keeps as it is.
pub fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The text of what run.json keeps as it could be given.
pub fn recall(kept: &Value) -> Option<String> {
    match kept {
        Value::String(text) => Some(text.clone()),
        Value::Bool(on) => Some(on.to_string()),
        Value::Number(number) if number.is_f64() => Some(number.as_f64()?.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            items.iter().map(recall).collect::<Option<Vec<_>>>().map(|items| items.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// A table of settings: its heading in the help, the commands that take its rows, and the rows, each below what it is
/// for.
macro_rules! settings {
    (
        $(#[$about:meta])*
        $vis:vis $table:ident: $heading:literal, $commands:expr;
        $($(#[doc = $help:literal])+ $name:ident: $values:ty = $setting:expr;)+
    ) => {
        $(
            $(#[doc = $help])+
            $vis static $name: $crate::setting::Setting<$values> =
                $setting.of_table($heading, $commands, concat!($($help, "\n"),+));
        )+

        $(#[$about])*
        $vis static $table: &[&dyn $crate::setting::Described] = &[$(&$name),+];
    };
}

pub(crate) use settings;
