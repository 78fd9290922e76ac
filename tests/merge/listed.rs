//! Lists with policies: written whole, by statements of their own, and counted attempt by attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tributary::journal::Journal;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Change, Collection, ColumnIndex, Row, now_us};
use tributary::pipeline::{Context, GroupError};
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};
use tributary::verify::Options;

use super::stops::Stops;
use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::verify::{diff, verified};
use super::{context_with, run};

/// By name: the survivor's elements, and behind them those of the sources that it lacks.
const BOTH: ColumnIndex = 2;
/// The last source's.
const THEIRS: ColumnIndex = 3;

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'parts'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { both = 'union', theirs = 'keep-source' }";
    let columns =
        [("user", "text"), ("k", "text"), ("both", "list<text>"), ("theirs", "list<text>")];
    let table = TableSchema::keyed(2, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("parts".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn cell(text: &str) -> Cell {
    let all: Vec<Bytes> = text.split_whitespace().map(bytes).collect();
    (!all.is_empty()).then(|| Collection::keys(all.iter()))
}

fn shown(cell: &Cell) -> String {
    let split = |cell: &Bytes| Collection::Set.split(cell).unwrap();
    let all = cell.as_ref().map(split).unwrap_or_default();
    let text = |(one, _): &(Bytes, Cell)| String::from_utf8(one.to_vec()).unwrap();
    all.iter().map(text).collect::<Vec<_>>().join(" ")
}

fn key(user: &str, k: &str) -> Vec<Bytes> {
    vec![bytes(user), bytes(k)]
}

/// `user key: both | theirs`.
const BEFORE: [&str; 7] = [
    "new both: a b a | p q",
    "new none:  | r",
    "old both: a c c | q s",
    "old none: d d | ",
    "old only: e e | t",
    "older both: c f a | u u",
    "older none: d g | ",
];
const MERGED: [&str; 3] =
    ["new both: a b a c c f | u u", "new none: d d g | ", "new only: e e | t"];

fn load(storage: &MemoryStorage) {
    for line in BEFORE {
        let (account, values) = line.split_once(':').unwrap();
        let (user, k) = account.split_once(' ').unwrap();
        let (both, theirs) = values.split_once('|').unwrap();
        let cells = vec![Some(bytes(user)), Some(bytes(k)), cell(both), cell(theirs)];
        storage.put(0, Row::new(cells), 1_000);
    }
}

fn rows(context: &Context<MemoryStorage>) -> Vec<String> {
    let text = |cell: &Cell| String::from_utf8(cell.as_ref().unwrap().to_vec()).unwrap();
    let row = |Row { cells, .. }: Row| {
        let (both, theirs) = (shown(&cells[BOTH]), shown(&cells[THEIRS]));
        format!("{} {}: {both} | {theirs}", text(&cells[0]), text(&cells[1]))
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

/// What an application appends, at some moment.
fn append(storage: &MemoryStorage, (user, k): (&str, &str), more: &str, t: i64) {
    let elements = cell(more).unwrap();
    let change = Change::AddElements { key: key(user, k), column: BOTH, elements };
    storage.apply(0, t, &change);
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
fn answers_that_are_lost_double_no_element() {
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    let storage = MemoryStorage::with_faults(spec(), move |request| {
        let Request::Write(_) = request else { return None };
        let at = seen.fetch_add(1, Ordering::Relaxed);
        (!at.is_multiple_of(5)).then_some(FaultKind::AnswerLost)
    });
    load(&storage);
    let context = context(storage, &Arc::default());
    run(&context, &plan_of("new", &sources()).group(0)).0.unwrap();
    assert_eq!(rows(&context), MERGED);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!((undone.undone, rows(&context)), (1, BEFORE.map(str::to_owned).into()));
    assert!(tries.load(Ordering::Relaxed) > 10, "lists were written again");
}

/// What was appended between the run's time and its reads would stay beside what is written: the group has to be read again.
#[test]
fn a_list_that_is_newer_than_the_run_puts_the_group_off() {
    for user in ["new", "old"] {
        let storage = MemoryStorage::new(spec());
        load(&storage);
        append(&storage, (user, "both"), "x", now_us() + 60_000_000);
        let before = context(storage, &Arc::default());
        let refused = run(&before, &plan_of("new", &sources()).group(0)).0.unwrap_err();
        assert!(matches!(refused, GroupError::Outdated), "{refused}");
        let of = |user: &str| rows(&before).iter().filter(|row| row.starts_with(user)).count();
        assert_eq!((of("new"), of("old ")), (2, 3), "nothing was written");
    }
}

/// What the application appends afterwards stays behind what the list got.
#[test]
fn later_appends_stand() {
    let context = merged();
    append(&context.storage, ("new", "both"), "since", now_us());
    assert_eq!(rows(&context)[0], "new both: a b a c c f since | u u");
    assert_eq!(differences(&context, false), 0, "it was changed since");
}

#[test]
fn what_comes_late_stays_on_the_source_and_is_reported() {
    let context = merged();
    append(&context.storage, ("old", "both"), "late", now_us() - 1);
    let (context, swept, left) = sweep(context, &plan_of("new", &sources()));
    assert_eq!((swept.rows, left.len()), (0, 1));
    assert!(left[0].why.contains("elements of a list"), "{}", left[0].why);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    let mut before = BEFORE.map(str::to_owned);
    before[2] = "old both: a c c late | q s".to_owned();
    assert_eq!(rows(&context), before);
}

/// Where the run has stood still, nothing is written over what the application has made of the list since.
#[test]
fn a_list_that_was_changed_while_the_run_stood_still_is_left() {
    let group = plan_of("new", &sources()).group(0);
    let (mut stood, mut left_alone) = (0, 0);
    for at in 0..14 {
        let stops = Stops::default();
        let storage = stops.storage(spec());
        load(&storage);
        let journal = Arc::<MemoryJournal>::default();
        let first = context(storage, &journal);
        stops.set(Some((at, true)));
        let died = run(&first, &group).0.is_err();
        stops.set(None);
        let storage = Arc::into_inner(first).unwrap().into_storage().unwrap();
        let is_begun = journal.group(0).unwrap().is_some_and(|group| group.t.is_some());
        if !died || !is_begun {
            continue;
        }
        let set = vec![(BOTH, cell("mine"))];
        storage.apply(0, now_us(), &Change::update(key("new", "both"), set));
        let again = context(storage, &journal);
        run(&again, &group).0.unwrap();
        let rows = rows(&again);
        assert_eq!(rows[0].split(" |").next(), Some("new both: mine"), "it died at request {at}");
        match rows.iter().any(|row| row.starts_with("old both")) {
            true => left_alone += 1,
            false => stood += 1,
        }
    }
    assert!(stood + left_alone > 0, "it was never begun");
}
