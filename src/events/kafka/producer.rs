//! The producer: one per process, shared by every task that has events to send.
//!
//! It is idempotent and waits for all in-sync replicas, so an event that is acknowledged is in the
//! log once. A broker that goes down is waited for, until nothing has been acknowledged for so long that the run stops; the
//! tasks that wait cost no thread.
//! Dropping a call half way is safe: what was handed to librdkafka is still delivered, and nobody
//! is told.

mod outcome;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::task;
use tokio::time;

use crate::events::Scope;
use crate::model::Event;

use super::context::{Context, OnDelivered, Ticket};
use super::probe::{described, probe};
use super::topic::TopicSettings;
use super::{KafkaSettings, ProducerError, rights};

/// After this long without an acknowledgement a waiting call says so.
const STALL: Duration = Duration::from_secs(5);

/// When nothing has been acknowledged for so long, events are left to another session.
const PATIENCE: Duration = Duration::from_secs(120);

/// A full queue is looked at again after this long even if no delivery made room.
const ROOM_PAUSE: Duration = Duration::from_millis(100);

/// How often events are sent that stand in a batch with one that is refused.
const TIMES_BESIDE: usize = 8;

/// How long [`Producer::close`] waits for what is still on its way: a part of the half minute in which a command that is
/// stopped has to end, whatever the broker does.
const CLOSE_PATIENCE: Duration = Duration::from_secs(4);

/// A connected producer for one topic.
pub(super) struct Producer {
    inner: Arc<ThreadedProducer<Context>>,
    topic: String,
    brokers: String,
    user: Option<String>,
    of_topic: TopicSettings,
    patience: Duration,
    /// Events that were refused since the latest was acknowledged, and when that was.
    refused: Mutex<(u64, usize)>,
}

