//! What of a key expires, and what has: nobody misses that.

use super::History;
use crate::merge::SweptCell;
use crate::model::{ColumnIndex, ExpiryS, TimestampUs, expiry};
use crate::spec::Table;

impl History {
    /// When what the run wrote last to a column of the survivor's row expires, if it does.
    pub(crate) fn expires(&self, column: ColumnIndex) -> Option<ExpiryS> {
        match self.last_moved(column) {
            Some((_, last)) => last.expires,
            None => self.entry.as_ref()?.expires(column),
        }
    }

    /// When what the run wrote last to a column of the survivor's row is dated, if that has expired.
    pub(crate) fn over(&self, column: ColumnIndex) -> Option<TimestampUs> {
        match self.last_moved(column) {
            Some((t, last)) => (last.element.is_none() && last.value.is_none()).then_some(t),
            None => self.entry.as_ref()?.over.of(column).map(|_| self.t),
        }
    }

    /// What was written to a column of the survivor's row after the merge, the last of it, and when it is dated.
    fn last_moved(&self, column: ColumnIndex) -> Option<(TimestampUs, &SweptCell)> {
        let moved = self.moved().filter(|(_, cell)| cell.column == column);
        moved.max_by_key(|(t, _)| *t)
    }

    /// Whether a value of the survivor's own row has expired that the merge did not write over: it was preferred to what
    /// the sources had, and that is nowhere.
    pub(crate) fn own_has_expired(&self, column: ColumnIndex) -> bool {
        let before = self.survivor_before();
        let is_written = self.entry.as_ref().is_some_and(|entry| entry.written(column).is_some());
        !is_written && before.cell(column).is_none() && before.expires(column).is_some()
    }

    /// Whether the survivor's row was a copy of which nothing is left: all of it has expired, or gave way to nulls.
    pub(crate) fn has_expired(&self, table: &Table) -> bool {
        self.is_copy()
            && table.carries_ttls
            && self.left(table).iter().all(|left| left.value.is_none())
    }

    /// Whether nobody can tell from a look whether something that the run found or wrote in a column has expired.
    pub(crate) fn is_in_doubt(&self, column: ColumnIndex) -> bool {
        let entries = self.entry.iter().flat_map(|entry| {
            let rows = entry.target.iter().chain(entry.sources.iter().map(|(_, row)| row));
            rows.map(|row| row.expires.of(column)).chain([entry.over.of(column)])
        });
        let swept = self.swept.iter().chain(&self.raised).flat_map(|swept| {
            let cells = swept.cells.iter().filter(|cell| cell.column == column);
            let target = swept.target.iter().map(|target| target.row.expires.of(column));
            cells.map(|cell| cell.expires).chain(target)
        });
        entries.chain(swept).flatten().any(|expires| expiry::is_in_doubt(expires, self.now))
    }
}
