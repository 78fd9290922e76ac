//! Rows whose key names two accounts: moved by the first in one run, and by the second, which a scan finds, in another;
//! both stopped anywhere, compared, undone, written to meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::sync::watch;
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{Journal, State};
use tributary::model::{Cell, Row, SweepTally, now_us};
use tributary::pairs::{self, Format};
use tributary::pipeline::{self, Context, Known, Leftover};
use tributary::plan::{self, Plan};
use tributary::spec::schema::{Schema, TableSchema};
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::stops::Stops;
use super::undo::undo_all;
use super::verify::verified;
use super::{block_on, context_with, merges};

const FOLLOWERS: usize = 0;

/// By which of the two accounts rows move.
#[derive(Clone, Copy, Debug)]
enum Half {
    First,
    Second,
}

fn check(account: &str, find: &str, key_len: usize) -> Result<Spec, String> {
    let text = format!(
        "name = 'test'\n[[table]]\nname = 'followers'\naccount = '{account}'\nfind = {find}\non_conflict = {{ since = \
         'min' }}\n"
    );
    check_text(&text, key_len)
}

fn check_text(text: &str, key_len: usize) -> Result<Spec, String> {
    let columns = [("user", "text"), ("follower", "text"), ("since", "int"), ("note", "text")];
    let table = TableSchema::keyed(key_len, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("followers".into(), table)].into() };
    let raw = RawSpec::parse(text, "the test").map_err(|faults| faults.to_string())?;
    raw.check(&schema).map_err(|faults| faults.to_string())
}

/// `drops` says whether rows are dropped that name a survivor twice.
fn spec(half: Half, drops: bool) -> Arc<Spec> {
    let (account, find, other) = match half {
        Half::First => ("user", "'partition'", "follower"),
        Half::Second => ("follower", "'scan'", "user"),
    };
    let find = match drops {
        true => format!("{find}\ndrop_oneself = '{other}'"),
        false => find.to_owned(),
    };
    Arc::new(check(account, &find, 2).unwrap())
}

/// By who is followed and who follows: since when, and a note.
type World = BTreeMap<(String, String), (Option<i32>, Option<String>)>;

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn text(cell: &Cell) -> Option<String> {
    cell.as_ref().map(|cell| String::from_utf8(cell.to_vec()).unwrap())
}

fn put(
    storage: &MemoryStorage,
    (user, follower): (&str, &str),
    (since, note): (Option<i32>, Option<&str>),
    t: i64,
) {
    let since = since.map(|since| Bytes::copy_from_slice(&since.to_be_bytes()));
    let cells = vec![Some(bytes(user)), Some(bytes(follower)), since, note.map(bytes)];
    storage.put(FOLLOWERS, Row::new(cells), t);
}

fn load(world: &World, storage: &MemoryStorage) {
    for ((user, follower), (since, note)) in world {
        put(storage, (user, follower), (*since, note.as_deref()), 1_000);
    }
}

fn dump(storage: &MemoryStorage) -> World {
    let rows = storage.dump(FOLLOWERS).into_iter().map(|row| {
        let [user, follower, since, note] = row.cells.try_into().unwrap();
        let since = since.map(|since| i32::from_be_bytes(since[..].try_into().unwrap()));
        ((text(&user).unwrap(), text(&follower).unwrap()), (since, text(&note)))
    });
    rows.collect()
}

/// Survivors with their sources, in order.
type Groups = Vec<(String, Vec<String>)>;

fn plan_of(groups: &Groups) -> Plan {
    let lines = groups
        .iter()
        .flat_map(|(to, sources)| sources.iter().map(move |source| format!("{source},{to}\n")));
    let csv = format!("from,to\n{}", lines.collect::<String>());
    plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap())
}

/// Who an account becomes, and its rank among those who become the same.
fn becomes<'a>(groups: &'a Groups, account: &'a str) -> (&'a str, usize) {
    let of = groups.iter().find_map(|(to, sources)| {
        let rank = sources.iter().position(|source| source == account)?;
        Some((to.as_str(), rank + 1))
    });
    of.unwrap_or((account, 0))
}

