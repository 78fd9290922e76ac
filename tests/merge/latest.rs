//! `latest`: of two values the one that the application wrote later stands, held against a plain model; what runs wrote is not
//! dated by the application.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use proptest::prelude::*;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Cell, Change, Row, now_us};
use tributary::pipeline::{Context, Window, merge_group};
use tributary::register::RunTimes;
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::sweep::{plan_of, sweep};
use super::undo::{end, undo_all};
use super::verify::{diff, verified};
use super::world::dying;
use super::{block_on, context_with, run};

const COLUMNS: [(&str, &str); 4] =
    [("user", "text"), ("k", "text"), ("theme", "text"), ("grade", "text")];

/// The theme is the later; the grade stays the survivor's.
fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'seats'\naccount = 'user'\nfind = 'partition'\n\
                on_conflict = { theme = 'latest' }";
    let table = TableSchema::keyed(2, &COLUMNS);
    let schema = Schema { keyspace: "k".into(), tables: [("seats".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

/// A theme with its write time, and a grade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seat {
    theme: Option<(String, i64)>,
    grade: Option<String>,
}

/// (user, k) → what its row holds.
type World = BTreeMap<(String, String), Seat>;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn key_of((user, k): &(String, String)) -> Vec<Bytes> {
    vec![bytes(user), bytes(k)]
}

fn put(storage: &MemoryStorage, world: &World) {
    for (key, Seat { theme, grade }) in world {
        let mut cells: Vec<Cell> = key_of(key).into_iter().map(Some).collect();
        cells.extend([None, grade.as_deref().map(bytes)]);
        storage.put(0, Row::new(cells), 1_000);
        if let Some((theme, t)) = theme {
            storage.apply(0, *t, &Change::update(key_of(key), vec![(2, Some(bytes(theme)))]));
        }
    }
}

/// (user, k) → the theme and the grade of its row.
type Seen = BTreeMap<(String, String), (Option<String>, Option<String>)>;

fn dump(context: &Context<MemoryStorage>) -> Seen {
    let text = |cell: &Cell| cell.as_ref().map(|cell| String::from_utf8(cell.to_vec()).unwrap());
    let rows = context.storage.dump(0).into_iter().map(|row| {
        let [user, k, theme, grade] = &row.cells[..] else { unreachable!() };
        ((text(user).unwrap(), text(k).unwrap()), (text(theme), text(grade)))
    });
    rows.collect()
}

fn seen(world: &World) -> Seen {
    let values = |seat: &Seat| (seat.theme.clone().map(|(theme, _)| theme), seat.grade.clone());
    world.iter().map(|(key, seat)| (key.clone(), values(seat))).collect()
}

fn merge(world: &mut World, sources: &[String]) {
    for source in sources {
        let own: Vec<_> = world.keys().filter(|key| key.0 == *source).cloned().collect();
        for key in own {
            let seat = world.remove(&key).unwrap();
            match world.get_mut(&("new".to_owned(), key.1.clone())) {
                None => _ = world.insert(("new".to_owned(), key.1), seat),
                Some(own) => {
                    let t = |theme: &Option<(String, i64)>| theme.as_ref().map(|(_, t)| *t);
                    if t(&seat.theme) > t(&own.theme) {
                        own.theme = seat.theme;
                    }
                }
            }
        }
    }
}

fn world() -> impl Strategy<Value = World> {
    let theme = prop::option::weighted(0.8, ("[a-c]", 2_000..2_006_i64));
    let seat = (theme, prop::option::of("[a-c]")).prop_map(|(theme, grade)| Seat { theme, grade });
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

/// The same tables, for a run of its own.
fn anew(
    context: Arc<Context<MemoryStorage>>,
    journal: &Arc<MemoryJournal>,
) -> Arc<Context<MemoryStorage>> {
    self::context(Arc::into_inner(context).unwrap().into_storage().unwrap(), journal)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_later_write_stands_until_it_is_undone(world in world()) {
        let storage = MemoryStorage::new(spec());
        put(&storage, &world);
        let context = context(storage, &Arc::default());
        run(&context, &plan_of("new", &sources()).group(0)).0.unwrap();
        let mut expected = world.clone();
        merge(&mut expected, &sources());
        prop_assert_eq!(dump(&context), seen(&expected));
        let folder = tempfile::tempdir().unwrap();
        let options = Options { repair: false, restart: true };
        prop_assert_eq!(verified(&context, options, &diff(&folder)).counts.differences(), 0);
        let (context, undone, _, failed) = undo_all(context, false);
        prop_assert_eq!((undone.undone, failed), (1, Vec::new()));
        prop_assert_eq!(dump(&context), seen(&world));
    }

    /// The run dies at any request, carried out or not, and another one goes on with it, or undoes it. What the application
    /// writes to a source in between stands where it is the last.
    #[test]
    fn a_run_that_dies_ends_as_if_it_had_not(
        world in world(), at in 0..10_usize, is_carried_out in any::<bool>(),
        is_undone in any::<bool>(), is_late in any::<bool>(),
    ) {
        let (storage, dies) = dying(spec(), at, is_carried_out);
        put(&storage, &world);
        let journal = Arc::<MemoryJournal>::default();
        let first = context(storage, &journal);
        let group = plan_of("new", &sources()).group(0);
        drop(run(&first, &group));
        dies.store(usize::MAX, Ordering::Relaxed);
        let second = anew(first, &journal);
        let mut expected = world;
        let late = ("old2".to_owned(), "x".to_owned());
        // What has nothing but its key is left, where it is given up.
        let has_any = |seat: &Seat| seat.theme.is_some() || seat.grade.is_some();
        let is_late =
            is_late && !is_undone && expected.contains_key(&late) && expected.values().all(has_any);
        if is_late {
            // No run owns that time.
            let t = now_us() + 60_000_000;
            writes(&second, &late, Some("late"), t);
            expected.get_mut(&late).unwrap().theme = Some(("late".to_owned(), t));
        }
        if !is_undone {
            merge(&mut expected, &sources());
        }
        let second = end(second, &group, is_undone);
        let second = match is_late {
            false => second,
            true => sweep(second, &plan_of("new", &sources())).0,
        };
        prop_assert_eq!(dump(&second), seen(&expected));
    }

    /// What another run has moved, or given back, counts as older than what the application wrote; without the register it
    /// does not.
    #[test]
    fn a_run_is_not_the_application(
        world in world(), is_undone in any::<bool>(), is_known in any::<bool>(),
    ) {
        let storage = MemoryStorage::new(spec());
        put(&storage, &world);
        let first = context(storage, &Arc::default());
        let [some, others] = [vec!["old1".to_owned()], vec!["old2".to_owned(), "old3".to_owned()]];
        run(&first, &plan_of("new", &some).group(0)).0.unwrap();
        let t = first.journal.group(0).unwrap().unwrap().t.unwrap();
        let first = if is_undone { undo_all(first, false).0 } else { first };
        let mut before = World::new();
        let undone_at = first.journal.slices(0).unwrap().iter().map(|slice| slice.t).max().unwrap();
        for timed in first.storage.dump_timed(0) {
            let text = |at: usize| {
                let cell = timed.row.cells[at].as_ref();
                cell.map(|cell| String::from_utf8(cell.to_vec()).unwrap())
            };
            let written = match timed.times[2] {
                tributary::model::WriteTimes::Cell(t) => t,
                _ => 0,
            };
            // All of the application's are above 2,000, and those of runs keep their order.
            let is_run = [t, undone_at, undone_at + 1].contains(&written);
            let counts = if is_run && is_known { written - (1 << 62) } else { written };
            let seat = Seat { theme: text(2).map(|theme| (theme, counts)), grade: text(3) };
            before.insert((text(0).unwrap(), text(1).unwrap()), seat);
        }
        let storage = Arc::into_inner(first).unwrap().into_storage().unwrap();
        // As the lease says it: above all that was written.
        let floor = undone_at + 20_000;
        let second = context_with(spec(), 8, storage, Arc::default(), floor);
        if is_known {
            second.know_run_times([t, undone_at].into_iter().collect::<RunTimes>());
        }
        let all = if is_undone { sources() } else { others };
        run(&second, &plan_of("new", &all).group(0)).0.unwrap();
        merge(&mut before, &all);
        prop_assert_eq!(dump(&second), seen(&before));
    }
}

fn key(user: &str) -> (String, String) {
    (user.to_owned(), "x".to_owned())
}

/// Merged from themes of one key, each with its write time.
fn merged(rows: &[(&str, &str, i64)]) -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::new(spec());
    let row = |(user, theme, t): &(&str, &str, i64)| {
        (key(user), Seat { theme: Some(((*theme).to_owned(), *t)), grade: None })
    };
    put(&storage, &rows.iter().map(row).collect());
    let context = context(storage, &Arc::default());
    run(&context, &plan_of("new", &["old".to_owned()]).group(0)).0.unwrap();
    context
}

fn writes(context: &Context<MemoryStorage>, key: &(String, String), theme: Option<&str>, t: i64) {
    let set = vec![(2, theme.map(bytes))];
    context.storage.apply(0, t, &Change::update(key_of(key), set));
}

fn stands(context: &Context<MemoryStorage>, theme: &str) {
    let expected = [(key("new"), (Some(theme.to_owned()), None))];
    assert_eq!(dump(context), expected.into());
}

/// A delete has no time that could be read.
#[test]
fn null_gives_way_to_any_value() {
    let storage = MemoryStorage::new(spec());
    let theme = Some(("its".to_owned(), 2_000));
    put(
        &storage,
        &[(key("new"), Seat::default()), (key("old"), Seat { theme, grade: None })].into(),
    );
    let context = context(storage, &Arc::default());
    writes(&context, &key("new"), None, 3_000);
    run(&context, &plan_of("new", &["old".to_owned()]).group(0)).0.unwrap();
    stands(&context, "its");
}

/// Nothing is computed, so that nothing has to be looked at once more: what the application writes after T stands, or the
/// sweep takes it along.
#[test]
fn what_is_written_while_the_group_is_merged_goes_by_its_time() {
    for (own, its) in [(2, 1), (1, 2)] {
        let storage = MemoryStorage::new(spec());
        put(&storage, &[(key("new"), Seat::default()), (key("old"), Seat::default())].into());
        let context = context(storage, &Arc::default());
        let t = now_us() + 60_000_000;
        writes(&context, &key("new"), Some("own"), t + own);
        writes(&context, &key("old"), Some("its"), t + its);
        let plan = plan_of("new", &["old".to_owned()]);
        let left = block_on(async {
            let window = Window::writing(&context);
            let group = plan.group(0);
            window.alone(merge_group(&window, &group, None, None)).await.unwrap().left
        });
        assert_eq!(left, []);
        let (context, swept, left) = sweep(context, &plan);
        assert_eq!((swept.rows, left.len()), (1, 0));
        stands(&context, if own > its { "own" } else { "its" });
        let folder = tempfile::tempdir().unwrap();
        let options = Options { repair: false, restart: true };
        assert_eq!(verified(&context, options, &diff(&folder)).counts.differences(), 0);
    }
}

/// Of a late value and the survivor's the later write stands, whatever T says of what the run wrote.
#[test]
fn a_late_value_goes_by_its_write_time() {
    let plan = plan_of("new", &["old".to_owned()]);
    for is_written_again in [false, true] {
        for is_own_later in [false, true] {
            let context = merged(&[("new", "own", 2_000), ("old", "its", 3_000)]);
            stands(&context, "its");
            let t = now_us() - 10;
            writes(&context, &key("old"), Some("late"), t);
            if is_written_again {
                let t = t + i64::from(is_own_later) * 2 - 1;
                writes(&context, &key("new"), Some("own again"), t);
            }
            let (context, swept, left) = sweep(context, &plan);
            assert_eq!((swept.rows, left.len()), (1, 0));
            stands(&context, if is_written_again && is_own_later { "own again" } else { "late" });
            let (context, undone, ..) = undo_all(context, false);
            assert_eq!(undone.undone + undone.disputed, 1);
            drop(context);
        }
    }
}

/// A delete at T that was given up writes again what the source had, above T: that counts by when it was written first.
#[test]
fn what_a_run_pinned_is_as_old_as_it_was() {
    for (own, its) in [(3_000, 2_000), (2_000, 3_000)] {
        let context = merged(&[("new", "own", own), ("old", "its", its)]);
        let t = context.journal.group(0).unwrap().unwrap().t.unwrap();
        // As if the key had been given up.
        writes(&context, &key("new"), Some("own"), t + 9_998);
        writes(&context, &key("old"), Some("its"), t + 9_999);
        let plan = plan_of("new", &["old".to_owned()]);
        let (context, swept, left) = sweep(context, &plan);
        assert_eq!((swept.rows, left.len()), (1, 0));
        stands(&context, if own > its { "own" } else { "its" });
    }
}

#[test]
fn it_is_no_rule_for_whole_rows_nor_for_entries() {
    let text = |rule: &str| {
        format!(
            "name = 'test'\n[[table]]\nname = 'seats'\naccount = 'user'\nfind = 'partition'\non_conflict = {rule}"
        )
    };
    for rule in ["'latest'", "{ theme = { each = 'latest' } }"] {
        let error = RawSpec::parse(&text(rule), "the test").unwrap_err().to_string();
        assert!(error.contains("latest"), "{error}");
    }
}
