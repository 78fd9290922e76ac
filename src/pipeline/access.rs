//! One group's way to the cluster, the journal and the sink of events: its requests, retried and measured.

use futures::{StreamExt, TryStreamExt, stream, try_join};

use crate::failpoint;
use crate::journal::{JournalError, Note, State};
use crate::merge::{self, Completion, Entry, Fold, SweepSlice};
use crate::model::{AccountId, Group, Scope, TableIndex, TableTally, TimestampUs};
use crate::storage::{Cursor, Page, Reader, Width, Writer};

use super::overtaken::{self, Acknowledged, Raised};
use super::pages::{SMALL_GROUP_STREAMS, Sort, Weighed};
use super::request_limits::{RequestKind, SAMPLE_ROWS};
use super::work::Joined;
use super::{GroupError, LargePermit, Window};

/// Requests that one group has under way at once.
pub(super) const GROUP_REQUESTS: usize = 16;

/// One group's way to the cluster, the journal and the sink of events.
pub(super) struct Access<'a, S> {
    pub(super) window: &'a Window<S>,
    pub(super) group: &'a Group,
    pub(super) t: TimestampUs,
    /// Whether the group can be deferred because it is large: nothing of it is journaled yet.
    pub(super) can_wait: bool,
}

impl<S> Clone for Access<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Access<'_, S> {}

impl<'a, S: Reader> Access<'a, S> {
    /// Stream 0 is the survivor, stream `n` the n-th source.
    fn stream(&self, stream: usize) -> (&'a AccountId, Width) {
        match stream {
            0 => (&self.group.survivor, Width::Slim),
            source => (&self.group.pairs[source - 1].from, Width::Full),
        }
    }

    /// Feeds the join: every stream that it waits for, and those that it will wait for soon.
    pub(super) async fn fetch(
        &self,
        joined: &mut Joined<'_>,
        large: &mut Option<LargePermit>,
    ) -> Result<(), GroupError> {
        let Joined { table: index, scope, join, pages } = joined;
        let (index, scope) = (*index, &*scope);
        let sizes = &self.window.request_limits.sizes;
        let owns_partitions = self.window.spec.tables[index].owns_partitions();
        let first = pages.fetched == 0;
        let streams = join.open_streams();
        let is_large = !first || streams > SMALL_GROUP_STREAMS || large.is_some();
        if is_large && large.is_none() {
            if self.can_wait {
                return Err(GroupError::Deferred);
            }
            *large = Some(self.window.admit_large_group().await);
        }
        let rows = |width| match first {
            // It was deferred, or has many streams: what its rows weigh is seen first.
            true if is_large => sizes.first_page(index, width, streams).min(SAMPLE_ROWS),
            true => sizes.first_page(index, width, streams),
            false => sizes.further_page(index, width, streams),
        };
        let row_bytes = pages.row_bytes;
        let hungry = join.hungry((rows(Width::Full) / 2).max(1));
        let starts: Vec<_> =
            hungry.into_iter().map(|stream| (stream, pages.next[stream].take())).collect();
        let requests = starts.into_iter().map(|(stream, after)| {
            let (account, width) = self.stream(stream);
            let rows = rows(width);
            async move {
                let mut row_bytes = row_bytes;
                if first && !is_large && owns_partitions {
                    match self.window.first_page(index, scope, account, width).await? {
                        Ok(rows) => return Ok((stream, Page { rows, next: None })),
                        Err(seen) => row_bytes = row_bytes.max(seen),
                    }
                }
                let operation = self.window.operations.read(index, width);
                let sort = Sort { kind: RequestKind::Page(width), table: index, operation };
                let page = self
                    .window
                    .page_of(sort, rows, row_bytes, |rows| {
                        let rows_of = (scope, account);
                        self.window.storage.page(index, rows_of, width, rows, after.clone())
                    })
                    .await?;
                self.window.count(page.weigh().1);
                Ok::<_, GroupError>((stream, page))
            }
        });
        let mut answers = stream::iter(requests).buffer_unordered(GROUP_REQUESTS);
        while let Some((stream, page)) = answers.try_next().await? {
            pages.fetched += 1;
            let (rows, bytes) = page.weigh();
            pages.row_bytes = pages.row_bytes.max(bytes.checked_div(rows).unwrap_or_default());
            pages.held_bytes += bytes;
            join.feed(stream, page.rows, page.next.is_none())?;
            pages.next[stream] = page.next;
        }
        Ok(())
    }

