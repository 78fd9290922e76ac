//! Bodies of slices as JSON: rows as objects by column name, nulls left out, so that an operator can read
//! them with nothing but SQLite.
//!
//! ```text
//! {"entries":[{"table":"content_consumption","target":{…},"from":[{"source":0,"row":{…}}],
//!              "write":"nothing"|"copy"|"update","set":{column:value}}],
//!  "seal":{"deletes":[["content_consumption",0]],"events":[{"scope":…,"quoted":{column:value}}]}}
//! ```
//!
//! `target` is absent where the survivor has no row, `set` where nothing is written, `seal` in all slices
//! of a group but its last. A scope is its only value, or a list of several; the third part of a delete is absent
//! where it is empty. [`json`] has the values.

pub(crate) mod json;
mod scan;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::merge::{Announced, Entry, Findings, PartitionDelete, Seal, Slice, SweepSlice, Write};
use crate::model::{ColumnIndex, Row, Scope, TableIndex};
use crate::spec::{EventSpec, Spec, Table};

pub use scan::{FoundIn, decode_found, encode_found};
pub use sweep::{decode_sweep, encode_sweep};

use json::Object;

/// A merge slice as JSON.
pub fn encode(spec: &Spec, slice: &Slice) -> Vec<u8> {
    // Names and quotes take about as much as the values; too much only costs a moment's memory.
    let values_bytes: usize = slice.entries.iter().map(Entry::size_bytes).sum();
    let mut out = Vec::with_capacity(2 * values_bytes + 256);
    out.extend_from_slice(b"{\"entries\":");
    json::list(&mut out, &slice.entries, |out, entry| write_entry(out, spec, entry));
    if let Some(seal) = &slice.seal {
        out.extend_from_slice(b",\"seal\":");
        write_seal(&mut out, spec, seal);
    }
    out.push(b'}');
    out
}

fn write_entry(out: &mut Vec<u8>, spec: &Spec, entry: &Entry) {
    let table = &spec.tables[entry.table];
    out.extend_from_slice(b"{\"table\":");
    json::text(out, &table.name);
    if let Some(target) = &entry.target {
        out.extend_from_slice(b",\"target\":");
        json::row(out, table, target);
    }
    out.extend_from_slice(b",\"from\":");
    json::list(out, &entry.sources, |out, (source, row)| {
        out.extend_from_slice(b"{\"source\":");
        json::number(out, *source as i64);
        out.extend_from_slice(b",\"row\":");
        json::row(out, table, row);
        out.push(b'}');
    });
    out.extend_from_slice(b",\"write\":");
    match &entry.write {
        Write::Nothing => out.extend_from_slice(b"\"nothing\""),
        Write::Copy { set } => write_set(out, table, b"\"copy\"", set),
        Write::Update { set } => write_set(out, table, b"\"update\"", set),
    }
    out.push(b'}');
}

fn write_set(out: &mut Vec<u8>, table: &Table, word: &[u8], set: &[(ColumnIndex, Bytes)]) {
    out.extend_from_slice(word);
    out.extend_from_slice(b",\"set\":");
    json::cells(out, table, set.iter().map(|(column, value)| (*column, value)));
}

fn write_seal(out: &mut Vec<u8>, spec: &Spec, seal: &Seal) {
    out.extend_from_slice(b"{\"deletes\":");
    json::list(out, &seal.deletes, |out, PartitionDelete { table, source, scope }| {
        let table = &spec.tables[*table];
        out.push(b'[');
        json::text(out, &table.name);
        out.push(b',');
        json::number(out, *source as i64);
        if !scope.values().is_empty() {
            out.push(b',');
            json::scope(out, table, scope);
        }
        out.push(b']');
    });
    out.extend_from_slice(b",\"events\":");
    write_events(out, spec, &seal.events);
    out.push(b'}');
}

/// The enrolments that a slice announces.
fn write_events(out: &mut Vec<u8>, spec: &Spec, events: &[Announced]) {
    // Without an event in the specification there is nothing to announce.
    let events = spec.event.iter().flat_map(|event| events.iter().map(move |a| (event, a)));
    json::list(out, events, |out, (event, announced)| {
        let table = &spec.tables[event.table];
        out.extend_from_slice(b"{\"scope\":");
        json::scope(out, table, &announced.scope);
        out.extend_from_slice(b",\"quoted\":");
        let columns = event.columns.iter().map(|quoted| quoted.column).zip(&announced.quoted);
        let present = columns.filter_map(|(column, cell)| Some((column, cell.as_ref()?)));
        json::cells(out, table, present);
        out.push(b'}');
    });
}

