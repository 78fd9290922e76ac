//! The core and the pipeline, held against a plain sequential model: random worlds, random page
//! boundaries, faults at every request.

#![allow(unreachable_pub)]

mod altered;
mod asleep;
mod coalesce;
mod each;
mod fields;
mod followers;
mod higher;
mod inspect;
mod latest;
mod left;
mod listed;
mod lists;
mod mentions;
mod model;
mod outage;
mod overtaken;
mod parts;
mod preset;
mod register;
mod request_limits;
mod scan;
mod sides;
mod specification;
mod stops;
mod sum;
mod sunbird;
mod sweep;
mod ttl;
mod undo;
mod union;
mod verify;
mod weight;
mod whole;
mod world;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::sync::watch;
use tributary::events::EventSink;
use tributary::journal::State;
use tributary::journal::memory::MemoryJournal;
use tributary::latency::Recorder;
use tributary::merge::{Draft, Findings, Fold, Join};
use tributary::model::{AccountId, Batch, Change, Event, Group, Mutation, Tally};
use tributary::pace::Pace;
use tributary::pipeline::{
    self, AsOf, Context, Ended, GroupCounts, GroupError, Known, Limits, Operations, Reason, Retry,
    Window, merge_group,
};
use tributary::plan::Plan;
use tributary::spec::Spec;
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};

use model::World;
use preset::spec;
use stops::Stops;
use world::{CONTENT, dump, events_of, group, load, world_and_group};

/// The write time of the first merge.
const T: i64 = 2_000_000_000_000_000;

fn context(storage: MemoryStorage, t: i64) -> Arc<Context<MemoryStorage>> {
    context_of(8, storage, Arc::default(), t)
}

fn context_of(
    in_flight: usize,
    storage: MemoryStorage,
    journal: Arc<MemoryJournal>,
    t: i64,
) -> Arc<Context<MemoryStorage>> {
    context_with(spec(), in_flight, storage, journal, t)
}

fn context_with(
    spec: Arc<Spec>,
    in_flight: usize,
    storage: MemoryStorage,
    journal: Arc<MemoryJournal>,
    t: i64,
) -> Arc<Context<MemoryStorage>> {
    let retry = Retry {
        budget: Duration::from_secs(60),
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
        replica_tries: 1,
    };
    let as_of = AsOf::new(t, Duration::ZERO);
    let recorder = Arc::new(Recorder::new(Operations::new(&spec).names().to_vec()));
    let event_sink = EventSink::Memory(Mutex::default());
    let pace = Pace::new(in_flight);
    let mut context =
        Context::new(spec, storage, event_sink, journal, recorder, pace, as_of).expect("in memory");
    context.retry = retry;
    context.window = Some(8);
    Arc::new(context)
}

/// Runs what is asynchronous to its end, on this thread alone.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(future)
}

/// Merges a group, or resumes it if the journal knows it.
fn run(
    context: &Arc<Context<MemoryStorage>>,
    group: &Group,
) -> (Result<Tally, GroupError>, Vec<Event>) {
    let earlier = context.journal.group(group.index).unwrap().map(|record| record.state);
    let result = block_on(async {
        let window = Window::writing(context);
        match window.alone(merge_group(&window, group, earlier, None)).await {
            Err(GroupError::Deferred) => {
                let large = context.admit_large_group().await;
                let window = Window::writing(context);
                window.alone(merge_group(&window, group, earlier, Some(large))).await
            }
            result => result,
        }
    });
    let EventSink::Memory(events) = &context.event_sink else { unreachable!() };
    (result.map(|merged| merged.tally), std::mem::take(&mut *events.lock().unwrap()))
}

/// Merges what is left of a plan; whether all of that ended well.
fn merges(
    context: &Arc<Context<MemoryStorage>>,
    plan: &Plan,
    known: &Known,
    stop: &watch::Receiver<bool>,
) -> bool {
    let (limits, progress) = (Limits::default(), GroupCounts::default());
    let failed = |_: &Group, _: &Reason| Ok::<(), ()>(());
    let run = pipeline::run(context, plan, known, limits, &progress, stop.clone(), failed);
    let (outcome, noted) = block_on(run);
    noted.unwrap();
    outcome.ended == Ended::Finished && outcome.failed == 0
}

