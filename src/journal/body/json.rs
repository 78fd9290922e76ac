//! Values, rows and columns in JSON, for all kinds of bodies.
//!
//! A value is written by its column's type where that gives back the same bytes: `tinyint` to `bigint` and
//! `timestamp` as numbers, text as strings, `boolean` as true or false. Everything else, and every value
//! that does not have the form of its type, is `{"hex":"00ff"}`. A null is left out, so that it is never
//! mistaken for an empty value.
//!
//! Written straight into a buffer: the bodies of all groups pass here, and a tree of values costs more
//! than the rest of the journal.

use std::str;

use bytes::Bytes;
use serde_json::Value;

use crate::model::{ColumnIndex, CqlType, Row, Scope, TableIndex};
use crate::spec::{Spec, Table};

/// A JSON object.
pub(crate) type Object = serde_json::Map<String, Value>;

/// How the values of a type are written.
#[derive(Clone, Copy)]
enum Form {
    /// Two's complement, big-endian, of so many bytes.
    Number(usize),
    Text,
    Boolean,
    Hex,
}

impl Form {
    fn of(cql_type: &CqlType) -> Self {
        match cql_type {
            CqlType::Text | CqlType::Ascii => Self::Text,
            CqlType::TinyInt => Self::Number(1),
            CqlType::SmallInt => Self::Number(2),
            CqlType::Int => Self::Number(4),
            CqlType::BigInt | CqlType::Timestamp => Self::Number(8),
            CqlType::Boolean => Self::Boolean,
            _ => Self::Hex,
        }
    }
}

/// Writes a string.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escape = match byte {
            b'"' | b'\\' => Some(*byte),
            b'\n' => Some(b'n'),
            b'\r' => Some(b'r'),
            b'\t' => Some(b't'),
            0x20.. => continue,
            _ => None,
        };
        out.extend_from_slice(&bytes[plain..at]);
        plain = at + 1;
        match escape {
            Some(escape) => out.extend_from_slice(&[b'\\', escape]),
            None => {
                out.extend_from_slice(b"\\u00");
                hex_digits(out, &[*byte]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain..]);
    out.push(b'"');
}

/// Writes a number.
pub(crate) fn number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// Writes a list.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    write: impl FnMut(&mut Vec<u8>, T),
) {
    enclosed(out, *b"[]", items, write);
}

/// Writes an object; `write` is to write a name, a colon and a value.
pub(crate) fn object<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    write: impl FnMut(&mut Vec<u8>, T),
) {
    enclosed(out, *b"{}", items, write);
}

fn enclosed<T>(
    out: &mut Vec<u8>,
    [open, close]: [u8; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(close);
}

/// Writes a value of a CQL type.
pub(crate) fn value(out: &mut Vec<u8>, cql_type: &CqlType, value: &[u8]) {
    match (Form::of(cql_type), value) {
        (Form::Number(width), _) if width == value.len() => number(out, signed(value)),
        (Form::Boolean, [0]) => out.extend_from_slice(b"false"),
        (Form::Boolean, [1]) => out.extend_from_slice(b"true"),
        (Form::Text, _) => match str::from_utf8(value) {
            Ok(valid) => text(out, valid),
            Err(_) => hex(out, value),
        },
        _ => hex(out, value),
    }
}

/// Two's complement, big-endian, of one to eight bytes.
fn signed(value: &[u8]) -> i64 {
    let sign = value.first().map_or(0, |first| i64::from(first.cast_signed() >> 7));
    value.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte))
}

fn hex(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b"{\"hex\":\"");
    hex_digits(out, value);
    out.extend_from_slice(b"\"}");
}

fn hex_digits(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    for byte in bytes {
        let digits = [byte >> 4, byte & 0x0f].map(|digit| DIGITS[usize::from(digit)]);
        out.extend_from_slice(&digits);
    }
}

/// Writes values by their columns' names.
pub(crate) fn cells<'a>(
    out: &mut Vec<u8>,
    table: &Table,
    cells: impl Iterator<Item = (ColumnIndex, &'a Bytes)>,
) {
    object(out, cells, |out, (column, bytes)| {
        let column = &table.columns[column];
        text(out, &column.name);
        out.push(b':');
        value(out, &column.cql_type, bytes);
    });
}

