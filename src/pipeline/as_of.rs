//! T: the write time that a whole group carries.
//!
//! A merge dated T behaves as if it had happened at the instant T: what an application writes later
//! wins over it, cell by cell, and writing it again changes nothing. T lies `settle` before the group's first
//! read, so that whatever was stamped before T has arrived by the time we read; and never before the
//! start of the run, which is at or after every node's clock.
//!
//! This machine's clock is read once and carried on by one that nobody sets: were it put forward under a run, T would lie
//! in the future, and what the application writes until then would be deleted unread. By how much it is ahead of a node
//! from the start, T lies earlier: the node may still stamp so.

use std::time::{Duration, Instant};

use crate::model::{TimestampUs, now_us};

/// Stamps groups.
#[derive(Clone, Copy, Debug)]
pub struct AsOf {
    start: TimestampUs,
    settle: Duration,
    clock: Clock,
    /// How far the slowest clock of a node is behind it.
    behind: Duration,
    /// How long tombstones are kept, where that is known.
    kept: Option<Duration>,
}

/// What tells the time.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// What this machine's clock said, and when.
    Read(TimestampUs, Instant),
    Other(fn() -> TimestampUs),
}

impl AsOf {
    /// Stamps no earlier than `start`, and `settle` before the moment of asking.
    pub fn new(start: TimestampUs, settle: Duration) -> Self {
        let clock = Clock::Read(now_us(), Instant::now());
        Self { start, settle, clock, behind: Duration::ZERO, kept: None }
    }

    /// The same, by another clock than this machine's.
    pub fn by(self, clock: fn() -> TimestampUs) -> Self {
        Self { clock: Clock::Other(clock), ..self }
    }

    /// With a node whose clock is so far behind this machine's.
    pub fn behind(self, behind: Duration) -> Self {
        Self { behind, ..self }
    }

    /// With tables that keep their tombstones for so long at least.
    pub fn kept_for(self, tombstones: Duration) -> Self {
        Self { kept: Some(tombstones), ..self }
    }

    /// The time up to which nothing is written any more: a tombstone that is later than such a time may be gone by now, so
    /// what it has deleted would be there again.
    pub(crate) fn forgotten(&self) -> TimestampUs {
        self.kept.map_or(TimestampUs::MIN, |kept| self.now().saturating_sub(in_us(kept)))
    }

    /// The earliest T, in microseconds.
    pub fn start(&self) -> TimestampUs {
        self.start
    }

    /// What this machine's clock says, were it never set since.
    pub(crate) fn now(&self) -> TimestampUs {
        match self.clock {
            Clock::Read(us, read_at) => us.saturating_add(in_us(read_at.elapsed())),
            Clock::Other(now) => now(),
        }
    }

    /// How long to wait before the first read, so that even it may be dated `start`.
    pub(crate) fn time_to_settle(&self) -> Duration {
        let us = self.start.saturating_sub(self.settled(self.now()));
        Duration::from_micros(u64::try_from(us).unwrap_or_default())
    }

    /// T for a group whose first read comes after this call.
    pub(crate) fn stamp(&self) -> TimestampUs {
        self.settled(self.now()).max(self.start)
    }

    /// How long writes may take to arrive.
    pub(crate) fn settle(&self) -> Duration {
        self.settle
    }

    /// Whatever is stamped up to this time has arrived by `now`.
    pub(crate) fn settled(&self, now: TimestampUs) -> TimestampUs {
        now.saturating_sub(in_us(self.settle)).saturating_sub(in_us(self.behind))
    }
}

fn in_us(long: Duration) -> TimestampUs {
    i64::try_from(long.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_is_dated_before_the_start() {
        let future = now_us() + 60_000_000;
        let as_of = AsOf::new(future, Duration::from_secs(2));
        assert_eq!(as_of.stamp(), future);
        assert!(as_of.time_to_settle() > Duration::from_secs(61));
    }

    #[test]
    fn a_group_is_dated_before_its_first_read() {
        let settle = Duration::from_secs(2);
        let as_of = AsOf::new(now_us() - 60_000_000, settle);
        assert_eq!(as_of.time_to_settle(), Duration::ZERO);
        let t = as_of.stamp();
        assert!(t <= now_us() - 2_000_000);
        assert!(t >= as_of.start());
    }

    #[test]
    fn a_group_is_dated_by_the_slowest_clock() {
        let (settle, behind) = (Duration::from_secs(2), Duration::from_secs(4));
        let as_of = AsOf::new(now_us() - 60_000_000, settle).behind(behind);
        assert!(as_of.stamp() <= now_us() - 6_000_000);
    }
}