fn check_tally(tally: &Tally) {
    for table in &tally.tables {
        assert_eq!(table.source_rows, table.copied + table.merged + table.unchanged);
        assert_eq!(table.deleted, table.source_rows);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_merge_does_what_the_seven_steps_say((world, to, sources) in world_and_group()) {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let context = context(storage, T);
        let (result, events) = run(&context, &group(&to, &sources));
        let tally = result.unwrap();
        let mut expected = world.clone();
        let expected_events = expected.merge(&to, &sources);
        prop_assert_eq!(dump(&spec(), &context.storage), expected);
        prop_assert_eq!(events_of(&events), expected_events);
        prop_assert_eq!(tally.events as usize, events.len());
        check_tally(&tally);
        let of = |user: &String| world.content.keys().filter(|key| key.0 == *user).count() as u64;
        prop_assert_eq!(tally.tables[CONTENT].source_rows, sources.iter().map(of).sum::<u64>());
        let batches: BTreeSet<&String> = world
            .content
            .keys()
            .filter(|(user, ..)| sources.contains(user))
            .map(|(_, _, batch, _)| batch)
            .collect();
        let enrolled = |user: &String| {
            world.enrolments.keys().any(|(batch, owner)| owner == user && batches.contains(batch))
        };
        let absent = sources.iter().filter(|user| of(user) == 0 && !enrolled(user)).count() as u64;
        prop_assert_eq!(tally.absent_sources, absent);
    }

    /// Merging again, later, changes no row and announces nothing.
    #[test]
    fn a_second_merge_changes_nothing((world, to, sources) in world_and_group()) {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let first = context(storage, T);
        run(&first, &group(&to, &sources)).0.unwrap();
        let after = dump(&spec(), &first.storage);
        let storage = Arc::into_inner(first).unwrap().into_storage().unwrap();
        let second = context(storage, T + 1);
        let (result, events) = run(&second, &group(&to, &sources));
        prop_assert_eq!(result.unwrap().tables[CONTENT].source_rows, 0);
        prop_assert_eq!(dump(&spec(), &second.storage), after);
        prop_assert!(events.is_empty());
    }

    /// Requests and answers that get lost are repeated, and nobody can tell afterwards.
    #[test]
    fn lost_requests_leave_no_trace(
        (world, to, sources) in world_and_group(),
        faults in prop::collection::vec(0..4_u8, 1..20),
    ) {
        let requests = AtomicUsize::new(0);
        let faulty = MemoryStorage::with_faults(spec(), move |_| {
            let fault = faults.get(requests.fetch_add(1, Ordering::Relaxed)).copied()?;
            [None, Some(FaultKind::Lost), Some(FaultKind::AnswerLost), None][usize::from(fault)]
        });
        load(&world, &spec(), &faulty);
        let context = context(faulty, T);
        let (result, events) = run(&context, &group(&to, &sources));
        check_tally(&result.unwrap());
        let mut expected = world;
        let expected_events = expected.merge(&to, &sources);
        prop_assert_eq!(dump(&spec(), &context.storage), expected);
        prop_assert_eq!(events_of(&events), expected_events);
    }

    /// Refused at any request: the group fails, no row is lost, and merging again, without the journal,
    /// ends with the same rows.
    #[test]
    fn a_refused_request_loses_nothing((world, to, sources) in world_and_group(), at in 0..12_usize) {
        let requests = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&requests);
        let refusing = MemoryStorage::with_faults(spec(), move |_| {
            (seen.fetch_add(1, Ordering::Relaxed) == at).then_some(FaultKind::Refused)
        });
        load(&world, &spec(), &refusing);
        let first = context(refusing, T);
        let (result, events) = run(&first, &group(&to, &sources));
        let mut expected = world.clone();
        let expected_events = expected.merge(&to, &sources);
        if result.is_ok() {
            prop_assert_eq!(events_of(&events), expected_events);
        } else {
            prop_assert!(events.is_empty(), "announced before every write was acknowledged");
            check_nothing_lost(&world, &dump(&spec(), &first.storage), &to, &sources);
        }
        requests.store(at + 1, Ordering::Relaxed);
        let storage = Arc::into_inner(first).unwrap().into_storage().unwrap();
        let second = context(storage, T + 1);
        run(&second, &group(&to, &sources)).0.unwrap();
        prop_assert_eq!(dump(&spec(), &second.storage), expected);
    }

    /// Stopped at any request or intent, and again, and again: what the journal knows is enough to end
    /// with the same rows, the same events (one id each) and the same counts as if nothing had happened.
    #[test]
    fn a_stopped_group_goes_on_from_the_journal(
        (world, to, sources) in world_and_group(),
        stops in prop::collection::vec((0..14_usize, any::<bool>()), 1..4),
        slice_bytes in prop::sample::select(vec![1, 60, 1_000_000]),
    ) {
        let stop = Stops::default();
        let mut storage = stop.storage(spec());
        load(&world, &spec(), &storage);
        let journal = Arc::<MemoryJournal>::default();
        for (session, at) in stops.into_iter().enumerate() {
            stop.set(Some(at));
            let mut context = context_of(8, storage, Arc::clone(&journal), T + session as i64);
            Arc::get_mut(&mut context).unwrap().slice_bytes = slice_bytes;
            let (result, events) = run(&context, &group(&to, &sources));
            if result.is_ok() {
                return Ok(());
            }
            prop_assert!(events.is_empty(), "announced before every write was acknowledged");
            check_nothing_lost(&world, &dump(&spec(), &context.storage), &to, &sources);
            storage = Arc::into_inner(context).unwrap().into_storage().unwrap();
        }
        stop.set(None);
        let mut context = context_of(8, storage, Arc::clone(&journal), T + 100);
        Arc::get_mut(&mut context).unwrap().slice_bytes = slice_bytes;
        let (result, events) = run(&context, &group(&to, &sources));
        let counted = |mut tally: Tally| {
            // These may be read again.
            tally.tables.iter_mut().for_each(|table| table.target_rows = 0);
            tally
        };
        let tally = counted(result.unwrap());
        let mut expected = world.clone();
        let expected_events = expected.merge(&to, &sources);
        prop_assert_eq!(dump(&spec(), &context.storage), expected);
        prop_assert_eq!(events_of(&events), expected_events);
        let undisturbed = MemoryStorage::new(spec());
        load(&world, &spec(), &undisturbed);
        let mut undisturbed = context_of(8, undisturbed, Arc::default(), T);
        Arc::get_mut(&mut undisturbed).unwrap().slice_bytes = slice_bytes;
        let whole = run(&undisturbed, &group(&to, &sources)).0.unwrap();
        prop_assert_eq!(tally, counted(whole));
        prop_assert_eq!(context.journal.group(0).unwrap().unwrap().state, State::Done);
    }

    /// Whatever pages the rows arrive in, the slices say the same.
    #[test]
    fn page_boundaries_make_no_difference(
        (world, to, sources) in world_and_group(),
        pages in prop::collection::vec(0..4_usize, 1..12)
            .prop_filter("empty pages only", |pages| pages.iter().any(|size| *size > 0)),
    ) {
        let mut whole = pages.clone();
        whole.fill(1_000);
        prop_assert_eq!(
            mutations(&world, &to, &sources, &pages),
            mutations(&world, &to, &sources, &whole)
        );
    }
}

