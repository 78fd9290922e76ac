//! A run that is held back by what others feel.

use std::time::Duration;

use crate::process::read_json;
use crate::proxy::{Fate, Proxy};
use crate::stops::world;
use crate::world::to_csv;

/// Reads that are slow whatever the run does leave it at one request at a time; it says why, and ends right.
#[test]
fn a_run_takes_fewer_requests_while_reads_are_slow() {
    let (world, lines, expected) = world("held", 300);
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        if request.writes() { Fate::Pass } else { Fate::Delay(Duration::from_millis(30)) }
    });
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let call = call.with("--hosts", &proxy.hosts).with("--max-latency", "20ms");
    call.run().exits(0).names("held back by --max-latency: a read takes");
    world.assert_is(&expected);
    // A run keeps its bound until it is told otherwise, and counts how long reads took.
    assert_eq!(read_json(&run.join("run.json"))["settings"]["max_latency_us"], 20_000);
    let metrics = std::fs::read_to_string(run.join("metrics.prom")).expect("it was written");
    assert!(metrics.contains("tributary_read_seconds_limit 0.02\n"), "{metrics}");
    assert!(metrics.contains("\ntributary_read_seconds "), "{metrics}");
}

/// A bound that is kept without doing anything for it changes nothing, in any walk.
#[test]
fn every_walk_takes_a_bound() {
    let (world, lines, expected) = world("bounded", 60);
    let run = world.run_dir();
    let apply = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    apply.with("--max-latency", "10s").run().exits(0);
    world.assert_is(&expected);
    for command in ["verify", "undo"] {
        let path = run.to_str().expect("the tests use UTF-8");
        let call = crate::process::Call::new(&[command, path]);
        let call = call.with("--hosts", &world.addresses.hosts).with("--max-latency", "10s");
        call.flag("--json").run().exits(0);
    }
}

/// Whoever looks at a run that waits is told for what, and until when.
#[test]
fn a_wait_before_the_first_read_is_told() {
    let (world, lines, expected) = world("waits", 20);
    let (run, before) = (world.run_dir(), world.dump());
    let apply = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let stopped = apply.with("--settle", "1h").with("--for", "2s").run().exits(130);
    stopped.names("nothing is read before").names("--settle");
    assert_eq!(world.dump(), before);
    world.resume(&run).with("--settle", "100ms").run().exits(0);
    world.assert_is(&expected);
}
