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
//!
//! The clock that carries it on goes on while the machine sleeps. That of a virtual machine that is halted, or moved, does
//! not; and over days it may drift. So each window compares it with a node's before its first intent ([`AsOf::agrees`]).
//! Where it does not agree, all nodes are asked anew, and who was dated before that is dated again: an hour later a
//! survivor's row may have been deleted, which would hide a copy as of an hour ago.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use crate::model::{Clocks, TimestampUs, now_us, since_boot};

/// How far a node's clock may be from where it was expected, at least: none is asked without some delay.
const LEAST_DOUBT: Duration = Duration::from_millis(500);

/// Stamps groups. Clones share the clock.
#[derive(Clone, Debug)]
pub struct AsOf {
    start: TimestampUs,
    settle: Duration,
    clock: Arc<Clock>,
    /// How long tombstones are kept, where that is known.
    kept: Option<Duration>,
}

/// What tells the time, in microseconds.
#[derive(Debug)]
struct Clock {
    ticks: Ticks,
    /// What is added to its ticks.
    offset: AtomicI64,
    /// How far the slowest clock of a node is behind it, and the fastest ahead of it.
    behind: AtomicI64,
    ahead: AtomicI64,
    /// How often it was set.
    set: AtomicU64,
}

/// What goes on by itself.
#[derive(Clone, Copy, Debug)]
enum Ticks {
    SinceBoot,
    Other(fn() -> TimestampUs),
}

impl Ticks {
    fn now(self) -> TimestampUs {
        match self {
            Self::SinceBoot => in_us(since_boot()),
            Self::Other(now) => now(),
        }
    }
}

impl Clock {
    /// One that says `now` at this moment.
    fn new(ticks: Ticks, now: TimestampUs) -> Self {
        let offset = AtomicI64::new(now - ticks.now());
        let (behind, ahead, set) = Default::default();
        Self { ticks, offset, behind, ahead, set }
    }
}

impl AsOf {
    /// Stamps no earlier than `start`, and `settle` before the moment of asking.
    pub fn new(start: TimestampUs, settle: Duration) -> Self {
        let clock = Arc::new(Clock::new(Ticks::SinceBoot, now_us()));
        Self { start, settle, clock, kept: None }
    }

    /// The same, by another clock than this machine's.
    pub fn by(self, clock: fn() -> TimestampUs) -> Self {
        Self { clock: Arc::new(Clock::new(Ticks::Other(clock), clock())), ..self }
    }

    /// With nodes whose clocks say this.
    pub fn beside(self, clocks: Clocks) -> Self {
        self.set(clocks);
        self
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
        self.clock.ticks.now().saturating_add(self.clock.offset.load(Ordering::Relaxed))
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
        let behind = self.clock.behind.load(Ordering::Relaxed);
        now.saturating_sub(in_us(self.settle)).saturating_sub(behind)
    }

    /// How often the clock was set: what was stamped before that is not to be begun any more.
    pub(crate) fn times_set(&self) -> u64 {
        self.clock.set.load(Ordering::Relaxed)
    }

    /// Whether a node's clock is about where it is expected that was asked at one moment, answered by now, and says a moment
    /// between these two. What it is behind by a little more than was known counts from now on.
    pub(crate) fn agrees(&self, asked: TimestampUs, [earliest, latest]: [TimestampUs; 2]) -> bool {
        let Clock { behind, ahead, .. } = &*self.clock;
        let doubt = in_us((self.settle / 2).max(LEAST_DOUBT));
        let is_behind = asked.saturating_sub(latest);
        let more_behind = is_behind.saturating_sub(behind.fetch_max(is_behind, Ordering::Relaxed));
        let is_ahead = earliest.saturating_sub(self.now());
        let more_ahead = is_ahead.saturating_sub(ahead.load(Ordering::Relaxed));
        more_behind <= doubt && more_ahead <= doubt
    }

    /// Sets the clock by those of all nodes.
    pub(crate) fn set(&self, Clocks { ours, latest, behind }: Clocks) {
        let clock = &*self.clock;
        clock.offset.store(ours - clock.ticks.now(), Ordering::Relaxed);
        clock.behind.store(in_us(behind), Ordering::Relaxed);
        clock.ahead.store(latest - ours, Ordering::Relaxed);
        clock.set.fetch_add(1, Ordering::Relaxed);
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
        // Two clocks are read, each in whole microseconds.
        assert!(t <= now_us() - 2_000_000 + 1);
        assert!(t >= as_of.start());
    }

    #[test]
    fn a_group_is_dated_by_the_slowest_clock() {
        const S: TimestampUs = 1_000_000;
        let clocks = Clocks { ours: 100 * S, latest: 100 * S, behind: Duration::from_secs(4) };
        let as_of = AsOf::new(0, Duration::from_secs(2)).by(|| 100 * S).beside(clocks);
        assert_eq!(as_of.stamp(), 94 * S);
    }

    /// Nodes that are between one second behind a clock and two ahead of it, which itself says 100 s.
    fn apart() -> AsOf {
        const S: TimestampUs = 1_000_000;
        let clocks = Clocks { ours: 100 * S, latest: 102 * S, behind: Duration::from_secs(1) };
        AsOf::new(0, Duration::from_secs(2)).by(|| 100 * S).beside(clocks)
    }

    #[test]
    fn a_clock_that_stood_still_or_was_left_behind_does_not_agree() {
        const S: TimestampUs = 1_000_000;
        for (node, agrees) in [
            (99.0, true),
            (98.1, true),
            (97.9, false),
            (102.0, true),
            (102.9, true),
            (103.1, false),
            (3_700.0, false),
        ] {
            let says = [(node * S as f64) as TimestampUs; 2];
            assert_eq!(apart().agrees(100 * S, says), agrees, "{node}");
        }
        // A request may take long.
        assert!(apart().agrees(40 * S, [50 * S; 2]));
        assert!(apart().agrees(100 * S, [TimestampUs::MIN, TimestampUs::MAX]));
    }

    #[test]
    fn what_a_node_is_behind_counts_at_once_and_until_the_clock_is_set() {
        const S: TimestampUs = 1_000_000;
        let as_of = apart();
        assert_eq!((as_of.stamp(), as_of.times_set()), (97 * S, 1));
        assert!(as_of.agrees(100 * S, [98 * S + S / 2; 2]));
        assert_eq!(as_of.stamp(), 96 * S + S / 2);
        as_of.set(Clocks { ours: 3_700 * S, latest: 3_700 * S, behind: Duration::ZERO });
        assert_eq!((as_of.stamp(), as_of.times_set()), (3_698 * S, 2));
    }
}
