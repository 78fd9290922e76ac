//! What the topic itself says of messages: how large a batch of them may be, and how many replicas have to be in sync.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::task;

use super::context::Context;
use super::probe::described;
use super::{KafkaSettings, ProducerError};

/// How long the broker may take to answer.
const QUESTION: Duration = Duration::from_secs(5);
/// What a batch has beside its messages.
const FRAMING_BYTES: usize = 512;
/// What is in front of the records of a batch, and is not compressed.
const BATCH_HEADER_BYTES: usize = 61;
/// How many times smaller an event becomes at best: much of one is random.
const BEST_COMPRESSION: usize = 4;
/// What an event may well take, in milliseconds, on the way from its date to a broker's clock.
const LEAST_DELAY_MS: u64 = 100;
/// Of a batch and of a message, if nobody says otherwise.
const DEFAULT_BATCH_BYTES: usize = 1_000_000;

/// Settings of a topic, as far as the broker tells them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicSettings {
    /// `max.message.bytes`: of a whole batch, compressed.
    pub(super) most_bytes: Option<usize>,
    /// `min.insync.replicas`.
    pub(super) least_in_sync: Option<usize>,
    /// How far before and after a broker's clock a message may be dated, in milliseconds; nothing where the broker dates
    /// them: `message.timestamp.before.max.ms`, `message.timestamp.after.max.ms`.
    pub(super) dates_within: Option<[u64; 2]>,
    /// Whether the brokers decide who may do what.
    pub(super) is_guarded: bool,
    /// The topic is known to be there: who names it is not to create it any more.
    pub(super) is_there: bool,
}

impl TopicSettings {
    /// Asks the broker. Whoever may not ask has to go by the defaults, so that is no error.
    pub(super) async fn ask(settings: &KafkaSettings) -> Self {
        let asked = match admin(settings).await {
            Ok(admin) => Self::asked(&admin, settings).await,
            Err(error) => (Self { is_there: true, ..Self::default() }, Err(error)),
        };
        if let (_, Err(error)) = &asked {
            tracing::info!(
                "the broker does not tell the settings of topic '{}' ({}): batches are of librdkafka's size \
                 (-X batch.size=…)",
                settings.topic,
                described(error)
            );
        }
        asked.0
    }

    async fn asked(admin: &Admin, settings: &KafkaSettings) -> (Self, Result<(), KafkaError>) {
        let topic = describe(admin, ResourceSpecifier::Topic(&settings.topic)).await;
        let number =
            |name: &str| topic.as_ref().ok()?.get(name)?.value.as_ref()?.parse::<u64>().ok();
        let (most_bytes, least_in_sync) =
            (number("max.message.bytes"), number("min.insync.replicas"));
        let is_dated_here = topic.as_ref().is_ok_and(|topic| {
            let by = topic.get("message.timestamp.type").and_then(|by| by.value.as_deref());
            by == Some("CreateTime")
        });
        let within = || {
            let of = |which| number(&format!("message.timestamp.{which}.max.ms"));
            Some([of("before")?, of("after")?])
        };
        let dates_within = within().filter(|_| is_dated_here);
        let is_guarded = is_refused(&topic) || is_guarded(admin, &settings.topic).await;
        let most_bytes = most_bytes.and_then(|most| most.try_into().ok());
        let least_in_sync = least_in_sync.and_then(|least| least.try_into().ok());
        let found = Self { most_bytes, least_in_sync, dates_within, is_guarded, is_there: true };
        (found, topic.map(drop))
    }

