//! What restores a key, and when each cell is dated.
//!
//! A cell goes back at the undo's own time, and what is given to sources is dated just above that: a merge
//! or a sweep that comes later must never lose it to a delete of the same time. Only what is dated ahead
//! is overwritten, or given back, ahead: the rest of its row stays open to what an application writes
//! meanwhile.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::journal::body::KeptCell;
use crate::merge::Swept;
use crate::model::{
    AccountId, Cell, Change, ColumnIndex, Expiries, Mutation, Row, TimedRow, TimestampUs, list,
};
use crate::pipeline::keys::KeyRows;

use super::key::{How, Key};

/// What is written for a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Restoration {
    /// The rows of sources, by their indexes in the group; acknowledged before the survivor's row goes.
    pub(super) sources: Vec<(usize, Mutation)>,
    /// The survivor's row.
    pub(super) survivor: Vec<Mutation>,
}

impl How {
    /// The time of what is there in the survivor's row, if that is ahead.
    fn ahead(&self, column: ColumnIndex) -> Option<TimestampUs> {
        self.ahead.iter().find(|ahead| ahead.column == column).map(|ahead| ahead.t)
    }

    /// What stays of a source's cell.
    pub(super) fn kept(&self, source: usize, column: ColumnIndex) -> Option<&KeptCell> {
        self.kept.iter().find(|kept| kept.source == source && kept.column == column)
    }
}

