//! Entries of maps by a policy of their own, and dates that are text, held against a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Change, Collection, ColumnIndex, Row, now_us};
use tributary::pipeline::Context;
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::verify::{diff, verified};
use super::{block_on, context_with, run};

const COLUMNS: [(&str, &str); 5] = [
    ("user", "text"),
    ("k", "text"),
    ("high", "map<text, int>"),
    ("low", "map<text, int>"),
    ("seen", "text"),
];
/// Columns in the order of the specification: those with policies by name.
const HIGH: ColumnIndex = 2;
const LOW: ColumnIndex = 3;
const SEEN: ColumnIndex = 4;

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'parts'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { high = { each = 'max' }, low = { each = 'min' }, \
                seen = { policy = 'max', format = '%d.%m.%Y' } }";
    let table = TableSchema::keyed(2, &COLUMNS);
    let schema = Schema { keyspace: "k".into(), tables: [("parts".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

type Entries = BTreeMap<String, i32>;

/// What a row holds: two maps, and a day of January.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    high: Entries,
    low: Entries,
    seen: Option<u8>,
}

/// (user, k) → what its row holds.
type World = BTreeMap<(String, String), Parts>;

fn map(entries: &Entries) -> Option<Bytes> {
    let entries: Vec<_> = entries
        .iter()
        .map(|(key, value)| (bytes(key), Bytes::copy_from_slice(&value.to_be_bytes())))
        .collect();
    let joined = Collection::Map.join(entries.iter().map(|(key, value)| (key, Some(value))));
    (!entries.is_empty()).then_some(joined)
}

fn row((user, k): &(String, String), parts: &Parts) -> Row {
    // As text, the second comes behind the tenth.
    let seen = parts.seen.map(|day| bytes(&format!("{day}.1.2020")));
    let cells = [Some(bytes(user)), Some(bytes(k)), map(&parts.high), map(&parts.low), seen];
    Row::new(cells.into())
}

fn dump(context: &Context<MemoryStorage>) -> World {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let rows = context.storage.dump(0).into_iter().map(|row| {
        let entries = |column: ColumnIndex| {
            let split = |cell: &Bytes| Collection::Map.split(cell).unwrap();
            let all = row.cells[column].as_ref().map(split).unwrap_or_default();
            let value = |value: Bytes| i32::from_be_bytes(value[..].try_into().unwrap());
            all.into_iter().map(|(key, of)| (text(&key), value(of.unwrap()))).collect()
        };
        let key = (text(row.cells[0].as_ref().unwrap()), text(row.cells[1].as_ref().unwrap()));
        let seen = row.cells[SEEN]
            .as_ref()
            .map(|cell| text(cell).split('.').next().unwrap().parse().unwrap());
        (key, Parts { high: entries(HIGH), low: entries(LOW), seen })
    });
    rows.collect()
}

/// One account into another, or a later write of it: the best of each entry, and of the days.
fn add(to: &mut Parts, more: &Parts) {
    for (key, value) in &more.high {
        let own = to.high.entry(key.clone()).or_insert(*value);
        *own = (*own).max(*value);
    }
    for (key, value) in &more.low {
        let own = to.low.entry(key.clone()).or_insert(*value);
        *own = (*own).min(*value);
    }
    to.seen = to.seen.max(more.seen);
}

fn merge(world: &mut World, sources: &[String]) {
    for source in sources {
        let own: Vec<_> = world.keys().filter(|key| key.0 == *source).cloned().collect();
        for key in own {
            let parts = world.remove(&key).unwrap();
            add(world.entry(("new".to_owned(), key.1)).or_default(), &parts);
        }
    }
}

fn parts() -> impl Strategy<Value = Parts> {
    let entries = || prop::collection::btree_map("[a-c]", 0..4_i32, 0..3);
    (entries(), entries(), prop::option::of(1..31_u8)).prop_map(|(high, low, seen)| Parts {
        high,
        low,
        seen,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn each_entry_and_each_date_is_the_best_of_all(
        world in prop::collection::btree_map(
            (prop::sample::select(vec!["new", "old1", "old2"]), "[xy]"), parts(), 1..6),
        late in prop::collection::vec((1..3_u8, "[xy]", parts()), 0..3),
    ) {
        let world: World =
            world.into_iter().map(|((user, k), parts)| ((user.to_owned(), k), parts)).collect();
        let storage = MemoryStorage::new(spec());
        world.iter().for_each(|(key, parts)| storage.put(0, row(key, parts), 1_000));
        let context = context_with(spec(), 8, storage, Arc::<MemoryJournal>::default(), 1_000_000);
        let sources = ["old1".to_owned(), "old2".to_owned()];
        let plan = plan_of("new", &sources);
        run(&context, &plan.group(0)).0.unwrap();
        let mut expected = world.clone();
        merge(&mut expected, &sources);
        prop_assert_eq!(&dump(&context), &expected);

        // What sources get later goes by its value as well, whatever is the later one.
        let mut sources_late = World::new();
        let now = now_us();
        for (at, (source, k, parts)) in late.iter().enumerate() {
            let key = (format!("old{source}"), k.clone());
            let whole = row(&key, parts);
            for column in [HIGH, LOW] {
                let Some(elements) = whole.cells[column].clone() else { continue };
                let key = whole.cells[..2].iter().flatten().cloned().collect();
                let change = Change::AddElements { key, column, elements };
                context.storage.apply(0, now - 10 + at as i64, &change);
            }
            let known = sources_late.entry(key).or_default();
            known.high.extend(parts.high.clone());
            known.low.extend(parts.low.clone());
        }
        sources_late.retain(|_, parts| *parts != Parts::default());
        expected.extend(sources_late.clone());
        merge(&mut expected, &sources);
        let (context, _, left) = sweep(context, &plan);
        prop_assert!(left.is_empty(), "{left:?}");
        prop_assert_eq!(&dump(&context), &expected);

        let folder = tempfile::tempdir().unwrap();
        let options = Options { restart: true, ..Options::default() };
        prop_assert_eq!(verified(&context, options, &diff(&folder)).counts.differences(), 0);

        let (context, undone, _, failed) = undo_all(context, false);
        prop_assert_eq!((undone.undone + undone.disputed, failed), (1, Vec::new()));
        let mut before = world;
        for (key, parts) in sources_late {
            let own = before.entry(key).or_default();
            own.high.extend(parts.high);
            own.low.extend(parts.low);
        }
        prop_assert_eq!(dump(&context), before);
    }
}

/// A lower entry that the application writes while the group is merged hides a higher one: that is reported.
#[test]
fn an_entry_that_hides_a_better_one_is_reported() {
    let storage = MemoryStorage::new(spec());
    let of = |value: i32| Parts { high: [("a".to_owned(), value)].into(), ..Parts::default() };
    let key = |user: &str| (user.to_owned(), "x".to_owned());
    storage.put(0, row(&key("new"), &of(1)), 1_000);
    storage.put(0, row(&key("old"), &of(3)), 1_000);
    let change = Change::AddElements {
        key: vec![bytes("new"), bytes("x")],
        column: HIGH,
        elements: map(&of(2).high).unwrap(),
    };
    storage.apply(0, now_us() + 60_000_000, &change);
    let context = context_with(spec(), 8, storage, Arc::<MemoryJournal>::default(), 1_000_000);
    let group = plan_of("new", &["old".to_owned()]).group(0);
    let merged = block_on(async {
        let window = tributary::pipeline::Window::writing(&context);
        window.alone(tributary::pipeline::merge_group(&window, &group, None, None)).await
    });
    let left = merged.unwrap().left;
    assert_eq!(left.len(), 1);
    assert!(left[0].why.starts_with("high was replaced"), "{}", left[0].why);
    assert_eq!(dump(&context)[&key("new")], of(2));
}
