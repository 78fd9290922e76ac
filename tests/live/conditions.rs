//! What every request meets for a while: it is waited for, said once, and no group fails for it.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::frames::{Form, OVERLOADED, UNAVAILABLE, UNPREPARED, WRITE_FAILURE};
use crate::proxy::{Fate, Proxy};
use crate::stops;
use crate::world::to_csv;

#[test]
fn statements_that_are_forgotten_are_prepared_again() {
    let (world, lines, expected) = stops::world("forgotten", 60);
    let proxy = Proxy::with(&world.addresses.hosts, |request, number| match request.form {
        Form::Prepared | Form::Batch if number % 10 == 9 => Fate::Refuse(UNPREPARED),
        _ => Fate::Pass,
    });
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let report = world.apply(&pairs, &run).with("--hosts", &proxy.hosts).run().exits(0).json();
    assert_eq!(stops::groups(&report).failed, 0);
    world.assert_is(&expected);
    for command in ["verify", "undo"] {
        let call = crate::process::Call::new(&[command, run.to_str().expect("UTF-8")]);
        call.with("--hosts", &proxy.hosts).flag("--json").run().exits(0);
    }
    let refused = proxy.seen().iter().filter(|seen| seen.fate != Fate::Pass).count();
    assert!(refused > 20, "{refused}");
}

#[test]
fn statements_that_have_another_id_are_prepared_again() {
    let (world, lines, expected) = stops::world("renamed", 120);
    let proxy = Proxy::new(&world.addresses.hosts);
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let call = world.apply(&pairs, &run).with("--hosts", &proxy.hosts).with("--rate", "15");
    let mut running = call.start();
    stops::wait_until("a few groups are done", || proxy.count() > 40);
    assert!(!running.has_ended());
    proxy.rename_statements();
    let report = running.wait().exits(0).json();
    assert_eq!(stops::groups(&report).failed, 0);
    world.assert_is(&expected);
}

#[test]
fn what_every_write_meets_is_waited_for_and_said_once() {
    // Each of them waits most of the time.
    std::thread::scope(|scope| {
        for (name, code) in
            [("failure", WRITE_FAILURE), ("overloaded", OVERLOADED), ("unavailable", UNAVAILABLE)]
        {
            scope.spawn(move || every_write_meets(name, code));
        }
    });
}

fn every_write_meets(name: &str, code: i32) {
    let (world, lines, expected) = stops::world(name, 60);
    let began = Mutex::new(None);
    let proxy = Proxy::with(&world.addresses.hosts, move |request, number| {
        if !request.writes() || number < 40 {
            return Fate::Pass;
        }
        let mut began = began.lock().expect("nobody panics");
        let began: Instant = *began.get_or_insert_with(Instant::now);
        match began.elapsed() < Duration::from_secs(10) {
            true => Fate::Refuse(code),
            false => Fate::Pass,
        }
    });
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let call = world.apply(&pairs, &run).with("--hosts", &proxy.hosts);
    let finished = call.with("--in-flight", "4").run().exits(0);
    assert_eq!(stops::groups(&finished.json()).failed, 0, "{finished}");
    let printed = |what: &str| finished.stderr.matches(what).count();
    assert_eq!(printed("nothing gets through, and is waited for"), 1, "{finished}");
    assert_eq!(printed("requests get through again"), 1, "{finished}");
    world.assert_is(&expected);
}
