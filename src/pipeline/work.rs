//! What is read of one group: drafts that become slices, and what is known of the group so far.
//!
//! What becomes of a slice is the business of a [`Sink`]: a merge journals and writes it, an inspection counts
//! it. Both read in the same way, so that what an inspection says is what a merge then does.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::mem;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::events::EventSink;
use crate::journal::{Intent, SliceKind, State};
use crate::merge::{Completion, Draft, Entry, Findings, Fold, Join, Matched, Slice};
use crate::model::{Amount, Batch, Group, Row, Scope, TableIndex, Tally};
use crate::spec::Table;
use crate::storage::Reader;

use super::access::{Access, GROUP_REQUESTS, Pages};
use super::pages::{LARGE_GROUP_BYTES, SMALL_GROUP_STREAMS};
use super::{GroupError, LargePermit, Window};

/// Scopes of a group whose first pages are read at once, and held.
const SCOPES_AT_ONCE: usize = 8;

/// What becomes of the slices of a group.
pub(super) trait Sink<S>: Send {
    /// Whether the intent of this slice, the next one, needs its body.
    fn needs_body(&mut self, _slice: &Slice) -> bool {
        true
    }

    /// Takes the next slice.
    fn take(
        &mut self,
        window: &Window<S>,
        part: PreparedSlice<'_>,
    ) -> impl Future<Output = Result<(), GroupError>> + Send;
}

/// A slice, with what is journaled and written for it.
pub(super) struct PreparedSlice<'a> {
    pub(super) group: &'a Group,
    pub(super) slice: Slice,
    pub(super) intent: Intent,
    pub(super) writes: Vec<Vec<Batch>>,
    /// What is known of the group by now.
    pub(super) findings: &'a Findings,
}

/// What is known of a group so far.
pub(super) struct GroupWork<'a, S, K> {
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

/// The keys that are journaled already, by table and scope.
#[derive(Default)]
struct Reached {
    /// The last key of each scope whose rows come in order.
    keys: HashMap<(TableIndex, Scope), Row>,
    /// The scopes in which an account owns one row.
    points: HashSet<(TableIndex, Scope)>,
}

/// The rows of a group in one scope of a table, as far as they have been read.
pub(super) struct Joined<'a> {
    pub(super) table: TableIndex,
    pub(super) scope: Scope,
    pub(super) join: Join<'a>,
    pub(super) pages: Pages,
}

impl<'a, S: Reader, K: Sink<S>> GroupWork<'a, S, K> {
    /// Nothing is known yet but the scopes that a scan has found: what the journal has of them is recalled into
    /// that.
    pub(super) fn new(access: Access<'a, S>, large: Option<LargePermit>, sink: K) -> Self {
        let Access { window, group, .. } = access;
        let tables = window.spec.tables.len();
        let mut findings = Findings::new(&window.spec, group.pairs.len());
        for (index, _) in window.spec.discovered() {
            findings.discover(index, window.discovered(index, group.index));
        }
        GroupWork {
            access,
            findings,
            draft: Draft::new(tables),
            tally: Tally::new(tables),
            reached: Reached::default(),
            large,
            sink,
        }
    }

    /// Takes over a key that is journaled already. What is kept is copied: the entry's values are parts of a slice.
    pub(super) fn recall(&mut self, entry: &Entry) {
        let table = &self.access.window.spec.tables[entry.table];
        self.findings.note(table, entry);
        let Some(base) = entry.base() else { return };
        let scope = (entry.table, table.scope_of(&base.cells).detached());
        if table.has_point_rows() {
            self.reached.points.insert(scope);
        } else {
            let key = base.cells[..table.key_len].iter();
            let cells = key.map(|cell| cell.as_deref().map(Bytes::copy_from_slice)).collect();
            self.reached.keys.insert(scope, Row::new(cells));
        }
    }

    /// Steps 1 to 6, but for the deletes that come last: everything is read, and the sink has all slices.
    pub(super) async fn merge(&mut self) -> Result<Completion, GroupError> {
        let spec = &self.access.window.spec;
        for (index, table) in spec.in_order() {
            let scopes = match table.locator.constant() {
                Some(scope) => vec![scope],
                None => self.findings.scopes(index),
            };
            if table.has_point_rows() {
                self.merge_points(index, scopes).await?;
            } else {
                self.merge_streams(index, scopes).await?;
            }
        }
        self.complete().await
    }

