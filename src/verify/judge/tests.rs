use super::*;
use crate::model::CqlType;
use crate::spec::{Column, Locator, policy};

/// The run's write time.
const T: TimestampUs = 1_000;

const STATUS: ColumnIndex = 2;
const GRADE: ColumnIndex = 3;
const PARTS: ColumnIndex = 4;

fn table() -> Table {
    let columns = [
        ("account", "text"),
        ("k", "text"),
        ("status", "int"),
        ("grade", "text"),
        ("parts", "map<text, int>"),
    ];
    let column = |(name, cql_type): (&str, &str)| Column {
        name: name.to_owned(),
        cql_type: CqlType::parse(cql_type),
    };
    Table {
        name: "t".into(),
        id: String::new(),
        columns: columns.map(column).to_vec(),
        partition_len: 1,
        key_len: 2,
        slim_len: 3,
        account: 0,
        locator: Locator::default(),
        clustering: Vec::new(),
        survivorship: vec![rule()],
        rows: crate::spec::RowRule::default(),
        delete_source: true,
        mentions: Vec::new(),
        drop_oneself: None,
        carries_ttls: false,
        reads_ttls: false,
        moves_with: None,
    }
}

fn rule() -> Survivorship {
    let policy = policy("max").expect("it is known");
    Survivorship { column: STATUS, cql_type: CqlType::Int, policy }
}

