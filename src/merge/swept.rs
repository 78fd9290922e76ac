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

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;

use crate::model::{
    AccountId, Cell, ColumnIndex, ExpiryS, Row, Scope, TableIndex, TimedRow, TimestampUs,
    WriteTimes, expiry,
};
use crate::spec::{Dated, RowRule, Spec, Survivorship, Table};

/// One row of a source that outlived the merge's delete, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
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
    /// dated in the future.
    pub(crate) settled: Option<TimestampUs>,
}

/// One cell, or one element of a map or set that is not frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweptCell {
    pub column: ColumnIndex,
    /// Of a map or set that is not frozen: the entry's key, or the element.
    pub element: Option<Bytes>,
    /// The value; none for an element of a set.
    pub value: Option<Bytes>,
    /// Its write time on the source; where that is not known, one up to which whatever was written has been read.
    pub t: TimestampUs,
    /// The write time with which it is written to the survivor's row; `None` where that keeps what it has.
    pub(crate) moved_at: Option<TimestampUs>,
    /// When it expires, if it does.
    pub expires: Option<ExpiryS>,
    /// Of a mention: whom the survivor's row names instead.
    pub(crate) names: Option<Bytes>,
}

/// A slice of a sweep: rows of a group's sources, and the rows to announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SweepSlice {
    pub rows: Vec<Swept>,
    /// The rows to announce; their ids follow from the slice's own time.
    pub events: Vec<super::Announced>,
}

/// Why a row with a list is left: the elements cannot be placed one by one at their own times, nor the list as a whole.
const LIST: &str = "elements of a list were written to it after the merge, and how they go together with those of the \
                    survivor nobody can tell: add them there by hand, and delete the row";
/// Why a row is left that is too old.
const FORGOTTEN: &str = "it is older than the table keeps tombstones (gc_grace_seconds), and whether somebody has deleted the \
                         survivor's row cannot be told any more";

/// Why a row is left whose columns cannot be taken one by one.
const RANKED: &str = "it was written to after the merge, and of two rows the higher one survives whole: add what is new to \
                      the survivor's by hand, and delete it";

/// Why a row is left that was begun after the merge, where the survivor has one of its own.
const UNMERGED: &str = "it was begun after the merge, and of two rows the source's takes the place of the survivor's whole: \
                        merge the same pair once more, or delete it";

/// Why a row is left in which something is added up.
const SUMMED: &str = "something that is added up was written to it after the merge, and whether that counts on from what was \
                      merged cannot be told: add what is new to the survivor's by hand, and delete it";

/// How far ahead a cell may be dated and still be taken for a later write.
const FAR_AHEAD_US: TimestampUs = 60 * 60 * 1_000_000;

/// When a row is looked at: what is old enough, what is new, what lies ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon {
    /// What was written up to this time has been read by the merge, or deleted by an earlier look.
    pub(crate) deleted: TimestampUs,
    /// Whatever was written up to this time has arrived.
    pub(crate) settled: TimestampUs,
    /// The time of the look.
    pub now: TimestampUs,
    /// The tombstones of what was written up to this time may be gone.
    pub(crate) forgotten: TimestampUs,
}

