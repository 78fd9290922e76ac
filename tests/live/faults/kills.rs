//! `kill -9` over and over, at any moment, and `resume` until it is done.

use std::time::Duration;

use super::*;
use crate::proxy::{Fate, Proxy};

/// Kills a run so many times, while it starts or while it works, then lets it end.
fn killed(name: &str, seed: u64, kills: u64) {
    let scenario = Scenario::new(name, crowd(seed, 100 + 8 * kills));
    // Requests are held back so that there is much to interrupt.
    let delay = |_: &_, _| Fate::Delay(Duration::from_millis(3));
    let proxy = Proxy::with(&scenario.world.addresses.hosts, delay);
    let mut random = Random::new(seed);
    let (mut killed, mut sessions, mut before_there_was_a_run) = (0, 0, 0);
    while killed < kills {
        sessions += 1;
        assert!(sessions <= 6 * kills, "the run ends before it can be killed {kills} times");
        before_there_was_a_run += u64::from(!scenario.run.exists());
        let call = scenario.session().with("--hosts", &proxy.hosts).with("--in-flight", "4");
        let call = call.environment("TRIBUTARY_LEASE", "1");
        let mut running = call.start();
        if sessions <= 4 || random.chance(25) {
            // It may be starting still; the first ones may not even leave a run.
            std::thread::sleep(Duration::from_millis(random.below(700)));
        } else {
            let requests = proxy.count() + 1 + random.below(50) as usize;
            wait_until("it works", || proxy.count() >= requests || running.has_ended());
        }
        running.kill();
        let ended = running.wait();
        if !ended.has_exited(0) && !ended.was_kept_out() {
            ended.was_killed();
            killed += 1;
        }
    }
    drop(proxy);
    let repeated = scenario.assert_whole(&scenario.finish(), &BTreeSet::new());
    let groups = scenario.expected.plan.groups.len();
    println!(
        "{killed} kills in {sessions} sessions, {before_there_was_a_run} of them without a run before; \
         {groups} groups, {} events, {repeated} of them sent again",
        scenario.expected.events.len()
    );
}

#[test]
fn a_run_that_is_killed_twenty_times_ends_as_if_nothing_had_happened() {
    killed("killed", 31, 20);
}

#[test]
#[ignore = "long: scripts/test --full"]
fn a_run_that_is_killed_hundreds_of_times_ends_as_if_nothing_had_happened() {
    for seed in 0..4 {
        killed(&format!("killed_{seed}"), seed, 75);
    }
}
