//! What the application writes to a source after T is moved to the survivor's row, and nothing of it is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tokio::sync::watch;
use tributary::journal::memory::MemoryJournal;
use tributary::model::Group;
use tributary::model::SweepTally;
use tributary::pairs::{self, Format};
use tributary::pipeline::{self, Context, ErrorLimit, Known, Leftover};
use tributary::plan::{self, Plan};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};

use super::coalesce;
use super::model::{Columns, World};
use super::preset::spec;
use super::world::{CONTENT, ENROLMENTS, dump, events_of, load, to_row, world_and_group};
use super::{block_on, context_of, run};

/// A plan with one group: every source into the survivor.
pub fn plan_of(to: &str, sources: &[String]) -> Plan {
    let mut csv = "from,to\n".to_owned();
    for source in sources {
        csv += &format!("{source},{to}\n");
    }
    plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap())
}

pub fn merged(world: &World, plan: &Plan) -> (Arc<Context<MemoryStorage>>, Group, i64) {
    let storage = MemoryStorage::new(spec());
    load(world, &spec(), &storage);
    let journal = Arc::<MemoryJournal>::default();
    // Long ago, so that groups are dated by the clock.
    let context = context_of(8, storage, journal, 1_000_000);
    let group = plan.group(0);
    run(&context, &group).0.unwrap();
    let t = context.journal.group(0).unwrap().unwrap().t.unwrap();
    (context, group, t)
}

pub fn sweep(
    context: Arc<Context<MemoryStorage>>,
    plan: &Plan,
) -> (Arc<Context<MemoryStorage>>, SweepTally, Vec<Leftover>) {
    let (_stop, stopped) = watch::channel(false);
    let mut left = Vec::new();
    let swept = block_on(pipeline::sweep(&context, plan, &Known::default(), &stopped, |row| {
        left.push(row.clone());
    }))
    .unwrap();
    (context, swept, left)
}

/// What one source's partition cannot tell is told of its group, and the others are swept.
#[test]
fn a_source_that_cannot_be_looked_at_hinders_no_other_group() {
    let (world, plan) = coalesce::world();
    for fault in [FaultKind::Refused, FaultKind::Failed] {
        let is_sweeping = Arc::new(AtomicBool::new(false));
        let is_faulty = Arc::clone(&is_sweeping);
        let storage = MemoryStorage::with_faults(spec(), move |request| {
            let Request::Owners(CONTENT, _, accounts) = request else { return None };
            let is_hit = accounts.iter().any(|account| account.text() == "s7");
            (is_hit && is_faulty.load(Ordering::Relaxed)).then_some(fault)
        });
        load(&world, &spec(), &storage);
        let context = context_of(8, storage, Arc::default(), 1_000_000);
        let (outcome, _) =
            coalesce::run_all(&context, &plan, coalesce::never(), ErrorLimit::Groups(0));
        assert_eq!(outcome.done, plan.len() as u64);
        let dated = |group| context.journal.group(group).unwrap().unwrap().t;
        let later = (0..plan.len()).filter_map(dated).max().unwrap() + 1;
        for source in ["s7", "s8"] {
            let names = ["userid", "contentid", "batchid", "courseid", "status"];
            let columns = names.map(str::to_owned).into_iter();
            let columns =
                columns.zip([source, "late", "b0", "k", "2"].map(str::to_owned)).collect();
            context.storage.put(CONTENT, to_row(&spec(), CONTENT, &columns), later);
        }
        is_sweeping.store(true, Ordering::Relaxed);
        let (context, swept, left) = sweep(context, &plan);
        assert_eq!((swept.rows, swept.failed), (1, 1));
        assert_eq!(left.len(), 1);
        assert_eq!((&*left[0].account.text(), &*left[0].survivor.text()), ("s7", "t7"));
        assert!(left[0].why.starts_with("the sweep of the group failed: "), "{}", left[0].why);
        let rows = dump(&spec(), &context.storage).content;
        let stands = |account: &str| rows.keys().any(|key| key.0 == account && key.1 == "late");
        assert!(stands("s7") && !stands("s8") && stands("t8"));
    }
}

/// A later row of a source: status and grade, at least one of them.
pub fn later() -> impl Strategy<Value = Columns> {
    (prop::option::of(0..4_i32), "[a-z]{1,2}").prop_map(|(status, grade)| {
        let mut columns = Columns::from([("grade".to_owned(), grade)]);
        columns.extend(status.map(|status| ("status".to_owned(), status.to_string())));
        columns
    })
}

