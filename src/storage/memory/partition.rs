//! One partition, with all that was deleted from it: which of two writes wins, and what a read sees.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{Change, Collection, CqlType, Order, Row, TimestampUs};
use crate::spec::{Column, Table};
use crate::storage::{TimedRow, WriteTimes};

/// One partition: its rows by primary key, and its tombstone.
#[derive(Clone, Debug, Default)]
pub(super) struct Partition {
    deleted_at: Option<TimestampUs>,
    rows: BTreeMap<Vec<Bytes>, StoredRow>,
}

#[derive(Clone, Debug)]
struct StoredRow {
    deleted_at: Option<TimestampUs>,
    /// The liveness of the row itself: an insert sets it, an update does not.
    marker: Option<Marker>,
    /// One per column that is not part of the key.
    cells: Vec<Stored>,
}

/// Fields are in the order in which they decide which of two inserts wins: one that expires (at once, for
/// there is no clock here) wins over one of the same time that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Marker {
    t: TimestampUs,
    has_expired: bool,
}

#[derive(Clone, Debug)]
enum Stored {
    Single(Option<Version>),
    /// A map or set that is not frozen: its elements by their own bytes (of a map, the keys').
    Elements {
        collection: Collection,
        order: Order,
        cleared_at: Option<TimestampUs>,
        elements: BTreeMap<Bytes, Version>,
    },
}

/// What was last written. Fields are in the order in which they decide which of two writes wins: the
/// later one; of the same time a delete, else the greater value, byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    t: TimestampUs,
    is_deleted: bool,
    value: Bytes,
}

impl Partition {
    pub(super) fn apply(&mut self, table: &Table, t: TimestampUs, change: &Change) {
        match change {
            Change::Insert { row } => {
                let (key, values) = row.cells.split_at(table.key_len);
                let stored = self.row(table, &key.iter().flatten().cloned().collect::<Vec<_>>());
                stored.marker = stored.marker.max(Some(Marker { t, has_expired: false }));
                // Nulls of an insert are left unset.
                for (cell, value) in stored.cells.iter_mut().zip(values) {
                    if value.is_some() {
                        cell.set(value.as_ref(), t);
                    }
                }
            }
            Change::Update { key, set } => {
                let stored = self.row(table, key);
                for (column, value) in set {
                    stored.cells[column - table.key_len].set(value.as_ref(), t);
                }
            }
            Change::AddElements { key, column, elements } => {
                self.row(table, key).cells[column - table.key_len].add(elements, t);
            }
            Change::RemoveElements { key, column, keys } => {
                self.row(table, key).cells[column - table.key_len].remove(keys, t);
            }
            Change::ExpireRow { key } => {
                let stored = self.row(table, key);
                stored.marker = stored.marker.max(Some(Marker { t, has_expired: true }));
            }
            Change::DeleteRow { key } => {
                let stored = self.row(table, key);
                stored.deleted_at = stored.deleted_at.max(Some(t));
            }
            Change::DeletePartition { .. } => self.deleted_at = self.deleted_at.max(Some(t)),
        }
    }

    fn row(&mut self, table: &Table, key: &[Bytes]) -> &mut StoredRow {
        self.rows.entry(key.to_vec()).or_insert_with(|| {
            let cells = table.columns[table.key_len..].iter().map(Stored::of).collect();
            StoredRow { deleted_at: None, marker: None, cells }
        })
    }

    /// The rows that a read of the first `columns` columns sees, in clustering order; all their cells.
    pub(super) fn live(&self, table: &Table, columns: usize) -> Vec<TimedRow> {
        let rows = self.rows.iter();
        let live = rows.filter_map(|(key, row)| row.live(key, self.deleted_at, columns));
        let mut live: Vec<TimedRow> = live.collect();
        live.sort_by(|a, b| table.compare_in_partition(&a.row, &b.row));
        live
    }
}

