use super::*;
use crate::model::{Cell, ColumnIndex};
use crate::spec::{KeyColumn, Locator, RowRule};

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
        id: String::new(),
        columns: columns.map(column).into(),
        partition_len: 1,
        key_len: 2,
        slim_len: 2,
        account: 0,
        locator: Locator::default(),
        clustering: vec![KeyColumn { order: Order::Bytes, descending: true }],
        survivorship: Vec::new(),
        rows: RowRule::default(),
        delete_source: true,
        mentions: Vec::new(),
        drop_oneself: None,
        carries_ttls: false,
        reads_ttls: false,
        moves_with: None,
    }
}

impl Partition {
    /// Makes a change, whatever the time.
    fn apply(&mut self, table: &Table, t: TimestampUs, change: &Change) {
        self.apply_at(table, t, change, 0);
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
    Change::Insert { row: Row::new(cells) }
}

fn update(column: ColumnIndex, value: Cell) -> Change {
    Change::update(key("a"), vec![(column, value)])
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
        partition.live(&table, table.columns.len(), 0)
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
            &Change::AddElements { key: key("a"), column: MARKS, elements: marks(&[("k", "v")]) },
        );
        partition.apply(&table, 6, &expire());
        [4, 3, 2].map(|columns| partition.live(&table, columns, 0).len())
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
    assert_eq!(rows(&[(5, insert("a", None)), (5, insert("b", None)), (6, delete_row())]).len(), 1);
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

#[test]
fn a_list_that_is_written_twice_at_one_time_is_doubled_and_a_later_write_covers_both() {
    let mut table = table();
    table.columns[TAGS].cql_type = CqlType::parse("list<int>");
    let mut partition = Partition::default();
    let mut apply = |t, change: &Change| partition.apply(&table, t, change);
    apply(10, &insert("a", Some("on")));
    apply(20, &update(TAGS, Some(tags(&[1, 2]))));
    apply(20, &update(TAGS, Some(tags(&[1, 2]))));
    let list = |partition: &Partition| partition.live(&table, 5, 0)[0].row.cells[TAGS].clone();
    assert_eq!(list(&partition), Some(tags(&[1, 2, 1, 2])));
    partition.apply(&table, 21, &update(TAGS, Some(tags(&[1, 2]))));
    partition.apply(&table, 20, &update(TAGS, Some(tags(&[1, 2]))));
    assert_eq!(list(&partition), Some(tags(&[1, 2])), "an earlier one that arrives late as well");
    partition.apply(
        &table,
        30,
        &Change::AddElements { key: key("a"), column: TAGS, elements: tags(&[2]) },
    );
    assert_eq!(list(&partition), Some(tags(&[1, 2, 2])));
    partition.apply(&table, 40, &update(TAGS, None));
    assert_eq!(list(&partition), None);
    let mut cells: Vec<Cell> = key("b").into_iter().map(Some).collect();
    cells.extend([None, None, Some(tags(&[1]))]);
    partition.apply(&table, 50, &Change::Insert { row: Row::new(cells) });
    assert_eq!(partition.live(&table, 5, 0)[1].row.cells[TAGS], None, "an insert leaves lists out");
}
