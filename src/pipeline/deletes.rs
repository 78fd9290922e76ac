//! How many rows are deleted in each partition that sources share: a batch with very many deletes is slow to read, or
//! cannot be read at all, until the server has dropped its tombstones.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::merge::Slice;
use crate::model::{Scope, TableIndex};
use crate::ranking::{Ranked, Ranking};
use crate::readable;
use crate::spec::Spec;
use crate::storage::TombstoneLimits;

use super::Context;

/// Partitions whose deletes are counted apart from each other, at most.
const PARTITIONS: usize = 32_768;
/// Deletes are counted in so many parts of one, because a group of a sample stands for more than itself.
const PARTS: f64 = 1_024.0;
/// Partitions that are named in the log, at most.
const NAMED: usize = 10;

/// Deletes by partition.
#[derive(Debug)]
pub struct Deletes {
    /// What a read of a partition may meet.
    pub(crate) limits: TombstoneLimits,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    ranking: Ranking<(TableIndex, Scope)>,
    named: usize,
}

/// A partition and the deletes in it.
pub(crate) type HotPartition = Ranked<(TableIndex, Scope)>;

impl Default for Deletes {
    fn default() -> Self {
        let counted = Counted { ranking: Ranking::new(PARTITIONS), named: 0 };
        Self { limits: TombstoneLimits::default(), counted: Mutex::new(counted) }
    }
}

impl Deletes {
    /// Counts the deletes of a slice, each so many times; answers the partitions that have reached a limit with it.
    pub(super) fn count(
        &self,
        spec: &Spec,
        slice: &Slice,
        weight: f64,
    ) -> Vec<(TableIndex, Scope, u64)> {
        let mut counted = self.counted();
        let mut reached = Vec::new();
        for entry in &slice.entries {
            let table = &spec.tables[entry.table];
            let deletes = entry.sources.len() as u64;
            if deletes == 0 || !table.delete_source || table.owns_partitions() {
                continue;
            }
            let Some(base) = entry.base() else { continue };
            // Where accounts share partitions, a scope is one.
            let partition = table.scope_of(&base.cells).detached();
            let parts = (deletes as f64 * weight * PARTS).round() as u64;
            let (before, now) = counted.ranking.add((entry.table, partition.clone()), parts);
            let [before, now] = [before, now].map(whole);
            let TombstoneLimits { warn, fail } = self.limits;
            if [warn, fail].iter().any(|limit| before < *limit && *limit <= now) {
                reached.push((entry.table, partition, now));
            }
        }
        reached
    }

    /// Those that a read may have to skip most of: `most` at most, the first is the worst.
    pub fn hottest(&self, most: usize) -> Vec<HotPartition> {
        let top = self.counted().ranking.top(most).into_iter();
        top.map(|Ranked { key, at_least, at_most }| Ranked {
            key,
            at_least: whole(at_least),
            at_most: whole(at_most),
        })
        .collect()
    }

    /// How many partitions have at least so many deletes.
    pub fn reached(&self, deletes: u64) -> u64 {
        let parts = (deletes as f64 - 0.5) * PARTS;
        self.counted().ranking.reached(parts.max(1.0) as u64) as u64
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole(parts: u64) -> u64 {
    (parts as f64 / PARTS).round() as u64
}

impl<S> Context<S> {
    /// Counts the deletes of a slice that is about to be written, and warns of partitions that get very many.
    pub(super) fn track_deletes(&self, slice: &Slice) {
        for (table, partition, deletes) in self.deletes.count(&self.spec, slice, 1.0) {
            let table = &self.spec.tables[table];
            let TombstoneLimits { warn, fail } = self.deletes.limits;
            let partition = readable::scope(table, &partition);
            let mut counted = self.deletes.counted();
            counted.named += 1;
            let named = counted.named;
            drop(counted);
            if deletes >= fail {
                tracing::warn!(
                    "{deletes} rows are deleted in '{}' of {}: a read of the whole of it fails at \
                     {fail} tombstones, until the server has dropped them",
                    partition.escape_debug(),
                    table.name,
                );
            } else if named <= NAMED {
                tracing::warn!(
                    "{deletes} rows are deleted in '{}' of {}: the server warns of reads that meet {warn} \
                     tombstones{}",
                    partition.escape_debug(),
                    table.name,
                    if named == NAMED { "; further ones are in the report" } else { "" },
                );
            }
        }
    }
}
