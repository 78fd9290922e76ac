//! Raw CQL values as people read them, in reports and CSV files: text as it is, numbers in decimal, points in
//! time in UTC, collections as JSON. What is of another type, or is not what its type says, is shown in
//! hexadecimal.

use std::net::IpAddr;

use bytes::Bytes;
use num_bigint::{BigInt, Sign};
use serde_json::{Map, Value};

use crate::model::{CqlType, Row, Scope, field_number, hex};
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

/// The key of an entry of a map column, an element of a set column, or which field it is, in the order of its type.
pub(crate) fn element(cql_type: &CqlType, key: &[u8]) -> String {
    match (cql_type, field_number(key)) {
        (CqlType::Udt(_), Some(number)) => format!("field {}", number + 1),
        _ => cell(cql_type.element().unwrap_or(&CqlType::Blob), key),
    }
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
        CqlType::Date => date(value)?.into(),
        CqlType::Time => time(value)?.into(),
        CqlType::Inet => address(value)?.into(),
        CqlType::Decimal => decimal(value)?.into(),
        CqlType::Duration => duration(value)?.into(),
        CqlType::Uuid | CqlType::TimeUuid => uuid::Uuid::from_slice(value).ok()?.to_string().into(),
        _ => return None,
    })
}

/// Days, counted from 2^31 days before the epoch (native protocol v4, section 6.5).
fn date(value: &[u8]) -> Option<String> {
    let days = i64::from(u32::from_be_bytes(value.try_into().ok()?)) - (1 << 31);
    let midnight = utc_ms(days.checked_mul(86_400_000)?)?;
    Some(midnight.split_once('T')?.0.to_owned())
}

/// Nanoseconds since midnight.
fn time(value: &[u8]) -> Option<String> {
    let nanos = u64::from_be_bytes(value.try_into().ok()?);
    let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    (hours < 24).then(|| format!("{hours:02}:{minutes:02}:{:02}.{nanos:09}", seconds % 60))
}

fn address(value: &[u8]) -> Option<String> {
    match value.len() {
        4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?).to_string()),
        _ => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?).to_string()),
    }
}

/// A scale, and a number without it; very large scales are written as powers of ten.
fn decimal(value: &[u8]) -> Option<String> {
    const LONGEST: i32 = 40;
    let (scale, unscaled) = value.split_first_chunk::<4>()?;
    let (scale, unscaled) = (i32::from_be_bytes(*scale), BigInt::from_signed_bytes_be(unscaled));
    if !(0..=LONGEST).contains(&scale) {
        return Some(match scale {
            0 => unscaled.to_string(),
            _ => format!("{unscaled}E{}", -i64::from(scale)),
        });
    }
    let decimals = usize::try_from(scale).ok()?;
    let sign = if unscaled.sign() == Sign::Minus { "-" } else { "" };
    let digits = format!("{:0>width$}", unscaled.magnitude().to_string(), width = decimals + 1);
    let (whole, rest) = digits.split_at(digits.len() - decimals);
    Some(if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") })
}

/// Months, days and nanoseconds, as CQL writes them.
fn duration(mut value: &[u8]) -> Option<String> {
    let [months, days, nanos] = [(); 3].map(|()| vint(&mut value));
    let (months, days, nanos) = (months?, days?, nanos?);
    let sign = if months < 0 || days < 0 || nanos < 0 { "-" } else { "" };
    let parts = [(months, "mo"), (days, "d"), (nanos, "ns")].into_iter();
    let parts = parts.filter(|(count, _)| *count != 0);
    let parts: String =
        parts.map(|(count, unit)| format!("{}{unit}", count.unsigned_abs())).collect();
    let parts = if parts.is_empty() { "0s".to_owned() } else { parts };
    value.is_empty().then(|| sign.to_owned() + &parts)
}

/// A number of variable length: its first byte begins with as many ones as there are further bytes; the sign is its last
/// bit (native protocol v5, section 3).
fn vint(value: &mut &[u8]) -> Option<i64> {
    let (first, rest) = value.split_first()?;
    let further = first.leading_ones() as usize;
    let (bytes, rest) = rest.split_at_checked(further)?;
    *value = rest;
    let own = if further >= 7 { 0 } else { u64::from(first & (0xff >> (further + 1))) };
    let number = bytes.iter().fold(own, |number, byte| number << 8 | u64::from(*byte));
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
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
        check("date", &0x8000_4fea_u32.to_be_bytes(), "2026-01-05");
        check("time", &45_296_000_000_007_u64.to_be_bytes(), "12:34:56.000000007");
        check("inet", &[192, 0, 2, 7], "192.0.2.7");
        check("decimal", &[0, 0, 0, 2, 3, 0xb6], "9.50");
        check("decimal", &[0, 0, 0, 2, 0xfb], "-0.05");
        check("decimal", &[0, 0, 0, 0, 7], "7");
        check("decimal", &[0xff, 0xff, 0xff, 0xfe, 7], "7E2");
        check("duration", &[2, 4, 6], "1mo2d3ns");
        check("duration", &[0, 0, 0x87, 0xcf], "-1000ns");
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
        assert_eq!(element(&CqlType::parse("address"), &[0, 0, 0, 1]), "field 2");
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