/// A slice as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SliceBody {
    entries: Vec<EntryBody>,
    seal: Option<SealBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryBody {
    table: String,
    target: Option<Object>,
    from: Vec<FromBody>,
    write: WriteWord,
    #[serde(default)]
    set: Object,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromBody {
    source: usize,
    row: Object,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WriteWord {
    Nothing,
    Copy,
    Update,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealBody {
    deletes: Vec<DeleteBody>,
    events: Vec<EventBody>,
}

/// The scope is absent where it is empty.
#[derive(Deserialize)]
#[serde(untagged)]
enum DeleteBody {
    Plain(String, usize),
    Scoped(String, usize, Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventBody {
    scope: Value,
    quoted: Object,
}

/// A merge slice from JSON.
///
/// # Errors
/// What is not as it was written.
pub fn decode(spec: &Spec, body: &[u8]) -> Result<Slice, String> {
    let body: SliceBody = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let entries = body.entries.into_iter().map(|entry| read_entry(spec, entry));
    let entries = entries.collect::<Result<_, _>>()?;
    let seal = body.seal.map(|seal| read_seal(spec, seal)).transpose()?;
    Ok(Slice { entries, seal })
}

fn read_entry(spec: &Spec, body: EntryBody) -> Result<Entry, String> {
    let (index, table) = json::table(spec, &body.table)?;
    let target = body.target.map(|row| json::read_row(table, table.slim_len, &row)).transpose()?;
    let full = table.columns.len();
    let source = |from: FromBody| Ok((from.source, json::read_row(table, full, &from.row)?));
    let sources =
        body.from.into_iter().map(source).collect::<Result<Vec<(usize, Row)>, String>>()?;
    let set = json::read_cells(table, full, &body.set)?;
    let write = match body.write {
        WriteWord::Nothing if set.is_empty() => Write::Nothing,
        WriteWord::Nothing => return Err("it writes nothing, and yet sets columns".into()),
        WriteWord::Copy => Write::Copy { set },
        WriteWord::Update => Write::Update { set },
    };
    Ok(Entry { table: index, target, sources, write })
}

fn read_seal(spec: &Spec, body: SealBody) -> Result<Seal, String> {
    let delete = |delete: DeleteBody| {
        let (name, source, scope) = match delete {
            DeleteBody::Plain(name, source) => (name, source, None),
            DeleteBody::Scoped(name, source, scope) => (name, source, Some(scope)),
        };
        let (table, shape) = json::table(spec, &name)?;
        let scope = scope.map_or_else(|| Ok(Scope::default()), |s| json::read_scope(shape, &s))?;
        Ok(PartitionDelete { table, source, scope })
    };
    let deletes = body.deletes.into_iter().map(delete).collect::<Result<_, String>>()?;
    Ok(Seal { deletes, events: read_events(spec, &body.events)? })
}

fn read_events(spec: &Spec, bodies: &[EventBody]) -> Result<Vec<Announced>, String> {
    match &spec.event {
        Some(event) => bodies.iter().map(|body| read_event(spec, event, body)).collect(),
        None if bodies.is_empty() => Ok(Vec::new()),
        None => Err("it holds events, but the merge specification has none".to_owned()),
    }
}

fn read_event(spec: &Spec, event: &EventSpec, body: &EventBody) -> Result<Announced, String> {
    let table = &spec.tables[event.table];
    let scope = json::read_scope(table, &body.scope)?;
    let quoted = event.columns.iter().map(|_| None).collect();
    let mut announced = Announced { scope, quoted };
    for (column, value) in json::read_cells(table, table.columns.len(), &body.quoted)? {
        let at = event.columns.iter().position(|quoted| quoted.column == column);
        let cell = at.and_then(|at| announced.quoted.get_mut(at)).ok_or_else(|| {
            format!("events do not quote the column {}", table.columns[column].name)
        })?;
        *cell = Some(value);
    }
    Ok(announced)
}

/// The scopes that a group's rows led to, by table, as JSON: `{"user_courses":["b1","b2"]}`.
pub fn scopes(spec: &Spec, findings: &Findings) -> String {
    let mut out = Vec::new();
    let found = spec.led().map(|(index, table, _)| (table, findings.scopes(index)));
    write_scopes(&mut out, found);
    String::from_utf8_lossy(&out).into_owned()
}

/// The scopes that the rows of a sweep lead to, or are in, as JSON: when those rows are gone, nothing else
/// tells of them. Empty if there are none.
pub fn swept_scopes(spec: &Spec, slice: &SweepSlice) -> String {
    let found = spec.led().map(|(index, table, through)| {
        let scopes = slice.rows.iter().filter_map(|row| match row.table {
            led_by if led_by == through => table.locator.scope(&row.cells(&spec.tables[through])),
            own if own == index => Some(table.scope_of_key(&row.key)),
            _ => None,
        });
        let scopes: BTreeSet<Scope> = scopes.collect();
        (table, scopes.into_iter().collect::<Vec<_>>())
    });
    let found: Vec<_> = found.filter(|(_, scopes)| !scopes.is_empty()).collect();
    if found.is_empty() {
        return String::new();
    }
    let mut out = Vec::new();
    write_scopes(&mut out, found.into_iter());
    String::from_utf8_lossy(&out).into_owned()
}

fn write_scopes<'a>(out: &mut Vec<u8>, found: impl Iterator<Item = (&'a Table, Vec<Scope>)>) {
    json::object(out, found, |out, (table, scopes)| {
        json::text(out, &table.name);
        out.push(b':');
        json::list(out, &scopes, |out, scope| json::scope(out, table, scope));
    });
}

/// The scopes from JSON, by table in the specification's order; none from an empty text, as most
/// slices have.
///
/// # Errors
/// What is not as it was written.
pub fn read_scopes(spec: &Spec, text: &str) -> Result<Vec<(TableIndex, Scope)>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let found: Object = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut read = Vec::new();
    for (name, scopes) in &found {
        let (index, table) = json::table(spec, name)?;
        let scopes =
            scopes.as_array().ok_or_else(|| format!("the scopes of {name} are no list"))?;
        for scope in scopes {
            read.push((index, json::read_scope(table, scope)?));
        }
    }
    // The sort is stable: the scopes of a table stay in their order.
    read.sort_by_key(|(index, _)| *index);
    Ok(read)
}
