//! Finds how many requests at once are worth it, by trying: the present number, and now and then twice as many or
//! half as many.
//!
//! What a number brings differs from window to window by more than it differs from that of its neighbours, so
//! it is judged by the mean of its last few windows. Better is not only faster: beyond the point at which the
//! cluster is busy, more requests at once only wait longer, and so do the requests of the application. So of all
//! numbers that bring about the most per second, the smallest is taken.
//!
//! A larger number may look better because the machine got faster meanwhile, or because the smaller one was tried when it
//! was slow. So before a larger number is taken, both are tried afresh.

/// The numbers that are tried: this many, twice as many, and so on.
const FEWEST: usize = 4;
const LEVELS: usize = 7;
/// The largest of them.
pub(super) const MOST: usize = FEWEST << (LEVELS - 1);
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
/// So many windows pass after an overload before more is tried. If there is another one within them, the present number
/// is too much as well.
const CAUTION: usize = 20;

/// The limit, and what each has brought.
#[derive(Debug)]
pub(super) struct Climb {
    /// What is tried at the moment.
    level: usize,
    /// What is taken.
    best: usize,
    /// A larger level that seems to be better: it and the best are compared afresh.
    compared: Option<usize>,
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
        let (level, best) = (FIRST, FIRST);
        Self { level, best, compared: None, known: [None; LEVELS], windows: 0, caution: 0 }
    }
}

impl Climb {
    /// The present limit.
    pub(super) fn limit(&self) -> usize {
        FEWEST << self.level
    }

    /// The limit after a window in which so much was done per second; none above `most` is tried.
    pub(super) fn next(&mut self, per_second: f64, most: usize) -> usize {
        self.windows += 1;
        self.learn(per_second);
        self.caution = self.caution.saturating_sub(1);
        self.decide();
        self.level = self.to_try(most);
        self.limit()
    }

    fn learn(&mut self, per_second: f64) {
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
    }

    /// Takes what is best by what is known now; a larger level only once it was compared.
    fn decide(&mut self) {
        let seems = self.lowest_as_good();
        match self.compared {
            Some(above) if self.is_tried(above) && self.is_tried(self.best) => {
                self.compared = None;
                if self.brings(self.best) < self.brings(above) * AS_GOOD {
                    self.best = above;
                }
            }
            Some(_) => {}
            None if seems > self.best => {
                self.known[self.best] = None;
                if self.level != seems {
                    self.known[seems] = None;
                }
                self.compared = Some(seems);
            }
            None => self.best = seems,
        }
    }

    fn to_try(&self, most: usize) -> usize {
        let best = self.best;
        if let Some(above) = self.compared {
            let windows = |level: usize| self.known[level].map_or(0.0, |mean| mean.windows);
            return if windows(above) < windows(best) { above } else { best };
        }
        let is_possible = best + 1 < LEVELS && self.caution == 0 && FEWEST << (best + 1) <= most;
        let above = is_possible.then_some(best + 1);
        let is_sure = self.known[best].is_some_and(|mean| mean.windows >= ENOUGH);
        let is_new = |level: &usize| is_sure && !self.is_tried(*level);
        match self.windows / LOOK_EVERY % 2 {
            _ if above.as_ref().is_some_and(is_new) => above.unwrap_or(best),
            _ if !self.windows.is_multiple_of(LOOK_EVERY) => best,
            0 => above.unwrap_or(best),
            _ => best.saturating_sub(1),
        }
    }

    /// The lowest level that is as good as any.
    fn lowest_as_good(&self) -> usize {
        let most = (0..LEVELS).map(|level| self.brings(level)).fold(0.0, f64::max);
        let is_as_good =
            |level: &usize| self.brings(*level) >= most * AS_GOOD && self.brings(*level) > 0.0;
        (0..LEVELS).find(is_as_good).unwrap_or(self.best)
    }

    /// What a level brings per second; nothing if that is not known.
    fn brings(&self, level: usize) -> f64 {
        self.known[level].filter(|_| self.is_tried(level)).map_or(0.0, |mean| mean.per_second)
    }

    fn is_tried(&self, level: usize) -> bool {
        self.known[level].is_some_and(|mean| mean.windows >= TRIAL)
    }

    /// The cluster was overloaded. A number that was only tried is not tried again for a while; the one that was taken
    /// stays, unless it has led there twice: most overloads come from elsewhere and pass.
    pub(super) fn overloaded(&mut self) {
        let is_again = self.caution > 0;
        self.caution = CAUTION;
        self.compared = None;
        if self.level > self.best {
            self.known[self.level] = None;
        } else if is_again {
            self.best = self.best.saturating_sub(1);
            self.known = [None; LEVELS];
        }
        self.level = self.best;
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
            climb.next(throughput(climb.limit() as f64) * noise, MOST);
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
            climb.next(climb.limit().min(512) as f64, MOST);
        }
        let mut limits: Vec<_> =
            (0..150).map(|_| climb.next(climb.limit().min(32) as f64, MOST)).collect();
        assert_eq!(middle(&mut limits[100..]), 32);
    }

    #[test]
    fn it_is_bounded() {
        assert!(limits(|requests| requests).iter().all(|limit| *limit <= MOST));
        assert!(limits(|requests| 1.0 / requests).iter().all(|limit| *limit >= FEWEST));
    }

    /// A machine that gets a third faster whenever more requests are tried brings no more for them.
    #[test]
    fn a_gain_that_comes_from_outside_is_not_taken_for_that_of_more_requests() {
        let mut climb = Climb::default();
        let (mut speed, mut tried) = (1_000.0, climb.limit());
        for window in 0..400 {
            let limit = climb.next(speed * climb.limit().min(16) as f64, MOST);
            if limit > tried {
                speed *= 1.33;
            }
            tried = tried.max(limit);
            // The largest number is forgotten now and then, and looks new again.
            if window % 100 == 99 {
                tried = FEWEST << FIRST;
            }
        }
        assert_eq!(climb.best, FIRST, "{climb:?}");
        assert!(tried <= 32, "{tried}");
    }

    /// Nor is a number that was seen in a better time taken for a better one.
    #[test]
    fn a_loss_that_comes_from_outside_does_not_raise_the_number() {
        let mut climb = Climb::default();
        let mut taken = Vec::new();
        for window in 0..400 {
            let speed = if window / 10 % 2 == 0 { 1_000.0 } else { 700.0 };
            climb.next(speed * climb.limit().min(16) as f64, MOST);
            taken.push(FEWEST << climb.best);
        }
        let larger = taken.iter().filter(|limit| **limit > 16).count();
        assert!(larger < 40, "{larger} of 400 windows: {taken:?}");
    }

    #[test]
    fn an_overload_is_forgotten_unless_it_comes_again() {
        let mut climb = Climb::default();
        for _ in 0..100 {
            climb.next(climb.limit().min(64) as f64, MOST);
        }
        climb.overloaded();
        assert_eq!(climb.limit(), 64);
        let highest =
            (0..CAUTION - 1).map(|_| climb.next(climb.limit().min(64) as f64, MOST)).max();
        assert_eq!(highest, Some(64), "nothing above is tried for a while");
        climb.overloaded();
        assert_eq!(climb.limit(), 32);
        for _ in 0..100 {
            climb.next(climb.limit().min(64) as f64, MOST);
        }
        assert_eq!(FEWEST << climb.best, 64, "it rises again");
    }

    #[test]
    fn nothing_above_what_is_allowed_is_tried() {
        let mut climb = Climb::default();
        assert!((0..200).all(|_| climb.next(climb.limit() as f64, 100) <= 64));
        assert_eq!(climb.limit(), 64);
    }
}
