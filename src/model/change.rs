//! What is written: changes of rows, and the batches that carry them.

use bytes::Bytes;

use super::expiry::{Expiries, ExpiryS};
use super::list::Tries;
use super::row::{Cell, ColumnIndex, Row, TableIndex, TimestampUs};

/// One change to one partition. It always carries the write time T of its group, so that applying
/// it again changes nothing (lists aside).
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
    /// Writes a whole row, but for its lists that are not frozen ([`SetList`](Self::SetList)). Null cells are left
    /// unset, so that no tombstone is written.
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
        /// Which of them expire.
        expires: Expiries,
    },
    /// Adds elements to a map or set that is not frozen, and leaves its other elements as they are.
    AddElements {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
        column: ColumnIndex,
        /// The elements, as a value of the column's type.
        elements: Bytes,
    },
    /// Removes elements from a map or set that is not frozen, and leaves its other elements as they are.
    RemoveElements {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
        column: ColumnIndex,
        /// The keys of the map's entries, or the set's elements, as a set.
        keys: Bytes,
    },
    /// Writes a list that is not frozen, whole. Each attempt is dated so many microseconds above the mutation's time as
    /// there have been: see [`list`](super::list).
    SetList {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
        column: ColumnIndex,
        /// What it is to hold.
        value: Bytes,
        /// The attempts of this process.
        tries: Tries,
    },
    /// Lets a row's own liveness (that it was inserted, whatever its cells are) end within [`EXPIRY`], and
    /// leaves every cell as it is. Written as an insert of the key alone that expires.
    ExpireRow {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
    },
    DeleteRow {
        /// The primary key of the row, in column order.
        key: Vec<Bytes>,
    },
    /// Deletes a whole partition.
    DeletePartition {
        /// The partition key, in column order.
        key: Vec<Bytes>,
    },
}

impl Mutation {
    /// The bytes that the mutation's values take, for cutting batches.
    pub fn size_bytes(&self) -> usize {
        // Statement id, value lengths and the timestamp of each statement on the wire.
        const OVERHEAD: usize = 48;
        OVERHEAD + self.change.size_bytes()
    }
}

/// Mutations of one partition of one table, written in one round trip: a single-partition unlogged
/// batch is one mutation to Cassandra, atomic and isolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub table: TableIndex,
    /// The mutations, all of the same partition.
    pub mutations: Vec<Mutation>,
}

impl Batch {
    /// The partition that the batch writes to: its key of so many columns.
    pub fn partition_key(&self, columns: usize) -> Option<Vec<Bytes>> {
        self.mutations.first()?.change.partition_key(columns)
    }
}

impl Change {
    /// Writes single columns of a row, which do not expire.
    pub fn update(key: Vec<Bytes>, set: Vec<(ColumnIndex, Cell)>) -> Self {
        Self::update_until(key, set, |_| None)
    }

    /// Writes single columns of a row, whose values expire as `expires` says.
    pub(crate) fn update_until(
        key: Vec<Bytes>,
        set: Vec<(ColumnIndex, Cell)>,
        expires: impl Fn(ColumnIndex) -> Option<ExpiryS>,
    ) -> Self {
        let values = set.iter().filter(|(_, value)| value.is_some());
        let expires = values.filter_map(|(column, _)| Some((*column, expires(*column)?))).collect();
        Self::Update { key, set, expires }
    }

    /// Writes a list whole; it has not been tried yet.
    pub(crate) fn set_list(key: Vec<Bytes>, column: ColumnIndex, value: Bytes) -> Self {
        Self::SetList { key, column, value, tries: Tries::default() }
    }

    /// The bytes of its keys and values.
    pub fn size_bytes(&self) -> usize {
        match self {
            Self::Insert { row } => row.size_bytes(),
            Self::Update { key, set, .. } => {
                let values = set.iter().filter_map(|(_, value)| value.as_ref());
                key.iter().chain(values).map(Bytes::len).sum()
            }
            Self::AddElements { key, elements: value, .. }
            | Self::SetList { key, value, .. }
            | Self::RemoveElements { key, keys: value, .. } => {
                key.iter().map(Bytes::len).sum::<usize>() + value.len()
            }
            Self::ExpireRow { key } | Self::DeleteRow { key } | Self::DeletePartition { key } => {
                key.iter().map(Bytes::len).sum()
            }
        }
    }

    /// The values of the first `columns` columns of the key; none if a row lacks one.
    pub fn partition_key(&self, columns: usize) -> Option<Vec<Bytes>> {
        match self {
            Self::Insert { row } => row.cells.get(..columns)?.iter().cloned().collect(),
            Self::Update { key, .. }
            | Self::AddElements { key, .. }
            | Self::SetList { key, .. }
            | Self::RemoveElements { key, .. }
            | Self::ExpireRow { key }
            | Self::DeleteRow { key }
            | Self::DeletePartition { key } => key.get(..columns).map(<[Bytes]>::to_vec),
        }
    }
}
