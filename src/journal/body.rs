//! Bodies of slices: what is written, and what was there before, as raw CQL bytes.
//!
//! Every body begins with the number of the [`Layout`] that says what its tables and columns are; what follows depends
//! on the kind of the slice, and is read with the [`Codec`] that has written it, or one that knows the same layouts.
//! In a merge's (and a repair's) body are
//!
//! ```text
//! entries: table, flags (1: target, 2: copy, 4: update, 8: replace), [target's row], sources: (number, row),
//!          [set: (column, value or null, [seconds since the Unix epoch])],
//!          [the number of the row that replaces the other]
//! [completion: deletes: (table, source, scope), events: (scope, [source that it left], quoted: [value]…)]
//! ```
//!
//! with [`wire`]'s numbers, values and rows. Of a table whose TTLs are carried, each row is followed by when its cells
//! expire: (column, seconds since the Unix epoch), and so is what is set. Of one with columns in which the later write
//! survives, it is followed by when those were written: (column, microseconds). `tributary record` shows them as JSON ([`shown`]), which no program reads
//! back: there is one format.
//!
//! What is read is part of the body's own buffer. Whoever keeps a value for long copies it.

mod entry;
pub(crate) mod json;
mod layout;
mod scan;
mod shown;
mod sweep;
#[cfg(test)]
mod tests;
mod undo;
mod wire;

use bytes::Bytes;

use super::{Journal, JournalError};
use crate::merge::{Announced, Completion, Entry, PartitionDelete, Slice};
use crate::model::{Cell, ColumnIndex, Row, Scope, TableIndex};
use crate::spec::Spec;

pub(crate) use layout::{Layout, TableLayout};
pub(crate) use scan::FoundIn;
pub use undo::Disputed;
pub(crate) use undo::{Apart, CellAhead, KeptCell, LeftAlone, UndoSlice};

use entry::{read_entry, write_entry};
use layout::{Present, PresentTable};
use wire::{Out, Read, Reader};

/// Writes bodies, and reads them: those of the layout that it writes, and of all that the journal had before.
#[derive(Debug)]
pub struct Codec {
    /// The number of the layout that is written.
    own: usize,
    /// By number.
    layouts: Vec<Present>,
}

/// The columns that a row has.
#[derive(Clone, Copy)]
enum Width {
    /// Those of a survivor's row.
    Slim,
    Full,
}

impl Width {
    /// The kind of such rows of a table.
    fn kind(self, table: usize) -> usize {
        2 * table + self as usize
    }
}

impl Codec {
    /// The codec of a journal for a specification. The journal keeps the specification's layout, if that is a new one.
    ///
    /// # Errors
    /// The journal cannot be read, or not be written if it has to be.
    pub fn open(spec: &Spec, journal: &dyn Journal) -> Result<Self, JournalError> {
        let (now, mut known) = (Layout::of(spec), Layout::all(journal)?);
        let own = now.clone().number(&mut known, journal)?;
        Ok(Self { own, layouts: known.iter().map(|then| Present::new(then, &now)).collect() })
    }

