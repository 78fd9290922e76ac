//! What fits into one request, by kind and table.
//!
//! Servers refuse what is too large for them: more than so many values of an `IN`, statements of a batch, rows of a
//! page, tombstones of a read. What they say of it differs, so it is not looked at: a request that fails is asked for
//! in halves, and it was too large if all of its parts succeed. What follows begins there. A request larger than any that
//! was taken so far is a [`Trial`]: one at a time, so that a limit is met by one request and not by hundreds.

mod limit;

use std::sync::{Mutex, MutexGuard, PoisonError};

use strum::EnumCount;
use tokio::sync::{
    Mutex as AsyncMutex, MutexGuard as AsyncGuard, OnceCell, Semaphore, SemaphorePermit,
};

use crate::merge::BATCH_BYTES;
use crate::model::TableIndex;
use crate::spec::Spec;
use crate::storage::{Fault, Width};

use super::pages::{RowSizes, TIMES_WEIGH, UNKNOWN_ROW_BYTES};
use limit::{Limit, UNKNOWN};

/// Accounts whose partitions one request asks for or deletes: enough to save most round trips, few enough for one
/// coordinator.
const ACCOUNTS_PER_REQUEST: usize = 16;
/// Accounts that one look asks for: no values come back.
const ACCOUNTS_PER_LOOK: usize = 32;
/// Accounts that one look asks for in one partition.
const ACCOUNTS_PER_PARTITION: usize = 100;
/// Bytes that are asked for at once, and with one request, as far as can be told: a node has to hold them, and so do we.
const MOST_BYTES: usize = 64 * 1_024 * 1_024;
const MOST_BYTES_OF_ANSWER: usize = 16 * 1_024 * 1_024;
/// Sixteen partitions of so many bytes are no more than an answer may have.
const LARGE_PARTITION_BYTES: u64 = (MOST_BYTES_OF_ANSWER / ACCOUNTS_PER_REQUEST) as u64;
/// Rows of the first answer, before any other is asked for: nothing is known of them.
pub(super) const SAMPLE_ROWS: usize = MOST_BYTES_OF_ANSWER / UNKNOWN_ROW_BYTES;
/// Rows of each account in it.
const SAMPLE_ROWS_OF_EACH: usize = 3;
/// Room is given in units of so many bytes.
const ROOM_UNIT: usize = 1_024;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// The first rows of accounts' partitions.
    First(Width),
    /// The same with write times.
    TimedFirst,
    /// The rows that accounts own in a scope, one each.
    Rows,
    /// The same with write times.
    TimedRows,
    /// Which accounts own anything.
    Owners,
    /// Deletes of accounts' partitions.
    Deletes,
    /// Statements of one partition.
    Write,
    /// A page of one account's rows.
    Page(Width),
    /// The same with write times.
    TimedPage,
    /// A page of a scan.
    Keys,
    /// The first row of accounts' partitions: what it weighs is all that is of interest.
    One,
}

impl RequestKind {
    fn gives_rows(self) -> bool {
        !matches!(self, Self::Owners | Self::Deletes | Self::Write)
    }

    /// Whether all rows of an answer are of one partition, one for each account.
    fn gives_rows_of_one_partition(self) -> bool {
        matches!(self, Self::Rows | Self::TimedRows)
    }

    /// The bytes of a row with what comes with it.
    pub(super) fn with_times(self, row_bytes: usize) -> usize {
        match self {
            Self::TimedFirst | Self::TimedRows | Self::TimedPage => row_bytes * TIMES_WEIGH,
            _ => row_bytes,
        }
    }
}

/// What has a limit of its own.
#[derive(Clone, Copy, EnumCount)]
enum Slot {
    First,
    FirstSlim,
    TimedFirst,
    Rows,
    TimedRows,
    Owners,
    Deletes,
    Write,
    Page,
    PageSlim,
    TimedPage,
    Keys,
    One,
    /// Rows of each account, in first answers…
    EachFirst,
    EachFirstSlim,
    /// …and in others.
    Each,
    /// Bytes of a batch.
    Bytes,
}

