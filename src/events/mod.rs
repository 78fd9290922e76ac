//! Events on their way out.
//!
//! A group is done only after its events are acknowledged, so sending means waiting: the pipeline hands a group's events
//! to its [`EventSink`] and goes on when they are safe. What an event says is decided elsewhere (the merge core); this
//! module decides nothing but where it goes and how it is delivered.
//!
//! Each kind of sink has a module of its own, with all that is to be known of it: its settings, the check before the
//! first group, delivery, its part of the manual, and what is wrong in words that say what to do. Another kind is a module
//! beside [`kafka`] and a row of [`KINDS`]; `settings` says which of them a run has.
//!
//! May use `model`, `secret` and `setting`; may be used by `pipeline`, `verify`, `undo`, `help` and `cli`.

mod error;
mod kafka;
mod settings;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;

pub use error::EventError;
pub(crate) use error::Scope;
pub(crate) use settings::{EventSettings, Silence, lacks, of};

use crate::model::{Destination, Event};
use crate::secret::redacted_address;
use crate::setting::{Described, Layers, SettingsError};

/// The kinds of sinks; events go to the first if nothing else is said.
const KINDS: &[SinkKind] = &[kafka::KIND];

/// A kind of sink, before it is open: its settings, and what is to be known of it.
#[derive(Clone, Copy)]
struct SinkKind {
    /// As a name is written.
    name: &'static str,
    /// What there is to know of it, in Markdown.
    manual: &'static str,
    settings: &'static [&'static dyn Described],
    /// The one that says where in it events go: whoever gives it chooses this kind. It is kept as an
    /// [`address`](crate::setting::address).
    destination: &'static dyn Described,
    /// What they make.
    of: fn(&Layers) -> Result<Arc<dyn SinkSettings>, SettingsError>,
}

/// The settings of all sinks, table by table.
pub(crate) fn tables() -> impl Iterator<Item = &'static [&'static dyn Described]> {
    KINDS.iter().map(|kind| kind.settings).chain([settings::EVENTS])
}

/// Each kind of sink with what there is to know of it, for the manual.
pub(crate) fn kinds() -> impl Iterator<Item = [&'static str; 2]> {
    KINDS.iter().map(|kind| [kind.name, kind.manual])
}

/// Called once per acknowledged event, perhaps on a thread of the sink's own, with the time from the call of
/// [`Sink::deliver`] to the acknowledgement; it must be quick.
pub(crate) type OnDelivered = Arc<dyn Fn(Duration) + Send + Sync>;

/// All that a kind of sink has to be told.
pub(crate) trait SinkSettings: fmt::Debug + Send + Sync {
    /// Makes sure that events can be delivered there, the smallest of which has so many bytes; none is sent.
    fn open(
        &self,
        least_bytes: usize,
        on_delivered: OnDelivered,
    ) -> BoxFuture<'_, Result<Box<dyn Sink>, EventError>>;
}

/// A sink that is open.
pub trait Sink: fmt::Debug + Send + Sync {
    /// Delivers the events of a group, and is over once all of them are acknowledged.
    ///
    /// # Errors
    /// One of them was not; the error says what the others would meet.
    fn deliver<'a>(&'a self, events: &'a [Event]) -> BoxFuture<'a, Result<(), EventError>>;

    /// Where they go.
    fn destination(&self) -> Destination;

    /// Closes what it has open, after what is still on its way.
    ///
    /// # Errors
    /// Something is still on its way.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), EventError>>;
}

/// Where the events of a run go.
#[derive(Debug)]
pub enum EventSink {
    Open(Box<dyn Sink>),
    /// Nowhere, as the operator wished (`--no-events`).
    Discard,
    /// Into memory, for tests.
    Memory(Mutex<Vec<Event>>),
}

impl EventSink {
    /// Opens the sink of these settings: see `SinkSettings::open`.
    ///
    /// # Errors
    /// No events can be delivered there.
    pub(crate) async fn open(
        settings: &EventSettings,
        least_bytes: usize,
        on_delivered: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Result<Self, EventError> {
        settings.open(least_bytes, Arc::new(on_delivered)).await.map(Self::Open)
    }

    /// Delivers the events of a group: returns how many were acknowledged, once all of them are.
    ///
    /// # Errors
    /// One of them was not.
    pub(crate) async fn deliver(&self, events: Vec<Event>) -> Result<u64, EventError> {
        let count = events.len() as u64;
        match self {
            Self::Open(sink) => sink.deliver(&events).await?,
            Self::Discard => return Ok(0),
            Self::Memory(memory) => {
                memory.lock().unwrap_or_else(PoisonError::into_inner).extend(events);
            }
        }
        Ok(count)
    }

    /// What is told of where events go; none if nowhere.
    pub(crate) fn destination(&self) -> Option<Destination> {
        let Self::Open(sink) = self else { return None };
        let destination = sink.destination();
        // Whatever the sink, nothing secret of its address is told.
        Some(Destination { name: redacted_address(&destination.name), ..destination })
    }

    /// Closes what it has open, after what is still on its way.
    ///
    /// # Errors
    /// Something is still on its way.
    pub(crate) async fn close(self) -> Result<(), EventError> {
        match self {
            Self::Open(sink) => sink.close().await,
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
