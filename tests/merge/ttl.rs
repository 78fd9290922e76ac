//! Cells that expire do so where they are copied as well, at the same moment, however often and however late it is tried;
//! and what has expired never comes back.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use tributary::journal::Journal;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{ExpiryS, Row, TimestampUs};
use tributary::pipeline::{AsOf, Context};
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};
use tributary::verify::Options;

use super::stops::Stops;
use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::verify::{diff, verified};
use super::world::group;
use super::{context_with, run};

const STATUS: usize = 2;
const LASTING: usize = 4;
/// When everything begins, in seconds.
const START: ExpiryS = 1_900_000_000;
/// What expires does so at a multiple of this behind that, and whoever looks does so in between.
const STEP: ExpiryS = 100;

thread_local! {
    static NOW: Cell<TimestampUs> = const { Cell::new(0) };
}

/// All nodes' clock, and ours.
fn clock() -> TimestampUs {
    // Time goes on while something is done.
    NOW.set(NOW.get() + 1);
    NOW.get()
}

fn set_clock(steps: ExpiryS) {
    NOW.set((START + steps * STEP + STEP / 2) * 1_000_000);
}

fn now_s() -> ExpiryS {
    NOW.get() / 1_000_000
}

fn spec() -> Arc<Spec> {
    let text = "name = 'test'\n[[table]]\nname = 'sessions'\naccount = 'user'\nfind = 'partition'\nttl = 'carry'\n\
                on_conflict = { status = 'max' }";
    let columns = [("user", "text"), ("k", "text"), ("status", "int"), ("a", "int"), ("b", "int")];
    let mut table = TableSchema::keyed(2, &columns);
    table.default_time_to_live_s = 1_000;
    let schema = Schema { keyspace: "k".into(), tables: [("sessions".into(), table)].into() };
    Arc::new(RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap())
}

/// A value, and when it expires.
type Lasting = (i32, Option<ExpiryS>);
/// The columns of a row.
type Columns = BTreeMap<usize, Lasting>;
/// By user and key.
type World = BTreeMap<(String, String), Columns>;

fn load(world: &World, storage: &MemoryStorage, t: TimestampUs) {
    for ((user, k), columns) in world {
        let key = [user, k].map(|text| Some(Bytes::copy_from_slice(text.as_bytes())));
        let mut row = Row::new(key.into_iter().chain([None, None, None]).collect());
        for (column, (value, expires)) in columns {
            row.cells[*column] = Some(Bytes::copy_from_slice(&value.to_be_bytes()));
            row.expires.set(*column, *expires);
        }
        storage.put(0, row, t);
    }
}

fn dump(storage: &MemoryStorage) -> World {
    let text = |cell: &Option<Bytes>| String::from_utf8(cell.as_ref().unwrap().to_vec()).unwrap();
    let rows = storage.dump(0).into_iter().map(|row| {
        let cells = row.cells.iter().enumerate().skip(2);
        let columns = cells.filter_map(|(column, cell)| {
            let value = i32::from_be_bytes(cell.as_deref()?.try_into().unwrap());
            Some((column, (value, row.expires.of(column))))
        });
        ((text(&row.cells[0]), text(&row.cells[1])), columns.collect())
    });
    rows.collect()
}

/// Rows, each with how long it lasts itself: as long as the cell of it that lasted longest when it was written.
type Rows = BTreeMap<(String, String), (ExpiryS, Columns)>;

fn inserted(columns: Columns) -> (ExpiryS, Columns) {
    let lasts = columns.values().map(|(_, expires)| expires.unwrap_or(ExpiryS::MAX));
    (lasts.max().unwrap(), columns)
}

fn rows(world: &World) -> Rows {
    world.iter().map(|(key, columns)| (key.clone(), inserted(columns.clone()))).collect()
}

