//! Events on their way out.
//!
//! A group is done only after its events are acknowledged, so sending means waiting: the pipeline hands a group's events
//! to its [`EventSink`] and goes on when they are safe. What an event says is decided elsewhere (the merge core); this
//! module decides nothing but where it goes and how it is delivered.
//!
//! Each kind of sink has a module of its own, with all that is to be known of it: its settings, the check before the
//! first group, delivery, and what is wrong in words that say what to do. Another kind is a module beside [`kafka`], a
//! row of [`KINDS`], and a variant here; `settings` says which of them a run has.
//!
//! May use `model`, `secret` and `setting`; may be used by `pipeline`, `verify`, `undo` and `cli`.

mod error;
pub(crate) mod kafka;
mod settings;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) use error::{EventError, Scope};
pub(crate) use settings::Silence;

use crate::model::{Destination, Event};
use crate::secret::redacted_address;
use crate::setting::{Described, Layers, SettingsError};
use kafka::{KafkaSettings, Producer};

/// A kind of sink, as far as its settings go.
#[derive(Clone, Copy)]
struct Kind {
    /// All of them.
    settings: &'static [&'static dyn Described],
    /// The one that says where in it events go: whoever gives it chooses this kind.
    destination: &'static dyn Described,
    /// What they make.
    of: fn(&Layers) -> Result<EventSettings, SettingsError>,
}

/// The kinds of sinks; events go to the first if nothing else is said.
const KINDS: &[Kind] = &[kafka::KIND];

/// The settings of all sinks, table by table.
pub(crate) fn tables() -> impl Iterator<Item = &'static [&'static dyn Described]> {
    KINDS.iter().map(|kind| kind.settings).chain([settings::EVENTS])
}

/// Where the events of a run are to go, and how.
#[derive(Clone, Debug)]
pub(crate) enum EventSettings {
    /// To a topic.
    Kafka(KafkaSettings),
}

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
    /// Makes sure that events can be delivered there, the smallest of which has so many bytes; none is sent.
    ///
    /// `on_delivered` is called once per acknowledged event, perhaps on a thread of the sink's own, with the time from
    /// the call of [`deliver`](Self::deliver) to the acknowledgement; it must be quick.
    ///
    /// # Errors
    /// They cannot.
    pub(crate) async fn open(
        settings: &EventSettings,
        least_bytes: usize,
        on_delivered: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Result<Self, EventError> {
        match settings {
            EventSettings::Kafka(settings) => {
                let producer = Producer::connect(settings, on_delivered).await?;
                producer.check_size(least_bytes)?;
                Ok(Self::Kafka(producer))
            }
        }
    }

    /// Delivers the events of a group: returns how many were acknowledged, once all of them are.
    ///
    /// # Errors
    /// One of them was not.
    pub(crate) async fn deliver(&self, events: Vec<Event>) -> Result<u64, EventError> {
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

    /// What is told of where events go; none if nowhere.
    pub(crate) fn destination(&self) -> Option<Destination> {
        let destination = match self {
            Self::Kafka(producer) => producer.destination(),
            Self::Discard | Self::Memory(_) => return None,
        };
        // Whatever the sink, nothing secret of its address is told.
        Some(Destination { name: redacted_address(&destination.name), ..destination })
    }

    /// Closes what it has open, after what is still on its way.
    ///
    /// # Errors
    /// Something is still on its way.
    pub(crate) async fn close(self) -> Result<(), EventError> {
        match self {
            Self::Kafka(producer) => Ok(producer.close().await?),
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
