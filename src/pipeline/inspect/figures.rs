//! The numbers of an inspection, group by group, so that a sample says something of the whole.

use crate::account::{TableTally, Tally};
use crate::estimate::Moments;

/// What a merge of the inspected groups does.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Rows, by table of the specification.
    pub tables: Vec<TableFigures>,
    /// Sources without any row.
    pub absent_sources: Moments,
    /// Survivors without any row.
    pub absent_survivors: Moments,
    /// Events.
    pub events: Moments,
    /// Batches that are written.
    pub batches: Moments,
    /// What the journal takes, in bytes.
    pub journal_bytes: Moments,
    /// Rows of sources to which no other row leads; 0 unless a scan has found them.
    pub missed: Moments,
}

/// The rows of one table, as in [`TableTally`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TableFigures {
    /// Rows of sources.
    pub source_rows: Moments,
    /// Those that are copied.
    pub copied: Moments,
    /// Those that change a row that is there already.
    pub merged: Moments,
    /// Those that change nothing.
    pub unchanged: Moments,
    /// Those that are deleted.
    pub deleted: Moments,
}

impl Figures {
    pub(super) fn new(tables: usize) -> Self {
        Self { tables: vec![TableFigures::default(); tables], ..Self::default() }
    }

    /// Adds a group.
    pub(super) fn add(&mut self, tally: &Tally, journal_bytes: u64, missed: u64) {
        for (figures, rows) in self.tables.iter_mut().zip(&tally.tables) {
            let TableTally { source_rows, target_rows: _, copied, merged, unchanged, deleted } =
                *rows;
            figures.source_rows.add(source_rows);
            figures.copied.add(copied);
            figures.merged.add(merged);
            figures.unchanged.add(unchanged);
            figures.deleted.add(deleted);
        }
        self.absent_sources.add(tally.absent_sources);
        self.absent_survivors.add(tally.absent_survivors);
        self.events.add(tally.events);
        self.batches.add(tally.batches);
        self.journal_bytes.add(journal_bytes);
        self.missed.add(missed);
    }
}
