//! Totals of a whole, from all of its parts or from a random sample of them, with a 95 % confidence interval.
//!
//! Parts that are known to be large are better not left to chance: what they say is taken as it is
//! ([`Moments::add_certain`]), and the sample speaks for the others.
//!
//! A total is estimated by the mean of the sampled parts, times the number of parts; its interval is Student's, with
//! the correction for a sample drawn without replacement. Where every sampled part says the same (most often
//! nothing at all), the sample knows of no spread, and the interval is Wilson's for the share of parts that say
//! something else. Both lean on parts that are alike: where a few parts hold most of the whole, a sample that
//! has missed them says too little.

use serde::Serialize;

/// The 97.5 % quantile of the normal distribution: 95 % lie between it and its opposite.
const Z: f64 = 1.959_964;

/// A total: exact where `low` and `high` are equal, else within them with 95 % confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// The most likely value.
    pub value: u64,
    /// The lower end of the interval.
    pub low: u64,
    /// The upper end of the interval.
    pub high: u64,
}

/// What the parts that were looked at say: how many, their sum, and the sum of their squares.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    parts: u64,
    sum: u64,
    mean: f64,
    /// The sum of squared distances from the mean (Welford).
    spread: f64,
    /// Parts that were not left to chance.
    certain_parts: u64,
    certain_sum: u64,
}

impl Estimate {
    /// A total that is known.
    pub(crate) fn exact(value: u64) -> Self {
        Self { value, low: value, high: value }
    }

    /// Whether it is known, and not estimated.
    pub fn is_exact(&self) -> bool {
        self.low == self.high
    }
}

impl Moments {
    /// Adds a part.
    pub fn add(&mut self, value: u64) {
        self.parts += 1;
        self.sum += value;
        let distance = value as f64 - self.mean;
        self.mean += distance / self.parts as f64;
        self.spread += distance * (value as f64 - self.mean);
    }

    /// Adds a part that was not drawn, but looked at in any case.
    pub(crate) fn add_certain(&mut self, value: u64) {
        self.certain_parts += 1;
        self.certain_sum += value;
    }

    /// The total of a whole of so many parts.
    pub fn total(&self, whole: u64) -> Estimate {
        let Estimate { value, low, high } = self.others(whole.saturating_sub(self.certain_parts));
        let with_certain = |value: u64| value.saturating_add(self.certain_sum);
        Estimate { value: with_certain(value), low: with_certain(low), high: with_certain(high) }
    }

    /// The total of the parts among which was drawn, so many in all.
    fn others(&self, whole: u64) -> Estimate {
        let n = self.parts;
        if n >= whole {
            return Estimate::exact(self.sum);
        }
        if n < 2 {
            // One part says nothing of the others.
            return Estimate { value: self.sum * whole.max(1), low: self.sum, high: u64::MAX };
        }
        let (parts, all) = (n as f64, whole as f64);
        let value = self.mean * all;
        let unseen = 1.0 - parts / all;
        let variance = self.spread / (parts - 1.0);
        let (low, high) = if variance > 0.0 {
            let error = all * (variance / parts * unseen).sqrt();
            let reach = student(parts - 1.0) * error;
            (value - reach, value + reach)
        } else {
            // Alike as far as was seen; of those that differ, each is taken to differ by as much as a part holds.
            let others = wilson_of_none(parts, all) * all;
            let each = self.mean.max(1.0);
            ((value - others * each), value + others * each)
        };
        // What was seen is certain.
        let whole_number = |value: f64| value.max(0.0).round() as u64;
        let low = whole_number(low.floor()).max(self.sum);
        Estimate {
            value: whole_number(value).max(self.sum),
            low,
            high: whole_number(high.ceil()).max(low),
        }
    }
}

/// The 97.5 % quantile of Student's distribution (Cornish and Fisher's expansion; from nine degrees of freedom on it
/// is right to three digits).
fn student(freedom: f64) -> f64 {
    let (z3, z5, z7) = (Z.powi(3), Z.powi(5), Z.powi(7));
    Z + (z3 + Z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * Z) / (384.0 * freedom.powi(3))
}

/// Wilson's upper bound of a share of which a sample of so many, out of so many, has seen nothing.
fn wilson_of_none(parts: f64, all: f64) -> f64 {
    // A sample that is a large part of the whole says as much as a larger one of an endless whole.
    let effective = parts * (all - 1.0) / (all - parts).max(1.0);
    let z2 = Z * Z;
    z2 / (effective + z2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(whole: &[u64], n: usize, seed: u64) -> Estimate {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut moments = Moments::default();
        for index in random.choose_multiple(0..whole.len(), n) {
            moments.add(whole[index]);
        }
        moments.total(whole.len() as u64)
    }

    /// How many of 1,000 seeded trials say an interval that holds the truth.
    fn covered(whole: &[u64], n: usize) -> usize {
        let truth: u64 = whole.iter().sum();
        let covers = |seed: &u64| {
            let Estimate { low, high, .. } = sampled(whole, n, *seed);
            low <= truth && truth <= high
        };
        (0..1_000).filter(covers).count()
    }

    /// Groups with rows as accounts have them: many with few, few with many.
    fn groups(seed: u64) -> Vec<u64> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..20_000).map(|_| (-(1.0 - random.f64()).ln() * 12.0) as u64).collect()
    }

    #[test]
    fn about_95_of_100_intervals_hold_the_truth() {
        let rows = groups(1);
        let absent: Vec<u64> = (0..20_000).map(|n| u64::from(n % 25 == 0)).collect();
        for (whole, n) in [(&rows, 100), (&rows, 1_000), (&rows, 10_000), (&absent, 1_000)] {
            let covered = covered(whole, n);
            assert!((925..=975).contains(&covered), "{covered} of 1,000 with {n}");
        }
    }

    /// Of what is rare, a sample of a hundred may have seen nothing.
    #[test]
    fn what_is_rare_is_not_ruled_out() {
        let rare: Vec<u64> = (0..20_000).map(|n| u64::from(n % 400 == 0)).collect();
        let covered = covered(&rare, 100);
        assert!(covered >= 900, "{covered} of 1,000");
        let nothing = sampled(&vec![0; 20_000], 1_000, 1);
        assert_eq!((nothing.value, nothing.low), (0, 0));
        assert!((60..=90).contains(&nothing.high), "{nothing:?}");
    }

    #[test]
    fn all_parts_are_exact_and_more_parts_say_more() {
        let rows = groups(2);
        let truth = rows.iter().sum();
        assert_eq!(sampled(&rows, rows.len(), 1), Estimate::exact(truth));
        let width = |n| {
            let Estimate { low, high, .. } = sampled(&rows, n, 3);
            high - low
        };
        assert!(width(100) > 2 * width(1_000) && width(1_000) > 2 * width(10_000));
        assert_eq!(Moments::default().total(0), Estimate::exact(0));
    }

    #[test]
    fn what_is_certain_adds_no_doubt() {
        let (mut alone, mut both) = (Moments::default(), Moments::default());
        for value in [1, 2, 3, 4] {
            alone.add(value);
            both.add(value);
        }
        both.add_certain(1_000_000);
        let (alone, both) = (alone.total(40), both.total(41));
        let more = |value: u64| value + 1_000_000;
        assert_eq!(
            (both.value, both.low, both.high),
            (more(alone.value), more(alone.low), more(alone.high))
        );
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, quantile) in [(9.0, 2.262), (29.0, 2.045), (99.0, 1.984), (1e6, 1.960)] {
            assert!((student(freedom) - quantile).abs() < 2e-3, "{}", student(freedom));
        }
    }
}
