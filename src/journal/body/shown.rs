//! Bodies as JSON, for people and `jq`: tables and columns by name, nulls left out.
//!
//! ```text
//! {"entries":[{"table":"content_consumption","target":{…},"from":[{"source":0,"row":{…}}],
//!              "write":"nothing"|"copy"|"update","set":{column:value or null}}],
//!  "seal":{"deletes":[{"table":…,"source":0,"scope":{…}}],"events":[{"scope":{…},"quoted":{…}}]}}
//! ```
//!
//! What is absent is left out. A source is its index in the group.

use bytes::Bytes;

use crate::journal::SliceKind;
use crate::merge::{Announced, Completion, Entry, Set, Slice, SweepSlice, Swept, SweptCell, Write};
use crate::model::{Cell, ColumnIndex, CqlType, Row, Scope, TableIndex, WriteTimes};

use super::json::{self, Object};
use super::layout::{Layout, TableLayout};
use super::wire::Reader;
use super::{Apart, Codec, Disputed, KeptCell, LeftAlone, UndoSlice};

impl Codec {
    /// The body of a slice as JSON.
    ///
    /// # Errors
    /// As with [`decode`](Self::decode).
    pub(crate) fn show(&self, kind: SliceKind, body: &Bytes) -> Result<Vec<u8>, String> {
        let layout = &self.present(&mut Reader::new(body))?.now;
        let mut out = Object::default();
        match kind {
            SliceKind::Merge | SliceKind::Mention | SliceKind::Repair => {
                slice(&mut out, layout, &self.decode(body)?);
            }
            SliceKind::Sweep | SliceKind::Raise => {
                sweep(&mut out, layout, &self.decode_sweep(body)?);
            }
            SliceKind::Undo => undo(&mut out, layout, &self.decode_undo(body)?),
        }
        Ok(out.end())
    }

    /// Scopes that rows led to as JSON, with their tables.
    ///
    /// # Errors
    /// As with [`decode`](Self::decode).
    pub(crate) fn show_scopes(&self, scopes: &Bytes) -> Result<Vec<u8>, String> {
        let found = self.decode_scopes(scopes)?;
        let mut out = Vec::new();
        json::list(&mut out, found, |out, (table, scope)| {
            let mut object = Object::default();
            // There are scopes, so there is a layout.
            if let Ok(present) = self.present(&mut Reader::new(scopes)) {
                let table = named(&mut object, &present.now, table);
                object.scope(table, &scope);
            }
            out.extend(object.end());
        });
        Ok(out)
    }
}

impl Object {
    fn cells<'a>(
        &mut self,
        name: &str,
        table: &TableLayout,
        cells: impl Iterator<Item = (ColumnIndex, &'a Bytes)>,
    ) {
        self.object(name, |object| {
            cells.for_each(|(column, value)| {
                object.value(&table.columns[column].0, table, column, value);
            });
        });
    }

    fn value(&mut self, name: &str, table: &TableLayout, column: ColumnIndex, value: &[u8]) {
        json::value(self.name(name), &CqlType::parse(&table.columns[column].1), value);
    }

    fn cell(&mut self, name: &str, table: &TableLayout, column: ColumnIndex, cell: &Cell) {
        match cell {
            Some(value) => self.value(name, table, column, value),
            None => self.name(name).extend_from_slice(b"null"),
        }
    }

    fn row(&mut self, name: &str, table: &TableLayout, row: &Row) {
        let present = row.cells.iter().enumerate();
        self.cells(name, table, present.filter_map(|(at, cell)| Some((at, cell.as_ref()?))));
        for (what, moments) in [("expires", &row.expires), ("written", &row.written)] {
            if !moments.is_empty() {
                self.object(&format!("{name}_{what}"), |out| {
                    for (column, moment) in moments.iter() {
                        out.number(&table.columns[column].0, moment);
                    }
                });
            }
        }
    }

    fn scope(&mut self, table: &TableLayout, scope: &Scope) {
        self.cells("scope", table, table.scope.iter().copied().zip(scope.values()));
    }
}

fn slice(out: &mut Object, layout: &Layout, Slice { entries, completion }: &Slice) {
    out.objects("entries", entries, |out, entry| write_entry(out, layout, entry));
    if let Some(Completion { deletes, events }) = completion {
        out.object("seal", |out| {
            out.objects("deletes", deletes, |out, delete| {
                let table = named(out, layout, delete.table);
                out.number("source", delete.source as i64);
                out.scope(table, &delete.scope);
            });
            write_events(out, layout, events);
        });
    }
}

fn named<'a>(out: &mut Object, layout: &'a Layout, table: TableIndex) -> &'a TableLayout {
    let table = &layout.tables[table];
    out.text("table", &table.name);
    table
}

fn write_entry(out: &mut Object, layout: &Layout, entry: &Entry) {
    let table = named(out, layout, entry.table);
    if let Some(target) = &entry.target {
        out.row("target", table, target);
    }
    out.objects("from", &entry.sources, |out, (source, row)| {
        out.number("source", *source as i64);
        out.row("row", table, row);
    });
    let (word, set) = match &entry.write {
        Write::Nothing => ("nothing", None),
        Write::Copy { set } => ("copy", Some(set)),
        Write::Update { set } => ("update", Some(set)),
        Write::Replace { .. } => ("replace", None),
    };
    out.text("write", word);
    if let Write::Replace { with } = entry.write {
        out.number("with", with as i64);
    }
    if let Some(set) = set {
        out.object("set", |out| {
            for Set { column, value, .. } in set {
                out.cell(&table.columns[*column].0, table, *column, value);
            }
        });
        if set.iter().any(|set| set.expires.is_some()) {
            out.object("set_expires", |out| {
                for (set, expires) in set.iter().filter_map(|set| Some((set, set.expires?))) {
                    out.number(&table.columns[set.column].0, expires);
                }
            });
        }
    }
}

