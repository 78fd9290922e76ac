//! What verify has counted: rows compared and what was said of them, by table.

use serde::{Deserialize, Serialize};

use crate::model::TableIndex;

use super::Verdict;

/// What a verification found, so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Groups that were compared.
    pub groups: u64,
    /// One entry per table of the specification, in its order.
    pub tables: Vec<TableCounts>,
}

/// What was counted in one table. Of a row several things may be said, each of another column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCounts {
    /// Survivors' rows that were compared: those whose key a source had.
    pub rows: u64,
    /// Rows of survivors that are not there.
    pub(crate) row_missing: u64,
    /// Values that are not there.
    pub(crate) value_missing: u64,
    /// Values that the policies rank below what the run left.
    pub(crate) value_worse: u64,
    /// Other values, not written later than the run's.
    pub(crate) value_differs: u64,
    /// Rows of sources that the run had deleted.
    pub(crate) source_not_emptied: u64,
    /// Values that are not as the run left them, and of which the server does not tell when they were written.
    #[serde(default)]
    pub(crate) undated: u64,
    /// Values of survivors' rows that were written later.
    pub(crate) changed_since: u64,
    /// Rows of sources that were written later, or whose time cannot be read.
    pub source_changed_since: u64,
    /// Differences that were written again, and are gone.
    pub repaired: u64,
}

impl TableCounts {
    /// Differences of any kind.
    pub fn differences(&self) -> u64 {
        self.row_missing
            + self.value_missing
            + self.value_worse
            + self.value_differs
            + self.source_not_emptied
            + self.undated
    }

    /// How often a verdict was given.
    pub(crate) fn of(&self, verdict: Verdict) -> u64 {
        match verdict {
            Verdict::RowMissing => self.row_missing,
            Verdict::ValueMissing => self.value_missing,
            Verdict::ValueWorse => self.value_worse,
            Verdict::ValueDiffers => self.value_differs,
            Verdict::SourceNotEmptied => self.source_not_emptied,
            Verdict::Undated => self.undated,
            Verdict::ChangedSince => self.changed_since + self.source_changed_since,
            Verdict::Repaired => self.repaired,
        }
    }

    fn slot(&mut self, verdict: Verdict, of_source: bool) -> &mut u64 {
        match verdict {
            Verdict::RowMissing => &mut self.row_missing,
            Verdict::ValueMissing => &mut self.value_missing,
            Verdict::ValueWorse => &mut self.value_worse,
            Verdict::ValueDiffers => &mut self.value_differs,
            Verdict::SourceNotEmptied => &mut self.source_not_emptied,
            Verdict::Undated => &mut self.undated,
            Verdict::ChangedSince if of_source => &mut self.source_changed_since,
            Verdict::ChangedSince => &mut self.changed_since,
            Verdict::Repaired => &mut self.repaired,
        }
    }
}

impl Counts {
    /// Nothing yet, for a specification with `tables` tables.
    pub(crate) fn new(tables: usize) -> Self {
        Self { groups: 0, tables: vec![TableCounts::default(); tables] }
    }

    /// Differences of any kind, in all tables.
    pub fn differences(&self) -> u64 {
        self.tables.iter().map(TableCounts::differences).sum()
    }

    /// Counts what is said of a row or a value.
    pub(super) fn say(&mut self, table: TableIndex, verdict: Verdict, of_source: bool) {
        *self.tables[table].slot(verdict, of_source) += 1;
    }

    /// Adds what was counted elsewhere, for the same specification.
    pub(super) fn add(&mut self, other: &Self) {
        self.groups += other.groups;
        for (sum, part) in self.tables.iter_mut().zip(&other.tables) {
            sum.rows += part.rows;
            sum.row_missing += part.row_missing;
            sum.value_missing += part.value_missing;
            sum.value_worse += part.value_worse;
            sum.value_differs += part.value_differs;
            sum.source_not_emptied += part.source_not_emptied;
            sum.undated += part.undated;
            sum.changed_since += part.changed_since;
            sum.source_changed_since += part.source_changed_since;
            sum.repaired += part.repaired;
        }
    }
}
