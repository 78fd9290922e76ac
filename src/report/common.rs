//! What several answers say.

use serde_json::Value;
use std::cmp::Reverse;

use super::document::{Block, Fact, Section, Table, Tone};
use super::figures::{self, Number};
use super::plot::{Latencies, LatencyPlot, OverTime, Series};
use super::words::{
    Figure, Piece, Text, code, count, counted, latency as time, line, path, say, share, verdict,
};
use super::{
    Equation, EventFacts, ExamplePair, FailureReason, Interval, Listing, Timeline, TruncatedTable,
};
use crate::latency::{HISTOGRAM_STEP, LatencySummary};
use crate::model::Destination;
use crate::moment::Moment;

/// When it was, and how the process ended.
pub(super) fn session(started: Moment, finished: Moment, exit_code: u8) -> Fact {
    let (started, finished) = (figures::moment(started), figures::moment(finished));
    // On the same day its name says nothing.
    let (day, _) = started.split_at(11);
    let finished = finished.strip_prefix(day).unwrap_or(&finished).to_owned();
    let code = count(exit_code.into()).at("/exit_code");
    Fact::new("Session", say!("{} to {} UTC, exit code {}", started, finished, code))
}

/// A total and its parts, the first of them and those that are not nothing.
pub(super) fn sum<'a>(total: Figure, parts: impl IntoIterator<Item = (Figure, &'a str)>) -> Text {
    let parts = parts.into_iter().enumerate();
    let parts = parts.filter(|(index, (part, _))| *index == 0 || part.number != Number::Count(0));
    // Lines are broken at its plus signs only.
    let part = |(_, (part, what)): (_, (Figure, &str))| {
        Text::from(part).and(Piece::Own("\u{a0}").into()).and(what.replace(' ', "\u{a0}").into())
    };
    say!("{} = {}", total, Text::join(parts.map(part), " +\u{a0}"))
}

/// Tables that somebody has emptied: what a run finds missing there, it has not lost.
pub(super) fn emptied(tables: &[TruncatedTable]) -> impl Iterator<Item = Fact> {
    tables.iter().map(|truncated| {
    let message = say!(
        "table {} was truncated at {} UTC, since the run began: what it held under either account is gone, which is no \
         loss of the merge; rows to which it would have led stay where they are. If it was restored from a snapshot of \
         before the run, rows are back under their old accounts: resume merges them once more, undo takes back what was \
         not restored",
        code(&truncated.table),
        figures::moment(truncated.at),
    );
    Fact::new("WARNING", message).toned(Tone::Warning)
    })
}

/// The tables that were dropped: nothing can be done to the run while they are.
pub(super) fn gone(tables: &[String]) -> impl Iterator<Item = Fact> {
    tables.iter().map(|table| {
        let message = say!(
            "table {} was dropped under this run: no resume, verify or undo is possible while it is. If it comes back as it \
             was (with its id, from the snapshot that DROP may have made), resume goes on",
            code(table),
        );
        Fact::new("WARNING", message).toned(Tone::Warning)
    })
}

/// What must add up.
pub(super) fn adds_up(equations: &[Equation]) -> Section {
    let row = |(index, equation): (usize, &Equation)| {
        let holds = match equation.holds() {
            true => verdict(Tone::Good, "✓ yes"),
            false => verdict(Tone::Bad, "✗ NO"),
        };
        [
            equation.what().into(),
            holds,
            count(equation.total()).at(format!("/equations/{index}/total")).into(),
            count(equation.sum()).at(format!("/equations/{index}/sum")).into(),
            equation.parts_text().into(),
        ]
    };
    let columns = ["what is counted", "adds up", "as a whole", "sum of parts", "parts"];
    let table = Table::new(columns).in_terminal(0).with(equations.iter().enumerate().map(row));
    let about = "Both sides of each equation were counted apart from each other.";
    Section::new("What must add up").about(about).with(table)
}