impl Slot {
    /// Of accounts, statements, or rows of a page.
    fn of(kind: RequestKind) -> Self {
        match kind {
            RequestKind::First(Width::Full) => Self::First,
            RequestKind::First(Width::Slim) => Self::FirstSlim,
            RequestKind::TimedFirst => Self::TimedFirst,
            RequestKind::Rows => Self::Rows,
            RequestKind::TimedRows => Self::TimedRows,
            RequestKind::Owners => Self::Owners,
            RequestKind::Deletes => Self::Deletes,
            RequestKind::Write => Self::Write,
            RequestKind::Page(Width::Full) => Self::Page,
            RequestKind::Page(Width::Slim) => Self::PageSlim,
            RequestKind::TimedPage => Self::TimedPage,
            RequestKind::Keys => Self::Keys,
            RequestKind::One => Self::One,
        }
    }

    /// Of the rows of each account.
    fn each(kind: RequestKind) -> Self {
        match kind {
            RequestKind::First(Width::Full) => Self::EachFirst,
            RequestKind::First(Width::Slim) => Self::EachFirstSlim,
            _ => Self::Each,
        }
    }
}

/// How large a request is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) kind: RequestKind,
    pub(super) table: TableIndex,
    /// Accounts, statements, or rows of a page.
    pub(super) count: usize,
    /// What is written.
    pub(super) bytes: usize,
}

impl Load {
    fn parts(self) -> [(Slot, usize); 2] {
        [(Slot::of(self.kind), self.count), (Slot::Bytes, self.bytes)]
    }
}

/// The right to ask for more than was taken so far.
pub(super) type Trial<'a> = AsyncGuard<'a, ()>;

/// What fits, learnt by one command.
#[derive(Debug)]
pub(super) struct RequestLimits {
    pub(super) sizes: RowSizes,
    tables: Vec<OfTable>,
    room: Semaphore,
}

#[derive(Debug)]
struct OfTable {
    owns_partitions: bool,
    largest_partition: OnceCell<Option<u64>>,
    limits: Mutex<[Limit; Slot::COUNT]>,
    trials: [AsyncMutex<()>; Slot::COUNT],
}

impl RequestLimits {
    /// Nothing is known.
    pub(super) fn new(spec: &Spec) -> Self {
        let tables = spec.tables.iter().map(|table| OfTable {
            owns_partitions: table.owns_partitions(),
            largest_partition: OnceCell::new(),
            limits: Mutex::new([UNKNOWN; Slot::COUNT]),
            trials: Default::default(),
        });
        let room = Semaphore::new(MOST_BYTES / ROOM_UNIT);
        Self { sizes: RowSizes::new(spec.tables.len()), tables: tables.collect(), room }
    }

    /// Waits until there is room for an answer; none is larger than what there is in all.
    pub(super) async fn room(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let units = bytes.min(MOST_BYTES).div_ceil(ROOM_UNIT) as u32;
        // It is never closed.
        if units == 0 { None } else { self.room.acquire_many(units).await.ok() }
    }

    /// Whether rows of a kind have been seen, or none come back.
    pub(super) fn is_seen(&self, kind: RequestKind, table: TableIndex) -> bool {
        !kind.gives_rows() || kind == RequestKind::One || self.sizes.is_seen(table, kind)
    }

    /// The bytes of a row in an answer; none where no rows come back.
    pub(super) fn row(&self, kind: RequestKind, table: TableIndex) -> usize {
        match kind.gives_rows() {
            true => kind.with_times(self.sizes.row(table, kind)),
            false => 0,
        }
    }

    /// What a first answer should have of so many accounts: accounts, and rows of each. `None` if that is not less.
    pub(super) fn sample(
        &self,
        kind: RequestKind,
        table: TableIndex,
        accounts: usize,
    ) -> Option<(usize, usize)> {
        let rows = self.rows_of_each(kind, table);
        if self.is_seen(kind, table) || accounts * rows <= SAMPLE_ROWS {
            return None;
        }
        let rows = rows.min(if accounts == 1 { SAMPLE_ROWS } else { SAMPLE_ROWS_OF_EACH });
        Some((accounts.min(SAMPLE_ROWS / rows), rows))
    }

