//! What can be set of Kafka: the rows of its settings, and what they make.

use super::KafkaSettings;
use crate::secret::{REDACTED, is_secret};
use crate::setting::Command::{Apply, Resume, Undo, Verify};
use crate::setting::{
    Described, Kind, Layers, Origin, Setting, SettingsError, recall, settings, text, values,
};

settings! {
    /// Where events go.
    pub(super) KAFKA: "Kafka", &[Apply, Resume, Verify, Undo];

    /// Brokers to begin with, as host:port,…
    BROKERS: String = Setting::new("brokers", Kind::List, "BROKERS", brokers)
        .default("127.0.0.1:9092")
        .example("kafka1:9092")
        .recorded_at("events/brokers", text, recall);

    /// The topic that gets the events; one that the broker can create is fine
    TOPIC: String = Setting::new("topic", Kind::Text, "TOPIC", topic)
        .example("course.batch.job.request")
        .required("the topic that gets the events (or --no-events)")
        .recorded_at("events/topic", text, recall)
        .pinned();

    /// A property for librdkafka (repeatable)
    ///
    /// Also by environment, as TRIBUTARY_KAFKA_SASL_PASSWORD for `sasl.password`, or in the table
    /// `[kafka]` of the configuration file; secrets belong there. All properties:
    /// <https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>
    PROPERTIES: () =
        Setting::table("kafka", 'X', "KEY=VALUE", "events/properties").example("linger.ms=5");
}

impl KafkaSettings {
    /// What the settings say of it.
    ///
    /// # Errors
    /// A setting is missing, or has no value that it may have.
    pub(super) fn of(layers: &Layers) -> Result<Self, SettingsError> {
        let settings = Self {
            brokers: layers.get(&BROKERS)?,
            topic: layers.get(&TOPIC)?,
            properties: properties(layers)?,
        };
        settings.check().map_err(SettingsError::new)?;
        Ok(settings)
    }
}

/// The properties, the secret ones of a run given again.
fn properties(layers: &Layers) -> Result<Vec<(String, String)>, SettingsError> {
    let properties = layers.table(PROPERTIES.row()).into_iter().map(|found| {
        let (key, is_recorded) = (found.property(), matches!(found.origin, Origin::Run(..)));
        if is_recorded && is_secret(key) && found.text == REDACTED {
            return Err(SettingsError::new(format!(
                "the run had a secret for Kafka's {key}, and secrets are kept nowhere: give it again, as {}_{} or in \
                 the table [{}] of the configuration file",
                PROPERTIES.row().variable(),
                key.to_uppercase().replace('.', "_"),
                PROPERTIES.row().name
            )));
        }
        Ok((key.to_owned(), found.text.clone()))
    });
    properties.collect()
}

/// `host:port,…` as librdkafka takes it: the port may be left out.
fn brokers(text: &str) -> Result<String, String> {
    let brokers = values::hosts(text)?;
    for broker in &brokers {
        values::with_port(broker.rsplit("://").next().unwrap_or(broker), 0)?;
    }
    Ok(brokers.join(","))
}

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
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_and_topics_are_checked() {
        assert_eq!(brokers("k1, SSL://k2:9093").unwrap(), "k1,SSL://k2:9093");
        brokers("k1:x").unwrap_err();
        topic("a b").unwrap_err();
    }
}