impl Producer {
    /// Connects and makes sure that the topic can be written to; nothing is sent.
    ///
    /// `on_delivered` is called once per acknowledged event, on librdkafka's thread, with the time
    /// from the call of [`Producer::send_all`] to the acknowledgement; it must be quick.
    pub(crate) async fn connect(
        settings: &KafkaSettings,
        on_delivered: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Result<Self, ProducerError> {
        settings.check()?;
        let on_delivered: OnDelivered = Arc::new(on_delivered);
        let (topic, brokers) = (settings.topic.clone(), settings.brokers.clone());
        let unknown = TopicSettings::default();
        drop(Self::make(settings, &unknown, Arc::clone(&on_delivered), true).await?);
        // Only a topic that is there has settings.
        let of_topic = TopicSettings::ask(settings).await;
        rights::check(settings, &of_topic).await?;
        of_topic.check_dates(&topic, &brokers)?;
        let inner = Self::make(settings, &of_topic, on_delivered, false).await?;
        let refused = Mutex::default();
        let (inner, user) = (Arc::new(inner), settings.user());
        Ok(Self { inner, topic, brokers, user, of_topic, patience: PATIENCE, refused })
    }

    /// Sees that the topic can take an event of so many bytes.
    ///
    /// # Errors
    /// It takes less.
    pub(crate) fn check_size(&self, bytes: usize) -> Result<(), ProducerError> {
        match self.of_topic.may_take(bytes) {
            true => Ok(()),
            false => Err(self.too_small(bytes)),
        }
    }

    fn too_small(&self, bytes: usize) -> ProducerError {
        let most = self.of_topic.most_bytes.unwrap_or_default();
        let (topic, brokers) = (self.topic.clone(), self.brokers.clone());
        ProducerError::TooSmall { topic, brokers, most, bytes }
    }

    /// Makes the client, and perhaps looks whether the topic can be written to. Making, asking and (after an error) closing
    /// all block for a while.
    async fn make(
        settings: &KafkaSettings,
        of_topic: &TopicSettings,
        on_delivered: OnDelivered,
        is_new: bool,
    ) -> Result<ThreadedProducer<Context>, ProducerError> {
        let (settings, of_topic) = (settings.clone(), of_topic.clone());
        let made = task::spawn_blocking(move || {
            let config = settings.client_config(&of_topic);
            let inner = config.create_with_context(Context::new(on_delivered));
            let inner: ThreadedProducer<Context> = inner.map_err(creation_error)?;
            match is_new {
                true => probe(&inner, &settings)?,
                false => inner.client().context().connected(),
            }
            Ok(inner)
        });
        made.await.unwrap_or_else(|panic| {
            Err(ProducerError::Fatal { cause: format!("connecting was broken off: {panic}") })
        })
    }

    /// Sends the events and returns once the broker has acknowledged every one of them. Waits while
    /// the queue is full and while no broker is up.
    ///
    /// # Errors
    /// The first failure. An event that cannot be sent does not keep the others from being sent and
    /// waited for; only a producer that gave up ([`ProducerError::Fatal`]) ends the call at once.
    pub(crate) async fn send_all(&self, events: &[Event]) -> Result<(), ProducerError> {
        for _ in 1..TIMES_BESIDE {
            match self.send(events).await {
                // One that another batch has taken is sent twice, with the same id.
                Err(ProducerError::Beside { .. }) => {}
                sent => return sent,
            }
        }
        self.send(events).await
    }

    async fn send(&self, events: &[Event]) -> Result<(), ProducerError> {
        if events.is_empty() {
            return Ok(());
        }
        let ticket = Arc::new(Ticket::new(events.len()));
        let mut first = None;
        for event in events {
            match self.enqueue(event, &ticket).await {
                Ok(()) => {}
                Err(fatal @ ProducerError::Fatal { .. }) => return Err(fatal),
                Err(refused) => {
                    ticket.forget_one();
                    first.get_or_insert(refused);
                }
            }
        }
        let settled = loop {
            match time::timeout(STALL, ticket.settled()).await {
                Ok(settled) => break self.settled(settled),
                Err(_) => self.while_waiting(&ticket).await?,
            }
        };
        match (first, settled) {
            (None, settled) => settled,
            // It is about every event to come, the other one about a single event.
            (Some(_), Err(all)) if all.scope() == Scope::All => Err(all),
            (Some(first), _) => Err(first),
        }
    }

    /// Where the events go.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// Events that were sent and are not acknowledged yet.
    pub(crate) fn outstanding(&self) -> usize {
        usize::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }

    /// Waits (for a while) for what is still on its way and closes the connections. Every
    /// [`Producer::send_all`] has waited for its own events already; only calls that were dropped can
    /// have left any.
    pub(crate) async fn close(self) -> Result<(), ProducerError> {
        let inner = Arc::clone(&self.inner);
        let flushed = task::spawn_blocking(move || {
            let flushed = inner.flush(CLOSE_PATIENCE);
            let outstanding = usize::try_from(inner.in_flight_count()).unwrap_or(0);
            drop(self);
            drop(inner);
            flushed.map_err(|_| ProducerError::Unacknowledged { outstanding })
        });
        flushed.await.unwrap_or(Ok(()))
    }

    /// Hands one event to librdkafka, waiting for room in its queue.
    async fn enqueue(&self, event: &Event, ticket: &Arc<Ticket>) -> Result<(), ProducerError> {
        let room = &self.inner.client().context().room;
        let mut record = BaseRecord::with_opaque_to(&self.topic, Arc::clone(ticket))
            .key(event.key.as_str())
            .payload(event.payload.as_slice());
        loop {
            let (error, returned) = match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            match error.rdkafka_error_code() {
                Some(Code::QueueFull) => {
                    record = returned;
                    // Running into the timeout is fine: then the queue is looked at again.
                    let _ = time::timeout(ROOM_PAUSE, room.notified()).await;
                    if ticket.waited() >= STALL {
                        self.while_waiting(ticket).await?;
                    }
                }
                Some(Code::MessageSizeTooLarge) => {
                    return Err(self.too_large(event.key.clone(), event.payload.len()));
                }
                _ => return Err(self.delivery_error(&error)),
            }
        }
    }

    /// Says, now and then, that Kafka is waited for; fails if waiting is pointless.
    async fn while_waiting(&self, ticket: &Ticket) -> Result<(), ProducerError> {
        let context = self.inner.client().context();
        if let Some(fatal) = self.fatal() {
            return Err(fatal);
        }
        let since = ticket.waited().min(context.silence());
        let is_over = since >= self.patience;
        // One of all that wait looks.
        if since < STALL || !is_over && !context.is_due("look", STALL) {
            return Ok(());
        }
        let (about, cause) = self.cause().await;
        if is_over {
            let (brokers, since_s) = (self.brokers.clone(), since.as_secs());
            return Err(ProducerError::Silent { brokers, since_s, cause });
        }
        if !context.may_log(about) {
            return Ok(());
        }
        context.is_reported.store(true, Ordering::Relaxed);
        tracing::warn!(
            "waiting for Kafka ({cause}) since {} s: {} events outstanding (brokers {})",
            since.as_secs(),
            self.outstanding(),
            self.brokers
        );
        Ok(())
    }

    /// Why nothing is acknowledged, and what that is about. A broker that refuses what it may take later says so to
    /// librdkafka alone; and where one is gone, it is the others that refuse.
    async fn cause(&self) -> (&'static str, String) {
        let (inner, topic) = (Arc::clone(&self.inner), self.topic.clone());
        let of_topic = self.of_topic.clone();
        let asked = task::spawn_blocking(move || of_topic.lacks_replicas(&inner, &topic)).await;
        if let Ok(Some(lacking)) = asked {
            return ("replicas", lacking);
        }
        let known = self.inner.client().context().trouble().cause;
        ("waiting", known.unwrap_or_else(|| "no answer".to_owned()))
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("brokers", &self.brokers)
            .field("topic", &self.topic)
            .field("outstanding", &self.outstanding())
            .finish()
    }
}

/// librdkafka checks at creation which properties do not go together, and reads the files they name.
fn creation_error(error: KafkaError) -> ProducerError {
    let reason = match error {
        KafkaError::ClientCreation(reason) => reason,
        error => described(&error),
    };
    ProducerError::Settings { reason }
}

#[cfg(test)]
mod tests;
