//! Whether what a merge or a sweep has written at a key stands, and whether its sources still have what it read there.

use crate::model::{Cell, ColumnIndex, Row, TimedRow, TimestampUs, WriteTimes, list};
use crate::spec::{Survivorship, Table};

use super::entry::{Entry, Write};
use super::swept::{Swept, SweptCell};

impl Entry {
    /// Whether what was written at `t` stands in the survivor's row: a value of it with its time, or in the place of each
    /// something later; what has expired need not. Where nothing is written, the row stands that the sources' gave way to.
    pub fn stands(&self, table: &Table, t: TimestampUs, found: Option<&TimedRow>) -> bool {
        let Some(found) = found else {
            return self.has_expired(table) || self.is_dropped() || self.may_vanish(table);
        };
        if self.write == Write::Nothing {
            return true;
        }
        let is_same = |column: ColumnIndex, a: &Cell, b: &Cell| {
            table.columns[column].cql_type.is_same_cell(a, b)
        };
        if let Some(replaced) = self.replaced(table) {
            return replaced.iter().all(|(column, value)| {
                let (cell, times) = (&found.row.cells[*column], &found.times[*column]);
                let is_later = times.latest() > Some(t);
                is_later || is_same(*column, cell, value) && (value.is_none() || is_dated(times, t))
            });
        }
        let columns = table.key_len..table.columns.len();
        // Lists are written first, so that they say nothing of the rest.
        let columns = columns.filter(|column| !table.columns[*column].cql_type.is_list());
        let mut written =
            columns.filter_map(|column| Some((column, self.written(column)?))).peekable();
        if written.peek().is_none() {
            let mut lists = table.lists().filter_map(|list| Some((list, self.written(list)?)));
            return lists.all(|(list, value)| {
                let (cell, times) = (&found.row.cells[list], &found.times[list]);
                let is_later = value.is_none() && times.latest() > Some(t);
                cell == value || is_later || list::is_written_at(times, t)
            });
        }
        let mut are_all_later = true;
        for (column, value) in written {
            let (cell, times) = (&found.row.cells[column], &found.times[column]);
            if value.is_none() {
                // Of a delete nobody tells when it was: that nothing is there says nothing of the rest.
                are_all_later &= cell.is_none() || times.latest() > Some(t);
                continue;
            }
            let stands = match times {
                WriteTimes::None => false,
                WriteTimes::Cell(written) => *written == t && cell == value,
                WriteTimes::Elements(written) => written.contains(&t),
                // Nobody tells when; what is there as a whole has been written.
                WriteTimes::Unknown => is_same(column, cell, value),
            };
            if stands {
                return true;
            }
            // What somebody counted later says nothing of what was written before.
            let is_sum = table.sums().any(|sum| sum == column);
            are_all_later &= cell.is_some() && times.latest() > Some(t) && !is_sum;
        }
        are_all_later
    }

    /// When the last of what its rows hold in a column was written, where the later write survives.
    fn last_written(&self, column: ColumnIndex) -> Option<TimestampUs> {
        let rows = self.sources.iter().map(|(_, row)| row).chain(&self.target);
        rows.filter_map(|row| row.written.of(column)).max()
    }

    /// When the application wrote a cell that is dated by a run, as the rows that were read before it say: the last of those
    /// that hold the same.
    pub(crate) fn written_before(&self, column: ColumnIndex, cell: &Cell) -> Option<TimestampUs> {
        let rows = self.sources.iter().map(|(_, row)| row).chain(&self.target);
        let same = rows.filter(|row| row.cells[column] == *cell);
        same.filter_map(|row| row.written.of(column)).max()
    }

    /// The cells of a source that are dated up to `t` and are not what was read there before. One that would have given way
    /// by its write time is not among them.
    pub(crate) fn arrived(
        &self,
        table: &Table,
        t: TimestampUs,
        before: &Row,
        found: &TimedRow,
    ) -> Vec<(ColumnIndex, Cell)> {
        let columns = table.key_len..table.columns.len();
        let arrived = columns.filter(|column| match &found.times[*column] {
            WriteTimes::Cell(written) => {
                let is_later = self.last_written(*column).is_none_or(|last| last < *written);
                *written <= t && found.row.cells[*column] != before.cells[*column] && is_later
            }
            _ => false,
        });
        arrived.map(|column| (column, found.row.cells[column].clone())).collect()
    }

    /// Whether a source still has anything of the row that was read there before `t`.
    pub fn is_held(table: &Table, t: TimestampUs, before: &Row, found: &TimedRow) -> bool {
        let mut values = (table.key_len..table.columns.len())
            .filter(|column| before.cells[*column].is_some())
            .peekable();
        let holds = |column: ColumnIndex| {
            let of = &table.columns[column].cql_type;
            let is_same = of.is_same_cell(&found.row.cells[column], &before.cells[column]);
            match &found.times[column] {
                WriteTimes::Cell(written) => *written <= t && is_same,
                WriteTimes::Unknown => is_same,
                times => earliest(times).is_some_and(|written| written <= t),
            }
        };
        values.peek().is_none() || values.any(holds)
    }
}