/// What is to be done about a row that survived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SweepDecision {
    /// It is taken; what cannot be taken of it is told.
    Take(Swept, Option<&'static str>),
    /// It is left, and told.
    Leave(&'static str),
    /// Only its key is left, which may be about to expire: an earlier sweep may have taken the rest.
    Bare,
    /// Something was written to it just now, and more may be on its way: it is looked at again later.
    Wait,
}

impl SweepDecision {
    /// Decides about a row of a source. `is_copy` says whether the survivor's row is the run's own, or that of a source as a
    /// whole.
    pub(crate) fn of(
        (index, table): (TableIndex, &Table),
        source: usize,
        found: &TimedRow,
        target: Option<TimedRow>,
        is_copy: bool,
        horizon: Horizon,
    ) -> Self {
        if table.lists_of(&found.row).next().is_some() {
            return Self::Leave(LIST);
        }
        if table.rows.is_ranked() && target.is_some() {
            return Self::Leave(RANKED);
        }
        if table.rows == RowRule::Source && target.is_some() && !is_copy {
            return Self::Leave(UNMERGED);
        }
        if target.is_some() && table.sums().any(|column| found.row.cells[column].is_some()) {
            return Self::Leave(SUMMED);
        }
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
        let is_forgotten = |cell: &SweptCell| cell.t <= horizon.forgotten;
        if target.is_none() && cells.iter().any(is_forgotten) {
            return Self::Leave(FORGOTTEN);
        }
        let all = cells.len();
        cells.retain(|cell| cell.t <= horizon.now + FAR_AHEAD_US);
        let far = (cells.len() < all).then_some("a cell is dated more than an hour ahead");
        if let (true, Some(far)) = (cells.is_empty(), far) {
            return Self::Leave(far);
        }
        for cell in &mut cells {
            let rule = table.survivorship.iter().find(|rule| rule.column == cell.column);
            let at = match found.times[cell.column] {
                WriteTimes::Unknown => horizon.deleted + FIRST_LATE,
                _ => cell.t,
            };
            let by_entry = rule.and_then(Survivorship::of_entries);
            cell.moved_at = match (&target, rule, by_entry) {
                (Some(own), Some(rule), _) if cell.element.is_none() => {
                    preferred_at(table, rule, (cell, found), own)
                }
                (Some(own), _, Some((policy, of))) => {
                    let (value, t) = cell.found_in(table, own);
                    let late = Dated { value: &cell.value, t: Some(at) };
                    policy.late(of, Dated { value: &value, t }, late)
                }
                (Some(own), Some(rule), None) if !rule.joins_elements() => {
                    let known = cell.found_in(table, own).1;
                    rule.policy.late_element(&own.row.cells[cell.column], known, at)
                }
                // Of the elements of both those stay that the survivor has.
                (Some(own), Some(_), None) if !is_copy => {
                    (!cell.has_key_in(table, own)).then_some(at)
                }
                (Some(_), None, _) if !is_copy => None,
                _ => Some(at),
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
        let expires = found.row.expires.of(column);
        let cell = |element, value, t| {
            let (moved_at, names) = (None, None);
            SweptCell { column, element, value, t, moved_at, expires, names }
        };
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

/// When a source's cell is written over that of the survivor's row, if the policy prefers it, or it is the same and lasts
/// longer. It has to win over what is there, however late that was written. Where write times decide, those count with which
/// the application has [written](Row::written) what a run has.
fn preferred_at(
    table: &Table,
    rule: &Survivorship,
    (cell, found): (&SweptCell, &TimedRow),
    own: &TimedRow,
) -> Option<TimestampUs> {
    let known = Dated { value: &own.row.cells[cell.column], t: own.times[cell.column].latest() };
    if rule.policy.goes_by_time() {
        let written = |row: &TimedRow, t| row.row.written.of(cell.column).or(t);
        let late = Dated { value: &cell.value, t: written(found, Some(cell.t)) };
        let dated = Dated { t: written(own, known.t), ..known };
        rule.policy.late(&rule.cql_type, dated, late)?;
        return Some(known.t.map_or(cell.t, |known| cell.t.max(known + 1)));
    }
    let late = Dated { value: &cell.value, t: Some(cell.t) };
    let lasts_longer = || {
        let is_longer = expiry::outlasts(cell.expires, own.row.expires.of(cell.column));
        let is_same = table.carries_ttls && known.value == late.value;
        (is_same && is_longer && rule.policy.is_computed())
            .then(|| known.t.map_or(cell.t, |known| cell.t.max(known + 1)))
    };
    rule.policy.late(&rule.cql_type, known, late).or_else(lasts_longer)
}

impl Swept {
    /// Has cells be null that are over, and those of the survivor's row.
    pub(crate) fn expire(&mut self, now: TimestampUs) {
        for cell in &mut self.cells {
            if cell.expires.is_some_and(|expires| expiry::is_over(expires, now)) {
                cell.value = None;
            }
        }
        if let Some(target) = &mut self.target {
            target.row.expire(now);
        }
    }

    /// The same as it is by now.
    pub(crate) fn by_now(&self, now: TimestampUs) -> Cow<'_, Self> {
        if self.cells.iter().all(|cell| cell.expires.is_none()) {
            return Cow::Borrowed(self);
        }
        let mut swept = self.clone();
        swept.expire(now);
        Cow::Owned(swept)
    }

    /// Has what mentions somebody name whom that is now, where it is moved.
    pub(crate) fn map_mentions(&mut self, table: &Table, now: impl Fn(&Bytes) -> Option<Bytes>) {
        let mentions = self.cells.iter_mut().filter(|cell| table.mentions.contains(&cell.column));
        mentions.for_each(|cell| cell.names = cell.value.as_ref().and_then(&now));
    }

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
                TimedRow { row: Row::new(cells), times }
            }
        };
        for cell in self.cells.iter().filter(|cell| cell.element.is_some()) {
            // Only what goes by its value is held against what another source has moved there.
            let mut rules = table.survivorship.iter().filter(|rule| rule.column == cell.column);
            let is_weighed =
                |rule: &Survivorship| !rule.joins_elements() || rule.of_entries().is_some();
            if rules.any(|rule| rule.policy.is_computed() && is_weighed(rule)) {
                cell.lay_over(table, &mut result);
            }
        }
        for cell in self.cells.iter().filter(|cell| cell.element.is_none()) {
            let known = result.times[cell.column].latest();
            if let Some(t) = cell.moved_at.filter(|t| Some(*t) > known) {
                result.row.cells[cell.column].clone_from(cell.written());
                result.row.expires.set(cell.column, cell.expires);
                result.times[cell.column] = WriteTimes::Cell(t);
                result.row.written.set(cell.column, None);
            }
        }
        Some(result)
    }

    /// The primary key of the survivor's row.
    pub fn key_of(&self, table: &Table, survivor: &AccountId) -> Vec<Bytes> {
        let mut key = self.key.clone();
        table.set_account(&mut key, survivor);
        key
    }
}

impl SweptCell {
    /// What the survivor's row gets.
    pub(crate) fn written(&self) -> &Cell {
        if self.value.is_some() && self.names.is_some() { &self.names } else { &self.value }
    }
}

impl SweepSlice {
    /// The scopes that its rows lead to, or are in, by table: when those rows are gone, nothing else tells of them.
    pub(crate) fn scopes(&self, spec: &Spec) -> Vec<(TableIndex, Vec<Scope>)> {
        let found = spec.discovered().map(|(index, table)| {
            let scopes = self.rows.iter().filter_map(|row| match row.table {
                through if table.locator.through == Some(through) => {
                    table.locator.scope(&row.cells(&spec.tables[through]))
                }
                own if own == index => Some(table.scope_of_key(&row.key)),
                _ => None,
            });
            (index, scopes.collect::<BTreeSet<Scope>>().into_iter().collect())
        });
        found.collect()
    }
}
