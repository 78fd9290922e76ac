//! Enrolments that left a source are announced, where the specification asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use tributary::events::EventSink;
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{Journal, Note, State};
use tributary::model::{Event, now_us};
use tributary::pipeline::Context;
use tributary::spec::{RawSpec, Spec};
use tributary::storage::memory::MemoryStorage;

use super::model::{Columns, World};
use super::preset::schema;
use super::sweep::{plan_of, sweep};
use super::undo::undo_all;
use super::world::{ENROLMENTS, group, load, to_row, world_and_group};
use super::{T, context_with, run};

fn spec() -> Arc<Spec> {
    let preset = RawSpec::course_batch().unwrap().text;
    let asks = preset.replace("[event]\n", "[event]\nleft = true\n");
    let text = asks.replace("iteration = 1\n", "iteration = 1\nmergedInto = \"${merged_into}\"\n");
    Arc::new(RawSpec::parse(&text, "the test").unwrap().check(&schema()).unwrap())
}

fn merging(world: &World, t: i64) -> (Arc<Context<MemoryStorage>>, Arc<MemoryJournal>) {
    let storage = MemoryStorage::new(spec());
    load(world, &spec(), &storage);
    let journal = Arc::<MemoryJournal>::default();
    (context_with(spec(), 8, storage, Arc::clone(&journal), t), journal)
}

/// Account and batch → where the enrolment went, or null.
fn said(events: &[Event]) -> BTreeMap<(String, String), Value> {
    let mut said = BTreeMap::new();
    for event in events {
        let value: Value = serde_json::from_slice(&event.payload).unwrap();
        let text = |name: &str| value["edata"][name].as_str().unwrap().to_owned();
        let (batch, account) = (text("batchId"), text("userId"));
        assert_eq!(event.key, format!("{batch}_{account}"));
        let earlier = said.insert((account, batch), value["edata"]["mergedInto"].clone());
        assert_eq!(earlier, None, "announced twice: {}", event.key);
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn each_enrolment_that_left_a_source_is_announced_once((world, to, sources) in world_and_group()) {
        let (context, journal) = merging(&world, T);
        let group = group(&to, &sources);
        let (tally, events) = run(&context, &group);
        prop_assert_eq!(tally.unwrap().events as usize, events.len());
        let mut after = world.clone();
        let mut expected: BTreeMap<_, _> =
            after.merge(&to, &sources).into_keys().map(|key| (key, Value::Null)).collect();
        let gone = world.enrolments.keys().filter(|key| !after.enrolments.contains_key(*key));
        expected.extend(gone.map(|(batch, user)| {
            ((user.clone(), batch.clone()), Value::String(to.clone()))
        }));
        prop_assert_eq!(said(&events), expected);

        // Sent again after a crash, they are the same.
        let note = Note { group: 0, state: State::Written, reason: None, known_as: None };
        if journal.group(0).unwrap().is_some() {
            journal.note(note).unwrap();
            let (_, again) = run(&context, &group);
            prop_assert_eq!(again, events);
        }
    }
}

#[test]
fn a_late_enrolment_leaves_as_well_and_comes_back_with_an_undo() {
    let mut world = World::default();
    let key = ["old", "c1", "b1", "k1"].map(str::to_owned);
    world.content.insert(key.into(), Columns::new());
    let (context, _) = merging(&world, 1_000_000);
    let plan = plan_of("new", &["old".to_owned()]);
    let (_, events) = run(&context, &plan.group(0));
    assert!(said(&events).is_empty(), "nobody was enrolled");
    let late = [("batchid", "b1"), ("userid", "old"), ("grade", "A")];
    let late = late.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    context.storage.put(ENROLMENTS, to_row(&spec(), ENROLMENTS, &late), now_us() - 1);
    let (context, ..) = sweep(context, &plan);
    let EventSink::Memory(events) = &context.event_sink else { unreachable!() };
    let swept = said(&std::mem::take(&mut *events.lock().unwrap()));
    let of = |account: &str| (account.to_owned(), "b1".to_owned());
    assert_eq!(swept, [(of("new"), Value::Null), (of("old"), "new".into())].into());
    let (_, _, events, _) = undo_all(context, false);
    assert_eq!(said(&events), [(of("old"), Value::Null)].into());
}
