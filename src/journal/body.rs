//! Bodies of slices as JSON: rows as objects by column name, nulls left out, so that an operator can read
//! them with nothing but SQLite.

use crate::account::TableIndex;
use crate::merge::{Findings, Slice};
use crate::spec::Spec;
use bytes::Bytes;

/// A merge slice as JSON.
pub fn encode(_spec: &Spec, _slice: &Slice) -> Vec<u8> {
    Vec::new()
}

/// A merge slice from JSON.
///
/// # Errors
/// What is not as it was written.
pub fn decode(_spec: &Spec, _body: &[u8]) -> Result<Slice, String> {
    Err("not yet".into())
}

/// The partitions that a group's rows led to, by table, as JSON.
pub fn partitions(_spec: &Spec, _findings: &Findings) -> String {
    String::new()
}

/// The partitions from JSON.
///
/// # Errors
/// What is not as it was written.
pub fn read_partitions(_spec: &Spec, _text: &str) -> Result<Vec<(TableIndex, Bytes)>, String> {
    Err("not yet".into())
}

/// A slice of a sweep as JSON.
pub fn encode_sweep(_spec: &Spec, _slice: &crate::merge::SweepSlice) -> Vec<u8> {
    Vec::new()
}

/// A slice of a sweep from JSON.
///
/// # Errors
/// What is not as it was written.
pub fn decode_sweep(_spec: &Spec, _body: &[u8]) -> Result<crate::merge::SweepSlice, String> {
    Err("not yet".into())
}