    /// The accounts that requests of a kind should have, and those that they may have.
    pub(super) fn accounts(&self, kind: RequestKind, table: TableIndex) -> (usize, usize) {
        let wanted = match kind {
            RequestKind::Owners if self.tables[table].owns_partitions => ACCOUNTS_PER_LOOK,
            RequestKind::Owners => ACCOUNTS_PER_PARTITION,
            RequestKind::Rows => self.sizes.accounts_per_read(table),
            RequestKind::TimedRows => (self.sizes.accounts_per_read(table) / TIMES_WEIGH).max(2),
            _ => ACCOUNTS_PER_REQUEST,
        };
        let most = self.accounts_at_most(kind, table);
        // What is shared out by node may come out somewhat uneven.
        let may = if self.tables[table].owns_partitions { wanted * 3 / 2 } else { wanted };
        (wanted.min(most), may.min(most))
    }

    /// The accounts of an answer: what the server takes, and what is little enough.
    fn accounts_at_most(&self, kind: RequestKind, table: TableIndex) -> usize {
        let mut bytes = self.rows_of_each(kind, table) * self.row(kind, table);
        if kind.gives_rows_of_one_partition() {
            bytes = bytes.max(self.sizes.largest(table));
            if self.partition_bytes(table) > MOST_BYTES_OF_ANSWER {
                bytes = bytes.max(self.sizes.unseen(table));
            }
        }
        let little = MOST_BYTES_OF_ANSWER.checked_div(bytes).unwrap_or(usize::MAX).max(1);
        self.limit(table, Slot::of(kind)).most.min(little)
    }

    /// The bytes that an answer of so many rows may have, as far as can be told; none where no rows come back.
    pub(super) fn answer(&self, kind: RequestKind, table: TableIndex, rows: usize) -> usize {
        let known = rows * self.row(kind, table);
        if !kind.gives_rows_of_one_partition() {
            return known;
        }
        let unseen = (rows * self.sizes.unseen(table)).min(self.partition_bytes(table));
        known.max(rows * self.sizes.largest(table)).max(unseen)
    }

