//! Topics that take less than others.

use crate::kafka;
use crate::stops;
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

/// Nothing that is sent from then on makes it anew, though the broker would.
#[test]
fn a_topic_that_is_deleted_under_a_run_stops_it() {
    let (world, lines, expected) = stops::world("topic_deleted", 120);
    let (brokers, topic) = (&world.addresses.brokers, &world.topic);
    let before = world.dump();
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let call = world.apply(&pairs, &run).with("--rate", stops::SLOWLY);
    let running = call.flag("-X").flag("topic.metadata.propagation.max.ms=1000").start();
    stops::wait_until("it has begun", || world.dump() != before);
    kafka::delete_topic(brokers, topic);
    let stopped = running.wait().exits(1).names("was deleted while this command ran");
    // What was on its way in that moment fails no group either.
    let groups = stops::groups(&stopped.json());
    assert!(groups.left > 0 && groups.failed == 0, "{stopped}");
    world.resume(&run).with("--rate", "none").run().exits(0);
    world.assert_tables(&expected.tables);
}

#[test]
fn a_topic_that_takes_no_event_is_found_early() {
    let (world, lines, expected) = stops::world("topic_small", 120);
    let (brokers, topic) = (&world.addresses.brokers, &world.topic);
    let before = world.dump();
    kafka::create_topic(brokers, topic, ("max.message.bytes", "100"));
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let refused = world.apply(&pairs, &run).run().exits(1);
    refused.names("takes messages of 100 bytes at most").names("kafka-configs.sh");
    world.assert_tables(&before);

    // This much they may have, if they could be compressed so well: which the first of them show that they cannot.
    kafka::alter_topic(brokers, topic, ("max.message.bytes", "250"));
    let call = world.apply(&pairs, &run).with("--in-flight", "8");
    let stopped = call.run().exits(1).names("takes messages of 250 bytes at most");
    let groups = stops::groups(&stopped.json());
    assert!(groups.done == 0 && groups.left > 60, "{stopped}");
    kafka::alter_topic(brokers, topic, ("max.message.bytes", "1000000"));
    world.resume(&run).run().exits(0);
    world.assert_is(&expected);
}

/// When an event was sent is nothing that a group could do about.
#[test]
fn a_topic_that_takes_no_date_is_found_early() {
    const BEFORE: &str = "message.timestamp.before.max.ms";
    let (world, lines, expected) = stops::world("topic_dates", 120);
    let (brokers, topic) = (&world.addresses.brokers, &world.topic);
    let before = world.dump();
    kafka::create_topic(brokers, topic, (BEFORE, "0"));
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let refused = world.apply(&pairs, &run).run().exits(1);
    refused.names("no more than 0 ms before the broker's clock").names("kafka-configs.sh");
    assert!(!run.exists());
    world.assert_tables(&before);

    // Which those events are that wait for others, as the first of them show.
    kafka::alter_topic(brokers, topic, (BEFORE, "1000"));
    let call = world.apply(&pairs, &run).with("--in-flight", "8").flag("-X");
    let stopped = call.flag("linger.ms=3000").run().exits(1);
    let stopped = stopped.names("no more than 1000 ms before the broker's clock");
    let groups = stops::groups(&stopped.json());
    assert!(groups.failed == 0 && groups.left > 60, "{stopped}");
    kafka::alter_topic(brokers, topic, (BEFORE, "3600000"));
    world.resume(&run).run().exits(0);
    world.assert_is(&expected);
}
