//! Pages, and how many rows to ask for: answers are bounded by bytes, which the protocol cannot say, so the size of a
//! table's rows is learnt from those seen.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::latency::Operation;
use crate::model::{Row, TableIndex};
use crate::storage::{Fault, KeyPage, Page, StorageError, TimedPage, Width};

use super::Context;
use super::attempt::{Attempts, Otherwise};
use super::request_limits::{Load, RequestKind, SAMPLE_ROWS, may_be_size};

/// A row is taken for this large where none is seen.
const UNSEEN_ROW_BYTES: usize = 1_024;
/// A row of which nothing is known may have so many bytes…
pub(super) const UNKNOWN_ROW_BYTES: usize = 9 * 256 * 1_024;
/// …until so many of its table have been seen; after n times as many it has an n-th of that, if none was larger.
const ROWS_THAT_TELL: usize = 20_000;
/// What the first pages of all streams of a group may hold together: small groups end here.
const FIRST_PAGES_BYTES: usize = 512 * 1_024;
/// What all open pages of a large group may hold together. At most
/// [`LARGE_GROUPS`](super::LARGE_GROUPS) run at once.
pub(super) const LARGE_GROUP_BYTES: usize = 8 * 1_024 * 1_024;
/// What a page of a row with its times takes, at least, in units of what its values take in the estimates that
/// bound pages: a cell and its time are several words each, however short the value.
pub(super) const TIMES_WEIGH: usize = 4;
/// A group of more streams than this is large from its first page on.
pub(super) const SMALL_GROUP_STREAMS: usize = 64;
/// The accounts whose rows one read asks for at most.
const MOST_ACCOUNTS: usize = 100;
/// More rows than this in a page make the server build large answers for nothing.
const MOST_ROWS: usize = 5_000;

/// What rows of each table weigh, learnt while running: of both widths, keys, and those that are read page by page.
#[derive(Debug)]
pub(super) struct RowSizes(Vec<OfTable>);

#[derive(Debug, Default)]
struct OfTable {
    slots: [AtomicUsize; 4],
    /// Of the largest rows seen, whoever owns them.
    largest: AtomicUsize,
    /// How many rows were seen with all their values.
    seen: AtomicUsize,
}

impl RowSizes {
    /// Nothing seen yet, for this many tables.
    pub(super) fn new(tables: usize) -> Self {
        Self((0..tables).map(|_| OfTable::default()).collect())
    }

    /// Learns from an answer: rows and bytes of each account.
    pub(super) fn learn(
        &self,
        table: TableIndex,
        kind: RequestKind,
        accounts: impl Iterator<Item = (usize, usize)>,
    ) {
        let mut count = 0;
        let accounts = accounts.inspect(|(rows, _)| count += rows);
        let seen = accounts.filter_map(|(rows, bytes)| bytes.checked_div(rows)).max();
        if !matches!(
            kind,
            RequestKind::Keys | RequestKind::First(Width::Slim) | RequestKind::Page(Width::Slim)
        ) {
            self.0[table].largest.fetch_max(seen.unwrap_or_default(), Ordering::Relaxed);
            self.0[table].seen.fetch_add(count, Ordering::Relaxed);
        }
        if kind == RequestKind::One {
            return;
        }
        let known = self.slot(table, kind);
        let before = known.load(Ordering::Relaxed);
        // Larger rows count at once, smaller ones slowly: the estimate errs towards small pages.
        let after = match seen {
            Some(seen) if seen >= before => seen,
            Some(seen) => before - (before - seen) / 8,
            None if before == 0 => UNSEEN_ROW_BYTES,
            None => before,
        };
        known.store(after.max(1), Ordering::Relaxed);
    }

    /// Whether an answer has been seen.
    pub(super) fn is_seen(&self, table: TableIndex, kind: RequestKind) -> bool {
        self.known(table, kind) > 0
    }

    /// The bytes of a row.
    pub(super) fn row(&self, table: TableIndex, kind: RequestKind) -> usize {
        match (kind, self.known(table, kind)) {
            (RequestKind::One, largest) => largest.max(self.unseen(table)),
            (_, 0) => UNSEEN_ROW_BYTES,
            (_, known) => known,
        }
    }

    /// The bytes of the largest rows seen.
    pub(super) fn largest(&self, table: TableIndex) -> usize {
        self.known(table, RequestKind::One)
    }

    /// The bytes that a row may have which is larger than all that were seen: whoever has met small ones only cannot know
    /// of the large ones that come, but many are likely to have shown one.
    pub(super) fn unseen(&self, table: TableIndex) -> usize {
        let seen = self.0[table].seen.load(Ordering::Relaxed);
        UNKNOWN_ROW_BYTES / (seen / ROWS_THAT_TELL).max(1)
    }

