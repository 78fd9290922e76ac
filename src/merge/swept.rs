//! What survived on a source (it was written after T, or is dated in the future), and where it goes.
//!
//! It is a later write to the row's new key. Where the survivor's row is a copy of ours, or there is none,
//! every surviving cell is written there with its own write time, unless a policy decides; where the survivor had a
//! row of its own, only the policies do. Then the cells are deleted from the source, each just above its own write time, so that
//! nothing else on the source is touched.
//!
//! Before Cassandra 5.0 the elements of maps and sets have no times that could be read. What outlived the merge's delete
//! was written after it, so such an element is moved just above that: there it cannot win over any later write of the
//! survivor's. Only if it stands there then, it is taken from the source ([`Swept::hidden`]).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::model::{
    AccountId, Batch, Cell, Change, Collection, ColumnIndex, Mutation, Row, Scope, TableIndex,
    TimedRow, TimestampUs, WriteTimes,
};
use crate::spec::{Dated, Spec, Survivorship, Table};

/// One row of a source that outlived the merge's delete, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// The table.
    pub table: TableIndex,
    /// The source's index in the group.
    pub source: usize,
    /// The primary key of the source's row, in column order.
    pub key: Vec<Bytes>,
    /// The cells that are taken from the source's row.
    pub cells: Vec<SweptCell>,
    /// The survivor's row before, with the write times of its cells; `None` if there was none.
    pub target: Option<TimedRow>,
    /// Cells up to this time are old enough for the whole row to be deleted as of it; `None` if all are
    /// dated in the future, or something stays: then cells are deleted one by one.
    pub(crate) settled: Option<TimestampUs>,
}

/// One cell, or one element of a map or set that is not frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweptCell {
    /// The column.
    pub column: ColumnIndex,
    /// Of a map or set that is not frozen: the entry's key, or the element.
    pub element: Option<Bytes>,
    /// The value; none for an element of a set.
    pub value: Option<Bytes>,
    /// Its write time on the source; where that is not known, one up to which whatever was written has been read.
    pub t: TimestampUs,
    /// The write time with which it is written to the survivor's row; `None` where that keeps what it has.
    pub(crate) moved_at: Option<TimestampUs>,
}

/// A slice of a sweep: rows of a group's sources, and the rows to announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SweepSlice {
    /// The rows.
    pub rows: Vec<Swept>,
    /// The rows to announce; their ids follow from the slice's own time.
    pub events: Vec<super::Announced>,
}

/// How far ahead a cell may be dated and still be taken for a later write.
const FAR_AHEAD_US: TimestampUs = 60 * 60 * 1_000_000;

/// When a row is looked at: what is old enough, what is new, what lies ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// What was written up to this time has been deleted by the merge.
    pub(crate) deleted: TimestampUs,
    /// Whatever was written up to this time has arrived.
    pub(crate) settled: TimestampUs,
    /// The time of the look.
    pub now: TimestampUs,
}

