//! Raw CQL values as people read them, in reports and CSV files: text as it is, numbers in decimal, points in
//! time in UTC, collections as JSON. What is of another type, or is not what its type says, is shown in
//! hexadecimal.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::account::Row;
use crate::moment::{utc_ms, utc_us};
use crate::spec::Table;

/// The value of a column.
pub fn cell(cql_type: &str, value: &[u8]) -> String {
    match json(cql_type, value) {
        // Empty text is told apart from nothing.
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The key of an entry of a map column, or an element of a set column.
pub fn element(cql_type: &str, key: &[u8]) -> String {
    cell(
        map_types(cql_type).map_or_else(|| inside(cql_type, "set").unwrap_or(""), |map| map.0),
        key,
    )
}

/// The value of an entry of a map column.
pub fn value_in(cql_type: &str, value: &[u8]) -> String {
    cell(map_types(cql_type).map_or("", |map| map.1), value)
}

/// The key of a row, without the account that it belongs to, as a JSON object.
pub fn key(table: &Table, key: &[Bytes]) -> String {
    let columns = table.columns.iter().zip(key).enumerate();
    let named = columns.filter(|(column, _)| *column != table.account);
    object(named.map(|(_, (column, value))| (&column.name, &column.cql_type, value)))
}

/// The columns of a row that are not null, without its key, as a JSON object.
pub fn row(table: &Table, row: &Row) -> String {
    let columns = table.columns.iter().zip(&row.cells).skip(table.key_len);
    object(
        columns.filter_map(|(column, cell)| Some((&column.name, &column.cql_type, cell.as_ref()?))),
    )
}

/// A write time.
pub fn write_time(t: i64) -> String {
    utc_us(t).unwrap_or_else(|| t.to_string())
}

fn object<'a>(columns: impl Iterator<Item = (&'a String, &'a String, &'a Bytes)>) -> String {
    let members = columns.map(|(name, cql_type, value)| (name.clone(), json(cql_type, value)));
    Value::Object(members.collect()).to_string()
}

/// A value as JSON.
fn json(cql_type: &str, value: &[u8]) -> Value {
    decoded(cql_type, value).unwrap_or_else(|| Value::String(hex(value)))
}

fn decoded(cql_type: &str, value: &[u8]) -> Option<Value> {
    if let Some(inner) = inside(cql_type, "frozen") {
        return decoded(inner, value);
    }
    if let Some((key, of_value)) = map_types(cql_type) {
        let entries: Option<Map<_, _>> = parts(value, 2)?
            .chunks(2)
            .map(|entry| Some((cell(key, entry.first()?), json(of_value, entry.get(1)?))))
            .collect();
        return entries.map(Value::Object);
    }
    if let Some(inner) = inside(cql_type, "set").or_else(|| inside(cql_type, "list")) {
        return Some(parts(value, 1)?.into_iter().map(|element| json(inner, element)).collect());
    }
    Some(match cql_type {
        "text" | "varchar" | "ascii" => Value::from(std::str::from_utf8(value).ok()?),
        "tinyint" => i8::from_be_bytes(value.try_into().ok()?).into(),
        "smallint" => i16::from_be_bytes(value.try_into().ok()?).into(),
        "int" => i32::from_be_bytes(value.try_into().ok()?).into(),
        "bigint" | "counter" => i64::from_be_bytes(value.try_into().ok()?).into(),
        "float" => f32::from_be_bytes(value.try_into().ok()?).into(),
        "double" => f64::from_be_bytes(value.try_into().ok()?).into(),
        "boolean" => Value::Bool(*value.first()? != 0),
        "timestamp" => utc_ms(i64::from_be_bytes(value.try_into().ok()?))?.into(),
        "uuid" | "timeuuid" => uuid::Uuid::from_slice(value).ok()?.to_string().into(),
        _ => return None,
    })
}

/// What stands between the brackets of a type.
fn inside<'a>(cql_type: &'a str, name: &str) -> Option<&'a str> {
    cql_type.strip_prefix(name)?.strip_prefix('<')?.strip_suffix('>')
}

/// The two types of a map, apart at the comma that is not inside another type.
fn map_types(cql_type: &str) -> Option<(&str, &str)> {
    let inner = inside(cql_type, "map")?;
    let mut depth = 0_u32;
    let comma = inner.find(|c| {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })?;
    Some((inner[..comma].trim(), inner[comma + 1..].trim()))
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

fn hex(value: &[u8]) -> String {
    let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cql_type: &str, value: &[u8], shown: &str) {
        assert_eq!(cell(cql_type, value), shown, "{cql_type} {value:?}");
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
        assert_eq!(element("map<text, int>", b"a"), "a");
        assert_eq!(element("set<int>", &[0, 0, 0, 7]), "7");
        assert_eq!(value_in("map<text, int>", &[0, 0, 0, 7]), "7");
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
