//! Bodies of sweeps.
//!
//! ```text
//! rows:   table, source, key, cells: (column, [element], [value], t, [moved_at], with TTLs: [expires],
//!         with mentions: [names]),
//!         [target: row, times by column: 0: none, 1: t, 2: t of each element, 3: not known], [settled]
//! events: as in a completion
//! ```

use bytes::Bytes;

use crate::merge::{SweepSlice, Swept, SweptCell};
use crate::model::{TimedRow, WriteTimes};

use super::layout::{Present, PresentTable, TableLayout};
use super::wire::{Out, Read, Reader};
use super::{
    Codec, Width, read_cell, read_events, read_key, read_row, write_cell, write_events, write_row,
    write_values,
};

/// How write times are told apart.
const NONE: usize = 0;
const CELL: usize = 1;
const ELEMENTS: usize = 2;
const UNKNOWN: usize = 3;

impl Codec {
    /// The body of a sweep's slice.
    pub(crate) fn encode_sweep(&self, slice: &SweepSlice) -> Vec<u8> {
        let mut out = self.begin(256);
        out.list(&slice.rows, |out, swept| write_swept(out, swept, self.table(swept.table)));
        write_events(&mut out, &slice.events);
        out.finish()
    }

    /// A slice of a sweep from its body.
    ///
    /// # Errors
    /// As with [`decode`](Self::decode).
    pub(crate) fn decode_sweep(&self, body: &Bytes) -> Result<SweepSlice, String> {
        self.read(body, |reader, present| {
            let rows = reader.list(|reader| read_swept(reader, present))?;
            Ok(SweepSlice { rows, events: read_events(reader, present)? })
        })
    }
}

fn write_swept<'a>(out: &mut Out<'a>, swept: &'a Swept, layout: &TableLayout) {
    out.number(swept.table);
    out.number(swept.source);
    write_values(out, &swept.key);
    out.list(&swept.cells, |out, cell| {
        out.number(cell.column);
        write_cell(out, &cell.element);
        write_cell(out, &cell.value);
        out.signed(cell.t);
        out.option(cell.moved_at, Out::signed);
        if layout.ttls {
            out.option(cell.expires, Out::signed);
        }
        if layout.mentions {
            write_cell(out, &cell.names);
        }
    });
    out.option(swept.target.as_ref(), |out, target| {
        write_row(out, Width::Full.kind(swept.table), &target.row, layout);
        out.list(&target.times, |out, times| match times {
            WriteTimes::None => out.number(NONE),
            WriteTimes::Unknown => out.number(UNKNOWN),
            WriteTimes::Cell(t) => {
                out.number(CELL);
                out.signed(*t);
            }
            WriteTimes::Elements(times) => {
                out.number(ELEMENTS);
                out.list(times, |out, t| out.signed(*t));
            }
        });
    });
    out.option(swept.settled, Out::signed);
}

fn read_swept(reader: &mut Reader<'_>, present: &Present) -> Read<Swept> {
    let number = reader.number()?;
    let table = present.table(number)?;
    let source = reader.number()?;
    let key = read_key(reader, table)?;
    let cells = reader.list(|reader| {
        let column = table.column(reader.number()?)?;
        let (element, value) = (read_cell(reader)?, read_cell(reader)?);
        let (t, moved_at) = (reader.signed()?, reader.option(Reader::signed)?);
        let expires = if table.ttls { reader.option(Reader::signed)? } else { None };
        let names = if table.mentions { read_cell(reader)? } else { None };
        let cell = |column| SweptCell { column, element, value, t, moved_at, expires, names };
        Ok(column.map(cell))
    })?;
    let cells = cells.into_iter().flatten().collect();
    let target = reader.option(|reader| {
        let row = read_row(reader, table, (number, Width::Full))?;
        Ok(TimedRow { row, times: read_times(reader, table)? })
    })?;
    let settled = reader.option(Reader::signed)?;
    Ok(Swept { table: table.index, source, key, cells, target, settled })
}

fn read_times(reader: &mut Reader<'_>, table: &PresentTable) -> Read<Vec<WriteTimes>> {
    let known = reader.list(|reader| match reader.number()? {
        NONE => Ok(WriteTimes::None),
        CELL => reader.signed().map(WriteTimes::Cell),
        UNKNOWN => Ok(WriteTimes::Unknown),
        ELEMENTS => reader.list(Reader::signed).map(WriteTimes::Elements),
        other => Err(format!("{other} is no kind of write times")),
    })?;
    let mut times = vec![WriteTimes::None; table.full.1];
    let known = known.into_iter().enumerate().filter(|(_, known)| *known != WriteTimes::None);
    for (column, known) in known {
        if let Some(at) = table.column(column)? {
            times[at] = known;
        }
    }
    Ok(times)
}
