//! Where events go and how: our defaults, the operator's overrides, and the overrides that are
//! refused because they would break a promise.

use std::fs;

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;

use crate::secret::{Properties, is_secret, redacted};
use crate::setting::Command::{Apply, Resume, Undo, Verify};
use crate::setting::{
    Described, Layers, Setting, SettingsError, ValueKind, address, recall, settings, text, values,
};

use super::ProducerError;
use super::topic::TopicSettings;

settings! {
    /// Where events go.
    pub(super) KAFKA: "Kafka", &[Apply, Resume, Verify, Undo];

    /// Brokers to begin with, as host:port,…
    BROKERS: String = Setting::new("brokers", ValueKind::List, "BROKERS", brokers)
        .default("127.0.0.1:9092")
        .example("kafka1:9092")
        .recorded_at("events/brokers", text, recall);

    /// The topic that gets the events; one that the broker can create is fine
    TOPIC: String = Setting::new("topic", ValueKind::Text, "TOPIC", topic)
        .example("course.batch.job.request")
        .required("the topic that gets the events (or --no-events)")
        .recorded_at("events/topic", address, recall)
        .pinned();

    /// A property for librdkafka (repeatable)
    ///
    /// Also by environment, as TRIBUTARY_KAFKA_SASL_PASSWORD for `sasl.password`, or in the table
    /// `[kafka]` of the configuration file; secrets belong there. All properties:
    /// <https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>
    PROPERTIES: () =
        Setting::table("kafka", 'X', "KEY=VALUE", "events/properties").example("linger.ms=5");
}

/// What [`Producer::connect`](super::Producer::connect) needs.
#[derive(Clone, Debug)]
pub(crate) struct KafkaSettings {
    /// `host:port,…`, as librdkafka takes it.
    pub(crate) brokers: String,
    /// The topic that gets the events.
    pub(crate) topic: String,
    /// librdkafka properties that override the defaults; the last one of a name wins.
    pub(crate) properties: Properties,
}

/// Ours, overridable one by one.
const DEFAULTS: [(&str, &str); 9] = [
    ("linger.ms", "20"),
    ("compression.codec", "lz4"),
    // The queue bounds memory; a task that finds it full waits.
    ("queue.buffering.max.messages", "200000"),
    ("queue.buffering.max.kbytes", "262144"),
    // Infinite: a broker that goes down is waited for.
    ("message.timeout.ms", "0"),
    ("reconnect.backoff.max.ms", "2000"),
    ("socket.keepalive.enable", "true"),
    // The partitioner of the Java clients, so that our events of a key land where theirs do.
    ("partitioner", "murmur2_random"),
    ("client.id", "tributary"),
];

/// The properties that name files in PEM (or folders of such), and what these hold.
const PEM: [&str; 3] = ["ssl.ca.location", "ssl.certificate.location", "ssl.key.location"];
const BEGIN: &[u8] = b"-----BEGIN ";

/// Set by us whatever happens.
const FIXED: [(&str, &str); 2] = [("enable.idempotence", "true"), ("acks", "all")];

impl KafkaSettings {
    /// What the settings say of it.
    ///
    /// # Errors
    /// A setting is missing, or has no value that it may have.
    pub(super) fn of(layers: &Layers) -> Result<Self, SettingsError> {
        let settings = Self {
            brokers: layers.get(&BROKERS)?,
            topic: layers.get(&TOPIC)?,
            properties: layers.properties(PROPERTIES.row(), "Kafka")?,
        };
        settings.check().map_err(SettingsError::new)?;
        Ok(settings)
    }
    /// Checks the properties as far as that is possible without a broker.
    pub(crate) fn check(&self) -> Result<(), ProducerError> {
        for (key, value) in &self.properties.0 {
            refuse(key, value).map_or(Ok(()), |reason| {
                Err(ProducerError::Property { key: key.clone(), reason })
            })?;
        }
        for (key, value) in &self.properties.0 {
            check_file(key, value)?;
        }
        // One by one, because librdkafka is handed properties in no particular order and the first
        // wrong one is to be named.
        for (key, value) in &self.properties.0 {
            ClientConfig::new()
                .set(key, value)
                .create_native_config()
                .map_err(|error| property_error(key, value, error))?;
        }
        Ok(())
    }

