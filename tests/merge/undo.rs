//! Undo gives back exactly what was there before, however the merge and the undo itself were stopped; what
//! someone changed since is left alone and told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tokio::sync::watch;
use tributary::events::EventSink;
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{Codec, Journal, JournalError, Note, State};
use tributary::model::{Change, Event, Group, Pair};
use tributary::pipeline::{Context, GroupCounts, Known};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};
use tributary::undo::{self, Options, Reported, Undone};

use super::model::{Columns, Events, World};
use super::preset::spec;
use super::world::{CONTENT, ENROLMENTS, dump, events_of, group, load, to_row, world_and_group};
use super::{T, block_on, context_of, run};
use super::{stops, sweep};

/// Undoes all groups that the journal has; what failed is told by its reason.
pub fn undo_all(
    context: Arc<Context<MemoryStorage>>,
    force: bool,
) -> (Arc<Context<MemoryStorage>>, Undone, Vec<Event>, Vec<String>) {
    let selected = undo::select(&*context.journal, None).unwrap();
    let (_stop, stopped) = watch::channel(false);
    let mut failures = Vec::new();
    let undone = block_on(undo::undo(
        &context,
        &selected.groups,
        Options { force, ..Options::default() },
        stopped,
        &GroupCounts::default(),
        |_, reason| failures.push(reason.reason.clone()),
    ));
    let context = context;
    let EventSink::Memory(events) = &context.event_sink else { unreachable!() };
    let events = std::mem::take(&mut *events.lock().unwrap());
    undone.1.unwrap();
    (context, undone.0, events, failures)
}

/// A run that died ends: it is undone, or gone on with.
pub fn end(
    context: Arc<Context<MemoryStorage>>,
    group: &Group,
    is_undone: bool,
) -> Arc<Context<MemoryStorage>> {
    if !is_undone {
        run(&context, group).0.unwrap();
        return context;
    }
    let (context, _, _, failed) = undo_all(context, false);
    assert_eq!(failed, Vec::<String>::new());
    context
}

/// The storage of a context with another one's time and journal.
fn again(
    context: Arc<Context<MemoryStorage>>,
    journal: &Arc<MemoryJournal>,
    t: i64,
    slice_bytes: usize,
) -> Arc<Context<MemoryStorage>> {
    let mut context = context_of(
        8,
        Arc::into_inner(context).unwrap().into_storage().unwrap(),
        Arc::clone(journal),
        t,
    );
    Arc::get_mut(&mut context).unwrap().slice_bytes = slice_bytes;
    context
}

fn state(journal: &dyn Journal) -> Option<State> {
    journal.group(0).unwrap().map(|record| record.state)
}

/// What an undo announces: enrolments that come back to sources, and those that the survivor had all along
/// and in which something changed.
fn expected_events(before: &World, after: &World, to: &str, sources: &[String]) -> Events {
    let mut events = Events::new();
    for source in sources {
        let gone = before.enrolments.keys().filter(|key| key.1 == *source);
        let gone = gone.filter(|key| !after.enrolments.contains_key(*key));
        events.extend(before.events(source, gone.map(|key| key.0.clone()).collect()));
    }
    let content = after
        .content
        .iter()
        .filter(|(key, row)| key.0 == to && before.content.get(*key) != Some(*row));
    let enrolments = after
        .enrolments
        .iter()
        .filter(|(key, row)| key.1 == to && before.enrolments.get(*key) != Some(*row));
    let changed = content.map(|(key, _)| key.2.clone());
    let changed = changed.chain(enrolments.map(|(key, _)| key.0.clone()));
    events.extend(before.events(to, changed.collect()));
    events
}

/// A storage that can be made to stop, as a killed process stops: at a request, for good.
#[derive(Clone, Default)]
pub struct Stops {
    stops: stops::Stops,
    /// What is dated as a merge is refused from now on.
    no_merge: Arc<AtomicBool>,
}

impl Stops {
    pub fn storage(&self) -> MemoryStorage {
        let Self { stops, no_merge } = self.clone();
        MemoryStorage::with_faults(spec(), move |request| {
            let is_merge = match request {
                Request::Write(batch) => batch.mutations.iter().any(|mutation| mutation.t <= T),
                Request::DeletePartitions(..) => true,
                _ => false,
            };
            match is_merge && no_merge.load(Ordering::Relaxed) {
                true => Some(FaultKind::Refused),
                false => stops.fault(),
            }
        })
    }