    /// The rows to ask for in the first page of each of `streams` streams.
    pub(super) fn first_page(&self, table: TableIndex, width: Width, streams: usize) -> usize {
        self.rows_in(FIRST_PAGES_BYTES / streams.max(1), table, RequestKind::Page(width))
    }

    /// The rows to ask for of each of `accounts` whose first pages are one answer.
    pub(super) fn first_page_of_each(
        &self,
        table: TableIndex,
        width: Width,
        accounts: usize,
    ) -> usize {
        self.rows_in(FIRST_PAGES_BYTES / accounts.max(1), table, RequestKind::First(width))
    }

    /// The rows to ask for in further pages, of which `streams` are open.
    pub(super) fn further_page(&self, table: TableIndex, width: Width, streams: usize) -> usize {
        self.rows_in(LARGE_GROUP_BYTES / streams.max(1), table, RequestKind::Page(width))
    }

    /// The accounts to ask for at once where each owns one row at most.
    pub(super) fn accounts_per_read(&self, table: TableIndex) -> usize {
        self.rows_in(FIRST_PAGES_BYTES, table, RequestKind::Rows).min(MOST_ACCOUNTS)
    }

    fn rows_in(&self, bytes: usize, table: TableIndex, kind: RequestKind) -> usize {
        (bytes / self.row(table, kind)).clamp(2, MOST_ROWS)
    }

    /// The bytes of a row as learnt; 0 if nothing is.
    fn known(&self, table: TableIndex, kind: RequestKind) -> usize {
        let known = |slot: &AtomicUsize| slot.load(Ordering::Relaxed);
        let own = known(self.slot(table, kind));
        match kind {
            // Whoever owns small rows may be read page by page as well.
            RequestKind::Page(Width::Full) | RequestKind::TimedPage => {
                own.max(known(self.slot(table, RequestKind::Rows)))
            }
            _ => own,
        }
    }

    fn slot(&self, table: TableIndex, kind: RequestKind) -> &AtomicUsize {
        let OfTable { slots, largest, .. } = &self.0[table];
        match kind {
            RequestKind::First(Width::Slim) | RequestKind::Page(Width::Slim) => &slots[1],
            RequestKind::Keys => &slots[2],
            RequestKind::Page(Width::Full) | RequestKind::TimedPage => &slots[3],
            RequestKind::One => largest,
            _ => &slots[0],
        }
    }
}

/// Whether the rows of an account are so large that it is not asked for together with others.
pub(super) fn is_large_row(row_bytes: usize) -> bool {
    const ACCOUNTS_THAT_SHARE: usize = 16;
    2 * TIMES_WEIGH * row_bytes > FIRST_PAGES_BYTES / ACCOUNTS_THAT_SHARE
}

/// What a page holds.
pub(super) trait Weighed {
    /// Rows, and their bytes.
    fn weigh(&self) -> (usize, usize);

    /// The bytes of one of them.
    fn row_bytes(&self) -> usize {
        let (rows, bytes) = self.weigh();
        bytes.checked_div(rows).unwrap_or_default()
    }
}

impl Weighed for Page {
    fn weigh(&self) -> (usize, usize) {
        (self.rows.len(), self.rows.iter().map(Row::size_bytes).sum())
    }
}

impl Weighed for TimedPage {
    fn weigh(&self) -> (usize, usize) {
        (self.rows.len(), self.rows.iter().map(|timed| timed.row.size_bytes()).sum())
    }
}

impl Weighed for KeyPage {
    fn weigh(&self) -> (usize, usize) {
        let bytes = |(scope, account): &(crate::model::Scope, bytes::Bytes)| {
            scope.values().iter().map(bytes::Bytes::len).sum::<usize>() + account.len()
        };
        (self.keys.len(), self.keys.iter().map(bytes).sum())
    }
}

/// Requests of one sort.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sort {
    pub(super) kind: RequestKind,
    pub(super) table: TableIndex,
    pub(super) operation: Operation,
}

