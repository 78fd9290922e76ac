//! What a sweep writes: what survived on a source goes to its new place, and only when it is seen there it is taken from
//! the source; of a row that does not stand there, everything is taken back.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{
    AccountId, Batch, Change, Collection, ColumnIndex, Expiries, Mutation, Row, TableIndex,
    TimedRow, TimestampUs,
};
use crate::spec::{Spec, Table};

use super::swept::{SweepSlice, Swept, SweptCell};

impl SweepSlice {
    /// What is written to the survivor's rows. Nothing is taken from a source before that stands.
    pub(crate) fn moves(&self, spec: &Spec, survivor: &AccountId) -> Vec<Vec<Batch>> {
        let moved = |swept: &Swept| swept.moves(&spec.tables[swept.table], survivor);
        in_batches(self.rows.iter().map(|swept| (swept.table, moved(swept))))
    }
}

/// One batch for each row of which anything is written.
pub(crate) fn in_batches(
    rows: impl Iterator<Item = (TableIndex, Vec<Mutation>)>,
) -> Vec<Vec<Batch>> {
    let written = rows.filter(|(_, mutations)| !mutations.is_empty());
    written.map(|(table, mutations)| vec![Batch { table, mutations }]).collect()
}

impl Swept {
    /// The cells written to the survivor's row, each with its time.
    fn moves(&self, table: &Table, survivor: &AccountId) -> Vec<Mutation> {
        let written =
            |cell: &SweptCell| SweptCell { value: cell.written().clone(), ..cell.clone() };
        let moved = self.cells.iter().filter_map(|cell| Some((cell.moved_at?, written(cell))));
        let moved: Vec<_> = moved.collect();
        let moved = moved.iter().map(|(t, cell)| (*t, cell));
        self.write(table, &self.key_of(table, survivor), self.target.is_none(), moved)
    }

    /// What takes the cells from the source, each just above its own time, but for what stays. What is settled goes with
    /// the row; what lies ahead goes cell by cell, so that nothing that is written until then is hidden. Where something
    /// stays, so does the row's own liveness: below one that has expired, it might not be seen.
    pub(crate) fn removals(&self, table: &Table, stays: &[SweptCell]) -> Vec<Mutation> {
        if !stays.is_empty() {
            let gone = self.cells.iter().filter(|cell| !stays.contains(cell));
            return self.remove(table, &self.key, gone.map(|cell| (cell.t + 1, cell)));
        }
        let ahead = self.cells.iter().filter(|cell| Some(cell.t) > self.settled);
        let latest = ahead.clone().map(|cell| cell.t).max();
        let mutation = |t: TimestampUs, change| Mutation { table: self.table, t: t + 1, change };
        let key = || self.key.clone();
        let row = self.settled.map(|t| mutation(t, Change::DeleteRow { key: key() }));
        let liveness = latest.map(|t| mutation(t, Change::ExpireRow { key: key() }));
        let by_cell = self.remove(table, &self.key, ahead.map(|cell| (cell.t + 1, cell)));
        row.into_iter().chain(by_cell).chain(liveness).collect()
    }

    /// The cells once more, above what takes them from the source.
    pub(crate) fn pins(&self, table: &Table) -> Vec<Mutation> {
        let pinned = self.cells.iter().map(|cell| (self.pinned_at(cell), cell));
        self.write(table, &self.key, false, pinned)
    }

    fn pinned_at(&self, cell: &SweptCell) -> TimestampUs {
        self.settled.filter(|settled| cell.t <= *settled).unwrap_or(cell.t) + 2
    }

    /// What takes back from the survivor whatever was written there, cell by cell, just above that: what the application
    /// has written since stays. It is above the pinned cells, too, so that the next look finds the row as this one has.
    /// `found` is the survivor's row now.
    pub(crate) fn voids(
        &self,
        table: &Table,
        survivor: &AccountId,
        found: Option<&TimedRow>,
    ) -> Vec<Mutation> {
        let key = self.key_of(table, survivor);
        let void_t = |cell: &SweptCell, moved_at: TimestampUs| match cell.is_undated() {
            true => moved_at + 1,
            false => moved_at.max(self.pinned_at(cell)) + 1,
        };
        let own = self.target.as_ref().filter(|own| self.is_alive(table, own, found));
        let (mut given_back, mut taken) = (Vec::new(), Vec::new());
        for cell in &self.cells {
            let Some(t) = cell.moved_at.map(|moved_at| void_t(cell, moved_at)) else { continue };
            match own.and_then(|own| cell.value_in(table, own)) {
                Some(value) => {
                    let expires = own.and_then(|own| own.row.expires.of(cell.column));
                    given_back.push((t, SweptCell { value, expires, ..cell.clone() }));
                }
                None => taken.push((t, cell)),
            }
        }
        let liveness = match (&self.target, taken.iter().map(|(t, _)| *t).max()) {
            (None, Some(t)) => {
                let change = Change::ExpireRow { key: key.clone() };
                Some(Mutation { table: self.table, t, change })
            }
            _ => None,
        };
        let mut voids = self.remove(table, &key, taken.into_iter());
        voids.extend(self.write(table, &key, false, given_back.iter().map(|(t, cell)| (*t, cell))));
        voids.extend(liveness);
        voids
    }

