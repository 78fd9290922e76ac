//! What an inspection says of a group is what a merge of it does, whatever the world, and it leaves no trace.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::sync::watch;
use tributary::latency::Recorder;
use tributary::model::Tally;
use tributary::pace::Pace;
use tributary::pairs::{self, Format};
use tributary::pipeline::{
    self, Context, Discover, ErrorLimit, GroupCounts, GroupError, Inspected, Operations, Selection,
};
use tributary::plan::{self, Plan};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};

use super::coalesce::{never, run_all};
use super::preset::spec;
use super::sweep::plan_of;
use super::world::{CONTENT, dump, load, world_and_group};
use super::{T, World, block_on, context_of, run};

pub fn reading(storage: MemoryStorage, discover: Discover) -> Arc<Context<MemoryStorage>> {
    let recorder = Arc::new(Recorder::new(Operations::new(&spec()).names().to_vec()));
    let mut context = Context::reading(spec(), storage, recorder, Pace::new(8)).unwrap();
    context.work.discover = discover;
    context.window = Some(8);
    Arc::new(context)
}

pub fn inspect(
    context: &Arc<Context<MemoryStorage>>,
    plan: &Plan,
    selection: Selection,
    stop: &watch::Receiver<bool>,
) -> Result<Inspected, GroupError> {
    let progress = GroupCounts::default();
    block_on(pipeline::inspect(context, plan, selection, &progress, stop))
}

/// What was said of all groups, as a merge counts it.
fn tally_of(inspected: &Inspected, groups: u64) -> Tally {
    let figures = &inspected.figures;
    let exact = |moments: &tributary::estimate::Moments| {
        let total = moments.total(groups);
        assert!(total.is_exact(), "{total:?}");
        total.value
    };
    let mut tally = Tally::new(figures.tables.len());
    for (tally, figures) in tally.tables.iter_mut().zip(&figures.tables) {
        tally.source_rows = exact(&figures.source_rows);
        tally.copied = exact(&figures.copied);
        tally.merged = exact(&figures.merged);
        tally.unchanged = exact(&figures.unchanged);
        tally.deleted = exact(&figures.deleted);
    }
    tally.absent_sources = exact(&figures.absent_sources);
    tally.absent_survivors = exact(&figures.absent_survivors);
    tally.events = exact(&figures.events);
    tally.batches = exact(&figures.batches);
    tally
}

/// A merge's counts, without those that nothing is said of.
fn comparable(mut tally: Tally) -> Tally {
    tally.tables.iter_mut().for_each(|table| table.target_rows = 0);
    tally.slices = 0;
    tally
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_is_said_is_what_a_merge_does(
        (world, to, sources) in world_and_group(),
        scans in any::<bool>(),
    ) {
        let discover = if scans { Discover::Scan } else { Discover::Content };
        let writes = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&writes);
        let storage = MemoryStorage::with_faults(spec(), move |request| {
            if matches!(request, Request::Write(_)) {
                seen.fetch_add(1, Ordering::Relaxed);
            }
            None
        });
        load(&world, &spec(), &storage);
        let plan = plan_of(&to, &sources);
        let context = reading(storage, discover);
        let inspected = inspect(&context, &plan, Selection::All, &never()).unwrap();
        prop_assert_eq!(writes.load(Ordering::Relaxed), 0);
        prop_assert_eq!(&dump(&spec(), &context.storage), &world);
        prop_assert!(context.journal.states().unwrap().is_empty());
        prop_assert!(context.journal.scans().unwrap().is_empty());

        let storage = Arc::into_inner(context).unwrap().into_storage().unwrap();
        let journal = Arc::default();
        let mut merging = context_of(8, storage, Arc::clone(&journal), T);
        Arc::get_mut(&mut merging).unwrap().work.discover = discover;
        if scans {
            block_on(pipeline::scan(&merging, &plan, &never())).unwrap();
        }
        let tally = run(&merging, &plan.group(0)).0.unwrap();
        prop_assert_eq!(tally_of(&inspected, 1), comparable(tally.clone()));

        // What only a scan has found is what a merge without one leaves.
        let (mut by_content, mut by_scan) = (world.clone(), world);
        by_content.merge(&to, &sources);
        by_scan.merge_by_scan(&to, &sources);
        let left = |world: &World| {
            world.enrolments.keys().filter(|(_, user)| sources.contains(user)).count() as u64
        };
        prop_assert_eq!(left(&by_scan), 0);
        let missed = inspected.figures.missed.total(1).value;
        prop_assert_eq!(missed, if scans { left(&by_content) } else { 0 });
        let absent: Vec<u64> = inspected.absent_sources.iter().map(|absent| absent.line).collect();
        prop_assert_eq!(absent.len() as u64, tally.absent_sources);
    }
}

