//! Events on their way out. The only user of rdkafka.
//!
//! A group is done only after the broker acknowledged its events, so sending means waiting: the
//! pipeline hands a group's events to its [`EventSink`] and goes on when they are safe. What an event
//! says is decided elsewhere (the merge core); this module decides nothing but how it is delivered.
//!
//! Deliberately absent: retries of our own (librdkafka retries, idempotently and in order),
//! transactions, and reading from Kafka.

mod context;
mod error;
mod probe;
mod producer;
mod rows;
mod settings;
mod topic;

use std::sync::{Mutex, PoisonError};

pub use error::EventError;
pub use producer::Producer;
pub use rows::{BROKERS, KAFKA, NO_EVENTS, PROPERTIES, Silence, TOPIC};
pub use settings::EventSettings;

use crate::model::Event;

/// Where the events of a run go.
#[derive(Debug)]
pub enum EventSink {
    /// To a topic.
    Kafka(Producer),
    /// Nowhere, as the operator wished (`--no-events`).
    Discard,
    /// Into memory, for tests.
    Memory(Mutex<Vec<Event>>),
}

impl EventSink {
    /// Delivers the events of a group: returns how many were acknowledged, once all of them are.
    pub async fn deliver(&self, events: Vec<Event>) -> Result<u64, EventError> {
        let count = events.len() as u64;
        match self {
            Self::Kafka(producer) => producer.send_all(&events).await?,
            Self::Discard => return Ok(0),
            Self::Memory(memory) => {
                memory.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
            }
        }
        Ok(count)
    }

    /// Closes the connections, if there are any, after what is still on its way.
    pub async fn close(self) -> Result<(), EventError> {
        match self {
            Self::Kafka(producer) => producer.close().await,
            Self::Discard | Self::Memory(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_keeps_and_discard_does_not_count() {
        let events = vec![Event { key: "k".into(), payload: b"{}".to_vec() }];
        let memory = EventSink::Memory(Mutex::default());
        assert_eq!(memory.deliver(events.clone()).await.unwrap(), 1);
        let EventSink::Memory(kept) = &memory else { unreachable!() };
        assert_eq!(*kept.lock().unwrap(), events);
        assert_eq!(EventSink::Discard.deliver(events).await.unwrap(), 0);
    }
}
