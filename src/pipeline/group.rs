//! One group, from its first read to its last acknowledgement: the seven steps of a merge.
//!
//! What is read becomes a draft; a full draft becomes a slice: journaled, then written. The last slice
//! is sealed: it also says which partitions are deleted and what is announced when all is written. A group that
//! the journal knows already goes on where it stopped, with the same T and the same values.

use std::collections::HashSet;
use std::mem;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use thiserror::Error;

use crate::account::{Group, Row, TableIndex, Tally};
use crate::events::{EventError, Outlet};
use crate::failpoint;
use crate::journal::{Intent, JournalError, Kind, SliceRecord, State, body};
use crate::merge::{Draft, Entry, Findings, Fold, Join, Matched, OutOfOrder, Seal};
use crate::storage::{Fault, StorageError, Writer};

use super::access::{Access, GROUP_REQUESTS, Pages};
use super::pages::LARGE_GROUP_BYTES;
use super::{Context, sweep};

/// Why a group was given up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// A read or write failed for good.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Rows came in an order that cannot be joined.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// The journal failed: nothing that it does not cover was written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the journal holds of the group cannot be understood.
    #[error("the journal's record of the group cannot be read: {0}")]
    Record(String),
    /// The broker refused an event. All rows are merged by then.
    #[error("rows are merged, but an event could not be delivered: {0}")]
    Events(#[from] EventError),
}

impl GroupError {
    /// Whether every other group would fail as well.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Storage(error) => error.kind == Fault::Fatal,
            Self::Events(error) => error.is_fatal(),
            Self::Journal(_) => true,
            Self::OutOfOrder(_) | Self::Record(_) => false,
        }
    }

    /// What failed, without what differs from group to group.
    pub fn class(&self) -> String {
        match self {
            Self::Storage(error) => error.class.clone(),
            other => other.to_string(),
        }
    }
}

/// Merges one group; `earlier` is where the journal says that it stands.
///
/// # Errors
/// What stopped it. A source's row is still there unless its copy was acknowledged, and a source's rows in
/// the tables found by partition are still there, all of them. Merging it again, with what the journal says
/// of it, ends as if nothing had happened.
pub async fn merge_group<S: Writer>(
    context: &Context<S>,
    group: &Group,
    earlier: Option<State>,
) -> Result<Tally, GroupError> {
    if matches!(earlier, Some(State::Sweeping | State::Failed))
        && let Some(tally) = sweep::replay(context, group).await?
    {
        return Ok(tally);
    }
    let (mut work, sealed) = Work::begin(Access { context, group, t: 0 }, earlier).await?;
    let seal = match sealed {
        Some(seal) => seal,
        None => work.merge().await?,
    };
    if earlier != Some(State::Written) {
        work.access.delete_sources(&seal).await?;
        work.access.note(State::Written)?;
    }
    failpoint::hit("written");
    work.access.announce(seal).await?;
    failpoint::hit("announced");
    work.access.note(State::Done)?;
    Ok(work.tally)
}

/// What is known of a group so far.
struct Work<'a, S> {
    access: Access<'a, S>,
    findings: Findings,
    /// What has been read and is not journaled yet.
    draft: Draft,
    /// The counts of what is journaled.
    tally: Tally,
    /// How far an earlier session came.
    reached: Reached,
}

/// The keys that are journaled already.
#[derive(Default)]
struct Reached {
    /// The last key, by table found by partition.
    keys: Vec<Option<Row>>,
    /// The partitions, by table found by clustering.
    partitions: Vec<HashSet<Bytes>>,
}

impl<'a, S: Writer> Work<'a, S> {
    /// Takes up a group. What the journal has of it is written again (an earlier session may have been
    /// stopped half way); its seal is returned if the journal has all of it.
    async fn begin(
        access: Access<'a, S>,
        earlier: Option<State>,
    ) -> Result<(Self, Option<Seal>), GroupError> {
        let Access { context, group, .. } = access;
        let tables = context.spec.tables.len();
        let mut work = Work {
            access,
            findings: Findings::new(&context.spec, group.pairs.len()),
            draft: Draft::new(tables),
            tally: Tally::new(tables),
            reached: Reached { keys: vec![None; tables], partitions: vec![HashSet::new(); tables] },
        };
        let recorded = match earlier {
            None => Vec::new(),
            Some(_) => context.journal.slices(group.index)?,
        };
        let recorded: Vec<SliceRecord> =
            recorded.into_iter().filter(|slice| slice.kind == Kind::Merge).collect();
        let Some(last) = recorded.last() else {
            work.access.t = context.as_of.stamp();
            return Ok((work, None));
        };
        work.access.t = last.t;
        for record in &recorded {
            work.tally.add(&record.tally);
            // What earlier slices hold is only of use to the slices that are still to come.
            if last.sealed && record.id != last.id {
                continue;
            }
            let body = context.journal.body(record.id)?;
            let slice = body::decode(&context.spec, &body).map_err(GroupError::Record)?;
            if record.id == last.id && earlier != Some(State::Written) {
                work.access.write_slice(&slice).await?;
            }
            slice.entries.iter().for_each(|entry| work.recall(entry));
            if let Some(seal) = slice.seal {
                return Ok((work, Some(seal)));
            }
        }
        Ok((work, None))
    }

    /// Takes over a key that is journaled already.
    fn recall(&mut self, entry: &Entry) {
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

    /// Steps 1 to 6, but for the deletes that come last: everything is read, journaled and written.
    async fn merge(&mut self) -> Result<Seal, GroupError> {
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
        let access = self.access;
        let table = &access.context.spec.tables[index];
        let mut pages = Pages::new(access.group.pairs.len());
        let mut join = Join::new(table, access.group.pairs.len());
        while !join.is_finished() {
            access.fetch(index, &mut join, &mut pages).await?;
            while let Some(matched) = join.next_key() {
                self.merge_key(index, matched);
                if self.draft.size_bytes >= self.access.context.slice_bytes {
                    self.flush(None).await?;
                }
            }
            // Cells keep the pages alive that they came in, so the next pages wait for the write; and
            // what a large group holds is written before its permit is given back.
            let is_over = join.is_finished() && pages.large.is_some();
            if is_over || pages.held_bytes >= LARGE_GROUP_BYTES {
                self.flush(None).await?;
                pages.held_bytes = 0;
            }
        }
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
        self.findings.discover(index, access.context.discovered(index, access.group.index));
        let mut partitions = self.findings.partitions(index);
        partitions.retain(|partition| !self.reached.partitions[index].contains(partition));
        let reads = partitions.into_iter().map(|partition| access.enrolment(index, partition));
        let mut read = stream::iter(reads).buffered(GROUP_REQUESTS);
        while let Some((entry, tally)) = read.try_next().await? {
            self.findings.note(&entry);
            self.draft.add(entry, &tally);
            if self.draft.size_bytes >= self.access.context.slice_bytes {
                self.flush(None).await?;
            }
        }
        Ok(())
    }

    /// Journals and writes what is left, together with what closes the group.
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

    /// Journals what was read as a slice, then writes it.
    async fn flush(&mut self, seal: Option<Seal>) -> Result<(), GroupError> {
        let Access { context, group, t } = self.access;
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
        // The rows live on in the writes, which hold less than the before-images.
        drop(slice);
        context.intend(intent).await?;
        Ok(context.write_all(writes).await?)
    }
}
