//! What is written at one key, and what was there before.

use crate::merge::{Entry, Set, Write};
use crate::model::{Row, expiry};

use super::layout::{Present, PresentTable, TableLayout};
use super::wire::{Out, Read, Reader};
use super::{Width, read_cell, read_row, write_cell, write_row};

/// Flags of an entry.
const TARGET: usize = 1;
const COPY: usize = 2;
const UPDATE: usize = 4;
const REPLACE: usize = 8;

pub(super) fn write_entry<'a>(out: &mut Out<'a>, entry: &'a Entry, layout: &TableLayout) {
    let (write, set) = match &entry.write {
        Write::Nothing => (0, None),
        Write::Copy { set } => (COPY, Some(set)),
        Write::Update { set } => (UPDATE, Some(set)),
        Write::Replace { .. } => (REPLACE, None),
    };
    out.number(entry.table);
    out.number(write + if entry.target.is_some() { TARGET } else { 0 });
    if let Some(target) = &entry.target {
        write_row(out, Width::Slim.kind(entry.table), target, layout);
    }
    out.list(&entry.sources, |out, (source, row)| {
        out.number(*source);
        write_row(out, Width::Full.kind(entry.table), row, layout);
    });
    if let Some(set) = set {
        out.list(set, |out, Set { column, value, expires }| {
            out.number(*column);
            write_cell(out, value);
            if layout.ttls {
                out.option(*expires, |out, expires| out.signed(expires));
            }
        });
    }
    if let Write::Replace { with } = entry.write {
        out.number(with);
    }
}

pub(super) fn read_entry(reader: &mut Reader<'_>, present: &Present) -> Read<Entry> {
    let number = reader.number()?;
    let table = present.table(number)?;
    let flags = reader.number()?;
    let target = match flags & TARGET {
        0 => None,
        _ => Some(read_row(reader, table, (number, Width::Slim))?),
    };
    let sources = reader
        .list(|reader| Ok((reader.number()?, read_row(reader, table, (number, Width::Full))?)))?;
    let write = match flags & !TARGET {
        0 => Write::Nothing,
        COPY => Write::Copy { set: read_set(reader, table, &sources)? },
        UPDATE => Write::Update { set: read_set(reader, table, &sources)? },
        REPLACE => match reader.number()? {
            with if with < sources.len() => Write::Replace { with },
            with => return Err(format!("an entry of {} has no row {with}", table.name)),
        },
        _ => return Err(format!("an entry of {} has the flags {flags}", table.name)),
    };
    Ok(Entry { target, sources, write, ..Entry::new(table.index) })
}

fn read_set(
    reader: &mut Reader<'_>,
    table: &PresentTable,
    sources: &[(usize, Row)],
) -> Read<Vec<Set>> {
    let set = reader.list(|reader| {
        let column = table.column(reader.number()?)?;
        if !table.sets_cells {
            // It was never null, and expired with the longest of those sources' values that were the same.
            let value = Some(reader.value()?);
            return Ok(column.map(|column| {
                let rows = sources.iter().map(|(_, row)| row);
                let same = rows.filter(|row| row.cells[column] == value);
                let expires = expiry::longest(same.map(|row| row.expires.of(column))).flatten();
                Set { column, value, expires }
            }));
        }
        let value = read_cell(reader)?;
        let expires = if table.ttls { reader.option(Reader::signed)? } else { None };
        Ok(column.map(|column| Set { column, value, expires }))
    })?;
    let mut set: Vec<Set> = set.into_iter().flatten().collect();
    set.sort_by_key(|set| set.column);
    Ok(set)
}
