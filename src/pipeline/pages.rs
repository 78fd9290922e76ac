//! How many rows to ask for: pages are bounded by bytes, which the protocol cannot say, so the size of a
//! table's rows is learnt from those seen.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::model::{Row, TableIndex};
use crate::storage::Width;

/// A row is taken for this large until one is seen.
const UNSEEN_ROW_BYTES: usize = 1_024;
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

/// What rows of each table weigh, learnt while running.
#[derive(Debug)]
pub(super) struct RowSizes(Vec<[AtomicUsize; 2]>);

impl RowSizes {
    /// Nothing seen yet, for this many tables.
    pub(super) fn new(tables: usize) -> Self {
        Self((0..tables).map(|_| [0, 0].map(AtomicUsize::new)).collect())
    }

    /// Learns from a page.
    pub(super) fn learn<'a>(
        &self,
        table: TableIndex,
        width: Width,
        rows: impl IntoIterator<Item = &'a Row>,
    ) {
        let (mut count, mut bytes) = (0, 0);
        for row in rows {
            count += 1;
            bytes += row.size_bytes();
        }
        if count == 0 {
            return;
        }
        let seen = bytes / count;
        let known = self.slot(table, width);
        let before = known.load(Ordering::Relaxed);
        // Larger rows count at once, smaller ones slowly: the estimate errs towards small pages.
        let after = if seen >= before { seen } else { before - (before - seen) / 8 };
        known.store(after, Ordering::Relaxed);
    }

    /// The rows to ask for in the first page of each of `streams` streams.
    pub(super) fn first_page(&self, table: TableIndex, width: Width, streams: usize) -> usize {
        self.rows_in(FIRST_PAGES_BYTES / streams.max(1), table, width)
    }

    /// The rows to ask for in further pages, of which `streams` are open.
    pub(super) fn further_page(&self, table: TableIndex, width: Width, streams: usize) -> usize {
        self.rows_in(LARGE_GROUP_BYTES / streams.max(1), table, width)
    }

    /// The accounts to ask for at once where each owns one row at most.
    pub(super) fn accounts_per_read(&self, table: TableIndex) -> usize {
        self.rows_in(FIRST_PAGES_BYTES, table, Width::Full).min(MOST_ACCOUNTS)
    }

    fn rows_in(&self, bytes: usize, table: TableIndex, width: Width) -> usize {
        let known = match self.slot(table, width).load(Ordering::Relaxed) {
            0 => UNSEEN_ROW_BYTES,
            known => known,
        };
        (bytes / known).clamp(2, MOST_ROWS)
    }

    fn slot(&self, table: TableIndex, width: Width) -> &AtomicUsize {
        &self.0[table][usize::from(width == Width::Slim)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn pages_follow_the_size_of_rows() {
        let sizes = RowSizes::new(1);
        let unseen = sizes.first_page(0, Width::Full, 2);
        let large = Row { cells: vec![Some(Bytes::from(vec![0; 100_000]))] };
        sizes.learn(0, Width::Full, &[large]);
        assert!(sizes.first_page(0, Width::Full, 2) < unseen / 50);
        assert_eq!(sizes.first_page(0, Width::Slim, 2), unseen, "widths are apart");
        let small = Row { cells: vec![Some(Bytes::from_static(b"x"))] };
        for _ in 0..200 {
            sizes.learn(0, Width::Full, std::slice::from_ref(&small));
        }
        assert!(sizes.first_page(0, Width::Full, 2) > unseen);
        assert_eq!(sizes.first_page(0, Width::Full, 1_000_000), 2, "never less than two rows");
    }
}
