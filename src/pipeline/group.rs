//! One group, from its first read to its last acknowledgement: the seven steps of a merge.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use thiserror::Error;
use tokio::sync::SemaphorePermit;

use crate::account::{
    AccountId, Batch, Change, Group, Mutation, Row, TableIndex, Tally, TimestampUs,
};
use crate::events::EventError;
use crate::latency::Lane;
use crate::merge::{self, Enrolled, Enrolment, Findings, Join, OutOfOrder, Slice, SliceContext};
use crate::storage::{Cursor, Fault, StorageError, Width, Writer};

use super::Context;
use super::attempt::Attempts;
use super::pages::{LARGE_GROUP_BYTES, SMALL_GROUP_STREAMS};

/// Requests that one group has under way at once.
const GROUP_REQUESTS: usize = 16;
/// A slice is written when its mutations hold this much.
const SLICE_BYTES: usize = 1024 * 1024;

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
            Self::OutOfOrder(_) => false,
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

/// Merges one group.
///
/// # Errors
/// What stopped it. A source's row is still there unless its copy was acknowledged, and a source's rows in
/// the tables found by partition are still there, all of them, so that the group can be merged again.
pub async fn merge_group<S: Writer>(
    context: &Context<S>,
    group: &Group,
) -> Result<Tally, GroupError> {
    let mut work = Work {
        context,
        group,
        t: context.as_of.stamp(),
        findings: Findings::new(&context.spec, group.pairs.len()),
        tally: Tally::new(context.spec.tables.len()),
    };
    for (index, _) in context.spec.partition_tables() {
        work.merge_partitions(index).await?;
    }
    for (index, ..) in context.spec.clustering_tables() {
        work.move_enrolments(index).await?;
    }
    for (index, table) in context.spec.partition_tables() {
        if table.delete_source {
            work.delete_sources(index).await?;
        }
    }
    work.announce().await?;
    Ok(work.finish())
}

struct Work<'a, S> {
    context: &'a Context<S>,
    group: &'a Group,
    t: TimestampUs,
    findings: Findings,
    tally: Tally,
}

