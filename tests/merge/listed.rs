//! Lists with policies: written whole, by statements of their own, and counted attempt by attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tributary::journal::Journal;
use tributary::model::{Cell, Change, Collection, ColumnIndex, now_us};
use tributary::pipeline::GroupError;
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};

use super::parts::{Parts, bytes, differences, key, text};
use super::run;
use super::sweep::sweep;
use super::undo::undo_all;

/// By name: the survivor's elements, and behind them those of the sources that it lacks. Behind it the last source's.
const BOTH: ColumnIndex = 2;

fn cell(text: &str) -> Cell {
    let all: Vec<Bytes> = text.split_whitespace().map(bytes).collect();
    (!all.is_empty()).then(|| Collection::keys(all.iter()))
}

fn shown(cell: &Cell) -> String {
    let split = |cell: &Bytes| Collection::Set.split(cell).unwrap();
    let all = cell.as_ref().map(split).unwrap_or_default();
    all.iter().map(|(one, _)| text(one)).collect::<Vec<_>>().join(" ")
}

const PARTS: Parts = Parts {
    on_conflict: "both = 'union', theirs = 'keep-source'",
    columns: [("both", "list<text>"), ("theirs", "list<text>")],
    sources: &["old", "older"],
    before: &[
        "new both: a b a | p q",
        "new none:  | r",
        "old both: a c c | q s",
        "old none: d d | ",
        "old only: e e | t",
        "older both: c f a | u u",
        "older none: d g | ",
    ],
    merged: &["new both: a b a c c f | u u", "new none: d d g | ", "new only: e e | t"],
    cell,
    shown: [shown, shown],
};

/// What an application appends, at some moment.
fn append(storage: &MemoryStorage, (user, k): (&str, &str), more: &str, t: i64) {
    let elements = cell(more).unwrap();
    let change = Change::AddElements { key: key(user, k), column: BOTH, elements };
    storage.apply(0, t, &change);
}

#[test]
fn a_run_that_dies_is_gone_on_with_or_undone() {
    PARTS.each_death_ends();
}

#[test]
fn answers_that_are_lost_double_no_element() {
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    let storage = MemoryStorage::with_faults(PARTS.spec(), move |request| {
        let Request::Write(_) = request else { return None };
        let at = seen.fetch_add(1, Ordering::Relaxed);
        (!at.is_multiple_of(5)).then_some(FaultKind::AnswerLost)
    });
    PARTS.load(&storage);
    let context = PARTS.context(storage, &Arc::default());
    run(&context, &PARTS.group()).0.unwrap();
    assert_eq!(PARTS.rows(&context), PARTS.merged);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(
        (undone.undone, PARTS.rows(&context)),
        (1, PARTS.before.iter().map(|&row| row.to_owned()).collect())
    );
    assert!(tries.load(Ordering::Relaxed) > 10, "lists were written again");
}

/// What was appended between the run's time and its reads would stay beside what is written: the group has to be read again.
#[test]
fn a_list_that_is_newer_than_the_run_puts_the_group_off() {
    for user in ["new", "old"] {
        let storage = MemoryStorage::new(PARTS.spec());
        PARTS.load(&storage);
        append(&storage, (user, "both"), "x", now_us() + 60_000_000);
        let before = PARTS.context(storage, &Arc::default());
        let refused = run(&before, &PARTS.group()).0.unwrap_err();
        assert!(matches!(refused, GroupError::Outdated), "{refused}");
        let of =
            |user: &str| PARTS.rows(&before).iter().filter(|row| row.starts_with(user)).count();
        assert_eq!((of("new"), of("old ")), (2, 3), "nothing was written");
    }
}

/// What the application appends afterwards stays behind what the list got.
#[test]
fn later_appends_stand() {
    let context = PARTS.merged();
    append(&context.storage, ("new", "both"), "since", now_us());
    assert_eq!(PARTS.rows(&context)[0], "new both: a b a c c f since | u u");
    assert_eq!(differences(&context, false), 0, "it was changed since");
}

#[test]
fn what_comes_late_stays_on_the_source_and_is_reported() {
    let context = PARTS.merged();
    append(&context.storage, ("old", "both"), "late", now_us() - 1);
    let (context, swept, left) = sweep(context, &PARTS.plan());
    assert_eq!((swept.rows, left.len()), (0, 1));
    assert!(left[0].why.contains("elements of a list"), "{}", left[0].why);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    let mut before = PARTS.before.to_vec();
    before[2] = "old both: a c c late | q s";
    assert_eq!(PARTS.rows(&context), before);
}

/// Where the run has stood still, nothing is written over what the application has made of the list since.
#[test]
fn a_list_that_was_changed_while_the_run_stood_still_is_left() {
    let group = PARTS.group();
    let (mut stood, mut left_alone) = (0, 0);
    for at in 0..14 {
        let (storage, journal, died) = PARTS.died(at);
        let is_begun = journal.group(0).unwrap().is_some_and(|group| group.t.is_some());
        if !died || !is_begun {
            continue;
        }
        let set = vec![(BOTH, cell("mine"))];
        storage.apply(0, now_us(), &Change::update(key("new", "both"), set));
        let again = PARTS.context(storage, &journal);
        run(&again, &group).0.unwrap();
        let rows = PARTS.rows(&again);
        assert_eq!(rows[0].split(" |").next(), Some("new both: mine"), "it died at request {at}");
        match rows.iter().any(|row| row.starts_with("old both")) {
            true => left_alone += 1,
            false => stood += 1,
        }
    }
    assert!(stood + left_alone > 0, "it was never begun");
}
