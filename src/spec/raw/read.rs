//! TOML → a specification as written: each entry is what it may be, or a fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::{RawFind, RawPart, RawRows, RawSpec, RawTable, alone};
use crate::model::CqlType;
use crate::spec::event::RawEvent;
use crate::spec::fault::{At, Faults};
use crate::spec::fields::{Fields, Source, Value, kind, whole};
use crate::spec::policy::{self, Policy};

const FIND: &str = "find is either \"partition\", { partitions_from = \"table.column\" }, { partition = { column = { \
                    value = … } or { from = \"table.column\" }, … } }, or \"scan\"";
const PART: &str =
    "a column of the partition key comes from { value = … } or { from = \"table.column\" }";
const ON_CONFLICT: &str =
    "on_conflict is either \"keep-target\", \"keep-source\" or a table of column = \"policy\"";
const HIGHER: &str = "{ keep = \"higher\", by = [\"status\"] }";
const MENTIONS: &str =
    "it lists the columns beside the key that name accounts, as in mentions = [\"managedby\"]";
const TTL: &str = "what expires either expires where it is copied as well (ttl = \"carry\"), or lasts for ever there (leave \
                   ttl out)";
const POLICY: &str = "the name of a policy, { each = \"policy\" } for the entries of a map, or \
                      { policy = \"max\", format = \"%Y-%m-%d\" } for dates that are text";

/// Reads a text. Of what is no TOML nothing is read.
pub(super) fn read(text: &str, origin: &str) -> (RawSpec, Faults) {
    let mut source = Source::new(text, origin);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let line = source.line(&error.span().unwrap_or_default());
        // Some messages have a second line.
        let message = error.message().trim_end().replace('\n', "; ");
        source.faults.add(line, format!("this is not TOML: {message}"));
    }
    let (own, origin) = (text.to_owned(), origin.to_owned());
    let mut spec = RawSpec { text: own, origin, ..RawSpec::of(Vec::new()) };
    if source.faults.is_empty() {
        let document = document.get_ref();
        let known = ["name", "table", "event"];
        let fields = Fields::new(&mut source, ("the specification", 1), document, &known);
        let name = fields.text(&mut source, "name", "name = \"courses\"");
        spec.name = name.map_or_else(String::new, |name| (*name).clone());
        spec.tables = tables(&mut source, &fields);
        spec.event = fields.find("event").and_then(|event| RawEvent::read(&mut source, event));
        alone::check(&spec, &mut source.faults);
    }
    (spec, source.faults)
}

fn tables(source: &mut Source<'_>, fields: &Fields<'_, '_>) -> Vec<RawTable> {
    let Some(written) = fields.find("table") else { return Vec::new() };
    let DeValue::Array(tables) = written.get_ref() else {
        let message = format!(
            "table is {}: each table has a heading of its own, [[table]]",
            kind(written.get_ref())
        );
        source.wrong(written, message);
        return Vec::new();
    };
    tables.iter().filter_map(|written| table(source, written)).collect()
}

fn table(source: &mut Source<'_>, written: &Value<'_>) -> Option<RawTable> {
    let entries = source.table("[[table]]", written)?;
    let line = source.line(&written.span());
    let named = entries.iter().find(|(key, _)| key.get_ref() == "name");
    let what = match named.and_then(|(_, name)| name.get_ref().as_str()) {
        Some(name) => format!("table {name}"),
        None => "[[table]]".to_owned(),
    };
    let known = [
        "name",
        "account",
        "find",
        "drop_oneself",
        "mentions",
        "on_conflict",
        "delete_source",
        "ttl",
        "columns",
    ];
    let fields = Fields::new(source, (&what, line), entries, &known);
    let name = fields.text(source, "name", "name = \"user_courses\"");
    let mentions = mentions(source, &fields);
    let has_rows = mentions.is_empty() || fields.find("account").is_some();
    if !has_rows {
        only_mentions(source, &fields, entries);
    }
    let of_rows = |source: &mut Source<'_>, name, example| {
        if has_rows { fields.get(source, name, example) } else { None }
    };
    let account = of_rows(source, "account", "account = \"userid\"");
    let account = account.and_then(|account| source.text(&fields.within("account"), account));
    let found = of_rows(source, "find", "find = \"partition\"");
    let find = found.and_then(|found| find(source, &what, found));
    let drop_oneself = fields.find("drop_oneself").filter(|_| has_rows);
    let drop_oneself =
        drop_oneself.and_then(|column| source.text(&fields.within("drop_oneself"), column));
    let on_conflict = fields.find("on_conflict");
    let rows = on_conflict.and_then(|written| rows(source, &what, written));
    let policies = on_conflict.filter(|_| rows.is_none());
    let policies = policies.map(|written| policies_of(source, &what, written));
    let delete_source = fields.find("delete_source");
    let delete_source =
        delete_source.and_then(|is| source.switch(&fields.within("delete_source"), is));
    let ttl = fields.find("ttl").and_then(|written| ttl(source, &fields, written));
    let columns = fields.find("columns");
    let columns = columns.map(|written| columns_of(source, &fields.within("columns"), written));
    Some(RawTable {
        name: name?,
        line,
        account,
        find,
        policies: policies.unwrap_or_default(),
        rows: rows.unwrap_or_default(),
        delete_source: delete_source.unwrap_or(true),
        mentions,
        drop_oneself,
        carries_ttls: ttl,
        columns: columns.unwrap_or_default(),
    })
}

