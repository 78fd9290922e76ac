//! Conditional writes of the lease whose outcome is not known: what stands is read before anything is decided.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::frames::{Request, UNAVAILABLE, WRITE_TIMEOUT};
use crate::proxy::{Fate, Proxy};
use crate::stops;
use crate::world::to_csv;

fn is_conditional(request: &Request) -> bool {
    request.is_of_register()
        && request
            .statements
            .iter()
            .any(|one| one.query.contains(".lease") && one.query.contains(" IF "))
}

/// Of three such writes one is done and said to have timed out, and one is not done and said so as well.
#[test]
fn a_lease_whose_write_times_out_is_held_all_the_same_or_taken_anew() {
    let (world, lines, expected) = stops::world("lease_late", 40);
    let conditional = AtomicUsize::new(0);
    let proxy = Proxy::with_register(&world.addresses.hosts, move |request, _| {
        if !is_conditional(request) {
            return Fate::Pass;
        }
        match conditional.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => Fate::Misreport(WRITE_TIMEOUT),
            1 => Fate::Refuse(WRITE_TIMEOUT),
            2 => Fate::Misreport(UNAVAILABLE),
            _ => Fate::Pass,
        }
    });
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let through = |call: crate::process::Call| call.with("--hosts", &proxy.hosts);
    let report = through(world.apply(&pairs, &run)).run().exits(0).json();
    assert_eq!(stops::groups(&report).failed, 0);
    world.assert_is(&expected);
    through(world.over("resume", &run)).run().exits(0);
    through(world.over("undo", &run)).run().exits(0);
    // It was given back each time, or the next one would have been kept out for a minute.
    let again = world.run_dir();
    world.apply(&pairs, &again).run().exits(0);
    world.assert_tables(&expected.tables);
    let spoiled = proxy.seen().into_iter().filter(|seen| seen.fate != Fate::Pass).count();
    assert!(spoiled > 8, "{spoiled}");
}
