//! A setting: everything that is to be known of it, in one row of one table.
//!
//! From the row follow its flag, its help, the environment variable, the key of the configuration file, what a run
//! records of it, and its line in `config`. Whoever needs settings describes them: those of a cluster are in
//! [`cluster`](crate::cluster), those of the event sink in [`events`](crate::events), and so on; `cli` has the others and
//! puts all together. To add one, write its row, and ask the [`Layers`] for its value where the settings of that module are
//! made, which are handed on whole.
//!
//! May use `secret`; may be used by `pairs`, `cluster`, `events`, `pace`, `pipeline`, `verify`, `undo`, `help` and `cli`.

mod layers;
mod row;
pub(crate) mod values;

use serde::Serialize;
use serde_json::Value;

use crate::secret::redacted_address;

pub(crate) use layers::{Given, Layers, Origin, SettingsError};
pub(crate) use row::{Command, Layer, Recorded, SettingRow, ValueKind};

/// A setting with values of a type.
#[derive(Debug)]
pub(crate) struct Setting<T> {
    row: SettingRow,
    /// A value from its text, or what is wrong in words that continue "'abc' …".
    parse: fn(&str) -> Result<T, String>,
    /// A value as run.json keeps it.
    keep: Option<fn(&T) -> Value>,
}

/// A setting, whatever its type.
pub(crate) trait Described: Sync {
    /// All but its type.
    fn row(&self) -> &SettingRow;

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
    fn row(&self) -> &SettingRow {
        &self.row
    }

    fn check(&self, text: &str) -> Result<(), String> {
        (self.parse)(text).map(drop)
    }

    fn kept(&self, layers: &Layers) -> Result<Option<Value>, SettingsError> {
        if self.row.kind == ValueKind::Table {
            return Ok(Some(layers.table(&self.row).iter().map(|found| found.shown()).collect()));
        }
        let Some(keep) = self.keep else { return Ok(None) };
        Ok(Some(layers.find(self)?.map_or(Value::Null, |value| keep(&value))))
    }
}

impl<T> Setting<T> {
    /// A setting of this name and kind.
    pub(crate) const fn new(
        name: &'static str,
        kind: ValueKind,
        value_name: &'static str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Self {
        let row = SettingRow {
            name,
            kind,
            value_name,
            short: None,
            default: "",
            example: "",
            layers: &[Layer::Flag, Layer::Environment, Layer::File],
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

    /// One that is not for the command line, where other users could see it, and is recorded nowhere.
    pub(crate) const fn secret(name: &'static str, parse: fn(&str) -> Result<T, String>) -> Self {
        let secret = Self::new(name, ValueKind::Secret, "", parse).leads_to_secret();
        secret.only(&[Layer::Environment, Layer::File])
    }

    /// It names something that holds a secret.
    pub(crate) const fn leads_to_secret(mut self) -> Self {
        self.row.secret = true;
        self
    }

    /// It has a short flag, too.
    pub(crate) const fn short(mut self, short: char) -> Self {
        self.row.short = Some(short);
        self
    }

    /// What it is where nothing is said.
    pub(crate) const fn default(mut self, text: &'static str) -> Self {
        self.row.default = text;
        self
    }

    /// A value that it could have.
    pub(crate) const fn example(mut self, text: &'static str) -> Self {
        self.row.example = text;
        self
    }

    /// It must be given, and is told to be this where it is not.
    pub(crate) const fn required(mut self, what: &'static str) -> Self {
        self.row.missing = what;
        self
    }

    /// It can be given there alone.
    pub(crate) const fn only(mut self, layers: &'static [Layer]) -> Self {
        self.row.layers = layers;
        self
    }

    /// It holds for one call: it is a flag and nothing else.
    pub(crate) const fn of_a_call(self) -> Self {
        self.only(&[Layer::Flag])
    }

    /// These commands take it, instead of those of its table.
    pub(crate) const fn taken_by(mut self, commands: &'static [Command]) -> Self {
        self.row.commands = commands;
        self
    }

    /// It stands there in the help, instead of where its table does.
    pub(crate) const fn under(mut self, heading: &'static str) -> Self {
        self.row.heading = heading;
        self
    }

    /// A run records it under its name.
    pub(crate) const fn recorded(self, keep: fn(&T) -> Value) -> Self {
        let name = self.row.name;
        self.recorded_at(name, keep, recall)
    }

    /// A run records it elsewhere, or in another form than it is given in.
    pub(crate) const fn recorded_at(
        mut self,
        at: &'static str,
        keep: fn(&T) -> Value,
        recall: fn(&Value) -> Option<String>,
    ) -> Self {
        self.keep = Some(keep);
        self.recalled_from(at, recall)
    }

    /// What a run records of others tells it.
    pub(crate) const fn recalled_from(
        mut self,
        at: &'static str,
        recall: fn(&Value) -> Option<String>,
    ) -> Self {
        self.row.recorded = Some(Recorded { at, recall });
        self
    }

    /// A run cannot change it once it has begun: it may be given again, but not differ.
    pub(crate) const fn pinned(mut self) -> Self {
        self.row.pinned = true;
        self
    }

    /// What its table says of it, as far as it does not do so itself.
    pub(crate) const fn of_table(
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
    pub(crate) const fn switch(name: &'static str) -> Self {
        Self::new(name, ValueKind::Switch, "", values::switch).default("false")
    }
}

impl Setting<()> {
    /// Properties of something else, which are recorded but for their secrets.
    pub(crate) const fn table(
        name: &'static str,
        short: char,
        value_name: &'static str,
        at: &'static str,
    ) -> Self {
        let table = Self::new(name, ValueKind::Table, value_name, |_| Ok(()));
        table.short(short).recalled_from(at, |_| None)
    }
}

/// A value that run.json keeps as text.
pub(crate) fn text(value: &impl ToString) -> Value {
    value.to_string().into()
}

/// What run.json keeps of an address, without who asks and what: a run that had any of it is told to give it again.
pub(crate) fn address(value: &impl ToString) -> Value {
    redacted_address(&value.to_string()).into()
}

/// A value that run.json keeps as it is.
pub(crate) fn plain(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The text of what run.json keeps as it could be given.
pub(crate) fn recall(kept: &Value) -> Option<String> {
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
