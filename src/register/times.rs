//! The times at which runs have written: what has one of them is not dated by the application.

use std::collections::BTreeSet;

use crate::model::{Row, TimestampUs, by_run};

use super::{Claim, Step};

/// What is voided under a survivor is dated so much after T, and what stays with a source so much.
pub(crate) const VOID_US: TimestampUs = 9_998;
pub(crate) const PIN_US: TimestampUs = 9_999;

/// How much after the time of its window a run may date a cell: what it merges, what it gives back, what it voids and pins.
const AFTER_US: [TimestampUs; 4] = [0, 1, VOID_US, PIN_US];

/// The times of the windows of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTimes(BTreeSet<TimestampUs>);

impl RunTimes {
    /// Adds what a run did, unless that left the times of the application: a sweep does.
    pub(super) fn add(&mut self, claim: &Claim) {
        if claim.step != Step::After {
            self.0.insert(claim.t);
        }
    }

    /// Whether a run wrote at that time.
    pub(crate) fn has(&self, t: TimestampUs) -> bool {
        AFTER_US.iter().any(|after| self.0.contains(&t.saturating_sub(*after)))
    }

    /// Has what a run has written be [older](by_run) than what the application has.
    pub(crate) fn mark(&self, row: &mut Row) {
        row.written.map(|t| if self.has(t) { by_run(t) } else { t });
    }
}

impl FromIterator<TimestampUs> for RunTimes {
    fn from_iter<I: IntoIterator<Item = TimestampUs>>(times: I) -> Self {
        Self(times.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_wrote_gave_back_or_pinned_is_its_own() {
        let times: RunTimes = [1_000_000].into_iter().collect();
        for (after, is_own) in [(0, true), (1, true), (VOID_US, true), (PIN_US, true), (2, false)] {
            assert_eq!(times.has(1_000_000 + after), is_own, "{after}");
        }
        assert!(!times.has(999_999) && !RunTimes::default().has(0));
        let mut row = Row::new(Vec::new());
        row.written = [(2, 1_000_001), (3, 2_000_000), (4, 5)].into_iter().collect();
        times.mark(&mut row);
        let written: Vec<_> = row.written.iter().collect();
        assert_eq!(written, [(2, by_run(1_000_001)), (3, 2_000_000), (4, 5)]);
    }
}
