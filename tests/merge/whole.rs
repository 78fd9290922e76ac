//! Values with elements that policies take as a whole: the survivor's gives way to the source's, or stays.

use std::sync::Arc;

use bytes::Bytes;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Change, Collection, ColumnIndex, Row, now_us};
use tributary::pipeline::Context;
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::stops::Stops;
use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::verify::{diff, verified};
use super::{context_with, run};

/// By name: the survivor's entries, or the first source's.
const FIRST: ColumnIndex = 2;
/// The last source's elements.
const THEIRS: ColumnIndex = 3;

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'parts'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { first = 'first', theirs = 'keep-source' }";
    let columns =
        [("user", "text"), ("k", "text"), ("first", "map<text, text>"), ("theirs", "set<text>")];
    let table = TableSchema::keyed(2, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("parts".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

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
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let all = cell.as_ref().map(|cell| of.split(cell).unwrap()).unwrap_or_default();
    let one = |(key, value): &(Bytes, Cell)| match value {
        Some(value) => format!("{}={}", text(key), text(value)),
        None => text(key),
    };
    all.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn key(user: &str, k: &str) -> Vec<Bytes> {
    vec![bytes(user), bytes(k)]
}

/// `user key: first | theirs`.
const BEFORE: [&str; 7] = [
    "new both: a=1 | p q",
    "new none:  | r",
    "old both: a=2 b=2 | q s",
    "old none: c=3 | ",
    "old only: d=4 | t",
    "older both: e=5 | u",
    "older none: f=6 | v",
];
const MERGED: [&str; 3] = ["new both: a=1 | u", "new none: c=3 | v", "new only: d=4 | t"];

fn load(storage: &MemoryStorage) {
    for line in BEFORE {
        let (account, values) = line.split_once(':').unwrap();
        let (user, k) = account.split_once(' ').unwrap();
        let (first, theirs) = values.split_once('|').unwrap();
        let cells = vec![Some(bytes(user)), Some(bytes(k)), cell(first), cell(theirs)];
        storage.put(0, Row::new(cells), 1_000);
    }
}

fn rows(context: &Context<MemoryStorage>) -> Vec<String> {
    let text = |cell: &Cell| String::from_utf8(cell.as_ref().unwrap().to_vec()).unwrap();
    let row = |Row { cells, .. }: Row| {
        let (first, theirs) =
            (shown(Collection::Map, &cells[FIRST]), shown(Collection::Set, &cells[THEIRS]));
        format!("{} {}: {first} | {theirs}", text(&cells[0]), text(&cells[1]))
    };
    let mut rows: Vec<_> = context.storage.dump(0).into_iter().map(row).collect();
    rows.sort();
    rows
}

fn sources() -> [String; 2] {
    ["old".to_owned(), "older".to_owned()]
}

fn context(storage: MemoryStorage, journal: &Arc<MemoryJournal>) -> Arc<Context<MemoryStorage>> {
    context_with(spec(), 8, storage, Arc::clone(journal), 1_000_000)
}

fn merged() -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::new(spec());
    load(&storage);
    let context = context(storage, &Arc::default());
    run(&context, &plan_of("new", &sources()).group(0)).0.unwrap();
    assert_eq!(rows(&context), MERGED);
    context
}

fn add(context: &Context<MemoryStorage>, user: &str, k: &str, column: ColumnIndex, more: &str) {
    let elements = cell(more).unwrap();
    let change = Change::AddElements { key: key(user, k), column, elements };
    context.storage.apply(0, now_us() - 1, &change);
}

fn differences(context: &Arc<Context<MemoryStorage>>, repair: bool) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    verified(context, Options { repair, restart: true }, &diff(&folder)).counts.differences()
}

#[test]
fn a_run_that_dies_is_gone_on_with_or_undone() {
    let group = plan_of("new", &sources()).group(0);
    for at in 0.. {
        for is_undone in [false, true] {
            let stops = Stops::default();
            let storage = stops.storage(spec());
            load(&storage);
            let journal = Arc::<MemoryJournal>::default();
            let first = context(storage, &journal);
            stops.set(Some((at, true)));
            let died = run(&first, &group).0.is_err();
            stops.set(None);
            let storage = Arc::into_inner(first).unwrap().into_storage().unwrap();
            let mut context = context(storage, &journal);
            if is_undone {
                let undone = undo_all(context, false);
                assert_eq!(undone.3, Vec::<String>::new(), "it died at request {at}");
                context = undone.0;
            } else if died {
                run(&context, &group).0.unwrap();
            }
            let expected = if is_undone { &BEFORE[..] } else { &MERGED[..] };
            assert_eq!(rows(&context), expected, "it died at request {at}");
            assert!(is_undone || differences(&context, false) == 0, "it died at request {at}");
            if !died && is_undone {
                assert!(at > 5, "there were {at} requests");
                return;
            }
        }
    }
}

#[test]
fn what_comes_late_goes_element_by_element_to_where_the_policy_wants_it() {
    let context = merged();
    add(&context, "old", "both", FIRST, "late=1");
    add(&context, "old", "both", THEIRS, "u w");
    add(&context, "old", "only", FIRST, "late=2");
    add(&context, "old", "only", THEIRS, "x");
    let (context, swept, left) = sweep(context, &plan_of("new", &sources()));
    assert_eq!((swept.rows, left.len()), (2, 0));
    let after = ["new both: a=1 | u w", "new none: c=3 | v", "new only: d=4 | t x"];
    assert_eq!(rows(&context), after);
    assert_eq!(differences(&context, false), 0);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    let mut before = BEFORE;
    before[2] = "old both: a=2 b=2 late=1 | q s u w";
    before[4] = "old only: d=4 late=2 | t x";
    assert_eq!(rows(&context), before);
}

/// What the application adds while the group is merged stays beside what it gets.
#[test]
fn later_elements_stand_and_what_is_lost_is_written_again() {
    let context = merged();
    let keys = Collection::keys([bytes("u")].iter());
    let gone = Change::RemoveElements { key: key("new", "both"), column: THEIRS, keys };
    context.storage.apply(0, now_us() - 1, &gone);
    context.storage.compact();
    assert_eq!(differences(&context, false), 1);
    differences(&context, true);
    assert_eq!(rows(&context), MERGED);
    add(&context, "new", "both", THEIRS, "since");
    assert_eq!(differences(&context, false), 0, "it was changed since");
}
