//! The producer against a cluster that librdkafka pretends.

use std::sync::atomic::AtomicUsize;

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::outcome::COMMON;
use super::*;

fn settings(brokers: impl Into<String>) -> KafkaSettings {
    KafkaSettings::of_tests(brokers, &[])
}

fn settings_with(brokers: impl Into<String>, property: &str, value: &str) -> KafkaSettings {
    KafkaSettings::of_tests(brokers, &[(property, value)])
}

fn events(n: usize) -> Vec<Event> {
    (0..n).map(|i| Event { key: format!("k{i}"), payload: b"{}".to_vec() }).collect()
}

#[tokio::test]
async fn every_event_of_many_tasks_is_acknowledged_once() {
    let cluster = MockCluster::new(1).unwrap();
    let delivered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&delivered);
    let producer = Producer::connect(&settings(cluster.bootstrap_servers()), move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    })
    .await
    .unwrap();
    let producer = Arc::new(producer);
    let tasks: Vec<_> = (0..500)
        .map(|_| {
            let producer = Arc::clone(&producer);
            tokio::spawn(async move { producer.send_all(&events(4)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(delivered.load(Ordering::Relaxed), 2_000);
    Arc::into_inner(producer).unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let cluster = MockCluster::new(1).unwrap();
    let settings = settings_with(cluster.bootstrap_servers(), "queue.buffering.max.messages", "10");
    let producer = Producer::connect(&settings, |_| {}).await.unwrap();
    producer.send_all(&events(100)).await.unwrap();
}

#[tokio::test]
async fn a_broker_that_goes_down_is_waited_for() {
    let cluster = MockCluster::new(1).unwrap();
    let producer = Producer::connect(&settings(cluster.bootstrap_servers()), |_| {}).await.unwrap();
    cluster.broker_down(1).unwrap();
    let events = events(3);
    let sending = producer.send_all(&events);
    tokio::pin!(sending);
    let early = time::timeout(Duration::from_millis(500), &mut sending).await;
    assert!(early.is_err(), "{early:?}");
    cluster.broker_up(1).unwrap();
    sending.await.unwrap();
}

#[tokio::test]
async fn an_event_that_is_too_large_fails_alone() {
    let cluster = MockCluster::new(1).unwrap();
    let producer = Producer::connect(&settings(cluster.bootstrap_servers()), |_| {}).await.unwrap();
    let large = Event { key: "k".into(), payload: vec![b'x'; 2_000_000] };
    let error = producer.send_all(&[large]).await.unwrap_err();
    assert!(matches!(error, ProducerError::TooLarge { bytes: 2_000_000, .. }), "{error}");
    producer.send_all(&events(1)).await.unwrap();
}

#[tokio::test]
async fn the_events_around_one_that_is_too_large_are_sent_and_waited_for() {
    let cluster = MockCluster::new(1).unwrap();
    let delivered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&delivered);
    let on_delivered = move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    let producer =
        Producer::connect(&settings(cluster.bootstrap_servers()), on_delivered).await.unwrap();
    let mut some = events(20);
    for (position, bytes) in [(3, 2_000_000), (11, 3_000_000)] {
        some[position].payload = vec![b'x'; bytes];
    }
    let error = producer.send_all(&some).await.unwrap_err();
    assert!(matches!(error, ProducerError::TooLarge { bytes: 2_000_000, .. }), "{error}");
    assert_eq!(delivered.load(Ordering::Relaxed), 18);
}

#[tokio::test]
async fn nothing_listening_is_said_with_the_address() {
    let error = Producer::connect(&settings("127.0.0.1:9"), |_| {}).await.unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("no Kafka broker answered at 127.0.0.1:9: "), "{message}");
    assert!(message.contains("Connection refused"), "{message}");
    assert!(error.scope() != Scope::Settings);
}

#[tokio::test]
async fn a_topic_that_is_refused_is_named() {
    let cluster = MockCluster::new(1).unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.topic_error("changes", refused).unwrap();
    let error =
        Producer::connect(&settings(cluster.bootstrap_servers()), |_| {}).await.unwrap_err();
    assert!(
        error.to_string().starts_with("topic 'changes' may not be written to. Nothing was "),
        "{error}"
    );
}

#[tokio::test]
async fn properties_that_do_not_go_together_are_a_configuration_error() {
    let settings = settings_with("127.0.0.1:9", "max.in.flight", "100");
    let error = Producer::connect(&settings, |_| {}).await.unwrap_err();
    assert_eq!(error.scope(), Scope::Settings, "{error}");
    assert!(error.to_string().contains("max.in.flight"), "{error}");
}

async fn connected(cluster: &MockCluster<'_, impl rdkafka::client::ClientContext>) -> Producer {
    Producer::connect(&settings(cluster.bootstrap_servers()), |_| {}).await.unwrap()
}

#[tokio::test]
async fn an_event_that_the_broker_finds_too_large_fails_by_its_key() {
    let cluster = MockCluster::new(1).unwrap();
    let producer = connected(&cluster).await;
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE];
    cluster.request_errors(RDKafkaApiKey::Produce, &refused);
    let error = producer.send_all(&events(1)).await.unwrap_err();
    assert!(matches!(&error, ProducerError::TooLarge { key, bytes: 2 } if key == "k0"), "{error}");
    assert_eq!(error.scope(), Scope::One);
    producer.send_all(&events(1)).await.unwrap();
}

#[tokio::test]
async fn a_right_that_is_lost_is_everybody_s() {
    let cluster = MockCluster::new(1).unwrap();
    let producer = connected(&cluster).await;
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
    cluster.request_errors(RDKafkaApiKey::Produce, &refused);
    let error = producer.send_all(&events(1)).await.unwrap_err();
    assert!(
        matches!(error, ProducerError::NotPermitted { is_lost: true, .. })
            && error.scope() == Scope::All,
        "{error}"
    );
}

#[tokio::test]
async fn what_is_not_about_an_event_is_about_all() {
    let cluster = MockCluster::new(1).unwrap();
    for (refused, scope) in [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD, Scope::One),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, Scope::One),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, Scope::All),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_SECURITY_DISABLED, Scope::All),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, Scope::All),
    ] {
        let producer = connected(&cluster).await;
        cluster.request_errors(RDKafkaApiKey::Produce, &[refused]);
        let error = producer.send_all(&events(1)).await.unwrap_err();
        assert_eq!(error.scope(), scope, "{error}");
    }
}

