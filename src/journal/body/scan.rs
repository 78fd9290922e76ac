//! What a scan has found in a token range: `[[scope,[group,…]],…]`.

use serde_json::Value;

use crate::model::Scope;
use crate::spec::Table;

use super::json;

/// A scope, and the groups of whose sources it holds a row.
pub type FoundIn = (Scope, Vec<u32>);

/// What was found in a range of a table, as JSON.
pub fn encode_found(table: &Table, found: &[FoundIn]) -> Vec<u8> {
    let mut out = Vec::new();
    json::list(&mut out, found, |out, (scope, groups)| {
        out.push(b'[');
        json::scope(out, table, scope);
        out.push(b',');
        json::list(out, groups, |out, group| json::number(out, i64::from(*group)));
        out.push(b']');
    });
    out
}

/// What was found, from JSON.
///
/// # Errors
/// What is not as it was written.
pub fn decode_found(table: &Table, text: &[u8]) -> Result<Vec<FoundIn>, String> {
    let found: Vec<(Value, Vec<u32>)> =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let found = found.into_iter();
    found.map(|(scope, groups)| Ok((json::read_scope(table, &scope)?, groups))).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::journal::fixtures::spec;

    #[test]
    fn what_was_found_comes_back() {
        let spec = spec();
        let (places, rooms) = (&spec.tables[1], &spec.tables[2]);
        let key = |place: i32| Scope::from(Bytes::copy_from_slice(&place.to_be_bytes()));
        let found = vec![(key(7), vec![0, 4_294_967_295]), (key(-1), vec![3])];
        let text = encode_found(places, &found);
        assert_eq!(String::from_utf8_lossy(&text), "[[7,[0,4294967295]],[-1,[3]]]");
        assert_eq!(decode_found(places, &text), Ok(found));
        let found = vec![(Scope::from(Bytes::from_static(b"a \"x\"")), vec![1])];
        assert_eq!(decode_found(rooms, &encode_found(rooms, &found)), Ok(found));
        assert_eq!(decode_found(rooms, b"[]"), Ok(Vec::new()));
        for (text, expected) in [
            ("[", "EOF"),
            ("[[7]]", "invalid length 1"),
            ("[[\"x\",[1]]]", "a scope of places: \"x\" is not of type int"),
            ("[[7,[-1]]]", "invalid value"),
        ] {
            let error = decode_found(places, text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
