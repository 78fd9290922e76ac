use serde_json::Value;

use super::*;
use crate::latency::Operation;
use crate::live::{Ended, Nodes};
use crate::model::Destination;

fn json(sampler: &mut Sampler, at: Instant) -> Value {
    serde_json::from_str(&sampler.tick(at).status).unwrap()
}

fn sampler(counters: impl Fn() -> Counters + Send + 'static) -> (Status, Arc<Recorder>, Sampler) {
    let status = Status::default();
    let recorder = Arc::new(Recorder::new(vec!["read t".into(), metrics::JOURNAL.into()]));
    status.begin("apply", "r");
    status.enter(Phase::Merging);
    status.watch(Arc::clone(&recorder), counters);
    let (stop, _) = watch::channel(false);
    let sampler = Sampler::new(status.clone(), Control::new(stop));
    (status, recorder, sampler)
}

#[test]
fn rate_and_time_left_follow_what_is_done() {
    let done = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&done);
    let (_, _, mut sampler) = sampler(move || Counters {
        groups_total: 100,
        done: counted.load(std::sync::atomic::Ordering::Relaxed),
        ..Counters::default()
    });
    let start = Instant::now();
    for second in 0..=4 {
        done.store(second * 10, std::sync::atomic::Ordering::Relaxed);
        json(&mut sampler, start + Duration::from_secs(second));
    }
    let shown = json(&mut sampler, start + Duration::from_secs(5));
    assert_eq!(shown["groups_per_s"], 8.0);
    assert_eq!(shown["seconds_left"], 60.0 / 8.0);
    assert_eq!(shown["groups_recent"], serde_json::json!([0, 10, 10, 10, 10, 0]));
}

/// The same six everywhere, from one look.
#[test]
fn every_place_shows_what_is_under_way() {
    use crate::live::{EXAMPLE, UnderWay};
    let done = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = Arc::clone(&done);
    let under_way = UnderWay { groups_per_s: None, ..EXAMPLE };
    let (_, _, mut sampler) = sampler(move || Counters {
        groups_total: 1_000,
        done: counted.load(std::sync::atomic::Ordering::Relaxed),
        under_way,
        ..Counters::default()
    });
    let start = Instant::now();
    sampler.tick(start);
    done.store(62, std::sync::atomic::Ordering::Relaxed);
    let frame = sampler.tick(start + Duration::from_secs(1));
    for shown in [&frame.public, &frame.status] {
        let shown: Value = serde_json::from_str(shown).unwrap();
        assert_eq!(shown["under_way"], serde_json::to_value(EXAMPLE).unwrap());
        assert_eq!(shown["requests"]["in_flight"], EXAMPLE.requests);
        assert_eq!(shown["groups_per_s"].as_f64(), EXAMPLE.groups_per_s);
    }
    for figure in EXAMPLE.all() {
        let line = format!("\n{} {}\n", figure.metric, figure.value.unwrap());
        assert!(frame.metrics.contains(&line), "{line} in {}", frame.metrics);
    }
}

#[test]
fn latencies_are_those_of_the_last_while() {
    let (_, recorder, mut sampler) = sampler(Counters::default);
    let start = Instant::now();
    let at = |second| start + Duration::from_secs(second);
    recorder.record(Operation(0), Duration::from_millis(5));
    recorder.record(Operation(1), Duration::from_millis(1));
    assert_eq!(json(&mut sampler, at(0))["latency"][0]["count"], 1);
    recorder.record(Operation(0), Duration::from_millis(80));
    let shown = json(&mut sampler, at(6));
    assert_eq!(shown["latency"][0]["count"], 1, "{shown}");
    assert_eq!(shown["latency"][0]["lane"], "read t");
    assert!(shown["latency"][0]["p50_us"].as_u64().unwrap() > 70_000, "{shown}");
    assert_eq!(shown["journal_commits"], 1);
    json(&mut sampler, at(12));
    json(&mut sampler, at(18));
    assert_eq!(json(&mut sampler, at(24))["latency"], serde_json::json!([]));
}

#[test]
fn servers_that_are_late_are_told() {
    let (_, _, mut sampler) = sampler(|| Counters {
        destination: Some(Destination { sink: "S", kind: "topic", name: "t".into() }),
        produced: 3,
        acknowledged: 1,
        nodes: Nodes { known: 3, connected: 2 },
        ..Counters::default()
    });
    let start = Instant::now();
    let shown = json(&mut sampler, start);
    assert_eq!(
        (&shown["events"]["state"], &shown["cassandra"]["state"]),
        (&"ok".into(), &"waiting".into())
    );
    let shown = json(&mut sampler, start + Duration::from_secs(7));
    assert_eq!(
        (&shown["events"]["state"], &shown["events"]["silent_s"]),
        (&"waiting".into(), &7.0.into())
    );
}

#[tokio::test]
async fn the_last_frame_has_the_end() {
    let (status, _, _) = sampler(|| Counters { done: 7, ..Counters::default() });
    let (stop, _) = watch::channel(false);
    let ticker = Ticker::start(&status, &Control::new(stop));
    assert!(!ticker.frames().latest().is_last);
    status.enter(Phase::Sweeping);
    ticker.frames().refresh();
    assert!(ticker.frames().latest().status.contains("sweeping"));
    status.freeze();
    status.end(Ended { how: "finished".into(), exit_code: 0, again: None });
    let last = ticker.finish().await;
    let shown: Value = serde_json::from_str(&last.status).unwrap();
    assert!(last.is_last);
    assert_eq!((&shown["phase"], &shown["groups"]["done"]), (&"ended".into(), &7.into()));
}
