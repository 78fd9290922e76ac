//! What a run did to each key of a group, read back from its journal: the merge, the rows that mentioned its sources, and
//! whatever sweeps did later. Verify and undo walk over it.
//!
//! Slices are read one at a time, so that a group of any size is walked in bounded memory; what sweeps
//! took, which is little, is held.
//!
//! May use `model`, `spec`, `merge` and `journal`; may be used by `pipeline`, `verify` and `undo`.

mod expiry;

use std::collections::HashMap;
use std::collections::vec_deque::VecDeque;

use bytes::Bytes;

use crate::journal::{Codec, Journal, JournalError, SliceKind, SliceRecord};
use crate::merge::{Entry, Swept, SweptCell, Write};
use crate::model::{
    AccountId, Cell, ColumnIndex, Elements, ExpiryS, Row, Scope, TableIndex, TimestampUs,
};
use crate::spec::{RowRule, Spec, Table};

/// One key of a table, and all that the run did to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) table: TableIndex,
    /// The primary key of the rows, in column order; the account in it is one of the group's.
    key: Vec<Bytes>,
    /// The merge's write time; of a mention its own.
    pub(crate) t: TimestampUs,
    /// What the merge found and wrote; `None` if only sweeps came across the key.
    pub(crate) entry: Option<Entry>,
    /// What sweeps took from sources, oldest first.
    pub(crate) swept: Vec<Swept>,
    /// How many of those belong to the group's last sweep: while that is under way, they may not be written yet.
    pub(crate) newest: usize,
    /// What was computed anew because a write of the application had overtaken it, oldest first: the target is the
    /// survivor's row with that write.
    pub(crate) raised: Vec<Swept>,
    /// Columns that the table did not have when the run came to the key.
    gained: Vec<ColumnIndex>,
    /// When it was looked at: what had expired by then is null in it.
    pub(crate) now: TimestampUs,
}

/// A cell that the run left in the survivor's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) column: ColumnIndex,
    /// Null where a value was deleted.
    pub(crate) value: Cell,
    /// The latest write time that the run gave to any part of it.
    pub(crate) t: TimestampUs,
}

/// The survivor's row before the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Before<'a> {
    /// There was none.
    Absent,
    /// It was there; these are the columns that policies and events look at, the key first.
    Slim(&'a Row),
    /// It was there; all of its columns.
    Full(&'a Row),
}

impl<'a> Before<'a> {
    /// What it held in a column, as far as that is known.
    pub(crate) fn cell(&self, column: ColumnIndex) -> Option<&'a Bytes> {
        match self {
            Self::Absent => None,
            Self::Slim(row) | Self::Full(row) => row.cells.get(column)?.as_ref(),
        }
    }

    /// When that expires, if it does.
    pub(crate) fn expires(&self, column: ColumnIndex) -> Option<ExpiryS> {
        match self {
            Self::Absent => None,
            Self::Slim(row) | Self::Full(row) => row.expires.of(column),
        }
    }
}

/// A walk over the histories of one group.
pub(crate) struct Histories<'a> {
    journal: &'a dyn Journal,
    codec: &'a Codec,
    spec: &'a Spec,
    t: TimestampUs,
    now: TimestampUs,
    merges: VecDeque<SliceRecord>,
    swept: ByKey,
    /// How many of them are of the last sweep.
    newest: HashMap<(TableIndex, Vec<Bytes>), usize>,
    raised: ByKey,
}

/// By table and the key without its account.
type ByKey = HashMap<(TableIndex, Vec<Bytes>), Vec<Swept>>;

