//! Random worlds, and the way between them and rows of raw cells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use tributary::model::{AccountId, Collection, CqlType, Event, Group, Pair, Row};
use tributary::spec::Spec;
use tributary::storage::memory::{FaultKind, MemoryStorage};

use super::model::{Columns, Events, World};
use super::preset::LISTS;

pub const CONTENT: usize = 0;
pub const ENROLMENTS: usize = 1;
/// The write time of everything that the application wrote.
pub const BEFORE: i64 = 1_000;

fn encode(cql_type: &CqlType, value: &str) -> Bytes {
    match cql_type {
        CqlType::Int => Bytes::copy_from_slice(&value.parse::<i32>().unwrap().to_be_bytes()),
        // Nobody looks at what elements mean.
        CqlType::List(_) => {
            let elements = value.split(' ').map(|one| Bytes::copy_from_slice(one.as_bytes()));
            Collection::keys(elements.collect::<Vec<_>>().iter())
        }
        _ => Bytes::copy_from_slice(value.as_bytes()),
    }
}

fn decode(cql_type: &CqlType, value: &[u8]) -> String {
    match cql_type {
        CqlType::Int => i32::from_be_bytes(value.try_into().unwrap()).to_string(),
        CqlType::List(_) => {
            let all = Collection::Set.split(&Bytes::copy_from_slice(value)).unwrap();
            let all = all.iter().map(|(one, _)| std::str::from_utf8(one).unwrap());
            all.collect::<Vec<_>>().join(" ")
        }
        _ => String::from_utf8(value.to_vec()).unwrap(),
    }
}

pub fn to_row(spec: &Spec, table: usize, columns: &Columns) -> Row {
    let cells = spec.tables[table]
        .columns
        .iter()
        .map(|column| columns.get(&column.name).map(|value| encode(&column.cql_type, value)));
    Row::new(cells.collect())
}

fn to_columns(spec: &Spec, table: usize, row: &Row) -> Columns {
    let shape = &spec.tables[table].columns;
    assert_eq!(shape.len(), row.cells.len());
    let named = shape.iter().zip(&row.cells);
    named
        .filter_map(|(column, cell)| {
            Some((column.name.clone(), decode(&column.cql_type, cell.as_ref()?)))
        })
        .collect()
}