    pub fn set(&self, at: Option<(usize, bool)>) {
        self.stops.set(at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn undo_gives_back_what_was_there_before(
        (world, to, sources) in world_and_group(),
        slice_bytes in prop::sample::select(vec![1, 60, 1_000_000]),
    ) {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let journal = Arc::<MemoryJournal>::default();
        let mut context = context_of(8, storage, Arc::clone(&journal), T);
        Arc::get_mut(&mut context).unwrap().slice_bytes = slice_bytes;
        let merged = run(&context, &group(&to, &sources)).0.unwrap();
        let after = dump(&spec(), &context.storage);
        let context = again(context, &journal, T + 20_000, slice_bytes);
        let (context, undone, events, failures) = undo_all(context, false);
        prop_assert_eq!(failures, Vec::<String>::new());
        prop_assert_eq!(&dump(&spec(), &context.storage), &world);
        prop_assert_eq!(events_of(&events), expected_events(&world, &after, &to, &sources));
        prop_assert_eq!((undone.undone, undone.disputed), (1, 0));
        for (rows, merged) in undone.rows.iter().zip(&merged.tables) {
            prop_assert_eq!(rows.given_back, merged.source_rows);
            prop_assert!(rows.removed <= merged.copied && rows.set_back <= merged.merged);
        }
        prop_assert_eq!(state(&*journal), Some(State::Undone));

        // It has had its turn: nothing is left to be undone.
        let (context, undone, events, _) = undo_all(again(context, &journal, T + 40_000, 60), false);
        prop_assert_eq!((undone.undone, events.len()), (0, 0));
        prop_assert_eq!(&dump(&spec(), &context.storage), &world);

        // Merged anew, it ends like the first time.
        let anew = Arc::default();
        let context = again(context, &anew, T + 60_000, slice_bytes);
        prop_assert_eq!(run(&context, &group(&to, &sources)).0.unwrap(), merged);
        prop_assert_eq!(dump(&spec(), &context.storage), after);
    }

    /// The merge is stopped (or not), never completed, and what was left of it would be refused; then the undo is
    /// stopped, again and again.
    #[test]
    fn whatever_is_stopped_ends_as_it_began(
        (world, to, sources) in world_and_group(),
        merge_stop in prop::option::of((0..20_usize, any::<bool>())),
        stops in prop::collection::vec((0..20_usize, any::<bool>()), 0..4),
        slice_bytes in prop::sample::select(vec![1, 60, 1_000_000]),
        is_reported in any::<bool>(),
    ) {
        let stop = Stops::default();
        let storage = stop.storage();
        load(&world, &spec(), &storage);
        let journal = Arc::<MemoryJournal>::default();
        let mut context = context_of(8, storage, Arc::clone(&journal), T);
        Arc::get_mut(&mut context).unwrap().slice_bytes = slice_bytes;
        stop.set(merge_stop);
        let result = run(&context, &group(&to, &sources)).0;
        stop.set(None);
        if result.is_err() && is_reported && state(&*journal).is_some() {
            let note = Note { group: 0, state: State::Failed, reason: None, known_as: None };
            journal.note(note).unwrap();
        }
        stop.no_merge.store(true, Ordering::Relaxed);
        let mut ids = BTreeMap::new();
        let last = stops.len();
        for (session, at) in stops.into_iter().map(Some).chain([None]).enumerate() {
            stop.set(at);
            let t = T + 20_000 * (session as i64 + 1);
            let events;
            let undone;
            let failures;
            (context, undone, events, failures) =
                undo_all(again(context, &journal, t, slice_bytes), false);
            prop_assert_eq!(undone.failed as usize, failures.len());
            // A repeated event has the id that it had before.
            for event in events {
                let before = ids.insert(event.key.clone(), event.payload.clone());
                prop_assert!(before.is_none_or(|before| before == event.payload));
            }
            prop_assert!(session < last || undone.failed == 0, "{failures:?}");
        }
        prop_assert_eq!(&dump(&spec(), &context.storage), &world);
        prop_assert!(matches!(state(&*journal), None | Some(State::Undone)));
    }
}

/// A cell that someone writes when the merge is over.
#[derive(Clone, Debug)]
struct Later {
    account: usize,
    /// Content and course; none for an enrolment.
    content: Option<(u8, u8)>,
    batch: u8,
    column: &'static str,
    value: &'static str,
}

fn later() -> impl Strategy<Value = Later> {
    let content = prop::option::weighted(0.7, (1..5_u8, 1..3_u8));
    let column = prop::sample::select(vec!["status", "progress", "grade"]);
    (0..5_usize, content, 1..4_u8, column, 0..3_usize).prop_map(
        |(account, content, batch, column, value)| Later {
            account,
            content,
            batch,
            column,
            value: match column {
                "grade" => ["", "a", "z"][value],
                _ => ["0", "1", "2"][value],
            },
        },
    )
}

/// A key without its account, as text.
type Key = (usize, Vec<String>);

/// What undo is to leave behind, row by row and without any of its code: by key, the conflicts and the rows.
struct Judge<'a> {
    before: &'a World,
    merged: &'a World,
    now: &'a World,
    to: &'a str,
    sources: &'a [String],
}

impl Judge<'_> {
    /// Whether the rows of a key are as the merge left them (or as they were before).
    fn is_disputed<'w>(
        &self,
        of: impl Fn(&'w World, &str) -> Option<&'w Columns>,
        worlds: [&'w World; 3],
        policy: Option<&str>,
    ) -> bool {
        let [before, merged, now] = worlds;
        let survivor = [before, merged, now].map(|world| of(world, self.to));
        match survivor {
            [None, left, found] => found.is_some() && found != left,
            [Some(own), Some(left), Some(found)] => policy.is_some_and(|policy| {
                let [own, left, found] = [own, left, found].map(|row| row.get(policy));
                own != left && found != left && found != own
            }),
            _ => unreachable!("nobody deletes rows here"),
        }
    }

    /// The row that a source has in the end: what it held, but for what was written to it since.
    fn of_source(before: &Columns, now: Option<&Columns>) -> Columns {
        let mut row = before.clone();
        row.extend(
            now.into_iter().flatten().map(|(column, value)| (column.clone(), value.clone())),
        );
        row
    }

    /// What is expected after an undo, and the keys that it leaves alone.
    fn expected(&self, force: bool) -> (World, BTreeSet<Key>) {
        let Self { before, merged, now, .. } = *self;
        let mut expected = now.clone();
        let mut disputed = BTreeSet::new();
        let worlds = [before, merged, now];
        let owned = before.content.keys().filter(|key| self.sources.contains(&key.0));
        let keys: BTreeSet<_> = owned.map(|(_, c, b, k)| (c, b, k)).collect();
        let batches: BTreeSet<_> = keys.iter().map(|key| key.1).collect();
        for (c, b, k) in keys {
            let key = |account: &str| (account.to_owned(), c.clone(), b.clone(), k.clone());
            let row = |world: &World, account: &str| world.content.get(&key(account)).cloned();
            if self.is_disputed(|w, account| w.content.get(&key(account)), worlds, Some("status")) {
                disputed.insert((CONTENT, vec![c.clone(), b.clone(), k.clone()]));
                if !force {
                    continue;
                }
            }
            for source in self.sources {
                if let Some(before) = row(before, source) {
                    let row = Self::of_source(&before, now.content.get(&key(source)));
                    expected.content.insert(key(source), row);
                }
            }
            match (row(before, self.to), row(merged, self.to)) {
                (None, _) => drop(expected.content.remove(&key(self.to))),
                (Some(own), Some(left)) if own.get("status") != left.get("status") => {
                    let row = expected.content.get_mut(&key(self.to)).unwrap();
                    row.remove("status");
                    row.extend(own.get("status").map(|s| ("status".to_owned(), s.clone())));
                }
                _ => {}
            }
        }
        for b in batches {
            let key = |account: &str| (b.clone(), account.to_owned());
            if !self.sources.iter().any(|source| before.enrolments.contains_key(&key(source))) {
                continue;
            }
            if self.is_disputed(|w, account| w.enrolments.get(&key(account)), worlds, None) {
                disputed.insert((ENROLMENTS, vec![b.clone()]));
                if !force {
                    continue;
                }
            }
            for source in self.sources {
                if let Some(before) = before.enrolments.get(&key(source)) {
                    let row = Self::of_source(before, now.enrolments.get(&key(source)));
                    expected.enrolments.insert(key(source), row);
                }
            }
            if !before.enrolments.contains_key(&key(self.to)) {
                expected.enrolments.remove(&key(self.to));
            }
        }
        (expected, disputed)
    }
}

/// The keys that undo says it left alone.
fn reported(journal: &dyn Journal) -> (BTreeSet<Key>, Vec<Pair>) {
    let mut keys = BTreeSet::new();
    let mut pairs = Vec::new();
    let codec = Codec::open(&spec(), journal).unwrap();
    undo::conflicts::<JournalError>(journal, &codec, |reported| {
        match reported {
            Reported::Over(of_group) => pairs.extend_from_slice(of_group),
            Reported::Conflict(conflict, _) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let mut key: Vec<_> = conflict.key.iter().map(|part| text(part)).collect();
                let account = key.remove(if conflict.table == CONTENT { 0 } else { 1 });
                assert_eq!(account, conflict.account.to_string());
                assert!(conflict.found_written_at.is_none_or(|t| t > T));
                assert_ne!(conflict.found, conflict.expected);
                keys.insert((conflict.table, key));
            }
        }
        Ok(())
    })
    .unwrap();
    (keys, pairs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_someone_changed_is_left_alone_and_told(
        (world, to, sources) in world_and_group(),
        later in prop::collection::vec(later(), 0..8),
        stops in prop::collection::vec((0..20_usize, any::<bool>()), 0..3),
        slice_bytes in prop::sample::select(vec![1, 60, 1_000_000]),
    ) {
        let stop = Stops::default();
        let storage = stop.storage();
        load(&world, &spec(), &storage);
        let journal = Arc::<MemoryJournal>::default();
        let mut context = context_of(8, storage, Arc::clone(&journal), T);
        Arc::get_mut(&mut context).unwrap().slice_bytes = slice_bytes;
        run(&context, &group(&to, &sources)).0.unwrap();
        let merged = dump(&spec(), &context.storage);
        for Later { account, content, batch, column, value } in later {
            let user = if account == 0 { &to } else { &sources[account % sources.len()] };
            let batch = format!("b{batch}");
            let mut row = vec![("userid", user.clone()), ("batchid", batch), (column, value.into())];
            let table = match content {
                None => ENROLMENTS,
                Some((content, course)) => {
                    row.push(("contentid", format!("c{content}")));
                    row.push(("courseid", format!("k{course}")));
                    CONTENT
                }
            };
            let columns = row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            context.storage.put(table, to_row(&spec(), table, &columns), T + 5);
        }
        let now = dump(&spec(), &context.storage);
        let (before, merged, now) = (&world, &merged, &now);
        let judge = Judge { before, merged, now, to: &to, sources: &sources };
        let (expected, disputed) = judge.expected(false);
        let mut t = T + 10;
        for at in stops.into_iter().map(Some).chain([None]) {
            stop.set(at);
            (context, ..) = undo_all(again(context, &journal, t, slice_bytes), false);
            t += 10;
        }
        prop_assert_eq!(&dump(&spec(), &context.storage), &expected);
        let (keys, pairs) = reported(&*journal);
        prop_assert_eq!(&keys, &disputed);
        let is_disputed = !disputed.is_empty();
        prop_assert_eq!(pairs.len(), if is_disputed { sources.len() } else { 0 });
        let ended = if is_disputed { State::Disputed } else { State::Undone };
        prop_assert_eq!(state(&*journal), Some(ended));

        // Sources live their own lives again, which is nothing to undo: only what was left alone is.
        let key = world.content.keys().find(|key| sources.contains(&key.0));
        if let Some((user, content, batch, course)) = key {
            let key = (CONTENT, vec![content.clone(), batch.clone(), course.clone()]);
            if !disputed.contains(&key) {
                let columns: Columns = [
                    ("userid", user), ("contentid", content), ("batchid", batch),
                    ("courseid", course), ("result", &"new".to_owned()),
                ].map(|(name, value)| (name.to_owned(), value.clone())).into();
                context.storage.put(CONTENT, to_row(&spec(), CONTENT, &columns), t);
            }
        }
        let lived = dump(&spec(), &context.storage);
        let undone;
        (context, undone, ..) = undo_all(again(context, &journal, t + 10, slice_bytes), false);
        prop_assert_eq!(undone.disputed, u64::from(is_disputed));
        prop_assert_eq!(&dump(&spec(), &context.storage), &lived);
        prop_assert_eq!(&reported(&*journal).0, &disputed);

        // Force restores what was left alone, and nothing else.
        let mut forced = judge.expected(true).0;
        for (key, row) in &lived.content {
            if row.contains_key("result") {
                forced.content.insert(key.clone(), row.clone());
            }
        }
        let undone;
        (context, undone, ..) = undo_all(again(context, &journal, t + 20, slice_bytes), true);
        prop_assert_eq!(undone.undone, u64::from(is_disputed));
        prop_assert_eq!(dump(&spec(), &context.storage), forced);
        prop_assert_eq!(state(&*journal), Some(State::Undone));
        prop_assert_eq!(reported(&*journal).0.len(), 0);
    }
}

/// Later writes to sources: table, columns with the key, and microseconds after T.
type Writes = Vec<(usize, Columns, i64)>;

/// `ahead` says how far ahead of now some may be dated, in microseconds.
fn writes(ahead: i64) -> impl Strategy<Value = Vec<(usize, usize, [u8; 3], Columns, i64)>> {
    let table = prop::sample::select(vec![CONTENT, CONTENT, ENROLMENTS]);
    let key = [1..5_u8, 1..4_u8, 1..3_u8];
    let t = prop::sample::select(vec![0, ahead]);
    prop::collection::vec((table, 0..4_usize, key, sweep::later(), t), 0..6)
}

/// A row of only its key is not swept but told, so there is none.
fn without_bare_rows(world: &mut World) {
    let rows = world.content.values_mut().chain(world.enrolments.values_mut());
    rows.filter(|row| row.is_empty()).for_each(|row| {
        row.insert("grade".to_owned(), "x".to_owned());
    });
}

fn check_swept(mut world: World, to: &str, sources: &[String], later: &Writes) {
    without_bare_rows(&mut world);
    let plan = sweep::plan_of(to, sources);
    let (merged, _, t) = sweep::merged(&world, &plan);
    let untouched = MemoryStorage::new(spec());
    load(&world, &spec(), &untouched);
    for (n, (table, row, ahead)) in later.iter().enumerate() {
        for storage in [&merged.storage, &untouched] {
            storage.put(*table, to_row(&spec(), *table, row), t + 1 + n as i64 + ahead);
        }
    }
    let before = dump(&spec(), &untouched);

    let (swept, ..) = sweep::sweep(merged, &plan);
    let (undone, outcome, _, failures) = undo_all(swept, false);
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!((outcome.undone, outcome.disputed), (1, 0));
    assert_eq!(dump(&spec(), &undone.storage), before);

    // As if it had never been merged.
    let merge = |storage: MemoryStorage| {
        // Long ago, so that groups are dated by the clock.
        let context = context_of(8, storage, Arc::default(), 1_000_000);
        run(&context, &plan.group(0)).0.unwrap();
        let (context, _, left) = sweep::sweep(context, &plan);
        assert_eq!(left, []);
        dump(&spec(), &context.storage)
    };
    let expected = merge(untouched);
    assert_eq!(merge(Arc::into_inner(undone).unwrap().into_storage().unwrap()), expected);
}

/// A sweep is stopped at a request, and undone with what it had written by then.
fn check_stopped_sweep(
    mut world: World,
    (to, sources): (&str, &[String]),
    later: &Writes,
    at: (usize, bool),
) {
    without_bare_rows(&mut world);
    let plan = sweep::plan_of(to, sources);
    let stop = Stops::default();
    let storage = stop.storage();
    load(&world, &spec(), &storage);
    let context = context_of(8, storage, Arc::default(), 1_000_000);
    run(&context, &plan.group(0)).0.unwrap();
    let t = context.journal.group(0).unwrap().unwrap().t.unwrap();
    let untouched = MemoryStorage::new(spec());
    load(&world, &spec(), &untouched);
    for (n, (table, row, _)) in later.iter().enumerate() {
        for storage in [&context.storage, &untouched] {
            storage.put(*table, to_row(&spec(), *table, row), t + 1 + n as i64);
        }
    }
    stop.set(Some(at));
    let (_stop, stopped) = watch::channel(false);
    // Whether the look or a group fails makes no difference to what was written.
    drop(block_on(tributary::pipeline::sweep(
        &context,
        &plan,
        &Known::default(),
        &stopped,
        |_| {},
    )));
    stop.set(None);
    let (undone, outcome, _, failures) = undo_all(context, false);
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!((outcome.undone, outcome.disputed), (1, 0));
    assert_eq!(dump(&spec(), &undone.storage), dump(&spec(), &untouched));
}

/// A copy that somebody deleted is a change like any other: nobody is given back what was deleted under the survivor.
#[test]
fn a_copy_that_was_deleted_is_a_conflict() {
    let mut world = World::default();
    for content in ["c1", "c2"] {
        let key = ["s", content, "b1", "k1"].map(str::to_owned);
        world.content.insert(key.into(), [("status".to_owned(), "1".to_owned())].into());
    }
    let storage = MemoryStorage::new(spec());
    load(&world, &spec(), &storage);
    let journal = Arc::<MemoryJournal>::default();
    let context = context_of(8, storage, Arc::clone(&journal), T);
    run(&context, &group("t", &["s".to_owned()])).0.unwrap();
    let key = ["t", "c1", "b1", "k1"].map(|part| part.as_bytes().to_vec().into());
    let shape = &spec().tables[CONTENT];
    assert_eq!(shape.columns[0].name, "userid");
    context.storage.apply(CONTENT, T + 5, &Change::DeleteRow { key: key.into() });
    let (context, outcome, ..) = undo_all(again(context, &journal, T + 10, 60), false);
    assert_eq!((outcome.undone, outcome.disputed), (0, 1));
    let held: Vec<_> = dump(&spec(), &context.storage).content.into_keys().collect();
    assert_eq!(held, [["s", "c2", "b1", "k1"].map(str::to_owned).into()]);
    assert_eq!(reported(&*journal).0.len(), 1);
    // Who wants it back all the same has to say so.
    let (context, ..) = undo_all(again(context, &journal, T + 20, 60), true);
    assert_eq!(dump(&spec(), &context.storage), world);
}

/// The writes as rows of sources.
fn of_sources(later: Vec<(usize, usize, [u8; 3], Columns, i64)>, sources: &[String]) -> Writes {
    let row =
        |(table, source, [c, b, k], mut row, ahead): (usize, usize, [u8; 3], Columns, i64)| {
            let mut key = vec![("userid", sources[source % sources.len()].clone())];
            key.push(("batchid", format!("b{b}")));
            if table == CONTENT {
                key.extend([("contentid", format!("c{c}")), ("courseid", format!("k{k}"))]);
            }
            row.extend(key.into_iter().map(|(name, value)| (name.to_owned(), value)));
            (table, row, ahead)
        };
    later.into_iter().map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_stopped_sweep_is_taken_back(
        (world, to, sources) in world_and_group(),
        later in writes(0),
        at in (0..16_usize, any::<bool>()),
    ) {
        check_stopped_sweep(world, (&to, &sources), &of_sources(later, &sources), at);
    }

    /// What was written to sources while they were merged comes back as well.
    #[test]
    fn swept_rows_come_back((world, to, sources) in world_and_group(), later in writes(0)) {
        check_swept(world, &to, &sources, &of_sources(later, &sources));
    }
}

proptest! {
    // Few, because each sweep waits until the liveness of rows has ended.
    #![proptest_config(ProptestConfig::with_cases(3))]

    /// So does what is dated ten minutes ahead; and merged anew, nothing of it gets lost.
    #[test]
    fn swept_rows_of_the_future_come_back(
        (world, to, sources) in world_and_group(),
        later in writes(600_000_000),
    ) {
        check_swept(world, &to, &sources, &of_sources(later, &sources));
    }
}
