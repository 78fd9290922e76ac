//! The vocabulary: the values that one stage hands to the next.
//!
//! `Pair → Group → Mutation → Batch → Outcome → Event`. Everything here is plain data; this module
//! depends on nothing of ours, and every other module may use it. The same nouns are used in the
//! code, on the command line and in the report.

use std::fmt;
use std::str;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The longest account id that is accepted, in bytes of UTF-8. Longer ids are rejected line by line.
pub const MAX_ACCOUNT_ID_BYTES: usize = 1_024;

/// The id of an account: non-empty UTF-8 text, at most [`MAX_ACCOUNT_ID_BYTES`] long.
///
/// It is held as shared bytes, so that a clone costs a reference count and the same allocation is
/// bound to every statement that names the account.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(Bytes);

impl AccountId {
    /// Takes an id from text that has been checked already.
    pub fn new(id: impl Into<String>) -> Self {
        Self(Bytes::from(id.into()))
    }

    /// The id as it is bound to a `text` column.
    pub fn cell(&self) -> &Bytes {
        &self.0
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        // Built from a `String` only, so the bytes are UTF-8 for as long as they live.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// An accepted pair: `from` is merged into `into`, as said on `line` of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The account that is emptied.
    pub from: AccountId,
    /// The account that the pair names as its target. In a chain this is not yet the survivor.
    pub into: AccountId,
    /// The line of the input on which the pair first appeared, counted from 1 (the header included).
    pub line: u64,
}

/// One surviving account and the accounts that are merged into it. No account is in two groups, so
/// groups may run in any order and at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The position of the group in its plan, from 0.
    pub index: usize,
    /// The account that holds everything afterwards.
    pub survivor: AccountId,
    /// The pairs of the group; their `from`s are the sources, in the order in which conflicts are
    /// resolved: depth first, nearest to the survivor first, siblings by line.
    pub pairs: Vec<Pair>,
}

impl Group {
    /// The sources in the order in which they are merged.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = &AccountId> {
        self.pairs.iter().map(|pair| &pair.from)
    }
}

/// One CQL value as it travels on the wire; `None` is null. It is decoded only where a policy has to
/// look at it.
pub type Cell = Option<Bytes>;

/// One row of a table: its cells in the column order of the checked specification (key columns, then
/// the columns that a policy or an event looks at, then the rest). A *slim* row, as the survivor's are read,
/// is a prefix of that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The cells, in specification order.
    pub cells: Vec<Cell>,
}

impl Row {
    /// The bytes that the row's values take, for bounds in bytes.
    pub fn size_bytes(&self) -> usize {
        self.cells.iter().flatten().map(Bytes::len).sum::<usize>() + 4 * self.cells.len()
    }
}

/// The position of a table in the specification.
pub type TableIndex = usize;

/// The position of a column in its table's column order.
pub type ColumnIndex = usize;

/// Microseconds since the Unix epoch: the unit of Cassandra's write times.
pub type TimestampUs = i64;

/// A part of the ring of a table's partitions: the tokens above `after`, up to and including `to`. No partition
/// has the lowest token of all, so the whole ring is above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenRange {
    /// Where it begins, exclusive.
    pub after: i64,
    /// Where it ends, inclusive.
    pub to: i64,
}

/// How long a row's own liveness may take to end after an insert that expires in one second: Cassandra counts
/// in whole seconds.
pub const EXPIRY: Duration = Duration::from_millis(2_500);

/// This machine's clock, in the unit of write times.
pub fn now_us() -> TimestampUs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampUs::try_from(since_epoch.as_micros()).unwrap_or(TimestampUs::MAX)
}

/// When a cell was written (`WRITETIME`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteTimes {
    /// The cell is null, or part of the key: it has no write time.
    None,
    /// It was written at once.
    Cell(TimestampUs),
    /// A map or set that is not frozen: one time per element, in the order of the elements.
    Elements(Vec<TimestampUs>),
}

impl WriteTimes {
    /// The latest of them.
    pub fn latest(&self) -> Option<TimestampUs> {
        match self {
            Self::None => None,
            Self::Cell(time) => Some(*time),
            Self::Elements(times) => times.iter().copied().max(),
        }
    }
}

/// A full row and when its cells were written. The time of a row itself (its primary key liveness) cannot
/// be read in CQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedRow {
    /// All cells, in specification order.
    pub row: Row,
    /// Their write times, by column.
    pub times: Vec<WriteTimes>,
}

/// One change to one partition. It always carries the write time T of its group, so that applying
/// it again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// The table it changes.
    pub table: TableIndex,
    /// The write time.
    pub t: TimestampUs,
    /// What it does.
    pub change: Change,
}