    /// A codec that reads each body as it was written, whatever specification there is now.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn as_written(journal: &dyn Journal) -> Result<Self, JournalError> {
        let known = Layout::all(journal)?;
        Ok(Self { own: 0, layouts: known.iter().map(|then| Present::new(then, then)).collect() })
    }

    /// The body of a merge's slice, or a repair's.
    pub fn encode(&self, slice: &Slice) -> Vec<u8> {
        let values_bytes: usize = slice.entries.iter().map(Entry::size_bytes).sum();
        let mut out = self.begin(values_bytes + 64);
        out.list(&slice.entries, |out, entry| {
            write_entry(out, entry, self.table(entry.table));
        });
        out.option(slice.completion.as_ref(), |out, completion| {
            out.list(&completion.deletes, |out, PartitionDelete { table, source, scope }| {
                out.number(*table);
                out.number(*source);
                write_scope(out, scope);
            });
            write_events(out, &completion.events);
        });
        out.finish()
    }

    /// What is written of a table's rows.
    fn table(&self, table: TableIndex) -> &TableLayout {
        &self.layouts[self.own].now.tables[table]
    }

    fn begin<'a>(&self, room: usize) -> Out<'a> {
        let mut out = Out::with_room(room);
        out.number(self.own);
        out
    }

    /// A slice of a merge, or a repair, from its body.
    ///
    /// # Errors
    /// What is not as it was written, or does not belong to the specification.
    pub fn decode(&self, body: &Bytes) -> Result<Slice, String> {
        self.read(body, |reader, present| {
            let entries = reader.list(|reader| read_entry(reader, present))?;
            let completion = reader.option(|reader| {
                let deletes = reader.list(|reader| {
                    let table = present.table(reader.number()?)?;
                    let source = reader.number()?;
                    let scope = read_scope(reader, table)?;
                    Ok(PartitionDelete { table: table.index, source, scope })
                })?;
                Ok(Completion { deletes, events: read_events(reader, present)? })
            })?;
            Ok(Slice { entries, completion })
        })
    }

    /// Reads a whole body.
    fn read<T>(
        &self,
        body: &Bytes,
        read: impl FnOnce(&mut Reader<'_>, &Present) -> Read<T>,
    ) -> Result<T, String> {
        let mut reader = Reader::new(body);
        let present = self.present(&mut reader)?;
        let value = read(&mut reader, present)?;
        reader.end()?;
        Ok(value)
    }

    /// The columns of a table that have come since a body was written: it says nothing of them.
    ///
    /// # Errors
    /// As with [`decode`](Self::decode).
    pub(crate) fn gained_since(
        &self,
        body: &Bytes,
        table: TableIndex,
    ) -> Result<Vec<ColumnIndex>, String> {
        let present = self.present(&mut Reader::new(body))?;
        Ok(present.gained(table).to_vec())
    }

    /// What the numbers of a body are at present.
    fn present(&self, reader: &mut Reader<'_>) -> Read<&Present> {
        let number = reader.number()?;
        let present = self.layouts.get(number);
        present.ok_or_else(|| format!("the journal has no layout of number {number}"))
    }

    /// The scopes that rows led to, by table. Nothing, if there are none.
    pub fn encode_scopes(&self, found: &[(TableIndex, Vec<Scope>)]) -> Vec<u8> {
        if found.iter().all(|(_, scopes)| scopes.is_empty()) {
            return Vec::new();
        }
        let mut out = self.begin(64);
        out.list(found, |out, (table, scopes)| {
            out.number(*table);
            out.list(scopes, write_scope);
        });
        out.finish()
    }

    /// The scopes that rows led to, by table in the specification's order.
    ///
    /// # Errors
    /// As with [`decode`](Self::decode).
    pub(crate) fn decode_scopes(&self, scopes: &Bytes) -> Result<Vec<(TableIndex, Scope)>, String> {
        if scopes.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.read(scopes, |reader, present| {
            reader.list(|reader| {
                let table = present.table(reader.number()?)?;
                reader.list(|reader| Ok((table.index, read_scope(reader, table)?)))
            })
        });
        let mut found: Vec<_> = found?.into_iter().flatten().collect();
        // The sort is stable: the scopes of a table stay in their order.
        found.sort_by_key(|(table, _)| *table);
        Ok(found)
    }
}

fn write_row<'a>(out: &mut Out<'a>, kind: usize, row: &'a Row, layout: &TableLayout) {
    out.row(kind, &row.cells);
    let moments = [(layout.ttls, &row.expires), (layout.times, &row.written)];
    for (_, moments) in moments.into_iter().filter(|(are_there, _)| *are_there) {
        out.list(moments.iter(), |out, (column, moment)| {
            out.number(column);
            out.signed(moment);
        });
    }
}

/// Reads a row of a table, which has this number there.
fn read_row(
    reader: &mut Reader<'_>,
    table: &PresentTable,
    (number, width): (usize, Width),
) -> Read<Row> {
    let (then, now) = match width {
        Width::Slim => table.slim,
        Width::Full => table.full,
    };
    let mut cells = vec![None; now];
    reader.row(width.kind(number), then, |column, value| {
        if let Some(at) = table.column_of(column, now)? {
            cells[at] = Some(value);
        }
        Ok(())
    })?;
    let mut row = Row::new(cells);
    let moments = [(table.ttls, &mut row.expires), (table.times, &mut row.written)];
    for (_, moments) in moments.into_iter().filter(|(are_there, _)| *are_there) {
        for (column, moment) in reader.list(|reader| Ok((reader.number()?, reader.signed()?)))? {
            if let Some(at) = table.column_of(column, now)? {
                moments.set(at, Some(moment));
            }
        }
    }
    Ok(row)
}