impl<'a, S: Writer> Work<'a, S> {
    fn attempts(&self) -> Attempts<'a> {
        self.context.attempts()
    }

    fn slice_context(&self, index: TableIndex) -> SliceContext<'a> {
        let table = &self.context.spec.tables[index];
        SliceContext { index, table, survivor: &self.group.survivor, t: self.t }
    }

    /// Stream 0 is the survivor, stream `n` the n-th source.
    fn stream(&self, stream: usize) -> (&'a AccountId, Width) {
        match stream {
            0 => (&self.group.survivor, Width::Slim),
            source => (&self.group.pairs[source - 1].from, Width::Full),
        }
    }

    /// Steps 1 and 2: joins the pages of the survivor and of all sources, and writes slice by slice.
    async fn merge_partitions(&mut self, index: TableIndex) -> Result<(), GroupError> {
        let context = self.slice_context(index);
        let mut pages = Pages::new(self.group.pairs.len());
        let mut join = Join::new(context.table, self.group.pairs.len());
        let mut slice = Slice::default();
        loop {
            self.fetch(index, &mut join, &mut pages).await?;
            while let Some(matched) = join.next_key() {
                slice.merge(context, matched, &mut self.findings);
                if slice.size_bytes >= SLICE_BYTES {
                    self.write_slice(index, std::mem::take(&mut slice)).await?;
                }
            }
            if join.is_finished() {
                return self.write_slice(index, slice).await;
            }
            // Cells keep the pages alive that they came in, so the next pages wait for the write.
            if pages.held_bytes >= LARGE_GROUP_BYTES {
                self.write_slice(index, std::mem::take(&mut slice)).await?;
                pages.held_bytes = 0;
            }
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

    async fn write_slice(&mut self, index: TableIndex, slice: Slice) -> Result<(), GroupError> {
        self.tally.tables[index].add(&slice.tally);
        self.tally.slices += 1;
        let batches = merge::cut(slice.mutations, 0);
        self.tally.batches += batches.len() as u64;
        let writes: Vec<_> = batches.iter().map(|batch| self.write(batch)).collect();
        stream::iter(writes).buffer_unordered(GROUP_REQUESTS).try_collect().await
    }

    async fn write(&self, batch: &Batch) -> Result<(), GroupError> {
        self.write_in(self.context.lanes.write(batch.table), batch).await
    }

    async fn write_in(&self, lane: Lane, batch: &Batch) -> Result<(), GroupError> {
        let write = || self.context.storage.write(batch);
        Ok(self.attempts().carry_out(lane, write).await?)
    }

    /// Steps 4 to 6: in each partition that the sources' rows lead to, moves their rows.
    async fn move_enrolments(&mut self, index: TableIndex) -> Result<(), GroupError> {
        let partitions = self.findings.partitions(index);
        let mut moved = {
            let this = &*self;
            let moves = partitions.into_iter().map(|key| async move {
                let enrolled = this.move_enrolment(index, &key).await?;
                Ok::<_, GroupError>((key, enrolled))
            });
            let moves: Vec<_> = moves.collect();
            stream::iter(moves).buffer_unordered(GROUP_REQUESTS).try_collect::<Vec<_>>().await?
        };
        for (key, (enrolled, batches)) in &mut moved {
            self.tally.tables[index].add(&enrolled.tally);
            self.tally.batches += *batches;
            self.findings.enrolled(index, key, enrolled);
        }
        Ok(())
    }

    async fn move_enrolment(
        &self,
        index: TableIndex,
        key: &Bytes,
    ) -> Result<(Enrolled, u64), GroupError> {
        let context = self.slice_context(index);
        let mut accounts: Vec<AccountId> = vec![self.group.survivor.clone()];
        accounts.extend(self.group.sources().cloned());
        let mut enrolment: Option<Enrolment<'_>> = None;
        let per_read = self.context.row_sizes.accounts_per_read(index);
        for (part, chunk) in accounts.chunks(per_read).enumerate() {
            let lane = self.context.lanes.read(index, Width::Full);
            let read = || self.context.storage.rows_of(index, key, chunk);
            let rows = self.attempts().carry_out(lane, read).await?;
            self.context.row_sizes.learn(index, Width::Full, &rows);
            let mut by_account = in_order(context.table.account, chunk, rows);
            // The survivor is the first account of the first chunk.
            let enrolment = enrolment.get_or_insert_with(|| {
                Enrolment::new(context, by_account.first_mut().and_then(Option::take))
            });
            for (place, (account, row)) in chunk.iter().zip(by_account).enumerate() {
                if let Some(row) = row {
                    // The survivor, whose row is taken already, is the account at 0.
                    enrolment.add(part * per_read + place - 1, account, row);
                }
            }
        }
        let quoted = self.context.quoted_columns(index);
        let enrolment = enrolment.unwrap_or_else(|| Enrolment::new(context, None));
        let mut enrolled = enrolment.finish(key, &quoted);
        let mutations = std::mem::take(&mut enrolled.mutations);
        let batches = merge::cut(mutations, enrolled.inseparable);
        // In order: the first batch holds the copy, the others delete more sources.
        for batch in &batches {
            self.write(batch).await?;
        }
        Ok((enrolled, batches.len() as u64))
    }

    /// Step 3, last of all writes: one partition delete per source that owns rows.
    async fn delete_sources(&mut self, index: TableIndex) -> Result<(), GroupError> {
        let batches: Vec<Batch> = self
            .findings
            .owners(index)
            .map(|source| {
                let key = self.group.pairs[source].from.cell().clone();
                let change = Change::DeletePartition { key };
                Batch {
                    table: index,
                    mutations: vec![Mutation { table: index, t: self.t, change }],
                }
            })
            .collect();
        self.tally.batches += batches.len() as u64;
        let tally = &mut self.tally.tables[index];
        tally.deleted = tally.source_rows;
        let lane = self.context.lanes.delete(index);
        let deletes: Vec<_> = batches.iter().map(|batch| self.write_in(lane, batch)).collect();
        stream::iter(deletes).buffer_unordered(GROUP_REQUESTS).try_collect().await
    }

    /// Step 7: one event per affected enrolment, after every write of the group is acknowledged.
    async fn announce(&mut self) -> Result<(), GroupError> {
        let Some(event) = &self.context.spec.event else { return Ok(()) };
        let announced = self.findings.announced(&self.context.spec, event.table, self.t);
        let events: Vec<_> = announced
            .iter()
            .map(|announced| merge::event(event, &self.group.survivor, announced))
            .collect();
        self.context.produced.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.tally.events += self.context.outlet.deliver(events).await?;
        Ok(())
    }

    fn finish(mut self) -> Tally {
        let sources = self.group.pairs.len() as u64;
        let owners = self.findings.sources_with_rows() as u64;
        self.tally.absent_sources = sources - owners;
        let survivor_rows: u64 = self.tally.tables.iter().map(|table| table.target_rows).sum();
        self.tally.absent_survivors = u64::from(survivor_rows == 0);
        self.tally
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