impl<'a> Histories<'a> {
    /// Opens the histories of a group as they are by now, which is what expires; a group of which nothing was intended has
    /// none.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn open(
        journal: &'a dyn Journal,
        codec: &'a Codec,
        spec: &'a Spec,
        group: usize,
        now: TimestampUs,
    ) -> Result<Self, JournalError> {
        let mut merges = VecDeque::new();
        let (mut swept, mut raised) = (ByKey::new(), ByKey::new());
        let mut newest = HashMap::new();
        for record in journal.slices(group)? {
            let by_key = match record.kind {
                SliceKind::Merge | SliceKind::Mention => {
                    merges.push_back(record);
                    continue;
                }
                SliceKind::Sweep => &mut swept,
                SliceKind::Raise => &mut raised,
                SliceKind::Repair | SliceKind::Undo => continue,
            };
            let slice = codec.decode_sweep(&journal.body(record.id)?);
            let slice = slice.map_err(|what| JournalError::of_group(group, what))?;
            if record.kind == SliceKind::Sweep {
                newest.clear();
            }
            for mut row in slice.rows {
                row.expire(now);
                let shared = (row.table, spec.tables[row.table].shared_key(&row.key));
                if record.kind == SliceKind::Sweep {
                    *newest.entry(shared.clone()).or_default() += 1;
                }
                by_key.entry(shared).or_default().push(row);
            }
        }
        let t = merges.front().map_or(0, |record| record.t);
        Ok(Self { journal, codec, spec, t, now, merges, swept, newest, raised })
    }

    /// The next histories: those of a slice of the merge, in the order of its entries; at last those of
    /// the keys that only sweeps came across, by table and key. `None` at the end.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Vec<History>>, JournalError> {
        if let Some(record) = self.merges.pop_front() {
            let damaged = |what| JournalError::of_group(record.group, what);
            let body = self.journal.body(record.id)?;
            let slice = self.codec.decode(&body).map_err(damaged)?;
            let tables = 0..self.spec.tables.len();
            let gained = tables.map(|table| self.codec.gained_since(&body, table));
            let gained = gained.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
            let histories = slice.entries.into_iter().map(|mut entry| {
                entry.expire(self.now);
                let gained = gained[entry.table].clone();
                History { gained, t: record.t, ..self.of_entry(entry) }
            });
            return Ok(Some(histories.collect()));
        }
        let mut rest: Vec<_> = std::mem::take(&mut self.swept).into_values().collect();
        if rest.is_empty() {
            return Ok(None);
        }
        rest.sort_by(|a, b| {
            let row = |swept: &[Swept]| Row::new(swept[0].key.iter().cloned().map(Some).collect());
            let table = &self.spec.tables[a[0].table];
            let scope = |swept: &[Swept]| table.scope_of_key(&swept[0].key);
            a[0].table
                .cmp(&b[0].table)
                .then_with(|| scope(a).cmp(&scope(b)))
                .then_with(|| table.compare(&row(a), &row(b)))
        });
        let histories = rest.into_iter().map(|swept| {
            let (table, key) = (swept[0].table, swept[0].key.clone());
            self.history((table, key), None, swept)
        });
        Ok(Some(histories.collect()))
    }

    fn of_entry(&mut self, entry: Entry) -> History {
        let table = &self.spec.tables[entry.table];
        let key = entry.base().map(|row| table.key_of(row)).unwrap_or_default();
        let swept = self.swept.remove(&(entry.table, table.shared_key(&key)));
        self.history((entry.table, key), Some(entry), swept.unwrap_or_default())
    }

    fn history(
        &mut self,
        (table, key): (TableIndex, Vec<Bytes>),
        entry: Option<Entry>,
        swept: Vec<Swept>,
    ) -> History {
        let shared = (table, self.spec.tables[table].shared_key(&key));
        let newest = self.newest.remove(&shared).unwrap_or_default();
        let raised = self.raised.remove(&shared).unwrap_or_default();
        let (t, now, gained) = (self.t, self.now, Vec::new());
        History { table, key, t, entry, swept, newest, raised, gained, now }
    }
}

