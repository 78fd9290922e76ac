//! One key: what has to stand there for it to be undone, and what stands there instead. Pure: no clock,
//! no I/O.

use bytes::Bytes;

use crate::history::{History, Left};
use crate::journal::body::{CellAhead, Disputed, KeptCell};
use crate::model::{Cell, ColumnIndex, ExpiryS, Row, TimedRow, TimestampUs};
use crate::pipeline::keys::{KeyRows, Sought};
use crate::spec::{Table, Undone};

/// How a key is restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct How {
    /// Cells of the survivor's to be overwritten that are dated at or after the undo's own time.
    pub(super) ahead: Vec<CellAhead>,
    /// The survivor's row stays as it is: someone deleted it, and cells without their row help nobody.
    pub(super) keeps_survivor: bool,
    /// Cells of sources that stay as they are: someone wrote them, and a source is its owner's again.
    pub(super) kept: Vec<KeptCell>,
}

/// What is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UndoDecision {
    Restore(How),
    LeaveAlone(Vec<Disputed>),
}

/// One key with what the run did to it.
pub(super) struct Key<'a> {
    pub(super) history: &'a History,
    pub(super) table: &'a Table,
    /// The cells that the run left in the survivor's row.
    pub(super) left: Vec<Left>,
    /// The cells that it had left there before a sweep that is under way.
    left_before: Option<Vec<Left>>,
    /// The sources' rows before the run; empty where the run has deleted none of them.
    pub(super) before: Vec<(usize, Row)>,
    /// When the first undo of the group began; what it gave back is dated so, or later.
    undone_at: Option<TimestampUs>,
}

impl<'a> Key<'a> {
    /// `is_deleted` says whether the run deleted the sources' rows in this table, `is_sweeping` whether the group's last
    /// sweep is under way.
    pub(super) fn new(
        history: &'a History,
        table: &'a Table,
        is_deleted: bool,
        is_sweeping: bool,
        undone_at: Option<TimestampUs>,
    ) -> Self {
        let before = if is_deleted { history.sources_before(table) } else { Vec::new() };
        let left_before =
            (is_sweeping && history.newest > 0).then(|| history.before_newest().left(table));
        Self { history, table, left: history.left(table), left_before, before, undone_at }
    }

    /// The sources whose rows are given back, by their indexes in the group.
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
    pub(super) fn judge(&self, found: &KeyRows, undo_t: TimestampUs, force: bool) -> UndoDecision {
        let mut conflicts = match &found.survivor {
            None if self.history.is_copy() => self.missing_copy(found),
            survivor => self.survivor_conflicts(survivor.as_ref()),
        };
        if found.survivor.is_some() {
            let is_known = |column| conflicts.iter().any(|cell| cell.column == column);
            let swept_over: Vec<_> =
                self.swept_over().into_iter().filter(|cell| !is_known(cell.column)).collect();
            conflicts.extend(swept_over);
        }
        conflicts.extend(self.counted_anew(found));
        if !force && !conflicts.is_empty() {
            return UndoDecision::LeaveAlone(conflicts);
        }
        let columns = || self.table.key_len..self.table.columns.len();
        let ahead = found.survivor.iter().flat_map(|row| {
            let restored = columns().filter(|column| self.is_restored(*column));
            restored.filter_map(|column| {
                let t = row.times[column].latest().filter(|t| *t >= undo_t)?;
                Some(CellAhead { column, t })
            })
        });
        let sources = found.sources.iter();
        let kept = sources.flat_map(|(source, row)| self.kept_of(*source, row));
        let vanished =
            self.history.entry.as_ref().is_some_and(|entry| entry.may_vanish(self.table));
        let keeps_survivor = found.survivor.is_none() && !self.history.is_copy() && !vanished;
        let (ahead, kept) = (ahead.collect(), kept.collect());
        UndoDecision::Restore(How { ahead, keeps_survivor, kept })
    }

