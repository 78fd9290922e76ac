//! What is most frequent among any number of things, in bounded memory.
//!
//! The counts are exact for as long as there are no more different things than [`MOST`]. Beyond that, what is rare is
//! forgotten, and each count is told with what may have been forgotten of it (Misra and Gries, in bulk).

use std::collections::HashMap;
use std::hash::Hash;

use serde::Serialize;

/// Different things that are counted at once.
const MOST: usize = 65_536;

/// A partition that many groups led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HotPartition {
    /// The table.
    pub table: String,
    /// The partition's key.
    pub partition: String,
    /// At least so many groups.
    pub groups: u64,
    /// At most so many: the same, unless there were too many partitions to count them all.
    pub groups_at_most: u64,
}

/// Counts things.
#[derive(Clone, Debug)]
pub struct Frequent<T> {
    counts: HashMap<T, u64>,
    /// What may have been forgotten of any of them.
    forgotten: u64,
}

impl<T> Default for Frequent<T> {
    fn default() -> Self {
        Self { counts: HashMap::new(), forgotten: 0 }
    }
}

impl<T: Hash + Ord + Clone> Frequent<T> {
    /// Counts one.
    pub fn add(&mut self, thing: T) {
        *self.counts.entry(thing).or_insert(0) += 1;
        if self.counts.len() > MOST {
            self.forget();
        }
    }

    /// The `most` frequent ones that were seen at least twice, the most frequent first, with at least and at most how
    /// many there were.
    pub fn top(&self, most: usize) -> Vec<(T, u64, u64)> {
        let seen = self.counts.iter().map(|(thing, n)| (thing, *n, *n + self.forgotten));
        let mut seen: Vec<_> = seen.filter(|(.., at_most)| *at_most > 1).collect();
        seen.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        seen.into_iter()
            .take(most)
            .map(|(thing, least, most)| (thing.clone(), least, most))
            .collect()
    }

    /// Forgets the rarer half, and as much of the others.
    fn forget(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, median, _) = counts.select_nth_unstable(MOST / 2);
        let median = *median;
        self.counts.retain(|_, count| {
            *count = count.saturating_sub(median);
            *count > 0
        });
        self.forgotten += median;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_things_are_counted_exactly() {
        let mut frequent = Frequent::default();
        for thing in ["b", "a", "c", "b", "a", "b"] {
            frequent.add(thing);
        }
        assert_eq!(frequent.top(9), [("b", 3, 3), ("a", 2, 2)]);
        assert_eq!(frequent.top(1), [("b", 3, 3)]);
    }

    #[test]
    fn the_most_frequent_are_found_among_any_number() {
        let mut frequent = Frequent::default();
        for n in 0..1_000_000_u32 {
            frequent.add(n + 10);
            if n % 100 == 0 {
                frequent.add(n % 300 / 100);
            }
        }
        assert!(frequent.counts.len() <= MOST);
        let top = frequent.top(3);
        assert_eq!(top.iter().map(|(thing, ..)| *thing).collect::<Vec<_>>(), [0, 1, 2]);
        for (_, least, most) in top {
            assert!((least..=most).contains(&3_333) && most - least < 100, "{least} to {most}");
        }
    }
}
