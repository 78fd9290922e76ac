//! Enrolments that nothing leads to: found by a scan, whatever stops it, and by the sweep's scan if they are late.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tokio::sync::watch;
use tributary::journal::Journal;
use tributary::journal::memory::MemoryJournal;
use tributary::model::ScanTally;
use tributary::model::{AccountId, TokenRange};
use tributary::pipeline::{self, Context, Discover, GroupError};
use tributary::plan::{self, Plan};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};
use tributary::storage::{Reader, ring};

use super::model::{Columns, World};
use super::preset::spec;
use super::stops::Stops;
use super::sweep::{later, plan_of, sweep};
use super::world::{ENROLMENTS, dump, events_of, load, to_row, world_and_group};
use super::{block_on, context_of, run};

fn scanning(storage: MemoryStorage, journal: &Arc<MemoryJournal>) -> Arc<Context<MemoryStorage>> {
    // Long ago, so that groups are dated by the clock.
    let mut context = context_of(8, storage, Arc::clone(journal), 1_000_000);
    Arc::get_mut(&mut context).unwrap().work.discover = Discover::Scan;
    context
}

fn scan(context: &Context<MemoryStorage>, plan: &Plan) -> Result<ScanTally, GroupError> {
    let (_stop, stopped) = watch::channel(false);
    block_on(pipeline::scan(context, plan, &stopped))
}

