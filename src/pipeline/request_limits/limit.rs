//! One limit of what a server takes, as it is learnt from what it took and refused.

use crate::storage::Fault;

/// A limit that may have been a moment's (a time-out, a replica that failed) is doubled after so many requests that were
/// as large as it allows, then after twice as many, and so on.
pub(super) const PATIENCE: u64 = 1_024;

/// What is known of one limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// The largest that was taken.
    pub(super) taken: usize,
    /// The largest that is not known to be too large.
    pub(super) most: usize,
    /// Requests until it is doubled, now and the next time, if it may pass.
    passes: Option<(u64, u64)>,
}

pub(super) const UNKNOWN: Limit = Limit { taken: 0, most: usize::MAX, passes: None };

impl Limit {
    /// A request of such a size was taken.
    pub(super) fn took(&mut self, size: usize) {
        self.taken = self.taken.max(size);
        let Some((left, next)) = &mut self.passes else { return };
        if size > self.most / 2 {
            *left -= 1;
            if *left == 0 {
                (*left, *next) = (*next, next.saturating_mul(2));
                self.most = self.most.saturating_mul(2);
            }
        }
    }

    /// A request of such a size was refused, and taken in halves.
    pub(super) fn too_large(&mut self, size: usize, why: Fault) {
        let half = size.div_ceil(2);
        self.most = self.most.min(half);
        self.taken = self.taken.min(half);
        let next = self.passes.map_or(PATIENCE, |(_, next)| next);
        self.passes = (why != Fault::Permanent).then_some((next, next.saturating_mul(2)));
    }
}
