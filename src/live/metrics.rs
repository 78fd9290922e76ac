//! The figures of a run in Prometheus' text format (version 0.0.4).
//!
//! Names follow its conventions: base units, `_total` for what only grows, histograms with cumulative buckets.
//! Everything counts from the start of the session, so that a process that is started again begins at zero.

use std::fmt::Write;

use hdrhistogram::Histogram;
use strum::VariantArray;

use super::figures::{Figures, Phase, Reached};
use super::under_way::Figure;

/// The content type of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The operation of what is made durable in the journal.
pub(super) const JOURNAL: &str = "journal commit";
/// The operation of an event on its way.
const EVENTS: &str = "event delivery";
/// The operation of a group from its first read to its last acknowledgement.
const GROUPS: &str = "whole group";

/// The upper bounds of the buckets, in microseconds.
const BOUNDS_US: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// The figures, and the histograms of the operations with these names.
pub(super) fn text(figures: &Figures, names: &[String], histograms: &[Histogram<u64>]) -> String {
    let mut text = Text::default();
    about(&mut text, figures);
    groups(&mut text, figures);
    servers(&mut text, figures);
    latencies(&mut text, names, histograms);
    text.0
}

fn about(text: &mut Text, figures: &Figures) {
    let run = figures.run.clone().unwrap_or_default();
    let labels = [("run", run.as_str()), ("command", &figures.command), ("version", VERSION)];
    text.family(
        "tributary_run_info",
        "gauge",
        "The run, the command and the version of tributary.",
    );
    text.sample("tributary_run_info", &labels, 1.0);
    let started = figures.started_at.time().duration_since(std::time::UNIX_EPOCH);
    let started = started.unwrap_or_default().as_secs_f64();
    let name = "tributary_start_time_seconds";
    text.single(name, "gauge", "When the command started, as a Unix time.", started);
    text.family("tributary_phase", "gauge", "1 for what the command is doing.");
    for phase in Phase::VARIANTS {
        let (name, is_now) = (phase.to_string(), figures.phase == *phase);
        text.sample("tributary_phase", &[("phase", &name)], f64::from(u8::from(is_now)));
    }
    let paused = f64::from(u8::from(figures.paused));
    text.single("tributary_paused", "gauge", "1 while no group begins.", paused);
}

fn groups(text: &mut Text, figures: &Figures) {
    let groups = &figures.groups;
    let whole = |n: u64| n as f64;
    let name = "tributary_groups_total";
    text.family(name, "counter", "Groups that ended in this session, by how.");
    text.sample(name, &[("state", "done")], whole(groups.done));
    text.sample(name, &[("state", "failed")], whole(groups.failed));
    for (name, help, value) in [
        ("tributary_groups_planned", "Groups that this session is to work on.", groups.total),
        ("tributary_requests_in_flight_limit", "How many may be.", figures.requests.limit),
    ] {
        text.single(name, "gauge", help, whole(value));
    }
    for Figure { metric, help, value, .. } in figures.under_way.all() {
        // What is not there is left out: no group is not a group of no age.
        value.into_iter().for_each(|value| text.single(metric, "gauge", help, value));
    }
    if let Some(reads) = &figures.reads {
        let seconds = |us: u64| us as f64 / 1e6;
        let help = "How long a read beside the run may take.";
        text.single("tributary_read_seconds_limit", "gauge", help, seconds(reads.max_us));
        let help = "What all but one in a hundred reads beside the run take.";
        reads
            .p99_us
            .into_iter()
            .for_each(|us| text.single("tributary_read_seconds", "gauge", help, seconds(us)));
        let help = "1 while fewer requests are under way because such reads took too long.";
        let is_held = f64::from(u8::from(reads.held_back));
        text.single("tributary_held_back", "gauge", help, is_held);
    }
    let limit = figures.rate_limit.unwrap_or(f64::INFINITY);
    let help = "Groups that may begin per second; +Inf without a limit.";
    text.single("tributary_groups_per_second_limit", "gauge", help, limit);
    let help = "Requests to Cassandra that were tried again.";
    text.single("tributary_retries_total", "counter", help, whole(figures.retries));
    let help = "What was made durable in the journal.";
    text.single("tributary_journal_commits_total", "counter", help, whole(figures.journal_commits));
    if let Some(scan) = &figures.scan {
        let help = "Token ranges of the scan.";
        text.single("tributary_scan_ranges", "gauge", help, whole(scan.ranges_total));
        let help = "Token ranges of the scan that are over, those of earlier sessions among them.";
        text.single("tributary_scan_ranges_done", "gauge", help, whole(scan.ranges));
        let help = "Rows that the present scan has looked at.";
        text.single("tributary_scan_rows", "gauge", help, whole(scan.rows));
    }
}

