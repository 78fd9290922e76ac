//! latency.hlog, read back: an HDR interval log with one tag per kind of work.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

/// The tag of whole groups.
pub(crate) const GROUP: &str = "whole-group";

/// What happened in one interval of one kind of work.
pub(crate) struct Interval {
    pub(crate) tag: String,
    pub(crate) start: Duration,
    pub(crate) length: Duration,
    /// In microseconds.
    pub(crate) latencies: Histogram<u64>,
}

/// All intervals of a log.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Interval>> {
    let log = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut deserializer = Deserializer::new();
    let mut intervals = Vec::new();
    for entry in IntervalLogIterator::new(&log) {
        let entry = entry.map_err(|_| anyhow::anyhow!("{} is no HDR log", path.display()))?;
        let LogEntry::Interval(interval) = entry else { continue };
        let bytes = STANDARD.decode(interval.encoded_histogram())?;
        intervals.push(Interval {
            tag: interval.tag().map_or("", |tag| tag.as_str()).to_owned(),
            start: interval.start_timestamp(),
            length: interval.duration(),
            latencies: deserializer.deserialize(&mut bytes.as_slice())?,
        });
    }
    Ok(intervals)
}

/// The latencies of each kind of work, over all intervals.
pub(crate) fn totals(intervals: &[Interval]) -> anyhow::Result<BTreeMap<String, Histogram<u64>>> {
    let mut totals = BTreeMap::new();
    for interval in intervals {
        let total = match totals.entry(interval.tag.clone()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => new.insert(Histogram::new(3)?),
        };
        total.add(&interval.latencies)?;
    }
    Ok(totals)
}
