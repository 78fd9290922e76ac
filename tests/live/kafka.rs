//! Reads a topic to its end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use serde_json::Value;

use crate::world::runtime;

const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) key: String,
    pub(crate) payload: Value,
}

/// Every message of the topic, in no particular order. A topic that does not exist has none.
pub(crate) fn consume(brokers: &str, topic: &str) -> Vec<Message> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "tributary-tests")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .create()
        .expect("the consumer's settings are valid");

    let mut ends = partitions(&consumer, topic);
    ends.retain(|(_, low, high)| low < high);
    let mut assignment = TopicPartitionList::new();
    for (partition, low, _) in &ends {
        assignment
            .add_partition_offset(topic, *partition, Offset::Offset(*low))
            .expect("the offset is valid");
    }
    consumer.assign(&assignment).expect("partitions can be assigned");

    let mut messages = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    while !ends.is_empty() {
        assert!(Instant::now() < deadline, "{topic} could not be read to its end");
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let message = message.expect("the topic can be read");
        ends.retain(|(partition, _, high)| {
            *partition != message.partition() || message.offset() + 1 < *high
        });
        let key = message.key().expect("an event has a key");
        let payload = message.payload().expect("an event has a payload");
        messages.push(Message {
            key: String::from_utf8(key.to_vec()).expect("a key is UTF-8"),
            payload: serde_json::from_slice(payload).expect("a payload is JSON"),
        });
    }
    messages
}

/// Each partition with its first offset and the offset after its last.
fn partitions(consumer: &BaseConsumer, topic: &str) -> Vec<(i32, i64, i64)> {
    let deadline = Instant::now() + DEADLINE;
    let partitions = loop {
        let metadata = consumer.fetch_metadata(Some(topic), DEADLINE).expect("the broker answers");
        let found = &metadata.topics()[0];
        let all_led = found.partitions().iter().all(|partition| partition.leader() >= 0);
        match found.error().map(RDKafkaErrorCode::from) {
            None if all_led => {
                break found
                    .partitions()
                    .iter()
                    .map(|partition| partition.id())
                    .collect::<Vec<_>>();
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Vec::new(),
            other => assert!(Instant::now() < deadline, "{topic} is not available: {other:?}"),
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    partitions
        .into_iter()
        .map(|partition| {
            // The leader of a new partition may not know yet that it is.
            loop {
                match consumer.fetch_watermarks(topic, partition, DEADLINE) {
                    Ok((low, high)) => break (partition, low, high),
                    Err(error) => assert!(
                        Instant::now() < deadline,
                        "the broker does not know the ends of a partition: {error}"
                    ),
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        })
        .collect()
}

/// Creates a topic of one partition with such a setting.
pub(crate) fn create_topic(brokers: &str, topic: &str, setting: (&str, &str)) {
    create_replicated(brokers, topic, 1, setting);
}

/// As [`create_topic`], with so many replicas.
pub(crate) fn create_replicated(brokers: &str, topic: &str, replicas: i32, setting: (&str, &str)) {
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(replicas)).set(setting.0, setting.1);
    let made = runtime().block_on(admin(brokers).create_topics([&new], &AdminOptions::new()));
    made.expect("the broker answers")[0].as_ref().expect("the topic can be made");
}

pub(crate) fn delete_topic(brokers: &str, topic: &str) {
    let done = runtime().block_on(admin(brokers).delete_topics(&[topic], &AdminOptions::new()));
    done.expect("the broker answers")[0].as_ref().expect("the topic can be deleted");
}

/// Gives a topic such a setting, and no other.
pub(crate) fn alter_topic(brokers: &str, topic: &str, (key, value): (&str, &str)) {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(key, value);
    let done = runtime().block_on(admin(brokers).alter_configs([&change], &AdminOptions::new()));
    done.expect("the broker answers")[0].as_ref().expect("the topic can be altered");
}

fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    let admin = ClientConfig::new().set("bootstrap.servers", brokers).create();
    admin.expect("the settings are valid")
}

/// Nobody may write to a topic any more. When it returns, the broker knows it.
pub(crate) fn deny_writes(brokers: &str, topic: &str) {
    let text = |text: &str| [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat();
    // CreateAcls, version 1: a topic, by its literal name, and somebody's right to one operation or to all.
    let of = |right: [u8; 2]| {
        [&[2][..], &text(topic), &[3], &text("User:*"), &text("*"), &right].concat()
    };
    let (allow_all, deny_writes) = (of([2, 3]), of([4, 2]));
    let request = [&[0, 30, 0, 1, 0, 0, 0, 7][..], &text("tests"), &[0, 0, 0, 2]].concat();
    let body = [request, allow_all, deny_writes].concat();
    let mut broker = TcpStream::connect(brokers).expect("it is up");
    broker.write_all(&(body.len() as i32).to_be_bytes()).expect("it can be asked");
    broker.write_all(&body).expect("it can be asked");
    // A length, the number of the request, how long it was held back, two results: an error and an empty message each.
    let mut answer = [0; 24];
    broker.read_exact(&mut answer).expect("it answers");
    assert_eq!([&answer[16..18], &answer[20..22]].concat(), [0; 4], "it refuses: {answer:?}");
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("the producer's settings are valid");
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline, "the broker takes messages all the same");
        let record = FutureRecord::to(topic).key("k").payload("{}");
        let sent = runtime().block_on(producer.send(record, DEADLINE));
        if sent.is_err_and(|(error, _)| {
            error == KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed)
        }) {
            return;
        }
    }
}
