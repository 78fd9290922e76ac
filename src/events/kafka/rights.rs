//! Whether the topic may be written to, found out before the first group.
//!
//! Metadata does not tell it, so it is asked by a message that no broker can take: one that two replicas are to
//! acknowledge, for there are only none, one and all in sync. Whether somebody may write is decided before that is noticed
//! (`KafkaApis.handleProduceRequest`), so a missing right is told from that, and nothing is ever written. It is asked
//! only where the broker has somebody to decide it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tokio::task;

use super::topic::TopicSettings;
use super::{KafkaSettings, ProducerError};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What makes the message one that is never taken, and asks once.
const ASKING: [(&str, &str); 5] = [
    ("enable.idempotence", "false"),
    ("acks", "2"),
    ("message.send.max.retries", "0"),
    ("message.timeout.ms", "5000"),
    ("linger.ms", "0"),
];

/// What became of the message.
#[derive(Default)]
struct Answer(Mutex<Option<RDKafkaErrorCode>>);

impl ClientContext for Answer {
    // Whatever else is wrong, the producer of the events tells.
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, subject: &str, message: &str) {
        tracing::debug!("{subject}: {message}");
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!("{error}: {reason}");
    }
}

impl ProducerContext for Answer {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let code = result.as_ref().err().and_then(|(error, _)| error.rdkafka_error_code());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = code;
    }
}

/// Sees that the topic may be written to.
///
/// # Errors
/// It may not.
pub(super) async fn check(
    settings: &KafkaSettings,
    of_topic: &TopicSettings,
) -> Result<(), ProducerError> {
    if !of_topic.is_guarded {
        return Ok(());
    }
    let asking = settings.clone();
    let answer = task::spawn_blocking(move || ask(&asking)).await.ok().flatten();
    match answer {
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ) => Err(not_permitted(settings)),
        _ => Ok(()),
    }
}

/// That the topic may not be written to, found out before the first group.
pub(super) fn not_permitted(settings: &KafkaSettings) -> ProducerError {
    let (topic, brokers) = (settings.topic.clone(), settings.brokers.clone());
    ProducerError::NotPermitted { topic, brokers, user: settings.user(), is_lost: false }
}

/// The broker's answer, if there is one.
fn ask(settings: &KafkaSettings) -> Option<RDKafkaErrorCode> {
    let mut config = settings.client_config(&TopicSettings::default());
    for (key, value) in ASKING {
        config.set(key, value);
    }
    let producer: BaseProducer<Answer> = config.create_with_context(Answer::default()).ok()?;
    let record = BaseRecord::to(&settings.topic).key("").payload("");
    producer.send(record).ok()?;
    producer.flush(PATIENCE).ok()?;
    *producer.context().0.lock().unwrap_or_else(PoisonError::into_inner)
}
