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

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{EventError, OnDelivered, Sink, SinkKind, SinkSettings};
use crate::model::{Destination, Event};
use error::ProducerError;
use producer::Producer;
use settings::KafkaSettings;

/// As a name is written.
const NAME: &str = "Kafka";

pub(super) const KIND: SinkKind = SinkKind {
    name: NAME,
    manual: include_str!("manual.md"),
    settings: settings::KAFKA,
    destination: &settings::TOPIC,
    of: |layers| Ok(Arc::new(KafkaSettings::of(layers)?)),
};

impl SinkSettings for KafkaSettings {
    fn open(
        &self,
        least_bytes: usize,
        on_delivered: OnDelivered,
    ) -> BoxFuture<'_, Result<Box<dyn Sink>, EventError>> {
        let connect = async move {
            let producer = Producer::connect(self, move |took| on_delivered(took)).await?;
            producer.check_size(least_bytes)?;
            Ok(Box::new(producer) as Box<dyn Sink>)
        };
        connect.boxed()
    }
}

impl Sink for Producer {
    fn deliver<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<(), EventError>> {
        async move { Ok(self.send_all(events).await?) }.boxed()
    }

    fn destination(&self) -> Destination {
        Destination { sink: NAME, kind: "topic", name: self.topic().to_owned() }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), EventError>> {
        async move { Ok(Producer::close(*self).await?) }.boxed()
    }
}
