//! A slice: the part of a group's keys that is journaled and written together. Most groups are one
//! slice; a group that is too large to hold is cut between keys, so that every slice is complete in
//! itself.

use crate::model::{
    AccountId, Amount, Batch, Mutation, Scope, TableIndex, TableTally, Tally, TimestampUs,
};
use crate::spec::Spec;

use super::batch::cut_units;
use super::entry::Entry;
use super::findings::Announced;

/// Keys with their before-images and what is written, in the order in which the tables are merged and
/// each table is clustered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The keys.
    pub entries: Vec<Entry>,
    /// What closes the group; its last slice has it.
    pub completion: Option<Completion>,
}

/// What is done when all keys of a group are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The sources' partitions to delete.
    pub deletes: Vec<PartitionDelete>,
    /// The rows to announce.
    pub events: Vec<Announced>,
}

/// A partition of a source that is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionDelete {
    pub table: TableIndex,
    /// The source's number in the group.
    pub source: usize,
    /// The rest of the partition's key.
    pub scope: Scope,
}

impl Slice {
    /// What is written for its keys, as sequences of batches: the sequences may go at the same time,
    /// the batches of one sequence only in turn, because a row is deleted no earlier than its own copy
    /// is acknowledged.
    pub fn writes(&self, spec: &Spec, survivor: &AccountId, t: TimestampUs) -> Vec<Vec<Batch>> {
        let mut sequences: Vec<Vec<Batch>> = Vec::new();
        let mut of_scope: Option<(TableIndex, Scope)> = None;
        let mut units: Vec<Vec<Mutation>> = Vec::new();
        for entry in &self.entries {
            let table = &spec.tables[entry.table];
            // The keys of a scope follow each other; what is written for it is in one partition.
            let scope = table.scope_of(entry.base().map_or(&[], |row| &row.cells));
            if of_scope.as_ref().is_none_or(|of| (of.0, &of.1) != (entry.table, &scope)) {
                sequences.extend(of_scope.iter().flat_map(|of| in_turn(spec, of.0, &mut units)));
                of_scope = Some((entry.table, scope));
            }
            let dated = |change| Mutation { table: entry.table, t, change };
            let mut unit: Vec<Mutation> = entry.changes(table, survivor).map(dated).collect();
            let mut deletes = entry.deletes(table).map(dated);
            if matches!(entry.write, super::Write::Copy { .. }) {
                // The copied row is the first source's, so its delete follows the copy at once.
                unit.extend(deletes.next());
            }
            units.push(unit);
            units.extend(deletes.map(|delete| vec![delete]));
        }
        sequences.extend(of_scope.iter().flat_map(|of| in_turn(spec, of.0, &mut units)));
        sequences
    }
}

/// The sequences of what is written in one partition. Where all of it is the survivor's own, nothing is deleted there
/// and the batches are independent.
fn in_turn(spec: &Spec, table: TableIndex, units: &mut Vec<Vec<Mutation>>) -> Vec<Vec<Batch>> {
    let batches = cut_units(units.drain(..));
    match spec.tables[table].owns_partitions() {
        true => batches.into_iter().map(|batch| vec![batch]).collect(),
        false if batches.is_empty() => Vec::new(),
        false => vec![batches],
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
