//! Raw CQL values as people read them, in reports and CSV files: text as it is, numbers in decimal, points in
//! time in UTC, collections as JSON. What is of another type, or is not what its type says, is shown in
//! hexadecimal.

use bytes::Bytes;
use num_bigint::BigInt;
use serde_json::{Map, Value};

use crate::model::{CqlType, Row, Scope, hex};
use crate::moment::{utc_ms, utc_us};
use crate::spec::{Column, Table};

/// The value of a column.
pub(crate) fn cell(cql_type: &CqlType, value: &[u8]) -> String {
    match json(cql_type, value) {
        // Empty text is told apart from nothing.
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The key of an entry of a map column, or an element of a set column.
pub(crate) fn element(cql_type: &CqlType, key: &[u8]) -> String {
    cell(cql_type.element().unwrap_or(&CqlType::Blob), key)
}

/// The value of an entry of a map column.
pub(crate) fn value_in(cql_type: &CqlType, value: &[u8]) -> String {
    cell(cql_type.entry_value().unwrap_or(&CqlType::Blob), value)
}

/// A scope: its only value as it is, several as a list.
pub(crate) fn scope(table: &Table, scope: &Scope) -> String {
    let columns = table.scope_columns().map(|column| &table.columns[column].cql_type);
    let values: Vec<String> =
        columns.zip(scope.values()).map(|(cql_type, value)| cell(cql_type, value)).collect();
    values.join(", ")
}

/// The key of a row, without the account that it belongs to, as a JSON object.
pub(crate) fn key(table: &Table, key: &[Bytes]) -> String {
    let columns = table.columns.iter().zip(key).enumerate();
    let named = columns.filter(|(column, _)| *column != table.account);
    object(named.map(|(_, (column, value))| (column, value)))
}

/// The columns of a row that are not null, without its key, as a JSON object.
pub(crate) fn row(table: &Table, row: &Row) -> String {
    let columns = table.columns.iter().zip(&row.cells).skip(table.key_len);
    object(columns.filter_map(|(column, cell)| Some((column, cell.as_ref()?))))
}

pub(crate) fn write_time(t: i64) -> String {
    utc_us(t).unwrap_or_else(|| t.to_string())
}

fn object<'a>(columns: impl Iterator<Item = (&'a Column, &'a Bytes)>) -> String {
    let members =
        columns.map(|(column, value)| (column.name.clone(), json(&column.cql_type, value)));
    Value::Object(members.collect()).to_string()
}

fn json(cql_type: &CqlType, value: &[u8]) -> Value {
    decoded(cql_type, value).unwrap_or_else(|| Value::String(hex(value)))
}

fn decoded(cql_type: &CqlType, value: &[u8]) -> Option<Value> {
    Some(match cql_type {
        CqlType::Frozen(inner) => decoded(inner, value)?,
        CqlType::Map(key, of_value) => {
            let entries: Option<Map<_, _>> = parts(value, 2)?
                .chunks(2)
                .map(|entry| Some((cell(key, entry.first()?), json(of_value, entry.get(1)?))))
                .collect();
            Value::Object(entries?)
        }
        CqlType::Set(of) | CqlType::List(of) => {
            parts(value, 1)?.into_iter().map(|element| json(of, element)).collect()
        }
        CqlType::Text | CqlType::Ascii => Value::from(std::str::from_utf8(value).ok()?),
        CqlType::TinyInt => i8::from_be_bytes(value.try_into().ok()?).into(),
        CqlType::SmallInt => i16::from_be_bytes(value.try_into().ok()?).into(),
        CqlType::Int => i32::from_be_bytes(value.try_into().ok()?).into(),
        CqlType::BigInt | CqlType::Counter => i64::from_be_bytes(value.try_into().ok()?).into(),
        CqlType::Varint => BigInt::from_signed_bytes_be(value).to_string().into(),
        CqlType::Float => f32::from_be_bytes(value.try_into().ok()?).into(),
        CqlType::Double => f64::from_be_bytes(value.try_into().ok()?).into(),
        CqlType::Boolean => Value::Bool(*value.first()? != 0),
        CqlType::Timestamp => utc_ms(i64::from_be_bytes(value.try_into().ok()?))?.into(),
        CqlType::Uuid | CqlType::TimeUuid => uuid::Uuid::from_slice(value).ok()?.to_string().into(),
        _ => return None,
    })
}

/// The parts of a collection: a count of elements of `each` parts, then each part with its length.
fn parts(value: &[u8], each: usize) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = value.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut parts = Vec::new();
    for _ in 0..count.checked_mul(each)? {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        let (part, after) = after.split_at_checked(length)?;
        parts.push(part);
        rest = after;
    }
    rest.is_empty().then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cql_type: &str, value: &[u8], shown: &str) {
        assert_eq!(cell(&CqlType::parse(cql_type), value), shown, "{cql_type} {value:?}");
    }

    #[test]
    fn values_are_shown_as_people_read_them() {
        check("text", "é, \"q\"\n".as_bytes(), "é, \"q\"\n");
        check("text", b"", "\"\"");
        check("int", &(-2_i32).to_be_bytes(), "-2");
        check("boolean", &[1], "true");
        check("timestamp", &1_795_407_295_042_i64.to_be_bytes(), "2026-11-23T04:14:55.042Z");
        check("double", &1.5_f64.to_be_bytes(), "1.5");
        let map = [
            &[0, 0, 0, 2][..],
            b"\0\0\0\x01a\0\0\0\x04\0\0\0\x05",
            b"\0\0\0\x01b\0\0\0\x04\xff\xff\xff\xff",
        ];
        check("map<text, int>", &map.concat(), r#"{"a":5,"b":-1}"#);
        check("frozen<map<text, int>>", &map.concat(), r#"{"a":5,"b":-1}"#);
        check("set<text>", b"\0\0\0\x01\0\0\0\x01x", r#"["x"]"#);
        check("map<frozen<map<text, int>>, int>", b"\0\0\0\0", "{}");
        assert_eq!(element(&CqlType::parse("map<text, int>"), b"a"), "a");
        assert_eq!(element(&CqlType::parse("set<int>"), &[0, 0, 0, 7]), "7");
        assert_eq!(value_in(&CqlType::parse("map<text, int>"), &[0, 0, 0, 7]), "7");
    }

    #[test]
    fn what_cannot_be_read_is_shown_in_hexadecimal() {
        check("int", &[1], "0x01");
        check("text", &[0xff], "0xff");
        check("blob", &[0, 0xab], "0x00ab");
        check("timestamp", &i64::MAX.to_be_bytes(), "0x7fffffffffffffff");
        check("set<text>", b"\0\0\0\x01\0\0\0\x02x", "0x000000010000000278");
        assert_eq!(write_time(i64::MAX), i64::MAX.to_string());
        assert_eq!(write_time(1_795_407_295_042_001), "2026-11-23T04:14:55.042001Z");
    }
}
