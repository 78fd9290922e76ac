//! One key: what has to stand there for it to be taken back, and what stands there instead. Pure: no clock,
//! no I/O.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ledger::{Before, History, Left};
use crate::model::{Cell, ColumnIndex, Row, TimedRow, TimestampUs};
use crate::spec::{Table, Undone};

/// What stands at a key now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The survivor's row.
    pub(super) survivor: Option<TimedRow>,
    /// The rows of sources that own one, by their places in the group.
    pub(super) sources: Vec<(usize, TimedRow)>,
}

/// Whose row it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Survivor,
    /// The source at this place in the group.
    Source(usize),
}

/// A cell that is not as the run left it, and not as it was before the run either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) holder: Holder,
    pub(super) column: ColumnIndex,
    /// What the run left there.
    pub(super) expected: Cell,
    pub(super) found: Cell,
    /// The latest write time of what was found.
    pub(super) written_at: Option<TimestampUs>,
}

/// How a key is restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct How {
    /// Cells to be overwritten that are dated at or after the undo's own time.
    pub(super) ahead: Vec<Ahead>,
    /// The survivor's row stays as it is: someone deleted it, and cells without their row help nobody.
    pub(super) keeps_survivor: bool,
    /// Sources whose rows are deleted before they are given back: someone wrote to them.
    pub(super) replaced: Vec<usize>,
}

/// A cell that is dated at or after the undo's own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) holder: Holder,
    pub(super) column: ColumnIndex,
    /// Its write time; the latest of its elements.
    pub(super) t: TimestampUs,
}

/// What is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Restore(How),
    LeaveAlone(Vec<Conflict>),
}

/// One key with what the run did to it.
pub(super) struct Key<'a> {
    pub(super) history: &'a History,
    pub(super) table: &'a Table,
    /// The cells that the run left in the survivor's row.
    pub(super) left: Vec<Left>,
    /// The sources' rows before the run; empty where the run has deleted none of them.
    pub(super) before: Vec<(usize, Row)>,
}

impl<'a> Key<'a> {
    /// `is_deleted` says whether the run deleted the sources' rows in this table.
    pub(super) fn new(history: &'a History, table: &'a Table, is_deleted: bool) -> Self {
        let before = if is_deleted { history.sources_before(table) } else { Vec::new() };
        Self { history, table, left: history.left(table), before }
    }

    /// The sources whose rows are given back, by their places in the group.
    pub(super) fn sources(&self) -> impl Iterator<Item = usize> {
        self.before.iter().map(|(source, _)| *source)
    }

    /// The first source by which the key came to be merged.
    pub(super) fn first_source(&self) -> usize {
        let merged = self.history.entry.as_ref().and_then(|entry| entry.sources.first());
        let swept = self.history.swept.first().map(|swept| swept.source);
        merged.map(|(source, _)| *source).or(swept).unwrap_or_default()
    }

    /// Whether the run changed the survivor's row.
    pub(super) fn is_written(&self) -> bool {
        self.history.is_copy() || !self.left.is_empty()
    }

    /// Compares what stands there with what the run left. With `force`, what someone changed since is
    /// overridden.
    pub(super) fn judge(&self, found: &Found, undo_t: TimestampUs, force: bool) -> Verdict {
        let mut conflicts = self.survivor_conflicts(found.survivor.as_ref());
        for (source, row) in &found.sources {
            conflicts.extend(self.source_conflicts(*source, row));
        }
        if !force && !conflicts.is_empty() {
            return Verdict::LeaveAlone(conflicts);
        }
        let sources = conflicts.iter().filter_map(|conflict| match conflict.holder {
            Holder::Survivor => None,
            Holder::Source(source) => Some(source),
        });
        let mut replaced: Vec<usize> = sources.collect();
        replaced.dedup();
        let is_ahead = |holder, row: &TimedRow, column: ColumnIndex| {
            let t = row.times[column].latest().filter(|t| *t >= undo_t)?;
            Some(Ahead { holder, column, t })
        };
        let columns = || self.table.key_len..self.table.columns.len();
        let mut ahead = Vec::new();
        if let Some(row) = &found.survivor {
            let restored = columns().filter(|column| self.is_restored(*column));
            ahead.extend(restored.filter_map(|column| is_ahead(Holder::Survivor, row, column)));
        }
        for (source, row) in found.sources.iter().filter(|(source, _)| replaced.contains(source)) {
            let holder = Holder::Source(*source);
            ahead.extend(columns().filter_map(|column| is_ahead(holder, row, column)));
        }
        let keeps_survivor = found.survivor.is_none() && !self.history.is_copy();
        Verdict::Restore(How { ahead, keeps_survivor, replaced })
    }

