//! A slice: the part of a group's keys that is journaled and written together. Most groups are one
//! slice; a group that is too large to hold is cut between keys, so that every slice is complete in
//! itself.

use bytes::Bytes;

use crate::account::{
    AccountId, Batch, Change, Group, Mutation, TableIndex, TableTally, Tally, TimestampUs,
};
use crate::spec::{Find, Spec};

use super::batch::cut;
use super::entry::Entry;
use super::findings::Announced;

/// Keys with their before-images and what is written, in the order in which the tables are merged and
/// each table is clustered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The keys.
    pub entries: Vec<Entry>,
    /// What closes the group; its last slice has it.
    pub seal: Option<Seal>,
}

/// What is done when all keys of a group are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seal {
    /// The sources' partitions to delete: table, and the source's place in the group.
    pub deletes: Vec<(TableIndex, usize)>,
    /// The enrolments to announce.
    pub events: Vec<Announced>,
}

impl Slice {
    /// What is written for its keys, as sequences of batches: the sequences may go at the same time,
    /// the batches of one sequence only in turn, because a row is deleted no earlier than its own copy
    /// is acknowledged.
    pub fn writes(&self, spec: &Spec, survivor: &AccountId, t: TimestampUs) -> Vec<Vec<Batch>> {
        let mut sequences = Vec::new();
        // The survivor's partition of each table found by partition; its batches are independent.
        let mut pending: Vec<Vec<Mutation>> = vec![Vec::new(); spec.tables.len()];
        for entry in &self.entries {
            let table = &spec.tables[entry.table];
            let dated = |change| Mutation { table: entry.table, t, change };
            let change = entry.change(table, survivor).map(dated);
            match table.find {
                Find::Partition => pending[entry.table].extend(change),
                Find::Clustering { .. } => {
                    let copied = matches!(entry.write, super::Write::Copy { .. });
                    let mut mutations: Vec<Mutation> = change.into_iter().collect();
                    mutations.extend(entry.deletes(table).map(dated));
                    // The copied row is the first source's, so its delete follows the copy at once.
                    let inseparable = if copied { mutations.len().min(2) } else { 1 };
                    sequences.push(cut(mutations, inseparable));
                }
            }
        }
        let partitions = pending.into_iter().flat_map(|mutations| cut(mutations, 0));
        sequences.extend(partitions.map(|batch| vec![batch]));
        sequences.retain(|batches| !batches.is_empty());
        sequences
    }
}

impl Seal {
    /// One partition delete per source and table.
    pub fn batches(&self, group: &Group, t: TimestampUs) -> Vec<Batch> {
        let delete = |&(table, source): &(TableIndex, usize)| {
            let key: Bytes = group.pairs[source].from.cell().clone();
            let change = Change::DeletePartition { key };
            Batch { table, mutations: vec![Mutation { table, t, change }] }
        };
        self.deletes.iter().map(delete).collect()
    }
}

/// A slice in the making, with its bounds and counts.
#[derive(Debug)]
pub struct Draft {
    /// The slice so far.
    pub slice: Slice,
    /// The bytes that its rows hold.
    pub size_bytes: usize,
    /// What it does, in rows.
    pub tally: Tally,
}

impl Draft {
    /// Nothing yet.
    pub fn new(tables: usize) -> Self {
        Self { slice: Slice::default(), size_bytes: 0, tally: Tally::new(tables) }
    }

    /// Takes up a key. One that no source holds is counted and otherwise left alone.
    pub fn add(&mut self, entry: Entry, tally: &TableTally) {
        self.tally.tables[entry.table].add(tally);
        if !entry.sources.is_empty() {
            self.size_bytes += entry.size_bytes();
            self.slice.entries.push(entry);
        }
    }
}
