//! Maps, sets and user-defined types that are not frozen, taken apart: their elements have write times of their own.
//!
//! The encoding is that of the native protocol (v4, sections 6.12 to 6.14): a count, then each value with
//! its length. That of a user-defined type (section 7) has no count: a field that is null, or missing at the end, is none
//! of its elements.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Which collection a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// Keys and values.
    Map,
    /// Elements without a value.
    Set,
    /// The fields of a user-defined type, by their [numbers](field_key).
    Fields,
}

/// The entries of a map, the elements of a set (which have no value), or the fields of a user-defined type that are not
/// null.
pub type Elements = Vec<(Bytes, Option<Bytes>)>;

impl Collection {
    /// Takes a value apart; `None` if it is not in this encoding.
    pub fn split(self, value: &Bytes) -> Option<Elements> {
        if self == Self::Fields {
            return fields(value);
        }
        let mut rest = value.clone();
        let count = usize::try_from(rest.try_get_i32().ok()?).ok()?;
        let mut elements = Vec::with_capacity(count.min(rest.len()));
        for _ in 0..count {
            let element = take(&mut rest)?;
            let value = match self {
                Self::Map => Some(take(&mut rest)?),
                Self::Set | Self::Fields => None,
            };
            elements.push((element, value));
        }
        rest.is_empty().then_some(elements)
    }

    /// Puts elements together again, in the order in which they are given; fields in theirs.
    pub fn join<'a>(
        self,
        elements: impl ExactSizeIterator<Item = (&'a Bytes, Option<&'a Bytes>)>,
    ) -> Bytes {
        let mut value = BytesMut::new();
        if self == Self::Fields {
            let fields = elements.filter_map(|(key, field)| Some((field_number(key)?, field?)));
            let fields: BTreeMap<usize, &Bytes> = fields.collect();
            for number in 0..fields.last_key_value().map_or(0, |(last, _)| last + 1) {
                match fields.get(&number) {
                    Some(field) => put(&mut value, field),
                    None => value.put_i32(-1),
                }
            }
            return value.freeze();
        }
        put_length(&mut value, elements.len());
        for (element, of_map) in elements {
            put(&mut value, element);
            if self == Self::Map {
                put(&mut value, of_map.unwrap_or(&Bytes::new()));
            }
        }
        value.freeze()
    }

    /// Values as a `set`, whatever the collection: what elements are removed by.
    pub fn keys<'a>(keys: impl ExactSizeIterator<Item = &'a Bytes>) -> Bytes {
        Self::Set.join(keys.map(|key| (key, None)))
    }
}

/// What a field is known by among the elements of its value: where it stands in its type, from 0.
pub(crate) fn field_key(number: usize) -> Bytes {
    Bytes::copy_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes())
}

/// Where the field of a [key](field_key) stands; `None` if it is none.
pub(crate) fn field_number(key: &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(key.try_into().ok()?)).ok()
}

/// The fields of a value that are not null.
fn fields(value: &Bytes) -> Option<Elements> {
    let (mut rest, mut fields) = (value.clone(), Vec::new());
    for number in 0.. {
        if rest.is_empty() {
            break;
        }
        let mut length = rest.clone();
        if length.try_get_i32().ok()? < 0 {
            rest = length;
            continue;
        }
        fields.push((field_key(number), Some(take(&mut rest)?)));
    }
    Some(fields)
}

fn take(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(rest.try_get_i32().ok()?).ok()?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn put(value: &mut BytesMut, part: &Bytes) {
    put_length(value, part.len());
    value.put_slice(part);
}

fn put_length(value: &mut BytesMut, length: usize) {
    // A value of the protocol is never longer than this.
    value.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collection_can_be_taken_apart_and_put_together() {
        let map: Elements = vec![
            (Bytes::from_static(b"a"), Some(Bytes::from_static(&[0, 0, 0, 1]))),
            (Bytes::from_static(b""), Some(Bytes::from_static(b""))),
        ];
        let value = Collection::Map.join(map.iter().map(|(k, v)| (k, v.as_ref())));
        assert_eq!(Collection::Map.split(&value), Some(map.clone()));
        assert_eq!(Collection::Set.split(&value), None, "a map is no set");
        let keys = Collection::keys(map.iter().map(|(key, _)| key));
        let elements = map.into_iter().map(|(key, _)| (key, None)).collect();
        assert_eq!(Collection::Set.split(&keys), Some(elements));
        assert_eq!(Collection::Map.split(&value.slice(..value.len() - 1)), None, "cut short");
    }

    #[test]
    fn fields_that_are_null_are_no_elements() {
        let value = Bytes::from_static(
            b"\0\0\0\x01s\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        );
        let fields: Elements = vec![
            (field_key(0), Some(Bytes::from_static(b"s"))),
            (field_key(2), Some(Bytes::new())),
        ];
        assert_eq!(Collection::Fields.split(&value), Some(fields.clone()));
        let turned = fields.iter().rev().map(|(key, field)| (key, field.as_ref()));
        let joined = Collection::Fields.join(turned);
        assert_eq!(joined, value.slice(..value.len() - 8), "what follows the last is null");
        assert_eq!(Collection::Fields.split(&joined), Some(fields));
        assert_eq!(Collection::Fields.split(&joined.slice(..4)), None, "cut short");
        assert_eq!(Collection::Fields.split(&Bytes::new()), Some(Elements::new()));
        assert_eq!(field_number(&field_key(7)), Some(7));
    }
}