/// What a [`Mutation`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Writes a whole row. Null cells are left unset, so that no tombstone is written.
    Insert {
        /// The full row, its account column already set to the survivor.
        row: Row,
    },
    /// Writes single columns of a row; a null deletes the cell.
    Update {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
        /// The columns that change, none of them part of the key.
        set: Vec<(ColumnIndex, Cell)>,
    },
    /// Adds elements to a map or set that is not frozen, and leaves its other elements as they are.
    AddElements {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
        /// The column.
        column: ColumnIndex,
        /// The elements, as a value of the column's type.
        elements: Bytes,
    },
    /// Removes elements from a map or set that is not frozen, and leaves its other elements as they are.
    RemoveElements {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
        /// The column.
        column: ColumnIndex,
        /// The keys of the map's entries, or the set's elements, as a set.
        keys: Bytes,
    },
    /// Lets a row's own liveness (that it was inserted, whatever its cells are) end within [`EXPIRY`], and
    /// leaves every cell as it is. Written as an insert of the key alone that expires.
    ExpireRow {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
    },
    /// Deletes one row.
    DeleteRow {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
    },
    /// Deletes a whole partition.
    DeletePartition {
        /// The partition key.
        key: Bytes,
    },
}

impl Mutation {
    /// The bytes that the mutation's values take, for cutting batches.
    pub fn size_bytes(&self) -> usize {
        // Statement id, value lengths and the timestamp of each statement on the wire.
        const OVERHEAD: usize = 48;
        OVERHEAD
            + match &self.change {
                Change::Insert { row } => row.size_bytes(),
                Change::Update { key, set } => {
                    let values = set.iter().filter_map(|(_, value)| value.as_ref());
                    key.iter().chain(values).map(Bytes::len).sum()
                }
                Change::AddElements { key, elements: value, .. }
                | Change::RemoveElements { key, keys: value, .. } => {
                    key.iter().map(Bytes::len).sum::<usize>() + value.len()
                }
                Change::ExpireRow { key } | Change::DeleteRow { key } => {
                    key.iter().map(Bytes::len).sum()
                }
                Change::DeletePartition { key } => key.len(),
            }
    }
}

/// Mutations of one partition of one table, written in one round trip: a single-partition unlogged
/// batch is one mutation to Cassandra, atomic and isolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The table.
    pub table: TableIndex,
    /// The mutations, all of the same partition.
    pub mutations: Vec<Mutation>,
}

impl Batch {
    /// Whether it deletes a partition, and nothing else.
    pub fn is_partition_delete(&self) -> bool {
        let changes = self.mutations.iter().map(|mutation| &mutation.change);
        !self.mutations.is_empty()
            && changes.into_iter().all(|change| matches!(change, Change::DeletePartition { .. }))
    }

    /// The partition that the batch writes to.
    pub fn partition_key(&self) -> Option<&Bytes> {
        match &self.mutations.first()?.change {
            Change::Insert { row } => row.cells.first()?.as_ref(),
            Change::Update { key, .. }
            | Change::AddElements { key, .. }
            | Change::RemoveElements { key, .. }
            | Change::ExpireRow { key }
            | Change::DeleteRow { key } => key.first(),
            Change::DeletePartition { key } => Some(key),
        }
    }
}

/// One message for Kafka, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The message key: the id of the object that changed.
    pub key: String,
    /// The message value: JSON.
    pub payload: Vec<u8>,
}

/// What was done to one table, in rows. `source_rows = copied + merged + unchanged`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableTally {
    /// Rows that belonged to sources.
    pub source_rows: u64,
    /// Rows of survivors that were read to compare with. Some are counted twice in a group of several
    /// slices that was stopped between two of them.
    pub target_rows: u64,
    /// Source rows that were copied to the survivor.
    pub copied: u64,
    /// Source rows whose key the survivor held already and whose policies changed the survivor's row.
    pub merged: u64,
    /// Source rows whose key the survivor held already and that changed nothing.
    pub unchanged: u64,
    /// Source rows that were deleted.
    pub deleted: u64,
}

impl TableTally {
    /// Adds another tally of the same table.
    pub fn add(&mut self, other: &TableTally) {
        self.source_rows += other.source_rows;
        self.target_rows += other.target_rows;
        self.copied += other.copied;
        self.merged += other.merged;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
    }
}

/// What was done for one group or, added up, for many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// One entry per table of the specification, in its order.
    pub tables: Vec<TableTally>,
    /// Sources of which no row was found: often a mistyped id.
    pub absent_sources: u64,
    /// Survivors of which no row was found before the merge: often a mistyped id.
    pub absent_survivors: u64,
    /// Events that the broker acknowledged.
    pub events: u64,
    /// Batches written (each one round trip).
    pub batches: u64,
    /// Slices merged; a group that fits in memory is one.
    pub slices: u64,
}

impl Tally {
    /// An empty tally for a specification with `tables` tables.
    pub fn new(tables: usize) -> Self {
        Self { tables: vec![TableTally::default(); tables], ..Self::default() }
    }

    /// Adds another tally of the same specification.
    pub fn add(&mut self, other: &Tally) {
        self.tables.resize(self.tables.len().max(other.tables.len()), TableTally::default());
        for (sum, part) in self.tables.iter_mut().zip(&other.tables) {
            sum.add(part);
        }
        self.absent_sources += other.absent_sources;
        self.absent_survivors += other.absent_survivors;
        self.events += other.events;
        self.batches += other.batches;
        self.slices += other.slices;
    }
}

/// How a group ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every write and every event was acknowledged.
    Done(Tally),
    /// The group was given up; nothing of it was deleted before its copy was acknowledged.
    Failed {
        /// What failed, in one line.
        reason: String,
        /// The same without what differs from group to group, for counting.
        class: String,
        /// Whether every other group would fail as well, so that going on is pointless.
        fatal: bool,
    },
}