/// What is left by now.
fn left(rows: &Rows) -> Rows {
    let lasts = |(_, expires): &Lasting| expires.is_none_or(|expires| expires > now_s());
    let rows = rows.iter().map(|(key, (row_lasts, columns))| {
        let columns = columns.iter().filter(|(_, cell)| lasts(cell));
        (key.clone(), (*row_lasts, columns.map(|(at, cell)| (*at, *cell)).collect::<Columns>()))
    });
    rows.filter(|(_, (row_lasts, columns))| *row_lasts > now_s() || !columns.is_empty()).collect()
}

/// What a reader sees of it.
fn visible(rows: &Rows) -> World {
    left(rows).into_iter().map(|(key, (_, columns))| (key, columns)).collect()
}

/// What a merge makes of what is left by now: the survivor's row stays, or the first source's, and gets the highest
/// status; of two that are the same the one stays that lasts longer.
fn merge(rows: &Rows, to: &str, sources: &[String]) -> Rows {
    let mut merged = left(rows);
    let mut copies = Vec::new();
    for source in sources {
        let keys = merged.keys().filter(|key| key.0 == *source);
        for key in keys.cloned().collect::<Vec<_>>() {
            let (_, row) = merged.remove(&key).unwrap();
            let key = (to.to_owned(), key.1);
            let Some((_, own)) = merged.get_mut(&key) else {
                copies.push(key.clone());
                merged.insert(key, (0, row));
                continue;
            };
            let rank = |cell: Option<&Lasting>| {
                cell.map(|(value, expires)| (*value, expires.unwrap_or(ExpiryS::MAX)))
            };
            if rank(row.get(&STATUS)) > rank(own.get(&STATUS)) {
                own.insert(STATUS, row[&STATUS]);
            }
        }
    }
    for key in copies {
        let (_, columns) = merged.remove(&key).unwrap();
        merged.insert(key, inserted(columns));
    }
    merged
}

/// What has expired before it could be written over a value of the survivor's own wins nothing: that stays.
fn win_nothing(expected: &mut Rows, world: &World, found: &World) {
    for (key, (_, columns)) in expected {
        let own = world.get(key).and_then(|own| own.get(&STATUS));
        let has_expired = |(_, expires): &Lasting| expires.is_some_and(|at| at <= now_s());
        let stays = found.get(key).and_then(|found| found.get(&STATUS));
        if let (Some(own), true) =
            (own.filter(|own| stays == Some(own)), columns.get(&STATUS).is_some_and(has_expired))
        {
            columns.insert(STATUS, *own);
        }
    }
}

fn context(
    mut storage: MemoryStorage,
    journal: &Arc<MemoryJournal>,
) -> Arc<Context<MemoryStorage>> {
    storage.clock = Some(clock);
    let mut context = context_with(spec(), 8, storage, Arc::clone(journal), 1_000_000);
    let ours = Arc::get_mut(&mut context).unwrap();
    ours.as_of = AsOf::new(1_000_000, std::time::Duration::ZERO).by(clock);
    context
}

fn storage_of(context: Arc<Context<MemoryStorage>>) -> MemoryStorage {
    Arc::into_inner(context).unwrap().into_storage().unwrap()
}

fn is_as_left(context: &Arc<Context<MemoryStorage>>) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let verified = verified(context, Options::default(), &diff(&folder));
    verified.counts.differences() == 0
}

/// Rows of few accounts with many collisions; what expires does so within eight steps.
fn world() -> impl Strategy<Value = World> {
    let expires = prop::option::weighted(0.7, (1..8_i64).prop_map(|steps| START + steps * STEP));
    let columns = prop::collection::btree_map(2..5_usize, (0..3_i32, expires), 1..=3);
    let key = ((1..=4).prop_map(|n| format!("u{n}")), (1..=3).prop_map(|n| format!("k{n}")));
    prop::collection::btree_map(key, columns, 0..12).prop_map(|mut world: World| {
        // What becomes of a row to which another one gave way, and that expires before this is over, is below.
        let own = world.iter_mut().filter(|(key, _)| key.0 == "u1");
        own.for_each(|(_, columns)| _ = columns.insert(LASTING, (9, None)));
        world
    })
}

