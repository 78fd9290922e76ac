//! Many groups at once, in few partitions: nobody can tell from the rows, the events or the failures.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tributary::events::EventSink;
use tributary::model::{Batch, Change, Group};
use tributary::pairs::{self, Format};
use tributary::pipeline::{
    self, Context, Ended, ErrorLimit, GroupCounts, Known, Limits, Reason, RunOutcome,
};
use tributary::plan::{self, Plan};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};

use super::model::{Events, World};
use super::preset::spec;
use super::world::{CONTENT, ENROLMENTS, dump, events_of, load};
use super::{T, block_on, context, context_of};

const GROUPS: usize = 60;
const BATCHES: usize = 3;

/// Pairs `sN,tN`; each source has two rows of content and is enrolled twice, every third target too.
pub fn world() -> (World, Plan) {
    let mut world = World::default();
    let mut csv = "from,to\n".to_owned();
    for n in 0..GROUPS {
        csv += &format!("s{n},t{n}\n");
        for b in [n % BATCHES, (n + 1) % BATCHES] {
            let batch = format!("b{b}");
            let key = (format!("s{n}"), format!("c{n}"), batch.clone(), "k".to_owned());
            world.content.insert(key, [("status".to_owned(), "2".to_owned())].into());
            let columns = [("grade".to_owned(), format!("of s{n}"))];
            world.enrolments.insert((batch.clone(), format!("s{n}")), columns.into());
            if n % 3 == 0 {
                world.enrolments.insert((batch, format!("t{n}")), [].into());
            }
        }
    }
    let list = pairs::read(csv.as_bytes(), &Format::default()).unwrap();
    (world, plan::resolve(list))
}

pub fn run_all(
    context: &Arc<Context<MemoryStorage>>,
    plan: &Plan,
    stop: watch::Receiver<bool>,
    errors: ErrorLimit,
) -> (RunOutcome, Vec<String>) {
    let limits = Limits { groups: usize::MAX, errors };
    let failed = Mutex::new(Vec::new());
    let outcome = block_on(pipeline::run(
        context,
        plan,
        &Known::default(),
        limits,
        &GroupCounts::default(),
        stop,
        |group: &Group, reason: &Reason| {
            failed.lock().unwrap().push(format!("{}: {}", group.survivor, reason.reason));
            Ok::<(), ()>(())
        },
    ));
    assert_eq!(outcome.1, Ok(()));
    (outcome.0, failed.into_inner().unwrap())
}

fn announced(context: &Context<MemoryStorage>) -> Events {
    let EventSink::Memory(events) = &context.event_sink else { unreachable!() };
    events_of(&events.lock().unwrap())
}

/// The world after the groups that `merged` says, and the events.
fn expected(world: &World, merged: impl Fn(usize) -> bool) -> (World, Events) {
    let (mut world, mut events) = (world.clone(), Events::new());
    for n in (0..GROUPS).filter(|n| merged(*n)) {
        events.extend(world.merge(&format!("t{n}"), &[format!("s{n}")]));
    }
    (world, events)
}

pub fn never() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    std::mem::forget(stop);
    stopped
}

#[test]
fn groups_together_end_like_groups_in_turn() {
    let (world, plan) = world();
    let storage = MemoryStorage::new(spec());
    load(&world, &spec(), &storage);
    let context = context_of(GROUPS, storage, Arc::default(), T);
    let (outcome, _) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!((outcome.ended, outcome.done), (Ended::Finished, GROUPS as u64));
    let (rows, events) = expected(&world, |_| true);
    assert_eq!(dump(&spec(), &context.storage), rows);
    assert_eq!(announced(&context), events);
}