    /// Whether the survivor's own row is still there, as far as the cells tell that were not written over.
    fn is_alive(&self, table: &Table, own: &TimedRow, found: Option<&TimedRow>) -> bool {
        let Some(found) = found else { return false };
        let is_moved = |column: ColumnIndex| {
            self.cells.iter().any(|cell| cell.column == column && cell.moved_at.is_some())
        };
        let columns = table.key_len..table.columns.len();
        let mut unmoved = columns
            .filter(|column| own.row.cells[*column].is_some() && !is_moved(*column))
            .peekable();
        unmoved.peek().is_none() || unmoved.any(|column| found.row.cells[column].is_some())
    }

    fn write<'a>(
        &self,
        table: &Table,
        key: &[Bytes],
        is_new: bool,
        cells: impl Iterator<Item = (TimestampUs, &'a SweptCell)>,
    ) -> Vec<Mutation> {
        self.dated(cells, |column, cells| match column {
            Some(column) => {
                let elements = elements(table, column, cells);
                Change::AddElements { key: key.to_vec(), column, elements }
            }
            None if !is_new => {
                let set = cells.iter().map(|cell| (cell.column, cell.value.clone())).collect();
                Change::Update { key: key.to_vec(), set, expires: expiries(cells) }
            }
            None => {
                let mut row: Vec<_> = key.iter().cloned().map(Some).collect();
                row.resize(table.columns.len(), None);
                for cell in cells {
                    row[cell.column].clone_from(&cell.value);
                }
                Change::Insert { row: Row { expires: expiries(cells), ..Row::new(row) } }
            }
        })
    }

    fn remove<'a>(
        &self,
        table: &Table,
        key: &[Bytes],
        cells: impl Iterator<Item = (TimestampUs, &'a SweptCell)>,
    ) -> Vec<Mutation> {
        debug_assert!(self.cells.iter().all(|cell| cell.column >= table.key_len));
        self.dated(cells, |column, cells| match column {
            Some(column) => {
                let keys = cells.iter().filter_map(|cell| cell.element.as_ref());
                let keys = Collection::keys(keys.collect::<Vec<_>>().into_iter());
                Change::RemoveElements { key: key.to_vec(), column, keys }
            }
            None => {
                let set = cells.iter().map(|cell| (cell.column, None)).collect();
                Change::update(key.to_vec(), set)
            }
        })
    }

    /// Cells of one time, and elements of one time and column, in one change each.
    fn dated<'a>(
        &self,
        cells: impl Iterator<Item = (TimestampUs, &'a SweptCell)>,
        change: impl Fn(Option<ColumnIndex>, &[&SweptCell]) -> Change,
    ) -> Vec<Mutation> {
        let mut by_time: BTreeMap<(TimestampUs, Option<ColumnIndex>), Vec<&SweptCell>> =
            BTreeMap::new();
        for (t, cell) in cells {
            let of_elements = cell.element.as_ref().map(|_| cell.column);
            by_time.entry((t, of_elements)).or_default().push(cell);
        }
        let changes = by_time.into_iter().map(|((t, column), cells)| Mutation {
            table: self.table,
            t,
            change: change(column, &cells),
        });
        changes.collect()
    }
}

fn expiries(cells: &[&SweptCell]) -> Expiries {
    cells.iter().filter_map(|cell| Some((cell.column, cell.expires?))).collect()
}

fn elements(table: &Table, column: ColumnIndex, cells: &[&SweptCell]) -> Bytes {
    let collection = table.columns[column].cql_type.collection().unwrap_or(Collection::Set);
    let elements: Vec<_> = cells
        .iter()
        .filter_map(|cell| Some((cell.element.as_ref()?, cell.value.as_ref())))
        .collect();
    collection.join(elements.into_iter())
}
