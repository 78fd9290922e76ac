//! User-defined types that are not frozen: their fields are written one by one, as the entries of a map are, and those that
//! are null are not written at all.

use std::sync::Arc;

use bytes::Bytes;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Change, Collection, ColumnIndex, Row, now_us};
use tributary::pipeline::Context;
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::{MemoryStorage, Request};
use tributary::verify::Options;

use super::stops::Stops;
use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::verify::{diff, verified};
use super::{context_with, run};

/// With a policy, so that it comes first: of both accounts.
const BOTH: ColumnIndex = 2;
/// Of the account whose row stays.
const OWN: ColumnIndex = 3;

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'people'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { both = 'union' }";
    let columns = [("user", "text"), ("k", "text"), ("own", "address"), ("both", "address")];
    let table = TableSchema::keyed(2, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("people".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

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

fn key(user: &str, k: &str) -> Vec<Bytes> {
    vec![bytes(user), bytes(k)]
}

fn put(storage: &MemoryStorage, (user, k): (&str, &str), both: &str, own: &str, t: i64) {
    let cells = vec![Some(bytes(user)), Some(bytes(k)), fields(both), fields(own)];
    storage.put(0, Row::new(cells), t);
}

/// Of one key both accounts have a row, of the other the source alone.
fn load(storage: &MemoryStorage) {
    put(storage, ("new", "x"), "- t", "s", 1_000);
    put(storage, ("old", "x"), "s u", "- z", 1_000);
    put(storage, ("old", "y"), "s - w", "- t - v", 1_000);
}

/// All rows, as `user key: both | own`.
fn rows(context: &Context<MemoryStorage>) -> Vec<String> {
    let text = |cell: &Cell| String::from_utf8(cell.as_ref().unwrap().to_vec()).unwrap();
    let row = |Row { cells, .. }: Row| {
        let (user, k) = (text(&cells[0]), text(&cells[1]));
        format!("{user} {k}: {} | {}", shown(&cells[BOTH]), shown(&cells[OWN]))
    };
    let mut rows: Vec<_> = context.storage.dump(0).into_iter().map(row).collect();
    rows.sort();
    rows
}

const BEFORE: [&str; 3] = ["new x: - t | s", "old x: s u | - z", "old y: s - w | - t - v"];
const MERGED: [&str; 2] = ["new x: s t | s", "new y: s - w | - t - v"];

fn context(storage: MemoryStorage, journal: &Arc<MemoryJournal>) -> Arc<Context<MemoryStorage>> {
    context_with(spec(), 8, storage, Arc::clone(journal), 1_000_000)
}

fn merged() -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::new(spec());
    load(&storage);
    let context = context(storage, &Arc::default());
    run(&context, &plan_of("new", &["old".to_owned()]).group(0)).0.unwrap();
    assert_eq!(rows(&context), MERGED);
    context
}

/// What an application writes to a field, or takes from it.
fn set(context: &Context<MemoryStorage>, user: &str, k: &str, column: ColumnIndex, field: &str) {
    let elements = fields(field).unwrap();
    let change = Change::AddElements { key: key(user, k), column, elements };
    context.storage.apply(0, now_us() - 1, &change);
}

#[test]
fn a_run_that_dies_is_gone_on_with_or_undone_field_by_field() {
    let group = plan_of("new", &["old".to_owned()]).group(0);
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
            if !died && is_undone {
                assert!(at > 5, "there were {at} requests");
                return;
            }
        }
    }
}

#[test]
fn a_field_that_is_written_late_goes_by_itself() {
    let context = merged();
    set(&context, "old", "y", OWN, "- - late");
    set(&context, "old", "x", BOTH, "late late late");
    set(&context, "old", "x", OWN, "late");
    let plan = plan_of("new", &["old".to_owned()]);
    let (context, swept, left) = sweep(context, &plan);
    assert_eq!((swept.rows, left.len()), (2, 0));
    // Where the survivor had a row, policies decide: of both accounts' fields its own stay.
    assert_eq!(rows(&context), ["new x: s t late | s", "new y: s - w | - t late v"]);
    let folder = tempfile::tempdir().unwrap();
    let fine = verified(&context, Options { repair: false, restart: true }, &diff(&folder));
    assert_eq!(fine.counts.differences(), 0);
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    let before = ["new x: - t | s", "old x: late late late | late z", "old y: s - w | - t late v"];
    assert_eq!(rows(&context), before);
}

/// What somebody has written since stays, and what is gone is written again.
#[test]
fn a_field_that_is_lost_is_found_and_repaired() {
    let context = merged();
    let keys = Collection::keys([Bytes::from_static(&[0, 0, 0, 3])].iter());
    let gone = Change::RemoveElements { key: key("new", "y"), column: OWN, keys };
    context.storage.apply(0, now_us(), &gone);
    // Nobody has deleted it: it was lost.
    context.storage.compact();
    let folder = tempfile::tempdir().unwrap();
    let found = verified(&context, Options { repair: false, restart: true }, &diff(&folder));
    assert_eq!(found.counts.differences(), 1);
    let lines = std::fs::read_to_string(folder.path().join("diff.csv")).unwrap();
    assert!(lines.contains("own[field 4]"), "{lines}");
    verified(&context, Options { repair: true, restart: true }, &diff(&folder));
    assert_eq!(rows(&context), MERGED);
    set(&context, "new", "y", OWN, "- - since");
    let fine = verified(&context, Options { repair: false, restart: true }, &diff(&folder));
    assert_eq!(fine.counts.differences(), 0);
}

/// Nothing is written for a field that is null: what the survivor gets there meanwhile stays.
#[test]
fn fields_that_are_null_hide_nothing() {
    let written = Arc::<std::sync::Mutex<Vec<Change>>>::default();
    let seen = Arc::clone(&written);
    let storage = MemoryStorage::with_faults(spec(), move |request| {
        if let Request::Write(batch) = request {
            let changes = batch.mutations.iter().map(|mutation| mutation.change.clone());
            seen.lock().unwrap().extend(changes);
        }
        None
    });
    load(&storage);
    let context = context(storage, &Arc::default());
    set(&context, "new", "x", BOTH, "- - meanwhile");
    run(&context, &plan_of("new", &["old".to_owned()]).group(0)).0.unwrap();
    assert_eq!(rows(&context)[0], "new x: s t meanwhile | s");
    assert!(!written.lock().unwrap().is_empty());
}
