//! One key, taken back: what has to stand there now, and what is written so that everything is as it was
//! before the run. Pure: no clock, no I/O.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::account::{AccountId, Cell, Change, ColumnIndex, Mutation, Row, TimedRow, TimestampUs};
use crate::ledger::{Before, History, Left};
use crate::spec::Table;
use crate::spec::elements::Collection;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct How {
    /// The time of what is taken from the survivor; what is given to sources is dated just above, so that no
    /// later sweep can lose it to a delete of the same time.
    pub(super) at: TimestampUs,
    /// The survivor's row stays as it is: someone deleted it, and cells without their row help nobody.
    pub(super) keeps_survivor: bool,
    /// Sources whose rows are deleted before they are given back: someone wrote to them.
    pub(super) replaced: Vec<usize>,
}

/// What is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Restore(How),
    LeaveAlone(Vec<Conflict>),
}

/// What is written for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Restoration {
    /// The rows of sources, by their places in the group; acknowledged before the survivor's row goes.
    pub(super) sources: Vec<(usize, Mutation)>,
    /// The change of the survivor's row.
    pub(super) survivor: Option<Mutation>,
}

/// One key with what the run did to it.
pub(super) struct Key<'a> {
    pub(super) history: &'a History,
    pub(super) table: &'a Table,
    /// The cells that the run left in the survivor's row.
    left: Vec<Left>,
    /// The sources' rows before the run; empty where the run has deleted none of them.
    sources: Vec<(usize, Row)>,
}

impl<'a> Key<'a> {
    /// `is_deleted` says whether the run deleted the sources' rows in this table.
    pub(super) fn new(history: &'a History, table: &'a Table, is_deleted: bool) -> Self {
        let sources = if is_deleted { history.sources_before(table) } else { Vec::new() };
        Self { history, table, left: history.left(table), sources }
    }

    /// The sources whose rows are given back, by their places in the group.
    pub(super) fn sources(&self) -> impl Iterator<Item = usize> {
        self.sources.iter().map(|(source, _)| *source)
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
        let mut replaced: Vec<usize> = conflicts
            .iter()
            .filter_map(|conflict| match conflict.holder {
                Holder::Survivor => None,
                Holder::Source(source) => Some(source),
            })
            .collect();
        replaced.dedup();
        let of_sources = found.sources.iter().filter(|(source, _)| replaced.contains(source));
        let overridden = of_sources.flat_map(|(_, row)| row.times.iter());
        let of_survivor = found.survivor.iter().flat_map(|row| {
            let columns = 0..row.times.len();
            columns.filter(|column| self.is_restored(*column)).map(|column| &row.times[column])
        });
        let newest = of_survivor.chain(overridden).filter_map(|times| times.latest()).max();
        let newest = newest.unwrap_or(self.history.newest_t()).max(self.history.newest_t());
        Verdict::Restore(How {
            at: undo_t.max(newest.saturating_add(1)),
            keeps_survivor: found.survivor.is_none() && !self.history.is_copy(),
            replaced,
        })
    }

    /// Whether a column of the survivor's row goes back.
    fn is_restored(&self, column: ColumnIndex) -> bool {
        self.history.is_copy() || self.left(column).is_some()
    }

    fn left(&self, column: ColumnIndex) -> Option<&Bytes> {
        self.left.iter().find(|left| left.column == column).map(|left| &left.value)
    }

    /// What the survivor's own row held in a column before the run.
    fn before(&self, column: ColumnIndex) -> Cell {
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
                let is_as_before = !is_copy && self.same(column, &cell, &self.before(column));
                if is_as_before || self.same(column, &cell, &expected) {
                    return None;
                }
                let written_at = found.and_then(|row| row.times[column].latest());
                let holder = Holder::Survivor;
                Some(Conflict { holder, column, expected, found: cell, written_at })
            })
            .collect()
    }

    /// A source owned no row when the run had ended. What it holds of its row from before may have been
    /// given back already, or have outlived the run; anything else was written since.
    fn source_conflicts(&self, source: usize, found: &TimedRow) -> Vec<Conflict> {
        let Some((_, before)) = self.sources.iter().find(|(known, _)| *known == source) else {
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
        let collection = Collection::of(&self.table.columns[column].cql_type)?;
        match cell {
            None => Some(BTreeMap::new()),
            Some(value) => Some(collection.split(value)?.into_iter().collect()),
        }
    }

    /// What restores the key. Writing it again changes nothing.
    pub(super) fn restore(&self, survivor: &AccountId, how: &How) -> Restoration {
        let index = self.history.table;
        let dated = |t, change| Mutation { table: index, t, change };
        let mut sources = Vec::new();
        for (source, row) in &self.sources {
            if how.replaced.contains(source) {
                let key = row.cells[..self.table.key_len].iter().flatten().cloned().collect();
                sources.push((*source, dated(how.at, Change::DeleteRow { key })));
            }
            let row = Change::Insert { row: row.clone() };
            sources.push((*source, dated(how.at.saturating_add(1), row)));
        }
        let key = self.history.key_of(self.table, survivor);
        let change = match (self.history.is_copy(), how.keeps_survivor, self.left.is_empty()) {
            (true, ..) => Some(Change::DeleteRow { key }),
            (false, false, false) => {
                let set = self.left.iter().map(|left| (left.column, self.before(left.column)));
                Some(Change::Update { key, set: set.collect() })
            }
            _ => None,
        };
        Restoration { sources, survivor: change.map(|change| dated(how.at, change)) }
    }
}
