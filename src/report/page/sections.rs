//! Sections that several reports have.

use std::fmt::Write;

use serde_json::Value;

use super::{Block, Section, Table, Told, Tone};
use crate::latency::{HISTOGRAM_STEP, LaneSummary};
use crate::moment::Moment;
use crate::report::plot::{Latencies, LatencyPlot, OverTime, Series};
use crate::report::{Equation, FailureReason, Interval, Listing, Timeline};

/// The counters that must add up, with both sides of each equation.
pub(super) fn equations(equations: &[Equation]) -> Section {
    let broken = equations.iter().filter(|equation| !equation.holds()).count();
    let columns = ["what is counted", "adds up", "as a whole", "sum of parts", "parts"];
    let row = |(place, equation): (usize, &Equation)| {
        let (tone, said) = match equation.holds() {
            true => (Tone::Good, "✓ yes"),
            false => (Tone::Bad, "✗ NO"),
        };
        [
            Told::words(equation.what()),
            Told::verdict(tone, said),
            Told::count(equation.total()).at(format!("/equations/{place}/total")),
            Told::count(equation.sum()).at(format!("/equations/{place}/sum")),
            Told::words(equation.parts_text()),
        ]
    };
    let table = Table::new("", columns).with(equations.iter().enumerate().map(row));
    let section = Section::new("What must add up");
    let section = match broken {
        0 => section.saying("Both sides of each equation were counted apart from each other."),
        _ => section.with(Block::Note(
            Tone::Bad,
            "The counters contradict each other. This is a defect of this program: keep the run directory, check the \
             data by hand, and report it with these lines."
                .to_owned(),
        )),
    };
    section.with(table.into())
}

/// Why groups failed.
pub(super) fn failures(failures: &[FailureReason], after: &str) -> Option<Section> {
    if failures.is_empty() {
        return None;
    }
    let mut reasons = Table::new("", ["groups", "reason"]);
    let mut examples = Table::new("Examples", ["line", "from", "to", "reason"]);
    for (place, failure) in failures.iter().enumerate() {
        let groups = Told::count(failure.groups).at(format!("/failures/{place}/groups"));
        reasons.push([groups, Told::words(&failure.reason)]);
        for pair in &failure.examples {
            let ids = [&pair.from, &pair.to].map(Told::code);
            let [from, to] = ids;
            examples.push([line_number(pair.line), from, to, Told::words(&failure.reason)]);
        }
    }
    let section = Section::new("Failed groups").saying(after).with(reasons.into());
    Some(section.with(examples.into()))
}

/// Lines of a file of the run as a table, their numbers first. What a line was is only shown where nothing else says
/// it.
pub(super) fn examples(caption: &str, listing: &Listing) -> Option<Block> {
    if listing.is_empty() {
        return None;
    }
    let mut order: Vec<usize> = (0..listing.columns.len()).collect();
    order.sort_by_key(|place| listing.columns[*place] != "line");
    let columns = order.iter().map(|place| listing.columns[*place].clone()).collect();
    let mut table = Table { caption: caption.to_owned(), columns, rows: Vec::new() };
    for row in &listing.rows {
        let is_known = |name: &str| {
            let place = listing.columns.iter().position(|column| column == name);
            place.and_then(|place| row.get(place)).is_some_and(|field| !field.is_empty())
        };
        let is_pair = is_known("from") && is_known("to");
        let cells = order.iter().map(|place| {
            let field = row.get(*place).map_or("", String::as_str);
            match listing.columns[*place].as_str() {
                "line" => field.parse().map_or_else(|_| Told::code(field), line_number),
                "reason" => Told::words(field),
                "original" if is_pair => Told::code(""),
                _ => Told::code(field),
            }
        });
        table.rows.push(cells.collect());
    }
    Some(table.into())
}

/// A point in time, to the second.
pub(super) fn moment(moment: Moment) -> String {
    let text = moment.to_string();
    let seconds = text.split(['.', 'Z']).next().unwrap_or_default();
    format!("{} UTC", seconds.replace('T', " "))
}

/// A line's number is a name, so it has no separators.
fn line_number(line: u64) -> Told {
    Told::number(line as f64, line.to_string())
}

