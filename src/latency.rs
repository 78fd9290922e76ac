//! How long things take: HDR histograms that thousands of tasks feed and one ticker reads.
//!
//! Each kind of work that is timed (a kind of statement, the delivery of an event, a whole group) is
//! an **operation**. Averages hide what an operator at night has to know, so every duration is counted in a
//! histogram and the report shows percentiles. Recording happens on the hot path: a thread records
//! into a stripe of its own, so that two threads rarely meet at a lock, and the stripes are added
//! up only when somebody looks.
//!
//! Deliberately absent: timers (callers measure, this module counts), files (the interval log goes
//! to any `Write`), and the meaning of the operations (their names are given by whoever composes the run).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};
use serde::Serialize;

/// Three significant digits: a value is off by 0.1 % at most, and an operation of up to a minute takes
/// about 140 kB.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Longer durations are counted as this long: it bounds the memory of an operation whatever happens.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// More stripes than this cost memory and no longer avoid any waiting.
const MAX_STRIPES: usize = 8;

/// A kind of work that is timed: the position of its name in the list given to [`Recorder::new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operation(pub(crate) usize);

/// One operation since the start of the run, ready to be shown. Times are in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LatencySummary {
    /// The name of the operation.
    #[serde(rename = "lane")]
    pub(crate) operation: String,
    /// How many durations were recorded.
    pub count: u64,
    pub(crate) mean_us: f64,
    /// Half of all were at most this long.
    pub(crate) p50_us: u64,
    /// 90 % were at most this long.
    pub(crate) p90_us: u64,
    /// 99 % were at most this long.
    pub(crate) p99_us: u64,
    /// 99.9 % were at most this long.
    pub(crate) p999_us: u64,
    /// The longest.
    pub(crate) max_us: u64,
    /// How many were at most this long, and longer than the entry before: entries grow by [`HISTOGRAM_STEP`], and
    /// those without any are left out.
    pub(crate) histogram: BTreeMap<u64, u64>,
}

/// Twenty entries for each tenfold: as fine as can be seen in a plot.
const PER_DECADE: f64 = 20.0;

/// How many times longer an entry of [`LatencySummary::histogram`] is than the one before, if none is left out.
pub(crate) const HISTOGRAM_STEP: f64 = 1.122_018_454_301_963_3;

/// Histograms of one set of operations, one per operation.
type Histograms = Vec<Histogram<u64>>;

/// Counts durations per operation. Shared by reference between all tasks of a run.
#[derive(Debug)]
pub struct Recorder {
    names: Vec<String>,
    stripes: Vec<Mutex<Histograms>>,
    collected: Mutex<Collected>,
}

/// What was taken out of the stripes so far, and an empty set of histograms that is swapped into a
/// stripe so that its lock is held for the time of a swap only.
#[derive(Debug)]
struct Collected {
    totals: Histograms,
    spare: Histograms,
}

impl Recorder {
    /// A recorder for these operations.
    pub fn new(operations: Vec<String>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let stripes = threads.min(MAX_STRIPES);
        Self {
            stripes: (0..stripes).map(|_| Mutex::new(empty(operations.len()))).collect(),
            collected: Mutex::new(Collected {
                totals: empty(operations.len()),
                spare: empty(operations.len()),
            }),
            names: operations,
        }
    }

    /// The names of the operations, in their order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Counts one duration. An operation that does not exist is not counted.
    pub fn record(&self, operation: Operation, took: Duration) {
        let us = took.min(LONGEST).as_micros() as u64;
        let mut histograms = lock(&self.stripes[stripe_of_this_thread() % self.stripes.len()]);
        if let Some(histogram) = histograms.get_mut(operation.0) {
            // The saturating variant would clamp to the current range instead of growing it.
            let counted = histogram.record(us);
            debug_assert!(counted.is_ok(), "{counted:?}");
        }
    }

    /// What was recorded since the last call, per operation; the next interval begins.
    pub(crate) fn take_interval(&self) -> Vec<Histogram<u64>> {
        let mut collected = lock(&self.collected);
        let mut interval = empty(self.names.len());
        for stripe in &self.stripes {
            let spare = mem::take(&mut collected.spare);
            let mut taken = mem::replace(&mut *lock(stripe), spare);
            add(&mut interval, &taken);
            taken.iter_mut().for_each(Histogram::reset);
            collected.spare = taken;
        }
        add(&mut collected.totals, &interval);
        interval
    }

    /// Everything since the start, summed up per operation and in their order, the current interval included.
    pub fn totals(&self) -> Vec<LatencySummary> {
        let totals = self.histograms();
        self.names.iter().zip(&totals).map(|(name, histogram)| summary(name, histogram)).collect()
    }

