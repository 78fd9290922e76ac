//! Values with elements that policies take as a whole: the survivor's gives way to the source's, or stays.

use bytes::Bytes;
use tributary::model::{Cell, Change, Collection, ColumnIndex, now_us};
use tributary::pipeline::Context;
use tributary::storage::memory::MemoryStorage;

use super::parts::{Parts, bytes, differences, key, text};
use super::sweep::sweep;
use super::undo::undo_all;

/// By name: the survivor's entries, or the first source's.
const FIRST: ColumnIndex = 2;
/// The last source's elements.
const THEIRS: ColumnIndex = 3;

/// Entries as `key=value`, elements without.
fn cell(text: &str) -> Cell {
    let split = |one: &str| match one.split_once('=') {
        Some((key, value)) => (bytes(key), Some(bytes(value))),
        None => (bytes(one), None),
    };
    let all: Vec<_> = text.split_whitespace().map(split).collect();
    let of = if text.contains('=') { Collection::Map } else { Collection::Set };
    (!all.is_empty()).then(|| of.join(all.iter().map(|(key, value)| (key, value.as_ref()))))
}

fn shown(of: Collection, cell: &Cell) -> String {
    let all = cell.as_ref().map(|cell| of.split(cell).unwrap()).unwrap_or_default();
    let one = |(key, value): &(Bytes, Cell)| match value {
        Some(value) => format!("{}={}", text(key), text(value)),
        None => text(key),
    };
    all.iter().map(one).collect::<Vec<_>>().join(" ")
}

const PARTS: Parts = Parts {
    on_conflict: "first = 'first', theirs = 'keep-source'",
    columns: [("first", "map<text, text>"), ("theirs", "set<text>")],
    sources: &["old", "older"],
    before: &[
        "new both: a=1 | p q",
        "new none:  | r",
        "old both: a=2 b=2 | q s",
        "old none: c=3 | ",
        "old only: d=4 | t",
        "older both: e=5 | u",
        "older none: f=6 | v",
    ],
    merged: &["new both: a=1 | u", "new none: c=3 | v", "new only: d=4 | t"],
    cell,
    shown: [|cell| shown(Collection::Map, cell), |cell| shown(Collection::Set, cell)],
};

fn add(context: &Context<MemoryStorage>, user: &str, k: &str, column: ColumnIndex, more: &str) {
    let elements = cell(more).unwrap();
    let change = Change::AddElements { key: key(user, k), column, elements };
    context.storage.apply(0, now_us() - 1, &change);
}

#[test]
fn a_run_that_dies_is_gone_on_with_or_undone() {
    PARTS.each_death_ends();
}

#[test]
fn what_comes_late_goes_element_by_element_to_where_the_policy_wants_it() {
    let context = PARTS.merged();
    add(&context, "old", "both", FIRST, "late=1");
    add(&context, "old", "both", THEIRS, "u w");
    add(&context, "old", "only", FIRST, "late=2");
    add(&context, "old", "only", THEIRS, "x");
    let (context, swept, left) = sweep(context, &PARTS.plan());
    assert_eq!((swept.rows, left.len()), (2, 0));
    let after = ["new both: a=1 | u w", "new none: c=3 | v", "new only: d=4 | t x"];
    assert_eq!(PARTS.rows(&context), after);
    assert_eq!(differences(&context, false), 0);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    let mut before = PARTS.before.to_vec();
    before[2] = "old both: a=2 b=2 late=1 | q s u w";
    before[4] = "old only: d=4 late=2 | t x";
    assert_eq!(PARTS.rows(&context), before);
}

/// What the application adds while the group is merged stays beside what it gets.
#[test]
fn later_elements_stand_and_what_is_lost_is_written_again() {
    let context = PARTS.merged();
    let keys = Collection::keys([bytes("u")].iter());
    let gone = Change::RemoveElements { key: key("new", "both"), column: THEIRS, keys };
    context.storage.apply(0, now_us() - 1, &gone);
    context.storage.compact();
    assert_eq!(differences(&context, false), 1);
    differences(&context, true);
    assert_eq!(PARTS.rows(&context), PARTS.merged);
    add(&context, "new", "both", THEIRS, "since");
    assert_eq!(differences(&context, false), 0, "it was changed since");
}
