//! Finds how many requests at once are worth it, by trying: the present number, and now and then twice as many or
//! half as many.
//!
//! What a number brings differs from window to window by more than it differs from that of its neighbours, so
//! it is judged by the mean of its last few windows. Better is not only faster: beyond the point at which the
//! cluster is busy, more requests at once only wait longer, and so do the requests of the application. So of all
//! numbers that bring about the most per second, the smallest is taken.

/// The numbers that are tried: this many, twice as many, and so on.
const FEWEST: usize = 4;
const LEVELS: usize = 7;
/// Where it starts: 16 requests, each for many groups.
const FIRST: usize = 2;
/// What brings at least this part of the most per second is as good: twice as many requests wait twice as long, and
/// so do the application's, which a few percent are not worth.
const AS_GOOD: f64 = 0.9;
/// How much a window counts in the mean, once a few are known.
const NEWS: f64 = 0.15;
/// Every so many windows one more is tried, in turn above and below.
const LOOK_EVERY: usize = 4;
/// A window with less than this part of the mean is of another time than what is known.
const BROKEN: f64 = 0.5;
/// What was seen so many windows ago is forgotten.
const MEMORY: usize = 40;
/// So many windows say what a number brings before more is tried for the first time: a run that gets warm, or one
/// that meets large groups, would take any number for better than the one before.
const ENOUGH: f64 = 4.0;
/// So many windows are the first trial of a number; one says nothing.
const TRIAL: f64 = 2.0;
/// So many windows pass after an overload before more is tried.
const CAUTION: usize = 20;

/// The limit, and what each has brought.
#[derive(Debug)]
pub(super) struct Climb {
    level: usize,
    known: [Option<Mean>; LEVELS],
    windows: usize,
    /// Windows until more may be tried.
    caution: usize,
}

#[derive(Clone, Copy, Debug)]
struct Mean {
    per_second: f64,
    windows: f64,
    /// The last of them.
    seen: usize,
}

impl Default for Climb {
    fn default() -> Self {
        Self { level: FIRST, known: [None; LEVELS], windows: 0, caution: 0 }
    }
}

impl Climb {
    /// The present limit.
    pub(super) fn limit(&self) -> usize {
        FEWEST << self.level
    }

    /// The limit after a window in which so much was done per second.
    pub(super) fn next(&mut self, per_second: f64) -> usize {
        self.windows += 1;
        let now = self.windows;
        let is_old = |mean: &Mean| now - mean.seen > MEMORY;
        self.known.iter_mut().for_each(|mean| *mean = mean.take().filter(|mean| !is_old(mean)));
        if self.known[self.level].is_some_and(|mean| per_second < mean.per_second * BROKEN) {
            self.known = [None; LEVELS];
        }
        let mean =
            self.known[self.level].get_or_insert(Mean { per_second, windows: 0.0, seen: now });
        mean.windows += 1.0;
        mean.seen = now;
        mean.per_second += (per_second - mean.per_second) * NEWS.max(1.0 / mean.windows);
        self.caution = self.caution.saturating_sub(1);
        let best = self.best();
        let above = (best + 1 < LEVELS && self.caution == 0).then_some(best + 1);
        let is_sure = self.known[best].is_some_and(|mean| mean.windows >= ENOUGH);
        let is_new = |level: &usize| is_sure && !self.is_tried(*level);
        self.level = match self.windows / LOOK_EVERY % 2 {
            _ if above.as_ref().is_some_and(is_new) => above.unwrap_or(best),
            _ if !self.windows.is_multiple_of(LOOK_EVERY) => best,
            0 => above.unwrap_or(best),
            _ => best.saturating_sub(1),
        };
        self.limit()
    }

    /// The lowest level that is as good as any.
    fn best(&self) -> usize {
        let brings = |level: usize| match self.known[level] {
            Some(mean) if self.is_tried(level) => mean.per_second,
            _ => 0.0,
        };
        let most = (0..LEVELS).map(brings).fold(0.0, f64::max);
        (0..LEVELS)
            .find(|level| brings(*level) >= most * AS_GOOD && brings(*level) > 0.0)
            .unwrap_or(self.level)
    }

    fn is_tried(&self, level: usize) -> bool {
        self.known[level].is_some_and(|mean| mean.windows >= TRIAL)
    }

    /// After an overload the limit is half of what it was; what was known is of another time.
    pub(super) fn fall_back(&mut self) {
        let level = self.level.saturating_sub(1);
        *self = Self { level, caution: CAUTION, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits of many windows on a cluster, once it is warm; the throughput is off by up to 15%.
    fn limits(throughput: impl Fn(f64) -> f64) -> Vec<usize> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut climb = Climb::default();
        let mut limits = Vec::new();
        for _ in 0..2_000 {
            let noise = 0.85 + random.f64() * 0.3;
            climb.next(throughput(climb.limit() as f64) * noise);
            limits.push(climb.limit());
        }
        limits.split_off(100)
    }

    fn middle(limits: &mut [usize]) -> usize {
        limits.sort_unstable();
        limits[limits.len() / 2]
    }

    #[test]
    fn it_stays_near_the_point_where_the_cluster_is_busy() {
        for (busy_at, near) in [(20.0, [16, 32]), (100.0, [64, 128]), (400.0, [256, 512])] {
            let mut found = limits(|groups| groups.min(busy_at) * 50.0);
            let middle = middle(&mut found);
            assert!(near.contains(&middle), "{middle} for {busy_at}");
        }
    }

    /// A quarter more for four times as many, as where requests for one partition are joined.
    #[test]
    fn it_takes_a_little_more_if_there_is_nothing_to_lose() {
        let slow = |groups: f64| 1_600.0 * (groups.min(256.0) / 64.0).powf(0.17);
        assert_eq!(middle(&mut limits(slow)), 256);
    }

    #[test]
    fn it_leaves_a_point_beyond_which_the_cluster_gets_slower() {
        let slower = |groups: f64| if groups < 50.0 { groups * 50.0 } else { 125_000.0 / groups };
        let middle = middle(&mut limits(slower));
        assert!([32, 64].contains(&middle), "{middle}");
    }

    #[test]
    fn it_follows_a_cluster_that_changes() {
        let mut climb = Climb::default();
        for _ in 0..100 {
            climb.next(climb.limit().min(512) as f64);
        }
        let mut limits: Vec<_> =
            (0..150).map(|_| climb.next(climb.limit().min(32) as f64)).collect();
        assert_eq!(middle(&mut limits[100..]), 32);
    }

    #[test]
    fn it_is_bounded_and_rises_again_after_an_overload() {
        assert!(limits(|requests| requests).iter().all(|limit| *limit <= 256));
        assert!(limits(|requests| 1.0 / requests).iter().all(|limit| *limit >= FEWEST));
        let mut climb = Climb::default();
        let before = climb.limit();
        climb.fall_back();
        assert_eq!(climb.limit(), before / 2);
        let windows = (0..100).take_while(|_| climb.next(climb.limit() as f64) < before).count();
        assert!((CAUTION / 2..100).contains(&windows), "it rises after {windows} windows");
    }
}
