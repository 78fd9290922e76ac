//! Values as CQL writes them: rows are inserted and read back, compared and merged in that form.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use chrono::NaiveDate;
use scylla::value::CqlValue;

/// The columns of a row that are not part of its key, as literals. A null column is absent, and so is an empty map or
/// set, which is the same to Cassandra.
pub(super) type Cells = BTreeMap<&'static str, String>;

/// The literals of a primary key, in key order.
pub(super) type Key = Vec<String>;

pub(super) type Rows = BTreeMap<Key, Cells>;

/// Rows by table.
pub(super) type Tables = BTreeMap<&'static str, Rows>;

/// The type of accounts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Text,
    Ascii,
    Uuid,
    TimeUuid,
    Int,
    BigInt,
    Varint,
}

impl Kind {
    /// As CQL names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Ascii => "ascii",
            Self::Uuid => "uuid",
            Self::TimeUuid => "timeuuid",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Varint => "varint",
        }
    }

    /// An id as a literal.
    pub(super) fn literal(self, id: &str) -> String {
        if matches!(self, Self::Text | Self::Ascii) { quote(id) } else { id.to_owned() }
    }
}

pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(super) fn unquote(literal: &str) -> String {
    let text = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    text.unwrap_or_else(|| panic!("{literal} is no text")).replace("''", "'")
}

/// A value that was read, as a literal. Maps and sets come sorted.
pub(super) fn literal(value: &CqlValue) -> String {
    match value {
        CqlValue::Text(text) | CqlValue::Ascii(text) => quote(text),
        CqlValue::Int(number) => number.to_string(),
        CqlValue::BigInt(number) => number.to_string(),
        CqlValue::Varint(number) => varint(number.as_signed_bytes_be_slice()),
        CqlValue::Boolean(is) => is.to_string(),
        CqlValue::Timestamp(time) => time.0.to_string(),
        CqlValue::Uuid(uuid) => uuid.to_string(),
        CqlValue::Timeuuid(uuid) => uuid.to_string(),
        CqlValue::Date(date) => {
            let days = i64::from(date.0) - (1 << 31) + 719_163; // from the first day of the year 1
            let days = i32::try_from(days).expect("a day of this age");
            let day = NaiveDate::from_num_days_from_ce_opt(days).expect("a day of this age");
            format!("'{day}'")
        }
        CqlValue::Map(entries) => {
            let entry = |(key, value)| format!("{}: {}", literal(key), literal(value));
            braced(entries.iter().map(|(key, value)| entry((key, value))).collect())
        }
        CqlValue::Set(elements) => braced(elements.iter().map(literal).collect()),
        other => panic!("a value of another type: {other:?}"),
    }
}

/// Elements of a map or set.
pub(super) fn braced(mut elements: Vec<String>) -> String {
    elements.sort();
    format!("{{{}}}", elements.join(", "))
}

/// A number of at most 16 bytes.
fn varint(bytes: &[u8]) -> String {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [sign; 16];
    wide[16 - bytes.len()..].copy_from_slice(bytes);
    i128::from_be_bytes(wide).to_string()
}

/// Compares two values of a type that has an order.
pub(super) fn compare(of: &str, one: &str, other: &str) -> Ordering {
    let number = |literal: &str| literal.parse::<i128>().expect("a number");
    match of {
        "text" => unquote(one).as_bytes().cmp(unquote(other).as_bytes()),
        "int" | "bigint" | "timestamp" => number(one).cmp(&number(other)),
        other => panic!("policies are not for {other} here"),
    }
}