/// Loud, because it means that this program has lost something.
pub(super) fn contradictions(equations: &[Equation]) -> Option<Fact> {
    let wrong: Vec<_> = equations.iter().filter(|equation| !equation.holds()).collect();
    let fact = Fact::new(
        "WARNING",
        say!(
            "the counters do not add up. This is a defect of this program: keep the run directory, check the data by \
             hand, and report it with these lines:"
        ),
    );
    let sentence = |equation: &&Equation| say!("{}: {}", equation.what(), equation.text());
    (!wrong.is_empty())
        .then(|| Fact { more: wrong.iter().map(sentence).collect(), ..fact.toned(Tone::Bad) })
}

/// What became of events, with why there may be none.
pub(super) fn events(events: &EventFacts, none: Text) -> Fact {
    let Some(Destination { name, .. }) = &events.destination else {
        return Fact::new("Events", none);
    };
    let (produced, known) = (count(events.produced), count(events.acknowledged));
    let (produced, known) = (produced.at("/events/produced"), known.at("/events/acknowledged"));
    Fact::new("Events", say!("{} produced to '{}', {} acknowledged", produced, code(name), known))
}

/// Requests that were tried again.
pub(super) fn tried_again(retries: u64, at: &str) -> Text {
    say!("{} tried again", counted(retries, "request").at(at))
}

/// Accounts without rows; many of them are worth a look.
pub(super) fn absent(absent: Figure, most: u64, of: u64, who: &'static str) -> Fact {
    // From this share on, in percent.
    const MANY: u64 = 10;
    let part = share(most, of).about(absent.is_exact());
    let sentence = say!("no rows for {} of {} ({})", absent, counted(of, who), part);
    match most > 0 && most * 100 >= of * MANY {
        true => {
            let asked = say!(": are these ids typed right, and from this keyspace?");
            Fact::new("Absent", sentence.and(asked)).toned(Tone::Warning)
        }
        false => Fact::new("Absent", sentence),
    }
}

/// Why groups failed.
pub(super) fn failures(failures: &[FailureReason], about: &'static str) -> Section {
    let mut reasons = Table::new(["Failed groups", "reason"]);
    let mut examples = Table::new(["Such as line", "from", "to"]).in_terminal(3);
    for (index, failure) in failures.iter().enumerate() {
        let groups = count(failure.groups).at(format!("/failures/{index}/groups"));
        reasons.push([Text::from(groups), failure.reason.as_str().into()]);
        for ExamplePair { from, to, line: number } in &failure.examples {
            examples.push([line(*number).into(), code(from), code(to)]);
        }
    }
    Section::new("Failed groups").about(about).with(reasons).with(examples)
}

/// Lines of a file of the run as a table, their numbers first; the terminal has the file itself. What a line was is only
/// shown where nothing else says it.
pub(super) fn examples(listing: &Listing) -> Table {
    let mut order: Vec<usize> = (0..listing.columns.len()).collect();
    order.sort_by_key(|index| listing.columns[*index] != "line");
    let columns = order.iter().map(|index| listing.columns[*index].clone()).collect();
    let caption = say!("Examples from {}", listing.file.as_str());
    let mut table = Table { caption, columns, ..Table::default() };
    for row in &listing.rows {
        let is_known = |name: &str| {
            let index = listing.columns.iter().position(|column| column == name);
            index.and_then(|index| row.get(index)).is_some_and(|field| !field.is_empty())
        };
        let is_pair = is_known("from") && is_known("to");
        table.push(order.iter().map(|index| {
            let field = row.get(*index).map_or("", String::as_str);
            match listing.columns[*index].as_str() {
                "line" => field.parse().map_or_else(|_| code(field), |n| line(n).into()),
                "reason" => field.into(),
                "original" if is_pair => Text::default(),
                _ => code(field),
            }
        }));
    }
    table
}

