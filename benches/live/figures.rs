//! A run's latency.hlog as figures for the README.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use tributary::report::plot::{Latencies, LatencyPlot, OverTime, Series};

use super::hlog::{self, GROUP, Interval};

/// What to draw.
#[derive(Args)]
pub(crate) struct Options {
    /// The log of a run.
    #[arg(long)]
    log: PathBuf,
    /// The folder for throughput.svg and latency.svg.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let intervals = hlog::read(&options.log)?;
    fs::create_dir_all(&options.out)?;
    let write = |name: &str, svg: String| {
        let path = options.out.join(name);
        fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))
    };
    let over_time = OverTime {
        title: "Pairs merged over time".into(),
        unit: "pairs per second".into(),
        series: vec![Series { name: "pairs".into(), points: throughput(&intervals) }],
    };
    write("throughput.svg", over_time.svg())?;
    write("latency.svg", latency(&intervals)?.svg())
}

/// Groups per second, from the first interval in which one ended to the last. In the data sets of the bench each
/// group is one pair.
fn throughput(intervals: &[Interval]) -> Vec<(f64, f64)> {
    // An interval cut short by the end of the run says nothing about a second.
    const SHORTEST_S: f64 = 0.5;
    let mut groups: BTreeMap<_, (f64, u64)> = BTreeMap::new();
    for interval in intervals {
        let entry = groups.entry(interval.start).or_default();
        entry.0 = interval.length.as_secs_f64();
        if interval.tag == GROUP {
            entry.1 += interval.latencies.len();
        }
    }
    let mut seen: Vec<_> = groups
        .into_iter()
        .filter(|(_, (length, _))| *length >= SHORTEST_S)
        .map(|(start, (length, count))| (start.as_secs_f64() + length, count as f64 / length))
        .collect();
    let is_idle = |(_, rate): &(f64, f64)| *rate == 0.0;
    while seen.last().is_some_and(is_idle) {
        seen.pop();
    }
    let first = seen.iter().position(|point| !is_idle(point)).unwrap_or(0);
    let start = seen.get(first).map_or(0.0, |(at, _)| *at);
    seen.drain(..first);
    seen.into_iter().map(|(at, rate)| (at - start, rate)).collect()
}

fn latency(intervals: &[Interval]) -> anyhow::Result<LatencyPlot> {
    let mut totals = hlog::totals(intervals)?;
    // In the order in which they first appear, which is that of the report; whole groups are the last.
    let mut rows: Vec<Latencies> = Vec::new();
    for tag in intervals.iter().map(|interval| &interval.tag) {
        let Some(total) = totals.remove(tag) else { continue };
        let counts = total.iter_recorded();
        let counts = counts.map(|value| (value.value_iterated_to(), value.count_at_value()));
        let name = tag.replacen('-', " ", 1);
        rows.push(Latencies { name, counts: counts.collect(), ..Latencies::default() });
    }
    rows.sort_by_key(|row| row.name == GROUP.replacen('-', " ", 1));
    Ok(LatencyPlot { title: "How long things take".into(), rows })
}
