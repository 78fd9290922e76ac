//! Kafka goes away while a run goes on.

use std::time::Duration;

use crate::data::{self, Data};
use crate::model;
use crate::proxy::{Fate, Proxy};
use crate::services::{Instance, shared};
use crate::world::{World, connect, to_csv};

/// Every event arrives once, though the broker is killed in the midst of the run and started again.
#[test]
fn a_broker_that_is_killed_is_waited_for() {
    let kafka = Instance::start("outage", &["--kafka-only"]);
    let mut addresses = shared().clone();
    addresses.brokers.clone_from(&kafka.addresses.brokers);
    let session = connect(&addresses.hosts, None);
    let world = World::on("outage", addresses, session);
    world.cql(crate::tables::USER_COURSES);
    world.cql(crate::tables::CONTENT_CONSUMPTION);

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
    while proxy.count() < 150 {
        assert!(std::time::Instant::now() < deadline, "the run does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    kafka.kill("kafka");
    assert!(!running.has_ended(), "the run was over before the broker went");
    kafka.again();
    running.wait().exits(0);
    world.assert_is(&expected); // one event per enrolment is asserted, too
}
