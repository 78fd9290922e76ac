//! The look: which sources of a window of groups own anything again. No values are read.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::account::{AccountId, TableIndex};
use crate::journal::{Kind, SliceRecord, body};
use crate::plan::Plan;
use crate::spec::Spec;
use crate::storage::{Reader, StorageError};

use super::super::{Context, Discover, GroupError};

/// Accounts whose partitions one read asks for: enough to save most round trips, few enough for one coordinator.
const ACCOUNTS_PER_LOOK: usize = 32;
/// Accounts that one read asks for in one partition.
const ACCOUNTS_PER_PARTITION: usize = 100;
/// Reads under way at once.
const LOOKS: usize = 32;

/// The sources of a window of groups, and where their rows had been.
pub(super) struct Look {
    /// The tables whose sources are deleted: found by partition.
    tables: Vec<TableIndex>,
    /// The sources, with their groups.
    sources: Vec<(AccountId, usize)>,
    /// Tables found by clustering have been scanned: there is nothing more to be asked of their partitions.
    is_scanned: bool,
    /// By table and partition: positions in `sources`.
    partitions: HashMap<(TableIndex, Bytes), Vec<usize>>,
}

impl Look {
    /// Gathers what the journal says of the groups that are done.
    pub(super) fn at<S>(
        context: &Context<S>,
        plan: &Plan,
        window: Range<usize>,
        is_done: impl Fn(usize) -> bool,
    ) -> Result<Self, GroupError> {
        let spec = &context.spec;
        let tables = spec.partition_tables().filter(|(_, table)| table.delete_source);
        let mut look = Self {
            tables: tables.map(|(index, _)| index).collect(),
            sources: Vec::new(),
            is_scanned: context.discover == Discover::Scan,
            partitions: HashMap::new(),
        };
        let records = context.journal.slices_between(Kind::Merge, window.start, window.end)?;
        let mut places = HashMap::new();
        for record in records.iter().filter(|record| record.sealed && is_done(record.group)) {
            let first = look.sources.len();
            let group = plan.group(record.group);
            look.sources.extend(group.sources().map(|source| (source.clone(), record.group)));
            places.insert(record.group, first..look.sources.len());
            look.add_partitions(spec, record, first..look.sources.len())?;
        }
        // Earlier sweeps may have taken the rows that lead to a partition.
        for record in context.journal.slices_between(Kind::Sweep, window.start, window.end)? {
            if let Some(sources) = places.get(&record.group) {
                look.add_partitions(spec, &record, sources.clone())?;
            }
        }
        Ok(look)
    }

    fn add_partitions(
        &mut self,
        spec: &Spec,
        record: &SliceRecord,
        sources: Range<usize>,
    ) -> Result<(), GroupError> {
        let led_to = body::read_partitions(spec, &record.partitions);
        if self.is_scanned {
            return Ok(());
        }
        for (table, partition) in led_to.map_err(GroupError::Record)? {
            if spec.tables[table].delete_source {
                let known = self.partitions.entry((table, partition)).or_default();
                if !known.contains(&sources.start) {
                    known.extend(sources.clone());
                }
            }
        }
        Ok(())
    }

    pub(super) fn sources(&self) -> u64 {
        self.sources.len() as u64
    }

    /// The groups of which a source owns something.
    pub(super) async fn find<S: Reader>(
        &self,
        context: &Context<S>,
    ) -> Result<BTreeSet<usize>, StorageError> {
        let mut found = BTreeSet::new();
        let by_account: HashMap<&AccountId, usize> =
            self.sources.iter().map(|(account, group)| (account, *group)).collect();
        let accounts: Vec<AccountId> =
            self.sources.iter().map(|(account, _)| account.clone()).collect();
        let chunks = self.tables.iter().flat_map(|table| {
            let chunks = accounts.chunks(ACCOUNTS_PER_LOOK);
            chunks.map(|chunk| (*table, chunk.to_vec()))
        });
        let looks = chunks.map(|(table, accounts)| async move {
            let lane = context.lanes.look(table);
            context.carry_out(lane, || context.storage.occupied(table, &accounts)).await
        });
        let looks: Vec<_> = looks.collect();
        let mut looks = stream::iter(looks).buffer_unordered(LOOKS);
        while let Some(owners) = looks.try_next().await? {
            found.extend(owners.iter().filter_map(|owner| by_account.get(owner)));
        }
        let chunks = self.partitions.iter().flat_map(|((table, partition), sources)| {
            let chunks = sources.chunks(ACCOUNTS_PER_PARTITION);
            chunks.map(|chunk| {
                let accounts = chunk.iter().map(|source| self.sources[*source].0.clone());
                (*table, partition.clone(), accounts.collect::<Vec<_>>())
            })
        });
        let looks = chunks.map(|(table, partition, accounts)| async move {
            let lane = context.lanes.look(table);
            let look = || context.storage.present_in(table, &partition, &accounts);
            context.carry_out(lane, look).await
        });
        let looks: Vec<_> = looks.collect();
        let mut looks = stream::iter(looks).buffer_unordered(LOOKS);
        while let Some(owners) = looks.try_next().await? {
            found.extend(owners.iter().filter_map(|owner| by_account.get(owner)));
        }
        Ok(found)
    }
}