    /// Scopes in which an account may own any number of rows: the pages of the survivor and of all sources are joined,
    /// scope by scope. The first pages of several scopes are read at once.
    async fn merge_streams(
        &mut self,
        index: TableIndex,
        mut scopes: Vec<Scope>,
    ) -> Result<(), GroupError> {
        let Access { window, group, .. } = self.access;
        let table: &'a Table = &window.spec.tables[index];
        let sources = group.pairs.len();
        // A group of many streams is held back as a whole, so it takes one scope after the other.
        let at_once = if sources < SMALL_GROUP_STREAMS { SCOPES_AT_ONCE } else { 1 };
        while !scopes.is_empty() {
            let some: Vec<Scope> = scopes.drain(..scopes.len().min(at_once)).collect();
            let is_alone = some.len() == 1;
            let access = self.access;
            let starts = some.into_iter().map(|scope| async move {
                let (join, pages) = (Join::new(table, sources), Pages::new(sources));
                let mut joined = Joined { table: index, scope, join, pages };
                if !is_alone {
                    access.fetch(&mut joined, &mut None).await?;
                }
                Ok::<_, GroupError>(joined)
            });
            // They are one step of the window, so they are seen through before anything is written.
            let starts: Vec<_> = starts.collect();
            let read: Vec<_> = stream::iter(starts).buffered(SCOPES_AT_ONCE).try_collect().await?;
            for joined in read {
                self.merge_scope(joined).await?;
            }
        }
        Ok(())
    }

    /// Steps 1 and 2: one scope to its end.
    async fn merge_scope(&mut self, mut joined: Joined<'a>) -> Result<(), GroupError> {
        let last = self.reached.keys.remove(&(joined.table, joined.scope.clone()));
        loop {
            while let Some(matched) = joined.join.next_key() {
                self.merge_key(joined.table, last.as_ref(), matched);
                if self.draft.size_bytes >= self.access.window.slice_bytes {
                    self.flush(None).await?;
                }
            }
            // Cells keep the pages alive that they came in, so the next pages wait for the write; and
            // what a large group holds is written before its permit is given back.
            let is_over = joined.join.is_finished();
            if is_over && self.large.is_some() || joined.pages.held_bytes >= LARGE_GROUP_BYTES {
                self.flush(None).await?;
                joined.pages.held_bytes = 0;
            }
            if is_over {
                self.large = None;
                return Ok(());
            }
            self.access.fetch(&mut joined, &mut self.large).await?;
        }
    }

    /// A key of a scope; those up to `last` are journaled already.
    fn merge_key(&mut self, index: TableIndex, last: Option<&Row>, mut matched: Matched) {
        let table = &self.access.window.spec.tables[index];
        let row = matched.sources.first().map(|(_, row)| row).or(matched.target.as_ref());
        let is_journaled =
            last.zip(row).is_some_and(|(last, row)| table.compare(row, last).is_le());
        if is_journaled {
            // Only where the survivor's rows lead is news.
            matched.sources.clear();
        }
        let rows = matched.sources.iter_mut().map(|(_, row)| row);
        rows.chain(&mut matched.target).for_each(|row| self.access.window.mark_runs(row));
        let (entry, mut tally) = self.access.folded(Fold::of(index, table, matched));
        if table.delete_source && !table.owns_partitions() {
            // What is deleted row by row is counted so; whole partitions are counted at the end.
            tally.deleted = tally.source_rows;
        }
        self.findings.note(table, &entry);
        if !is_journaled {
            self.draft.add(entry, &tally);
        }
    }