    /// Who logs in, if that is by a name.
    pub(super) fn user(&self) -> Option<String> {
        let named = self.properties.0.iter().rev().find(|(key, _)| key == "sasl.username");
        named.map(|(_, name)| name.clone())
    }

    /// The whole configuration of the producer, for a topic of such settings.
    pub(super) fn client_config(&self, topic: &TopicSettings) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in DEFAULTS {
            config.set(key, value);
        }
        for (key, value) in topic.properties() {
            config.set(key, value);
        }
        for (key, value) in &self.properties.0 {
            // librdkafka knows some properties by two names; the override must not meet our default
            // under the other one.
            config.set(canonical(key), value);
        }
        for (key, value) in FIXED {
            config.set(key, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        let debugging = self.properties.0.iter().any(|(key, _)| key == "debug");
        config.set_log_level(if debugging {
            RDKafkaLogLevel::Debug
        } else {
            RDKafkaLogLevel::Info
        });
        config
    }
}

/// `host:port,…` as librdkafka takes it: the port may be left out.
fn brokers(text: &str) -> Result<String, String> {
    let brokers = values::hosts(text)?;
    for broker in &brokers {
        // As brokers write it in their listeners.
        let scheme = SCHEMES.iter().find_map(|scheme| broker.strip_prefix(scheme));
        values::with_port(scheme.unwrap_or(broker), 0)?;
    }
    Ok(brokers.join(","))
}

/// What may stand before a broker.
const SCHEMES: [&str; 4] = ["PLAINTEXT://", "SSL://", "SASL_PLAINTEXT://", "SASL_SSL://"];

/// A topic, as Kafka allows them.
fn topic(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty()
        || text.len() > 249
        || [".", ".."].contains(&text)
        || !text.chars().all(legal)
    {
        return Err(
            "is not a topic: up to 249 letters, digits, '.', '_' and '-' are allowed".into()
        );
    }
    if INTERNAL.contains(&text) {
        return Err("is a topic of Kafka itself, to which nobody else writes".into());
    }
    Ok(text.to_owned())
}

/// What brokers keep for themselves (`Topic.INTERNAL_TOPICS`).
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Why a property cannot be overridden, if so.
fn refuse(key: &str, value: &str) -> Option<String> {
    let reason = match canonical(key) {
        "acks" if !matches!(value, "all" | "-1") => {
            "must be 'all': a group is done only when its events are safe".to_owned()
        }
        "enable.idempotence" if value != "true" => {
            "must be 'true': a retried delivery must not produce an event twice".to_owned()
        }
        "delivery.report.only.error" if value != "false" => {
            "must be 'false': every acknowledgement is waited for".to_owned()
        }
        "bootstrap.servers" => "is set by --brokers".to_owned(),
        "transactional.id" => "is not supported: events are not sent in transactions".to_owned(),
        key if key.starts_with("test.") => "is for tests of librdkafka only".to_owned(),
        _ => return None,
    };
    Some(reason)
}

/// A file that librdkafka is to read must be there: it would name neither the file nor what is wrong.
fn check_file(key: &str, value: &str) -> Result<(), ProducerError> {
    let names_file = key.starts_with("ssl.") && key.ends_with(".location");
    // `probe` is a word of librdkafka's for the usual locations.
    if !names_file || value.is_empty() || value == "probe" {
        return Ok(());
    }
    let wrong = |reason| ProducerError::Property { key: key.to_owned(), reason };
    let unreadable = |error| wrong(format!("cannot read '{value}': {error}"));
    if !PEM.contains(&key) || fs::metadata(value).map_err(unreadable)?.is_dir() {
        return Ok(());
    }
    let text = fs::read(value).map_err(unreadable)?;
    match text.windows(BEGIN.len()).any(|part| part == BEGIN) {
        true => Ok(()),
        false => Err(wrong(format!("'{value}' is no PEM: it has no line -----BEGIN …-----"))),
    }
}

/// The one name that we use for a property that has two.
fn canonical(key: &str) -> &str {
    match key {
        "request.required.acks" => "acks",
        "metadata.broker.list" => "bootstrap.servers",
        "delivery.timeout.ms" => "message.timeout.ms",
        "queue.buffering.max.ms" => "linger.ms",
        "compression.type" => "compression.codec",
        key => key,
    }
}

fn property_error(key: &str, value: &str, error: KafkaError) -> ProducerError {
    let reason = match error {
        // librdkafka repeats the value in its message.
        KafkaError::ClientConfig(..) if is_secret(key) => "its value is not accepted".to_owned(),
        KafkaError::ClientConfig(_, reason, ..) if reason.starts_with("No such") => {
            "there is no such property (see librdkafka's CONFIGURATION.md)".to_owned()
        }
        KafkaError::ClientConfig(_, reason, ..) => reason,
        _ => format!("'{}' is not accepted", redacted(key, value)),
    };
    ProducerError::Property { key: key.to_owned(), reason }
}

#[cfg(test)]
impl KafkaSettings {
    pub(super) fn of_tests(brokers: impl Into<String>, properties: &[(&str, &str)]) -> Self {
        let property = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let properties = Properties(properties.iter().map(property).collect());
        Self { brokers: brokers.into(), topic: "changes".into(), properties }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Scope;
    use super::*;

    fn with(properties: &[(&str, &str)]) -> KafkaSettings {
        KafkaSettings::of_tests("127.0.0.1:9092", properties)
    }

    fn message(properties: &[(&str, &str)]) -> String {
        let error = with(properties).check().unwrap_err();
        assert_eq!(error.scope(), Scope::Settings);
        error.to_string()
    }

    #[test]
    fn overrides_that_break_a_promise_are_refused() {
        for (key, value) in [
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("enable.idempotence", "false"),
            ("delivery.report.only.error", "true"),
            ("bootstrap.servers", "elsewhere:9092"),
            ("metadata.broker.list", "elsewhere:9092"),
            ("transactional.id", "x"),
            ("test.mock.num.brokers", "1"),
        ] {
            let message = message(&[("linger.ms", "7"), (key, value)]);
            assert!(message.starts_with(&format!("Kafka property '{key}': ")), "{message}");
        }
        assert_eq!(
            message(&[("acks", "1")]),
            "Kafka property 'acks': must be 'all': a group is done only when its events are safe"
        );
    }

    #[test]
    fn an_unknown_property_or_value_is_named() {
        assert_eq!(
            message(&[("linger.sm", "5")]),
            "Kafka property 'linger.sm': there is no such property (see librdkafka's \
             CONFIGURATION.md)"
        );
        let wrong = message(&[("security.protocol", "tls")]);
        assert!(wrong.contains("'security.protocol'") && wrong.contains("tls"), "{wrong}");
        let file = message(&[("ssl.ca.location", "/nowhere/ca.pem")]);
        assert!(
            file.contains("'ssl.ca.location': cannot read '/nowhere/ca.pem': No such"),
            "{file}"
        );
        with(&[("ssl.ca.location", "probe")]).check().unwrap();
        let store = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let foreign = message(&[("ssl.ca.location", store)]);
        assert!(
            foreign.ends_with("Cargo.toml' is no PEM: it has no line -----BEGIN …-----"),
            "{foreign}"
        );
        let nul = message(&[("client.id", "a\0b")]);
        assert!(nul.starts_with("Kafka property 'client.id': "), "{nul}");
    }

    #[test]
    fn harmless_overrides_win_over_the_defaults_under_either_name() {
        let settings = with(&[("acks", "-1"), ("compression.type", "zstd"), ("linger.ms", "50")]);
        settings.check().unwrap();
        let config = settings.client_config(&TopicSettings::default());
        assert_eq!(config.get("compression.codec"), Some("zstd"));
        assert_eq!(config.get("compression.type"), None);
        assert_eq!(config.get("linger.ms"), Some("50"));
        assert_eq!(config.get("acks"), Some("all"));
        assert_eq!(config.get("message.timeout.ms"), Some("0"));
        config.create_native_config().unwrap();
    }

    #[test]
    fn brokers_and_topics_are_checked() {
        assert_eq!(brokers("k1, SSL://k2:9093").unwrap(), "k1,SSL://k2:9093");
        assert!(brokers("http://k1:9092").unwrap_err().contains("a scheme"));
        assert!(topic("__consumer_offsets").unwrap_err().contains("of Kafka itself"));
        brokers("k1:x").unwrap_err();
        topic("a b").unwrap_err();
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings = with(&[("sasl.password", "hunter2"), ("linger.ms", "9")]);
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && shown.contains("***"), "{shown}");
        assert!(shown.contains("\"9\""), "{shown}");
        let shown = message(&[("ssl.key.pem", "hunter2\0")]);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