impl<S> Context<S> {
    /// Reads a page of at most so many rows, or of as many as are little enough and as the server gives; `row_bytes` is
    /// what is known of the size of its rows, 0 if nothing is.
    ///
    /// # Errors
    /// As [`carry_out`](Self::carry_out), for a single row.
    pub(super) async fn page_of<T: Weighed, F>(
        &self,
        sort: Sort,
        rows: usize,
        row_bytes: usize,
        request: impl Fn(usize) -> F,
    ) -> Result<T, StorageError>
    where
        F: Future<Output = Result<T, StorageError>>,
    {
        let (request_limits, Sort { kind, table, operation }) = (&self.request_limits, sort);
        let most = |rows: usize| rows.min(request_limits.rows_of_page(kind, table, row_bytes));
        let mut refused: Option<(Load, Fault)> = None;
        let mut trial = None;
        let mut rows = most(rows);
        let mut is_common = false;
        loop {
            if trial.is_none() && !is_common {
                trial = request_limits.trial(Load { kind, table, count: rows, bytes: 0 }).await;
            }
            rows = most(rows);
            if trial.is_some() && !request_limits.is_seen(kind, table) {
                rows = rows.min(SAMPLE_ROWS);
            }
            let load = Load { kind, table, count: rows, bytes: 0 };
            let otherwise = match (rows, refused) {
                (..=1, _) => Otherwise::Fails,
                _ if is_common => Otherwise::Fails,
                (_, None) => Otherwise::IsLess { late_tries: 2 },
                (_, Some(_)) => Otherwise::IsLess { late_tries: 1 },
            };
            if rows <= 1 && request_limits.is_seen(kind, table) {
                trial = None;
            }
            let bytes = rows * request_limits.row(kind, table).max(kind.with_times(row_bytes));
            let attempts = Attempts { otherwise, bytes, ..self.attempts(1) };
            let send = || {
                // Others may have met larger rows while it waited.
                let is_late = most(rows) < rows / 2;
                let page = (!is_late).then(|| request(rows));
                async {
                    match page {
                        Some(page) => page.await.map(Some),
                        None => Ok(None),
                    }
                }
            };
            match attempts.carry_out(operation, send).await {
                Ok(None) => {}
                Ok(Some(page)) => {
                    request_limits.sizes.learn(table, kind, [page.weigh()].into_iter());
                    request_limits.took(load);
                    if let Some((load, why)) = refused {
                        request_limits.too_large(load, why);
                    }
                    return Ok(page);
                }
                // As many rows were taken before: it is something else.
                Err(error) if error.kind == Fault::Permanent && request_limits.has_taken(load) => {
                    return Err(error);
                }
                // Nothing is found out by it.
                Err(error) if error.kind == Fault::Transient && !is_common => {
                    (trial, is_common) = (None, true);
                }
                Err(error) if rows > 1 && may_be_size(error.kind) => {
                    refused = Some((load, error.kind));
                    rows /= 2;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_size_of_rows() {
        let sizes = RowSizes::new(1);
        let unseen = sizes.first_page(0, Width::Full, 2);
        let learn =
            |bytes| sizes.learn(0, RequestKind::Page(Width::Full), [(1, bytes)].into_iter());
        learn(100_000);
        assert!(sizes.first_page(0, Width::Full, 2) < unseen / 50);
        assert_eq!(sizes.first_page(0, Width::Slim, 2), unseen, "widths are apart");
        (0..200).for_each(|_| learn(1));
        assert!(sizes.first_page(0, Width::Full, 2) > unseen);
        assert_eq!(sizes.first_page(0, Width::Full, 1_000_000), 2, "never less than two rows");
    }

    #[test]
    fn the_largest_account_of_an_answer_counts() {
        let sizes = RowSizes::new(1);
        assert!(!sizes.is_seen(0, RequestKind::TimedPage));
        sizes.learn(0, RequestKind::Rows, [(10, 1_000), (0, 0), (2, 40_000)].into_iter());
        assert_eq!(sizes.row(0, RequestKind::TimedPage), 20_000);
        sizes.learn(0, RequestKind::Rows, [(0, 0)].into_iter());
        assert_eq!(sizes.row(0, RequestKind::TimedPage), 20_000, "nothing says nothing");
    }

    #[test]
    fn whoever_is_read_page_by_page_does_not_make_others_small() {
        let sizes = RowSizes::new(1);
        let first = || sizes.first_page_of_each(0, Width::Full, 16);
        sizes.learn(0, RequestKind::First(Width::Full), [(10, 1_000)].into_iter());
        let before = first();
        sizes.learn(0, RequestKind::Page(Width::Full), [(1, 1_000_000)].into_iter());
        assert_eq!(first(), before);
        assert_eq!(sizes.row(0, RequestKind::TimedPage), 1_000_000);
        assert_eq!(sizes.largest(0), 1_000_000);
        sizes.learn(0, RequestKind::One, [(1, 3_000_000)].into_iter());
        assert_eq!((sizes.row(0, RequestKind::One), first()), (3_000_000, before));
    }

    #[test]
    fn many_small_rows_make_large_ones_less_likely() {
        let sizes = RowSizes::new(1);
        let learn = |kind, rows| sizes.learn(0, kind, [(rows, rows * 100)].into_iter());
        learn(RequestKind::Rows, ROWS_THAT_TELL);
        assert_eq!(sizes.unseen(0), UNKNOWN_ROW_BYTES);
        learn(RequestKind::First(Width::Slim), ROWS_THAT_TELL);
        assert_eq!(sizes.unseen(0), UNKNOWN_ROW_BYTES, "their values were not among it");
        learn(RequestKind::Rows, 3 * ROWS_THAT_TELL);
        assert_eq!(sizes.unseen(0), UNKNOWN_ROW_BYTES / 4);
    }
}