    /// Steps 4 to 6: in each scope that the sources' rows lead to, or that a scan has found, the one row of each account
    /// of the group.
    async fn merge_points(
        &mut self,
        index: TableIndex,
        mut scopes: Vec<Scope>,
    ) -> Result<(), GroupError> {
        let access = self.access;
        let table = &access.window.spec.tables[index];
        scopes.retain(|scope| !self.reached.points.contains(&(index, scope.clone())));
        while !scopes.is_empty() {
            // They are one step of the window, so they are seen through before anything is written.
            let some = scopes.drain(..scopes.len().min(GROUP_REQUESTS));
            let reads = some.map(|scope| access.point(index, scope));
            let read: Vec<_> = stream::iter(reads).buffered(GROUP_REQUESTS).try_collect().await?;
            for (entry, tally) in read {
                self.findings.note(table, &entry);
                self.draft.add(entry, &tally);
                if self.draft.size_bytes >= self.access.window.slice_bytes {
                    self.flush(None).await?;
                }
            }
        }
        Ok(())
    }

    /// Hands over what is left, together with what closes the group.
    async fn complete(&mut self) -> Result<Completion, GroupError> {
        let Access { window, group, .. } = self.access;
        let spec = &window.spec;
        let mut completion = Completion::default();
        for (index, table) in spec.in_order().filter(|(_, table)| table.delete_source) {
            if !table.owns_partitions() {
                continue;
            }
            completion.deletes.extend(self.findings.partitions(index).cloned());
            let journaled = self.tally.tables[index].source_rows;
            let tally = &mut self.draft.tally.tables[index];
            tally.deleted = journaled + tally.source_rows;
        }
        if let Some(event) = &spec.event {
            completion.events = self.findings.announced(spec, event.table);
        }
        let tally = &mut self.draft.tally;
        if !matches!(window.event_sink, EventSink::Discard) {
            tally.events = completion.events.len() as u64;
        }
        tally.absent_sources = (group.pairs.len() - self.findings.sources_with_rows()) as u64;
        let tables = self.tally.tables.iter().chain(&tally.tables);
        let survivor_rows: u64 = tables.map(|table| table.target_rows).sum();
        tally.absent_survivors = u64::from(survivor_rows == 0);
        self.flush(Some(completion.clone())).await?;
        Ok(completion)
    }

    /// Refuses rows of which nobody tells how long they last, where that is to be carried.
    fn see_expiring(&self) -> Result<(), GroupError> {
        let Access { window, group, .. } = self.access;
        for entry in &self.draft.slice.entries {
            let table = &window.spec.tables[entry.table];
            let is_bare = |row: &Row| row.cells.iter().skip(table.key_len).all(Option::is_none);
            let mut rows = entry.sources.iter().filter(|_| table.carries_ttls);
            if let Some((source, _)) = rows.find(|(_, row)| is_bare(row)) {
                let account = group.pairs[*source].from.to_string();
                return Err(GroupError::Bare { account, table: table.name.clone() });
            }
        }
        Ok(())
    }

    /// Hands over what was read as a slice.
    async fn flush(&mut self, completion: Option<Completion>) -> Result<(), GroupError> {
        self.see_expiring()?;
        let Access { window, group, t, .. } = self.access;
        let tables = window.spec.tables.len();
        if self.draft.slice.entries.is_empty() && completion.is_none() {
            return Ok(()); // what was counted goes with the next slice
        }
        let Draft { mut slice, mut tally, .. } = mem::replace(&mut self.draft, Draft::new(tables));
        slice.completion = completion;
        let writes = slice.writes(&window.spec, &group.survivor, t);
        let deletes = slice.completion.as_ref().map_or(0, |completion| completion.deletes.len());
        tally.batches = (writes.iter().map(Vec::len).sum::<usize>() + deletes) as u64;
        tally.slices = 1;
        self.tally.add(&tally);
        let completes = slice.completion.is_some();
        let scopes = match completes {
            true => {
                let tables = window.spec.discovered();
                let found = tables.map(|(table, _)| (table, self.findings.scopes(table)));
                window.codec.encode_scopes(&found.collect::<Vec<_>>())
            }
            false => Vec::new(),
        };
        let body = match self.sink.needs_body(&slice) {
            true => window.codec.encode(&slice),
            false => Vec::new(),
        };
        let intent = window.intent(group, (SliceKind::Merge, State::Intended), t, body);
        let intent = Intent { completes, tally, scopes, ..intent };
        self.access.can_wait = false;
        let part = PreparedSlice { group, slice, intent, writes, findings: &self.findings };
        self.sink.take(window, part).await
    }
}