/// Of groups that are large, few run while small ones are left, and none is lost by waiting.
#[test]
fn large_groups_let_the_small_ones_pass() {
    const LARGE: usize = 40;
    const ROWS: usize = 300;
    let (mut world, _) = world();
    let mut csv = "from,to\n".to_owned();
    for n in 0..LARGE {
        csv += &format!("ls{n},lt{n}\n");
        for row in 0..ROWS {
            let key = (format!("ls{n}"), format!("c{row:03}"), "b0".to_owned(), "k".to_owned());
            let large = [("status", "1".to_owned()), ("grade", "x".repeat(1_000))];
            world.content.insert(key, large.map(|(name, value)| (name.to_owned(), value)).into());
        }
        world.enrolments.insert(("b0".to_owned(), format!("ls{n}")), [].into());
    }
    (0..GROUPS).for_each(|n| csv += &format!("s{n},t{n}\n"));
    let plan = plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap());
    // The survivors in the order in which the first of their rows came.
    let begun = Arc::new(Mutex::new(Vec::<String>::new()));
    let writes = Arc::clone(&begun);
    let storage = MemoryStorage::with_faults(spec(), move |request| {
        if let Request::Write(batch) = request
            && batch.table == CONTENT
            && let Some(survivor) = batch.partition_key(1)
        {
            let survivor = String::from_utf8(survivor[0].to_vec()).unwrap();
            let mut begun = writes.lock().unwrap();
            if !begun.contains(&survivor) {
                begun.push(survivor);
            }
        }
        None
    });
    load(&world, &spec(), &storage);
    let context = context_of(16, storage, Arc::default(), T);
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!((outcome.ended, outcome.done), (Ended::Finished, (LARGE + GROUPS) as u64));
    assert_eq!(outcome.pairs_merged, (LARGE + GROUPS) as u64);
    assert_eq!(outcome.tally.tables[CONTENT].source_rows, (LARGE * ROWS + 2 * GROUPS) as u64);
    let mut rows = world;
    let mut events = Events::new();
    for n in 0..LARGE {
        events.extend(rows.merge(&format!("lt{n}"), &[format!("ls{n}")]));
    }
    for n in 0..GROUPS {
        events.extend(rows.merge(&format!("t{n}"), &[format!("s{n}")]));
    }
    assert_eq!(dump(&spec(), &context.storage), rows);
    assert_eq!(announced(&context), events);
    let begun = begun.lock().unwrap();
    let is_large = |survivor: &&String| survivor.starts_with("lt");
    assert_eq!(begun.iter().filter(is_large).count(), LARGE);
    // They are the first of the plan.
    let early = begun[..GROUPS].iter().filter(is_large).count();
    assert!(early < LARGE / 2, "{early} of them came first: {begun:?}");
}

#[test]
fn lost_answers_are_repeated() {
    let (world, plan) = world();
    let requests = AtomicUsize::new(0);
    let storage = MemoryStorage::with_faults(spec(), move |_| {
        match requests.fetch_add(1, Ordering::Relaxed) % 5 {
            1 => Some(FaultKind::Lost),
            3 => Some(FaultKind::AnswerLost),
            _ => None,
        }
    });
    load(&world, &spec(), &storage);
    let context = context(storage, T);
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!((outcome.done, failed), (GROUPS as u64, Vec::new()));
    assert!(context.retries() > 0);
    let (rows, events) = expected(&world, |_| true);
    assert_eq!(dump(&spec(), &context.storage), rows);
    assert_eq!(announced(&context), events);
}

fn writes_for(batch: &Batch, account: &str) -> bool {
    batch.table == ENROLMENTS
        && batch.mutations.iter().any(|mutation| match &mutation.change {
            Change::Insert { row } => row.cells[1].as_deref() == Some(account.as_bytes()),
            _ => false,
        })
}

