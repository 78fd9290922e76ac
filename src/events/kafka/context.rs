//! What librdkafka tells us from its own thread: deliveries, errors and log lines.
//!
//! Deliveries settle the [`Ticket`] of the call that sent them. Errors are remembered, because a
//! client that retries for ever reports its troubles nowhere else. Log lines go to `tracing`,
//! throttled: a broker that is down makes librdkafka say so many times a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, Message as _};
use tokio::sync::Notify;

/// Called with the time from the call that sends to the acknowledgement, once per event.
pub(super) type OnDelivered = Arc<dyn Fn(Duration) + Send + Sync>;

/// One log line per subject in this time; the others go to the debug level.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// An event that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undelivered {
    pub(super) error: KafkaError,
    pub(super) key: String,
    /// The size of what it says.
    pub(super) bytes: usize,
    /// How long ago it was sent, and so dated.
    pub(super) age: Duration,
}

impl Undelivered {
    /// Whether nothing was wrong with it but another one of its batch.
    fn is_beside(&self) -> bool {
        self.error.rdkafka_error_code() == Some(RDKafkaErrorCode::InvalidDifferentRecord)
    }
}

/// The deliveries that one call waits for.
#[derive(Debug)]
pub(super) struct Ticket {
    sent: Instant,
    outstanding: AtomicUsize,
    failure: Mutex<Option<Undelivered>>,
    settled: Notify,
}

impl Ticket {
    pub(super) fn new(events: usize) -> Self {
        Self {
            sent: Instant::now(),
            outstanding: AtomicUsize::new(events),
            failure: Mutex::new(None),
            settled: Notify::new(),
        }
    }

    /// Waits until every delivery is settled: the first failure, if there was one.
    pub(super) async fn settled(&self) -> Result<(), Undelivered> {
        while self.outstanding.load(Ordering::Acquire) > 0 {
            // The last delivery leaves a permit if nobody waits yet, so it cannot be missed.
            self.settled.notified().await;
        }
        lock(&self.failure).clone().map_or(Ok(()), Err)
    }

    pub(super) fn waited(&self) -> Duration {
        self.sent.elapsed()
    }

    /// Counts off an event that was never handed over, so that no delivery will come.
    pub(super) fn forget_one(&self) {
        self.settle_one(None);
    }

    fn settle_one(&self, failure: Option<Undelivered>) {
        if let Some(failure) = failure {
            let mut first = lock(&self.failure);
            if first.as_ref().is_none_or(Undelivered::is_beside) {
                *first = Some(failure);
            }
        }
        if self.outstanding.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.settled.notify_one();
        }
    }
}

/// The state that librdkafka's thread shares with the callers.
pub(super) struct Context {
    on_delivered: OnDelivered,
    /// Wakes one call that waits for room in the queue.
    pub(super) room: Notify,
    /// While connecting, troubles are told once, by the error that ends it.
    connecting: AtomicBool,
    trouble: Mutex<Trouble>,
    born: Instant,
    /// Milliseconds from `born` to the latest acknowledgement.
    acknowledged_at_ms: AtomicU64,
    done: Mutex<HashMap<String, Instant>>,
    /// It was said that Kafka is waited for.
    pub(super) is_reported: AtomicBool,
    /// The highest offset at which each partition took an event.
    offsets: Mutex<HashMap<i32, i64>>,
    /// A partition took one at a lower offset than before: the topic is another one.
    pub(super) is_anew: AtomicBool,
}

/// What was last reported to be wrong.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// The last error that says more than "all brokers are down".
    pub(super) cause: Option<String>,
    /// No broker could be connected to since the last acknowledgement.
    pub(super) all_brokers_down: bool,
    /// An error that will not go away by waiting: authentication, TLS, an unknown host.
    pub(super) permanent: bool,
    /// The error after which the producer refuses everything.
    pub(super) fatal: Option<String>,
}

impl Context {
    pub(super) fn new(on_delivered: OnDelivered) -> Self {
        Self {
            on_delivered,
            room: Notify::new(),
            connecting: AtomicBool::new(true),
            trouble: Mutex::default(),
            born: Instant::now(),
            acknowledged_at_ms: AtomicU64::new(0),
            done: Mutex::default(),
            is_reported: AtomicBool::new(false),
            offsets: Mutex::default(),
            is_anew: AtomicBool::new(false),
        }
    }

    pub(super) fn connected(&self) {
        self.connecting.store(false, Ordering::Relaxed);
        *lock(&self.trouble) = Trouble::default();
    }

    pub(super) fn trouble(&self) -> Trouble {
        lock(&self.trouble).clone()
    }

    /// How long ago the latest acknowledgement came (or the producer was made).
    pub(super) fn silence(&self) -> Duration {
        let latest = Duration::from_millis(self.acknowledged_at_ms.load(Ordering::Relaxed));
        self.born.elapsed().saturating_sub(latest)
    }

    /// Whether something may be logged on this subject now.
    pub(super) fn may_log(&self, subject: &str) -> bool {
        self.is_due(subject, LOG_PAUSE)
    }

    /// Whether something on this subject was done last so long ago, or never; if so, it counts as done now.
    pub(super) fn is_due(&self, subject: &str, pause: Duration) -> bool {
        let mut done = lock(&self.done);
        let now = Instant::now();
        match done.get_mut(subject) {
            Some(last) if now.duration_since(*last) < pause => false,
            Some(last) => {
                *last = now;
                true
            }
            None => {
                done.insert(subject.to_owned(), now);
                true
            }
        }
    }