fn text(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn int(int: i32) -> Bytes {
    Bytes::copy_from_slice(&int.to_be_bytes())
}

fn map(entries: &[(&'static str, i32)]) -> Bytes {
    let entries: Vec<_> = entries.iter().map(|(key, value)| (text(key), int(*value))).collect();
    Collection::Map.join(entries.iter().map(|(key, value)| (key, Some(value))))
}

fn key() -> Vec<Bytes> {
    vec![text("a"), text("x")]
}

fn kept(entries: &[(&'static str, i32, TimestampUs)]) -> Kept {
    let element = |(key, value, t): &(&'static str, i32, TimestampUs)| Element {
        key: text(key),
        value: Some(int(*value)),
        t: *t,
    };
    Kept::Elements(Collection::Map, entries.iter().map(element).collect())
}

/// A copy with status 2, grade "g" and two parts.
fn copy() -> Expected {
    let columns = vec![
        (STATUS, Kept::AtLeast(rule(), Some(int(2)), T)),
        (GRADE, Kept::Value(text("g"), T)),
        (PARTS, kept(&[("p", 1, T), ("q", 2, T)])),
    ];
    let (expires, may_be_gone) = Default::default();
    Expected { key: key(), is_copy: true, columns, expires, may_be_gone }
}

fn row(cells: [(Cell, WriteTimes); 3]) -> TimedRow {
    let (values, times): (Vec<_>, Vec<_>) = cells.into_iter().unzip();
    let cells = key().into_iter().map(Some).chain(values).collect();
    let times = [WriteTimes::None, WriteTimes::None].into_iter().chain(times).collect();
    TimedRow { row: Row::new(cells), times }
}

fn at(value: Bytes, t: TimestampUs) -> (Cell, WriteTimes) {
    (Some(value), WriteTimes::Cell(t))
}

fn parts(entries: &[(&'static str, i32)], times: &[TimestampUs]) -> (Cell, WriteTimes) {
    (Some(map(entries)), WriteTimes::Elements(times.to_vec()))
}

/// On a server that does not tell when they were written.
fn untimed(entries: &[(&'static str, i32)]) -> (Cell, WriteTimes) {
    (Some(map(entries)), WriteTimes::Unknown)
}

const NULL: (Cell, WriteTimes) = (None, WriteTimes::None);

fn both() -> (Cell, WriteTimes) {
    parts(&[("p", 1), ("q", 2)], &[T, T])
}

/// What is said, with the column and, of an element, its key.
fn verdicts(findings: &[Judgement]) -> Vec<(Verdict, Option<ColumnIndex>, Option<&str>)> {
    let element = |finding: &'_ Judgement| -> Option<String> {
        finding.element.as_ref().map(|key| String::from_utf8_lossy(key).into_owned())
    };
    findings
        .iter()
        .map(|finding| {
            let element = element(finding).map(|key| if key == "p" { "p" } else { "q" });
            (finding.verdict, finding.column, element)
        })
        .collect()
}

#[track_caller]
fn check(
    found: [(Cell, WriteTimes); 3],
    expected: &[(Verdict, Option<ColumnIndex>, Option<&str>)],
) {
    let found = row(found);
    let findings = survivor(&table(), &copy(), Some(&found));
    assert_eq!(verdicts(&findings), expected);
    let is_as_left = is_as_left(&table(), &copy(), found.row);
    assert!(!is_as_left || findings.is_empty(), "its times had something to say");
}

#[test]
fn what_is_as_it_was_left_is_so_whenever_it_was_written() {
    let is_as_left = |expected: &Expected, found| is_as_left(&table(), expected, row(found).row);
    let left = || [at(int(2), 1), at(text("g"), 1), untimed(&[("n", 0), ("p", 1), ("q", 2)])];
    assert!(is_as_left(&copy(), left()));
    // Better, it may have been written later: its time has to be read.
    let [_, grade, parts] = left();
    assert!(!is_as_left(&copy(), [at(int(3), 1), grade, parts]));
    let gone = |kept| Expected { columns: vec![(GRADE, kept)], ..copy() };
    for kept in [Kept::Null(T), Kept::Deleted(T), Kept::Expired(T)] {
        let expected = gone(kept);
        assert!(!is_as_left(&expected, left()));
        let [status, _, parts] = left();
        assert!(is_as_left(&expected, [status, NULL, parts]));
    }
}

#[test]
fn what_the_run_left_is_no_finding() {
    check([at(int(2), T), at(text("g"), T), both()], &[]);
    // As good, or better, for whatever reason; written again; more elements.
    check([at(int(3), T - 1), at(text("g"), T + 1), both()], &[]);
    check(
        [at(int(2), T), at(text("g"), T), parts(&[("n", 0), ("p", 1), ("q", 2)], &[9, T, T])],
        &[],
    );
}

#[test]
fn a_missing_row_is_a_difference_whoever_deleted_it() {
    let verdicts = |expected: &Expected| survivor(&table(), expected, None);
    let of_copy = verdicts(&copy());
    assert_eq!(of_copy.len(), 1);
    assert_eq!(of_copy[0].verdict, Verdict::RowMissing);
    let Value::Row(row) = &of_copy[0].expected else { panic!("the row is known") };
    assert_eq!(row.cells[2..], [Some(int(2)), Some(text("g")), Some(map(&[("p", 1), ("q", 2)]))]);
    let own = Expected { is_copy: false, columns: Vec::new(), ..copy() };
    assert_eq!(verdicts(&own)[0].expected, Value::OwnRow);
}

#[test]
fn a_missing_value_is_a_difference() {
    let missing = |column| (Verdict::ValueMissing, Some(column), None);
    check([NULL, NULL, NULL], &[missing(STATUS), missing(GRADE), missing(PARTS)]);
}

#[test]
fn a_value_that_the_policy_ranks_lower_is_a_difference_whenever_it_was_written() {
    for t in [T - 1, T, T + 1_000] {
        let worse = (Verdict::ValueWorse, Some(STATUS), None);
        check([at(int(1), t), at(text("g"), T), both()], &[worse]);
    }
    let better = (Verdict::ChangedSince, Some(STATUS), None);
    check([at(int(3), T + 1), at(text("g"), T), both()], &[better]);
}

#[test]
fn another_value_is_a_difference_unless_it_was_written_later() {
    let of_grade = |verdict| [(verdict, Some(GRADE), None)];
    let found = |t| [at(int(2), T), at(text("h"), t), both()];
    check(found(T), &of_grade(Verdict::ValueDiffers));
    check(found(T + 1), &of_grade(Verdict::ChangedSince));
    let null = Expected { columns: vec![(GRADE, Kept::Null(T))], ..copy() };
    for (t, verdict) in [(T, Verdict::ValueDiffers), (T + 1, Verdict::ChangedSince)] {
        let findings = survivor(&table(), &null, Some(&row(found(t))));
        assert_eq!(verdicts(&findings), of_grade(verdict));
    }
}

#[test]
fn maps_are_compared_element_by_element() {
    let found = |parts| [at(int(2), T), at(text("g"), T), parts];
    let of = |verdict, element| [(verdict, Some(PARTS), element)];
    check(found(parts(&[("p", 1), ("q", 9)], &[T, T])), &of(Verdict::ValueDiffers, Some("q")));
    check(found(parts(&[("p", 1), ("q", 9)], &[T, T + 1])), &of(Verdict::ChangedSince, Some("q")));
    check(found(parts(&[("p", 1)], &[T])), &of(Verdict::ValueMissing, Some("q")));
    // Someone replaced the whole map, or may have.
    check(found(parts(&[("n", 1)], &[T + 1])), &of(Verdict::ChangedSince, None));
    // An element that a sweep placed later than the others.
    let expected =
        Expected { columns: vec![(PARTS, kept(&[("p", 1, T), ("q", 2, T + 50)]))], ..copy() };
    let found = row(found(parts(&[("p", 7)], &[T + 10])));
    let findings = survivor(&table(), &expected, Some(&found));
    assert_eq!(
        verdicts(&findings),
        [
            (Verdict::ValueMissing, Some(PARTS), Some("q")),
            (Verdict::ChangedSince, Some(PARTS), Some("p"))
        ]
    );
}

#[test]
fn a_source_owns_nothing_from_before_the_run() {
    let verdicts = |found: [(Cell, WriteTimes); 3]| {
        let findings = source(&table(), (0, None), T, &row(found));
        findings.into_iter().map(|f| (f.verdict, f.found_at, f.found)).collect::<Vec<_>>()
    };
    assert_eq!(verdicts([NULL, NULL, NULL]), [(Verdict::ChangedSince, None, Value::BareRow)]);
    let findings = verdicts([at(int(1), T), at(text("g"), T + 1), parts(&[("p", 1)], &[T + 2])]);
    let verdicts: Vec<_> = findings.iter().map(|(verdict, at, _)| (*verdict, *at)).collect();
    assert_eq!(
        verdicts,
        [(Verdict::SourceNotEmptied, Some(T)), (Verdict::ChangedSince, Some(T + 2))]
    );
    let Value::Row(old) = &findings[0].2 else { panic!("a row") };
    assert_eq!(old.cells[2..], [Some(int(1)), None, None], "only what is old is shown as old");
}

#[test]
fn only_what_the_run_copied_may_be_deleted_again() {
    let before = row([at(int(1), 1), at(text("g"), 1), parts(&[("p", 1), ("q", 2)], &[1, 1])]).row;
    let known = |found| is_known(&table(), T, &before, &row(found));
    assert!(known([at(int(1), T), at(text("g"), 1), parts(&[("p", 1)], &[1])]));
    assert!(known([at(int(1), T), at(text("new"), T + 1), parts(&[("n", 1)], &[T + 1])]));
    assert!(!known([at(int(1), T), at(text("other"), T), NULL]));
    assert!(!known([at(int(1), T), NULL, parts(&[("p", 1), ("n", 2)], &[1, T])]));
}

#[test]
fn elements_without_times_are_undated_unless_they_are_as_they_were_left() {
    let found =
        |entries: &[(&'static str, i32)]| [at(int(2), T), at(text("g"), T), untimed(entries)];
    let undated = [(Verdict::Undated, Some(PARTS), Some("q"))];
    check(found(&[("p", 1), ("q", 2), ("r", 3)]), &[]);
    check(found(&[("p", 1), ("q", 9)]), &undated);
    check(found(&[("p", 1)]), &undated);
    let copy = copy();
    let (_, kept) = copy.columns.iter().find(|(column, _)| *column == PARTS).unwrap();
    let times: Vec<_> = kept.parts().into_iter().map(|(t, _)| t).collect();
    assert_eq!(times, [T, T], "a repair is written at this time");
}

#[test]
fn of_elements_without_times_a_source_may_still_hold_what_the_run_found() {
    let before = row([NULL, NULL, parts(&[("p", 1)], &[1])]).row;
    let verdicts = |cell, entries: &[(&'static str, i32)]| {
        let found = row([cell, NULL, untimed(entries)]);
        let findings = source(&table(), (0, Some(&before)), T, &found);
        findings.iter().map(|finding| finding.verdict).collect::<Vec<_>>()
    };
    assert_eq!(verdicts(NULL, &[("p", 1)]), [Verdict::Undated]);
    assert_eq!(verdicts(NULL, &[("p", 2)]), [Verdict::ChangedSince], "that is another value");
    assert_eq!(verdicts(at(int(1), T), &[("p", 1)]), [Verdict::SourceNotEmptied]);
    let known = |entries| is_known(&table(), T, &before, &row([NULL, NULL, untimed(entries)]));
    assert!(known(&[("p", 1)]) && !known(&[("p", 1), ("n", 1)]));
}