impl StoredRow {
    /// The row as a read of the first `columns` columns sees it. A delete takes what is older than it, or
    /// as old.
    fn live(
        &self,
        key: &[Bytes],
        partition_deleted_at: Option<TimestampUs>,
        columns: usize,
    ) -> Option<TimedRow> {
        let deleted_at = self.deleted_at.max(partition_deleted_at);
        let mut cells: Vec<_> = key.iter().cloned().map(Some).collect();
        let mut times = vec![WriteTimes::None; key.len()];
        for stored in &self.cells {
            let (cell, written) = stored.live(deleted_at).unzip();
            cells.push(cell);
            times.push(written.unwrap_or(WriteTimes::None));
        }
        let is_inserted = |marker: Marker| !marker.has_expired && Some(marker.t) > deleted_at;
        // Of columns that are not asked for while others are, Cassandra skips what is older than the row's
        // liveness, for that is enough for the row to be seen; it does so even if the liveness has expired.
        let skips = columns > key.len();
        let skipped_before = self.marker.filter(|_| skips).map(|marker| marker.t);
        let mut unasked = times[columns..].iter().filter_map(WriteTimes::latest);
        let is_seen = self.marker.is_some_and(is_inserted)
            || cells[key.len()..columns].iter().any(Option::is_some)
            || unasked.any(|t| Some(t) >= skipped_before);
        is_seen.then_some(TimedRow { row: Row { cells }, times })
    }
}

impl Stored {
    fn of(column: &Column) -> Self {
        match column.cql_type.collection() {
            None => Self::Single(None),
            Some(collection) => Self::Elements {
                collection,
                order: element_order(column),
                cleared_at: None,
                elements: BTreeMap::new(),
            },
        }
    }

    /// Writes the whole cell, or deletes it.
    fn set(&mut self, value: Option<&Bytes>, t: TimestampUs) {
        match self {
            Self::Single(known) => {
                let is_deleted = value.is_none();
                let new = Version { t, is_deleted, value: value.cloned().unwrap_or_default() };
                *known = known.take().max(Some(new));
            }
            Self::Elements { cleared_at, .. } => {
                // What was there is cleared just before, for the new elements have this very time.
                *cleared_at = (*cleared_at).max(Some(t.saturating_sub(1)));
                if let Some(value) = value {
                    self.add(value, t);
                }
            }
        }
    }

    fn add(&mut self, added: &Bytes, t: TimestampUs) {
        if let Self::Elements { collection, elements, .. } = self {
            for (key, value) in collection.split(added).unwrap_or_default() {
                let value = value.unwrap_or_default();
                write(elements, key, Version { t, is_deleted: false, value });
            }
        }
    }

    fn remove(&mut self, keys: &Bytes, t: TimestampUs) {
        if let Self::Elements { elements, .. } = self {
            for (key, _) in Collection::Set.split(keys).unwrap_or_default() {
                write(elements, key, Version { t, is_deleted: true, value: Bytes::new() });
            }
        }
    }

    /// The value and its write times, if a read sees any of it.
    fn live(&self, deleted_at: Option<TimestampUs>) -> Option<(Bytes, WriteTimes)> {
        let is_live = |version: &Version, deleted_at: Option<TimestampUs>| {
            !version.is_deleted && Some(version.t) > deleted_at
        };
        match self {
            Self::Single(version) => {
                let version = version.as_ref().filter(|version| is_live(version, deleted_at))?;
                Some((version.value.clone(), WriteTimes::Cell(version.t)))
            }
            Self::Elements { collection, order, cleared_at, elements } => {
                let deleted_at = deleted_at.max(*cleared_at);
                let mut live: Vec<_> =
                    elements.iter().filter(|(_, version)| is_live(version, deleted_at)).collect();
                live.sort_by(|(a, _), (b, _)| order.compare(a, b));
                let times: Vec<_> = live.iter().map(|(_, version)| version.t).collect();
                let elements = live.into_iter().map(|(key, version)| (key, Some(&version.value)));
                // A map or set without elements is null.
                (!times.is_empty())
                    .then(|| (collection.join(elements), WriteTimes::Elements(times)))
            }
        }
    }
}

fn write(elements: &mut BTreeMap<Bytes, Version>, key: Bytes, new: Version) {
    let known = elements.remove(&key);
    elements.insert(key, known.max(Some(new.clone())).unwrap_or(new));
}

