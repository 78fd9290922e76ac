//! Kafka goes away while a run goes on.

use std::time::Duration;

use crate::data::{self, Data};
use crate::model;
use crate::proxy::{Fate, Proxy};
use crate::services::{Instance, shared};
use crate::stops::{self, wait_until};
use crate::world::{World, connect, to_csv};

/// Every event arrives once, though the broker hangs in the midst of the run for so long, and then is
/// killed and started again.
fn outage(name: &'static str, hangs: Duration) {
    let kafka = Instance::start(name, &["--kafka-only"]);
    let mut addresses = shared().clone();
    addresses.brokers.clone_from(&kafka.addresses.brokers);
    let session = connect(&addresses.hosts, None);
    let world = World::on(name, addresses, session).with_tables();

    let mut data = Data::new(17);
    for n in 0..400 {
        let from = format!("from-{n}");
        data.study(&from, "c", &format!("b{}", n % 5));
        data.pair(&from, &format!("to-{}", n / 2));
    }
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));

    // Requests are held back so that the run is still going on when the broker goes.
    let proxy = Proxy::with(&world.addresses.hosts, |_, _| Fate::Delay(Duration::from_millis(5)));
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let call = world.apply(&pairs, &world.run_dir()).with("--hosts", &proxy.hosts);
    let mut running = call.with("--in-flight", "4").start();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    let gets_to = |requests: usize| {
        while proxy.count() < requests {
            assert!(std::time::Instant::now() < deadline + hangs, "the run does not get on");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    gets_to(150);
    let held = kafka.freeze("kafka");
    std::thread::sleep(hangs);
    assert!(!running.has_ended(), "the run does not wait for its events");
    drop(held);
    gets_to(400);
    kafka.kill("kafka");
    assert!(!running.has_ended(), "the run was over before the broker went");
    kafka.again();
    running.wait().exits(0);
    world.assert_is(&expected); // one event per enrolment is asserted, too
}

#[test]
fn a_broker_that_hangs_and_is_killed_is_waited_for() {
    outage("outage", Duration::from_secs(3));
}

#[test]
#[ignore = "long: scripts/test --full"]
fn a_broker_that_hangs_for_half_a_minute_is_waited_for() {
    outage("outage_30", Duration::from_secs(30));
}

/// B10: of two brokers one is killed, and the topic wants both.
#[test]
#[ignore = "long: scripts/test --full"]
fn too_few_replicas_are_named_and_waited_for() {
    let kafka = Instance::start("replicas", &["--kafka-only", "--brokers", "2"]);
    let mut addresses = shared().clone();
    addresses.brokers.clone_from(&kafka.addresses.brokers);
    let session = connect(&addresses.hosts, None);
    let world = World::on("replicas", addresses, session).with_tables();
    let wanted = ("min.insync.replicas", "2");
    crate::kafka::create_replicated(&world.addresses.brokers, &world.topic, 2, wanted);
    let mut data = Data::new(19);
    for n in 0..200 {
        let from = format!("from-{n}");
        data.study(&from, "c", &format!("b{}", n % 5));
        data.pair(&from, &format!("to-{n}"));
    }
    world.load(&data.tables);
    let before = world.dump();
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    let (pairs, run) = (world.file("pairs.csv", to_csv(&data.lines)), world.run_dir());
    let running = world.apply(&pairs, &run).with("--rate", stops::SLOWLY).start();
    wait_until("it has begun", || world.dump() != before);
    kafka.kill("kafka-2");
    let log = || std::fs::read_to_string(run.join("run.log")).unwrap_or_default();
    wait_until("the reason is said", || log().contains("not enough replicas"));
    running.interrupt();
    let asked = std::time::Instant::now();
    let again = running.wait().exits(130).json()["again"].to_string();
    assert!(again.contains("tributary resume"), "{again}");
    assert!(asked.elapsed() < Duration::from_secs(30), "{:?}", asked.elapsed());
    kafka.again();
    world.resume(&run).with("--rate", "none").run().exits(0);
    world.assert_tables(&expected.tables);
    // An event may have been taken by the broker that was killed before it could say so; none is missing.
    let told: std::collections::BTreeSet<_> =
        world.messages().into_iter().map(|(object, _)| object).collect();
    assert_eq!(told, expected.events.keys().cloned().collect());
}
