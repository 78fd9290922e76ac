//! One group, from its first read to its last acknowledgement: the seven steps of a merge.
//!
//! What is read becomes a draft; a full draft becomes a slice: journaled, then written. The last slice
//! is sealed: it also says which partitions are deleted and what is announced when all is written. A group that
//! the journal knows already goes on where it stopped, with the same T and the same values.

use std::collections::HashSet;
use std::mem;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use thiserror::Error;
use tokio::sync::SemaphorePermit;

use crate::account::{AccountId, Batch, Group, Row, TableIndex, TableTally, Tally, TimestampUs};
use crate::events::{EventError, Outlet};
use crate::failpoint;
use crate::journal::{Intent, JournalError, Kind, Note, SliceRecord, State, body};
use crate::latency::Lane;
use crate::merge::{self, Draft, Entry, Findings, Fold, Join, Matched, OutOfOrder, Seal, Slice};
use crate::storage::{Cursor, Fault, StorageError, Width, Writer};

use super::Context;
use super::attempt::Attempts;
use super::pages::{LARGE_GROUP_BYTES, SMALL_GROUP_STREAMS};

/// Requests that one group has under way at once.
const GROUP_REQUESTS: usize = 16;
/// A slice is journaled and written when its rows hold this much.
const SLICE_BYTES: usize = 512 * 1024;

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

/// One group's way to the cluster, the journal and the broker.
struct Access<'a, S> {
    context: &'a Context<S>,
    group: &'a Group,
    t: TimestampUs,
}

