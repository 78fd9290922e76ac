//! The event of a specification: JSON with placeholders, parsed once, rendered for each changed row.

mod check;
mod read;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::Column;
use super::fault::At;
use super::raw::ColumnPath;
use crate::model::{ColumnIndex, CqlType, TableIndex};

/// The event that a changed row produces, as written.
#[derive(Clone, Debug)]
pub struct RawEvent {
    /// The table whose rows are announced.
    table: At<String>,
    /// Whether rows are announced, too, that left a source.
    left: bool,
    /// Whether all rows of a survivor are announced, also those in which nothing changed.
    every: Option<At<bool>>,
    /// The message key: text with placeholders.
    key: At<Template>,
    /// Columns of the surviving row that placeholders may name.
    columns: BTreeMap<String, At<RawEventColumn>>,
    /// The message value: JSON, written as TOML, with placeholders in its strings.
    value: Node,
}

/// A column that an event quotes.
#[derive(Clone, Debug, Default)]
struct RawEventColumn {
    /// Where the surviving row holds null: the smallest value of this column among the survivor's rows
    /// of the table that leads to the partition.
    else_min: Option<At<ColumnPath>>,
}

/// Which event a changed row produces.
#[derive(Clone, Debug)]
pub struct EventSpec {
    /// The table whose rows are announced.
    pub table: TableIndex,
    /// Whether rows are announced, too, that left a source.
    pub(crate) left: bool,
    /// Whether all rows of a survivor are announced, also those in which nothing changed.
    pub(crate) every: bool,
    /// The type of its account column.
    pub account: CqlType,
    /// The columns of its key but the account: those of its scope, unless an account owns several rows there.
    pub scope: Vec<Column>,
    /// Columns that placeholders may name.
    pub(crate) columns: Vec<EventColumn>,
    /// The message key.
    key: Template,
    /// The message value.
    value: Node,
}

/// A column that an event quotes, as it was found.
#[derive(Clone, Debug)]
pub(crate) struct EventColumn {
    /// The name that placeholders use.
    pub name: String,
    /// Its position in the announced table.
    pub column: ColumnIndex,
    pub cql_type: CqlType,
    /// Where the row holds null: the smallest value of this column of the table that leads there.
    pub(crate) else_min: Option<ColumnIndex>,
}

/// The values of the placeholders of one event, a handful; the last one of a name counts, an absent one is JSON
/// null.
pub(crate) type Bindings<'a> = Vec<(&'a str, Value)>;

const NULL: Value = Value::Null;

fn bound<'a>(bindings: &'a Bindings<'_>, name: &str) -> &'a Value {
    bindings.iter().rfind(|(bound, _)| *bound == name).map_or(&NULL, |(_, value)| value)
}

impl EventSpec {
    /// The message key.
    pub(crate) fn key(&self, bindings: &Bindings<'_>) -> String {
        self.key.text(bindings)
    }

    /// The message value.
    pub(crate) fn value(&self, bindings: &Bindings<'_>) -> Vec<u8> {
        let mut json = String::with_capacity(VALUE_BYTES);
        self.value.render(bindings, &mut json);
        json.into_bytes()
    }
}

/// The types of which values can be quoted, in words.
const QUOTABLE: &str = "text, ascii, tinyint, smallint, int, bigint, boolean, uuid or timeuuid";

impl EventSpec {
    /// How large an event is in which nothing is quoted, its key included: about the least that there can be.
    pub(crate) fn least_bytes(&self) -> usize {
        let nothing = Bindings::new();
        self.key(&nothing).len() + self.value(&nothing).len()
    }
}

/// Whether values of a type can be quoted.
fn is_quotable(cql_type: &CqlType) -> bool {
    matches!(
        cql_type,
        CqlType::Ascii
            | CqlType::Text
            | CqlType::TinyInt
            | CqlType::SmallInt
            | CqlType::Int
            | CqlType::BigInt
            | CqlType::Boolean
            | CqlType::Uuid
            | CqlType::TimeUuid
    )
}