impl Key<'_> {
    /// What restores the key; `undo_t` is the undo's time. Writing it again changes nothing. What is `found` in lists
    /// stays beside what is given back.
    pub(super) fn restore(
        &self,
        survivor: &AccountId,
        how: &How,
        found: Option<&KeyRows>,
        undo_t: TimestampUs,
    ) -> Restoration {
        let dated = |(t, change)| Mutation { table: self.history.table, t, change };
        let mut sources = Vec::new();
        for (source, row) in &self.before {
            let own = found.into_iter().flat_map(|found| &found.sources);
            let own = own.into_iter().find(|(own, _)| own == source).map(|(_, row)| row);
            let changes = self.source_changes((*source, row, own), how, undo_t);
            sources.extend(changes.into_iter().map(|change| (*source, dated(change))));
        }
        let survivor = self.survivor_changes(survivor, how, undo_t);
        Restoration { sources, survivor: survivor.into_iter().map(dated).collect() }
    }

    fn source_changes(
        &self,
        (source, row, found): (usize, &Row, Option<&TimedRow>),
        how: &How,
        undo_t: TimestampUs,
    ) -> Vec<(TimestampUs, Change)> {
        let mut changes = Vec::new();
        let key = self.table.key_of(row);
        let mut settled = row.clone();
        let mut later: BTreeMap<TimestampUs, Vec<(ColumnIndex, Cell)>> = BTreeMap::new();
        let columns = self.table.key_len..row.cells.len();
        let is_list = |column: &ColumnIndex| self.table.columns[*column].cql_type.is_list();
        for column in columns.filter(|column| !is_list(column)) {
            let t = self.source_t(source, column, how, undo_t);
            if let Some(kept) = how.kept(source, column) {
                let rest = self.without(settled.cells[column].take(), kept);
                let add = |elements| Change::AddElements { key: key.clone(), column, elements };
                changes.extend(rest.map(|elements| (t, add(elements))));
            } else if t > undo_t + 1 && row.cells[column].is_some() {
                later.entry(t).or_default().push((column, settled.cells[column].take()));
            }
        }
        changes.push((undo_t + 1, Change::Insert { row: settled }));
        for (column, before) in self.table.lists_of(row) {
            let now = found.and_then(|row| row.row.cells[column].as_ref());
            if !now.is_some_and(|now| list::has_all(now, &before)) {
                let value = list::united(&before, now);
                changes.push((undo_t + 1, Change::set_list(key.clone(), column, value)));
            }
        }
        // The sweep has ended the row's own liveness just above the latest cell that it took.
        let latest = self.swept_of(source).flat_map(|swept| &swept.cells).map(|cell| cell.t).max();
        if let Some(t) = latest.map(|t| t + 2).filter(|t| *t > undo_t + 1) {
            let mut cells: Vec<Cell> = key.iter().cloned().map(Some).collect();
            cells.resize(row.cells.len(), None);
            // Of a row of which all expires, its cells alone say how long it lasts.
            let columns = self.table.key_len..row.cells.len();
            let mut live = columns.filter(|column| row.cells[*column].is_some());
            let expires = match live.any(|column| row.expires.of(column).is_none()) {
                true => Expiries::default(),
                false => row.expires.clone(),
            };
            changes.push((t, Change::Insert { row: Row { expires, ..Row::new(cells) } }));
        }
        let update = |set| Change::update_until(key.clone(), set, |column| row.expires.of(column));
        changes.extend(later.into_iter().map(|(t, set)| (t, update(set))));
        changes
    }

    /// What is given back beside the elements that stay; nothing where a cell stays as a whole.
    fn without(&self, before: Cell, kept: &KeptCell) -> Option<Bytes> {
        let collection = self.table.columns[kept.column].cql_type.collection()?;
        let mut elements = collection.split(&before?)?;
        elements.retain(|(key, _)| !kept.elements.contains(key));
        let elements = elements.iter().map(|(key, value)| (key, value.as_ref()));
        (elements.len() > 0).then(|| collection.join(elements))
    }

    /// When a cell is given back to a source: above the delete of the sweep that took it, and above that of
    /// the survivor's. What was swept was a later write, and is one again.
    fn source_t(
        &self,
        source: usize,
        column: ColumnIndex,
        how: &How,
        undo_t: TimestampUs,
    ) -> TimestampUs {
        let mut t = undo_t + 1;
        if let Some(found) = how.ahead(column) {
            t = t.max(found + 2);
        }
        let Some(own) = self.swept_at(source, column).filter(|own| *own >= undo_t) else {
            return t;
        };
        let sources = self.before.iter().map(|(source, _)| self.swept_at(*source, column));
        let earlier = sources.flatten().filter(|t| (undo_t..own).contains(t)).count();
        t.max(own + 2) + 1 + i64::try_from(earlier).unwrap_or_default()
    }

    /// The latest write time of what sweeps took from a source in a column.
    fn swept_at(&self, source: usize, column: ColumnIndex) -> Option<TimestampUs> {
        let cells = self.swept_of(source).flat_map(|swept| &swept.cells);
        cells.filter(|cell| cell.column == column).map(|cell| cell.t).max()
    }

    fn swept_of(&self, source: usize) -> impl Iterator<Item = &Swept> {
        self.history.swept.iter().filter(move |swept| swept.source == source)
    }

    fn survivor_changes(
        &self,
        survivor: &AccountId,
        how: &How,
        undo_t: TimestampUs,
    ) -> Vec<(TimestampUs, Change)> {
        let key = self.history.key_of(self.table, survivor);
        let mut changes = Vec::new();
        let mut by_time: BTreeMap<TimestampUs, Vec<(ColumnIndex, Cell)>> = BTreeMap::new();
        if self.history.is_copy() {
            changes.push((undo_t, Change::DeleteRow { key: key.clone() }));
            for ahead in &how.ahead {
                by_time.entry(ahead.t + 1).or_default().push((ahead.column, None));
            }
            // The row's own liveness, where a sweep inserted it ahead.
            if let Some(t) = self.inserted_at().filter(|t| *t >= undo_t) {
                changes.push((t + 1, Change::ExpireRow { key: key.clone() }));
            }
        } else if !how.keeps_survivor {
            // Its own row had gone before a sweep inserted it: by itself it is not there again.
            let inserted_at = self.inserted_at().map(|t| t + 1);
            changes.extend(inserted_at.map(|t| (t, Change::ExpireRow { key: key.clone() })));
            for left in &self.left {
                let ahead = how.ahead(left.column);
                let t = ahead.map_or(undo_t, |found| found + 1);
                let before = self.survivor_before(left.column);
                by_time.entry(t).or_default().push((left.column, before));
            }
        }
        let expires = |column| self.survivor_expires(column);
        changes.extend(by_time.into_iter().flat_map(|(t, set)| {
            let updates = self.table.updates(&key, set.into_iter(), expires);
            updates.into_iter().map(move |change| (t, change))
        }));
        changes
    }

    /// The latest time at which a sweep inserted the survivor's row, where there was none.
    fn inserted_at(&self) -> Option<TimestampUs> {
        let inserted = self.history.swept.iter().filter(|swept| swept.target.is_none());
        inserted.flat_map(|swept| &swept.cells).filter_map(|cell| cell.moved_at).max()
    }
}
