//! What came of events: taken, or refused, for what they say or for what holds for all of them.

use std::sync::atomic::Ordering;

use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::types::RDKafkaErrorCode as Code;

use super::super::ProducerError;
use super::super::context::{Undelivered, lock};
use super::super::probe::described;
use super::{Producer, STALL};

/// So many events that are refused, and none taken in between, are about all that come: if none was before, or some were.
pub(super) const COMMON: usize = 5;
const COMMON_LATER: usize = 20;

impl Producer {
    /// What came of events that are settled. Those that a topic took which is another one by now tell that it is.
    pub(super) fn settled(&self, settled: Result<(), Undelivered>) -> Result<(), ProducerError> {
        if self.inner.client().context().is_anew.load(Ordering::Relaxed) {
            return Err(self.gone());
        }
        settled.map_err(|failed| self.undelivered(failed))
    }

    fn gone(&self) -> ProducerError {
        ProducerError::TopicGone { topic: self.topic.clone(), brokers: self.brokers.clone() }
    }

    fn undelivered(&self, Undelivered { error, key, bytes, age }: Undelivered) -> ProducerError {
        match error.rdkafka_error_code() {
            // The library does not tell what of a record is invalid.
            Some(Code::InvalidRecord | Code::InvalidDifferentRecord)
                if self.of_topic.is_too_old(age) =>
            {
                self.of_topic.misdated(&self.topic, &self.brokers)
            }
            Some(Code::InvalidDifferentRecord) => {
                ProducerError::Beside { topic: self.topic.clone() }
            }
            Some(Code::InvalidRecord) => {
                let cause = format!("{}, {}", described(&error), self.of_topic.what_is_checked());
                self.refusal(cause, true)
            }
            Some(Code::MessageSizeTooLarge | Code::MessageBatchTooLarge) => {
                self.too_large(key, bytes)
            }
            _ => self.delivery_error(&error),
        }
    }

    pub(super) fn too_large(&self, key: String, bytes: usize) -> ProducerError {
        let fitted = self.of_topic.most_bytes.is_some_and(|most| most > bytes);
        match self.is_common() {
            false => ProducerError::TooLarge { key, bytes },
            true if fitted => self.refusal("its max.message.bytes was lowered".to_owned(), false),
            true => self.too_small(bytes),
        }
    }

    /// Whether an event that is refused is one of many, and none has been taken in between: then all are.
    fn is_common(&self) -> bool {
        let taken_at = self.inner.client().context().acknowledged_at_ms();
        let mut refused = lock(&self.refused);
        let (_, count) = *refused;
        *refused = if refused.0 == taken_at { (taken_at, count + 1) } else { (taken_at, 1) };
        refused.1 >= if taken_at == 0 { COMMON } else { COMMON_LATER }
    }

    pub(super) fn fatal(&self) -> Option<ProducerError> {
        let (_, cause) = self.inner.client().fatal_error()?;
        Some(ProducerError::Fatal { cause })
    }

    pub(super) fn delivery_error(&self, error: &KafkaError) -> ProducerError {
        let cause = match error.rdkafka_error_code() {
            // A producer that gave up throws away its queue.
            Some(Code::Fatal | Code::PurgeQueue) => match self.fatal() {
                Some(fatal) => return fatal,
                None => described(error),
            },
            // Whatever comes next would meet the same.
            Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => {
                return self.gone();
            }
            Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
                let (topic, brokers) = (self.topic.clone(), self.brokers.clone());
                let user = self.user.clone();
                return ProducerError::NotPermitted { topic, brokers, user, is_lost: true };
            }
            Some(Code::InvalidTopic) => {
                let (topic, cause) = (self.topic.clone(), described(error));
                return ProducerError::TopicUnusable { topic, cause };
            }
            // Each is dated when it is sent, so it is the setting or the clocks, and those hold for all.
            Some(Code::InvalidTimestamp) => {
                return self.of_topic.misdated(&self.topic, &self.brokers);
            }
            Some(Code::MessageTimedOut) => "not acknowledged within message.timeout.ms".to_owned(),
            _ => described(error),
        };
        self.refusal(cause, self.is_about_one(error))
    }

    /// An event is refused, which may be about it alone.
    fn refusal(&self, cause: String, is_about_one: bool) -> ProducerError {
        let topic = self.topic.clone();
        match is_about_one && !self.is_common() {
            true => ProducerError::Refused { topic, cause },
            false => ProducerError::Lost { topic, cause },
        }
    }

    /// Whether others may be taken where one is not: few errors are about what it says.
    fn is_about_one(&self, error: &KafkaError) -> bool {
        use Code::{
            InvalidArgument, InvalidMessage, InvalidMessageSize, MessageTimedOut, PolicyViolation,
        };
        match error.rdkafka_error_code() {
            Some(InvalidArgument | InvalidMessage | InvalidMessageSize | PolicyViolation) => true,
            // A partition may be without a leader while others have one.
            Some(MessageTimedOut) => {
                let context = self.inner.client().context();
                context.silence() < STALL && !context.trouble().all_brokers_down
            }
            _ => false,
        }
    }
}