/// A value as an event quotes it: numbers and booleans as such, everything else as text.
pub fn quoted(cql_type: &CqlType, cell: Option<&Bytes>) -> Value {
    let Some(bytes) = cell else { return NULL };
    let value = match cql_type {
        CqlType::TinyInt => bytes[..].try_into().ok().map(|n| i8::from_be_bytes(n).into()),
        CqlType::SmallInt => bytes[..].try_into().ok().map(|n| i16::from_be_bytes(n).into()),
        CqlType::Int => bytes[..].try_into().ok().map(|n| i32::from_be_bytes(n).into()),
        CqlType::BigInt => bytes[..].try_into().ok().map(|n| i64::from_be_bytes(n).into()),
        CqlType::Boolean => bytes.first().map(|is| Value::Bool(*is != 0)),
        CqlType::Uuid | CqlType::TimeUuid => {
            Uuid::from_slice(bytes).ok().map(|uuid| uuid.to_string().into())
        }
        _ => None,
    };
    value.unwrap_or_else(|| String::from_utf8_lossy(bytes).into())
}

/// Room for most message values.
const VALUE_BYTES: usize = 512;

/// Text with `${placeholders}`.
#[derive(Clone, Debug)]
struct Template(Vec<TemplatePart>);

#[derive(Clone, Debug)]
enum TemplatePart {
    Text(String),
    Placeholder(String),
}

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (before, tail) = rest.split_at(start);
            let (name, after) = tail[2..]
                .split_once('}')
                .ok_or_else(|| format!("'{text}': a placeholder is not closed by '}}'"))?;
            if !before.is_empty() {
                parts.push(TemplatePart::Text(before.into()));
            }
            parts.push(TemplatePart::Placeholder(name.into()));
            rest = after;
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(TemplatePart::Text(rest.into()));
        }
        Ok(Self(parts))
    }

    /// The placeholders in it.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            TemplatePart::Text(_) => None,
            TemplatePart::Placeholder(name) => Some(name.as_str()),
        })
    }

    fn text(&self, bindings: &Bindings<'_>) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                TemplatePart::Text(literal) => text.push_str(literal),
                TemplatePart::Placeholder(name) => match bound(bindings, name) {
                    Value::String(value) => text.push_str(value),
                    // Writing to a String cannot fail.
                    value => drop(write!(text, "{value}")),
                },
            }
        }
        text
    }

    /// A placeholder that stands alone keeps its type: a number stays a number, null stays null.
    fn render(&self, bindings: &Bindings<'_>, json: &mut String) {
        match self.0.as_slice() {
            [TemplatePart::Placeholder(name)] => render(bound(bindings, name), json),
            _ => render(&Value::String(self.text(bindings)), json),
        }
    }
}

fn render(value: &Value, json: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(json, "{value}");
}

/// JSON whose strings may hold placeholders.
#[derive(Clone, Debug)]
enum Node {
    /// What stands between placeholders, as JSON.
    Literal(String),
    Template(At<Template>),
    Array(Vec<Node>),
    /// The names as JSON.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// All texts with placeholders.
    fn templates(&self) -> Vec<&At<Template>> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Template(template) => vec![template],
            Self::Array(items) => items.iter().flat_map(Self::templates).collect(),
            Self::Object(fields) => {
                fields.iter().flat_map(|(_, field)| field.templates()).collect()
            }
        }
    }

    fn render(&self, bindings: &Bindings<'_>, json: &mut String) {
        match self {
            Self::Literal(literal) => json.push_str(literal),
            Self::Template(template) => template.render(bindings, json),
            Self::Array(items) => {
                json.push('[');
                for (at, item) in items.iter().enumerate() {
                    json.push_str(if at > 0 { "," } else { "" });
                    item.render(bindings, json);
                }
                json.push(']');
            }
            Self::Object(fields) => {
                json.push('{');
                for (at, (name, field)) in fields.iter().enumerate() {
                    json.push_str(if at > 0 { "," } else { "" });
                    json.push_str(name);
                    json.push(':');
                    field.render(bindings, json);
                }
                json.push('}');
            }
        }
    }
}