fn write_values(out: &mut Out<'_>, values: &[Bytes]) {
    out.list(values, |out, value| out.value(value));
}

/// Reads a whole primary key.
fn read_key(reader: &mut Reader<'_>, table: &PresentTable) -> Read<Vec<Bytes>> {
    let (then, now) = table.key;
    let values = reader.list(Reader::value)?;
    if values.len() != then {
        return Err(format!("a key of {} has {} values, and not {then}", table.name, values.len()));
    }
    let mut key = vec![None; now];
    for (column, value) in values.into_iter().enumerate() {
        if let Some(at) = table.column_of(column, now)? {
            key[at] = Some(value);
        }
    }
    let key: Option<Vec<Bytes>> = key.into_iter().collect();
    key.ok_or_else(|| format!("a key of {} is not complete", table.name))
}

fn write_scope(out: &mut Out<'_>, scope: &Scope) {
    write_values(out, scope.values());
}

fn read_scope(reader: &mut Reader<'_>, table: &PresentTable) -> Read<Scope> {
    scope_of(reader.list(Reader::value)?, table)
}

fn scope_of(read: Vec<Bytes>, table: &PresentTable) -> Read<Scope> {
    match (read.len(), table.scope.clone()?) {
        (read_values, values) if read_values == values => Ok(Scope::new(read)),
        (read, values) => {
            Err(format!("a scope of {} has {read} values, and not {values}", table.name))
        }
    }
}

/// The rows that a slice announces, by their keys but the account. Behind that of one that left a source stands the source,
/// as a further value.
fn write_events(out: &mut Out<'_>, events: &[Announced]) {
    out.list(events, |out, Announced { left, scope, quoted }| {
        let left = left.map(|source| Bytes::copy_from_slice(&(source as u64).to_be_bytes()));
        let values: Vec<Bytes> = scope.values().iter().cloned().chain(left).collect();
        write_values(out, &values);
        out.list(quoted, |out, cell| write_cell(out, cell));
    });
}

fn read_events(reader: &mut Reader<'_>, present: &Present) -> Read<Vec<Announced>> {
    reader.list(|reader| {
        let event = present
            .event
            .as_ref()
            .ok_or("it holds events that the merge specification does not have")?;
        let table = present.table(event.table)?;
        // A key is never altered; where the account stands in it may be told otherwise.
        let (mut values, width) = (reader.list(Reader::value)?, table.key.0.saturating_sub(1));
        table.scope.clone()?;
        let left = if values.len() > width { values.pop() } else { None };
        let left = left.map(|source| read_source(&source)).transpose()?;
        if values.len() != width {
            let (read, name) = (values.len(), &table.name);
            return Err(format!("an event of {name} has {read} values, and not {width}"));
        }
        let scope = Scope::new(values);
        let mut quoted = vec![None; event.width];
        for (number, cell) in reader.list(read_cell)?.into_iter().enumerate() {
            let Some(value) = cell else { continue };
            let at = event.quoted.get(number).cloned();
            let at = at.ok_or_else(|| format!("events do not quote {number} columns"))??;
            quoted[at] = Some(value);
        }
        Ok(Announced { left, scope, quoted })
    })
}

fn read_source(value: &Bytes) -> Read<usize> {
    let source = value[..].try_into().ok().map(u64::from_be_bytes);
    let source = source.and_then(|source| usize::try_from(source).ok());
    source.ok_or_else(|| format!("a source's number has {} bytes", value.len()))
}

fn write_cell(out: &mut Out<'_>, cell: &Cell) {
    out.option(cell.as_ref(), |out, value| out.value(value));
}

fn read_cell(reader: &mut Reader<'_>) -> Read<Cell> {
    reader.option(Reader::value)
}