/// Each row once, by the whole plan: of those that become one, the row stays of whom ranks first as a follower, then as one
/// who is followed, since the earliest of them. Where rows are dropped, nobody comes to follow oneself.
fn merged(world: &World, groups: &Groups, drops: bool) -> World {
    let mut ranked: Vec<_> = world
        .iter()
        .map(|((user, follower), row)| {
            let (user, user_rank) = becomes(groups, user);
            let (follower, follower_rank) = becomes(groups, follower);
            ((follower_rank, user_rank), (user.to_owned(), follower.to_owned()), row.clone())
        })
        .collect();
    ranked.sort();
    let mut merged = World::new();
    for (_, key, (since, note)) in ranked {
        let kept = merged.entry(key).or_insert_with(|| (since, note));
        kept.0 = match (kept.0, since) {
            (Some(kept), Some(since)) => Some(kept.min(since)),
            (kept, since) => kept.or(since),
        };
    }
    let survives = |account: &String| groups.iter().any(|(to, _)| to == account);
    merged.retain(|key, _| {
        let (user, follower) = key;
        !drops || user != follower || !survives(user) || world.contains_key(key)
    });
    merged
}

/// One of the two runs.
struct Run {
    spec: Arc<Spec>,
    journal: Arc<MemoryJournal>,
    plan: Plan,
    /// What either of them has written is dated before this: what the register keeps for runs that know of each other.
    floor: Arc<AtomicI64>,
}

type Swept = (SweepTally, Vec<Leftover>);

impl Run {
    fn both(drops: bool, groups: &Groups) -> [Self; 2] {
        let floor = Arc::<AtomicI64>::default();
        [Half::First, Half::Second].map(|half| Self {
            spec: spec(half, drops),
            journal: Arc::default(),
            plan: plan_of(groups),
            floor: Arc::clone(&floor),
        })
    }

    fn context(&self, storage: MemoryStorage) -> Arc<Context<MemoryStorage>> {
        while now_us() <= self.floor.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        let spec = Arc::clone(&self.spec);
        // Long ago, so that groups are dated by the clock.
        context_with(
            Arc::clone(&spec),
            8,
            storage.seen_by(spec),
            Arc::clone(&self.journal),
            1_000_000,
        )
    }

    /// One session: scan, merge, sweep; nothing came of it where it was stopped.
    fn session(&self, storage: MemoryStorage) -> (MemoryStorage, Option<Swept>) {
        let context = self.context(storage);
        let swept = self.work(&context);
        (self.ended(context), swept)
    }

    fn work(&self, context: &Arc<Context<MemoryStorage>>) -> Option<Swept> {
        let (_stop, stop) = watch::channel(false);
        let plan = &self.plan;
        block_on(pipeline::scan(context, plan, &stop)).ok()?;
        let known = Known::new(context.journal.states().unwrap());
        if !merges(context, plan, &known, &stop) {
            return None;
        }
        let mut left = Vec::new();
        let swept =
            block_on(pipeline::sweep(context, plan, &known, &stop, |row| left.push(row.clone())));
        swept.ok().filter(|swept| swept.failed == 0).map(|swept| (swept, left))
    }

    /// A session that has to end well.
    #[track_caller]
    fn finish(&self, storage: MemoryStorage) -> (MemoryStorage, SweepTally) {
        let (storage, swept) = self.session(storage);
        let (swept, left) = swept.expect("nothing stops it");
        assert_eq!(left, Vec::new());
        (storage, swept)
    }

    #[track_caller]
    fn check_verified(&self, storage: MemoryStorage) -> MemoryStorage {
        let context = self.context(storage);
        let folder = tempfile::tempdir().unwrap();
        let diff = super::verify::diff(&folder);
        let verified = verified(&context, Options::default(), &diff);
        let lines = std::fs::read_to_string(&diff).unwrap();
        assert_eq!(lines.lines().count(), 1, "{lines}");
        assert_eq!(verified.failed, 0);
        into_storage(context)
    }

    fn undo(&self, storage: MemoryStorage) -> MemoryStorage {
        self.ended(undo_all(self.context(storage), false).0)
    }