/// Every key that an account of the group held is still held by one of them.
fn check_nothing_lost(before: &World, now: &World, to: &str, sources: &[String]) {
    let ours = |user: &String| user == to || sources.contains(user);
    for (user, content, batch, course) in before.content.keys().filter(|key| ours(&key.0)) {
        let kept = now
            .content
            .keys()
            .any(|(owner, c, b, k)| ours(owner) && (c, b, k) == (content, batch, course));
        assert!(kept, "content {content} of {user} in {batch} is lost");
    }
    for (batch, user) in before.enrolments.keys().filter(|key| ours(&key.1)) {
        let kept = now.enrolments.keys().any(|(b, owner)| b == batch && ours(owner));
        assert!(kept, "the enrolment of {user} in {batch} is lost");
    }
}

/// What the join and the slices make of the rows, fed in pages of the given sizes.
fn mutations(world: &World, to: &str, sources: &[String], pages: &[usize]) -> String {
    let spec = spec();
    let table = &spec.tables[CONTENT];
    let survivor = group(to, sources).survivor;
    let mut streams = vec![world::rows_of(&spec, world, to, table.slim_len)];
    streams.extend(sources.iter().map(|s| world::rows_of(&spec, world, s, table.columns.len())));
    let mut join = Join::new(table, sources.len());
    let mut findings = Findings::new(&spec, sources.len());
    let mut draft = Draft::new(spec.tables.len());
    let mut sizes = pages.iter().cycle();
    while !join.is_finished() {
        for stream in join.hungry(1) {
            let size = (*sizes.next().unwrap()).min(streams[stream].len());
            let rest = streams[stream].split_off(size);
            let page = std::mem::replace(&mut streams[stream], rest);
            // A page may be empty and yet not be the last.
            join.feed(stream, page, streams[stream].is_empty()).unwrap();
        }
        while let Some(matched) = join.next_key() {
            let (entry, tally) = Fold::all(CONTENT, table, matched);
            findings.note(table, &entry);
            draft.add(entry, &tally);
        }
    }
    let owners: Vec<_> = findings.partitions(CONTENT).collect();
    let writes = draft.slice.writes(&spec, &survivor, T);
    format!("{writes:?} {:?} {:?} {owners:?}", draft.tally, findings.scopes(1))
}