/// The bytes of the largest row that the run found at some keys: those of rows that are read back there are about as
/// large.
pub(crate) fn row_bytes<'a>(histories: impl IntoIterator<Item = &'a History>) -> usize {
    let rows = |history: &'a History| {
        let entries = history.entry.iter();
        entries
            .flat_map(|entry| entry.target.iter().chain(entry.sources.iter().map(|(_, row)| row)))
    };
    histories.into_iter().flat_map(rows).map(Row::size_bytes).max().unwrap_or_default()
}

impl History {
    /// The primary key of the row that the run found first, in column order.
    pub(crate) fn key(&self) -> Vec<Bytes> {
        self.key.clone()
    }

    /// The primary key of the row of `account`, in column order.
    pub(crate) fn key_of(&self, table: &Table, account: &AccountId) -> Vec<Bytes> {
        let mut key = self.key.clone();
        table.set_account(&mut key, account);
        key
    }

    /// Whether the run has anything to say of a column.
    pub(crate) fn knows(&self, column: ColumnIndex) -> bool {
        let mut moved = self.moved();
        !self.gained.contains(&column) || moved.any(|(_, cell)| cell.column == column)
    }

    /// The scope of the key.
    pub(crate) fn scope(&self, table: &Table) -> Scope {
        table.scope_of_key(&self.key)
    }

