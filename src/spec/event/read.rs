//! TOML → the event as written.

use std::collections::BTreeMap;

use serde_json::{Number, Value as Json};
use toml::de::DeValue;

use super::{Node, RawEvent, RawEventColumn, Template};
use crate::spec::fault::At;
use crate::spec::fields::{Fields, Source, Value, whole};

const WHAT: &str = "[event]";

impl RawEvent {
    /// Reads the event. Parts that could not be understood are faults, and empty.
    pub(in crate::spec) fn read(source: &mut Source<'_>, written: &Value<'_>) -> Option<Self> {
        let entries = source.table(WHAT, written)?;
        let line = source.line(&written.span());
        let known = ["table", "left", "every", "key", "columns", "value"];
        let fields = Fields::new(source, (WHAT, line), entries, &known);
        let table = fields.text(source, "table", "table = \"user_courses\"");
        let left = fields.find("left");
        let left = left.and_then(|is| source.switch(&fields.within("left"), is));
        let every = fields.find("every").and_then(|is| {
            let line = source.line(&is.span());
            Some(At::new(source.switch(&fields.within("every"), is)?, line))
        });
        let key = fields.get(source, "key", "key = \"${account}\"");
        let key = key.and_then(|key| {
            let text = source.text(&fields.within("key"), key)?;
            Some(At::new(template(source, key, &text)?, text.line))
        });
        let columns = fields.find("columns").and_then(|written| columns(source, written));
        let value = fields.get(source, "value", "[event.value]");
        let value = value.filter(|value| source.table(&fields.within("value"), value).is_some());
        Some(Self {
            table: table?,
            left: left.unwrap_or_default(),
            every,
            key: key.unwrap_or_else(|| At::new(Template(Vec::new()), line)),
            columns: columns.unwrap_or_default(),
            value: value.map_or(Node::Object(Vec::new()), |value| node(source, value)),
        })
    }
}

fn columns(
    source: &mut Source<'_>,
    written: &Value<'_>,
) -> Option<BTreeMap<String, At<RawEventColumn>>> {
    let entries = source.table("[event]: columns", written)?;
    let columns = entries.iter().filter_map(|(name, written)| {
        let what = format!("[event]: columns: {}", name.get_ref());
        let (entries, line) = (source.table(&what, written)?, source.line(&written.span()));
        let fields = Fields::new(source, (&what, line), entries, &["else_min"]);
        let else_min = fields.find("else_min");
        let else_min = else_min.and_then(|from| source.path(&fields.within("else_min"), from));
        Some((name.get_ref().to_string(), At::new(RawEventColumn { else_min }, line)))
    });
    Some(columns.collect())
}

fn template(source: &mut Source<'_>, written: &Value<'_>, text: &str) -> Option<Template> {
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(why) => {
            source.wrong(written, format!("{WHAT}: {why}"));
            None
        }
    }
}

fn node(source: &mut Source<'_>, written: &Value<'_>) -> Node {
    let literal = |json: Json| Node::Literal(json.to_string());
    match written.get_ref() {
        DeValue::String(text) if text.contains("${") => {
            let line = source.line(&written.span());
            let template = template(source, written, text);
            template.map_or_else(|| literal(Json::Null), |own| Node::Template(At::new(own, line)))
        }
        DeValue::String(text) => literal(text.to_string().into()),
        DeValue::Integer(number) => match whole(number) {
            Some(number) => literal(number.into()),
            None => {
                let message = format!("{WHAT}: {number} is no whole number of 64 bits");
                source.wrong(written, message);
                literal(Json::Null)
            }
        },
        DeValue::Float(number) => {
            let number = number.as_str().parse().ok().and_then(Number::from_f64);
            literal(number.map_or(Json::Null, Json::Number))
        }
        DeValue::Boolean(is) => literal((*is).into()),
        // JSON has no dates.
        DeValue::Datetime(moment) => literal(moment.to_string().into()),
        DeValue::Array(items) => Node::Array(items.iter().map(|item| node(source, item)).collect()),
        DeValue::Table(entries) => {
            let fields = entries.iter().map(|(name, field)| {
                (Json::String(name.get_ref().to_string()).to_string(), node(source, field))
            });
            Node::Object(fields.collect())
        }
    }
}
