//! Whether two values mean the same, where their bytes need not be equal.
//!
//! A user-defined type may get fields (`ALTER TYPE … ADD`). Values from before have fewer, and what is written since has
//! the others as nulls at its end; Cassandra takes these for equal (`TupleType.compareCustom`). The fields of a
//! user-defined type within another are not looked into.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;

use super::Cell;
use super::cql::CqlType;

impl CqlType {
    /// Whether two values of this type mean the same.
    pub(crate) fn is_same(&self, a: &[u8], b: &[u8]) -> bool {
        a == b || self.has_fields() && self.bare(a) == self.bare(b)
    }

    /// Whether two cells of this type hold the same, in whatever order the elements of a map or set come.
    pub(crate) fn is_same_cell(&self, a: &Cell, b: &Cell) -> bool {
        a == b
            || matches!((a, b), (Some(a), Some(b)) if self.is_same(a, b))
            || self.elements_of(a).is_some_and(|a| Some(a) == self.elements_of(b))
    }

    /// The elements of a map or set that is not frozen; null is an empty one.
    pub(crate) fn elements_of(&self, cell: &Cell) -> Option<BTreeMap<Bytes, Cell>> {
        let collection = self.collection()?;
        match cell {
            None => Some(BTreeMap::new()),
            Some(value) => Some(collection.split(value)?.into_iter().collect()),
        }
    }

    /// Whether two entries of this map, of one key, mean the same.
    pub(crate) fn is_same_entry(&self, a: &Cell, b: &Cell) -> bool {
        let is_same =
            |(a, b): (&Bytes, &Bytes)| self.entry_value().is_some_and(|of| of.is_same(a, b));
        a == b || a.as_ref().zip(b.as_ref()).is_some_and(is_same)
    }

    /// Whether values of this type have fields that may be missing.
    fn has_fields(&self) -> bool {
        match self {
            Self::Udt(_) | Self::Tuple(_) => true,
            Self::Frozen(of) | Self::List(of) | Self::Set(of) => of.has_fields(),
            Self::Map(key, value) => key.has_fields() || value.has_fields(),
            _ => false,
        }
    }

    /// A value without the nulls at its end; as it is, if it is not what its type says.
    fn bare<'v>(&self, value: &'v [u8]) -> Cow<'v, [u8]> {
        match self {
            Self::Frozen(of) => of.bare(value),
            Self::Udt(_) => without_nulls(value).map_or(Cow::Borrowed(value), Cow::Borrowed),
            Self::Tuple(of) => {
                let fields = without_nulls(value).and_then(|value| parts(value, of.iter()));
                fields.map_or(Cow::Borrowed(value), Cow::Owned)
            }
            Self::List(of) | Self::Set(of) if of.has_fields() => elements(value, &[of]),
            Self::Map(key, of) if self.has_fields() => elements(value, &[key, of]),
            _ => Cow::Borrowed(value),
        }
    }
}

/// Fields or parts of elements: each a length, of which a negative one is null, and so many bytes.
fn split(value: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = value.split_first_chunk::<4>()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => rest.split_at_checked(length).map(|(part, rest)| (Some(part), rest)),
        Err(_) => Some((None, rest)),
    }
}

fn without_nulls(value: &[u8]) -> Option<&[u8]> {
    let (mut rest, mut end) = (value, 0);
    while !rest.is_empty() {
        let (field, after) = split(rest)?;
        rest = after;
        if field.is_some() {
            end = value.len() - rest.len();
        }
    }
    Some(&value[..end])
}

/// All parts of a value, each of its type, put together again.
fn parts<'t>(mut value: &[u8], mut types: impl Iterator<Item = &'t CqlType>) -> Option<Vec<u8>> {
    let mut bare = Vec::with_capacity(value.len());
    while !value.is_empty() {
        let (part, rest) = split(value)?;
        match part.map(|part| types.next().map(|of| of.bare(part))) {
            None => {
                types.next()?;
                bare.extend((-1_i32).to_be_bytes());
            }
            Some(part) => {
                let part = part?;
                bare.extend(i32::try_from(part.len()).ok()?.to_be_bytes());
                bare.extend_from_slice(&part);
            }
        }
        value = rest;
    }
    Some(bare)
}

/// A collection: a count, and then its elements, of which each has a part of each of the types.
fn elements<'v>(value: &'v [u8], types: &[&CqlType]) -> Cow<'v, [u8]> {
    let bare = value.split_first_chunk::<4>().and_then(|(count, rest)| {
        let rest = parts(rest, types.iter().copied().cycle())?;
        Some([&count[..], &rest].concat())
    });
    bare.map_or(Cow::Borrowed(value), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let field = |field: &Option<&[u8]>| match field {
            None => (-1_i32).to_be_bytes().to_vec(),
            Some(bytes) => [&(bytes.len() as i32).to_be_bytes()[..], bytes].concat(),
        };
        fields.iter().flat_map(field).collect()
    }

    fn collection(count: i32, parts: &[Option<&[u8]>]) -> Vec<u8> {
        [&count.to_be_bytes()[..], &value(parts)].concat()
    }

    #[test]
    fn the_order_of_elements_does_not_matter() {
        let map = CqlType::parse("map<text, text>");
        let of = |parts: &[&[u8]]| {
            let parts: Vec<_> = parts.iter().map(|part| Some(*part)).collect();
            Some(Bytes::from(collection(parts.len() as i32 / 2, &parts)))
        };
        let (one, turned) = (of(&[b"a", b"1", b"b", b"2"]), of(&[b"b", b"2", b"a", b"1"]));
        assert!(map.is_same_cell(&one, &turned));
        assert!(!map.is_same_cell(&one, &of(&[b"b", b"1", b"a", b"2"])));
        assert!(map.is_same_cell(&None, &of(&[])) && !map.is_same_cell(&None, &one));
        assert!(!CqlType::parse("frozen<map<text, text>>").is_same_cell(&one, &turned));
    }

    #[test]
    fn a_field_that_is_missing_is_null() {
        let (before, since) = (value(&[Some(b"x")]), value(&[Some(b"x"), None, None]));
        let (other, null) = (value(&[Some(b"x"), Some(b"y")]), value(&[None, Some(b"x")]));
        let address = CqlType::parse("frozen<address>");
        assert!(address.is_same(&before, &since) && address.is_same(&before, &before));
        assert!(!address.is_same(&before, &other) && !address.is_same(&before, &null));
        assert!(!CqlType::Blob.is_same(&before, &since), "of what has no fields, bytes count");

        let map = CqlType::parse("map<text, frozen<address>>");
        let of = |address: &[u8]| collection(1, &[Some(b"home"), Some(address)]);
        assert!(map.is_same(&of(&before), &of(&since)) && !map.is_same(&of(&before), &of(&other)));
        let entry = |value: &[u8]| Some(Bytes::copy_from_slice(value));
        assert!(map.is_same_entry(&entry(&before), &entry(&since)));
        assert!(!map.is_same_entry(&entry(&before), &entry(&other)));
        assert!(map.is_same_entry(&None, &None) && !map.is_same_entry(&entry(&before), &None));
        let set = CqlType::parse("frozen<set<frozen<tuple<int, frozen<address>>>>>");
        let of = |address: &[u8]| collection(1, &[Some(&value(&[Some(b"0001"), Some(address)]))]);
        assert!(set.is_same(&of(&before), &of(&since)) && !set.is_same(&of(&before), &of(&other)));
        assert!(!address.is_same(b"no fields", &since), "and of what is none");
    }
}
