//! Lists that are not frozen, in the table that Sunbird publishes: whatever is sent twice, no element doubles, and none is
//! lost. (All other tests of this folder have lists in their worlds, too.)

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tributary::journal::memory::MemoryJournal;
use tributary::model::{Batch, Change, Group, now_us};
use tributary::pipeline::Context;
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};
use tributary::verify::Options;

use super::model::{Columns, World};
use super::preset::spec;
use super::sweep::{plan_of, sweep};
use super::undo::{Stops, undo_all};
use super::verify::{diff, verified};
use super::world::{ENROLMENTS, dump, load, to_row};
use super::{context_of, run};

const CERTIFICATES: &str = "certificates";

fn columns(pairs: &[(&str, &str)]) -> Columns {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A learner with two enrolments, each with certificates; the survivor has the second one itself.
fn world() -> World {
    let mut world = World::default();
    for batch in ["b1", "b2"] {
        let key = ("old", "c1", batch, "k1").map_all();
        world.content.insert(key, columns(&[("status", "2"), ("notes", "x y x")]));
        let key = (batch.to_owned(), "old".to_owned());
        world.enrolments.insert(key, columns(&[("status", "2"), (CERTIFICATES, "a b a")]));
    }
    let key = ("b2".to_owned(), "new".to_owned());
    world.enrolments.insert(key, columns(&[("status", "1"), (CERTIFICATES, "c")]));
    world
}

trait MapAll {
    fn map_all(self) -> (String, String, String, String);
}

impl MapAll for (&str, &str, &str, &str) {
    fn map_all(self) -> (String, String, String, String) {
        (self.0.into(), self.1.into(), self.2.into(), self.3.into())
    }
}

fn group() -> Group {
    plan_of("new", &["old".to_owned()]).group(0)
}

fn certificates(context: &Context<MemoryStorage>, batch: &str, user: &str) -> Option<String> {
    let world = dump(&spec(), &context.storage);
    let row = world.enrolments.get(&(batch.to_owned(), user.to_owned()))?;
    row.get(CERTIFICATES).cloned()
}

fn expected() -> World {
    let mut world = world();
    world.merge("new", &["old".to_owned()]);
    world
}

fn is_list(batch: &Batch) -> bool {
    batch.mutations.iter().any(|mutation| matches!(mutation.change, Change::SetList { .. }))
}

fn storage(
    faults: impl Fn(&Request<'_>) -> Option<FaultKind> + Send + Sync + 'static,
) -> MemoryStorage {
    let storage = MemoryStorage::with_faults(spec(), faults);
    load(&world(), &spec(), &storage);
    storage
}

fn context(storage: MemoryStorage, journal: &Arc<MemoryJournal>) -> Arc<Context<MemoryStorage>> {
    context_of(8, storage, Arc::clone(journal), 1_000_000)
}

fn storage_of(context: Arc<Context<MemoryStorage>>) -> MemoryStorage {
    Arc::into_inner(context).unwrap().into_storage().unwrap()
}

#[test]
fn answers_that_are_lost_double_no_element() {
    let tries = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tries);
    let storage = storage(move |request| {
        let Request::Write(batch) = request else { return None };
        let is_lost = is_list(batch) && !seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(5);
        is_lost.then_some(FaultKind::AnswerLost)
    });
    let context = context(storage, &Arc::default());
    run(&context, &group()).0.unwrap();
    assert_eq!(dump(&spec(), &context.storage), expected());
    let (context, undone, _, failed) = undo_all(context, false);
    assert_eq!((undone.undone, failed), (1, Vec::new()));
    assert_eq!(dump(&spec(), &context.storage), world());
    assert!(tries.load(Ordering::Relaxed) > 10, "lists were written again");
}

/// A run that dies at its request of this number, which is carried out, and the storage that it leaves.
fn died(at: usize, journal: &Arc<MemoryJournal>) -> (MemoryStorage, bool) {
    let stops = Stops::default();
    let storage = stops.storage();
    load(&world(), &spec(), &storage);
    let context = context(storage, journal);
    stops.set(Some((at, true)));
    let died = run(&context, &group()).0.is_err();
    stops.set(None);
    (storage_of(context), died)
}

#[test]
fn a_run_that_dies_and_is_gone_on_with_or_undone_doubles_no_element() {
    for at in 0.. {
        for is_undone in [false, true] {
            let journal = Arc::<MemoryJournal>::default();
            let (storage, died) = died(at, &journal);
            let mut context = context(storage, &journal);
            if is_undone {
                let undone = undo_all(context, false);
                assert_eq!(undone.3, Vec::<String>::new(), "it died at request {at}");
                context = undone.0;
            } else if died {
                run(&context, &group()).0.unwrap();
            }
            let expected = if is_undone { world() } else { expected() };
            assert_eq!(dump(&spec(), &context.storage), expected, "it died at request {at}");
            if !died && is_undone {
                assert!(at > 5, "there were {at} requests");
                return;
            }
        }
    }
}

/// Where the copy stands, nothing is written again over what the application has made of its list since.
#[test]
fn what_was_taken_from_a_list_while_the_run_stood_still_does_not_come_back() {
    let mut seen = 0;
    for at in 0..20 {
        let journal = Arc::<MemoryJournal>::default();
        let (storage, _) = died(at, &journal);
        let context = context(storage, &journal);
        if certificates(&context, "b1", "new").is_none() {
            continue;
        }
        seen += 1;
        let less = columns(&[("batchid", "b1"), ("userid", "new"), (CERTIFICATES, "a a")]);
        let row = to_row(&spec(), ENROLMENTS, &less);
        context.storage.put(ENROLMENTS, row, now_us() + 1_000_000);
        run(&context, &group()).0.unwrap();
        assert_eq!(certificates(&context, "b1", "new").as_deref(), Some("a a"));
        assert_eq!(certificates(&context, "b1", "old"), None);
    }
    assert!(seen > 0);
}

#[test]
fn what_a_list_gets_late_stays_on_the_source_and_is_reported() {
    let context = context(storage(|_| None), &Arc::default());
    run(&context, &group()).0.unwrap();
    let late = columns(&[("batchid", "b1"), ("userid", "old"), (CERTIFICATES, "d")]);
    context.storage.put(ENROLMENTS, to_row(&spec(), ENROLMENTS, &late), now_us() - 1);
    let (context, swept, left) = sweep(context, &plan_of("new", &["old".to_owned()]));
    assert_eq!((swept.rows, left.len()), (0, 1));
    assert!(left[0].why.contains("elements of a list"), "{}", left[0].why);
    assert_eq!(certificates(&context, "b1", "old").as_deref(), Some("d"));
    assert_eq!(certificates(&context, "b1", "new").as_deref(), Some("a b a"));
    let (context, undone, ..) = undo_all(context, false);
    assert_eq!(undone.undone, 1);
    assert_eq!(certificates(&context, "b1", "old").as_deref(), Some("a b a d"));
    assert_eq!(certificates(&context, "b1", "new"), None);
}

#[test]
fn a_list_that_is_gone_is_found_and_repaired_once() {
    let tries = AtomicUsize::new(0);
    let storage = storage(move |request| {
        let Request::Write(batch) = request else { return None };
        let is_lost = is_list(batch) && tries.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        is_lost.then_some(FaultKind::AnswerLost)
    });
    let context = context(storage, &Arc::default());
    run(&context, &group()).0.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let fine = verified(&context, Options { restart: true, ..Options::default() }, &diff(&folder));
    assert_eq!(fine.counts.differences(), 0);
    let column = spec().tables[ENROLMENTS].position(CERTIFICATES).unwrap();
    let key = ["b1", "new"].map(|part| bytes::Bytes::copy_from_slice(part.as_bytes())).to_vec();
    let gone = Change::update(key, vec![(column, None)]);
    context.storage.apply(ENROLMENTS, now_us(), &gone);
    // Nobody has deleted it: it was lost.
    context.storage.compact();
    let found = verified(&context, Options { restart: true, ..Options::default() }, &diff(&folder));
    assert_eq!(found.counts.differences(), 1);
    let repair = Options { repair: true, ..Options::default() };
    verified(&context, Options { restart: true, ..repair }, &diff(&folder));
    assert_eq!(certificates(&context, "b1", "new").as_deref(), Some("a b a"));
    let fine = verified(&context, Options { restart: true, ..Options::default() }, &diff(&folder));
    assert_eq!(fine.counts.differences(), 0);
}
