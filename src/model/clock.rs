//! What tells the time: this machine's two clocks, and those of the nodes beside them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::TimestampUs;

/// This machine's clock, in the unit of write times.
pub fn now_us() -> TimestampUs {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimestampUs::try_from(since_epoch.as_micros()).unwrap_or(TimestampUs::MAX)
}

/// How long ago this machine was started. Nobody sets this clock, and it goes on while the machine sleeps, as that of
/// [`Instant`](std::time::Instant) does not.
pub(crate) fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::from_secs(now.tv_sec.unsigned_abs())
        + Duration::from_nanos(now.tv_nsec.unsigned_abs())
}

/// What the clocks of all nodes say, beside this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// What this machine's says.
    pub ours: TimestampUs,
    /// The latest of all, ours included, in microseconds: the earliest moment that a merge may be dated.
    pub latest: TimestampUs,
    /// How far the slowest is behind ours.
    pub behind: Duration,
}
