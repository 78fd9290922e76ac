//! Bodies of sweeps.
//!
//! ```text
//! {"rows":[{"table":"content_consumption","source":0,"key":{…},
//!           "cells":[{"column":"status","value":2,"t":1790000000000000,"placed_at":1790000000000000}],
//!           "target":{"row":{…},"times":{column:1790000000000000|[…]}},"settled":1790000000000000}],
//!  "events":[{"scope":…,"quoted":{column:value}}]}
//! ```
//!
//! Elements of maps and sets have an `element`; `placed_at` is absent where the survivor keeps what it has,
//! `target` where it had no row.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::merge::{SweepSlice, Swept, SweptCell};
use crate::model::{CqlType, TimedRow, TimestampUs, WriteTimes};
use crate::spec::{Spec, Table};

use super::json::{self, Object};
use super::{EventBody, read_events, write_events};

/// Elements are written by their bytes: their types are inside the column's.
const ELEMENT: &CqlType = &CqlType::Blob;

/// A slice of a sweep as JSON.
pub fn encode_sweep(spec: &Spec, slice: &SweepSlice) -> Vec<u8> {
    let mut out = b"{\"rows\":".to_vec();
    json::list(&mut out, &slice.rows, |out, swept| write_row(out, spec, swept));
    out.extend_from_slice(b",\"events\":");
    write_events(&mut out, spec, &slice.events);
    out.push(b'}');
    out
}

fn write_row(out: &mut Vec<u8>, spec: &Spec, swept: &Swept) {
    let table = &spec.tables[swept.table];
    out.extend_from_slice(b"{\"table\":");
    json::text(out, &table.name);
    field(out, "source", swept.source as i64);
    out.extend_from_slice(b",\"key\":");
    json::cells(out, table, swept.key.iter().enumerate());
    out.extend_from_slice(b",\"cells\":");
    json::list(out, &swept.cells, |out, cell| write_cell(out, table, cell));
    if let Some(target) = &swept.target {
        out.extend_from_slice(b",\"target\":{\"row\":");
        json::row(out, table, &target.row);
        out.extend_from_slice(b",\"times\":");
        write_times(out, table, &target.times);
        out.push(b'}');
    }
    if let Some(settled) = swept.settled {
        field(out, "settled", settled);
    }
    out.push(b'}');
}

fn write_cell(out: &mut Vec<u8>, table: &Table, cell: &SweptCell) {
    let column = &table.columns[cell.column];
    out.extend_from_slice(b"{\"column\":");
    json::text(out, &column.name);
    if let Some(element) = &cell.element {
        out.extend_from_slice(b",\"element\":");
        json::value(out, ELEMENT, element);
    }
    if let Some(value) = &cell.value {
        out.extend_from_slice(b",\"value\":");
        json::value(out, value_type(table, cell.column, cell.element.is_some()), value);
    }
    field(out, "t", cell.t);
    if let Some(placed_at) = cell.placed_at {
        field(out, "placed_at", placed_at);
    }
    out.push(b'}');
}

fn write_times(out: &mut Vec<u8>, table: &Table, times: &[WriteTimes]) {
    let known = table.columns.iter().zip(times).filter(|(_, times)| **times != WriteTimes::None);
    json::object(out, known, |out, (column, times)| {
        json::text(out, &column.name);
        out.push(b':');
        match times {
            WriteTimes::None => out.extend_from_slice(b"null"),
            WriteTimes::Cell(time) => json::number(out, *time),
            WriteTimes::Elements(times) => json::list(out, times, |out, t| json::number(out, *t)),
        }
    });
}

fn field(out: &mut Vec<u8>, name: &str, number: i64) {
    out.push(b',');
    json::text(out, name);
    out.push(b':');
    json::number(out, number);
}

