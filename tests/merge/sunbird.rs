//! The preset `sunbird-lern` beside a plain model of its rules: tables of values, merged account by account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Collection, CqlType, Row};
use tributary::spec::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;

use super::undo::undo_all;
use super::world::group;
use super::{context_with, run};

const ENROLMENTS: usize = 0;
const CONTENT: usize = 1;
const AGGREGATES: usize = 2;

/// The columns of each key, the partition key first; how many these are, and where the account is among them.
const KEYS: [(&[&str], usize, usize); 3] = [
    (&["userid", "courseid", "batchid"], 1, 0),
    (&["userid", "courseid", "batchid", "contentid"], 1, 0),
    (&["activity_type", "activity_id", "user_id", "context_id"], 3, 2),
];

/// Dates as the application writes them, from the earliest moment to the latest.
const DATES: [&str; 3] = [
    "2024-01-01 23:59:59:999+0000",
    "2024-01-02 03:04:05:678+0300",
    "2024-01-02 03:04:05:678+0000",
];

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Int(i32),
    Moment(i64),
    /// One of [`DATES`].
    Date(usize),
    Entries(BTreeMap<String, i32>),
    Text(String),
}

use Value::{Date, Entries, Int, Moment, Text};

type Columns = BTreeMap<&'static str, Value>;
type World = BTreeMap<(usize, Vec<String>), Columns>;