/// The order of a map's keys or a set's elements; that of their bytes for types without one here.
fn element_order(column: &Column) -> Order {
    column.cql_type.element().and_then(CqlType::key_order).unwrap_or(Order::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cell, ColumnIndex};
    use crate::spec::{KeyColumn, Locator};

    const STATUS: ColumnIndex = 2;
    const MARKS: ColumnIndex = 3;
    const TAGS: ColumnIndex = 4;

    fn table() -> Table {
        let columns = [
            ("user", "text"),
            ("course", "text"),
            ("status", "text"),
            ("marks", "map<text, text>"),
            ("tags", "set<int>"),
        ];
        let column = |(name, cql_type): (&str, &str)| Column {
            name: name.to_owned(),
            cql_type: CqlType::parse(cql_type),
        };
        Table {
            name: "courses".into(),
            columns: columns.map(column).into(),
            partition_len: 1,
            key_len: 2,
            slim_len: 2,
            account: 0,
            locator: Locator::default(),
            clustering: vec![KeyColumn { order: Order::Bytes, descending: true }],
            survivorship: Vec::new(),
            delete_source: true,
        }
    }

    fn text(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn key(course: &str) -> Vec<Bytes> {
        vec![text("ann"), text(course)]
    }

    fn marks(marks: &[(&str, &str)]) -> Bytes {
        let marks: Vec<_> = marks.iter().map(|(key, value)| (text(key), text(value))).collect();
        Collection::Map.join(marks.iter().map(|(key, value)| (key, Some(value))))
    }

    fn tags(tags: &[i32]) -> Bytes {
        let tags = tags.iter().map(|tag| Bytes::copy_from_slice(&tag.to_be_bytes()));
        Collection::keys(tags.collect::<Vec<_>>().iter())
    }

    fn insert(course: &str, status: Option<&str>) -> Change {
        let mut cells: Vec<Cell> = key(course).into_iter().map(Some).collect();
        cells.extend([status.map(text), None, None]);
        Change::Insert { row: Row { cells } }
    }

    fn update(column: ColumnIndex, value: Cell) -> Change {
        Change::Update { key: key("a"), set: vec![(column, value)] }
    }

    fn status(value: Option<&str>) -> Change {
        update(STATUS, value.map(text))
    }

    fn add_marks(added: &[(&str, &str)]) -> Change {
        Change::AddElements { key: key("a"), column: MARKS, elements: marks(added) }
    }

    /// The live rows after changes, each with its time, whatever their order.
    fn rows(changes: &[(TimestampUs, Change)]) -> Vec<TimedRow> {
        let table = table();
        let after = |changes: &mut dyn Iterator<Item = &(TimestampUs, Change)>| {
            let mut partition = Partition::default();
            changes.for_each(|(t, change)| partition.apply(&table, *t, change));
            partition.live(&table, table.columns.len())
        };
        let rows = after(&mut changes.iter());
        assert_eq!(rows, after(&mut changes.iter().rev()), "the order of writes matters");
        rows
    }

    /// A column of the only row, with its write times; nothing if there is no row.
    fn cell(column: ColumnIndex, changes: &[(TimestampUs, Change)]) -> Option<(Cell, WriteTimes)> {
        let mut rows = rows(changes);
        assert!(rows.len() < 2);
        let TimedRow { row, times } = rows.pop()?;
        Some((row.cells[column].clone(), times[column].clone()))
    }

    #[track_caller]
    fn check_status(changes: &[(TimestampUs, Change)], expected: Option<(&str, TimestampUs)>) {
        let changes = [&[(1, insert("a", None))], changes].concat();
        let expected = match expected {
            None => (None, WriteTimes::None),
            Some((value, t)) => (Some(text(value)), WriteTimes::Cell(t)),
        };
        assert_eq!(cell(STATUS, &changes), Some(expected));
    }

    #[track_caller]
    fn check_marks(changes: &[(TimestampUs, Change)], expected: &[(&str, &str, TimestampUs)]) {
        let changes = [&[(1, insert("a", None))], changes].concat();
        let value: Vec<_> = expected.iter().map(|(key, value, _)| (*key, *value)).collect();
        let times = expected.iter().map(|(.., t)| *t).collect();
        let expected = match value.is_empty() {
            true => (None, WriteTimes::None),
            false => (Some(marks(&value)), WriteTimes::Elements(times)),
        };
        assert_eq!(cell(MARKS, &changes), Some(expected));
    }

    #[test]
    fn the_later_write_wins_and_of_the_same_time_a_delete_or_the_greater_value() {
        check_status(&[(5, status(Some("a"))), (4, status(Some("b")))], Some(("a", 5)));
        check_status(&[(5, status(Some("a"))), (5, status(Some("b")))], Some(("b", 5)));
        check_status(&[(5, status(Some("a"))), (5, status(None))], None);
        check_status(&[(5, status(Some("a"))), (4, status(None))], Some(("a", 5)));
        check_status(
            &[(5, status(Some("a"))), (6, status(None)), (7, status(Some("c")))],
            Some(("c", 7)),
        );
    }

    #[test]
    fn an_inserted_row_lives_by_itself_and_an_updated_one_by_its_cells() {
        assert_eq!(rows(&[(5, insert("a", Some("x"))), (6, status(None))]).len(), 1);
        assert_eq!(rows(&[(5, status(Some("x"))), (6, status(None))]).len(), 0);
        assert_eq!(rows(&[(5, add_marks(&[("k", "v")]))]).len(), 1);
    }

    #[test]
    fn a_row_that_expires_lives_by_its_cells_alone() {
        let expire = || Change::ExpireRow { key: key("a") };
        assert_eq!(rows(&[(5, insert("a", None)), (5, expire())]).len(), 0);
        assert_eq!(rows(&[(5, insert("a", Some("x"))), (6, expire())]).len(), 1);
        assert_eq!(rows(&[(5, insert("a", Some("x"))), (6, expire()), (7, status(None))]).len(), 0);
        assert_eq!(rows(&[(5, expire()), (6, insert("a", None))]).len(), 1);

        // A read of other columns sees it only by cells that are not older than what has expired.
        let seen = |t| {
            let (table, mut partition) = (table(), Partition::default());
            partition.apply(
                &table,
                t,
                &Change::AddElements {
                    key: key("a"),
                    column: MARKS,
                    elements: marks(&[("k", "v")]),
                },
            );
            partition.apply(&table, 6, &expire());
            [4, 3, 2].map(|columns| partition.live(&table, columns).len())
        };
        assert_eq!((seen(5), seen(6)), ([1, 0, 1], [1, 1, 1]));
    }

    #[test]
    fn a_delete_takes_what_is_as_old_as_itself() {
        let delete_row = || Change::DeleteRow { key: key("a") };
        let delete_all = || Change::DeletePartition { key: vec![text("ann")] };
        for delete in [delete_row, delete_all] {
            assert_eq!(rows(&[(5, insert("a", Some("x"))), (5, delete())]).len(), 0);
            assert_eq!(rows(&[(6, insert("a", Some("x"))), (5, delete())]).len(), 1);
            // A cell that is written later brings the row back, but nothing of what was deleted.
            let rows =
                rows(&[(5, insert("a", Some("x"))), (5, delete()), (6, add_marks(&[("k", "v")]))]);
            assert_eq!(rows[0].row.cells[STATUS], None);
            assert_eq!(rows[0].times[MARKS], WriteTimes::Elements(vec![6]));
        }
        assert_eq!(
            rows(&[(5, insert("a", None)), (5, insert("b", None)), (6, delete_row())]).len(),
            1
        );
    }

    #[test]
    fn a_whole_map_replaces_what_is_older_than_itself() {
        let old = || (4, add_marks(&[("old", "1")]));
        let beside = || (5, add_marks(&[("beside", "1")]));
        let new = || (5, update(MARKS, Some(marks(&[("new", "2")]))));
        check_marks(&[old(), beside(), new()], &[("beside", "1", 5), ("new", "2", 5)]);
        // Null, too, leaves what has its very time: the server clears just before it.
        check_marks(&[old(), beside(), (5, update(MARKS, None))], &[("beside", "1", 5)]);
        check_marks(&[old(), beside(), (6, update(MARKS, None))], &[]);
    }

    #[test]
    fn elements_come_and_go_one_by_one() {
        let remove = |t, removed: &[&str]| {
            let keys: Vec<_> = removed.iter().map(|key| text(key)).collect();
            let keys = Collection::keys(keys.iter());
            (t, Change::RemoveElements { key: key("a"), column: MARKS, keys })
        };
        let added = || (5, add_marks(&[("x", "1"), ("y", "1")]));
        check_marks(&[added(), (7, add_marks(&[("x", "0")]))], &[("x", "0", 7), ("y", "1", 5)]);
        check_marks(&[added(), remove(5, &["x"])], &[("y", "1", 5)]);
        check_marks(&[added(), remove(4, &["x"])], &[("x", "1", 5), ("y", "1", 5)]);
        check_marks(&[added(), remove(6, &["x", "y", "z"])], &[]);
    }

    #[test]
    fn rows_and_elements_are_in_the_order_of_their_types() {
        let add = Change::AddElements { key: key("a"), column: TAGS, elements: tags(&[7, 0, -1]) };
        let (value, times) = cell(TAGS, &[(5, add)]).unwrap();
        assert_eq!(value, Some(tags(&[-1, 0, 7])));
        assert_eq!(times, WriteTimes::Elements(vec![5; 3]));
        let rows = rows(&[(5, insert("a", None)), (5, insert("b", None))]);
        let courses: Vec<_> = rows.iter().map(|timed| timed.row.cells[1].clone()).collect();
        assert_eq!(courses, [Some(text("b")), Some(text("a"))]);
    }
}