#[test]
fn a_refused_batch_fails_its_own_group() {
    let (world, plan) = world();
    let storage = MemoryStorage::with_faults(spec(), |request| match request {
        Request::Write(batch) if writes_for(batch, "t7") => Some(FaultKind::Refused),
        _ => None,
    });
    load(&world, &spec(), &storage);
    let context = context(storage, T);
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Percent(50.0));
    assert_eq!((outcome.ended, outcome.done), (Ended::Finished, GROUPS as u64 - 1));
    assert_eq!(failed, ["t7: the request was refused"]);
    let (rows, events) = expected(&world, |n| n != 7);
    let now = dump(&spec(), &context.storage);
    assert_eq!(now.enrolments, rows.enrolments);
    assert_eq!(announced(&context), events);
    // What failed can be merged again, and nothing is missing then.
    let context = Arc::into_inner(context).unwrap().into_storage().unwrap();
    let healthy = MemoryStorage::new(spec());
    load(&dump(&spec(), &context), &spec(), &healthy);
    let again = super::context(healthy, T + 1);
    run_all(&again, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!(dump(&spec(), &again.storage), expected(&world, |_| true).0);
}

#[test]
fn too_many_failures_stop_the_run() {
    let (world, plan) = world();
    let storage = MemoryStorage::with_faults(spec(), |request| match request {
        Request::Write(_) => Some(FaultKind::Refused),
        _ => None,
    });
    load(&world, &spec(), &storage);
    let context = context(storage, T);
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(3));
    assert_eq!((outcome.ended, outcome.done), (Ended::TooManyErrors, 0));
    assert_eq!(outcome.failed as usize, failed.len());
    assert!(failed.len() > 3 && failed.len() < GROUPS, "{} failed", failed.len());
    assert_eq!(dump(&spec(), &context.storage), world);
}

#[test]
fn a_stop_finishes_what_is_in_flight() {
    let (world, plan) = world();
    let (stop, stopped) = watch::channel(false);
    let pages = AtomicUsize::new(0);
    let storage = MemoryStorage::with_faults(spec(), move |request| {
        if matches!(request, Request::FirstRows(..)) && pages.fetch_add(1, Ordering::Relaxed) == 6 {
            stop.send_replace(true);
        }
        None
    });
    load(&world, &spec(), &storage);
    let context = context(storage, T);
    let (outcome, failed) = run_all(&context, &plan, stopped, ErrorLimit::Groups(0));
    assert_eq!((outcome.ended, failed.len()), (Ended::Interrupted, 0));
    assert!(outcome.done >= 8 && outcome.done < GROUPS as u64, "{} done", outcome.done);
    // Groups start in the order of the plan, and each one that started is whole.
    let (rows, events) = expected(&world, |n| n < outcome.done as usize);
    assert_eq!(dump(&spec(), &context.storage), rows);
    assert_eq!(announced(&context), events);
}

/// How many rows a first page has is learnt while groups run, so that those which share a read may have asked for
/// pages of different lengths: an account whose rows were cut off must not be taken for read to its end.
#[test]
fn accounts_that_share_a_read_are_read_to_their_end() {
    let mut world = World::default();
    let mut csv = "from,to\n".to_owned();
    for n in 0..600 {
        csv += &format!("s{n},t{n}\n");
        // Before a row is seen, a first page has 32; of rows as short as these it has hundreds.
        for c in 0..20 + n % 60 {
            let key = (format!("s{n}"), format!("c{c}"), "b".to_owned(), "k".to_owned());
            world.content.insert(key, [].into());
        }
    }
    let plan = plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap());
    // One account is not answered before many groups are merged, so that requests for longer pages join those that
    // were made when no row had been seen.
    let writes = AtomicUsize::new(0);
    let storage = MemoryStorage::with_faults(spec(), move |request| match request {
        Request::Write(_) => {
            writes.fetch_add(1, Ordering::Relaxed);
            None
        }
        Request::FirstRows(_, accounts, _) => {
            let waits = accounts[0].text() == "s0";
            (waits && writes.load(Ordering::Relaxed) < 400).then_some(FaultKind::Lost)
        }
        _ => None,
    });
    load(&world, &spec(), &storage);
    let context = context_of(60, storage, Arc::default(), T);
    let (outcome, _) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    let rows = world.content.len() as u64;
    assert_eq!(outcome.tally.tables[CONTENT].copied, rows);
    for n in 0..600 {
        world.merge(&format!("t{n}"), &[format!("s{n}")]);
    }
    assert_eq!(dump(&spec(), &context.storage), world);
}