#[test]
fn rows_out_of_order_are_refused() {
    let spec = spec();
    let (world, ..) = a_small_world();
    let mut rows = world::rows_of(&spec, &world, "u1", 100);
    rows.reverse();
    let mut join = Join::new(&spec.tables[CONTENT], 1);
    let refused = join.feed(1, rows.clone(), true).unwrap_err().to_string();
    assert!(refused.contains("content_consumption"), "{refused}");
    let mut join = Join::new(&spec.tables[CONTENT], 1);
    let (first, second) = rows.split_at(1);
    join.feed(1, first.to_vec(), false).unwrap();
    assert!(join.feed(1, second.to_vec(), true).is_err(), "across pages too");
}

fn a_small_world() -> (World, String, Vec<String>) {
    let mut world = World::default();
    for (user, content) in [("u1", "c1"), ("u1", "c2"), ("u2", "c2"), ("u3", "c3")] {
        let key = (user.to_owned(), content.to_owned(), "b1".to_owned(), "k1".to_owned());
        world.content.insert(key, [("status".to_owned(), "1".to_owned())].into());
    }
    for user in ["u1", "u2"] {
        world.enrolments.insert(("b1".into(), user.into()), Default::default());
    }
    (world, "u3".into(), vec!["u1".into(), "u2".into()])
}

