//! Topics that take less than others, or nothing at present.

use std::time::{Duration, Instant};

use crate::kafka;
use crate::stops::{self, wait_until};
use crate::world::to_csv;

#[test]
fn batches_are_no_larger_than_the_topic_takes() {
    let (world, lines, expected) = stops::world("batches", 400);
    kafka::create_topic(&world.addresses.brokers, &world.topic, ("max.message.bytes", "4000"));
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let call = world.apply(&pairs, &run).with("--in-flight", "400");
    // So that what is sent at once would be one large batch.
    let call = call.flag("-X").flag("linger.ms=200").flag("-X").flag("compression.codec=none");
    assert_eq!(stops::groups(&call.run().exits(0).json()).failed, 0);
    world.assert_is(&expected);
}

#[test]
fn too_few_replicas_are_named_and_an_interrupt_leaves_the_events_to_the_next_session() {
    let (world, lines, expected) = stops::world("replicas", 40);
    let brokers = &world.addresses.brokers;
    kafka::create_topic(brokers, &world.topic, ("min.insync.replicas", "2"));
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let mut running = world.apply(&pairs, &run).start();
    let log = run.join("run.log");
    wait_until("it says why it waits", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("min.insync.replicas is 2"))
    });
    assert!(!running.has_ended());
    let interrupted = Instant::now();
    running.interrupt();
    let finished = running.wait().exits(130).names("not enough replicas: partition 0 of topic");
    assert!(interrupted.elapsed() < Duration::from_secs(30), "{finished}");
    kafka::alter_topic(brokers, &world.topic, ("min.insync.replicas", "1"));
    world.resume(&run).run().exits(0);
    world.assert_is(&expected);
}
