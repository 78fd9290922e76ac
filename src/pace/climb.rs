//! Finds how many groups at once are worth it, by trying: a little more or a little less in every window of
//! time, on in the direction that was better, back if it was worse (hill climbing, also known as perturb
//! and observe).
//!
//! Better is not only faster. Beyond the point at which the cluster is busy, more groups at once only wait
//! longer, and so do the requests of the application; so a window counts as better only if its throughput has
//! grown by enough for the groups that it took.

/// Where it starts, and between which limits it stays.
const FIRST: f64 = 64.0;
const FEWEST: f64 = 8.0;
const MOST: f64 = 1_024.0;
/// How much throughput weighs against groups at once: twice as many have to bring about 1/15 more groups per
/// second.
const THRIFT: f64 = 0.1;
/// Steps until the first time that one was worse, and from then on.
const LONG_STEP: f64 = 1.5;
const STEP: f64 = 1.2;

/// The limit, and what is known of its surroundings.
#[derive(Debug)]
pub(super) struct Climb {
    limit: f64,
    step: f64,
    is_rising: bool,
    /// How good the last window was.
    last: Option<f64>,
}

impl Default for Climb {
    fn default() -> Self {
        Self { limit: FIRST, step: LONG_STEP, is_rising: true, last: None }
    }
}

impl Climb {
    /// The present limit.
    pub(super) fn limit(&self) -> usize {
        self.limit.round() as usize
    }

    /// The limit after a window in which so many groups per second ended.
    pub(super) fn next(&mut self, per_second: f64) -> usize {
        let worth = per_second.powf(1.0 + THRIFT) / self.limit.powf(THRIFT);
        if self.last.is_some_and(|last| worth < last) {
            self.is_rising = !self.is_rising;
            self.step = STEP;
        }
        self.last = Some(worth);
        let moved = if self.is_rising { self.limit * self.step } else { self.limit / self.step };
        self.limit = moved.clamp(FEWEST, MOST);
        self.limit()
    }

    /// After an overload the limit is half of what it was; what was known of its surroundings is past.
    pub(super) fn fall_back(&mut self) {
        *self =
            Self { limit: (self.limit / 2.0).max(1.0), step: STEP, is_rising: true, last: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits of many windows on a cluster, once it is warm; the throughput is off by up to 5%.
    fn limits(throughput: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut climb = Climb::default();
        let mut limits = Vec::new();
        for _ in 0..2_000 {
            let noise = 0.95 + random.f64() / 10.0;
            climb.next(throughput(climb.limit) * noise);
            limits.push(climb.limit);
        }
        limits.split_off(100)
    }

    fn middle(limits: &mut [f64]) -> f64 {
        limits.sort_by(f64::total_cmp);
        limits[limits.len() / 2]
    }

    #[test]
    fn it_stays_near_the_point_where_the_cluster_is_busy() {
        for busy_at in [20.0, 100.0, 400.0] {
            let mut found = limits(|groups| groups.min(busy_at) * 50.0);
            let middle = middle(&mut found);
            assert!((busy_at * 0.6..busy_at * 2.5).contains(&middle), "{middle} for {busy_at}");
        }
    }

    #[test]
    fn it_leaves_a_point_beyond_which_the_cluster_gets_slower() {
        let slower = |groups: f64| if groups < 50.0 { groups * 50.0 } else { 125_000.0 / groups };
        let middle = middle(&mut limits(slower));
        assert!((30.0..90.0).contains(&middle), "{middle}");
    }

    #[test]
    fn it_is_bounded_and_rises_again_after_an_overload() {
        assert!(limits(|groups| groups).iter().all(|limit| *limit <= MOST));
        assert!(limits(|groups| 1.0 / groups).iter().all(|limit| *limit >= FEWEST));
        let mut climb = Climb::default();
        let before = climb.limit();
        climb.fall_back();
        assert_eq!(climb.limit(), before / 2);
        let mut windows = 0;
        while climb.limit() < before {
            climb.next(climb.limit * 10.0);
            windows += 1;
            assert!(windows < 100, "it never recovers");
        }
    }
}
