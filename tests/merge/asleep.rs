//! A machine that stands still for an hour under a run: its clock does as well, and the application goes on.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tributary::journal::Journal;
use tributary::journal::memory::MemoryJournal;
use tributary::model::{Change, TimestampUs, now_us};
use tributary::pairs::{self, Format};
use tributary::pipeline::{Ended, ErrorLimit};
use tributary::plan;
use tributary::storage::memory::{MemoryStorage, Request};

use super::coalesce::{never, run_all};
use super::context_of;
use super::model::World;
use super::preset::spec;
use super::world::{CONTENT, dump, load};

const GROUPS: usize = 60;
const HOUR: TimestampUs = 3_600_000_000;
/// Groups of a window here.
const WINDOW: usize = 8;

/// By how much the nodes' clocks are ahead: one per test, for clocks are functions.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn nodes_clock() -> TimestampUs {
    now_us() + AHEAD.load(Ordering::SeqCst)
}

fn key(user: &str) -> (String, String, String, String) {
    (user.to_owned(), "c0".to_owned(), "b0".to_owned(), "k".to_owned())
}

/// Merges everybody; at the request of a number that comes before an intent, the machine stands still, and half an hour
/// later the application deletes the rows of all survivors. Returns how many were dated before that and not journaled.
fn sleep_at(at: usize) -> usize {
    AHEAD.store(0, Ordering::SeqCst);
    let (mut world, mut csv) = (World::default(), "from,to\n".to_owned());
    for n in 0..GROUPS {
        for user in [format!("s{n}"), format!("t{n}")] {
            world.content.insert(key(&user), [("grade".to_owned(), user)].into());
        }
        csv += &format!("s{n},t{n}\n");
    }
    let plan = plan::resolve(pairs::read(csv.as_bytes(), &Format::default()).unwrap());
    let journal = Arc::new(MemoryJournal::default());
    let (seen, journaled) = (AtomicUsize::new(0), Arc::new(OnceLock::new()));
    let cluster: Arc<OnceLock<Arc<MemoryStorage>>> = Arc::default();
    let hook = {
        let (journal, cluster) = (Arc::clone(&journal), Arc::clone(&cluster));
        let journaled = Arc::clone(&journaled);
        move |request: &Request<'_>| {
            if matches!(request, Request::Unaltered) && seen.fetch_add(1, Ordering::SeqCst) == at {
                let cluster = cluster.get().unwrap();
                let begun: Vec<usize> =
                    journal.states().unwrap().into_iter().map(|(group, _)| group).collect();
                journaled.set((now_us(), begun)).unwrap();
                let shape = &spec().tables[CONTENT];
                for row in cluster.dump(CONTENT) {
                    if row.cells[shape.account].as_ref().unwrap().starts_with(b"t") {
                        let key = shape.key_of(&row);
                        cluster.apply(CONTENT, now_us() + HOUR / 2, &Change::DeleteRow { key });
                    }
                }
                AHEAD.store(HOUR, Ordering::SeqCst);
            }
            None
        }
    };
    let mut storage = MemoryStorage::with_faults(spec(), hook);
    storage.clock = Some(nodes_clock);
    load(&world, &spec(), &storage);
    let context = context_of(4, storage, Arc::clone(&journal), 0);
    drop(cluster.set(Arc::clone(&context.storage)));
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!((outcome.ended, outcome.done, failed), (Ended::Finished, GROUPS as u64, vec![]));
    let (slept_at, known) = journaled.get().expect("there are so many windows");
    let rows = dump(&spec(), &context.storage);
    let mut old = 0;
    for group in plan.groups() {
        let t = journal.slices(group.index).unwrap()[0].t;
        if t > *slept_at {
            let grade = rows.content.get(&key(&group.survivor.text())).expect("it is not hidden");
            assert_eq!(grade["grade"], group.pairs[0].from.text());
        } else if !known.contains(&group.index) {
            old += 1;
        }
    }
    old
}

/// What has been read before is read again, as of a later time.
#[test]
fn who_was_dated_before_the_machine_stood_still_is_dated_again() {
    for at in 0..GROUPS / WINDOW {
        // The window beside it may have asked before.
        let old = sleep_at(at);
        assert!(old <= WINDOW, "at {at}: {old} groups as of an hour ago");
    }
}