/// The columns that mention accounts.
fn mentions(source: &mut Source<'_>, fields: &Fields<'_, '_>) -> Vec<At<String>> {
    let Some(written) = fields.find("mentions") else { return Vec::new() };
    let what = fields.within("mentions");
    match written.get_ref() {
        DeValue::Array(columns) if !columns.is_empty() => {
            columns.iter().filter_map(|column| source.text(&what, column)).collect()
        }
        other => {
            let message = format!("{what} is {}, but {MENTIONS}", kind(other));
            source.wrong(written, message);
            Vec::new()
        }
    }
}

/// The line on which it stands, if it is what it can be.
fn ttl(source: &mut Source<'_>, fields: &Fields<'_, '_>, written: &Value<'_>) -> Option<usize> {
    let ttl = source.text(&fields.within("ttl"), written)?;
    if *ttl != "carry" {
        let message = format!("{} is {:?}, but {TTL}", fields.within("ttl"), *ttl);
        source.wrong(written, message);
    }
    Some(ttl.line)
}

/// A table without an account has no rows that move: it says nothing of them.
fn only_mentions(source: &mut Source<'_>, fields: &Fields<'_, '_>, entries: &DeTable<'_>) {
    let of_rows =
        |key: &str| ["find", "drop_oneself", "on_conflict", "delete_source"].contains(&key);
    for (key, written) in entries.iter().filter(|(key, _)| of_rows(key.get_ref().as_ref())) {
        let message = format!(
            "{} is about rows that move with an account, and no account is named: leave it out, or add account = \"userid\"",
            fields.within(key.get_ref())
        );
        source.wrong(written, message);
    }
}

fn find(source: &mut Source<'_>, what: &str, written: &Value<'_>) -> Option<At<RawFind>> {
    let line = source.line(&written.span());
    let entries = match written.get_ref() {
        DeValue::String(word) if word == "partition" => {
            return Some(At::new(RawFind::Partition, line));
        }
        DeValue::String(word) if word == "scan" => return Some(At::new(RawFind::Scan, line)),
        DeValue::Table(entries) => entries,
        other => {
            source.wrong(written, format!("{what}: find is {}, but {FIND}", kind(other)));
            return None;
        }
    };
    let only =
        |name: &str| entries.iter().find(|(key, _)| key.get_ref() == name && entries.len() == 1);
    if let Some((_, from)) = only("partitions_from") {
        let partitions_from = source.path(&format!("{what}: partitions_from"), from)?;
        return Some(At::new(RawFind::Clustering { partitions_from }, line));
    }
    let Some((_, parts)) = only("partition") else {
        let keys: Vec<&str> = entries.keys().map(|key| key.get_ref().as_ref()).collect();
        source.wrong(
            written,
            format!("{what}: find has the entries ({}), but {FIND}", keys.join(", ")),
        );
        return None;
    };
    let parts = source.table(&format!("{what}: find.partition"), parts)?;
    let partition = parts.iter().map(|(column, written)| {
        let part = part(source, &format!("{what}: {}", column.get_ref()), written)?;
        Some((column.get_ref().to_string(), part))
    });
    // Each is looked at, though one may be wrong.
    let partition: Vec<_> = partition.collect();
    let partition = partition.into_iter().collect::<Option<BTreeMap<_, _>>>()?;
    Some(At::new(RawFind::Parts { partition }, line))
}

fn part(source: &mut Source<'_>, what: &str, written: &Value<'_>) -> Option<At<RawPart>> {
    let line = source.line(&written.span());
    let entries = written.get_ref().as_table().filter(|entries| entries.len() == 1);
    let entry = entries.and_then(|entries| entries.iter().next());
    let constant = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(toml::Value::String(text.to_string())),
        DeValue::Integer(number) => whole(number).map(toml::Value::Integer),
        DeValue::Boolean(is) => Some(toml::Value::Boolean(*is)),
        _ => None,
    };
    match entry {
        Some((key, value)) if key.get_ref() == "value" => {
            let Some(constant) = constant(value.get_ref()) else {
                let message = format!(
                    "{what}: value is {}: a constant is text, a whole number of 64 bits, true or false",
                    kind(value.get_ref())
                );
                source.wrong(value, message);
                return None;
            };
            Some(At::new(RawPart::Constant(constant), line))
        }
        Some((key, from)) if key.get_ref() == "from" => {
            Some(At::new(RawPart::Column(source.path(&format!("{what}: from"), from)?), line))
        }
        _ => {
            source.wrong(written, format!("{what} is {}, but {PART}", kind(written.get_ref())));
            None
        }
    }
}