fn sources() -> Vec<String> {
    ["u2", "u3", "u4"].map(str::to_owned).into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Stopped at any request, with time that passes in between, and looked at later still.
    #[test]
    fn what_expires_does_so_at_the_same_moment_wherever_it_is(
        world in world(),
        stops in prop::collection::vec((0..10_usize, any::<bool>(), 0..3_i64), 0..3),
        later in 0..4_i64,
        undo_at in 0..4_i64,
    ) {
        let stop = Stops::default();
        let mut storage = stop.storage(spec());
        set_clock(0);
        load(&world, &storage, 1_000);
        let journal = Arc::<MemoryJournal>::default();
        let (group, mut steps, mut expected) = (group("u1", &sources()), 0, None);
        let mut is_over = false;
        for (at, carried_out, passes) in stops.into_iter().chain([(usize::MAX, false, 0)]) {
            let read_at = NOW.get();
            stop.set(Some((at, carried_out)).filter(|(at, _)| *at < usize::MAX));
            let context = context(storage, &journal);
            let result = if is_over { Ok(()) } else { run(&context, &group).0.map(drop) };
            is_over |= result.is_ok();
            if expected.is_none() && journal.group(0).unwrap().is_some() {
                // It is what was read then that is merged.
                let now = NOW.replace(read_at);
                expected = Some(merge(&rows(&world), "u1", &sources()));
                NOW.set(now);
            }
            storage = storage_of(context);
            if at < usize::MAX {
                steps += passes;
                set_clock(steps);
            }
        }
        stop.set(None);
        prop_assert!(is_over);
        let ours = context(storage, &journal);
        let mut expected = expected.unwrap_or_default();
        let found = dump(&ours.storage);
        win_nothing(&mut expected, &world, &found);
        prop_assert_eq!(found, visible(&expected));
        prop_assert!(is_as_left(&ours));
        set_clock(steps + later);
        prop_assert_eq!(dump(&ours.storage), visible(&expected));
        prop_assert!(is_as_left(&ours));
        let (ours, undone, _, failed) = undo_all(ours, false);
        prop_assert_eq!((undone.disputed, failed), (0, Vec::new()));
        prop_assert_eq!(dump(&ours.storage), visible(&rows(&world)));
        set_clock(steps + later + undo_at);
        prop_assert_eq!(dump(&ours.storage), visible(&rows(&world)));
    }
}

/// A late write expires where it is swept to, a row that gave way to one that has expired since is not lost, and what
/// an undo gives back lasts as long as it would have.
#[test]
fn what_is_late_or_given_up_lasts_as_long_as_well() {
    let cell = |value, steps: Option<ExpiryS>| (value, steps.map(|steps| START + steps * STEP));
    let row = |user: &str, cells: &[(usize, Lasting)]| {
        ((user.to_owned(), "k1".to_owned()), cells.iter().copied().collect::<Columns>())
    };
    let world: World = [
        row("u1", &[(3, cell(1, Some(1)))]),
        row("u2", &[(3, cell(2, Some(5))), (LASTING, cell(3, None))]),
    ]
    .into();
    set_clock(0);
    let journal = Arc::<MemoryJournal>::default();
    let is_stopped = Arc::new(AtomicUsize::new(1));
    let stopped = Arc::clone(&is_stopped);
    let storage = MemoryStorage::with_faults(spec(), move |request| {
        let is_delete = matches!(request, Request::DeletePartitions(..));
        (is_delete && stopped.load(Ordering::Relaxed) == 1).then_some(FaultKind::Refused)
    });
    load(&world, &storage, 1_000);
    let ours = context(storage, &journal);
    assert!(run(&ours, &group("u1", &["u2".to_owned()])).0.is_err());
    is_stopped.store(0, Ordering::Relaxed);
    // The row that the source's gave way to has expired.
    set_clock(2);
    let ours = context(storage_of(ours), &journal);
    run(&ours, &group("u1", &["u2".to_owned()])).0.unwrap();
    let plan = plan_of("u1", &["u2".to_owned()]);
    let (ours, swept, left) = sweep(ours, &plan);
    assert_eq!((swept.rows, left), (1, Vec::new()));
    let mut expected: World =
        [row("u1", &[(3, cell(2, Some(5))), (LASTING, cell(3, None))])].into();
    assert_eq!(dump(&ours.storage), expected);
    assert!(is_as_left(&ours));
    let late = [row("u2", &[(STATUS, cell(7, Some(4)))])].into();
    load(&late, &ours.storage, NOW.get() - 1);
    let (ours, swept, left) = sweep(ours, &plan);
    assert_eq!((swept.rows, left), (1, Vec::new()));
    expected.values_mut().for_each(|row| _ = row.insert(STATUS, cell(7, Some(4))));
    assert_eq!(dump(&ours.storage), expected);
    assert!(is_as_left(&ours));
    set_clock(4);
    assert!(is_as_left(&ours), "what was late has expired");
    let (ours, undone, ..) = undo_all(ours, false);
    assert_eq!((undone.undone, undone.disputed), (1, 0));
    assert_eq!(
        dump(&ours.storage),
        [row(
            "u2",
            &world[&("u2".to_owned(), "k1".to_owned())].clone().into_iter().collect::<Vec<_>>()
        )]
        .into()
    );
}