    /// What is read of it, at this position in its chunk.
    pub(super) fn sought(&self, at: usize) -> Sought<'a> {
        let sources = self.sources().collect();
        Sought { at, history: self.history, with_survivor: true, sources }
    }

    /// Whether a column of the survivor's row goes back.
    fn is_restored(&self, column: ColumnIndex) -> bool {
        self.history.is_copy() || self.left.iter().any(|left| left.column == column)
    }

    /// What the survivor's own row held in a column before the run.
    pub(super) fn survivor_before(&self, column: ColumnIndex) -> Cell {
        if let Some((written, ..)) = self.history.overtaken_by(column) {
            return written.clone();
        }
        self.history.survivor_before().cell(column).cloned()
    }

    /// When that expires, if it does.
    pub(super) fn survivor_expires(&self, column: ColumnIndex) -> Option<ExpiryS> {
        match self.history.overtaken_by(column) {
            Some((.., expires)) => expires,
            None => self.history.survivor_before().expires(column),
        }
    }

    /// The copy is gone. Where a source has its row, it was never written, or undone before; where none has, somebody
    /// has deleted it, and giving it back to a source would undo that.
    fn missing_copy(&self, found: &KeyRows) -> Vec<Disputed> {
        let stands = |(source, before): &(usize, Row)| {
            let row = found.sources.iter().find(|(own, _)| own == source);
            row.is_some_and(|(_, row)| {
                let columns = self.table.key_len..self.table.columns.len();
                let mut columns =
                    columns.filter(|column| before.cells[*column].is_some()).peekable();
                let is_held = |column: ColumnIndex| {
                    let is_same = row.row.cells[column] == before.cells[column];
                    is_same && self.is_of_run(*source, column, row)
                };
                columns.peek().is_none() || columns.any(is_held)
            })
        };
        let has_expired = self.history.has_expired(self.table);
        if self.before.is_empty() || has_expired || self.before.iter().any(stands) {
            return Vec::new();
        }
        let gone = |(column, value): (ColumnIndex, &Bytes)| Disputed {
            column,
            expected: Some(value.clone()),
            found: None,
            found_written_at: None,
        };
        let key = self.before.first().and_then(|(_, row)| row.cells.first()?.as_ref());
        let values = self.left.iter().filter_map(|left| Some((left.column, left.value.as_ref()?)));
        let mut conflicts: Vec<_> = values.map(gone).collect();
        if conflicts.is_empty() {
            // A row of nothing but its key.
            conflicts.extend(key.map(|key| gone((0, key))));
        }
        conflicts
    }

    /// Whether what is found in a column of a source can be what the run read there, or an undo gave back: what somebody
    /// has written between these is another row, though it may hold the same.
    fn is_of_run(&self, source: usize, column: ColumnIndex, found: &TimedRow) -> bool {
        let is_given_back = |undone_at| found.times[column].latest() >= Some(undone_at);
        self.is_read(source, column, found) || self.undone_at.is_some_and(is_given_back)
    }

    /// Whether what is found in a column of a source is what the run read there.
    fn is_read(&self, source: usize, column: ColumnIndex, found: &TimedRow) -> bool {
        let Some(t) = found.times[column].latest() else { return true };
        let swept = self.history.swept.iter().filter(|swept| swept.source == source);
        let mut cells = swept.flat_map(|swept| &swept.cells);
        t <= self.history.t || cells.any(|cell| cell.column == column && cell.t == t)
    }

    /// What sources have counted since in columns that are added up. Whether that counts on from what they had cannot be
    /// told: with that given back it may be counted twice, without it may be lost.
    fn counted_anew(&self, found: &KeyRows) -> Vec<Disputed> {
        let sources = found.sources.iter().flat_map(|(source, row)| {
            let before = self.before.iter().find(|(own, _)| own == source);
            let counted = self.table.sums().filter(move |column| {
                let before = before.and_then(|(_, before)| before.cells[*column].as_ref());
                let cell = row.row.cells[*column].as_ref();
                // What an undo has given back is what was there before.
                before.is_some()
                    && cell.is_some()
                    && cell != before
                    && !self.is_read(*source, *column, row)
            });
            counted.map(move |column| Disputed {
                column,
                expected: value_of(&self.left, column),
                found: row.row.cells[column].clone(),
                found_written_at: row.times[column].latest(),
            })
        });
        sources.collect()
    }

    /// The numbers that are added up and are not as they were put back, by source, or of the survivor.
    pub(super) fn counted_meanwhile(
        &self,
        how: &How,
        found: &KeyRows,
    ) -> Vec<(Option<usize>, ColumnIndex)> {
        let mut counted = Vec::new();
        for column in self.table.sums() {
            let survivor = found.survivor.as_ref().filter(|_| self.is_restored(column));
            let own = survivor.and_then(|row| row.row.cells[column].as_ref());
            let differs = own.is_some() && own != self.survivor_before(column).as_ref();
            counted.extend((differs && !how.keeps_survivor).then_some((None, column)));
            for (source, row) in &found.sources {
                let before = self.before.iter().find(|(known, _)| known == source);
                let before = before.and_then(|(_, before)| before.cells[column].as_ref());
                let is_other = before.is_some() && row.row.cells[column].as_ref() != before;
                let is_known = how.kept(*source, column).is_some();
                counted.extend((is_other && !is_known).then_some((Some(*source), column)));
            }
        }
        counted
    }

    /// Cells that somebody had written before a sweep placed a later one over them: they are not what the run had left
    /// there, and would be lost.
    fn swept_over(&self) -> Vec<Disputed> {
        let mut conflicts = Vec::new();
        for (at, swept) in self.history.swept.iter().enumerate() {
            let Some(target) = &swept.target else { continue };
            let mut earlier = self.history.clone();
            earlier.swept.truncate(at);
            let left = earlier.left(self.table);
            let moved = swept.cells.iter();
            let moved = moved.filter(|cell| cell.moved_at.is_some() && cell.element.is_none());
            conflicts.extend(moved.filter_map(|cell| {
                let column = cell.column;
                let found = &target.row.cells[column];
                let before = self.survivor_before(column);
                let expected = value_of(&left, column).or_else(|| before.clone());
                // As before the run, from a snapshot perhaps, it comes back.
                let is_known =
                    self.same(column, found, &expected) || self.same(column, found, &before);
                if found.is_none() || is_known {
                    return None;
                }
                let found_written_at = target.times[column].latest();
                Some(Disputed { column, expected, found: found.clone(), found_written_at })
            }));
        }
        conflicts
    }

    fn survivor_conflicts(&self, found: Option<&TimedRow>) -> Vec<Disputed> {
        let is_copy = self.history.is_copy();
        let columns = self.table.key_len..self.table.columns.len();
        let restored = columns.filter(|column| self.is_restored(*column));
        // What expires just now may be found or not: either is as the run left it.
        restored
            .filter(|column| !self.history.is_in_doubt(*column))
            .filter_map(|column| {
                let expected = value_of(&self.left, column);
                let cell = found.and_then(|row| row.row.cells[column].clone());
                if let (true, Some((written, found_written_at, _))) =
                    (is_copy, self.history.overtaken_by(column))
                {
                    // The row goes, and with it what the application wrote there.
                    let found = written.clone();
                    return Some(Disputed { column, expected, found, found_written_at });
                }
                let before_sweep = self.left_before.as_ref().map(|left| value_of(left, column));
                let left = [Some(&expected), before_sweep.as_ref()];
                if left.into_iter().flatten().any(|left| self.may_undo(column, left, &cell)) {
                    return None;
                }
                let found_written_at = found.and_then(|row| row.times[column].latest());
                Some(Disputed { column, expected, found: cell, found_written_at })
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

    /// What stays of a source's row.
    pub(super) fn kept_of(
        &self,
        source: usize,
        found: &TimedRow,
    ) -> impl Iterator<Item = KeptCell> {
        let columns = self.table.key_len..self.table.columns.len();
        columns.filter_map(move |column| self.kept(source, column, found))
    }

    /// What stays of a cell of a source: what is not of its row from before was written since.
    fn kept(&self, source: usize, column: ColumnIndex, found: &TimedRow) -> Option<KeptCell> {
        let (_, before) = self.before.iter().find(|(known, _)| *known == source)?;
        let (cell, before) = (&found.row.cells[column], &before.cells[column]);
        // Lists are given back beside what is in them.
        let is_list = self.table.columns[column].cql_type.is_list();
        // The same value may have been written since, to last for another time.
        let is_before = || !self.table.carries_ttls || self.is_of_run(source, column, found);
        if is_list || cell.is_none() || self.same(column, cell, before) && is_before() {
            return None;
        }
        let of = &self.table.columns[column].cql_type;
        let elements = match (of.elements_of(cell), of.elements_of(before)) {
            (Some(found), Some(before)) => {
                let since = found.into_iter().filter(|(key, value)| {
                    !before.get(key).is_some_and(|before| of.is_same_entry(before, value))
                });
                since.map(|(key, _)| key).collect()
            }
            _ => Vec::new(),
        };
        Some(KeptCell { source, column, elements })
    }

    /// Whether two cells hold the same, in whatever order the elements of a map or set come.
    fn same(&self, column: ColumnIndex, a: &Cell, b: &Cell) -> bool {
        self.table.columns[column].cql_type.is_same_cell(a, b)
    }
}

fn value_of(left: &[Left], column: ColumnIndex) -> Cell {
    left.iter().find(|left| left.column == column).and_then(|left| left.value.clone())
}