/// Each range of the ring once.
fn check_ranges(journal: &MemoryJournal, scanned: &ScanTally) {
    let done: Vec<TokenRange> = journal.scans().unwrap().iter().map(|scan| scan.range).collect();
    let whole = [TokenRange { after: i64::MIN, to: i64::MAX }];
    assert_eq!(ring::left_of(&whole, &done), []);
    assert_eq!(done.len() as u64, scanned.ranges);
    let mut sorted = done;
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| pair[0].to == pair[1].after), "a range twice");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Stopped anywhere, during the scan or after it, and again, and again: it ends as the plain model says.
    #[test]
    fn a_merge_by_scan_does_what_the_seven_steps_say(
        (world, to, sources) in world_and_group(),
        stops in prop::collection::vec((0..300_usize, any::<bool>()), 0..4),
        slice_bytes in prop::sample::select(vec![1, 1_000_000]),
    ) {
        let stop = Stops::default();
        let mut storage = stop.storage(spec());
        load(&world, &spec(), &storage);
        let plan = plan_of(&to, &sources);
        let journal = Arc::<MemoryJournal>::default();
        let mut events = Vec::new();
        for at in stops.into_iter().map(Some).chain([None]) {
            stop.set(at);
            let before = journal.scans().unwrap().len() as u64;
            let mut context = scanning(storage, &journal);
            Arc::get_mut(&mut context).unwrap().slice_bytes = slice_bytes;
            let scanned = scan(&context, &plan);
            let mut is_over = false;
            if let Ok(scanned) = scanned {
                prop_assert_eq!(scanned.ranges_before, before);
                prop_assert_eq!(scanned.ranges_before + scanned.ranges_now, scanned.ranges);
                prop_assert_eq!(scanned.rows, world.enrolments.len() as u64);
                check_ranges(&journal, &scanned);
                let (result, sent) = run(&context, &plan.group(0));
                events = sent;
                is_over = result.is_ok();
            }
            prop_assert!(is_over || at.is_some());
            storage = Arc::into_inner(context).unwrap().into_storage().unwrap();
            if is_over {
                break;
            }
        }
        stop.set(None);
        let mut expected = world;
        let expected_events = expected.merge_by_scan(&to, &sources);
        prop_assert_eq!(dump(&spec(), &storage), expected.clone());
        prop_assert_eq!(events_of(&events), expected_events);
        // The sweep finds nothing, for nothing is left.
        let (context, swept, left) = sweep(scanning(storage, &journal), &plan);
        prop_assert_eq!((swept.rows, left.len()), (0, 0));
        prop_assert_eq!(swept.scanned, Some(expected.enrolments.len() as u64));
        prop_assert_eq!(dump(&spec(), &context.storage), expected);
    }

    /// What is enrolled after the scan, in any batch, reaches the survivor by the sweep.
    #[test]
    fn late_enrolments_reach_the_survivor(
        (world, to, sources) in world_and_group(),
        late in prop::collection::btree_map(1..6_u8, (0..4_usize, later()), 0..4),
    ) {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let plan = plan_of(&to, &sources);
        let context = scanning(storage, &Arc::default());
        scan(&context, &plan).unwrap();
        run(&context, &plan.group(0)).0.unwrap();
        let t = context.journal.group(0).unwrap().unwrap().t.unwrap();
        let mut expected = dump(&spec(), &context.storage);
        for (n, (batch, (source, columns))) in late.iter().enumerate() {
            let (batch, source) = (format!("b{batch}"), &sources[source % sources.len()]);
            let key = [("batchid", &batch), ("userid", source)];
            let mut full = columns.clone();
            full.extend(key.map(|(name, value)| (name.to_owned(), value.clone())));
            context.storage.put(ENROLMENTS, to_row(&spec(), ENROLMENTS, &full), t + 1 + n as i64);
            let own = world.enrolments.contains_key(&(batch.clone(), to.clone()));
            let row = expected.enrolments.entry((batch, to.clone())).or_default();
            if !own {
                row.extend(columns.clone());
            }
        }
        let (context, swept, left) = sweep(context, &plan);
        prop_assert_eq!(left, Vec::new());
        prop_assert_eq!(swept.rows, late.len() as u64);
        prop_assert_eq!(&dump(&spec(), &context.storage), &expected);
        let (_, again, _) = sweep(context, &plan);
        prop_assert_eq!(again.rows, 0);
    }

    /// However small the pages: every key of the table once.
    #[test]
    fn pages_of_a_scan_are_the_whole_table((world, ..) in world_and_group(), rows in 1..4_usize) {
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let keys = block_on(async {
            let mut keys = Vec::new();
            for range in storage.token_ranges(10).await.unwrap() {
                let mut next = None;
                loop {
                    let page = storage.scan(ENROLMENTS, range, rows, next).await.unwrap();
                    assert!(page.keys.len() <= rows);
                    keys.extend(page.keys);
                    next = page.next;
                    if next.is_none() {
                        break;
                    }
                }
            }
            keys
        });
        let mut keys: Vec<(String, String)> = keys
            .into_iter()
            .map(|(batch, user)| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(&batch.values()[0]), text(&user))
            })
            .collect();
        keys.sort();
        prop_assert!(keys.iter().eq(world.enrolments.keys()));
    }
}

/// Every group gets what its own sources own, and a group that content leads to as well gets it once.
#[test]
fn each_group_is_given_its_own_enrolments() {
    let mut world = World::default();
    let mut csv = "from,to\n".to_owned();
    let mut expected = BTreeMap::new();
    for n in 0..50 {
        csv += &format!("from-{n},to-{n}\nalso-{n},to-{n}\n");
        for (batch, user) in [(n % 3, "from"), (n % 7 + 3, "also"), (1, "also"), (2, "other")] {
            world.enrolments.insert((format!("b{batch}"), format!("{user}-{n}")), Columns::new());
            let user = if user == "other" { "other" } else { "to" };
            expected.insert((format!("b{batch}"), format!("{user}-{n}")), Columns::new());
        }
    }
    let plan = plan::resolve(
        tributary::pairs::read(csv.as_bytes(), &tributary::pairs::Format::default()).unwrap(),
    );
    let storage = MemoryStorage::new(spec());
    load(&world, &spec(), &storage);
    let context = scanning(storage, &Arc::default());
    let scanned = scan(&context, &plan).unwrap();
    assert_eq!((scanned.rows, scanned.clustered_rows), (world.enrolments.len() as u64, 150));
    for group in plan.groups() {
        let (result, events) = run(&context, &group);
        let tally = result.unwrap();
        assert_eq!(tally.absent_sources, 0);
        assert_eq!(tally.events, events.len() as u64);
        assert!(events.len() >= 2);
    }
    assert_eq!(dump(&spec(), &context.storage).enrolments, expected);
}