fn status(columns: &Columns) -> i32 {
    columns.get("status").map_or(i32::MIN, |status| status.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn later_writes_to_sources_reach_the_survivor(
        (world, to, sources) in world_and_group(),
        content in prop::collection::btree_map((0..4_usize, 1..5_u8, 1..4_u8, 1..3_u8), later(), 0..4),
        enrolments in prop::collection::btree_map((1..4_u8, 0..4_usize), later(), 0..3),
    ) {
        let plan = plan_of(&to, &sources);
        let (context, _, t) = merged(&world, &plan);
        let source = |n: usize| sources[n % sources.len()].clone();
        let mut expected = dump(&spec(), &context.storage);
        // One later row per key: what comes later to the same key is another test's.
        let content: BTreeMap<_, _> = content
            .into_iter()
            .map(|((n, c, b, k), row)| ((format!("c{c}"), format!("b{b}"), format!("k{k}")), (source(n), row)))
            .collect();
        for (n, ((c, b, k), (source, columns))) in content.iter().enumerate() {
            let key = [("userid", source), ("contentid", c), ("batchid", b), ("courseid", k)];
            let mut full = columns.clone();
            full.extend(key.map(|(name, value)| (name.to_owned(), value.clone())));
            context.storage.put(CONTENT, to_row(&spec(), CONTENT, &full), t + 1 + n as i64);
            let key = (to.clone(), c.clone(), b.clone(), k.clone());
            let own = world.content.contains_key(&key);
            let row = expected.content.entry(key).or_default();
            // A later value does not lower a status, whosever the row is.
            let kept = status(columns) <= status(row);
            let taken = columns.iter().filter(|(name, _)| match name.as_str() {
                "status" => !kept,
                _ => !own,
            });
            row.extend(taken.map(|(name, value)| (name.clone(), value.clone())));
        }
        let enrolments: BTreeMap<_, _> = enrolments
            .into_iter()
            .map(|((b, n), row)| (format!("b{b}"), (source(n), row)))
            .collect();
        // The sweep looks where the sources' rows had led, and where their later rows lead.
        let looked: Vec<&String> = world.content.keys().filter(|key| sources.contains(&key.0))
            .map(|key| &key.2).chain(content.keys().map(|key| &key.1)).collect();
        for (n, (batch, (source, columns))) in enrolments.iter().enumerate() {
            if !looked.contains(&batch) {
                continue;
            }
            let mut full = columns.clone();
            full.insert("batchid".into(), batch.clone());
            full.insert("userid".into(), source.clone());
            context.storage.put(ENROLMENTS, to_row(&spec(), ENROLMENTS, &full), t + 50 + n as i64);
            let key = (batch.clone(), to.clone());
            let own = world.enrolments.contains_key(&key);
            let row = expected.enrolments.entry(key).or_default();
            if !own {
                row.extend(columns.clone());
            }
        }
        // Sources may own enrolments in batches that only their later content leads to.
        for (batch, _) in world.enrolments.keys().filter(|key| sources.contains(&key.1)) {
            let is_new = !world.content.keys().any(|key| sources.contains(&key.0) && key.2 == *batch);
            if is_new && content.keys().any(|key| key.1 == *batch) {
                prop_assume!(false);
            }
        }
        let (context, swept, left) = sweep(context, &plan);
        prop_assert_eq!(&left, &Vec::new());
        prop_assert_eq!(swept.sources, sources.len() as u64);
        let after = dump(&spec(), &context.storage);
        prop_assert_eq!(&after, &expected);
        // Nothing is left to be swept, and sweeping again changes nothing.
        let (_, again, _) = sweep(context, &plan);
        prop_assert_eq!(again.rows, 0);
    }
}

#[test]
fn a_swept_change_is_announced_once_more_with_an_id_of_its_own() {
    let mut world = World::default();
    let key = ("s".to_owned(), "c1".to_owned(), "b1".to_owned(), "k1".to_owned());
    world.content.insert(key, [("status".to_owned(), "1".to_owned())].into());
    world.enrolments.insert(("b1".into(), "s".into()), Columns::new());
    let plan = plan_of("t", &["s".to_owned()]);
    let (context, group, t) = merged(&world, &plan);
    let columns = [
        ("userid", "s"),
        ("contentid", "c1"),
        ("batchid", "b1"),
        ("courseid", "k1"),
        ("status", "2"),
    ];
    let columns = columns.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    context.storage.put(CONTENT, to_row(&spec(), CONTENT, &columns), t + 1);
    let (context, swept, _) = sweep(context, &plan);
    assert_eq!((swept.rows, swept.events), (1, 1));
    let tributary::events::EventSink::Memory(events) = &context.event_sink else { unreachable!() };
    let events = events.lock().unwrap();
    assert_eq!(
        events_of(&events),
        [(("t".to_owned(), "b1".to_owned()), Some("k1".to_owned()))].into()
    );
    assert_eq!(context.journal.slices(group.index).unwrap().len(), 2);
}
