//! Rows of a table as they travel, and when their cells were written.

use std::time::Duration;

use bytes::Bytes;

use super::expiry::{Expiries, Moments};

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
    /// When cells expire, of a table whose [TTLs are carried](crate::spec::Table::carries_ttls).
    pub expires: Expiries,
    /// When the application wrote cells, in columns in which [the later write](crate::spec::Table::by_time) survives, where
    /// they were read for a merge. What a run wrote is [older](by_run).
    pub written: Moments,
}

impl Row {
    /// A row of cells that do not expire.
    pub fn new(cells: Vec<Cell>) -> Self {
        Self { cells, expires: Expiries::default(), written: Moments::default() }
    }

    /// Leaves the first `columns` columns.
    pub(crate) fn truncate(&mut self, columns: usize) {
        self.cells.truncate(columns);
        self.expires.truncate(columns);
        self.written.truncate(columns);
    }

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

/// The time of a cell that a run wrote, or gave back: older than any of the application's, and as far from those of other
/// runs as it was written.
pub(crate) fn by_run(t: TimestampUs) -> TimestampUs {
    t.saturating_sub(1 << 62)
}

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
pub(crate) const EXPIRY: Duration = Duration::from_millis(2_500);

/// When a cell was written (`WRITETIME`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteTimes {
    /// The cell is null, or part of the key: it has no write time.
    None,
    /// It was written at once.
    Cell(TimestampUs),
    /// A collection or user-defined type that is not frozen: one time per element, in the order of the elements.
    Elements(Vec<TimestampUs>),
    /// A collection or user-defined type that is not frozen, on a server that does not tell when its elements were written (before Cassandra
    /// 5.0).
    Unknown,
}

impl WriteTimes {
    /// The latest of them, as far as they are known.
    pub(crate) fn latest(&self) -> Option<TimestampUs> {
        match self {
            Self::None | Self::Unknown => None,
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

impl TimedRow {
    /// The row, with when the cells of some columns were written.
    pub(crate) fn dated(self, columns: impl Iterator<Item = ColumnIndex>) -> Row {
        let written = columns.filter_map(|column| Some((column, self.times[column].latest()?)));
        Row { written: written.collect(), ..self.row }
    }
}