impl<S> Clone for Access<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Access<'_, S> {}

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
                if self.draft.size_bytes >= SLICE_BYTES {
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

    fn merge_key(&mut self, index: TableIndex, matched: Matched) {
        let table = &self.access.context.spec.tables[index];
        let Matched { target, mut sources } = matched;
        let row = sources.first().map(|(_, row)| row).or(target.as_ref());
        let reached = self.reached.keys[index].as_ref().zip(row);
        let is_journaled = reached.is_some_and(|(last, row)| table.compare(row, last).is_le());
        if is_journaled {
            // Only where the survivor's rows lead is news.
            sources.clear();
        }
        let mut fold = Fold::new(index, table, target);
        for (source, row) in sources {
            fold.add(source, row);
        }
        let (entry, tally) = fold.finish();
        self.findings.note(&entry);
        if !is_journaled {
            self.draft.add(entry, &tally);
        }
    }

    /// Steps 4 to 6: in each partition that the sources' rows lead to, the rows of the group.
    async fn move_enrolments(&mut self, index: TableIndex) -> Result<(), GroupError> {
        let access = self.access;
        let mut partitions = self.findings.partitions(index);
        partitions.retain(|partition| !self.reached.partitions[index].contains(partition));
        let reads = partitions.iter().map(|partition| access.enrolment(index, partition));
        let mut read = stream::iter(reads).buffered(GROUP_REQUESTS);
        while let Some((entry, tally)) = read.try_next().await? {
            self.findings.note(&entry);
            self.draft.add(entry, &tally);
            if self.draft.size_bytes >= SLICE_BYTES {
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
        let Draft { mut slice, mut tally, .. } = mem::replace(&mut self.draft, Draft::new(tables));
        slice.seal = seal;
        if slice.entries.is_empty() && slice.seal.is_none() {
            return Ok(());
        }
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
        self.access.write_all(&writes).await
    }
}

impl<'a, S: Writer> Access<'a, S> {
    fn attempts(&self) -> Attempts<'a> {
        self.context.attempts()
    }

    fn note(&self, state: State) -> Result<(), JournalError> {
        let group = self.group.index;
        self.context.journal.note(Note { group, state, reason: None, known_as: None })
    }

    /// Stream 0 is the survivor, stream `n` the n-th source.
    fn stream(&self, stream: usize) -> (&'a AccountId, Width) {
        match stream {
            0 => (&self.group.survivor, Width::Slim),
            source => (&self.group.pairs[source - 1].from, Width::Full),
        }
    }

    /// Feeds the join: every stream that it waits for, and those that it will wait for soon.
    async fn fetch(
        &self,
        index: TableIndex,
        join: &mut Join<'_>,
        pages: &mut Pages<'a>,
    ) -> Result<(), GroupError> {
        let sizes = &self.context.row_sizes;
        let first = pages.fetched == 0;
        let streams = join.open_streams();
        let is_large = !first || streams > SMALL_GROUP_STREAMS;
        if is_large && pages.large.is_none() {
            pages.large = Some(self.context.admit_large_group().await);
        }
        let rows = |width| match first {
            true => sizes.first_page(index, width, streams),
            false => sizes.further_page(index, width, streams),
        };
        let hungry = join.hungry((rows(Width::Full) / 2).max(1));
        let starts: Vec<_> =
            hungry.into_iter().map(|stream| (stream, pages.next[stream].take())).collect();
        let requests = starts.into_iter().map(|(stream, after)| {
            let (account, width) = self.stream(stream);
            let rows = rows(width);
            async move {
                let lane = self.context.lanes.read(index, width);
                let page = self
                    .attempts()
                    .carry_out(lane, || {
                        self.context.storage.page(index, account, width, rows, after.clone())
                    })
                    .await?;
                sizes.learn(index, width, &page.rows);
                Ok::<_, GroupError>((stream, page))
            }
        });
        let mut answers = stream::iter(requests).buffer_unordered(GROUP_REQUESTS);
        while let Some((stream, page)) = answers.try_next().await? {
            pages.fetched += 1;
            pages.held_bytes += page.rows.iter().map(Row::size_bytes).sum::<usize>();
            join.feed(stream, page.rows, page.next.is_none())?;
            pages.next[stream] = page.next;
        }
        Ok(())
    }

    /// The rows of the group in one partition of a table in which the account is a clustering column.
    async fn enrolment(
        &self,
        index: TableIndex,
        partition: &Bytes,
    ) -> Result<(Entry, TableTally), GroupError> {
        let table = &self.context.spec.tables[index];
        let mut accounts: Vec<AccountId> = vec![self.group.survivor.clone()];
        accounts.extend(self.group.sources().cloned());
        let mut fold: Option<Fold<'_>> = None;
        let per_read = self.context.row_sizes.accounts_per_read(index);
        for (part, chunk) in accounts.chunks(per_read).enumerate() {
            let lane = self.context.lanes.read(index, Width::Full);
            let read = || self.context.storage.rows_of(index, partition, chunk);
            let rows = self.attempts().carry_out(lane, read).await?;
            self.context.row_sizes.learn(index, Width::Full, &rows);
            let mut by_account = in_order(table.account, chunk, rows);
            // The survivor is the first account of the first chunk.
            let fold = fold.get_or_insert_with(|| {
                Fold::new(index, table, by_account.first_mut().and_then(Option::take))
            });
            for (place, row) in by_account.into_iter().enumerate() {
                if let Some(row) = row {
                    // The survivor, whose row is taken already, is the account at 0.
                    fold.add(part * per_read + place - 1, row);
                }
            }
        }
        let (entry, mut tally) = fold.unwrap_or_else(|| Fold::new(index, table, None)).finish();
        tally.deleted = if table.delete_source { tally.source_rows } else { 0 };
        Ok((entry, tally))
    }

    async fn write_slice(&self, slice: &Slice) -> Result<(), GroupError> {
        self.write_all(&slice.writes(&self.context.spec, &self.group.survivor, self.t)).await
    }

    /// Writes sequences of batches: the sequences at the same time, the batches of each in turn.
    async fn write_all(&self, sequences: &[Vec<Batch>]) -> Result<(), GroupError> {
        let writes = sequences.iter().map(|batches| async move {
            for batch in batches {
                self.write_in(self.context.lanes.write(batch.table), batch).await?;
                failpoint::hit("batch");
            }
            Ok::<_, GroupError>(())
        });
        let writes: Vec<_> = writes.collect();
        stream::iter(writes).buffer_unordered(GROUP_REQUESTS).try_collect().await
    }

    async fn write_in(&self, lane: Lane, batch: &Batch) -> Result<(), GroupError> {
        let write = || self.context.storage.write(batch);
        Ok(self.attempts().carry_out(lane, write).await?)
    }

    /// Step 3, last of all writes: one partition delete per source that owns rows.
    async fn delete_sources(&self, seal: &Seal) -> Result<(), GroupError> {
        failpoint::hit("copied");
        let batches = seal.batches(self.group, self.t);
        let deletes: Vec<_> = batches
            .iter()
            .map(|batch| async move {
                self.write_in(self.context.lanes.delete(batch.table), batch).await?;
                failpoint::hit("deleted");
                Ok::<_, GroupError>(())
            })
            .collect();
        stream::iter(deletes).buffer_unordered(GROUP_REQUESTS).try_collect().await
    }

    /// Step 7: one event per affected enrolment, after every write of the group is acknowledged.
    async fn announce(&self, seal: Seal) -> Result<(), GroupError> {
        let Some(event) = &self.context.spec.event else { return Ok(()) };
        let announced = seal.events.iter();
        let events: Vec<_> = announced
            .map(|announced| merge::event(event, &self.group.survivor, announced, self.t))
            .collect();
        self.context.produced.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.context.outlet.deliver(events).await?;
        Ok(())
    }
}

/// Where each stream's next page starts.
struct Pages<'a> {
    next: Vec<Option<Cursor>>,
    fetched: usize,
    /// The bytes of the rows that were fetched since the last write.
    held_bytes: usize,
    /// Held from the second page on, or from the first if there are many streams.
    large: Option<SemaphorePermit<'a>>,
}

impl Pages<'_> {
    fn new(sources: usize) -> Self {
        Self { next: vec![None; sources + 1], fetched: 0, held_bytes: 0, large: None }
    }
}

/// Rows in the order of their accounts.
fn in_order(column: usize, accounts: &[AccountId], rows: Vec<Row>) -> Vec<Option<Row>> {
    let mut ordered: Vec<Option<Row>> = accounts.iter().map(|_| None).collect();
    for row in rows {
        let owner = row.cells[column].as_ref();
        let position = accounts.iter().position(|account| Some(account.cell()) == owner);
        if let Some(position) = position {
            ordered[position] = Some(row);
        }
    }
    ordered
}
