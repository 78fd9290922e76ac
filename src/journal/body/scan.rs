//! What a scan has found in a token range: `[[partition,[group,…]],…]`.

use bytes::Bytes;
use serde_json::Value;

use crate::spec::Table;

use super::json;

/// A partition, and the groups of whose sources it holds a row.
pub type FoundIn = (Bytes, Vec<u32>);

/// What was found in a range of a table, as JSON.
pub fn encode_found(table: &Table, found: &[FoundIn]) -> Vec<u8> {
    let mut out = Vec::new();
    json::list(&mut out, found, |out, (partition, groups)| {
        out.push(b'[');
        json::value(out, &table.columns[0].cql_type, partition);
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
    let found = found.into_iter().map(|(partition, groups)| {
        let partition = json::read_value(&table.columns[0].cql_type, &partition);
        let wrong = |what| format!("a partition of {}: {what}", table.name);
        Ok((partition.map_err(wrong)?, groups))
    });
    found.collect()
}