    /// What of librdkafka's settings has to follow. A batch is never larger than the topic takes, unless by a single
    /// event; whether such a one is taken is for the broker to say, for it counts compressed.
    pub(super) fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = Vec::new();
        if self.is_there {
            properties.push(("allow.auto.create.topics", "false".to_owned()));
        }
        let Some(most) = self.most_bytes else { return properties };
        let batch = most.saturating_sub(FRAMING_BYTES).clamp(1, DEFAULT_BATCH_BYTES);
        let message = most.clamp(DEFAULT_BATCH_BYTES, 1_000_000_000);
        properties.push(("batch.size", batch.to_string()));
        properties.push(("message.max.bytes", message.to_string()));
        properties
    }

    /// Whether the topic may take an event of so many bytes, if that is compressed well enough.
    pub(super) fn may_take(&self, bytes: usize) -> bool {
        let least = BATCH_HEADER_BYTES + bytes / BEST_COMPRESSION;
        self.most_bytes.is_none_or(|most| most >= least)
    }

    /// Sees that the topic may take an event that is dated a moment before a broker has it.
    ///
    /// # Errors
    /// It takes none.
    pub(super) fn check_dates(&self, topic: &str, brokers: &str) -> Result<(), ProducerError> {
        match self.dates_within {
            Some([before, _]) if before < LEAST_DELAY_MS => Err(self.misdated(topic, brokers)),
            _ => Ok(()),
        }
    }

    /// Whether it refuses an event that was dated so long ago.
    pub(super) fn is_too_old(&self, age: Duration) -> bool {
        self.dates_within.is_some_and(|[before, _]| age.as_millis() >= before.into())
    }

    /// What brokers look at that may make a record of ours invalid.
    pub(super) fn what_is_checked(&self) -> String {
        let dates = self.dates_within.map_or_else(
            || "its date is too far from the broker's clock".to_owned(),
            |[before, after]| {
                format!(
                    "it is dated more than {before} ms before or {after} ms after the broker's clock \
                     (message.timestamp.before.max.ms, message.timestamp.after.max.ms)"
                )
            },
        );
        format!("so {dates}, or the brokers check it against a schema")
    }

    /// That it does not take the dates of events.
    pub(super) fn misdated(&self, topic: &str, brokers: &str) -> ProducerError {
        let (topic, brokers) = (topic.to_owned(), brokers.to_owned());
        ProducerError::Misdated { topic, brokers, within: self.dates_within }
    }

    /// Whether a partition has too few replicas in sync to take anything, and then which.
    pub(super) fn lacks_replicas(
        &self,
        producer: &ThreadedProducer<Context>,
        topic: &str,
    ) -> Option<String> {
        let least = self.least_in_sync?;
        let metadata = producer.client().fetch_metadata(Some(topic), QUESTION).ok()?;
        let found = metadata.topics().iter().find(|found| found.name() == topic)?;
        let lacking = found.partitions().iter().filter(|partition| {
            // A topic of fewer replicas takes what all of them have.
            partition.isr().len() < least.min(partition.replicas().len())
        });
        let lacking: Vec<_> = lacking.map(|one| (one.id(), one.isr().len())).collect();
        let (first, in_sync) = lacking.first()?;
        let more = match lacking.len() {
            1 => String::new(),
            all => format!(", {} of its {} partitions likewise", all, found.partitions().len()),
        };
        Some(format!(
            "not enough replicas: partition {first} of topic '{topic}' has {in_sync} in sync, and min.insync.replicas \
             is {least}{more}"
        ))
    }
}

type Admin = AdminClient<DefaultClientContext>;

async fn admin(settings: &KafkaSettings) -> Result<Admin, KafkaError> {
    let own = settings.clone();
    // A new configuration asks whether librdkafka's lines would be logged, and on the thread that asks tracing then
    // loses the next line; so it is not this one.
    let made = move || own.client_config(&TopicSettings::default()).create();
    task::spawn_blocking(made).await.unwrap_or(Err(KafkaError::Canceled))
}

async fn describe(
    admin: &Admin,
    resource: ResourceSpecifier<'_>,
) -> Result<ConfigResource, KafkaError> {
    let options = AdminOptions::new().request_timeout(Some(QUESTION));
    let answer = admin.describe_configs(&[resource], &options).await?.into_iter().next();
    let answer = answer.ok_or(KafkaError::NoMessageReceived)?.map_err(KafkaError::AdminOp)?;
    match answer.entries.is_empty() {
        // What the broker says of that does not come through the library; nothing else leaves out all of them.
        true => Err(KafkaError::AdminOp(RDKafkaErrorCode::TopicAuthorizationFailed)),
        false => Ok(answer),
    }
}

fn is_refused<T>(answer: &Result<T, KafkaError>) -> bool {
    use RDKafkaErrorCode::{ClusterAuthorizationFailed, TopicAuthorizationFailed};
    matches!(
        answer,
        Err(KafkaError::AdminOp(ClusterAuthorizationFailed | TopicAuthorizationFailed))
    )
}

/// Whether the brokers decide who may do what: one says so by its settings, or by not telling them.
async fn is_guarded(admin: &Admin, topic: &str) -> bool {
    let Ok(metadata) = admin.inner().fetch_metadata(Some(topic), QUESTION) else { return false };
    let broker = ResourceSpecifier::Broker(metadata.orig_broker_id());
    let answer = describe(admin, broker).await;
    let decides = |broker: &ConfigResource| {
        let by = broker.get("authorizer.class.name").and_then(|by| by.value.as_deref());
        by.is_some_and(|by| !by.is_empty())
    };
    is_refused(&answer) || answer.as_ref().is_ok_and(decides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_for_smaller_messages_cannot_take_an_event() {
        let of = |most_bytes| TopicSettings { most_bytes, ..TopicSettings::default() };
        assert!(!of(Some(100)).may_take(400) && !of(Some(160)).may_take(400));
        assert!(of(Some(161)).may_take(400) && of(None).may_take(400));
    }

    #[test]
    fn batches_are_smaller_than_what_the_topic_takes() {
        let of = |most_bytes| {
            let settings = TopicSettings { most_bytes, ..TopicSettings::default() };
            settings.properties().into_iter().map(|(_, value)| value).collect::<Vec<_>>()
        };
        assert_eq!(of(None), [""; 0]);
        assert_eq!(of(Some(16_000)), ["15488", "1000000"]);
        assert_eq!(of(Some(100)), ["1", "1000000"]);
        assert_eq!(of(Some(10_000_000)), ["1000000", "10000000"]);
        let found = TopicSettings { is_there: true, ..TopicSettings::default() };
        assert_eq!(found.properties(), [("allow.auto.create.topics", "false".to_owned())]);
    }
}