/// As where a broker checks what they say against a schema.
#[tokio::test]
async fn what_refuses_every_event_is_no_failure_of_a_group() {
    let cluster = MockCluster::new(1).unwrap();
    let producer = connected(&cluster).await;
    let mut scopes = Vec::new();
    for _ in 0..COMMON {
        let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_RECORD];
        cluster.request_errors(RDKafkaApiKey::Produce, &refused);
        scopes.push(producer.send_all(&events(1)).await.unwrap_err().scope());
    }
    let (last, before) = scopes.split_last().unwrap();
    assert!(*last == Scope::All && before.iter().all(|scope| *scope == Scope::One), "{scopes:?}");
}

#[tokio::test]
async fn events_that_time_out_while_every_broker_is_down_fail_no_group() {
    let cluster = MockCluster::new(1).unwrap();
    // Long enough for the first event, however slow the machine is.
    let settings = settings_with(cluster.bootstrap_servers(), "message.timeout.ms", "10000");
    let producer = Producer::connect(&settings, |_| {}).await.unwrap();
    producer.send_all(&events(1)).await.unwrap();
    cluster.broker_down(1).unwrap();
    let error = producer.send_all(&events(3)).await.unwrap_err();
    assert!(
        error.scope() == Scope::All && error.to_string().contains("message.timeout.ms"),
        "{error}"
    );
}

#[tokio::test]
async fn a_broker_that_takes_nothing_for_long_is_left() {
    let cluster = MockCluster::new(1).unwrap();
    let mut producer = connected(&cluster).await;
    producer.patience = Duration::from_millis(1);
    cluster.broker_down(1).unwrap();
    let error = producer.send_all(&events(1)).await.unwrap_err();
    assert!(
        matches!(error, ProducerError::Silent { .. }) && error.scope() == Scope::All,
        "{error}"
    );
}
