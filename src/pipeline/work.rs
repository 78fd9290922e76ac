//! What is read of one group: drafts that become slices, and what is known of the group so far.
//!
//! What becomes of a slice is the business of a [`Sink`]: a merge journals and writes it, an inspection counts
//! it. Both read in the same way, so that what an inspection says is what a merge then does.

use std::collections::HashSet;
use std::future::Future;
use std::mem;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::account::{Batch, Row, TableIndex, Tally};
use crate::events::Outlet;
use crate::journal::{Intent, Kind, State, body};
use crate::merge::{Draft, Entry, Findings, Fold, Join, Matched, Seal, Slice};
use crate::storage::Reader;

use super::access::{Access, GROUP_REQUESTS, Pages};
use super::pages::LARGE_GROUP_BYTES;
use super::{Context, GroupError, LargePermit};

/// What becomes of the slices of a group.
pub(super) trait Sink<S>: Send {
    /// Takes the next slice.
    fn take(
        &mut self,
        context: &Context<S>,
        part: Part<'_>,
    ) -> impl Future<Output = Result<(), GroupError>> + Send;
}

/// A slice, with what is journaled and written for it.
pub(super) struct Part<'a> {
    pub(super) slice: Slice,
    pub(super) intent: Intent,
    pub(super) writes: Vec<Vec<Batch>>,
    /// What is known of the group by now.
    pub(super) findings: &'a Findings,
}

/// What is known of a group so far.
pub(super) struct Work<'a, S, K> {
    pub(super) access: Access<'a, S>,
    pub(super) findings: Findings,
    /// What has been read and is not a slice yet.
    draft: Draft,
    /// The counts of the slices.
    pub(super) tally: Tally,
    /// How far an earlier session came.
    reached: Reached,
    /// Held from the second page of a table on, or from the first if there are many streams.
    large: Option<LargePermit>,
    /// Where slices go.
    pub(super) sink: K,
}

/// The keys that are journaled already.
struct Reached {
    /// The last key, by table found by partition.
    keys: Vec<Option<Row>>,
    /// The partitions, by table found by clustering.
    partitions: Vec<HashSet<Bytes>>,
}

impl<'a, S: Reader, K: Sink<S>> Work<'a, S, K> {
    /// Nothing is known yet but the partitions that a scan has found: what the journal has of them is recalled into
    /// that.
    pub(super) fn new(access: Access<'a, S>, large: Option<LargePermit>, sink: K) -> Self {
        let Access { context, group, .. } = access;
        let tables = context.spec.tables.len();
        let mut findings = Findings::new(&context.spec, group.pairs.len());
        for (index, ..) in context.spec.clustering_tables() {
            findings.discover(index, context.discovered(index, group.index));
        }
        Work {
            access,
            findings,
            draft: Draft::new(tables),
            tally: Tally::new(tables),
            reached: Reached { keys: vec![None; tables], partitions: vec![HashSet::new(); tables] },
            large,
            sink,
        }
    }

    /// Takes over a key that is journaled already.
    pub(super) fn recall(&mut self, entry: &Entry) {
        self.findings.note(entry);
        let table = &self.access.context.spec.tables[entry.table];
        let Some(base) = entry.base() else { return };
        match base.cells.first() {
            Some(Some(partition)) if table.is_clustering() => {
                self.reached.partitions[entry.table].insert(partition.clone());
            }
            _ => {
                let key = base.cells[..table.key_len].to_vec();
                self.reached.keys[entry.table] = Some(Row { cells: key });
            }
        }
    }

    /// Steps 1 to 6, but for the deletes that come last: everything is read, and the sink has all slices.
    pub(super) async fn merge(&mut self) -> Result<Seal, GroupError> {
        let spec = &self.access.context.spec;
        for (index, _) in spec.partition_tables() {
            self.merge_partitions(index).await?;
        }
        for (index, ..) in spec.clustering_tables() {
            self.move_enrolments(index).await?;
        }
        self.seal().await
    }

    /// Steps 1 and 2: joins the pages of the survivor and of all sources.
    async fn merge_partitions(&mut self, index: TableIndex) -> Result<(), GroupError> {
        let Access { context, group, .. } = self.access;
        let table = &context.spec.tables[index];
        let mut pages = Pages::new(group.pairs.len());
        let mut join = Join::new(table, group.pairs.len());
        while !join.is_finished() {
            self.access.fetch(index, &mut join, &mut pages, &mut self.large).await?;
            while let Some(matched) = join.next_key() {
                self.merge_key(index, matched);
                if self.draft.size_bytes >= self.access.context.slice_bytes {
                    self.flush(None).await?;
                }
            }
            // Cells keep the pages alive that they came in, so the next pages wait for the write; and
            // what a large group holds is written before its permit is given back.
            let is_over = join.is_finished() && self.large.is_some();
            if is_over || pages.held_bytes >= LARGE_GROUP_BYTES {
                self.flush(None).await?;
                pages.held_bytes = 0;
            }
        }
        self.large = None;
        Ok(())
    }