    /// Everything since the start, per operation and in their order, the current interval included; in microseconds.
    pub(crate) fn histograms(&self) -> Vec<Histogram<u64>> {
        // Held while the stripes are read, so that no interval is counted twice or missed.
        let collected = lock(&self.collected);
        let mut totals = collected.totals.clone();
        for stripe in &self.stripes {
            add(&mut totals, &lock(stripe));
        }
        totals
    }
}

fn summary(name: &str, histogram: &Histogram<u64>) -> LatencySummary {
    LatencySummary {
        operation: name.to_owned(),
        count: histogram.len(),
        mean_us: histogram.mean(),
        p50_us: histogram.value_at_quantile(0.5),
        p90_us: histogram.value_at_quantile(0.9),
        p99_us: histogram.value_at_quantile(0.99),
        p999_us: histogram.value_at_quantile(0.999),
        max_us: histogram.max(),
        histogram: counts_of(histogram),
    }
}

fn counts_of(histogram: &Histogram<u64>) -> BTreeMap<u64, u64> {
    let mut counts = BTreeMap::new();
    for value in histogram.iter_recorded() {
        let us = value.value_iterated_to().max(1) as f64;
        let entry = (us.log10() * PER_DECADE - 1e-9).ceil();
        let at_most = 10_f64.powf(entry / PER_DECADE).ceil() as u64;
        *counts.entry(at_most).or_insert(0) += value.count_since_last_iteration();
    }
    counts
}

fn empty(operations: usize) -> Histograms {
    (0..operations).filter_map(|_| Histogram::new(SIGNIFICANT_DIGITS).ok()).collect()
}

fn add(sum: &mut Histograms, part: &Histograms) {
    for (sum, part) in sum.iter_mut().zip(part) {
        // Only a histogram that cannot grow refuses; ours resize by themselves.
        let added = sum.add(part);
        debug_assert!(added.is_ok(), "{added:?}");
    }
}

/// A poisoned lock only means that a recording thread panicked between two counts.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads take numbers in the order in which they first record.
fn stripe_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = Cell::new(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.with(Cell::get)
}

/// The line that HdrHistogram's tools expect above the data.
const LEGEND: &[u8] = b"\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
    \"Interval_Compressed_Histogram\"\n";

/// Writes latency.hlog: an HDR interval log with one tag per operation, as HdrHistogram's own tools read
/// it. Values are microseconds.
pub(crate) struct IntervalLog<W> {
    out: W,
    tags: Vec<String>,
    serializer: V2DeflateSerializer,
    started: SystemTime,
    interval_start: Duration,
}

impl<W: Write> IntervalLog<W> {
    /// Begins a log of the recorder's operations; its head is written at once.
    pub(crate) fn begin(mut out: W, recorder: &Recorder, started: SystemTime) -> io::Result<Self> {
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[tributary latencies in microseconds, one tag per kind of work]")
            .with_start_time(started)
            .with_base_time(started)
            .begin_log_with(&mut out, &mut serializer)?;
        out.write_all(LEGEND)?;
        out.flush()?;
        let tags = recorder.names().iter().map(|name| tag(name)).collect();
        Ok(Self { out, tags, serializer, started, interval_start: Duration::ZERO })
    }

    /// Appends one interval that ends `now`, as taken from [`Recorder::take_interval`], and flushes.
    /// Operations in which nothing happened are left out.
    pub(crate) fn append(
        &mut self,
        interval: &[Histogram<u64>],
        now: SystemTime,
    ) -> io::Result<()> {
        let end = now.duration_since(self.started).unwrap_or_default().max(self.interval_start);
        let length = end - self.interval_start;
        let mut lines = Vec::new();
        // The library's writer borrows what it writes to, so one is made per interval; without
        // settings it writes no head.
        let mut writer =
            IntervalLogWriterBuilder::new().begin_log_with(&mut lines, &mut self.serializer)?;
        for (name, histogram) in
            self.tags.iter().zip(interval).filter(|(_, histogram)| !histogram.is_empty())
        {
            writer
                .write_histogram(histogram, self.interval_start, length, Tag::new(name))
                .map_err(into_io)?;
        }
        self.interval_start = end;
        self.out.write_all(&lines)?;
        self.out.flush()
    }
}

/// The interval log forbids these characters in a tag.
fn tag(name: &str) -> String {
    name.replace([' ', ',', '\n', '\r'], "-")
}