/// The same value, written to last longer: it does so on the survivor as well, and on a source that has it back.
#[test]
fn what_is_late_and_the_same_lasts_as_long_as_the_longer() {
    let row = |user: &str, k: &str, steps: ExpiryS| {
        let key = (user.to_owned(), k.to_owned());
        let cell = |value| (value, Some(START + steps * STEP));
        (key, Columns::from([(STATUS, cell(1)), (3, cell(2))]))
    };
    let own = ("u1".to_owned(), "k1".to_owned());
    set_clock(0);
    let ours = context(MemoryStorage::new(spec()), &Arc::default());
    let before: World = [row("u1", "k1", 5), row("u2", "k1", 4), row("u2", "k2", 4)].into();
    load(&before, &ours.storage, 1_000);
    run(&ours, &group("u1", &["u2".to_owned()])).0.unwrap();
    let plan = plan_of("u1", &["u2".to_owned()]);
    let mut late: World = [row("u2", "k1", 7)].into();
    load(&late, &ours.storage, NOW.get() - 1);
    let (ours, swept, left) = sweep(ours, &plan);
    assert_eq!((swept.rows, left), (1, Vec::new()));
    assert_eq!(dump(&ours.storage)[&own][&STATUS].1, Some(START + 7 * STEP));
    assert_eq!(dump(&ours.storage)[&own][&3].1, Some(START + 5 * STEP), "no policy looks at it");
    assert!(is_as_left(&ours));
    // Not swept any more.
    let last: World = [row("u2", "k2", 8)].into();
    load(&last, &ours.storage, NOW.get() - 1);
    let (ours, undone, ..) = undo_all(ours, false);
    assert_eq!((undone.undone, undone.disputed), (1, 0));
    late.extend(last);
    late.extend([row("u1", "k1", 5)]);
    assert_eq!(dump(&ours.storage), late);
}

/// What nobody tells of a row is not made up.
#[test]
fn a_row_of_nothing_but_its_key_fails_its_group() {
    set_clock(0);
    let key = ["u2", "k1"].map(|text| Some(Bytes::copy_from_slice(text.as_bytes())));
    let storage = MemoryStorage::new(spec());
    storage.put(0, Row::new(key.into_iter().chain([None, None, None]).collect()), 1_000);
    let ours = context(storage, &Arc::default());
    let error = run(&ours, &group("u1", &["u2".to_owned()])).0.unwrap_err();
    assert!(error.to_string().starts_with("a row of u2 in sessions has nothing but its key"));
    assert_eq!(dump(&ours.storage).len(), 1);
}
