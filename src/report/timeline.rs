//! How a session went over time, in so few intervals that they can be drawn and kept.

use serde::Serialize;

/// Beyond so many intervals, two become one.
const MOST: usize = 120;

/// Consecutive intervals of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Timeline {
    intervals: Vec<Interval>,
    /// How many of the intervals that are told make up one that is kept.
    #[serde(skip)]
    together: usize,
    /// How many make up the last one so far.
    #[serde(skip)]
    in_last: usize,
}

/// What was done in a part of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// Its beginning, in seconds since that of the session.
    pub(crate) from_s: f64,
    /// Its end.
    pub(crate) to_s: f64,
    /// Groups that were done.
    pub groups: u64,
    /// Requests to the cluster that were answered.
    pub requests: u64,
    /// Requests that were tried again.
    pub retries: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
}

impl Timeline {
    /// Adds what was done since the last interval.
    pub(crate) fn push(&mut self, interval: Interval) {
        match self.intervals.last_mut() {
            Some(last) if self.in_last < self.together => {
                *last = last.and(&interval);
                self.in_last += 1;
            }
            _ => {
                self.intervals.push(interval);
                self.in_last = 1;
            }
        }
        if self.intervals.len() > MOST {
            // The last one stays alone and is filled up: their number is odd.
            self.together = self.together.max(1) * 2;
            let pairs = self.intervals.chunks(2);
            let merged =
                pairs.map(|pair| pair.iter().skip(1).fold(pair[0], |sum, next| sum.and(next)));
            self.intervals = merged.collect();
        }
    }

    /// The intervals, in order of time.
    pub(crate) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

impl Interval {
    /// How long it is.
    pub fn seconds(&self) -> f64 {
        self.to_s - self.from_s
    }

    fn and(&self, next: &Self) -> Self {
        Self {
            from_s: self.from_s,
            to_s: next.to_s,
            groups: self.groups + next.groups,
            requests: self.requests + next.requests,
            retries: self.retries + next.retries,
            in_flight: next.in_flight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_however_long_it_takes() {
        for seconds in [1_u32, 119, 120, 121, 122, 241, 10_000, 100_000] {
            let mut timeline = Timeline::default();
            for second in 0..seconds {
                let (from_s, to_s) = (f64::from(second), f64::from(second + 1));
                let in_flight = u64::from(second);
                timeline.push(Interval {
                    from_s,
                    to_s,
                    groups: 2,
                    requests: 7,
                    retries: 1,
                    in_flight,
                });
            }
            let intervals = timeline.intervals();
            assert!(intervals.len() <= MOST && intervals.len() * 3 >= MOST.min(seconds as usize));
            assert_eq!(intervals.iter().map(|i| i.groups).sum::<u64>(), 2 * u64::from(seconds));
            assert!(intervals.windows(2).all(|pair| pair[0].to_s == pair[1].from_s));
            let last = intervals.last().unwrap();
            assert_eq!((last.to_s, last.in_flight), (f64::from(seconds), u64::from(seconds) - 1));
            let whole = &intervals[..intervals.len() - 1];
            assert!(whole.iter().all(|i| i.seconds() == intervals[0].seconds()), "{seconds}");
        }
    }
}
