//! Of two rows with one key the one that ranks higher survives whole, held against a plain model.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use proptest::prelude::*;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Change, Row, now_us};
use tributary::pipeline::Context;
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::sweep::{plan_of, sweep};
use super::undo::{end, undo_all};
use super::verify::{diff, verified};
use super::world::dying;
use super::{block_on, context_with, run};

const COLUMNS: [(&str, &str); 5] =
    [("user", "text"), ("k", "text"), ("status", "int"), ("percent", "int"), ("grade", "text")];

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'seats'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { keep = 'higher', by = ['status', 'percent'] }";
    let table = TableSchema::keyed(2, &COLUMNS);
    let schema = Schema { keyspace: "k".into(), tables: [("seats".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

/// Status, percent and grade.
type Seat = (Option<i32>, Option<i32>, Option<String>);

/// (user, k) → what its row holds.
type World = BTreeMap<(String, String), Seat>;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn at(name: &str) -> usize {
    spec().tables[0].position(name).unwrap()
}

fn row((user, k): &(String, String), (status, percent, grade): &Seat) -> Row {
    let int = |value: &Option<i32>| value.map(|v| Bytes::copy_from_slice(&v.to_be_bytes()));
    let mut cells: Vec<Cell> = vec![None; 5];
    (cells[0], cells[1]) = (Some(bytes(user)), Some(bytes(k)));
    (cells[at("status")], cells[at("percent")]) = (int(status), int(percent));
    cells[at("grade")] = grade.as_deref().map(bytes);
    Row::new(cells)
}

fn dump(context: &Context<MemoryStorage>) -> World {
    let text = |cell: &Bytes| String::from_utf8(cell.to_vec()).unwrap();
    let rows = context.storage.dump(0).into_iter().map(|row| {
        let int = |name: &str| {
            let cell = row.cells[at(name)].as_ref();
            cell.map(|cell| i32::from_be_bytes(cell[..].try_into().unwrap()))
        };
        let key = (text(row.cells[0].as_ref().unwrap()), text(row.cells[1].as_ref().unwrap()));
        (key, (int("status"), int("percent"), row.cells[at("grade")].as_ref().map(text)))
    });
    rows.collect()
}

/// `None` is lowest, as for `Option` itself.
fn merge(world: &mut World, sources: &[String]) {
    for source in sources {
        let own: Vec<_> = world.keys().filter(|key| key.0 == *source).cloned().collect();
        for key in own {
            let seat = world.remove(&key).unwrap();
            let to = ("new".to_owned(), key.1);
            let stays = world.get(&to).is_some_and(|own| (own.0, own.1) >= (seat.0, seat.1));
            if !stays {
                world.insert(to, seat);
            }
        }
    }
}

fn world() -> impl Strategy<Value = World> {
    let seat = (prop::option::of(0..3_i32), prop::option::of(0..3_i32), prop::option::of("[a-c]"));
    let key = (prop::sample::select(vec!["new", "old1", "old2", "old3"]), "[x-z]");
    prop::collection::btree_map(key, seat, 1..10).prop_map(|world| {
        world.into_iter().map(|((user, k), seat)| ((user.to_owned(), k), seat)).collect()
    })
}

fn sources() -> Vec<String> {
    ["old1", "old2", "old3"].map(str::to_owned).into()
}

fn context(storage: MemoryStorage, journal: &Arc<MemoryJournal>) -> Arc<Context<MemoryStorage>> {
    context_with(spec(), 8, storage, Arc::clone(journal), 1_000_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_highest_row_survives_whole_until_it_is_undone(world in world()) {
        let storage = MemoryStorage::new(spec());
        world.iter().for_each(|(key, seat)| storage.put(0, row(key, seat), 1_000));
        let context = context(storage, &Arc::default());
        run(&context, &plan_of("new", &sources()).group(0)).0.unwrap();
        let mut expected = world.clone();
        merge(&mut expected, &sources());
        prop_assert_eq!(dump(&context), expected);
        let folder = tempfile::tempdir().unwrap();
        let options = Options { restart: true, ..Options::default() };
        prop_assert_eq!(verified(&context, options, &diff(&folder)).counts.differences(), 0);
        let (context, undone, _, failed) = undo_all(context, false);
        prop_assert_eq!((undone.undone, failed), (1, Vec::new()));
        prop_assert_eq!(dump(&context), world);
    }

    /// The run dies at any request, carried out or not, and another one goes on with it, or undoes it.
    #[test]
    fn a_run_that_dies_ends_as_if_it_had_not(
        world in world(), at in 0..8_usize, is_carried_out in any::<bool>(), is_undone in any::<bool>(),
    ) {
        let (storage, dies) = dying(spec(), at, is_carried_out);
        world.iter().for_each(|(key, seat)| storage.put(0, row(key, seat), 1_000));
        let journal = Arc::<MemoryJournal>::default();
        let first = context(storage, &journal);
        let group = plan_of("new", &sources()).group(0);
        drop(run(&first, &group));
        dies.store(usize::MAX, Ordering::Relaxed);
        let second = context(Arc::into_inner(first).unwrap().into_storage().unwrap(), &journal);
        let mut expected = world;
        if !is_undone {
            merge(&mut expected, &sources());
        }
        let second = end(second, &group, is_undone);
        prop_assert_eq!(dump(&second), expected);
    }
}

fn seat(status: i32, grade: Option<&str>) -> Seat {
    (Some(status), None, grade.map(str::to_owned))
}

fn key(user: &str) -> (String, String) {
    (user.to_owned(), "x".to_owned())
}

fn merged(storage: MemoryStorage) -> (Arc<Context<MemoryStorage>>, Vec<String>) {
    let context = context(storage, &Arc::default());
    let group = plan_of("new", &["old".to_owned()]).group(0);
    let merged = block_on(async {
        let window = tributary::pipeline::Window::writing(&context);
        window.alone(tributary::pipeline::merge_group(&window, &group, None, None)).await
    });
    let left = merged.unwrap().left.into_iter().map(|left| left.why).collect();
    (context, left)
}

/// What is copied lasts for ever, also where the survivor held the same for a while.
#[test]
fn a_value_that_the_survivor_held_for_a_while_lasts_as_the_higher_row_does() {
    let storage = MemoryStorage::new(spec());
    storage.put(0, row(&key("old"), &seat(2, Some("same"))), 1_000);
    let mut own = row(&key("new"), &seat(1, Some("same")));
    own.expires.set(at("grade"), Some(now_us() / 1_000_000 + 3_600));
    storage.put(0, own, 1_000);
    let (context, _) = merged(storage);
    let rows = context.storage.dump(0);
    assert_eq!(rows[0].cells, row(&key("new"), &seat(2, Some("same"))).cells);
    assert_eq!(rows[0].expires.of(at("grade")), None);
}

#[test]
fn a_late_write_stays_on_the_source_and_is_reported() {
    let storage = MemoryStorage::new(spec());
    storage.put(0, row(&key("new"), &seat(1, Some("own"))), 1_000);
    storage.put(0, row(&key("old"), &seat(2, None)), 1_000);
    let (context, left) = merged(storage);
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(dump(&context), [(key("new"), seat(2, None))].into(), "the grade went with its row");
    context.storage.put(0, row(&key("old"), &seat(1, Some("late"))), now_us() - 1);
    let (context, swept, left) = sweep(context, &plan_of("new", &["old".to_owned()]));
    assert_eq!((swept.rows, left.len()), (0, 1));
    assert!(left[0].why.contains("the higher one survives whole"), "{}", left[0].why);
    let late = [(key("new"), seat(2, None)), (key("old"), seat(1, Some("late")))];
    assert_eq!(dump(&context), late.into());
}

#[test]
fn a_row_that_is_written_to_while_another_takes_its_place_is_reported() {
    let storage = MemoryStorage::new(spec());
    storage.put(0, row(&key("new"), &seat(1, Some("own"))), 1_000);
    storage.put(0, row(&key("old"), &seat(2, None)), 1_000);
    let set = vec![(at("grade"), Some(bytes("since")))];
    let change = Change::update(vec![bytes("new"), bytes("x")], set);
    storage.apply(0, now_us() + 60_000_000, &change);
    let (context, left) = merged(storage);
    assert_eq!(dump(&context), [(key("new"), seat(2, Some("since")))].into());
    assert_eq!(left.len(), 1);
    assert!(left[0].contains("its columns are those of both"), "{}", left[0]);
}