/// The columns of a row with its key among them, as the storage has it.
fn with_key(key: &[(&str, &str)], columns: &Columns) -> Columns {
    let mut all = columns.clone();
    all.extend(key.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    all
}

pub fn load(world: &World, spec: &Spec, storage: &MemoryStorage) {
    for ((user, content, batch, course), columns) in &world.content {
        let key =
            [("userid", user), ("contentid", content), ("batchid", batch), ("courseid", course)];
        let columns = with_key(&key.map(|(n, v)| (n, v.as_str())), columns);
        storage.put(CONTENT, to_row(spec, CONTENT, &columns), BEFORE);
    }
    for ((batch, user), columns) in &world.enrolments {
        let columns = with_key(&[("batchid", batch), ("userid", user)], columns);
        storage.put(ENROLMENTS, to_row(spec, ENROLMENTS, &columns), BEFORE);
    }
}

/// A storage whose user dies behind so many requests, the last of which is carried out or not. It lives again from when
/// `usize::MAX` is stored.
pub fn dying(
    spec: Arc<Spec>,
    behind: usize,
    is_carried_out: bool,
) -> (MemoryStorage, Arc<AtomicUsize>) {
    let dies = Arc::new(AtomicUsize::new(behind));
    let left = Arc::clone(&dies);
    let storage = MemoryStorage::with_faults(spec, move |_| match left.load(Ordering::Relaxed) {
        usize::MAX => None,
        0 => Some(FaultKind::Refused),
        1 if is_carried_out => {
            left.store(0, Ordering::Relaxed);
            Some(FaultKind::AnswerLostForGood)
        }
        more => {
            left.store(more - 1, Ordering::Relaxed);
            None
        }
    });
    (storage, dies)
}

pub fn dump(spec: &Spec, storage: &MemoryStorage) -> World {
    let mut world = World::default();
    for row in storage.dump(CONTENT) {
        let mut columns = to_columns(spec, CONTENT, &row);
        let [user, content, batch, course] =
            ["userid", "contentid", "batchid", "courseid"].map(|key| columns.remove(key).unwrap());
        world.content.insert((user, content, batch, course), columns);
    }
    for row in storage.dump(ENROLMENTS) {
        let mut columns = to_columns(spec, ENROLMENTS, &row);
        let [batch, user] = ["batchid", "userid"].map(|key| columns.remove(key).unwrap());
        world.enrolments.insert((batch, user), columns);
    }
    world
}

/// What the events say, with the check that no row is announced twice.
pub fn events_of(events: &[Event]) -> Events {
    let mut events_of = Events::new();
    for event in events {
        let value: serde_json::Value = serde_json::from_slice(&event.payload).expect("JSON");
        let text = |name: &str| value["edata"][name].as_str().map(str::to_owned);
        let (batch, user) = (text("batchId").unwrap(), text("userId").unwrap());
        assert_eq!(event.key, format!("{batch}_{user}"));
        let before = events_of.insert((user, batch), text("courseId"));
        assert_eq!(before, None, "announced twice: {}", event.key);
    }
    events_of
}

pub fn group(survivor: &str, sources: &[String]) -> Group {
    let pair = |(line, from): (usize, &String)| Pair {
        from: AccountId::new(from.as_str()),
        into: AccountId::new(survivor),
        line: line as u64 + 2,
    };
    Group {
        index: 0,
        survivor: AccountId::new(survivor),
        pairs: sources.iter().enumerate().map(pair).collect(),
    }
}

/// Columns other than the key; the tag makes every row's values its own.
fn columns(table: &'static str) -> impl Strategy<Value = Columns> {
    let text = prop::option::of("[a-z\u{e9}\u{1f600}\"\n]{0,3}");
    let int = || prop::option::of(-1..4_i32);
    let list = prop::option::weighted(0.3, "[a-c]( [a-c]){0,2}");
    (int(), int(), text, prop::option::of(prop::sample::select(vec!["k1", "k2"])), list).prop_map(
        move |(status, progress, grade, course, list)| {
            let mut columns = Columns::new();
            columns.extend(status.map(|v| ("status".into(), v.to_string())));
            columns.extend(progress.map(|v| ("progress".into(), v.to_string())));
            columns.extend(grade.map(|v| ("grade".into(), v)));
            let name = LISTS.iter().find(|list| list.0 == table).map(|list| list.1.to_owned());
            columns.extend(name.zip(list));
            if table == "user_courses" {
                columns.extend(course.map(|v| ("courseid".into(), v.to_owned())));
            }
            columns
        },
    )
}

fn one_of(prefix: &'static str, count: u8) -> impl Strategy<Value = String> {
    (1..=count).prop_map(move |n| format!("{prefix}{n}"))
}

/// A world of few accounts with many collisions, and a group in it: survivor and sources.
pub fn world_and_group() -> impl Strategy<Value = (World, String, Vec<String>)> {
    // A clustering value may be empty; such a batch has no enrolments, for a partition key may not.
    let batch = prop_oneof![12 => one_of("b", 3), 1 => Just(String::new())];
    let content_key = (one_of("u", 5), one_of("c", 4), batch, one_of("k", 2));
    let content = prop::collection::btree_map(content_key, columns("content_consumption"), 0..40);
    let enrolment_key = (one_of("b", 3), one_of("u", 5));
    let enrolments = prop::collection::btree_map(enrolment_key, columns("user_courses"), 0..12);
    let accounts: Vec<String> = (1..=5).map(|n| format!("u{n}")).collect();
    let order = Just(accounts).prop_shuffle();
    (content, enrolments, order, 1..=4_usize).prop_map(|(content, enrolments, order, sources)| {
        let world = World { content, enrolments };
        (world, order[0].clone(), order[1..=sources].to_vec())
    })
}

/// The rows of one account in a table's clustering order, cut to a width.
pub fn rows_of(spec: &Spec, world: &World, account: &str, width: usize) -> Vec<Row> {
    let storage = MemoryStorage::new(Arc::new(spec.clone()));
    let content: BTreeMap<_, _> = world
        .content
        .iter()
        .filter(|(key, _)| key.0 == account)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    load(&World { content, ..World::default() }, spec, &storage);
    let mut rows = storage.dump(CONTENT);
    for row in &mut rows {
        row.cells.truncate(width);
    }
    rows
}