/// Writes a row, full or slim.
pub(crate) fn row(out: &mut Vec<u8>, table: &Table, row: &Row) {
    let present = row.cells.iter().enumerate();
    cells(out, table, present.filter_map(|(column, cell)| Some((column, cell.as_ref()?))));
}

/// Writes a scope of a table: its only value as it is, several as a list.
pub(crate) fn scope(out: &mut Vec<u8>, table: &Table, scope: &Scope) {
    let typed = |column: ColumnIndex| &table.columns[column].cql_type;
    let mut values = table.scope_columns().map(typed).zip(scope.values());
    match scope.values() {
        [_] => values.for_each(|(cql_type, of)| value(out, cql_type, of)),
        _ => list(out, &mut values, |out, (cql_type, of)| value(out, cql_type, of)),
    }
}

/// Reads a scope of a table.
///
/// # Errors
/// What it is instead.
pub(crate) fn read_scope(table: &Table, value: &Value) -> Result<Scope, String> {
    let wrong = |what: String| format!("a scope of {}: {what}", table.name);
    let types: Vec<&CqlType> =
        table.scope_columns().map(|column| &table.columns[column].cql_type).collect();
    let values = match (types.as_slice(), value) {
        ([_], only) => std::slice::from_ref(only),
        (_, Value::Array(values)) if values.len() == types.len() => values.as_slice(),
        _ => return Err(wrong(format!("{value} is no list of {} values", types.len()))),
    };
    let read = types.into_iter().zip(values).map(|(of, value)| read_value(of, value));
    Ok(Scope::new(read.collect::<Result<Vec<_>, _>>().map_err(wrong)?))
}

/// Reads a value of a CQL type.
///
/// # Errors
/// What it is instead.
pub(crate) fn read_value(cql_type: &CqlType, value: &Value) -> Result<Bytes, String> {
    if let Some(hex) =
        value.as_object().filter(|object| object.len() == 1).and_then(|o| o.get("hex"))
    {
        let digits = hex.as_str().and_then(read_hex);
        return digits.ok_or_else(|| format!("{hex} is not hexadecimal"));
    }
    let bytes = match (Form::of(cql_type), value) {
        (Form::Text, Value::String(text)) => Some(Bytes::copy_from_slice(text.as_bytes())),
        (Form::Boolean, Value::Bool(is)) => Some(Bytes::copy_from_slice(&[u8::from(*is)])),
        (Form::Number(width), Value::Number(number)) => number.as_i64().and_then(|number| {
            let bytes = number.to_be_bytes();
            let bytes = &bytes[bytes.len() - width..];
            (signed(bytes) == number).then(|| Bytes::copy_from_slice(bytes))
        }),
        _ => None,
    };
    bytes.ok_or_else(|| format!("{value} is not of type {cql_type}"))
}

fn read_hex(digits: &str) -> Option<Bytes> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

/// Reads values by their columns' names, of the first `width` columns of a table; in column order.
///
/// # Errors
/// Which column is not known, or does not hold what it should.
pub(crate) fn read_cells(
    table: &Table,
    width: usize,
    object: &Object,
) -> Result<Vec<(ColumnIndex, Bytes)>, String> {
    let mut cells = Vec::with_capacity(object.len());
    for (name, value) in object {
        let column = table.position(name).ok_or_else(|| {
            format!("the merge specification knows no column {name} of table {}", table.name)
        })?;
        if column >= width {
            return Err(format!("{}.{name} does not belong here", table.name));
        }
        let bytes = read_value(&table.columns[column].cql_type, value);
        cells.push((column, bytes.map_err(|what| format!("{}.{name}: {what}", table.name))?));
    }
    cells.sort_unstable_by_key(|(column, _)| *column);
    Ok(cells)
}

/// Reads a row of the first `width` columns of a table.
///
/// # Errors
/// Which column is not known, or does not hold what it should.
pub(crate) fn read_row(table: &Table, width: usize, object: &Object) -> Result<Row, String> {
    let mut cells = vec![None; width];
    for (column, value) in read_cells(table, width, object)? {
        cells[column] = Some(value);
    }
    Ok(Row { cells })
}

/// The table of a name.
///
/// # Errors
/// There is none.
pub(crate) fn table<'a>(spec: &'a Spec, name: &str) -> Result<(TableIndex, &'a Table), String> {
    let known = spec.tables.iter().enumerate().find(|(_, table)| table.name == name);
    known.ok_or_else(|| format!("the merge specification knows no table {name}"))
}
