//! Makes sure, before anything is written, that events can be delivered: a broker answers, the topic
//! exists (or is created by being asked for), and the leaders of its partitions answer too.
//!
//! librdkafka's questions block, so this runs on a thread of its own. It sends no message.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use super::context::Context;
use super::rights::not_permitted;
use super::{KafkaSettings, ProducerError};

/// How long is waited for a broker, and then again for the topic.
const PATIENCE: Duration = Duration::from_secs(10);

/// When every address has failed, a broker that is just starting gets this long.
const PATIENCE_WHEN_DOWN: Duration = Duration::from_secs(3);

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(1);

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// Asks until everything is there, or says what is not.
pub(super) fn probe(
    producer: &ThreadedProducer<Context>,
    settings: &KafkaSettings,
) -> Result<(), ProducerError> {
    let leaders = wait_for_topic(producer, settings)?;
    for (leader, partition) in leaders {
        wait_for_leader(producer, settings, leader, partition)?;
    }
    producer.client().context().connected();
    Ok(())
}

/// What one look at the topic shows.
enum TopicState {
    /// It can be written to: one partition of each leader, by the leader's address.
    Ready(BTreeMap<String, i32>),
    /// It does not exist (yet).
    Missing,
    /// It exists, but not every partition has a leader (yet).
    NotReady(String),
}

/// Waits for a broker, then for the topic; returns its leaders and a partition of each.
fn wait_for_topic(
    producer: &ThreadedProducer<Context>,
    settings: &KafkaSettings,
) -> Result<BTreeMap<String, i32>, ProducerError> {
    let begun = Instant::now();
    let mut answered = None;
    loop {
        match look(producer, &settings.topic) {
            Ok(TopicState::Ready(leaders)) => return Ok(leaders),
            Ok(not_yet) => {
                let since = *answered.get_or_insert_with(Instant::now);
                if since.elapsed() >= PATIENCE {
                    return Err(unready(not_yet, settings));
                }
            }
            Err(LookError::Right) => return Err(not_permitted(settings)),
            Err(LookError::Topic(cause)) => {
                return Err(ProducerError::TopicUnusable { topic: settings.topic.clone(), cause });
            }
            Err(LookError::Broker(error)) => {
                let context = producer.client().context();
                let trouble = context.trouble();
                let waited = answered.unwrap_or(begun).elapsed();
                let down = trouble.all_brokers_down && waited >= PATIENCE_WHEN_DOWN;
                if trouble.permanent || down || waited >= PATIENCE {
                    return Err(ProducerError::Unreachable {
                        brokers: settings.brokers.clone(),
                        cause: trouble.fatal.or(trouble.cause).unwrap_or_else(|| described(&error)),
                    });
                }
            }
        }
        thread::sleep(PAUSE);
    }
}

enum LookError {
    /// The topic is refused for good.
    Topic(String),
    /// To us.
    Right,
    /// The question was not answered.
    Broker(KafkaError),
}

fn look(producer: &ThreadedProducer<Context>, topic: &str) -> Result<TopicState, LookError> {
    let metadata =
        producer.client().fetch_metadata(Some(topic), QUESTION).map_err(LookError::Broker)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Ok(TopicState::Missing);
    };
    match found.error() {
        None => {}
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => {
            return Ok(TopicState::Missing);
        }
        Some(error @ RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => {
            return Ok(TopicState::NotReady(described(&KafkaError::Global(error.into()))));
        }
        Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) => {
            return Err(LookError::Right);
        }
        Some(error) => return Err(LookError::Topic(described(&KafkaError::Global(error.into())))),
    }
    let addresses: BTreeMap<i32, String> = metadata
        .brokers()
        .iter()
        .map(|broker| (broker.id(), format!("{}:{}", broker.host(), broker.port())))
        .collect();
    Ok(leaders(found, &addresses))
}

fn leaders(topic: &MetadataTopic, addresses: &BTreeMap<i32, String>) -> TopicState {
    let mut leaders = BTreeMap::new();
    for partition in topic.partitions() {
        match addresses.get(&partition.leader()) {
            Some(address) => leaders.entry(address.clone()).or_insert(partition.id()),
            None => {
                return TopicState::NotReady(format!("partition {} has no leader", partition.id()));
            }
        };
    }
    if leaders.is_empty() { TopicState::Missing } else { TopicState::Ready(leaders) }
}

fn unready(state: TopicState, settings: &KafkaSettings) -> ProducerError {
    let topic = settings.topic.clone();
    match state {
        TopicState::NotReady(cause) => ProducerError::TopicUnusable { topic, cause },
        TopicState::Missing | TopicState::Ready(_) => {
            ProducerError::NoTopic { topic, brokers: settings.brokers.clone() }
        }
    }
}

/// The bootstrap address may answer while the address that the broker advertises does not.
fn wait_for_leader(
    producer: &ThreadedProducer<Context>,
    settings: &KafkaSettings,
    leader: String,
    partition: i32,
) -> Result<(), ProducerError> {
    let begun = Instant::now();
    loop {
        let error = match producer.client().fetch_watermarks(&settings.topic, partition, QUESTION) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let topic = settings.topic.clone();
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            ) => return Err(not_permitted(settings)),
            _ if begun.elapsed() >= PATIENCE => {
                let trouble = producer.client().context().trouble();
                let cause = trouble.cause.unwrap_or_else(|| described(&error));
                return Err(ProducerError::LeaderUnreachable { topic, leader, cause });
            }
            _ => thread::sleep(PAUSE),
        }
    }
}

/// The error in librdkafka's words, without the layers and the code's name around them.
pub(super) fn described(error: &KafkaError) -> String {
    let described = error.rdkafka_error_code().map_or_else(|| error.to_string(), |c| c.to_string());
    match described.split_once(" (") {
        Some((_, words)) => words.trim_end_matches(')').to_owned(),
        None => described,
    }
}
