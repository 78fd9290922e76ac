//! The event of a specification: JSON with placeholders, parsed once, rendered for each changed row.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::account::{ColumnIndex, TableIndex};

/// Which event a changed row produces.
#[derive(Clone, Debug)]
pub struct EventSpec {
    /// The table whose rows are announced.
    pub table: TableIndex,
    /// The name of its partition key column.
    pub partition: String,
    /// Columns that placeholders may name.
    pub columns: Vec<EventColumn>,
    /// The message key.
    pub(super) key: Template,
    /// The message value.
    pub(super) value: Node,
}

/// A column that an event quotes.
#[derive(Clone, Debug)]
pub struct EventColumn {
    /// The name that placeholders use.
    pub name: String,
    /// Its position in the announced table.
    pub column: ColumnIndex,
    /// Where the row holds null: the smallest value of this column of the table that leads there.
    pub else_min: Option<ColumnIndex>,
}

/// The values of the placeholders of one event; an absent one is JSON null.
pub type Bindings<'a> = BTreeMap<&'a str, Value>;

impl EventSpec {
    /// The message key.
    pub fn key(&self, bindings: &Bindings<'_>) -> String {
        self.key.text(bindings)
    }

    /// The message value.
    pub fn value(&self, bindings: &Bindings<'_>) -> Vec<u8> {
        self.value.render(bindings).to_string().into_bytes()
    }
}

/// Text with `${placeholders}`.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Placeholder(String),
}

impl Template {
    pub(super) fn parse(text: &str, known: impl Fn(&str) -> bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, tail) = rest.split_at(start);
            let (name, after) = tail[2..]
                .split_once('}')
                .ok_or_else(|| format!("'{text}': a placeholder is not closed by '}}'"))?;
            if !known(name) {
                return Err(format!("'{text}': there is no placeholder ${{{name}}}"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(Part::Placeholder(name.into()));
            rest = after;
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self(parts))
    }

    fn text(&self, bindings: &Bindings<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Placeholder(name) => match bindings.get(name.as_str()) {
                    Some(Value::String(value)) => text.push_str(value),
                    // Writing to a String cannot fail.
                    Some(value) => drop(write!(text, "{value}")),
                    None => text.push_str("null"),
                },
            }
        }
        text
    }

    /// A placeholder that stands alone keeps its type: a number stays a number, null stays null.
    fn value(&self, bindings: &Bindings<'_>) -> Value {
        match self.0.as_slice() {
            [Part::Placeholder(name)] => {
                bindings.get(name.as_str()).cloned().unwrap_or(Value::Null)
            }
            _ => Value::String(self.text(bindings)),
        }
    }
}

/// JSON whose strings may hold placeholders.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    Template(Template),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn parse(value: Value, known: impl Fn(&str) -> bool + Copy) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) if text.contains("${") => {
                Self::Template(Template::parse(&text, known)?)
            }
            Value::Array(items) => Self::Array(
                items.into_iter().map(|item| Self::parse(item, known)).collect::<Result<_, _>>()?,
            ),
            Value::Object(fields) => Self::Object(
                fields
                    .into_iter()
                    .map(|(name, field)| Ok((name, Self::parse(field, known)?)))
                    .collect::<Result<_, String>>()?,
            ),
            literal => Self::Literal(literal),
        })
    }

    fn render(&self, bindings: &Bindings<'_>) -> Value {
        match self {
            Self::Literal(value) => value.clone(),
            Self::Template(template) => template.value(bindings),
            Self::Array(items) => {
                Value::Array(items.iter().map(|item| item.render(bindings)).collect())
            }
            Self::Object(fields) => Value::Object(
                fields.iter().map(|(name, field)| (name.clone(), field.render(bindings))).collect(),
            ),
        }
    }
}
