//! What can go wrong between us and Kafka, in words that say what to do.

use thiserror::Error;

use super::super::{EventError, Scope};

/// What keeps events from a topic.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub(crate) enum ProducerError {
    /// A property that librdkafka does not know, that has a value it does not take, or that would
    /// break a promise that the tool makes.
    #[error("Kafka property '{key}': {reason}")]
    Property {
        /// The name of the property.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Properties that are fine one by one but not together.
    #[error("Kafka settings: {reason}")]
    Settings {
        /// What librdkafka says.
        reason: String,
    },
    /// No broker answered.
    #[error(
        "no Kafka broker answered at {brokers}: {cause}. Check --brokers (host:port,…), that the \
         broker is up, and the security properties (-X security.protocol=…, -X sasl.…); or use \
         --no-events"
    )]
    Unreachable {
        /// The addresses that were tried.
        brokers: String,
        /// The last thing that librdkafka said about them.
        cause: String,
    },
    /// The bootstrap address answers, the leader of a partition does not.
    #[error(
        "topic '{topic}' is led by broker {leader}, which does not answer: {cause}. This is the \
         address that the broker advertises: check its advertised.listeners and that the address \
         can be reached from here"
    )]
    LeaderUnreachable {
        topic: String,
        /// The address that the broker advertises.
        leader: String,
        /// What was said about it.
        cause: String,
    },
    /// The topic is missing and asking for it did not create it.
    #[error(
        "topic '{topic}' does not exist and the broker does not create topics: create it with \
         kafka-topics.sh --bootstrap-server {brokers} --create --topic {topic}, or use --no-events"
    )]
    NoTopic {
        topic: String,
        /// Where it was looked for.
        brokers: String,
    },
    /// The topic exists but cannot take messages now.
    #[error("topic '{topic}' cannot be written to: {cause}")]
    TopicUnusable {
        topic: String,
        /// Why not.
        cause: String,
    },
    /// It was there when the command began.
    #[error(
        "topic '{topic}' was deleted while this command ran, and whatever it held with it. The events of groups that are done \
         are not sent again; the others are, when the run is resumed. Find out who deleted it; kafka-topics.sh \
         --bootstrap-server {brokers} --create --topic {topic} makes it anew"
    )]
    TopicGone {
        topic: String,
        /// Where it is looked for.
        brokers: String,
    },
    /// It takes no event at all.
    #[error(
        "topic '{topic}' takes messages of {most} bytes at most (max.message.bytes), and events of this specification have \
         about {bytes}: raise it, with kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics \
         --entity-name {topic} --add-config max.message.bytes=1048588, or use --no-events"
    )]
    TooSmall {
        topic: String,
        brokers: String,
        /// The largest message.
        most: usize,
        /// An event.
        bytes: usize,
    },
    /// It does not take the dates that events have.
    #[error(
        "topic '{topic}' refuses events because of when they were sent: {}. Raise what it allows, with kafka-configs.sh \
         --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config \
         message.timestamp.before.max.ms=86400000,message.timestamp.after.max.ms=3600000, set the clocks of this machine and \
         of the brokers, or use --no-events",
        dates(*within)
    )]
    Misdated {
        topic: String,
        brokers: String,
        /// How far before and after the broker's clock they may be, in milliseconds, if that is known.
        within: Option<[u64; 2]>,
    },
    /// The user may not write to it.
    #[error(
        "topic '{topic}' may not be written to{}{}. Whoever administers Kafka can run: kafka-acls.sh --bootstrap-server \
         {brokers} --add --allow-principal User:{} --operation Write --operation Describe --topic {topic}",
        user.as_ref().map(|user| format!(" by {user}")).unwrap_or_default(),
        if *is_lost { " any more" } else { ". Nothing was written" },
        user.as_deref().unwrap_or("NAME")
    )]
    NotPermitted {
        topic: String,
        /// Who was asked.
        brokers: String,
        /// Who asks, if anybody is named.
        user: Option<String>,
        /// It was not so when the command began.
        is_lost: bool,
    },
    /// An event is larger than a message may be.
    #[error(
        "the event '{key}' of {bytes} bytes is larger than a message may be: raise max.message.bytes of the topic \
         (and -X message.max.bytes=…, if you have set it)"
    )]
    TooLarge {
        /// The key of the event.
        key: String,
        /// Its size.
        bytes: usize,
    },
    /// The broker refused an event for good.
    #[error("an event was not accepted by topic '{topic}': {cause}")]
    Refused {
        topic: String,
        /// Why.
        cause: String,
    },
    /// Nothing was wrong with it, but with another event of its batch each time that it was sent.
    #[error(
        "an event was not accepted by topic '{topic}', because another one of its batch was not"
    )]
    Beside { topic: String },
    /// None is taken any more: what the client or the brokers say is not about an event.
    #[error("no event gets to topic '{topic}' any more: {cause}")]
    Lost {
        topic: String,
        /// Why.
        cause: String,
    },
    /// Nothing has been acknowledged for so long that the events are left to another session.
    #[error("Kafka at {brokers} has acknowledged nothing for {since_s} s: {cause}")]
    Silent {
        brokers: String,
        /// How long.
        since_s: u64,
        /// Why, as far as that can be told.
        cause: String,
    },
    /// The producer cannot go on: every event after this one fails too.
    #[error("the Kafka producer had to give up: {cause}")]
    Fatal {
        /// Why.
        cause: String,
    },
    /// Events were still on their way when the producer was closed.
    #[error("{outstanding} events were not acknowledged by Kafka before it was closed")]
    Unacknowledged { outstanding: usize },
}

/// What a topic says of dates.
fn dates(within: Option<[u64; 2]>) -> String {
    match within {
        Some([before, after]) => format!(
            "no more than {before} ms before the broker's clock (message.timestamp.before.max.ms), nor {after} ms after it \
             (message.timestamp.after.max.ms)"
        ),
        None => "they are too far from the broker's clock (message.timestamp.before.max.ms and message.timestamp.after.max.ms)"
            .to_owned(),
    }
}

impl ProducerError {
    /// What it is about.
    pub(super) fn scope(&self) -> Scope {
        use ProducerError::{
            Beside, Fatal, LeaderUnreachable, Lost, Misdated, NoTopic, NotPermitted, Property,
            Refused, Settings, Silent, TooLarge, TooSmall, TopicGone, TopicUnusable,
            Unacknowledged, Unreachable,
        };
        match self {
            Property { .. } | Settings { .. } => Scope::Settings,
            Fatal { .. }
            | Lost { .. }
            | Silent { .. }
            | Misdated { .. }
            | NoTopic { .. }
            | NotPermitted { .. }
            | TooSmall { .. }
            | TopicGone { .. }
            | TopicUnusable { .. } => Scope::All,
            Unacknowledged { .. } => Scope::OnTheirWay,
            Unreachable { .. }
            | LeaderUnreachable { .. }
            | TooLarge { .. }
            | Refused { .. }
            | Beside { .. } => Scope::One,
        }
    }
}

impl From<ProducerError> for EventError {
    fn from(error: ProducerError) -> Self {
        Self::new(error.scope(), error.to_string())
    }
}
