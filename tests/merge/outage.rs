//! What every group meets is waited for, or stops the run; what one group meets fails that group.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tributary::pipeline::{Context, Ended, ErrorLimit};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};

use super::coalesce::{never, run_all, world};
use super::preset::spec;
use super::world::{CONTENT, dump, load};
use super::{T, context_of};

fn context_with(
    budget: Duration,
    faults: impl Fn(&Request<'_>) -> Option<FaultKind> + Send + Sync + 'static,
) -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::with_faults(spec(), faults);
    load(&world().0, &spec(), &storage);
    let mut context = context_of(16, storage, Arc::default(), T);
    let retry = &mut Arc::get_mut(&mut context).unwrap().retry;
    (retry.budget, retry.replica_tries) = (budget, 3);
    retry.longest_pause = Duration::from_millis(20);
    retry.first_pause = Duration::from_millis(1);
    context
}

/// Space for changes that nobody has fetched yet is used up, for a while.
#[test]
fn writes_that_no_replica_takes_are_waited_for() {
    let (world, plan) = world();
    let failed = AtomicUsize::new(0);
    let context = context_with(Duration::from_secs(30), move |request| {
        let is_write = matches!(request, Request::Write(batch) if batch.table == CONTENT);
        let is_full = is_write && failed.fetch_add(1, Ordering::Relaxed) < 300;
        is_full.then_some(FaultKind::Failed)
    });
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!((outcome.ended, outcome.done), (Ended::Finished, plan.len() as u64));
    let mut expected = world;
    for n in 0..plan.len() {
        expected.merge(&format!("t{n}"), &[format!("s{n}")]);
    }
    assert_eq!(dump(&spec(), &context.storage), expected);
}

#[test]
fn a_write_that_no_replica_takes_while_others_get_through_fails_alone() {
    let (_, plan) = world();
    for bad in ["t0", "t59"] {
        let context = context_with(Duration::from_secs(1), move |request| {
            let Request::Write(batch) = request else { return None };
            let survivor = batch.partition_key(1)?;
            (batch.table == CONTENT && survivor[0] == bad).then_some(FaultKind::Failed)
        });
        let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(9));
        assert!(failed.len() == 1 && failed[0].starts_with(&format!("{bad}: ")), "{failed:?}");
        assert_eq!((outcome.ended, outcome.done), (Ended::Finished, plan.len() as u64 - 1));
    }
}

/// Also where nothing else is left to be asked for, so that nothing else gets through either.
#[test]
fn a_read_that_is_late_for_ever_fails_its_own_group_and_not_the_run() {
    let (_, plan) = world();
    for bad in ["s0", "s59"] {
        let context = context_with(Duration::from_millis(300), move |request| {
            let asked = match request {
                Request::Page(CONTENT, account, _) => slice::from_ref(*account),
                Request::FirstRows(CONTENT, accounts, _) => accounts,
                _ => return None,
            };
            asked.iter().any(|account| account.text() == bad).then_some(FaultKind::Late)
        });
        let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(9));
        let survivor = bad.replace('s', "t");
        assert!(failed.len() == 1 && failed[0].starts_with(&format!("{survivor}: ")), "{failed:?}");
        assert_eq!((outcome.ended, outcome.stopped_by), (Ended::Finished, None));
        assert_eq!(outcome.done, plan.len() as u64 - 1);
    }
}

/// The server answers, but none of its replicas does.
#[test]
fn replicas_that_are_late_for_everybody_stop_the_run() {
    let (_, plan) = world();
    let context = context_with(Duration::from_millis(300), |_| Some(FaultKind::Late));
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(9));
    assert!(failed.len() <= 1, "only the first may be alone: {failed:?}");
    assert_eq!(outcome.ended, Ended::Fatal);
}

#[test]
fn a_cluster_that_is_gone_stops_the_run_once_and_fails_no_group() {
    let (_, plan) = world();
    for (at, fault) in [
        (0, FaultKind::Lost),
        (40, FaultKind::Lost),
        (40, FaultKind::TimedOut),
        (90, FaultKind::Lost),
    ] {
        let seen = AtomicUsize::new(0);
        let context = context_with(Duration::from_millis(300), move |_| {
            (seen.fetch_add(1, Ordering::Relaxed) >= at).then_some(fault)
        });
        let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
        assert_eq!(failed, Vec::<String>::new());
        assert_eq!((outcome.ended, outcome.failed), (Ended::Fatal, 0));
        let why = outcome.stopped_by.unwrap();
        assert!(why.contains("nothing has got through for"), "{why}");
    }
}