/// Law 2, watched at every write: sources of content go last, one partition delete each, and a copy
/// shares its batch with the delete of its source.
#[test]
fn deletes_come_after_their_copies() {
    let (world, to, sources) = a_small_world();
    let log: Arc<Mutex<Vec<Batch>>> = Arc::default();
    let storage = MemoryStorage::with_faults(spec(), {
        let log = Arc::clone(&log);
        move |request| {
            match request {
                Request::Write(batch) => log.lock().unwrap().push((*batch).clone()),
                Request::DeletePartitions(table, accounts) => {
                    let delete = |account: &AccountId| Mutation {
                        table: *table,
                        t: T,
                        change: Change::DeletePartition { key: vec![account.cell().clone()] },
                    };
                    let mutations = accounts.iter().map(delete).collect();
                    log.lock().unwrap().push(Batch { table: *table, mutations });
                }
                _ => {}
            }
            None
        }
    });
    load(&world, &spec(), &storage);
    let context = context(storage, T);
    run(&context, &group(&to, &sources)).0.unwrap();
    let log = log.lock().unwrap();
    let shape: Vec<Vec<&str>> = log
        .iter()
        .map(|batch| {
            let word = |change: &Change| match change {
                Change::Insert { .. } => "insert",
                Change::Update { .. } => "update",
                Change::SetList { .. } => "list",
                Change::AddElements { .. }
                | Change::RemoveElements { .. }
                | Change::ExpireRow { .. } => "of a sweep only",
                Change::DeleteRow { .. } => "delete row",
                Change::DeletePartition { .. } => "delete partition",
            };
            batch.mutations.iter().map(|mutation| word(&mutation.change)).collect()
        })
        .collect();
    let mut shape = shape;
    // What is written for two tables goes at the same time, and so do the deletes at two nodes.
    shape[..2].sort_by_key(|batch| batch.len());
    let expected: [&[&str]; 2] = [&["insert", "insert"], &["insert", "delete row", "delete row"]];
    assert_eq!(shape[..2], expected);
    assert_eq!(shape[2..].concat(), ["delete partition"; 2]);
    assert!(log.iter().flat_map(|batch| &batch.mutations).all(|mutation| mutation.t == T));
}

/// What the application writes after T stays, whatever the merge writes or deletes.
#[test]
fn later_writes_win() {
    let (world, to, sources) = a_small_world();
    let storage = MemoryStorage::new(spec());
    load(&world, &spec(), &storage);
    let later = |user: &str, status: &str| {
        let columns = [
            ("userid", user),
            ("contentid", "c1"),
            ("batchid", "b1"),
            ("courseid", "k1"),
            ("status", status),
        ];
        let columns = columns.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        world::to_row(&spec(), CONTENT, &columns)
    };
    storage.put(CONTENT, later("u3", "0"), T + 1);
    storage.put(CONTENT, later("u1", "2"), T + 1);
    let context = context(storage, T);
    run(&context, &group(&to, &sources)).0.unwrap();
    let after = dump(&spec(), &context.storage);
    let status = |user: &str| {
        let key = (user.to_owned(), "c1".to_owned(), "b1".to_owned(), "k1".to_owned());
        after.content[&key].get("status").cloned()
    };
    assert_eq!(status("u3").as_deref(), Some("0"), "the survivor's later value");
    assert_eq!(status("u1").as_deref(), Some("2"), "the source's later write outlives the delete");
}

/// The same group with the same T says the same: rows, times and event ids.
#[test]
fn events_can_be_recognised() {
    let (world, to, sources) = a_small_world();
    let announce = |t| {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        run(&context(storage, t), &group(&to, &sources)).1
    };
    let (first, again, other) = (announce(T), announce(T), announce(T + 1_000));
    assert_eq!(first.len(), 1);
    assert_eq!(first, again);
    let mid = |event: &Event| {
        let value: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(value["ets"], serde_json::json!(value["ets"].as_i64().unwrap()));
        let mid = value["mid"].as_str().unwrap().to_owned();
        assert!(mid.starts_with(&format!("LP.{}.", value["ets"])), "{mid}");
        mid
    };
    assert_ne!(mid(&first[0]), mid(&other[0]));
    let value: serde_json::Value = serde_json::from_slice(&first[0].payload).unwrap();
    let expected = serde_json::json!({
        "actor": {"id": "Course Batch Updater", "type": "System"},
        "eid": "BE_JOB_REQUEST",
        "edata": {
            "action": "batch-enrolment-sync", "iteration": 1, "batchId": "b1", "userId": "u3",
            "courseId": "k1", "reset": ["completionPercentage", "status", "progress"],
        },
        "ets": T / 1_000,
        "context": {"pdata": {"ver": "1.0", "id": "org.sunbird.platform"}},
        "mid": mid(&first[0]),
        "object": {"id": "b1_u3", "type": "CourseBatchEnrolment"},
    });
    assert_eq!(value, expected);
}