    fn ended(&self, context: Arc<Context<MemoryStorage>>) -> MemoryStorage {
        // The time that a group owns.
        const OWNED_US: i64 = 10_000;
        let groups = self.journal.states().unwrap().into_iter();
        let slices = groups.flat_map(|(group, _)| self.journal.slices(group).unwrap());
        let highest = slices.map(|slice| slice.t).max().unwrap_or_default();
        self.floor.fetch_max(highest + OWNED_US, Ordering::Relaxed);
        into_storage(context)
    }

    fn is_undone(&self) -> bool {
        let states = self.journal.states().unwrap();
        states.iter().all(|(_, state)| *state == State::Undone)
    }
}

fn into_storage(context: Arc<Context<MemoryStorage>>) -> MemoryStorage {
    Arc::into_inner(context).unwrap().into_storage().unwrap()
}

fn world_and_groups() -> impl Strategy<Value = (World, Groups)> {
    let account = || (1..=7_u8).prop_map(|n| format!("u{n}"));
    let row = (prop::option::of(0..9_i32), prop::option::of("[a-z]"));
    let world = prop::collection::btree_map((account(), account()), row, 0..24);
    let order = Just((1..=7).map(|n| format!("u{n}")).collect::<Vec<_>>()).prop_shuffle();
    (world, order, 1..4_usize, 1..3_usize).prop_map(|(world, order, first, second)| {
        let groups = vec![
            (order[0].clone(), order[1..=first].to_vec()),
            (order[4].clone(), order[5..5 + second].to_vec()),
        ];
        (world, groups)
    })
}

type At = (usize, bool);