    /// When the latest event was taken; 0 if none has been.
    pub(super) fn acknowledged_at_ms(&self) -> u64 {
        self.acknowledged_at_ms.load(Ordering::Relaxed)
    }

    /// A partition took an event at an offset; one that is not known is negative.
    fn took_at(&self, partition: i32, offset: i64) {
        let mut offsets = lock(&self.offsets);
        let highest = offsets.entry(partition).or_insert(offset);
        if (0..*highest).contains(&offset) {
            self.is_anew.store(true, Ordering::Relaxed);
        }
        *highest = offset.max(*highest);
    }

    fn acknowledged(&self, took: Duration) {
        if self.is_reported.swap(false, Ordering::Relaxed) {
            let since = self.silence().as_secs();
            tracing::warn!("Kafka acknowledges events again, after {since} s");
        }
        let now_ms = (self.born.elapsed().as_millis() as u64).max(1);
        let before_ms = self.acknowledged_at_ms.swap(now_ms, Ordering::Relaxed);
        // Often enough; deliveries come by the hundred thousand per second.
        if now_ms > before_ms {
            let mut trouble = lock(&self.trouble);
            trouble.all_brokers_down = false;
            trouble.permanent = false;
            trouble.cause = None;
        }
        (self.on_delivered)(took);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, subject: &str, message: &str) {
        use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
        let quiet = self.connecting.load(Ordering::Relaxed);
        match level {
            Debug => tracing::debug!("{subject}: {message}"),
            _ if quiet || !self.may_log(subject) => {
                tracing::debug!("{subject}: {message}");
            }
            Emerg | Alert | Critical | Error | Warning => {
                tracing::warn!("{subject}: {message}");
            }
            Notice | Info => tracing::info!("{subject}: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        tracing::debug!(?code, "{reason}");
        let mut trouble = lock(&self.trouble);
        match code {
            Some(RDKafkaErrorCode::AllBrokersDown) => trouble.all_brokers_down = true,
            Some(RDKafkaErrorCode::Fatal) => trouble.fatal = Some(reason.to_owned()),
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL) => {
                trouble.permanent = true;
                trouble.cause = Some(cause(reason));
            }
            // A broker that is down is often first reported by what was asked of it.
            _ if trouble.permanent => {}
            _ => trouble.cause = Some(cause(reason)),
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Arc<Ticket>) {
        match result {
            Ok(message) => {
                self.took_at(message.partition(), message.offset());
                self.acknowledged(ticket.waited());
                ticket.settle_one(None);
            }
            Err((error, message)) => ticket.settle_one(Some(Undelivered {
                error: error.clone(),
                key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
                bytes: message.payload_len(),
                age: ticket.waited(),
            })),
        }
        self.room.notify_one();
    }
}

/// librdkafka's reason without the parts that only its authors need.
fn cause(reason: &str) -> String {
    let reason = reason.split(" (after ").next().unwrap_or(reason).replace("/bootstrap", "");
    match reason.split_once(": Receive failed: Invalid response size") {
        Some((address, _)) => format!("{address}: what listens there does not speak Kafka"),
        None => reason.trim_end_matches([' ', ':', '.']).to_owned(),
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_are_throttled_by_subject() {
        let context = Context::new(Arc::new(|_| {}));
        assert!(context.may_log("FAIL"));
        assert!(!context.may_log("FAIL"));
        assert!(context.may_log("RECONNECT"));
    }

    #[test]
    fn a_partition_that_begins_anew_is_of_another_topic() {
        let context = Context::new(Arc::new(|_| {}));
        for (partition, offset) in [(0, 7), (1, 3), (0, 8), (0, -1), (0, 8), (1, 4)] {
            context.took_at(partition, offset);
        }
        assert!(!context.is_anew.load(Ordering::Relaxed));
        context.took_at(1, 0);
        assert!(context.is_anew.load(Ordering::Relaxed));
    }

    #[test]
    fn causes_are_short() {
        assert_eq!(
            cause(
                "127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused \
                 (after 0ms in state CONNECT)"
            ),
            "127.0.0.1:9: Connect to ipv4#127.0.0.1:9 failed: Connection refused"
        );
        assert_eq!(
            cause("h:9042/bootstrap: Receive failed: Invalid response size -2063 (0..1): increase"),
            "h:9042: what listens there does not speak Kafka"
        );
    }

    #[tokio::test]
    async fn a_ticket_is_settled_by_its_last_delivery_and_keeps_the_first_failure() {
        let ticket = Arc::new(Ticket::new(4));
        // What failed for another one's sake alone is the last to be told.
        let waiting = tokio::spawn({
            let ticket = Arc::clone(&ticket);
            async move { ticket.settled().await }
        });
        ticket.settle_one(None);
        let failed = |error| Undelivered { error, key: "k".into(), bytes: 2, age: Duration::ZERO };
        let beside = KafkaError::MessageProduction(RDKafkaErrorCode::InvalidDifferentRecord);
        ticket.settle_one(Some(failed(beside)));
        ticket.settle_one(Some(failed(KafkaError::Canceled)));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        ticket.settle_one(Some(failed(KafkaError::NoMessageReceived)));
        assert_eq!(waiting.await.unwrap(), Err(failed(KafkaError::Canceled)));
    }
}