/// How it went over time.
pub(super) fn over_time(timeline: &Timeline, done: &str) -> Option<Section> {
    // The rest of a second says nothing about a second.
    const SHORTEST_S: f64 = 0.5;
    let intervals = timeline.intervals();
    let told: Vec<_> = intervals.iter().filter(|i| i.seconds() >= SHORTEST_S).collect();
    if told.len() < 2 {
        return None;
    }
    let series = |name: &str, value: fn(&Interval) -> f64| {
        let points = told.iter().map(|i| ((i.from_s + i.to_s) / 2.0, value(i)));
        Series { name: name.to_owned(), points: points.collect() }
    };
    let plot = |title: &str, unit: &str, series: Vec<Series>| {
        Block::OverTime(OverTime { title: title.to_owned(), unit: unit.to_owned(), series })
    };
    let mut section = Section::new("Over time");
    let mut add = |block: Block| section.blocks.push(block);
    // A session that only looks again works on no group.
    if intervals.iter().any(|i| i.groups > 0) {
        let groups = series("groups", |i| i.groups as f64 / i.seconds());
        add(plot(done, "groups per second", vec![groups]));
    }
    let mut requests = vec![series("answered", |i| i.requests as f64 / i.seconds())];
    if intervals.iter().any(|i| i.retries > 0) {
        requests.push(series("tried again", |i| i.retries as f64 / i.seconds()));
    }
    add(plot("Requests to the cluster", "requests per second", requests));
    if intervals.iter().any(|i| i.in_flight > 0) {
        let in_flight = series("requests", |i| i.in_flight as f64);
        add(plot("Requests in flight", "requests at once", vec![in_flight]));
    }
    Some(section)
}

/// How long things took; `root` is where the JSON has its `latency`.
pub(super) fn latency(root: &str, lanes: &[LaneSummary]) -> Option<Section> {
    let seen: Vec<_> = lanes.iter().enumerate().filter(|(_, lane)| lane.count > 0).collect();
    if seen.is_empty() {
        return None;
    }
    let rows = seen.iter().map(|(_, lane)| Latencies {
        name: lane.lane.clone(),
        counts: lane.histogram.iter().map(|(us, count)| (*us, *count)).collect(),
        step: HISTOGRAM_STEP,
        percentiles: Some([lane.p50_us, lane.p90_us, lane.p99_us, lane.p999_us]),
    });
    let plot = LatencyPlot { title: "How long things took".to_owned(), rows: rows.collect() };
    let columns = ["kind of work", "count", "mean", "p50", "p90", "p99", "p99.9", "max"];
    let mut table = Table::new("", columns);
    for (place, lane) in seen {
        let at = |field: &str| format!("{root}/latency/{place}/{field}");
        let time = |us: u64, field: &str| Told::latency(us).at(at(field));
        table.push([
            Told::words(&lane.lane),
            Told::count(lane.count).at(at("count")),
            Told::latency(lane.mean_us.round() as u64),
            time(lane.p50_us, "p50_us"),
            time(lane.p90_us, "p90_us"),
            time(lane.p99_us, "p99_us"),
            time(lane.p999_us, "p999_us"),
            time(lane.max_us, "max_us"),
        ]);
    }
    let section = Section::new("Latency").saying(
        "From the moment a request is sent, or queued behind another for the same partition, to its answer, in this \
         session. p99 is what 99 of 100 did not exceed.",
    );
    Some(section.with(Block::Latencies(plot)).with(table.into()))
}

/// The settings in effect.
pub(super) fn settings(settings: &Value) -> Option<Section> {
    let mut rows = Vec::new();
    flatten("", settings, &mut rows);
    if rows.is_empty() {
        return None;
    }
    let rows = rows.into_iter().map(|(name, value)| [Told::words(name), Told::code(value)]);
    let table = Table::new("", ["setting", "value"]).with(rows);
    Some(Section::new("Settings").saying("Secrets are redacted.").with(table.into()))
}

/// Settings within settings are named by their path.
fn flatten(path: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let mut inner = path.to_owned();
                // Writing to a string cannot fail.
                let _ = write!(inner, "{}{name}", if path.is_empty() { "" } else { "." });
                flatten(&inner, member, rows);
            }
        }
        Value::Null => rows.push((path.to_owned(), "–".to_owned())),
        Value::String(text) => rows.push((path.to_owned(), text.clone())),
        Value::Array(list) => {
            let shown =
                list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
            rows.push((path.to_owned(), shown.collect::<Vec<_>>().join(", ")));
        }
        other => rows.push((path.to_owned(), other.to_string())),
    }
}
