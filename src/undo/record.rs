//! What was decided about the keys of one chunk, as it is journaled.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;

use crate::journal::Codec;
use crate::journal::body::{Apart, LeftAlone, UndoSlice};
use crate::model::AccountId;

use super::key::{How, Key, UndoDecision};

/// What was decided about the keys of one chunk.
#[derive(Clone, Debug)]
pub(super) struct Record(pub(super) UndoSlice);

impl Record {
    /// A record of a chunk in which all keys, or only some, have their turn.
    pub(super) fn new(keys: usize, only: Option<BTreeSet<usize>>) -> Self {
        Self(UndoSlice { keys, only, ..UndoSlice::default() })
    }

    /// Reads the record of a chunk of so many keys.
    ///
    /// # Errors
    /// What is not as it was written.
    pub(super) fn decode(codec: &Codec, body: &Bytes, keys: usize) -> Result<Self, String> {
        let slice = codec.decode_undo(body)?;
        if slice.keys != keys {
            return Err(format!("an undo of {} keys stands beside {keys} keys", slice.keys));
        }
        Ok(Self(slice))
    }

    /// Whether a key has its turn.
    pub(super) fn takes(&self, key: usize) -> bool {
        self.0.only.as_ref().is_none_or(|only| only.contains(&key))
    }

    /// The keys that were left alone.
    pub(super) fn left_alone(&self) -> BTreeSet<usize> {
        self.0.left_alone.iter().map(|left| left.key).collect()
    }

    /// Notes what is to be done about a key.
    pub(super) fn add(
        &mut self,
        (position, key): (usize, &Key<'_>),
        survivor: &AccountId,
        verdict: UndoDecision,
    ) {
        let table = key.history.table;
        match verdict {
            UndoDecision::Restore(how) if how == How::default() => {}
            UndoDecision::Restore(How { ahead, keeps_survivor, kept }) => {
                self.0.apart.push(Apart { key: position, table, ahead, keeps_survivor, kept });
            }
            UndoDecision::LeaveAlone(conflicts) => self.0.left_alone.push(LeftAlone {
                key: position,
                table,
                pair: key.first_source(),
                row: key.history.key_of(key.table, survivor),
                conflicts,
            }),
        }
    }

    /// The keys that are restored, and how.
    pub(super) fn restored(&self) -> impl Iterator<Item = (usize, How)> {
        let apart: HashMap<usize, &Apart> = self.0.apart.iter().map(|one| (one.key, one)).collect();
        let left_alone = self.left_alone();
        let is_restored = move |key: &usize| self.takes(*key) && !left_alone.contains(key);
        let taken = (0..self.0.keys).filter(is_restored);
        taken.map(move |key| (key, apart.get(&key).map_or_else(How::default, |apart| how(apart))))
    }
}

fn how(apart: &Apart) -> How {
    let Apart { ahead, keeps_survivor, kept, .. } = apart.clone();
    How { ahead, keeps_survivor, kept }
}
