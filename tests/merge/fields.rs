//! User-defined types that are not frozen: their fields are written one by one, as the entries of a map are, and those that
//! are null are not written at all.

use std::sync::Arc;

use bytes::Bytes;
use tributary::model::{Cell, Change, Collection, ColumnIndex, now_us};
use tributary::pipeline::Context;
use tributary::storage::memory::{MemoryStorage, Request};
use tributary::verify::Options;

use super::parts::{Parts, differences, key};
use super::run;
use super::sweep::sweep;
use super::undo::undo_all;
use super::verify::{diff, verified};

/// With a policy, so that it comes first: of both accounts.
const BOTH: ColumnIndex = 2;
/// Of the account whose row stays.
const OWN: ColumnIndex = 3;

/// Fields in the order of their type, `-` for null: as the server gives them.
fn fields(text: &str) -> Cell {
    let field = |field: &str| match field {
        "-" => (-1_i32).to_be_bytes().to_vec(),
        value => [&(value.len() as i32).to_be_bytes()[..], value.as_bytes()].concat(),
    };
    let fields: Vec<u8> = text.split_whitespace().flat_map(field).collect();
    (!fields.is_empty()).then(|| fields.into())
}

fn shown(cell: &Cell) -> String {
    let Some(mut rest) = cell.as_deref() else { return String::new() };
    let mut shown = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length));
        let (field, after) = after.split_at(length.unwrap_or(0));
        shown.push(if length.is_ok() { str::from_utf8(field).unwrap() } else { "-" });
        rest = after;
    }
    shown.join(" ")
}

/// Of one key both accounts have a row, of the other the source alone.
const PARTS: Parts = Parts {
    on_conflict: "both = 'union'",
    columns: [("own", "address"), ("both", "address")],
    sources: &["old"],
    before: &["new x: - t | s", "old x: s u | - z", "old y: s - w | - t - v"],
    merged: &["new x: s t | s", "new y: s - w | - t - v"],
    cell: fields,
    shown: [shown, shown],
};

/// What an application writes to a field, or takes from it.
fn set(context: &Context<MemoryStorage>, user: &str, k: &str, column: ColumnIndex, field: &str) {
    let elements = fields(field).unwrap();
    let change = Change::AddElements { key: key(user, k), column, elements };
    context.storage.apply(0, now_us() - 1, &change);
}

#[test]
fn a_run_that_dies_is_gone_on_with_or_undone_field_by_field() {
    PARTS.each_death_ends();
}

#[test]
fn a_field_that_is_written_late_goes_by_itself() {
    let context = PARTS.merged();
    set(&context, "old", "y", OWN, "- - late");
    set(&context, "old", "x", BOTH, "late late late");
    set(&context, "old", "x", OWN, "late");
    let (context, swept, left) = sweep(context, &PARTS.plan());
    assert_eq!((swept.rows, left.len()), (2, 0));
    // Where the survivor had a row, policies decide: of both accounts' fields its own stay.
    assert_eq!(PARTS.rows(&context), ["new x: s t late | s", "new y: s - w | - t late v"]);
    assert_eq!(differences(&context, false), 0);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    let before = ["new x: - t | s", "old x: late late late | late z", "old y: s - w | - t late v"];
    assert_eq!(PARTS.rows(&context), before);
}

/// What somebody has written since stays, and what is gone is written again.
#[test]
fn a_field_that_is_lost_is_found_and_repaired() {
    let context = PARTS.merged();
    let keys = Collection::keys([Bytes::from_static(&[0, 0, 0, 3])].iter());
    let gone = Change::RemoveElements { key: key("new", "y"), column: OWN, keys };
    context.storage.apply(0, now_us(), &gone);
    // Nobody has deleted it: it was lost.
    context.storage.compact();
    let folder = tempfile::tempdir().unwrap();
    let found = verified(&context, Options { restart: true, ..Options::default() }, &diff(&folder));
    assert_eq!(found.counts.differences(), 1);
    let lines = std::fs::read_to_string(folder.path().join("diff.csv")).unwrap();
    assert!(lines.contains("own[field 4]"), "{lines}");
    differences(&context, true);
    assert_eq!(PARTS.rows(&context), PARTS.merged);
    set(&context, "new", "y", OWN, "- - since");
    assert_eq!(differences(&context, false), 0);
}

/// Nothing is written for a field that is null: what the survivor gets there meanwhile stays.
#[test]
fn fields_that_are_null_hide_nothing() {
    let written = Arc::<std::sync::Mutex<Vec<Change>>>::default();
    let seen = Arc::clone(&written);
    let storage = MemoryStorage::with_faults(PARTS.spec(), move |request| {
        if let Request::Write(batch) = request {
            let changes = batch.mutations.iter().map(|mutation| mutation.change.clone());
            seen.lock().unwrap().extend(changes);
        }
        None
    });
    PARTS.load(&storage);
    let context = PARTS.context(storage, &Arc::default());
    set(&context, "new", "x", BOTH, "- - meanwhile");
    run(&context, &PARTS.group()).0.unwrap();
    assert_eq!(PARTS.rows(&context)[0], "new x: s t meanwhile | s");
    assert!(!written.lock().unwrap().is_empty());
}