impl Swept {
    /// Whether what was placed in the survivor's row stands there, or a later write does; where nothing was, whether the
    /// row stands that the cells gave way to.
    pub fn stands(&self, table: &Table, found: Option<&TimedRow>) -> bool {
        let dated = self.cells.iter().filter(|cell| !cell.is_undated());
        let mut moved = dated.filter_map(|cell| Some((cell.moved_at?, cell))).peekable();
        let Some(found) = found else {
            let is_nowhere = self.is_undated() && moved.peek().is_none();
            return is_nowhere
                || moved.peek().is_some() && moved.all(|(_, cell)| cell.has_expired());
        };
        moved.all(|(t, cell)| cell.stands(table, t, found))
    }

    /// Whether the source's row has none of the cells any more that were found there;
    /// `found` is that row now. Cells whose times nobody tells may always be there.
    pub(crate) fn is_gone(&self, found: Option<&TimedRow>) -> bool {
        let is_there = |cell: &SweptCell| {
            found.is_some_and(|found| found.times[cell.column].latest() >= Some(cell.t))
        };
        let mut cells = self.cells.iter().filter(|cell| !cell.has_expired()).peekable();
        cells.peek().is_some() && !self.is_undated() && !cells.any(is_there)
    }

    /// Whether something that is added up was placed in the survivor's row, and holds another number there: whether that
    /// was counted on from what was placed cannot be told.
    pub(crate) fn is_counted_on(&self, table: &Table, found: Option<&TimedRow>) -> bool {
        let Some(found) = found else { return false };
        let moved = |column| {
            let mut cells = self.cells.iter().filter(move |cell| cell.column == column);
            cells.find_map(|cell| Some((cell, cell.moved_at?)))
        };
        table.sums().any(|column| {
            moved(column).is_some_and(|(cell, t)| {
                found.row.cells[column].is_some() && !cell.stands(table, t, found)
            })
        })
    }
}

impl SweptCell {
    /// Whether it is known to [have expired](Swept::expire).
    fn has_expired(&self) -> bool {
        self.value.is_none() && self.element.is_none()
    }

    /// Whether it stands in a row to which it was written at `t`, or something written later does.
    fn stands(&self, table: &Table, t: TimestampUs, found: &TimedRow) -> bool {
        let (cell, times) = (&found.row.cells[self.column], &found.times[self.column]);
        if table.sums().any(|column| column == self.column) {
            return *cell == self.value && is_dated(times, t);
        }
        if self.has_expired() {
            return true;
        }
        if self.element.is_none() {
            let rule = table.survivorship.iter().find(|rule| rule.column == self.column);
            let is_preferred = |rule: &Survivorship| rule.combine(cell, &self.value).is_none();
            let is_kept = cell == self.written() || rule.is_some_and(is_preferred);
            // Of two sources' cells of one time the greater stands.
            return cell.is_some() && (is_kept || times.latest() >= Some(t));
        }
        let Some((policy, of)) = table.of_entries(self.column) else {
            // Of an element that is there, the later write is.
            return self.has_key_in(table, found);
        };
        let (value, written) = self.found_in(table, found);
        value.is_some() && (written >= Some(t) || policy.combine(of, &value, &self.value).is_none())
    }
}

/// Whether a value was written at `t`, as far as is known.
fn is_dated(times: &WriteTimes, t: TimestampUs) -> bool {
    match times {
        WriteTimes::None => false,
        WriteTimes::Cell(written) => *written == t,
        WriteTimes::Elements(written) => written.contains(&t),
        WriteTimes::Unknown => true,
    }
}

fn earliest(times: &WriteTimes) -> Option<TimestampUs> {
    match times {
        WriteTimes::None | WriteTimes::Unknown => None,
        WriteTimes::Cell(written) => Some(*written),
        WriteTimes::Elements(written) => written.iter().min().copied(),
    }
}

/// What of a row was written up to `t`, its key included; `None` if all of it is later.
pub fn up_to(table: &Table, t: TimestampUs, found: &TimedRow) -> Option<Row> {
    let mut row = found.row.clone();
    let (mut is_any, mut is_bare) = (false, true);
    for column in table.key_len..row.cells.len() {
        is_bare &= row.cells[column].is_none();
        let is_unknown = found.times[column] == WriteTimes::Unknown;
        let is_late = earliest(&found.times[column]).is_none_or(|written| written > t);
        // What nobody can date may be as early; written again, it is the same.
        if is_late && !is_unknown {
            row.cells[column] = None;
        } else if table.columns[column].cql_type.is_list() {
            let value = row.cells[column].take();
            row.cells[column] = value.and_then(|all| list::up_to(&all, &found.times[column], t));
        }
        is_any |= row.cells[column].is_some();
    }
    (is_any || is_bare).then_some(row)
}
