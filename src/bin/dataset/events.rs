//! A topic → JSON lines, from its beginning to where it ends now.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::say;

/// What to read and where to write it.
#[derive(Args)]
pub(crate) struct Options {
    /// Bootstrap brokers, host:port, separated by commas.
    #[arg(long, default_value = "127.0.0.1:9092")]
    brokers: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// The file to write to.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

const TIMEOUT: Duration = Duration::from_secs(20);

/// Reads every partition up to the end that it has at the start.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &options.brokers)
        // Offsets are never committed, so that the group is a name only.
        .set("group.id", "tributary-dataset")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "false")
        .set("enable.partition.eof", "true")
        .create()
        .context("cannot make a consumer")?;
    let ends = ends(&consumer, options)?;
    let mut messages = Vec::new();
    for &(partition, low, high) in &ends {
        read_partition(&consumer, &options.topic, partition, low..high, &mut messages)
            .with_context(|| format!("partition {partition}"))?;
    }
    let failed = || format!("cannot write {}", options.out.display());
    let mut out = BufWriter::new(File::create(&options.out).with_context(failed)?);
    for message in &messages {
        serde_json::to_writer(&mut out, message).with_context(failed)?;
        out.write_all(b"\n").with_context(failed)?;
    }
    out.flush().with_context(failed)?;
    say(&format!("{} events in {} partitions", messages.len(), ends.len()))
}

/// Each partition with its first offset and the one after its last; none if there is no topic.
fn ends(consumer: &BaseConsumer, options: &Options) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    let metadata = consumer
        .fetch_metadata(Some(&options.topic), TIMEOUT)
        .with_context(|| format!("no answer from {}", options.brokers))?;
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    partitions
        .map(|partition| {
            let (low, high) = consumer.fetch_watermarks(&options.topic, partition.id(), TIMEOUT)?;
            Ok((partition.id(), low, high))
        })
        .collect()
}

fn read_partition(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    offsets: std::ops::Range<i64>,
    messages: &mut Vec<Value>,
) -> anyhow::Result<()> {
    if offsets.is_empty() {
        return Ok(());
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(offsets.start))?;
    consumer.assign(&assignment)?;
    loop {
        let message = match consumer.poll(TIMEOUT).context("the broker sends nothing")? {
            // The last offsets may belong to no message.
            Err(KafkaError::PartitionEOF(_)) => return Ok(()),
            message => message?,
        };
        if message.offset() < offsets.end {
            messages.push(as_json(&message));
        }
        if message.offset() + 1 >= offsets.end {
            return Ok(());
        }
    }
}

fn as_json(message: &BorrowedMessage<'_>) -> Value {
    let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8_lossy(b).into_owned());
    let payload = message.payload();
    // What is not JSON is kept as text.
    let parsed = payload.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    json!({
        "partition": message.partition(),
        "offset": message.offset(),
        "key": text(message.key()),
        "payload": parsed.unwrap_or_else(|| json!(text(payload))),
    })
}