fn servers(text: &mut Text, figures: &Figures) {
    let events = &figures.events;
    let help = "Events that were handed over to be delivered.";
    text.single("tributary_events_produced_total", "counter", help, events.produced as f64);
    let help = "Events that were acknowledged.";
    text.single("tributary_events_acknowledged_total", "counter", help, events.acknowledged as f64);
    let cassandra = &figures.cassandra;
    let name = "tributary_cassandra_nodes";
    text.family(name, "gauge", "Nodes of the cluster, by whether there is a connection.");
    let connected = cassandra.nodes_connected as f64;
    text.sample(name, &[("connected", "true")], connected);
    text.sample(name, &[("connected", "false")], cassandra.nodes as f64 - connected);
    let name = "tributary_server_ok";
    text.family(name, "gauge", "1 while a server answers, 0 while it is waited for.");
    let sink = events.sink.unwrap_or_default().to_lowercase();
    for (server, state) in [("cassandra", cassandra.state), (&*sink, events.state)] {
        if matches!(state, Reached::Ok | Reached::Waiting) {
            text.sample(name, &[("server", server)], f64::from(u8::from(state == Reached::Ok)));
        }
    }
}

fn latencies(text: &mut Text, names: &[String], histograms: &[Histogram<u64>]) {
    let of = |wanted: &'static str| {
        names
            .iter()
            .zip(histograms)
            .filter(move |(name, _)| *name == wanted)
            .map(|(_, histogram)| histogram)
    };
    for (operation, name, help) in [
        (GROUPS, "tributary_group_duration_seconds", "Whole groups, from their first read on."),
        (JOURNAL, "tributary_journal_commit_duration_seconds", "Waiting for the journal."),
        (EVENTS, "tributary_event_delivery_duration_seconds", "Events, until acknowledged."),
    ] {
        text.family(name, "histogram", help);
        of(operation).for_each(|histogram| text.histogram(name, &[], histogram));
    }
    let name = "tributary_request_duration_seconds";
    text.family(name, "histogram", "Requests to Cassandra, each attempt, by operation and table.");
    for (operation, histogram) in names.iter().zip(histograms) {
        if [GROUPS, JOURNAL, EVENTS].contains(&operation.as_str()) {
            continue;
        }
        let (kind, table) = operation.split_once(' ').unwrap_or((operation, ""));
        text.histogram(name, &[("operation", kind), ("table", table)], histogram);
    }
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The text as it grows. Writing to a string cannot fail.
#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0 += name;
        for (at, (label, value)) in labels.iter().enumerate() {
            let sign = if at == 0 { '{' } else { ',' };
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{sign}{label}=\"{value}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = match value {
            f64::INFINITY => writeln!(self.0, " +Inf"),
            value => writeln!(self.0, " {value}"),
        };
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram<u64>) {
        let mut counts = [0_u64; BOUNDS_US.len()];
        let mut sum_us = 0.0;
        for value in histogram.iter_recorded() {
            let us = histogram.median_equivalent(value.value_iterated_to());
            sum_us += us as f64 * value.count_at_value() as f64;
            if let Some(bucket) = BOUNDS_US.iter().position(|bound| us <= *bound) {
                counts[bucket] += value.count_at_value();
            }
        }
        let bucket = format!("{name}_bucket");
        let with = |bound: &str| -> Vec<(String, String)> {
            let owned = labels.iter().map(|(l, v)| ((*l).to_owned(), (*v).to_owned()));
            owned.chain([("le".to_owned(), bound.to_owned())]).collect()
        };
        let mut below = 0;
        let bounds = BOUNDS_US.iter().zip(counts).map(|(bound, count)| {
            below += count;
            ((*bound as f64 / 1e6).to_string(), below)
        });
        let bounds: Vec<_> = bounds.chain([("+Inf".to_owned(), histogram.len())]).collect();
        for (bound, count) in bounds {
            let labels = with(&bound);
            let labels: Vec<_> = labels.iter().map(|(l, v)| (l.as_str(), v.as_str())).collect();
            self.sample(&bucket, &labels, count as f64);
        }
        self.sample(&format!("{name}_sum"), labels, sum_us / 1e6);
        self.sample(&format!("{name}_count"), labels, histogram.len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::latency::{Operation, Recorder};
    use crate::live::ticker::figures_of;
    use crate::live::{Control, Status};

    /// Samples by name and labels; panics at what is not of the format.
    fn parse(text: &str) -> BTreeMap<String, f64> {
        let mut kinds = BTreeMap::new();
        let mut samples = BTreeMap::new();
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                let (name, kind) = declared.split_once(' ').unwrap();
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
                continue;
            }
            if line.starts_with("# HELP ") {
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
                let family = name.strip_suffix(end)?;
                (kinds.get(family).map(String::as_str) == Some("histogram")).then_some(family)
            });
            let family = family.unwrap_or(name);
            let kind = kinds.get(family).unwrap_or_else(|| panic!("{name} has no type"));
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
            let value = if value == "+Inf" { f64::INFINITY } else { value.parse().unwrap() };
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
        }
        samples
    }

    fn of(recorder: &Recorder) -> BTreeMap<String, f64> {
        let status = Status::default();
        status.begin("apply", "a \"run\"\\\n");
        let (stop, _) = tokio::sync::watch::channel(false);
        let figures = figures_of(&status, &Control::new(stop));
        parse(&text(&figures, recorder.names(), &recorder.histograms()))
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_the_count() {
        let operations = ["read user_courses", JOURNAL, EVENTS, GROUPS];
        let recorder = Recorder::new(operations.map(str::to_owned).to_vec());
        for ms in [1_u64, 3, 30, 300, 3_000, 300_000] {
            recorder.record(Operation(0), Duration::from_millis(ms));
        }
        recorder.record(Operation(3), Duration::from_millis(7));
        let samples = of(&recorder);
        let labels = "operation=\"read\",table=\"user_courses\"";
        let name = "tributary_request_duration_seconds";
        let bucket = |bound: &str| samples[&format!("{name}_bucket{{{labels},le=\"{bound}\"}}")];
        let bounds = BOUNDS_US.map(|us| (us as f64 / 1e6).to_string());
        let counts: Vec<_> = bounds.iter().map(|bound| bucket(bound)).collect();
        assert!(counts.is_sorted(), "{counts:?}");
        assert_eq!((bucket("0.0005"), bucket("0.0025"), bucket("0.005")), (0.0, 1.0, 2.0));
        assert_eq!((bucket("60"), bucket("+Inf")), (5.0, 6.0));
        assert_eq!(samples[&format!("{name}_count{{{labels}}}")], 6.0);
        let sum = samples[&format!("{name}_sum{{{labels}}}")];
        assert!((sum - 303.334).abs() < 0.4, "{sum}");
        assert_eq!(samples["tributary_group_duration_seconds_count"], 1.0);
        assert_eq!(samples["tributary_journal_commit_duration_seconds_bucket{le=\"+Inf\"}"], 0.0);
    }

    #[test]
    fn labels_are_escaped() {
        let samples = of(&Recorder::new(Vec::new()));
        let info = samples.keys().find(|series| series.starts_with("tributary_run_info")).unwrap();
        assert!(info.contains(r#"run="a \"run\"\\\n""#), "{info}");
        assert_eq!(samples["tributary_phase{phase=\"planning\"}"], 1.0);
        assert_eq!(samples["tributary_groups_per_second_limit"], f64::INFINITY);
    }
}
