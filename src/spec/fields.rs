//! Values of TOML as they are expected where they stand. What is something else is a fault, and reading goes on.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::fault::{At, Faults};
use super::raw::ColumnPath;

/// A text that is read, and what is wrong with it so far.
pub(super) struct Source<'t> {
    text: &'t str,
    pub(super) faults: Faults,
}

/// A value as the parser has it.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str, origin: &str) -> Self {
        Self { text, faults: Faults::none(origin) }
    }

    /// The line of a part of the text, from 1 on.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.text.get(..span.start).unwrap_or(self.text).matches('\n').count() + 1
    }

    pub(super) fn wrong(&mut self, value: &Value<'_>, message: String) {
        self.faults.add(self.line(&value.span()), message);
    }

    /// Text, if it is that.
    pub(super) fn text(&mut self, what: &str, value: &Value<'_>) -> Option<At<String>> {
        match value.get_ref() {
            DeValue::String(text) => Some(At::new(text.to_string(), self.line(&value.span()))),
            other => {
                self.wrong(value, format!("{what} is {}, not text in quotes", kind(other)));
                None
            }
        }
    }

    /// `table.column`, if it is that.
    pub(super) fn path(&mut self, what: &str, value: &Value<'_>) -> Option<At<ColumnPath>> {
        let text = self.text(what, value)?;
        match ColumnPath::try_from(text.as_str()) {
            Ok(path) => Some(text.map(|_| path)),
            Err(why) => {
                self.wrong(value, format!("{what}: {why}"));
                None
            }
        }
    }

    /// True or false, if it is that.
    pub(super) fn switch(&mut self, what: &str, value: &Value<'_>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(is) => Some(*is),
            other => {
                self.wrong(value, format!("{what} is {}, neither true nor false", kind(other)));
                None
            }
        }
    }

    /// The entries of a table, if it is one.
    pub(super) fn table<'v, 'i>(
        &mut self,
        what: &str,
        value: &'v Value<'i>,
    ) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(entries),
            other => {
                let message =
                    format!("{what} is {}, not a table: {{ name = value, … }}", kind(other));
                self.wrong(value, message);
                None
            }
        }
    }
}

/// A whole number of 64 bits, if it is that.
pub(super) fn whole(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// What a value is, as messages name it.
pub(super) fn kind(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(is) => is.to_string(),
        DeValue::Datetime(moment) => moment.to_string(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// The entries of a table whose names are known.
pub(super) struct Fields<'v, 'i> {
    /// Of what they are, as messages begin.
    what: String,
    line: usize,
    entries: &'v DeTable<'i>,
}

impl<'v, 'i> Fields<'v, 'i> {
    /// Entries that a table of this line may have; others are faults.
    pub(super) fn new(
        source: &mut Source<'_>,
        (what, line): (&str, usize),
        entries: &'v DeTable<'i>,
        known: &[&str],
    ) -> Self {
        for key in entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
            let key_line = source.line(&key.span());
            let message = format!(
                "{what} has no entry {:?}; its entries are {}",
                key.get_ref(),
                known.join(", ")
            );
            source.faults.add(key_line, message);
        }
        Self { what: what.to_owned(), line, entries }
    }

    /// The entry of a name, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<&'v Value<'i>> {
        let found = self.entries.iter().find(|(key, _)| key.get_ref() == name);
        found.map(|(_, value)| value)
    }

    /// The entry of a name, which has to be there; `example` is how it could look.
    pub(super) fn get(
        &self,
        source: &mut Source<'_>,
        name: &str,
        example: &str,
    ) -> Option<&'v Value<'i>> {
        let found = self.find(name);
        if found.is_none() {
            let message = format!("{} has no {name}: it needs one, as in {example}", self.what);
            source.faults.add(self.line, message);
        }
        found
    }

    /// The text of a name, which has to be there.
    pub(super) fn text(
        &self,
        source: &mut Source<'_>,
        name: &str,
        example: &str,
    ) -> Option<At<String>> {
        let value = self.get(source, name, example)?;
        source.text(&self.within(name), value)
    }

    /// A name in the table, as messages have it.
    pub(super) fn within(&self, name: &str) -> String {
        format!("{}: {name}", self.what)
    }
}
