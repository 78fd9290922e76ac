//! Sets and maps of which the survivor gets the elements of both accounts.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Change, Collection, ColumnIndex, Row, now_us};
use tributary::pipeline::{Context, Leftover, Window, merge_group};
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;

use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::{block_on, context_with};

const NOTES: ColumnIndex = 2;
const TAGS: ColumnIndex = 3;

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'parts'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { notes = 'union', tags = 'union' }";
    let columns =
        [("user", "text"), ("k", "text"), ("tags", "set<text>"), ("notes", "map<text, text>")];
    let table = TableSchema::keyed(2, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("parts".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn set(elements: &str) -> Cell {
    let elements: Vec<Bytes> = elements.split_whitespace().map(bytes).collect();
    (!elements.is_empty()).then(|| Collection::keys(elements.iter()))
}

/// Entries as `key=value`.
fn map(entries: &str) -> Cell {
    let entries = entries.split_whitespace().filter_map(|entry| entry.split_once('='));
    let entries: Vec<_> = entries.map(|(key, value)| (bytes(key), bytes(value))).collect();
    let joined = Collection::Map.join(entries.iter().map(|(key, value)| (key, Some(value))));
    (!entries.is_empty()).then_some(joined)
}

fn key(user: &str) -> Vec<Bytes> {
    vec![bytes(user), bytes("x")]
}

/// The elements of a row's set and map, as they are written here.
fn parts(context: &Context<MemoryStorage>, user: &str) -> Option<(String, String)> {
    let rows = context.storage.dump(0);
    let row = rows.into_iter().find(|row| row.cells[0] == Some(bytes(user)))?;
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let elements = |of: Collection, column: ColumnIndex| {
        let all = row.cells[column].as_ref().map(|cell| of.split(cell).unwrap());
        let shown = |(key, value): (Bytes, Option<Bytes>)| match value {
            Some(value) => format!("{}={}", text(&key), text(&value)),
            None => text(&key),
        };
        let all: BTreeSet<String> = all.into_iter().flatten().map(shown).collect();
        all.into_iter().collect::<Vec<_>>().join(" ")
    };
    Some((elements(Collection::Set, TAGS), elements(Collection::Map, NOTES)))
}

fn said(tags: &str, notes: &str) -> Option<(String, String)> {
    Some((tags.to_owned(), notes.to_owned()))
}

/// A world in which both accounts have a row of the same key.
fn world() -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::new(spec());
    for (user, tags, notes) in [("new", "a b", "k=own"), ("old", "b c", "k=other l=new")] {
        let cells = vec![Some(bytes(user)), Some(bytes("x")), map(notes), set(tags)];
        storage.put(0, Row::new(cells), 1_000);
    }
    context_with(spec(), 8, storage, Arc::<MemoryJournal>::default(), 1_000_000)
}

fn merged(context: &Arc<Context<MemoryStorage>>) -> Vec<Leftover> {
    let group = plan_of("new", &["old".to_owned()]).group(0);
    let merged = block_on(async {
        let window = Window::writing(context);
        window.alone(merge_group(&window, &group, None, None)).await
    });
    merged.unwrap().left
}

#[test]
fn the_survivor_gets_the_elements_of_both_until_it_is_undone() {
    let context = world();
    assert!(merged(&context).is_empty());
    assert_eq!(parts(&context, "new"), said("a b c", "k=own l=new"));
    assert_eq!(parts(&context, "old"), None);
    let (context, undone, _, failed) = undo_all(context, false);
    assert_eq!((undone.undone, failed), (1, Vec::new()));
    assert_eq!(parts(&context, "new"), said("a b", "k=own"));
    assert_eq!(parts(&context, "old"), said("b c", "k=other l=new"));
}

#[test]
fn late_elements_join_the_others_and_the_survivors_entries_stay() {
    let context = world();
    merged(&context);
    let add = |column, elements: Cell| {
        let change = Change::AddElements { key: key("old"), column, elements: elements.unwrap() };
        context.storage.apply(0, now_us() - 1, &change);
    };
    add(TAGS, set("a d"));
    add(NOTES, map("k=late m=late"));
    let plan = plan_of("new", &["old".to_owned()]);
    let (context, swept, left) = sweep(context, &plan);
    assert_eq!((swept.rows, left.len()), (1, 0));
    assert_eq!(parts(&context, "new"), said("a b c d", "k=own l=new m=late"));
    assert_eq!(parts(&context, "old"), None);
    let (context, ..) = undo_all(context, false);
    assert_eq!(parts(&context, "new"), said("a b", "k=own"));
    assert_eq!(parts(&context, "old"), said("a b c d", "k=late l=new m=late"));
}

#[test]
fn a_set_that_is_replaced_while_the_group_is_merged_is_reported() {
    let context = world();
    let set = vec![(TAGS, set("z"))];
    let later = now_us() + 60_000_000;
    context.storage.apply(0, later, &Change::update(key("new"), set));
    let left = merged(&context);
    assert_eq!(parts(&context, "new"), said("z", "k=own l=new"));
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].account.text().as_ref(), &left[0].key), ("old", &key("new")));
    assert!(left[0].why.starts_with("tags was replaced"), "{}", left[0].why);
}