    /// The survivor's row before the run.
    pub(crate) fn survivor_before(&self) -> Before<'_> {
        match (&self.entry, self.swept.first()) {
            (Some(entry), _) => entry.target.as_ref().map_or(Before::Absent, Before::Slim),
            (None, Some(swept)) => {
                swept.target.as_ref().map_or(Before::Absent, |found| Before::Full(&found.row))
            }
            (None, None) => Before::Absent,
        }
    }

    /// Whether the survivor's row is the run's own: it had none before.
    pub(crate) fn is_copy(&self) -> bool {
        self.survivor_before() == Before::Absent && !self.is_dropped()
    }

    /// Whether the survivor's row is a source's since the merge, as a whole, whatever it was before.
    pub(crate) fn is_sources(&self, table: &Table) -> bool {
        table.rows == RowRule::Source && self.entry.is_some() && !self.is_dropped()
    }

    /// Whether a sweep has put a source's row where there was none any more: it has been that row since.
    pub(crate) fn is_begun_late(&self) -> bool {
        self.swept.iter().any(|swept| swept.target.is_none())
    }

    /// Whether the sources' rows went and the survivor got none.
    pub(crate) fn is_dropped(&self) -> bool {
        self.entry.as_ref().is_some_and(Entry::is_dropped)
    }

    /// The cells that the run left in the survivor's row: of a copy every column that is not null, of
    /// a row of the survivor's own those that were written. The key is not among them.
    pub(crate) fn left(&self, table: &Table) -> Vec<Left> {
        let mut left: Vec<Left> = Vec::new();
        if let Some(entry) = &self.entry {
            let columns = table.key_len..table.columns.len();
            let written = entry.replaced(table).unwrap_or_else(|| {
                let written = columns.filter_map(|at| Some((at, entry.written(at)?.clone())));
                written.filter(|(_, cell)| cell.is_some() || entry.target.is_some()).collect()
            });
            let t = self.t;
            left.extend(written.into_iter().map(|(column, value)| Left { column, value, t }));
            let over = entry.over.iter().map(|(column, _)| Left { column, value: None, t });
            let is_known = |over: &Left| left.iter().any(|left| left.column == over.column);
            let over: Vec<_> = over.filter(|over| !is_known(over)).collect();
            left.extend(over);
        }
        let mut moved: Vec<_> = self.moved().collect();
        // Of two sources' cells the later one stays, whichever was taken first.
        moved.sort_by(|(a_t, a), (b_t, b)| (a_t, a.written()).cmp(&(b_t, b.written())));
        for (t, cell) in moved {
            let known = left.iter().position(|left| left.column == cell.column);
            let before = match known {
                Some(known) => left[known].value.clone(),
                None => self.own_value(cell.column),
            };
            let value = overlaid(table, before, cell);
            if value.is_none() && cell.element.is_some() {
                continue;
            }
            match known {
                Some(known) => {
                    let known = &mut left[known];
                    *known = Left { column: cell.column, value, t: known.t.max(t) };
                }
                None => left.push(Left { column: cell.column, value, t }),
            }
        }
        left
    }

    /// The cells that were written to the survivor's row after the merge, with their write times.
    pub(crate) fn moved(&self) -> impl Iterator<Item = (TimestampUs, &SweptCell)> {
        let cells = self.swept.iter().chain(&self.raised).flat_map(|swept| &swept.cells);
        cells.filter_map(|cell| Some((cell.moved_at?, cell)))
    }

    /// What the application wrote to a column of the survivor's row before it was computed anew, when, and when that
    /// expires.
    pub(crate) fn overtaken_by(
        &self,
        column: ColumnIndex,
    ) -> Option<(&Cell, Option<TimestampUs>, Option<ExpiryS>)> {
        let mut raised = self.raised.iter();
        let raised = raised.find(|row| row.cells.iter().any(|cell| cell.column == column))?;
        let found = raised.target.as_ref()?;
        let (cell, times) = (found.row.cells.get(column)?, found.times.get(column)?);
        Some((cell, times.latest(), found.row.expires.of(column)))
    }

    /// What the survivor's own row held in a column, as far as the run saw it.
    fn own_value(&self, column: ColumnIndex) -> Cell {
        let swept = self.swept.iter().find_map(|swept| swept.target.as_ref());
        swept.and_then(|found| found.row.cells.get(column).cloned().flatten())
    }

    /// Each source's full row before the run, by its index in the group: what the merge found, and what
    /// was written to it later and swept.
    pub(crate) fn sources_before(&self, table: &Table) -> Vec<(usize, Row)> {
        let mut sources = self.entry.as_ref().map_or_else(Vec::new, |entry| entry.sources.clone());
        for swept in &self.swept {
            let position = sources.iter().position(|(source, _)| *source == swept.source);
            let position = position.unwrap_or_else(|| {
                let mut cells: Vec<Cell> = swept.key.iter().cloned().map(Some).collect();
                cells.resize(table.columns.len(), None);
                sources.push((swept.source, Row::new(cells)));
                sources.len() - 1
            });
            let row = &mut sources[position].1;
            for cell in &swept.cells {
                let before = row.cells[cell.column].take();
                row.cells[cell.column] = match cell.element {
                    Some(_) => overlaid(table, before.clone(), cell).or(before),
                    None => cell.value.clone(),
                };
                row.expires.set(cell.column, cell.expires);
            }
        }
        sources.sort_by_key(|(source, _)| *source);
        sources
    }

    /// The same, had the group's last sweep not come across the key.
    pub(crate) fn before_newest(&self) -> Self {
        let mut before = self.clone();
        before.swept.truncate(self.swept.len() - self.newest);
        before
    }

    /// Whether the run wrote the survivor's row of this key, in the merge or in a sweep.
    pub(crate) fn is_written(&self) -> bool {
        self.is_merged() || self.swept.iter().any(Swept::is_moved)
    }

    /// Whether the merge wrote the survivor's row of this key.
    pub(crate) fn is_merged(&self) -> bool {
        self.entry.as_ref().is_some_and(|entry| entry.write != Write::Nothing)
    }
}

/// A value with a later cell laid over it: an element takes its place among the others.
fn overlaid(table: &Table, before: Cell, cell: &SweptCell) -> Cell {
    let Some(element) = &cell.element else { return cell.written().clone() };
    let collection = table.columns[cell.column].cql_type.collection()?;
    let mut elements: Elements =
        before.and_then(|value| collection.split(&value)).unwrap_or_default();
    match elements.iter_mut().find(|(known, _)| known == element) {
        Some((_, value)) => value.clone_from(&cell.value),
        None => elements.push((element.clone(), cell.value.clone())),
    }
    Some(collection.join(elements.iter().map(|(key, value)| (key, value.as_ref()))))
}