/// How it went over time.
pub(super) fn over_time(timeline: &Timeline, done: &str) -> Option<Section> {
    // The rest of a second says nothing about a second.
    const SHORTEST_S: f64 = 0.5;
    let intervals = timeline.intervals();
    let shown: Vec<_> = intervals.iter().filter(|i| i.seconds() >= SHORTEST_S).collect();
    if shown.len() < 2 {
        return None;
    }
    let series = |name: &str, value: fn(&Interval) -> f64| {
        let points = shown.iter().map(|i| ((i.from_s + i.to_s) / 2.0, value(i)));
        Series { name: name.to_owned(), points: points.collect() }
    };
    let plot = |title: &str, unit: &str, series: Vec<Series>| {
        Block::OverTime(OverTime { title: title.to_owned(), unit: unit.to_owned(), series })
    };
    let mut blocks = Vec::new();
    // A session that only looks again works on no group.
    if intervals.iter().any(|i| i.groups > 0) {
        let groups = series("groups", |i| i.groups as f64 / i.seconds());
        blocks.push(plot(done, "groups per second", vec![groups]));
    }
    let mut requests = vec![series("answered", |i| i.requests as f64 / i.seconds())];
    if intervals.iter().any(|i| i.retries > 0) {
        requests.push(series("tried again", |i| i.retries as f64 / i.seconds()));
    }
    blocks.push(plot("Requests to the cluster", "requests per second", requests));
    if intervals.iter().any(|i| i.in_flight > 0) {
        let in_flight = series("requests", |i| i.in_flight as f64);
        blocks.push(plot("Requests in flight", "requests at once", vec![in_flight]));
    }
    Some(Section::new("Over time").with_all(blocks))
}

/// So many kinds of requests are named in a terminal.
const SLOWEST: usize = 4;

/// How long things took; `root` is where the JSON has its `latency`.
pub(super) fn latency(root: &str, operations: &[LatencySummary]) -> Option<Section> {
    let mut seen: Vec<_> =
        operations.iter().enumerate().filter(|(_, operation)| operation.count > 0).collect();
    // What took the most time stands first.
    seen.sort_by_key(|(_, operation)| Reverse(operation.count.saturating_mul(operation.p50_us)));
    let rows = seen.iter().map(|(_, operation)| Latencies {
        name: operation.operation.clone(),
        counts: operation.histogram.iter().map(|(us, count)| (*us, *count)).collect(),
        step: HISTOGRAM_STEP,
        percentiles: Some([
            operation.p50_us,
            operation.p90_us,
            operation.p99_us,
            operation.p999_us,
        ]),
    });
    let plot = LatencyPlot { title: "How long things took".to_owned(), rows: rows.collect() };
    let mut table =
        Table::new(["Latency", "count", "p50", "p90", "p99", "p99.9", "max"]).in_terminal(SLOWEST);
    for (index, operation) in &seen {
        let at = |field: &str| format!("{root}/latency/{index}/{field}");
        let times = [
            ("p50_us", operation.p50_us),
            ("p90_us", operation.p90_us),
            ("p99_us", operation.p99_us),
            ("p999_us", operation.p999_us),
            ("max_us", operation.max_us),
        ];
        let times = times.map(|(field, us)| Text::from(time(us).at(at(field))));
        let head =
            [Text::from(&operation.operation), count(operation.count).at(at("count")).into()];
        table.push(head.into_iter().chain(times));
    }
    let about = "From the moment a request is sent, or queued behind another for the same partition, to its answer, in \
                 this session. p99 is what 99 of 100 did not exceed.";
    let section = || Section::new("Latency").about(about).with(Block::Latencies(plot)).with(table);
    (!seen.is_empty()).then(section)
}

/// The settings in effect.
pub(super) fn settings(settings: &Value) -> Section {
    let mut table = Table::new(["setting", "value"]).in_terminal(0);
    flatten("", settings, &mut table);
    Section::new("Settings").about("Secrets are redacted.").with(table)
}

/// Settings within settings are named by their path.
fn flatten(name: &str, value: &Value, table: &mut Table) {
    let shown = match value {
        Value::Object(members) => {
            for (inner, member) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flatten(&format!("{name}{dot}{inner}"), member, table);
            }
            return;
        }
        Value::Null if name.is_empty() => return,
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let shown =
                list.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
            shown.collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    table.push([name.into(), code(shown)]);
}

/// A file of pairs.
pub(super) fn input(file: &str) -> Text {
    match file {
        "-" => say!("standard input"),
        file => path(file.as_ref()),
    }
}