fn into_io<E: Display>(error: IntervalLogWriterError<E>) -> io::Error {
    match error {
        IntervalLogWriterError::IoError(error) => error,
        IntervalLogWriterError::SerializeError(error) => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    const READ: Operation = Operation(0);
    const GROUP: Operation = Operation(1);

    fn recorder() -> Recorder {
        Recorder::new(vec!["read user_courses".into(), "group".into()])
    }

    #[test]
    fn counts_of_all_threads_are_added_up() {
        let recorder = recorder();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for ms in 1..=100 {
                        recorder.record(READ, Duration::from_millis(ms));
                    }
                });
            }
        });
        let totals = recorder.totals();
        assert_eq!(totals[0].operation, "read user_courses");
        assert_eq!(totals[0].count, 1_600);
        assert!((49_900..=50_100).contains(&totals[0].p50_us), "{totals:?}");
        assert!((99_900..=100_100).contains(&totals[0].max_us), "{totals:?}");
        assert_eq!(totals[1].count, 0);
        assert_eq!(totals[1].max_us, 0);
        assert_eq!(totals[0].histogram.values().sum::<u64>(), 1_600);
        assert!(totals[1].histogram.is_empty());
    }

    #[test]
    fn the_histogram_has_every_duration_below_its_bound() {
        let recorder = recorder();
        for us in [0, 1, 10, 999, 1_000, 1_001] {
            recorder.record(READ, Duration::from_micros(us));
        }
        let histogram = recorder.totals()[0].histogram.clone();
        assert_eq!(
            histogram.into_iter().collect::<Vec<_>>(),
            [(1, 2), (10, 1), (1_000, 2), (1_123, 1)]
        );
        assert!((10_f64.powf(1.0 / PER_DECADE) - HISTOGRAM_STEP).abs() < 1e-12);
    }

    #[test]
    fn an_interval_is_taken_once_and_stays_in_the_totals() {
        let recorder = recorder();
        recorder.record(GROUP, Duration::from_micros(7));
        assert_eq!(recorder.take_interval()[1].len(), 1);
        assert_eq!(recorder.take_interval()[1].len(), 0);
        recorder.record(GROUP, Duration::from_micros(9));
        assert_eq!(recorder.take_interval()[1].max(), 9);
        recorder.record(GROUP, Duration::from_micros(11));
        let totals = recorder.totals();
        assert_eq!((totals[1].count, totals[1].max_us), (3, 11));
    }

    #[test]
    fn absurd_durations_are_clamped_and_unknown_operations_ignored() {
        let recorder = recorder();
        recorder.record(READ, Duration::MAX);
        recorder.record(Operation(9), Duration::from_secs(1));
        let totals = recorder.totals();
        assert_eq!(totals[0].count, 1);
        assert!(totals[0].max_us.abs_diff(86_400_000_000) < 100_000_000, "{totals:?}");
    }

    #[test]
    fn the_interval_log_can_be_read_back() {
        let recorder = recorder();
        let started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut file = Vec::new();
        let mut log = IntervalLog::begin(&mut file, &recorder, started).unwrap();
        recorder.record(READ, Duration::from_millis(5));
        log.append(&recorder.take_interval(), started + Duration::from_secs(1)).unwrap();
        recorder.record(GROUP, Duration::from_millis(6));
        recorder.record(GROUP, Duration::from_millis(8));
        log.append(&recorder.take_interval(), started + Duration::from_secs(3)).unwrap();

        let mut seen = Vec::new();
        for entry in IntervalLogIterator::new(&file) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                let tag = interval.tag().unwrap().as_str().to_owned();
                let bytes = base64(interval.encoded_histogram());
                let histogram: Histogram<u64> =
                    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
                seen.push((tag, interval.start_timestamp(), interval.duration(), histogram.len()));
            }
        }
        let s = Duration::from_secs;
        assert_eq!(
            seen,
            [("read-user_courses".to_owned(), s(0), s(1), 1), ("group".to_owned(), s(1), s(2), 2)]
        );
        let text = String::from_utf8(file).unwrap();
        assert!(text.contains("#[StartTime: 1700000000.000 (seconds since epoch)]"), "{text}");
        assert_eq!(text.matches("StartTime:").count(), 1, "{text}");
    }

    /// Just enough to look into the log without another dependency.
    fn base64(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = Vec::new();
        for quad in text.trim_end_matches('=').as_bytes().chunks(4) {
            let bits = quad.iter().fold(0_u32, |bits, c| {
                bits << 6 | ALPHABET.iter().position(|a| a == c).unwrap() as u32
            }) << (6 * (4 - quad.len()));
            bytes.extend(&bits.to_be_bytes()[1..quad.len()]);
        }
        bytes
    }
}
