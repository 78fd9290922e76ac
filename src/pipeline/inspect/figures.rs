//! The numbers of an inspection, group by group, so that a sample says something of the whole.

use crate::estimate::Moments;
use crate::model::{Change, Row};
use crate::spec::Table;

use super::look::SampledGroup;

/// What a merge of the inspected groups does.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Rows, by table of the specification.
    pub tables: Vec<TableFigures>,
    /// Sources without any row.
    pub absent_sources: Moments,
    /// Survivors without any row.
    pub absent_survivors: Moments,
    pub events: Moments,
    /// Batches that are written.
    pub batches: Moments,
    /// What the journal takes, in bytes.
    pub(crate) journal_bytes: Moments,
    /// Rows of sources to which no other row leads; 0 unless a scan has found them.
    pub missed: Moments,
}

/// The rows of one table, as in [`TableTally`](crate::model::TableTally).
#[derive(Clone, Copy, Debug, Default)]
pub struct TableFigures {
    pub source_rows: Moments,
    /// Those that are copied.
    pub copied: Moments,
    /// Those that change a row that is there already.
    pub merged: Moments,
    /// Those that change nothing.
    pub unchanged: Moments,
    /// Those that are deleted.
    pub deleted: Moments,
    pub written_bytes: Moments,
    /// Tombstones that are left.
    pub tombstones: Moments,
    /// Cells that expire where they are, and would not where they are copied.
    pub immortal: Moments,
}

/// What is written to one table for one group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) tombstones: u64,
    pub(super) immortal: u64,
}

impl Written {
    /// Adds a change. What sets a map, set or list that is not frozen deletes first what it held.
    pub(super) fn add(&mut self, table: &Table, change: &Change) {
        self.bytes += change.size_bytes() as u64;
        if !table.carries_ttls
            && let Change::Insert { row: Row { expires, .. } } | Change::Update { expires, .. } =
                change
        {
            self.immortal += expires.iter().len() as u64;
        }
        let is_set = |column: usize| table.columns[column].is_multi_cell();
        let has_elements = |column: usize| table.columns[column].cql_type.collection().is_some();
        self.tombstones += match change {
            Change::Insert { row } => {
                let cells = row.cells.iter().enumerate().skip(table.key_len);
                cells.filter(|(column, cell)| cell.is_some() && has_elements(*column)).count()
                    as u64
            }
            Change::Update { set, .. } => {
                set.iter().filter(|(column, _)| is_set(*column)).count() as u64
            }
            Change::SetList { .. } | Change::DeleteRow { .. } | Change::DeletePartition { .. } => 1,
            Change::AddElements { .. }
            | Change::RemoveElements { .. }
            | Change::ExpireRow { .. } => 0,
        };
    }

    /// Adds the delete of a partition by a key of so many bytes.
    pub(super) fn add_delete(&mut self, key_bytes: usize) {
        self.bytes += key_bytes as u64;
        self.tombstones += 1;
    }
}

impl Figures {
    pub(super) fn new(tables: usize) -> Self {
        Self { tables: vec![TableFigures::default(); tables], ..Self::default() }
    }

    /// Adds a group, which was drawn, or which was read in any case.
    pub(super) fn add(&mut self, seen: &SampledGroup, is_drawn: bool) {
        let SampledGroup { tally, written, journal_bytes, missed, .. } = seen;
        let add = |moments: &mut Moments, value| match is_drawn {
            true => moments.add(value),
            false => moments.add_certain(value),
        };
        let tables = self.tables.iter_mut().zip(&tally.tables).zip(written);
        for ((figures, rows), written) in tables {
            add(&mut figures.source_rows, rows.source_rows);
            add(&mut figures.copied, rows.copied);
            add(&mut figures.merged, rows.merged);
            add(&mut figures.unchanged, rows.unchanged);
            add(&mut figures.deleted, rows.deleted);
            add(&mut figures.written_bytes, written.bytes);
            add(&mut figures.tombstones, written.tombstones);
            add(&mut figures.immortal, written.immortal);
        }
        add(&mut self.absent_sources, tally.absent_sources);
        add(&mut self.absent_survivors, tally.absent_survivors);
        add(&mut self.events, tally.events);
        add(&mut self.batches, tally.batches);
        add(&mut self.journal_bytes, *journal_bytes);
        add(&mut self.missed, *missed);
    }
}
