//! The body of an undo's slice: what was decided about the keys of one chunk, as JSON.
//!
//! ```text
//! {"keys":12,"only":[3,7],
//!  "apart":[{"key":3,"ahead":[{"column":6,"t":1700000000000000}],"keeps_survivor":true,"replaced":[0]}],
//!  "left_alone":[{"key":7,"table":"user_courses","pair":0,
//!                 "row":{"batchid":"b1","userid":"to"},
//!                 "conflicts":[{"source":0,"column":"grade","expected":null,"found":"A",
//!                               "found_written_at":1700000000000001}]}]}
//! ```
//!
//! A key is its position in the chunk. `only` is absent where all keys of the chunk had their turn; a key
//! that is neither apart nor left alone is restored at the slice's time. No value is kept twice: what is
//! restored stands in the slices of the merge and of sweeps.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::journal::body::json;
use crate::model::{AccountId, Cell, ColumnIndex, TimestampUs};
use crate::spec::Table;

use super::key::{Ahead, Conflict, Holder, How, Key, Verdict};

/// What was decided about the keys of one chunk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// How many keys the chunk has.
    keys: usize,
    /// The keys that had their turn; all if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    only: Option<HashSet<usize>>,
    /// The keys that are restored in another way than most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    apart: Vec<Apart>,
    /// The keys that someone changed since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) left_alone: Vec<LeftAlone>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Apart {
    key: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ahead: Vec<AheadCell>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keeps_survivor: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    replaced: Vec<usize>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AheadCell {
    /// The source whose row it is, by its place in the group; none for the survivor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<usize>,
    /// The column, by its position in the specification.
    column: ColumnIndex,
    t: TimestampUs,
}

/// A key that was left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeftAlone {
    pub(super) key: usize,
    pub(super) table: String,
    /// The place in the group of the pair by which the key came to be merged.
    pub(super) pair: usize,
    /// The primary key of the survivor's row.
    pub(super) row: Map<String, Value>,
    pub(super) conflicts: Vec<Disputed>,
}

/// A cell that is not as the run left it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disputed {
    /// The source whose row it is, by its place in the group; none for the survivor's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source: Option<usize>,
    pub(super) column: String,
    pub(super) expected: Value,
    pub(super) found: Value,
    pub(super) found_written_at: Option<TimestampUs>,
}

impl Record {
    /// A record of a chunk in which all keys, or only some, have their turn.
    pub(super) fn new(keys: usize, only: Option<HashSet<usize>>) -> Self {
        Self { keys, only, ..Self::default() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // Its keys are strings and its numbers are whole: it can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the record of a chunk of so many keys.
    ///
    /// # Errors
    /// What is not as it was written.
    pub(super) fn decode(body: &[u8], keys: usize) -> Result<Self, String> {
        let record = Self::read(body)?;
        if record.keys != keys {
            return Err(format!("an undo of {} keys stands beside {keys} keys", record.keys));
        }
        Ok(record)
    }

    /// Reads a record by itself.
    ///
    /// # Errors
    /// What is not as it was written.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }

    /// Whether a key has its turn.
    pub(super) fn takes(&self, key: usize) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&key))
    }

    /// The keys that were left alone.
    pub(super) fn left_alone(&self) -> HashSet<usize> {
        self.left_alone.iter().map(|left| left.key).collect()
    }

    /// Notes what is to be done about a key.
    pub(super) fn add(
        &mut self,
        (position, key): (usize, &Key<'_>),
        survivor: &AccountId,
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Restore(how) if how == How::default() => {}
            Verdict::Restore(How { ahead, keeps_survivor, replaced }) => {
                let ahead = ahead.into_iter().map(|Ahead { holder, column, t }| AheadCell {
                    source: source_of(holder),
                    column,
                    t,
                });
                let ahead = ahead.collect();
                self.apart.push(Apart { key: position, ahead, keeps_survivor, replaced });
            }
            Verdict::LeaveAlone(conflicts) => {
                let table = key.table;
                let cells = key.history.key_of(table, survivor).into_iter().map(Some).enumerate();
                let row = cells.map(|(column, cell)| {
                    (table.columns[column].name.clone(), value(table, column, &cell))
                });
                self.left_alone.push(LeftAlone {
                    key: position,
                    table: table.name.clone(),
                    pair: key.first_source(),
                    row: row.collect(),
                    conflicts: conflicts.iter().map(|one| disputed(table, one)).collect(),
                });
            }
        }
    }

    /// The keys that are restored, and how.
    pub(super) fn restored(&self) -> impl Iterator<Item = (usize, How)> {
        let apart: HashMap<usize, &Apart> = self.apart.iter().map(|one| (one.key, one)).collect();
        let left_alone = self.left_alone();
        let is_restored = move |key: &usize| self.takes(*key) && !left_alone.contains(key);
        let taken = (0..self.keys).filter(is_restored);
        taken.map(move |key| (key, apart.get(&key).map_or_else(How::default, |apart| apart.how())))
    }
}

impl Apart {
    fn how(&self) -> How {
        let ahead = self.ahead.iter().map(|&AheadCell { source, column, t }| Ahead {
            holder: source.map_or(Holder::Survivor, Holder::Source),
            column,
            t,
        });
        let (keeps_survivor, replaced) = (self.keeps_survivor, self.replaced.clone());
        How { ahead: ahead.collect(), keeps_survivor, replaced }
    }
}

fn source_of(holder: Holder) -> Option<usize> {
    match holder {
        Holder::Survivor => None,
        Holder::Source(source) => Some(source),
    }
}

fn disputed(table: &Table, conflict: &Conflict) -> Disputed {
    Disputed {
        source: source_of(conflict.holder),
        column: table.columns[conflict.column].name.clone(),
        expected: value(table, conflict.column, &conflict.expected),
        found: value(table, conflict.column, &conflict.found),
        found_written_at: conflict.written_at,
    }
}

/// A value as all bodies hold it.
fn value(table: &Table, column: usize, cell: &Cell) -> Value {
    let write = |value: &Bytes| {
        let mut out = Vec::new();
        json::value(&mut out, &table.columns[column].cql_type, value);
        serde_json::from_slice(&out).unwrap_or_default()
    };
    cell.as_ref().map_or(Value::Null, write)
}