    fn merge_key(&mut self, index: TableIndex, mut matched: Matched) {
        let table = &self.access.context.spec.tables[index];
        let row = matched.sources.first().map(|(_, row)| row).or(matched.target.as_ref());
        let reached = self.reached.keys[index].as_ref().zip(row);
        let is_journaled = reached.is_some_and(|(last, row)| table.compare(row, last).is_le());
        if is_journaled {
            // Only where the survivor's rows lead is news.
            matched.sources.clear();
        }
        let (entry, tally) = Fold::all(index, table, matched);
        self.findings.note(&entry);
        if !is_journaled {
            self.draft.add(entry, &tally);
        }
    }

    /// Steps 4 to 6: in each partition that the sources' rows lead to, or that a scan has found, the rows of the
    /// group.
    async fn move_enrolments(&mut self, index: TableIndex) -> Result<(), GroupError> {
        let access = self.access;
        let mut partitions = self.findings.partitions(index);
        partitions.retain(|partition| !self.reached.partitions[index].contains(partition));
        while !partitions.is_empty() {
            // Others may wait behind these reads, so they are seen through before anything is written.
            let some = partitions.drain(..partitions.len().min(GROUP_REQUESTS));
            let reads = some.map(|partition| access.enrolment(index, partition));
            let read: Vec<_> = stream::iter(reads).buffered(GROUP_REQUESTS).try_collect().await?;
            for (entry, tally) in read {
                self.findings.note(&entry);
                self.draft.add(entry, &tally);
                if self.draft.size_bytes >= self.access.context.slice_bytes {
                    self.flush(None).await?;
                }
            }
        }
        Ok(())
    }

    /// Hands over what is left, together with what closes the group.
    async fn seal(&mut self) -> Result<Seal, GroupError> {
        let Access { context, group, .. } = self.access;
        let spec = &context.spec;
        let mut seal = Seal::default();
        for (index, _) in spec.partition_tables().filter(|(_, table)| table.delete_source) {
            seal.deletes.extend(self.findings.owners(index).map(|source| (index, source)));
            let journaled = self.tally.tables[index].source_rows;
            let tally = &mut self.draft.tally.tables[index];
            tally.deleted = journaled + tally.source_rows;
        }
        if let Some(event) = &spec.event {
            seal.events = self.findings.announced(spec, event.table);
        }
        let tally = &mut self.draft.tally;
        if !matches!(context.outlet, Outlet::Discard) {
            tally.events = seal.events.len() as u64;
        }
        tally.absent_sources = (group.pairs.len() - self.findings.sources_with_rows()) as u64;
        let tables = self.tally.tables.iter().chain(&tally.tables);
        let survivor_rows: u64 = tables.map(|table| table.target_rows).sum();
        tally.absent_survivors = u64::from(survivor_rows == 0);
        self.flush(Some(seal.clone())).await?;
        Ok(seal)
    }

    /// Hands over what was read as a slice.
    async fn flush(&mut self, seal: Option<Seal>) -> Result<(), GroupError> {
        let Access { context, group, t, .. } = self.access;
        let tables = context.spec.tables.len();
        if self.draft.slice.entries.is_empty() && seal.is_none() {
            return Ok(()); // what was counted goes with the next slice
        }
        let Draft { mut slice, mut tally, .. } = mem::replace(&mut self.draft, Draft::new(tables));
        slice.seal = seal;
        let writes = slice.writes(&context.spec, &group.survivor, t);
        let deletes = slice.seal.as_ref().map_or(0, |seal| seal.deletes.len());
        tally.batches = (writes.iter().map(Vec::len).sum::<usize>() + deletes) as u64;
        tally.slices = 1;
        self.tally.add(&tally);
        let sealed = slice.seal.is_some();
        let partitions = match sealed {
            true => body::partitions(&context.spec, &self.findings),
            false => String::new(),
        };
        let intent = Intent {
            group: group.index,
            state: State::Intended,
            survivor: group.survivor.clone(),
            pairs: group.pairs.clone(),
            t,
            kind: Kind::Merge,
            sealed,
            tally,
            partitions,
            body: body::encode(&context.spec, &slice),
        };
        self.access.can_wait = false;
        let part = Part { slice, intent, writes, findings: &self.findings };
        self.sink.take(context, part).await
    }
}