fn stops(up_to: usize, requests: usize) -> impl Strategy<Value = [Vec<At>; 2]> {
    let stops = move || prop::collection::vec((0..requests, any::<bool>()), 0..up_to);
    [stops(), stops()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Both runs stopped at any request, and again; then undone, the second first, stopped as well.
    #[test]
    fn whatever_stops_it_each_row_is_mapped_once_and_undo_gives_all_back(
        (world, groups) in world_and_groups(),
        drops in any::<bool>(),
        [stops_first, stops_second] in stops(3, 320),
        undo_stops in stops(3, 20),
        goes_on in prop::bool::weighted(0.7),
    ) {
        let stop = Stops::default();
        let runs = Run::both(drops, &groups);
        let mut storage = stop.storage(spec(Half::First, drops));
        load(&world, &storage);
        for (run, stops, ends) in [(&runs[0], stops_first, true), (&runs[1], stops_second, goes_on)] {
            for at in stops.into_iter().map(Some) {
                stop.set(at);
                storage = run.session(storage).0;
            }
            stop.set(None);
            if ends {
                storage = run.finish(storage).0;
                storage = run.check_verified(storage);
            }
        }
        if goes_on {
            prop_assert_eq!(dump(&storage), merged(&world, &groups, drops));
            // Nothing is left to be done.
            for run in &runs {
                let (same, swept) = run.finish(storage);
                prop_assert_eq!(swept.rows, 0);
                storage = same;
            }
            prop_assert_eq!(dump(&storage), merged(&world, &groups, drops));
        }
        for (run, stops) in runs.iter().rev().zip(undo_stops) {
            for at in stops.into_iter().map(Some).chain([None]) {
                stop.set(at);
                storage = run.undo(storage);
            }
            prop_assert!(run.is_undone() || !goes_on);
        }
        prop_assert_eq!(dump(&storage), world);
    }
}

fn row(since: i32, note: &str) -> (Option<i32>, Option<String>) {
    (Some(since), Some(note.to_owned()))
}

fn key(user: &str, follower: &str) -> (String, String) {
    (user.to_owned(), follower.to_owned())
}

/// What is written late under either account is found by the sweep of the run that moves by it.
#[test]
fn late_rows_are_swept_by_the_run_that_moves_by_their_account() {
    let groups = vec![("new".to_owned(), vec!["old".to_owned()])];
    let [first, second] = Run::both(false, &groups);
    let storage = MemoryStorage::new(spec(Half::First, false));
    load(&[(key("old", "a"), row(7, "n")), (key("b", "old"), row(3, "n"))].into(), &storage);
    let storage = first.finish(storage).0;
    let storage = second.finish(storage).0;
    put(&storage, ("b", "old"), (Some(2), Some("late")), now_us());
    put(&storage, ("c", "old"), (Some(1), None), now_us());
    put(&storage, ("old", "a"), (Some(9), None), now_us());
    let (storage, swept) = second.finish(storage);
    assert_eq!((swept.rows, swept.scanned), (2, Some(5)));
    let (storage, swept) = first.finish(storage);
    assert_eq!((swept.rows, swept.scanned), (1, None), "nothing of it is found by a scan");
    let expected = [
        (key("new", "a"), row(7, "n")),
        (key("b", "new"), row(2, "late")),
        (key("c", "new"), (Some(1), None)),
    ];
    assert_eq!(dump(&storage), expected.into());
}

/// Who would follow oneself, whenever that is written: dropped and given back, or left and listed where it comes late.
#[test]
fn nobody_comes_to_follow_oneself() {
    let groups = vec![("new".to_owned(), vec!["old".to_owned(), "older".to_owned()])];
    let [first, second] = Run::both(true, &groups);
    let names = ["new", "old", "older"];
    let pairs = names.iter().flat_map(|user| names.iter().map(move |follower| (*user, *follower)));
    let mut world = World::new();
    for (at, (user, follower)) in pairs.filter(|pair| *pair != ("new", "new")).enumerate() {
        world.insert(key(user, follower), row(at as i32, user));
    }
    let storage = MemoryStorage::new(spec(Half::First, true));
    load(&world, &storage);
    let mut storage = first.finish(storage).0;
    let before_second = dump(&storage);
    storage = second.finish(storage).0;
    assert_eq!(dump(&storage), World::new());
    let tally = second.journal.slices(0).unwrap()[0].tally.tables[FOLLOWERS];
    assert_eq!((tally.source_rows, tally.copied, tally.unchanged, tally.deleted), (2, 0, 2, 2));

    put(&storage, ("new", "old"), (Some(1), None), now_us());
    let (storage, swept) = second.session(storage);
    let (swept, left) = swept.unwrap();
    assert_eq!((swept.rows, swept.left), (0, 1));
    assert!(left[0].why.contains("name the survivor twice"), "{}", left[0].why);
    let mut expected = before_second;
    let storage = second.undo(storage);
    expected.insert(key("new", "old"), (Some(1), Some("new".to_owned())));
    assert_eq!(dump(&storage), expected, "what was written since stands");
}

#[test]
fn who_is_not_to_be_named_twice_is_named_by_the_key() {
    let refused = |column: &str, account: &str, named: &str| {
        let find = format!("'scan'\ndrop_oneself = '{column}'");
        let message = check(account, &find, 2).unwrap_err();
        assert!(message.contains(named), "{message}");
    };
    refused(
        "follower",
        "follower",
        "line 6: table followers: drop_oneself names follower, which is the account",
    );
    refused("note", "follower", "drop_oneself names note, which is no part of the primary key");
    refused("nobody", "follower", "table followers has no column nobody");
    let text = "name = 'test'\n[[table]]\nname = 'followers'\naccount = 'follower'\nfind = 'scan'\n[event]\ntable = \
                'followers'\nkey = '${account}'\n[event.value]\na = '${account}'\n";
    let message = check_text(text, 2).unwrap_err();
    assert!(message.contains("rows of followers are found by a scan; no events"), "{message}");
}

#[test]
fn a_scan_is_for_accounts_that_are_not_the_whole_partition_key() {
    for (account, key_len) in [("user", 2), ("user", 1)] {
        let message = check(account, "'scan'", key_len).unwrap_err();
        let named = "line 5: table followers: find = \"scan\" reads every key of the table, but user is the whole \
                     partition key: say: find = \"partition\"";
        assert!(message.contains(named), "{message}");
    }
    assert!(check("follower", "'scan'", 2).is_ok());
    let message = check("follower", "'scans'", 2).unwrap_err();
    assert!(message.contains("or \"scan\""), "{message}");
}