fn spec() -> Arc<Spec> {
    let text = RawSpec::preset("sunbird-lern").unwrap();
    let raw = RawSpec::parse(text, "the preset").unwrap();
    let mut schema = Schema { keyspace: "k".into(), ..Schema::default() };
    for (table, (key, partition, _)) in raw.tables.iter().zip(KEYS) {
        // A column that the preset does not name.
        let is_further = *table.name == "user_enrolments";
        let further = is_further.then(|| ("enrolleddate".to_owned(), CqlType::Text));
        let columns = table.columns.iter().map(|(name, of)| (name.clone(), (**of).clone()));
        let columns = columns.chain(further).map(|(name, cql_type)| {
            let kind = match key.iter().position(|part| *part == name) {
                Some(at) if at < partition => ColumnKind::PartitionKey(at),
                Some(at) => ColumnKind::Clustering(at - partition, Direction::Ascending),
                None => ColumnKind::Regular,
            };
            ColumnSchema { name, cql_type, kind }
        });
        let table_schema = TableSchema { columns: columns.collect(), ..TableSchema::default() };
        schema.tables.insert((*table.name).clone(), table_schema);
    }
    Arc::new(raw.check(&schema).expect("the preset fits the published tables"))
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn encode(value: &Value) -> Bytes {
    match value {
        Int(number) => Bytes::copy_from_slice(&number.to_be_bytes()),
        Moment(ms) => Bytes::copy_from_slice(&ms.to_be_bytes()),
        Date(at) => bytes(DATES[*at]),
        Text(text) => bytes(text),
        Entries(entries) => {
            let number = |n: &i32| Bytes::copy_from_slice(&f64::from(*n).to_be_bytes());
            let entries: Vec<_> = entries.iter().map(|(k, n)| (bytes(k), number(n))).collect();
            Collection::Map.join(entries.iter().map(|(key, value)| (key, Some(value))))
        }
    }
}

fn decode(cql_type: &CqlType, cell: &Bytes) -> Value {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    match cql_type {
        CqlType::Int => Int(i32::from_be_bytes(cell[..].try_into().unwrap())),
        CqlType::Timestamp => Moment(i64::from_be_bytes(cell[..].try_into().unwrap())),
        CqlType::Map(..) => {
            let entries = Collection::Map.split(cell).unwrap().into_iter().map(|(key, value)| {
                let number = f64::from_be_bytes(value.unwrap()[..].try_into().unwrap());
                (text(&key), number as i32)
            });
            Entries(entries.collect())
        }
        _ => {
            let text = text(cell);
            let date = DATES.iter().position(|date| *date == text);
            date.map_or(Text(text), Date)
        }
    }
}

fn load(world: &World, spec: &Spec, storage: &MemoryStorage) {
    for ((table, key), columns) in world {
        let parts = KEYS[*table].0;
        let cells = spec.tables[*table].columns.iter().map(|column| {
            match parts.iter().position(|part| *part == column.name) {
                Some(at) => Some(bytes(&key[at])),
                None => columns.get(&*column.name).map(encode),
            }
        });
        storage.put(*table, Row::new(cells.collect()), 1_000);
    }
}

fn dump(spec: &Spec, storage: &MemoryStorage) -> World {
    let mut world = World::new();
    for (table, shape) in spec.tables.iter().enumerate() {
        for row in storage.dump(table) {
            let text =
                |cell: &Option<Bytes>| String::from_utf8(cell.as_ref().unwrap().to_vec()).unwrap();
            let key: Vec<String> = row.cells[..shape.key_len].iter().map(text).collect();
            let columns = shape.columns.iter().zip(&row.cells).skip(shape.key_len);
            let columns = columns.filter_map(|(column, cell)| {
                let name = NAMES.iter().find(|name| **name == column.name)?;
                Some((*name, decode(&column.cql_type, cell.as_ref()?)))
            });
            world.insert((table, key), columns.collect());
        }
    }
    world
}

const NAMES: [&str; 7] = [
    "status",
    "viewcount",
    "completedcount",
    "datetime",
    "lastaccesstime",
    "aggregates",
    "enrolleddate",
];

/// What the job makes of two rows.
fn both(table: usize, own: &Columns, other: &Columns) -> Columns {
    let mut both = own.clone();
    for (name, value) in other {
        if table == ENROLMENTS {
            break;
        }
        let merged = match (own.get(name), value) {
            (None, value) => value.clone(),
            (Some(Int(a)), Int(b)) if name.ends_with("count") => Int(a + b),
            (Some(Int(a)), Int(b)) => Int(*a.max(b)),
            (Some(Moment(a)), Moment(b)) => Moment(*a.max(b)),
            (Some(Date(a)), Date(b)) => Date(*a.max(b)),
            (Some(Entries(a)), Entries(b)) => {
                let mut all = a.clone();
                for (name, number) in b {
                    let own = all.entry(name.clone()).or_insert(*number);
                    *own = (*own).max(*number);
                }
                Entries(all)
            }
            other => panic!("{other:?}"),
        };
        both.insert(name, merged);
    }
    both
}

/// Merges sources into a survivor; gives the batches in which that is enrolled then, if any of it was there.
fn merge(world: &mut World, survivor: &str, sources: &[String]) -> BTreeSet<String> {
    let is_source = |account: &String| sources.contains(account);
    let led = world.keys().filter(|(table, key)| *table == ENROLMENTS && is_source(&key[0]));
    let courses: BTreeSet<String> = led.map(|(_, key)| key[1].clone()).collect();
    let mut is_any = false;
    for source in sources {
        let moved: Vec<_> = world
            .keys()
            .filter(|(table, key)| key[KEYS[*table].2] == *source)
            .filter(|(table, key)| *table != AGGREGATES || courses.contains(&key[1]))
            .cloned()
            .collect();
        is_any |= !moved.is_empty();
        for (table, mut key) in moved {
            let row = world.remove(&(table, key.clone())).unwrap();
            key[KEYS[table].2] = survivor.to_owned();
            let row = match world.get(&(table, key.clone())) {
                Some(own) => both(table, own, &row),
                None => row,
            };
            world.insert((table, key), row);
        }
    }
    let enrolled = world.keys().filter(|(table, key)| *table == ENROLMENTS && key[0] == survivor);
    enrolled.filter(|_| is_any).map(|(_, key)| format!("{}/{}", key[1], key[2])).collect()
}

fn one_of(prefix: &'static str, count: u8) -> impl Strategy<Value = String> {
    (1..=count).prop_map(move |n| format!("{prefix}{n}"))
}

fn world_and_group() -> impl Strategy<Value = (World, String, Vec<String>)> {
    let key = || (one_of("u", 4), one_of("k", 2), one_of("b", 2));
    let enrolments = prop::collection::btree_map(key(), "[a-z]{1,3}", 0..8);
    let number = || prop::option::of(0..9_i32);
    let content = (number(), number(), number(), prop::option::of(0..9_i64));
    let content = (content, prop::option::of(0..DATES.len()));
    let content = prop::collection::btree_map((key(), one_of("c", 2)), content, 0..16);
    let entries = prop::collection::btree_map(one_of("e", 3), 0..9_i32, 1..3);
    let aggregates = prop::collection::btree_map(key(), entries, 0..8);
    let accounts: Vec<String> = (1..=4).map(|n| format!("u{n}")).collect();
    let order = Just(accounts).prop_shuffle();
    (enrolments, content, aggregates, order, 1..=3_usize).prop_map(
        |(enrolments, content, aggregates, order, sources)| {
            let mut world = World::new();
            for ((user, course, batch), date) in enrolments {
                let columns = [("enrolleddate", Text(date))].into();
                world.insert((ENROLMENTS, vec![user, course, batch]), columns);
            }
            for (((user, course, batch), content), (numbers, date)) in content {
                let (status, views, completed, moment) = numbers;
                let columns = [
                    ("status", status.map(Int)),
                    ("viewcount", views.map(Int)),
                    ("completedcount", completed.map(Int)),
                    ("datetime", moment.map(Moment)),
                    ("lastaccesstime", date.map(Date)),
                ];
                let columns = columns.into_iter().filter_map(|(name, value)| Some((name, value?)));
                world.insert((CONTENT, vec![user, course, batch, content]), columns.collect());
            }
            for ((user, course, batch), entries) in aggregates {
                let key = vec!["Course".to_owned(), course, user, format!("cb:{batch}")];
                world.insert((AGGREGATES, key), [("aggregates", Entries(entries))].into());
            }
            (world, order[0].clone(), order[1..=sources].to_vec())
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_merges_as_the_plain_model_does_and_is_undone((world, to, sources) in world_and_group()) {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let context = context_with(spec(), 8, storage, Arc::<MemoryJournal>::default(), 1_000_000);
        let (tally, events) = run(&context, &group(&to, &sources));
        let mut expected = world.clone();
        let batches = merge(&mut expected, &to, &sources);
        prop_assert_eq!(dump(&spec(), &context.storage), expected);
        prop_assert_eq!(tally.unwrap().events as usize, events.len());
        let announced = events.iter().map(|event| {
            let value: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
            let text = |name: &str| value["edata"][name].as_str().unwrap().to_owned();
            assert_eq!(text("userId"), to);
            assert_eq!(event.key, format!("{}_{to}", text("batchId")));
            format!("{}/{}", text("courseId"), text("batchId"))
        });
        let announced: Vec<String> = announced.collect();
        prop_assert_eq!(announced, batches.into_iter().collect::<Vec<_>>());
        let (context, ..) = undo_all(context, false);
        prop_assert_eq!(dump(&spec(), &context.storage), world);
    }
}
