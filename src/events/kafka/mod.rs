//! Events to a topic of Kafka: its settings, the check before the first group, and delivery. The only user of rdkafka.
//!
//! Deliberately absent: retries of our own (librdkafka retries, idempotently and in order), transactions, and reading
//! from Kafka.

mod context;
mod error;
mod probe;
mod producer;
mod rights;
mod settings;
mod topic;

use error::ProducerError;
pub(crate) use producer::Producer;
pub(crate) use settings::KafkaSettings;

use super::{EventSettings, Kind};

/// This kind of sink.
pub(super) const KIND: Kind = Kind {
    settings: settings::KAFKA,
    destination: &settings::TOPIC,
    of: |layers| Ok(EventSettings::Kafka(KafkaSettings::of(layers)?)),
};