/// A world of pairs, of which one in ten has nothing and the first is merged from very many sources.
fn many() -> (World, Plan) {
    let (mut world, mut csv) = (World::default(), "from,to\n".to_owned());
    for n in 0..400 {
        csv += &format!("s{n},{}\n", if n < 50 { "t0".to_owned() } else { format!("t{n}") });
        for c in 0..n % 10 {
            let key = (format!("s{n}"), format!("c{c}"), "b".to_owned(), "k".to_owned());
            world.content.insert(key, [].into());
        }
    }
    (world, plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap()))
}

#[test]
fn a_sample_holds_the_truth_and_always_the_largest_groups() {
    let (world, plan) = many();
    let mut covered = 0;
    for seed in 0..100 {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let context = reading(storage, Discover::Content);
        let selection = Selection::Sample { groups: 60, seed };
        let inspected = inspect(&context, &plan, selection, &never()).unwrap();
        assert_eq!((inspected.groups, inspected.pairs), (60, 59 + 50));
        let rows = inspected.figures.tables[CONTENT].source_rows.total(plan.len() as u64);
        assert!(!rows.is_exact());
        covered += u32::from((rows.low..=rows.high).contains(&(world.content.len() as u64)));
    }
    assert!((88..=100).contains(&covered), "{covered} of 100");
}

#[test]
fn deletes_in_a_shared_partition_are_counted_over_groups_by_both() {
    let (mut world, plan) = many();
    for n in 0..400 {
        world.enrolments.insert(("b".to_owned(), format!("s{n}")), [].into());
    }
    let storage = MemoryStorage::new(spec());
    load(&world, &spec(), &storage);
    let context = reading(storage, Discover::Content);
    inspect(&context, &plan, Selection::All, &never()).unwrap();
    let hottest = context.deletes.hottest(5);
    // One in ten of the plain pairs has no content that leads there; of the large group one is enough.
    assert_eq!(hottest.len(), 1);
    assert_eq!((hottest[0].at_least, hottest[0].at_most), (365, 365));
    assert_eq!((context.deletes.reached(365), context.deletes.reached(366)), (1, 0));

    let storage = Arc::into_inner(context).unwrap().into_storage().unwrap();
    let merging = context_of(8, storage, Arc::default(), T);
    run_all(&merging, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!(merging.deletes.hottest(5), hottest);
}

#[test]
fn groups_that_cannot_be_read_are_counted_and_the_rest_is_an_estimate() {
    let (world, plan) = many();
    let storage = MemoryStorage::with_faults(spec(), |request| match request {
        Request::FirstRows(_, accounts, _) | Request::Owners(_, _, accounts) => {
            accounts.iter().any(|account| account.text() == "s77").then_some(FaultKind::Refused)
        }
        _ => None,
    });
    load(&world, &spec(), &storage);
    let context = reading(storage, Discover::Content);
    let inspected = inspect(&context, &plan, Selection::All, &never()).unwrap();
    assert_eq!((inspected.unreadable, inspected.groups), (1, plan.len() as u64 - 1));
    assert_eq!(inspected.reasons.values().sum::<u64>(), 1);
    assert!(!inspected.figures.tables[CONTENT].source_rows.total(plan.len() as u64).is_exact());
}

#[test]
fn a_stop_ends_an_inspection() {
    let (world, plan) = many();
    let (stop, stopped) = watch::channel(false);
    let storage = MemoryStorage::with_faults(spec(), move |_| {
        stop.send_replace(true);
        None
    });
    load(&world, &spec(), &storage);
    let context = reading(storage, Discover::Content);
    let inspected = inspect(&context, &plan, Selection::All, &stopped).unwrap();
    assert!(inspected.interrupted && inspected.groups < plan.len() as u64);
}