/// What is to be done about a row that survived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is taken; what cannot be taken of it is told.
    Take(Swept, Option<&'static str>),
    /// It is left, and told.
    Leave(&'static str),
    /// Only its key is left, which may be about to expire: an earlier sweep may have taken the rest.
    Bare,
    /// Something was written to it just now, and more may be on its way: it is looked at again later.
    Wait,
}

impl Verdict {
    /// Decides about a row of a source. `is_copy` says whether the survivor's row is the run's own.
    pub(crate) fn of(
        (index, table): (TableIndex, &Table),
        source: usize,
        found: &TimedRow,
        target: Option<TimedRow>,
        is_copy: bool,
        horizon: Horizon,
    ) -> Self {
        let Some(mut cells) = cells(table, found, horizon) else {
            return Self::Leave("a cell has no write time that could be read");
        };
        if cells.is_empty() {
            return Self::Bare;
        }
        let is_fresh = |cell: &SweptCell| (horizon.settled + 1..=horizon.now).contains(&cell.t);
        let is_early = || horizon.settled <= horizon.deleted + FIRST_LATE + 1;
        let is_undated = found.times.contains(&WriteTimes::Unknown);
        if cells.iter().any(is_fresh) || is_undated && is_early() {
            return Self::Wait;
        }
        let all = cells.len();
        cells.retain(|cell| cell.t <= horizon.now + FAR_AHEAD_US);
        let far = (cells.len() < all).then_some("a cell is dated more than an hour ahead");
        if let (true, Some(far)) = (cells.is_empty(), far) {
            return Self::Leave(far);
        }
        for cell in &mut cells {
            let rule = table.survivorship.iter().find(|rule| rule.column == cell.column);
            cell.moved_at = match (&target, rule) {
                (Some(own), Some(rule)) => preferred_at(rule, cell, own),
                (Some(_), None) if !is_copy => None,
                _ if found.times[cell.column] == WriteTimes::Unknown => {
                    Some(horizon.deleted + FIRST_LATE)
                }
                _ => Some(cell.t),
            };
        }
        let settled = cells.iter().map(|cell| cell.t).filter(|t| *t <= horizon.settled).max();
        let key = table.key_of(&found.row);
        Self::Take(Swept { table: index, source, key, cells, target, settled }, far)
    }
}

/// When, after the merge's delete, something was written at the earliest.
const FIRST_LATE: TimestampUs = 1;

/// The cells of a row, one by one; `None` if a value has no time or cannot be taken apart.
fn cells(table: &Table, found: &TimedRow, horizon: Horizon) -> Option<Vec<SweptCell>> {
    let mut cells = Vec::new();
    for (column, value) in found.row.cells.iter().enumerate().skip(table.key_len) {
        let Some(value) = value else { continue };
        let cell = |element, value, t| SweptCell { column, element, value, t, moved_at: None };
        let collection = table.columns[column].cql_type.collection();
        match (&found.times[column], collection) {
            (WriteTimes::None, _) => return None,
            (WriteTimes::Elements(times), Some(collection)) => {
                let elements = collection.split(value)?;
                if elements.len() != times.len() {
                    return None;
                }
                let timed = elements.into_iter().zip(times);
                cells.extend(timed.map(|((key, value), t)| cell(Some(key), value, *t)));
            }
            (WriteTimes::Unknown, Some(collection)) => {
                // Taken by a delete dated at the horizon: what is older has been read.
                let (elements, t) = (collection.split(value)?, horizon.settled - 1);
                cells.extend(elements.into_iter().map(|(key, value)| cell(Some(key), value, t)));
            }
            (times, _) => cells.push(cell(None, Some(value.clone()), times.latest()?)),
        }
    }
    Some(cells)
}

/// When a source's cell is written over that of the survivor's row, if the policy prefers it. It has to win over what
/// is there, however late that was written.
fn preferred_at(rule: &Survivorship, cell: &SweptCell, own: &TimedRow) -> Option<TimestampUs> {
    let known = Dated { value: &own.row.cells[cell.column], t: own.times[cell.column].latest() };
    rule.policy.late(&rule.cql_type, known, Dated { value: &cell.value, t: Some(cell.t) })
}

impl SweptCell {
    /// Whether its time on the source is not known: only then it is written with an earlier one.
    pub fn is_undated(&self) -> bool {
        self.moved_at.is_some_and(|moved_at| moved_at < self.t)
    }

    fn holds(&self, element: &Bytes, value: Option<&Bytes>) -> bool {
        self.element.as_ref() == Some(element) && self.value.as_ref() == value
    }
}

impl Swept {
    /// The source's row, as far as it was taken.
    pub fn cells(&self, table: &Table) -> Vec<Cell> {
        let mut row: Vec<Cell> = self.key.iter().cloned().map(Some).collect();
        row.resize(table.columns.len(), None);
        for cell in self.cells.iter().filter(|cell| cell.element.is_none()) {
            row[cell.column].clone_from(&cell.value);
        }
        row
    }

    /// Whether the survivor's row changes.
    pub(crate) fn is_moved(&self) -> bool {
        self.cells.iter().any(|cell| cell.moved_at.is_some())
    }

    /// The survivor's row as it will be, as far as policies and events look at it.
    pub fn result(&self, table: &Table, survivor: &AccountId) -> Option<TimedRow> {
        let mut result = match &self.target {
            Some(target) => target.clone(),
            None if !self.is_moved() => return None,
            None => {
                let mut cells: Vec<_> =
                    self.key_of(table, survivor).into_iter().map(Some).collect();
                cells.resize(table.columns.len(), None);
                let times = vec![WriteTimes::None; table.columns.len()];
                TimedRow { row: Row { cells }, times }
            }
        };
        for cell in self.cells.iter().filter(|cell| cell.element.is_none()) {
            let known = result.times[cell.column].latest();
            if let Some(t) = cell.moved_at.filter(|t| Some(*t) > known) {
                result.row.cells[cell.column].clone_from(&cell.value);
                result.times[cell.column] = WriteTimes::Cell(t);
            }
        }
        Some(result)
    }

    /// The elements that do not stand where they were moved to, dated below any later write: both accounts
    /// wrote them since, or the survivor's was deleted. `found` is the survivor's row afterwards.
    pub fn hidden(&self, table: &Table, found: Option<&TimedRow>) -> Vec<&SweptCell> {
        let stands = |cell: &SweptCell| {
            let value = found.and_then(|found| found.row.cells[cell.column].as_ref());
            let collection = table.columns[cell.column].cql_type.collection();
            let elements = value.zip(collection).and_then(|(value, of)| of.split(value));
            elements.is_some_and(|all| all.iter().any(|(k, v)| cell.holds(k, v.as_ref())))
        };
        self.cells.iter().filter(|cell| cell.is_undated() && !stands(cell)).collect()
    }

    /// The same, but for cells that stay on the source: it is no more the whole row that goes.
    pub fn without(&self, stays: impl Fn(&SweptCell) -> bool) -> Self {
        let mut rest = self.clone();
        rest.cells.retain(|cell| !stays(cell));
        if rest.cells.len() < self.cells.len() {
            rest.settled = None;
        }
        rest
    }

    /// The primary key of the survivor's row.
    pub fn key_of(&self, table: &Table, survivor: &AccountId) -> Vec<Bytes> {
        let mut key = self.key.clone();
        key[table.account].clone_from(survivor.cell());
        key
    }

    /// The cells written to the survivor's row, each with its time.
    fn moves(&self, table: &Table, survivor: &AccountId) -> Vec<Mutation> {
        let key = self.key_of(table, survivor);
        let moved = self.cells.iter().filter_map(|cell| Some((cell.moved_at?, cell)));
        dated(table, moved, |t, column, cells| match column {
            Some(column) => (
                t,
                Change::AddElements {
                    key: key.clone(),
                    column,
                    elements: elements(table, column, cells),
                },
            ),
            None if self.target.is_some() => {
                let set = cells.iter().map(|cell| (cell.column, cell.value.clone())).collect();
                (t, Change::Update { key: key.clone(), set })
            }
            None => {
                let mut row: Vec<_> = key.iter().cloned().map(Some).collect();
                row.resize(table.columns.len(), None);
                for cell in cells {
                    row[cell.column].clone_from(&cell.value);
                }
                (t, Change::Insert { row: Row { cells: row } })
            }
        })
        .map(|(t, change)| Mutation { table: self.table, t, change })
        .collect()
    }

    /// What is written to the survivor's row.
    fn move_batch(&self, spec: &Spec, survivor: &AccountId) -> Batch {
        let mutations = self.moves(&spec.tables[self.table], survivor);
        Batch { table: self.table, mutations }
    }

    /// Whether it has elements whose times on the source are not known.
    pub fn is_undated(&self) -> bool {
        self.cells.iter().any(SweptCell::is_undated)
    }

    /// What takes the cells from the source, once those of unknown times were seen where they were moved to.
    pub fn removed(&self, spec: &Spec) -> Batch {
        Batch { table: self.table, mutations: self.removals(&spec.tables[self.table]) }
    }

    /// What takes the cells from the source, each just above its own time. What is settled goes with the row;
    /// what lies ahead goes cell by cell, so that nothing that is written until then is hidden.
    fn removals(&self, table: &Table) -> Vec<Mutation> {
        let ahead = self.cells.iter().filter(|cell| Some(cell.t) > self.settled);
        // Below a row's liveness that has expired, what stays of undated elements might not be seen.
        let dated_ahead = ahead.clone().filter(|cell| !cell.is_undated());
        let latest = dated_ahead.map(|cell| cell.t).max();
        let key = || self.key.clone();
        let by_cell =
            dated(table, ahead.map(|cell| (cell.t, cell)), |t, column, cells| match column {
                Some(column) => {
                    let keys: Vec<_> =
                        cells.iter().filter_map(|cell| cell.element.as_ref()).collect();
                    let keys = Collection::keys(keys.into_iter());
                    (t + 1, Change::RemoveElements { key: key(), column, keys })
                }
                None => {
                    let set = cells.iter().map(|cell| (cell.column, None)).collect();
                    (t + 1, Change::Update { key: key(), set })
                }
            });
        let row = self.settled.map(|t| (t + 1, Change::DeleteRow { key: key() }));
        let liveness = latest.map(|t| (t + 1, Change::ExpireRow { key: key() }));
        let all = row.into_iter().chain(by_cell).chain(liveness);
        all.map(|(t, change)| Mutation { table: self.table, t, change }).collect()
    }
}

/// Cells of one time, and elements of one time and column, in one change each.
fn dated<'a>(
    table: &Table,
    cells: impl Iterator<Item = (TimestampUs, &'a SweptCell)>,
    change: impl Fn(TimestampUs, Option<ColumnIndex>, &[&SweptCell]) -> (TimestampUs, Change),
) -> impl Iterator<Item = (TimestampUs, Change)> {
    let mut by_time: BTreeMap<(TimestampUs, Option<ColumnIndex>), Vec<&SweptCell>> =
        BTreeMap::new();
    for (t, cell) in cells {
        debug_assert!(cell.column >= table.key_len);
        let of_elements = cell.element.as_ref().map(|_| cell.column);
        by_time.entry((t, of_elements)).or_default().push(cell);
    }
    let changes: Vec<_> =
        by_time.into_iter().map(|((t, column), cells)| change(t, column, &cells)).collect();
    changes.into_iter()
}

fn elements(table: &Table, column: ColumnIndex, cells: &[&SweptCell]) -> Bytes {
    let collection = table.columns[column].cql_type.collection().unwrap_or(Collection::Set);
    let elements: Vec<_> = cells
        .iter()
        .filter_map(|cell| Some((cell.element.as_ref()?, cell.value.as_ref())))
        .collect();
    collection.join(elements.into_iter())
}

impl SweepSlice {
    /// The scopes that its rows lead to, or are in, by table: when those rows are gone, nothing else tells of them.
    pub(crate) fn scopes(&self, spec: &Spec) -> Vec<(TableIndex, Vec<Scope>)> {
        let found = spec.led().map(|(index, table, through)| {
            let scopes = self.rows.iter().filter_map(|row| match row.table {
                led_by if led_by == through => {
                    table.locator.scope(&row.cells(&spec.tables[through]))
                }
                own if own == index => Some(table.scope_of_key(&row.key)),
                _ => None,
            });
            (index, scopes.collect::<BTreeSet<Scope>>().into_iter().collect())
        });
        found.collect()
    }

    /// What is written, as sequences of batches: the batches of a sequence only in turn, because a cell
    /// is deleted no earlier than its own copy is acknowledged. Of rows with undated elements only what is moved.
    pub(crate) fn writes(&self, spec: &Spec, survivor: &AccountId) -> Vec<Vec<Batch>> {
        let sequence = |swept: &Swept| {
            if swept.is_undated() {
                return vec![swept.move_batch(spec, survivor)];
            }
            let table = &spec.tables[swept.table];
            let mut moved = swept.moves(table, survivor);
            let mut removed = swept.removals(table);
            let batch = |mutations| Batch { table: swept.table, mutations };
            if !table.owns_partitions() {
                moved.append(&mut removed);
            }
            let batches = [moved, removed].into_iter().filter(|mutations| !mutations.is_empty());
            batches.map(batch).collect::<Vec<_>>()
        };
        self.rows.iter().map(sequence).filter(|batches| !batches.is_empty()).collect()
    }

    /// What is written where computed values are raised: the sources' rows are not touched.
    pub(crate) fn raises(&self, spec: &Spec, survivor: &AccountId) -> Vec<Vec<Batch>> {
        self.rows.iter().map(|swept| vec![swept.move_batch(spec, survivor)]).collect()
    }
}
