//! What reads take, over the last while.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Reads older than this say nothing of now.
const WINDOW: Duration = Duration::from_secs(2);
/// So long after a change of the limit its effect can be judged: requests that were admitted before have been answered.
const JUDGED_AFTER: Duration = Duration::from_millis(500);
/// So many reads are judged, at least: one says nothing.
const FEWEST: usize = 3;

/// What reads take, and what they may.
#[derive(Debug)]
pub(super) struct ReadLatency {
    bound: Duration,
    reads: VecDeque<(Instant, Duration)>,
    /// When what was known was forgotten.
    since: Instant,
    /// What they took when they were judged last.
    last: Option<Duration>,
    has_cut: bool,
    /// The last read.
    heard: Option<Instant>,
}

impl ReadLatency {
    pub(super) fn new(bound: Duration, now: Instant) -> Self {
        Self { bound, reads: VecDeque::new(), since: now, last: None, has_cut: false, heard: None }
    }

    pub(super) fn bound(&self) -> Duration {
        self.bound
    }

    pub(super) fn last(&self) -> Option<Duration> {
        self.last
    }

    /// Whether it was ever too long.
    pub(super) fn has_cut(&self) -> bool {
        self.has_cut
    }

    pub(super) fn cut(&mut self) {
        self.has_cut = true;
    }

    /// The limit has changed: what was read before was read under another.
    pub(super) fn forget(&mut self, now: Instant) {
        self.reads.clear();
        self.since = now;
    }

    /// Whether no reads are made at the moment. One that is not answered is added when it is given up.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.heard.is_none_or(|then| now.duration_since(then) > WINDOW)
    }

    /// Adds a read; gives what reads take, where that can be judged.
    pub(super) fn add(&mut self, took: Duration, now: Instant) -> Option<Duration> {
        self.heard = Some(now);
        self.reads.push_back((now, took));
        while self.reads.front().is_some_and(|(then, _)| now.duration_since(*then) > WINDOW) {
            self.reads.pop_front();
        }
        if now.duration_since(self.since) < JUDGED_AFTER || self.reads.len() < FEWEST {
            return None;
        }
        self.last = Some(self.percentile());
        self.last
    }

    /// What all but the longest one in a hundred take, and all but one where there are fewer.
    fn percentile(&self) -> Duration {
        let mut all: Vec<Duration> = self.reads.iter().map(|(_, took)| *took).collect();
        let at = all.len() - 1 - all.len().div_ceil(100);
        *all.select_nth_unstable(at).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_long_read_in_a_hundred_says_nothing() {
        let began = Instant::now();
        let ms = Duration::from_millis;
        let mut latency = ReadLatency::new(ms(20), began);
        let mut read = |at: u64, took: u64| latency.add(ms(took), began + ms(at));
        for at in 0..49 {
            assert_eq!(read(at * 10, 5), None, "it is too early");
        }
        assert_eq!(read(490, 900), None);
        for at in 50..150 {
            assert_eq!(read(at * 10, 5), Some(ms(5)));
        }
        read(1_500, 30);
        assert_eq!(read(1_510, 30), Some(ms(30)), "three of a hundred and fifty are enough");
        // Two seconds later they are forgotten.
        assert_eq!((0..100).filter_map(|at| read(3_520 + at * 10, 6)).last(), Some(ms(6)));
    }
}
