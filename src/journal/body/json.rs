//! JSON, written straight into a buffer.
//!
//! A value is written by its column's type where that tells its bytes: `tinyint` to `bigint` and `timestamp` as numbers,
//! text and UUIDs as strings, `boolean` as true or false, sets and lists as lists, maps as lists of pairs. Everything else,
//! and every value that does not have the form of its type, is `{"hex":"00ff"}`.

use std::str;

use bytes::Bytes;
use uuid::Uuid;

use crate::model::{Collection, CqlType, Elements};

/// How the values of a type are written.
#[derive(Clone, Copy)]
enum Form {
    /// Two's complement, big-endian, of so many bytes.
    Number(usize),
    Text,
    Uuid,
    Boolean,
    Hex,
}

impl Form {
    fn of(cql_type: &CqlType) -> Self {
        match cql_type {
            CqlType::Text | CqlType::Ascii => Self::Text,
            CqlType::Uuid | CqlType::TimeUuid => Self::Uuid,
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
    // Writing to memory cannot fail, nor does a string.
    let _ = serde_json::to_writer(out, text);
}

/// Writes a number.
pub(crate) fn number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(number.to_string().as_bytes());
}

/// Writes true or false.
pub(crate) fn flag(out: &mut Vec<u8>, is: bool) {
    out.extend_from_slice(if is { b"true" } else { b"false" });
}

/// Writes a list.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// An object in the making.
#[derive(Default)]
pub(crate) struct Object(Vec<u8>);

impl Object {
    /// Writes the name of a field; its value is to follow.
    pub(crate) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        text(&mut self.0, name);
        self.0.push(b':');
        &mut self.0
    }

    /// The whole object.
    pub(crate) fn end(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        text(self.name(name), value);
    }

    pub(crate) fn number(&mut self, name: &str, value: i64) {
        number(self.name(name), value);
    }

    pub(crate) fn object(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        let mut object = Self::default();
        write(&mut object);
        self.name(name).extend(object.end());
    }

    pub(crate) fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        list(self.name(name), items, |out, item| {
            let mut object = Self::default();
            write(&mut object, item);
            out.extend(object.end());
        });
    }
}

/// Writes a value of a CQL type.
pub(crate) fn value(out: &mut Vec<u8>, cql_type: &CqlType, value: &[u8]) {
    match cql_type {
        CqlType::Frozen(inner) => self::value(out, inner, value),
        CqlType::Set(of) | CqlType::List(of) => match split(Collection::Set, value) {
            Some(elements) => list(out, elements, |out, (element, _)| {
                self::value(out, of, &element);
            }),
            None => hex(out, value),
        },
        CqlType::Map(keys, values) => match split(Collection::Map, value) {
            Some(entries) => list(out, entries, |out, (key, of_key)| {
                let pair = [(keys, Some(key)), (values, of_key)];
                let pair = pair.into_iter().filter_map(|(of, part)| Some((of, part?)));
                list(out, pair, |out, (of, part)| self::value(out, of, &part));
            }),
            None => hex(out, value),
        },
        of => single(out, of, value),
    }
}

fn split(collection: Collection, value: &[u8]) -> Option<Elements> {
    collection.split(&Bytes::copy_from_slice(value))
}

/// Writes a value that is no collection.
fn single(out: &mut Vec<u8>, cql_type: &CqlType, value: &[u8]) {
    match (Form::of(cql_type), value) {
        (Form::Uuid, _) if value.len() == 16 => match Uuid::from_slice(value) {
            Ok(uuid) => text(out, &uuid.to_string()),
            Err(_) => hex(out, value),
        },
        (Form::Number(width), _) if width == value.len() => number(out, signed(value)),
        (Form::Boolean, [is @ (0 | 1)]) => flag(out, *is == 1),
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
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    out.extend_from_slice(b"{\"hex\":\"");
    out.extend(
        value
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 0x0f])
            .map(|digit| DIGITS[usize::from(digit)]),
    );
    out.extend_from_slice(b"\"}");
}
