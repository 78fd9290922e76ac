//! The numbers of an inspection, group by group, so that a sample says something of the whole.

use crate::estimate::Moments;
use crate::model::{TableTally, Tally};

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
    pub(crate) journal_bytes: Moments,
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

    /// Adds a group, which was drawn, or which was read in any case.
    pub(super) fn add(&mut self, tally: &Tally, journal_bytes: u64, missed: u64, is_drawn: bool) {
        let add = |moments: &mut Moments, value| match is_drawn {
            true => moments.add(value),
            false => moments.add_certain(value),
        };
        for (figures, rows) in self.tables.iter_mut().zip(&tally.tables) {
            let TableTally { source_rows, target_rows: _, copied, merged, unchanged, deleted } =
                *rows;
            add(&mut figures.source_rows, source_rows);
            add(&mut figures.copied, copied);
            add(&mut figures.merged, merged);
            add(&mut figures.unchanged, unchanged);
            add(&mut figures.deleted, deleted);
        }
        add(&mut self.absent_sources, tally.absent_sources);
        add(&mut self.absent_survivors, tally.absent_survivors);
        add(&mut self.events, tally.events);
        add(&mut self.batches, tally.batches);
        add(&mut self.journal_bytes, journal_bytes);
        add(&mut self.missed, missed);
    }
}