    /// Whether a column of the survivor's row goes back.
    fn is_restored(&self, column: ColumnIndex) -> bool {
        self.history.is_copy() || self.left(column).is_some()
    }

    fn left(&self, column: ColumnIndex) -> Option<&Bytes> {
        self.left.iter().find(|left| left.column == column).map(|left| &left.value)
    }

    /// What the survivor's own row held in a column before the run.
    pub(super) fn survivor_before(&self, column: ColumnIndex) -> Cell {
        if let Some((written, _)) = self.history.overtaken_by(column) {
            return written.clone();
        }
        match self.history.survivor_before() {
            Before::Absent => None,
            Before::Slim(row) | Before::Full(row) => row.cells.get(column).cloned().flatten(),
        }
    }

    fn survivor_conflicts(&self, found: Option<&TimedRow>) -> Vec<Conflict> {
        let is_copy = self.history.is_copy();
        if is_copy && found.is_none() {
            // It is gone already, as it was before the run.
            return Vec::new();
        }
        let columns = self.table.key_len..self.table.columns.len();
        let restored = columns.filter(|column| self.is_restored(*column));
        restored
            .filter_map(|column| {
                let expected = self.left(column).cloned();
                let cell = found.and_then(|row| row.row.cells[column].clone());
                if let (true, Some((written, written_at))) =
                    (is_copy, self.history.overtaken_by(column))
                {
                    // The row goes, and with it what the application wrote there.
                    let (holder, found) = (Holder::Survivor, written.clone());
                    return Some(Conflict { holder, column, expected, found, written_at });
                }
                if self.may_undo(column, &expected, &cell) {
                    return None;
                }
                let written_at = found.and_then(|row| row.times[column].latest());
                let holder = Holder::Survivor;
                Some(Conflict { holder, column, expected, found: cell, written_at })
            })
            .collect()
    }

    /// Whether what is found in a column of the survivor's row may be put back to what it was.
    fn may_undo(&self, column: ColumnIndex, left: &Cell, found: &Cell) -> bool {
        if self.history.is_copy() {
            return self.same(column, found, left);
        }
        let same = |a: &Cell, b: &Cell| self.same(column, a, b);
        let before = &self.survivor_before(column);
        match self.table.survivorship.iter().find(|rule| rule.column == column) {
            Some(rule) => rule.policy.may_undo(&Undone { before, left, found }, &same),
            None => same(found, before) || same(found, left),
        }
    }

    /// A source owned no row when the run had ended. What it holds of its row from before may have been
    /// given back already, or have outlived the run; anything else was written since.
    fn source_conflicts(&self, source: usize, found: &TimedRow) -> Vec<Conflict> {
        let Some((_, before)) = self.before.iter().find(|(known, _)| *known == source) else {
            return Vec::new();
        };
        let columns = self.table.key_len..self.table.columns.len();
        columns
            .filter(|column| {
                !self.is_part_of(*column, &found.row.cells[*column], &before.cells[*column])
            })
            .map(|column| Conflict {
                holder: Holder::Source(source),
                column,
                expected: None,
                found: found.row.cells[column].clone(),
                written_at: found.times[column].latest(),
            })
            .collect()
    }

    /// Whether two cells hold the same, in whatever order the elements of a map or set come.
    fn same(&self, column: ColumnIndex, a: &Cell, b: &Cell) -> bool {
        a == b || self.elements(column, a).is_some_and(|a| Some(a) == self.elements(column, b))
    }

    /// Whether a cell holds nothing that the other does not.
    fn is_part_of(&self, column: ColumnIndex, part: &Cell, whole: &Cell) -> bool {
        if part.is_none() || part == whole {
            return true;
        }
        match (self.elements(column, part), self.elements(column, whole)) {
            (Some(part), Some(whole)) => {
                part.iter().all(|(key, value)| whole.get(key) == Some(value))
            }
            _ => false,
        }
    }

    /// The elements of a map or set that is not frozen; null is an empty one.
    fn elements(&self, column: ColumnIndex, cell: &Cell) -> Option<BTreeMap<Bytes, Option<Bytes>>> {
        let collection = self.table.columns[column].cql_type.collection()?;
        match cell {
            None => Some(BTreeMap::new()),
            Some(value) => Some(collection.split(value)?.into_iter().collect()),
        }
    }
}
