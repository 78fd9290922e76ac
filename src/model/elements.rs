//! Maps and sets that are not frozen, taken apart: their elements have write times of their own.
//!
//! The encoding is that of the native protocol (v4, sections 6.12 to 6.14): a count, then each value with
//! its length.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Which collection a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// Keys and values.
    Map,
    /// Elements without a value.
    Set,
}

/// The entries of a map, or the elements of a set (which have no value).
pub type Elements = Vec<(Bytes, Option<Bytes>)>;

impl Collection {
    /// Takes a value apart; `None` if it is not in this encoding.
    pub fn split(self, value: &Bytes) -> Option<Elements> {
        let mut rest = value.clone();
        let count = usize::try_from(rest.try_get_i32().ok()?).ok()?;
        let mut elements = Vec::with_capacity(count.min(rest.len()));
        for _ in 0..count {
            let element = take(&mut rest)?;
            let value = match self {
                Self::Map => Some(take(&mut rest)?),
                Self::Set => None,
            };
            elements.push((element, value));
        }
        rest.is_empty().then_some(elements)
    }

    /// Puts elements together again, in the order in which they are given.
    pub fn join<'a>(
        self,
        elements: impl ExactSizeIterator<Item = (&'a Bytes, Option<&'a Bytes>)>,
    ) -> Bytes {
        let mut value = BytesMut::new();
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
}
