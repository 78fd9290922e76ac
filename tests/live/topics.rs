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