    /// The bytes of the largest partition of a table: any number, where that is not known.
    fn partition_bytes(&self, table: TableIndex) -> usize {
        let reported = self.tables[table].largest_partition.get().copied().flatten();
        reported.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX)
    }

    /// The rows that first pages ask for of each account.
    pub(super) fn rows_of_each(&self, kind: RequestKind, table: TableIndex) -> usize {
        let first = |width| self.sizes.first_page_of_each(table, width, ACCOUNTS_PER_REQUEST);
        let rows = match kind {
            RequestKind::First(width) => first(width),
            RequestKind::TimedFirst => first(Width::Full) / TIMES_WEIGH,
            _ => return 1,
        };
        // One row more than is used tells whether there are more.
        let least = if 2 * self.row(kind, table) > MOST_BYTES_OF_ANSWER { 1 } else { 2 };
        rows.max(least).min(self.limit(table, Slot::each(kind)).most)
    }

    /// What nodes say of the largest partition of a table, in bytes.
    pub(super) fn largest_partition(&self, table: TableIndex) -> &OnceCell<Option<u64>> {
        &self.tables[table].largest_partition
    }

    /// Whether the accounts of one answer may weigh too much together, if the largest partition of the table has so many
    /// bytes (`None` if that is not known): then each is asked for its first row before it is asked for the rest.
    pub(super) fn may_be_large(
        &self,
        kind: RequestKind,
        table: TableIndex,
        partition_bytes: Option<u64>,
    ) -> bool {
        let seen = self.sizes.largest(table) * self.rows_of_each(kind, table);
        let reported = partition_bytes.is_none_or(|bytes| bytes > LARGE_PARTITION_BYTES);
        reported || seen > MOST_BYTES_OF_ANSWER / ACCOUNTS_PER_REQUEST
    }

    /// Whether an account with such a row would be more of an answer than others.
    pub(super) fn is_large(&self, kind: RequestKind, table: TableIndex, row_bytes: usize) -> bool {
        let most = kind.with_times(row_bytes) * self.rows_of_each(kind, table);
        most > MOST_BYTES_OF_ANSWER / ACCOUNTS_PER_REQUEST / 4
    }

    /// The rows that a page may have, of which is known that each has so many bytes.
    pub(super) fn rows_of_page(
        &self,
        kind: RequestKind,
        table: TableIndex,
        row_bytes: usize,
    ) -> usize {
        let bytes = self.row(kind, table).max(kind.with_times(row_bytes));
        let little = (MOST_BYTES_OF_ANSWER / bytes.max(1)).max(1);
        self.limit(table, Slot::of(kind)).most.min(little)
    }

    /// The statements of one partition, and their bytes, that a batch may have.
    pub(super) fn batch(&self, table: TableIndex) -> [usize; 2] {
        let limits = self.limits(table);
        let most = |slot: Slot| limits[slot as usize].most;
        [most(Slot::of(RequestKind::Write)), most(Slot::Bytes).min(BATCH_BYTES)]
    }

    /// Whether nothing smaller is known to be refused, or to be much.
    pub(super) fn allows(&self, load: Load) -> bool {
        let is_taken = |(slot, size): &(Slot, usize)| *size <= self.limit(load.table, *slot).most;
        load.parts().iter().all(is_taken)
            && (!load.kind.gives_rows()
                || load.count <= self.accounts_at_most(load.kind, load.table))
    }

    /// Waits until nobody else tries to find out whether so much is taken; `None` if that is known.
    pub(super) async fn trial(&self, load: Load) -> Option<Trial<'_>> {
        let is_known =
            || self.is_seen(load.kind, load.table) && (load.count <= 1 || self.has_taken(load));
        if is_known() {
            return None;
        }
        let trial = self.tables[load.table].trials[Slot::of(load.kind) as usize].lock().await;
        (!is_known()).then_some(trial)
    }

    /// Whether the server took as much before.
    pub(super) fn has_taken(&self, load: Load) -> bool {
        load.parts().iter().all(|(slot, size)| *size <= self.limit(load.table, *slot).taken)
    }

    /// The server took it.
    pub(super) fn took(&self, load: Load) {
        let mut limits = self.limits(load.table);
        load.parts().into_iter().for_each(|(slot, size)| limits[slot as usize].took(size));
    }

    /// The server refused it, and took all of its parts.
    pub(super) fn too_large(&self, load: Load, why: Fault) {
        let mut limits = self.limits(load.table);
        // As many statements were taken, or it is not known: then it is their number, which servers limit most often.
        let is_new = |(slot, size): &(Slot, usize)| *size > limits[*slot as usize].taken;
        let parts = load.parts();
        let (slot, size) = parts.into_iter().find(is_new).unwrap_or(parts[0]);
        limits[slot as usize].too_large(size, why);
        tracing::debug!("{size} is too much for {:?} of table {}", load.kind, load.table);
    }

    /// The server refused so many rows of one account, and gave half as many.
    pub(super) fn too_many_rows(
        &self,
        kind: RequestKind,
        table: TableIndex,
        rows: usize,
        why: Fault,
    ) {
        self.limits(table)[Slot::each(kind) as usize].too_large(rows, why);
    }

    fn limit(&self, table: TableIndex, slot: Slot) -> Limit {
        self.limits(table)[slot as usize]
    }

    fn limits(&self, table: TableIndex) -> MutexGuard<'_, [Limit; Slot::COUNT]> {
        self.tables[table].limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a failure may be for the size of a request.
pub(super) fn may_be_size(why: Fault) -> bool {
    matches!(why, Fault::Permanent | Fault::TimedOut | Fault::Late | Fault::Replica)
}

#[cfg(test)]
mod tests;