fn write_events(out: &mut Object, layout: &Layout, events: &[Announced]) {
    let events = layout.event.iter().flat_map(|event| events.iter().map(move |one| (event, one)));
    out.objects("events", events, |out, (event, announced)| {
        let table = &layout.tables[event.table];
        if let Some(source) = announced.left {
            out.number("left", source as i64);
        }
        out.cells("scope", table, table.announced().zip(announced.scope.values()));
        let quoted = event.columns.iter().copied().zip(&announced.quoted);
        out.cells("quoted", table, quoted.filter_map(|(at, cell)| Some((at, cell.as_ref()?))));
    });
}

fn sweep(out: &mut Object, layout: &Layout, SweepSlice { rows, events }: &SweepSlice) {
    out.objects("rows", rows, |out, swept| write_swept(out, layout, swept));
    write_events(out, layout, events);
}

/// The types of a collection's elements, by which the server tells them apart, and of what they hold.
fn of_element(table: &TableLayout, column: ColumnIndex) -> [CqlType; 2] {
    match CqlType::parse(&table.columns[column].1) {
        CqlType::Set(of) => [*of, CqlType::Blob],
        CqlType::List(of) => [CqlType::TimeUuid, *of],
        CqlType::Map(key, value) => [*key, *value],
        // Which field it is, from 0.
        CqlType::Udt(_) => [CqlType::Int, CqlType::Blob],
        _ => [CqlType::Blob, CqlType::Blob],
    }
}

fn write_swept(out: &mut Object, layout: &Layout, swept: &Swept) {
    let table = named(out, layout, swept.table);
    out.number("source", swept.source as i64);
    out.cells("key", table, swept.key.iter().enumerate());
    out.objects("cells", &swept.cells, |out, cell| {
        let SweptCell { column, element, value, t, moved_at, expires, names } = cell;
        out.text("column", &table.columns[*column].0);
        match (element, value) {
            (None, Some(value)) => out.value("value", table, *column, value),
            (Some(element), value) => {
                let [of, of_value] = of_element(table, *column);
                json::value(out.name("element"), &of, element);
                if let Some(value) = value {
                    json::value(out.name("value"), &of_value, value);
                }
            }
            (None, None) => {}
        }
        out.number("t", *t);
        if let Some(moved_at) = moved_at {
            out.number("placed_at", *moved_at);
        }
        if let Some(names) = names {
            out.value("names", table, *column, names);
        }
        if let Some(expires) = expires {
            out.number("expires", *expires);
        }
    });
    if let Some(target) = &swept.target {
        out.object("target", |out| {
            out.row("row", table, &target.row);
            out.object("times", |out| {
                for ((name, _), times) in table.columns.iter().zip(&target.times) {
                    match times {
                        WriteTimes::None | WriteTimes::Unknown => {}
                        WriteTimes::Cell(t) => out.number(name, *t),
                        WriteTimes::Elements(times) => {
                            json::list(out.name(name), times, |out, t| json::number(out, *t));
                        }
                    }
                }
            });
        });
    }
    if let Some(settled) = swept.settled {
        out.number("settled", settled);
    }
}

fn undo(out: &mut Object, layout: &Layout, slice: &UndoSlice) {
    let UndoSlice { keys, only, apart, left_alone } = slice;
    let numbers = |out: &mut Vec<u8>, number: &usize| json::number(out, *number as i64);
    out.number("keys", *keys as i64);
    if let Some(only) = only {
        json::list(out.name("only"), only, numbers);
    }
    out.objects("apart", apart, |out, Apart { key, table, ahead, keeps_survivor, kept }| {
        out.number("key", *key as i64);
        let table = named(out, layout, *table);
        out.objects("ahead", ahead, |out, ahead| {
            out.text("column", &table.columns[ahead.column].0);
            out.number("t", ahead.t);
        });
        json::flag(out.name("keeps_survivor"), *keeps_survivor);
        out.objects("kept", kept, |out, KeptCell { source, column, elements }| {
            out.number("source", *source as i64);
            out.text("column", &table.columns[*column].0);
            let [of, _] = of_element(table, *column);
            json::list(out.name("elements"), elements, |out, element| {
                json::value(out, &of, element);
            });
        });
    });
    out.objects("left_alone", left_alone, |out, LeftAlone { key, table, pair, row, conflicts }| {
        out.number("key", *key as i64);
        let table = named(out, layout, *table);
        out.number("pair", *pair as i64);
        out.cells("row", table, row.iter().enumerate());
        out.objects("conflicts", conflicts, |out, disputed| {
            let Disputed { column, expected, found, found_written_at } = disputed;
            out.text("column", &table.columns[*column].0);
            out.cell("expected", table, *column, expected);
            out.cell("found", table, *column, found);
            if let Some(t) = found_written_at {
                out.number("found_written_at", *t);
            }
        });
    });
}