/// A rule for whole rows; `None` if it is none.
fn rows(source: &mut Source<'_>, what: &str, written: &Value<'_>) -> Option<RawRows> {
    match written.get_ref() {
        DeValue::String(word) if word == "keep-source" => {
            Some(RawRows::Source(source.line(&written.span())))
        }
        _ => ranking(source, what, written).map(RawRows::Higher),
    }
}

/// The columns of `{ keep = "higher", by = […] }`; `None` if it is not that rule.
fn ranking(source: &mut Source<'_>, what: &str, written: &Value<'_>) -> Option<Vec<At<String>>> {
    let entries = written.get_ref().as_table()?;
    let by = entries.iter().find(|(key, _)| key.get_ref() == "by").map(|(_, by)| by);
    let DeValue::Array(columns) = by?.get_ref() else { return None };
    let line = source.line(&written.span());
    let fields = Fields::new(source, (what, line), entries, &["keep", "by"]);
    let keep = fields.text(source, "keep", "keep = \"higher\"");
    if let Some(keep) = keep.filter(|keep| **keep != "higher") {
        let message = format!("{what}: keep = {:?} is not known: use \"higher\"", *keep);
        source.faults.add(keep.line, message);
    }
    if columns.is_empty() {
        source.wrong(
            written,
            format!("{what}: by names the columns by which rows rank, as in {HIGHER}"),
        );
    }
    let of = format!("{what}: by");
    Some(columns.iter().filter_map(|column| source.text(&of, column)).collect())
}

fn policies_of(
    source: &mut Source<'_>,
    what: &str,
    written: &Value<'_>,
) -> BTreeMap<String, At<Arc<dyn Policy>>> {
    let entries = match written.get_ref() {
        DeValue::String(word) if word == "keep-target" => return BTreeMap::new(),
        DeValue::Table(entries) => entries,
        DeValue::String(word) => {
            let message = format!(
                "{what}: on_conflict = {word:?} is not known: use \"keep-target\", \"keep-source\", or a policy per \
                 column such as {{ status = \"max\" }}"
            );
            source.wrong(written, message);
            return BTreeMap::new();
        }
        other => {
            source.wrong(
                written,
                format!("{what}: on_conflict is {}, but {ON_CONFLICT}", kind(other)),
            );
            return BTreeMap::new();
        }
    };
    let policies = entries.iter().filter_map(|(column, written)| {
        let column = column.get_ref();
        let policy = policy(source, &format!("{what}: column {column}"), written)?;
        Some((column.to_string(), At::new(policy, source.line(&written.span()))))
    });
    policies.collect()
}

/// A policy by its name, or `{ each = name }`, or `{ policy = name }`, these two perhaps with a format.
fn policy(source: &mut Source<'_>, what: &str, written: &Value<'_>) -> Option<Arc<dyn Policy>> {
    let parsed = match written.get_ref() {
        DeValue::Table(entries) => {
            let line = source.line(&written.span());
            let fields = Fields::new(source, (what, line), entries, &["each", "policy", "format"]);
            let format = match fields.find("format") {
                Some(format) => Some(source.text(&fields.within("format"), format)?),
                None => None,
            };
            let (each, policy) = (fields.find("each"), fields.find("policy"));
            let (is_each, name) = match (each, policy) {
                (Some(name), None) => (true, name),
                (None, Some(name)) => (false, name),
                _ => {
                    source.wrong(written, format!("{what} has to be {POLICY}"));
                    return None;
                }
            };
            let name = source.text(what, name)?;
            let policy = match format {
                Some(format) => policy::of_dates(&name, &format),
                None => policy::parse(&name),
            };
            if is_each { policy.and_then(policy::each) } else { policy }
        }
        DeValue::String(name) => policy::parse(name),
        other => Err(format!("it is {}, but has to be {POLICY}", kind(other))),
    };
    match parsed {
        Ok(policy) => Some(policy),
        Err(why) => {
            source.wrong(written, format!("{what}: {why}"));
            None
        }
    }
}

fn columns_of(
    source: &mut Source<'_>,
    what: &str,
    written: &Value<'_>,
) -> BTreeMap<String, At<CqlType>> {
    let Some(entries) = source.table(what, written) else { return BTreeMap::new() };
    let columns = entries.iter().filter_map(|(column, written)| {
        let column = column.get_ref();
        let of = source.text(&format!("{what}: {column}"), written)?;
        Some((column.to_string(), of.map(|of| CqlType::parse(&of))))
    });
    columns.collect()
}
