//! Runs that know each other: nothing is written before the register has it, nor once the lease is lost; and what one
//! run leaves open another finds busy.

use std::sync::{Arc, Mutex};

use tributary::model::Group;
use tributary::pipeline::{Context, Ended, ErrorLimit};
use tributary::register::memory::{MemoryRegister, Shared};
use tributary::register::{LEASE_US, Lineage, Register, Run, Standing};
use tributary::storage::memory::{FaultKind, MemoryStorage, Request};

use super::coalesce::{never, run_all, world};
use super::preset::spec;
use super::world::{dump, load};
use super::{T, block_on, context_of};

fn take(shared: &Arc<Mutex<Shared>>, run: &str, now: i64) -> MemoryRegister {
    let run = Run { id: run.to_owned(), ..Run::default() };
    MemoryRegister::take(shared, run, now).expect("nobody else has the lease")
}

fn with_register(
    in_flight: usize,
    storage: MemoryStorage,
    register: &MemoryRegister,
) -> Arc<Context<MemoryStorage>> {
    let mut context = context_of(in_flight, storage, Arc::default(), T);
    Arc::get_mut(&mut context).unwrap().register = Some(Arc::new(register.clone()));
    context
}

fn standings(shared: &Arc<Mutex<Shared>>, groups: impl Iterator<Item = Group>) -> Vec<Standing> {
    let asks = take(shared, "asks", 10 * LEASE_US);
    let accounts =
        groups.flat_map(|group| group.accounts().map(ToString::to_string).collect::<Vec<_>>());
    let accounts: Vec<String> = accounts.collect();
    let lineage = block_on(Lineage::of(&asks, accounts.clone(), &[].into(), None)).unwrap();
    accounts.iter().flat_map(|account| lineage.stays(account)).map(|stay| stay.standing).collect()
}

/// However few requests may be under way at once: none of them waits for another that waits for its turn.
#[test]
fn groups_end_with_any_number_of_requests_at_once() {
    for in_flight in [1, 2, 16] {
        let (world, plan) = world();
        let storage = MemoryStorage::new(spec());
        load(&world, &spec(), &storage);
        let shared = Arc::default();
        let context = with_register(in_flight, storage, &take(&shared, "r1", 0));
        let (outcome, _) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
        assert_eq!((outcome.ended, outcome.done), (Ended::Finished, plan.len() as u64));
        let standings = standings(&shared, plan.groups());
        assert!(standings.iter().all(|standing| *standing == Standing::Done), "{standings:?}");
        assert!(standings.len() >= 2 * plan.len());
    }
}

#[test]
fn nothing_is_written_before_the_register_has_it() {
    let (world, plan) = world();
    let shared: Arc<Mutex<Shared>> = Arc::default();
    let unregistered = Arc::new(Mutex::new(Vec::new()));
    let (seen, known) = (Arc::clone(&unregistered), Arc::clone(&shared));
    let survivors: Vec<String> = plan.groups().map(|group| group.survivor.to_string()).collect();
    let asks = take(&shared, "asks", 0);
    asks.release();
    let storage = MemoryStorage::with_faults(spec(), move |request| {
        if let Request::Write { .. } = request {
            let held = futures::executor::block_on(Lineage::of(
                &asks,
                survivors.clone(),
                &[].into(),
                None,
            ))
            .unwrap();
            if held.is_empty() {
                seen.lock().unwrap().push(format!("{request:?}"));
            }
        }
        None::<FaultKind>
    });
    load(&world, &spec(), &storage);
    let context = with_register(8, storage, &take(&known, "r1", 2 * LEASE_US));
    let (outcome, _) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!(outcome.ended, Ended::Finished);
    assert_eq!(*unregistered.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn whoever_has_lost_the_lease_stops_and_leaves_everything_as_it_is() {
    let (world, plan) = world();
    let storage = MemoryStorage::new(spec());
    load(&world, &spec(), &storage);
    let before = dump(&spec(), &storage);
    let shared = Arc::default();
    let stale = take(&shared, "r1", 0);
    let other = take(&shared, "r2", 2 * LEASE_US);
    let context = with_register(8, storage, &stale);
    let (outcome, failed) = run_all(&context, &plan, never(), ErrorLimit::Groups(0));
    assert_eq!((outcome.ended, outcome.done), (Ended::Fatal, 0));
    assert_eq!(failed, Vec::<String>::new(), "it is no failure of a group");
    assert!(outcome.stopped_by.is_some_and(|why| why.contains("lost its lease")));
    assert_eq!(dump(&spec(), &context.storage), before);
    block_on(other.look()).unwrap();
    other.release();
    // It has not said what it was about to do either.
    assert!(!standings(&shared, plan.groups()).contains(&Standing::Busy));
}