    /// What is made of all rows of a key: what they mention is mapped by the whole plan.
    pub(super) fn folded(&self, fold: Fold<'_>) -> (Entry, TableTally) {
        let (mut entry, tally) = fold.finish_for(&self.group.survivor);
        let table = &self.window.spec.tables[entry.table];
        entry.map_mentions(table, |account| self.window.survivor_of(account));
        (entry, tally)
    }

    /// The rows of the group in one scope of a table in which each account owns one.
    pub(super) async fn point(
        &self,
        index: TableIndex,
        scope: Scope,
    ) -> Result<(Entry, TableTally), GroupError> {
        let table = &self.window.spec.tables[index];
        let mut accounts: Vec<AccountId> = vec![self.group.survivor.clone()];
        accounts.extend(self.group.sources().cloned());
        let mut rows = self.window.rows_of(index, &scope, &accounts).await?;
        rows.iter_mut().flatten().for_each(|row| self.window.mark_runs(row));
        let mut rows = rows.into_iter();
        // The survivor is the first of the accounts.
        let mut fold = Fold::new(index, table, rows.next().flatten());
        for (source, row) in rows.enumerate() {
            row.into_iter().for_each(|row| fold.add(source, row));
        }
        let (entry, mut tally) = self.folded(fold);
        tally.deleted = if table.delete_source { tally.source_rows } else { 0 };
        Ok((entry, tally))
    }
}

impl<S: Writer> Access<'_, S> {
    pub(super) fn note(&self, state: State) -> Result<(), JournalError> {
        let group = self.group.index;
        self.window.journal.note(Note { group, state, reason: None, known_as: None })
    }

    /// What follows when every copy is acknowledged: the sources' partitions go (step 3, last of all writes), and what
    /// the application has overtaken meanwhile is computed anew.
    pub(super) async fn complete(&self, completion: &Completion) -> Result<Raised, GroupError> {
        let Self { window, group, t, .. } = *self;
        let writes = Acknowledged {
            since: t,
            at: window.as_of.now().max(t),
            state: State::Intended,
            is_fresh: t == window.t,
        };
        failpoint::hit("copied");
        let deletes = async { Ok(window.delete_sources(group, completion, t).await?) };
        let ((), overtaken) = try_join!(deletes, overtaken::find(window, group, t))?;
        overtaken::raise(window, group, overtaken, writes).await
    }

    /// Step 7: one event per affected row, after every write of the group is acknowledged.
    pub(super) async fn announce(
        &self,
        completion: Completion,
        raised: Vec<(TimestampUs, SweepSlice)>,
    ) -> Result<(), GroupError> {
        let Some(event) = &self.window.spec.event else { return Ok(()) };
        let later = raised.iter().flat_map(|(t, slice)| slice.events.iter().map(|one| (*t, one)));
        let mut announced: Vec<_> = completion.events.iter().map(|one| (self.t, one)).collect();
        for (t, one) in later {
            if announced
                .iter()
                .all(|(_, known)| (&known.scope, known.left) != (&one.scope, one.left))
            {
                announced.push((t, one));
            }
        }
        let announced = announced.into_iter();
        let events = announced.map(|(t, one)| merge::event(event, one.account(self.group), one, t));
        Ok(self.window.deliver(events.collect()).await?)
    }
}

/// Where each stream's next page starts.
pub(super) struct Pages {
    next: Vec<Option<Cursor>>,
    fetched: usize,
    /// The bytes of a row, in the page of the largest ones.
    row_bytes: usize,
    /// The bytes of the rows that were fetched since the last write.
    pub(super) held_bytes: usize,
}

impl Pages {
    pub(super) fn new(sources: usize) -> Self {
        Self { next: vec![None; sources + 1], fetched: 0, row_bytes: 0, held_bytes: 0 }
    }
}