/// A stop ends the scan at once; what was over by then stays known.
#[test]
fn a_stopped_scan_goes_on_where_it_was() {
    let (stop, stopped) = watch::channel(false);
    let asked = AtomicUsize::new(0);
    let storage = MemoryStorage::with_faults(spec(), move |request| {
        if matches!(request, Request::Scan(..)) && asked.fetch_add(1, Ordering::Relaxed) == 100 {
            stop.send(true).unwrap();
        }
        None
    });
    let plan = plan_of("t", &["s".to_owned()]);
    let journal = Arc::<MemoryJournal>::default();
    let context = scanning(storage, &journal);
    let first = block_on(pipeline::scan(&context, &plan, &stopped)).unwrap();
    assert!(first.interrupted && (1..=101).contains(&first.ranges_now), "{first:?}");
    let known = journal.scans().unwrap().len() as u64;
    assert!(known >= first.ranges_now);
    let context = scanning(Arc::into_inner(context).unwrap().into_storage().unwrap(), &journal);
    let second = scan(&context, &plan).unwrap();
    assert_eq!((second.interrupted, second.ranges_before), (false, known));
    check_ranges(&journal, &second);
}

/// What the journal has of a group counts where only the scan leads to its enrolments: a session that goes on
/// announces the batch that the one before had moved as well.
#[test]
fn enrolments_moved_before_a_stop_are_announced_after_it() {
    let mut world = World::default();
    for batch in ["b1", "b2"] {
        world.enrolments.insert((batch.to_owned(), "s".to_owned()), Columns::new());
    }
    let refused = Arc::new(Mutex::new(Some("b2")));
    let refuses = Arc::clone(&refused);
    let mut storage = MemoryStorage::with_faults(spec(), move |request| match request {
        Request::Write(batch) => {
            let refused = *refuses.lock().unwrap();
            let partition = batch.partition_key(1).expect("it has a partition");
            refused.is_some_and(|batch| partition == [batch]).then_some(FaultKind::Refused)
        }
        _ => None,
    });
    load(&world, &spec(), &storage);
    let (plan, journal) = (plan_of("t", &["s".to_owned()]), Arc::<MemoryJournal>::default());
    let mut announced = Vec::new();
    for is_refused in [true, false] {
        let mut context = scanning(storage, &journal);
        Arc::get_mut(&mut context).unwrap().slice_bytes = 1; // each enrolment is a slice
        scan(&context, &plan).unwrap();
        let (result, events) = run(&context, &plan.group(0));
        assert_eq!(result.is_err(), is_refused);
        announced.extend(events);
        storage = Arc::into_inner(context).unwrap().into_storage().unwrap();
        *refused.lock().unwrap() = None;
    }
    let slices = journal.slices(0).unwrap().len();
    assert!(slices >= 2, "b1 was not journaled by itself: {slices} slices");
    let expected = world.merge_by_scan("t", &["s".to_owned()]);
    assert_eq!(events_of(&announced), expected);
    assert_eq!(expected.len(), 2);
    assert_eq!(dump(&spec(), &storage), world);
}

/// An account that is no source is none, whatever it looks like.
#[test]
fn survivors_and_others_are_not_taken_for_sources() {
    let plan = plan_of("t", &["s".to_owned()]);
    let sources = plan.sources();
    let of = |id: &str| sources.group_of(AccountId::new(id).cell());
    assert_eq!((of("s"), of("t"), of("u")), (Some(0), None, None));
}
