//! A wire that delays, cuts, refuses, lies and loses, and kills on top of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::frames::{OVERLOADED, Request, WRITE_TIMEOUT};
use crate::proxy::{Fate, Proxy};

/// About every fifth request meets with something; `lost` answers never come, each of which the tool waits
/// for until it gives up.
fn mischief(seed: u64, lost: usize) -> impl Fn(&Request, usize) -> Fate + Send + Sync + 'static {
    let left_to_lose = AtomicUsize::new(lost);
    move |request, n| {
        let mut random = Random::new(seed.wrapping_add(n as u64).wrapping_mul(0x9E37_79B9));
        let one_less = |left: usize| left.checked_sub(1);
        match random.below(100) {
            0..10 => Fate::Delay(Duration::from_millis(random.below(300))),
            10..14 if request.writes() => Fate::Misreport(WRITE_TIMEOUT),
            14..17 => Fate::Refuse(OVERLOADED),
            17..19 => Fate::Cut,
            19 if left_to_lose
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                .is_ok() =>
            {
                Fate::Lose
            }
            _ => Fate::Pass,
        }
    }
}

fn through_mischief(name: &str, seed: u64, groups: u64, kills: u64) {
    let scenario = Scenario::new(name, crowd(seed, groups));
    let proxy = Proxy::with(&scenario.world.addresses.hosts, mischief(seed, 3));
    let mut random = Random::new(seed);
    let mut killed = 0;
    while killed < kills {
        let call = scenario.session().environment("TRIBUTARY_LEASE", "1");
        let mut running = call.with("--hosts", &proxy.hosts).start();
        let requests = proxy.count() + 1 + random.below(2 * groups) as usize;
        wait_until("it works", || proxy.count() >= requests || running.has_ended());
        running.kill();
        let ended = running.wait();
        if !ended.was_kept_out() {
            ended.was_killed();
            killed += 1;
        }
    }
    let last = scenario.session().with("--hosts", &proxy.hosts).run().exits(0);
    let repeated = scenario.assert_whole(&last, &BTreeSet::new());
    let seen = proxy.seen();
    let faults = |is: fn(&Fate) -> bool| seen.iter().filter(|seen| is(&seen.fate)).count();
    let lost = faults(|fate| *fate == Fate::Lose);
    let cut = faults(|fate| *fate == Fate::Cut);
    let delayed = faults(|fate| matches!(fate, Fate::Delay(_)));
    println!(
        "{} requests: {delayed} delayed, {cut} cut, {lost} lost; {kills} kills, {repeated} events sent again",
        seen.len()
    );
    assert!(lost > 0 && cut > 0 && delayed > 0);
}

#[test]
fn a_wire_that_delays_cuts_and_drops_loses_nothing() {
    through_mischief("mischief", 51, 60, 3);
}

#[test]
#[ignore = "long: scripts/test --full"]
fn a_wire_that_delays_cuts_and_drops_for_long_loses_nothing() {
    for seed in 0..10 {
        through_mischief(&format!("mischief_{seed}"), seed, 200, 8);
    }
}
