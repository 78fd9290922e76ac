//! A table that is altered under a run: what it has got meanwhile is never deleted unread.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use tributary::model::{Change, now_us};
use tributary::pipeline::{Context, Ended, ErrorLimit, GroupError, Known, sweep};
use tributary::storage::memory::{MemoryStorage, Request};
use tributary::undo;

use super::coalesce::{never, run_all, world};
use super::preset::spec;
use super::undo::undo_all;
use super::world::{CONTENT, ENROLMENTS, load};
use super::{block_on, context_of};

/// A storage in which, at the request of a number, both tables get a column, and that is set in every row of some
/// accounts at once.
struct Alters {
    seen: Arc<AtomicUsize>,
    at: Arc<AtomicUsize>,
    storage: Arc<OnceLock<Arc<MemoryStorage>>>,
}

const NEVER: usize = usize::MAX;

impl Alters {
    fn new(of: &'static str) -> (Self, MemoryStorage) {
        let alters = Self {
            seen: Arc::default(),
            at: Arc::new(AtomicUsize::new(NEVER)),
            storage: Arc::default(),
        };
        let Self { seen, at, storage } = &alters;
        let (seen, at, storage) = (Arc::clone(seen), Arc::clone(at), Arc::clone(storage));
        let faulty = MemoryStorage::with_faults(spec(), move |_: &Request<'_>| {
            let request = seen.fetch_add(1, Ordering::Relaxed);
            if request == at.load(Ordering::Relaxed)
                && let Some(storage) = storage.get()
            {
                alter(storage, of);
            }
            None
        });
        (alters, faulty)
    }

    fn alter_at(&self, context: &Context<MemoryStorage>, at: usize) {
        drop(self.storage.set(Arc::clone(&context.storage)));
        self.seen.store(0, Ordering::Relaxed);
        self.at.store(at, Ordering::Relaxed);
    }
}

/// Adds the column, and sets it now in every row of the accounts of such names.
fn alter(storage: &MemoryStorage, of: &str) {
    let rows = [CONTENT, ENROLMENTS].map(|table| (table, storage.dump(table)));
    let mut added = storage.added();
    added.add();
    for (table, rows) in rows {
        let shape = &spec().tables[table];
        for key in rows.iter().map(|row| shape.key_of(row)) {
            if key[shape.account].starts_with(of.as_bytes()) {
                added.set(table, key, now_us() + 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// A merge stops before the first window that does not know the column; groups that are left are not failed.
    #[test]
    fn a_merge_deletes_no_column_unread(at in 0..400_usize) {
        let (world, plan) = world();
        let (alters, storage) = Alters::new("s");
        load(&world, &spec(), &storage);
        // Long ago, so that groups are dated by the clock.
        let context = context_of(16, storage, Arc::default(), 1_000_000);
        alters.alter_at(&context, at);
        let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
        let (left, is_altered) =
            (plan.len() as u64 - outcome.done, context.storage.added().is_any());
        prop_assert_eq!(failed, Vec::<String>::new());
        prop_assert_eq!(outcome.failed, 0);
        if is_altered && left > 0 {
            prop_assert_eq!(outcome.ended, Ended::Fatal);
            prop_assert!(outcome.stopped_by.unwrap().contains("got a column"));
        } else {
            prop_assert_eq!(outcome.ended, Ended::Finished);
        }
        check_all_stand(&context);
    }

    /// A sweep takes no row of which it does not know all columns, and an undo no copy.
    #[test]
    fn sweep_and_undo_delete_no_column_unread(at in 0..60_usize, sweeps in any::<bool>()) {
        let (world, plan) = world();
        let (alters, storage) = Alters::new(if sweeps { "s" } else { "t" });
        load(&world, &spec(), &storage);
        let context = context_of(16, storage, Arc::default(), 1_000_000);
        run_all(&context, &plan, never(), ErrorLimit::Groups(0));
        let shape = &spec().tables[CONTENT];
        for row in context.storage.dump(CONTENT) {
            // A source is written to again.
            let mut row = row.clone();
            let survivor = row.cells[shape.account].clone().unwrap();
            let source = [b"s", &survivor[1..]].concat();
            row.cells[shape.account] = Some(source.into());
            context.storage.apply(CONTENT, now_us(), &Change::Insert { row });
        }
        alters.alter_at(&context, at);
        if sweeps {
            let swept = block_on(sweep(&context, &plan, &Known::default(), &never(), |_| {}));
            let is_altered = context.storage.added().is_any();
            if let Err(error) = swept {
                prop_assert!(is_altered);
                prop_assert!(error.is_fatal(), "{}", error);
                prop_assert!(matches!(error, GroupError::Storage(_)));
            }
            check_all_stand(&context);
        } else {
            let selected = undo::select(&*context.journal, None).unwrap();
            prop_assert_eq!(selected.groups.len(), plan.len());
            let (context, undone, _, failures) = undo_all(context, false);
            prop_assert_eq!(failures, Vec::<String>::new());
            let is_altered = context.storage.added().is_any();
            prop_assert_eq!(undone.stopped_by.is_some(), is_altered && undone.undone < plan.len() as u64);
            check_all_stand(&context);
        }
    }
}

/// Every value that was set stands.
fn check_all_stand(context: &Context<MemoryStorage>) {
    assert_eq!(context.storage.added().deleted(), 0, "a column was deleted unread");
}