fn value_type(table: &Table, column: usize, is_element: bool) -> &CqlType {
    if is_element { ELEMENT } else { &table.columns[column].cql_type }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepBody {
    rows: Vec<RowBody>,
    events: Vec<EventBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowBody {
    table: String,
    source: usize,
    key: Object,
    cells: Vec<CellBody>,
    target: Option<TargetBody>,
    settled: Option<TimestampUs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CellBody {
    column: String,
    element: Option<Value>,
    value: Option<Value>,
    t: TimestampUs,
    placed_at: Option<TimestampUs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetBody {
    row: Object,
    times: Map<String, Value>,
}

/// A slice of a sweep from JSON.
///
/// # Errors
/// What is not as it was written.
pub fn decode_sweep(spec: &Spec, body: &[u8]) -> Result<SweepSlice, String> {
    let body: SweepBody = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let rows = body.rows.into_iter().map(|row| read_row(spec, row)).collect::<Result<_, _>>()?;
    Ok(SweepSlice { rows, events: read_events(spec, &body.events)? })
}

fn read_row(spec: &Spec, body: RowBody) -> Result<Swept, String> {
    let (index, table) = json::table(spec, &body.table)?;
    let key = json::read_row(table, table.key_len, &body.key)?;
    let key: Vec<Bytes> = key.cells.into_iter().flatten().collect();
    if key.len() != table.key_len {
        return Err(format!("a key of {} is not complete", table.name));
    }
    let cells = body.cells.into_iter().map(|cell| read_cell(table, cell));
    let target = body.target.map(|target| {
        let row = json::read_row(table, table.columns.len(), &target.row)?;
        Ok::<_, String>(TimedRow { row, times: read_times(table, &target.times)? })
    });
    Ok(Swept {
        table: index,
        source: body.source,
        key,
        cells: cells.collect::<Result<_, _>>()?,
        target: target.transpose()?,
        settled: body.settled,
    })
}

fn read_cell(table: &Table, body: CellBody) -> Result<SweptCell, String> {
    let column = table
        .position(&body.column)
        .ok_or_else(|| format!("table {} has no column {}", table.name, body.column))?;
    let element = body.element.map(|element| json::read_value(ELEMENT, &element)).transpose()?;
    let of = value_type(table, column, element.is_some());
    let value = body.value.map(|value| json::read_value(of, &value)).transpose()?;
    Ok(SweptCell { column, element, value, t: body.t, placed_at: body.placed_at })
}

fn read_times(table: &Table, times: &Map<String, Value>) -> Result<Vec<WriteTimes>, String> {
    let read = |name: &str| match times.get(name) {
        None => Ok(WriteTimes::None),
        Some(Value::Array(times)) => {
            let times: Option<Vec<i64>> = times.iter().map(Value::as_i64).collect();
            times
                .map(WriteTimes::Elements)
                .ok_or_else(|| format!("the times of {name} are not numbers"))
        }
        Some(time) => {
            let time = time.as_i64().map(WriteTimes::Cell);
            time.ok_or_else(|| format!("the time of {name} is not a number"))
        }
    };
    table.columns.iter().map(|column| read(&column.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::fixtures::spec;
    use crate::merge::Announced;
    use crate::model::Row;

    #[test]
    fn a_sweep_is_read_as_it_was_written() {
        let spec = spec();
        let (index, table) = json::table(&spec, "Odd \"rooms\"").unwrap();
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let column = |name| table.position(name).unwrap();
        let mut row = Row { cells: vec![None; table.columns.len()] };
        row.cells[0] = Some(text("b"));
        row.cells[1] = Some(text("to"));
        row.cells[column("title")] = Some(text("A"));
        let mut times = vec![WriteTimes::None; table.columns.len()];
        times[column("title")] = WriteTimes::Cell(-5);
        times[column("tags")] = WriteTimes::Elements(vec![1, 2]);
        let cell = |name, element, value, placed_at| SweptCell {
            column: column(name),
            element,
            value,
            t: 1_790_000_000_000_000,
            placed_at,
        };
        let swept = Swept {
            table: index,
            source: 3,
            key: vec![text("b"), text("from \"x\"\n")],
            cells: vec![
                cell("beds", None, Some(Bytes::from_static(&[0, 0, 0, 7])), Some(9)),
                cell("tags", Some(text("c")), Some(Bytes::from_static(&[0, 0, 0, 1])), None),
                cell("note", None, Some(text("")), None),
            ],
            target: Some(TimedRow { row, times }),
            settled: None,
        };
        let other = Swept { target: None, settled: Some(4), cells: Vec::new(), ..swept.clone() };
        let events =
            vec![Announced { scope: text("b").into(), quoted: vec![None, Some(text("k"))] }];
        let slice = SweepSlice { rows: vec![swept, other], events };
        let body = encode_sweep(&spec, &slice);
        assert_eq!(decode_sweep(&spec, &body), Ok(slice), "{}", String::from_utf8_lossy(&body));
    }
}
