//! The keys with the largest sums, in bounded memory.
//!
//! As long as there are no more different keys than it may hold, every sum is exact. Beyond that, the smaller half
//! is given up, as in the frequent-items sketch of Misra and Gries in the form of Anderson et al. ("A
//! High-Performance Algorithm for Identifying Frequent Items in Data Streams", 2017): a sum is then known
//! between two bounds, which lie the further apart the flatter the distribution is, and no key with a sum above that
//! distance is missed.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

/// Sums by key.
#[derive(Clone, Debug)]
pub(crate) struct Ranking<K> {
    sums: HashMap<K, u64>,
    capacity: usize,
    /// What every key may have lost, at most.
    lost: u64,
}

/// A key and its sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked<K> {
    pub key: K,
    /// The sum is no smaller.
    pub at_least: u64,
    /// The sum is no larger.
    pub at_most: u64,
}

impl<K: Eq + Hash + Ord + Clone> Ranking<K> {
    /// Nothing yet; it will hold so many keys, at least two.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { sums: HashMap::new(), capacity: capacity.max(2), lost: 0 }
    }

    /// Adds to the sum of a key; answers what is certain of the sum before and now.
    pub(crate) fn add(&mut self, key: K, more: u64) -> (u64, u64) {
        let sum = self.sums.entry(key).or_default();
        let before = *sum;
        *sum += more;
        let now = *sum;
        if self.sums.len() > self.capacity {
            self.shrink();
        }
        (before, now)
    }

    /// Gives up the smaller half.
    fn shrink(&mut self) {
        let mut sums: Vec<u64> = self.sums.values().copied().collect();
        let middle = sums.len() / 2;
        let (_, median, _) = sums.select_nth_unstable(middle);
        let median = *median;
        self.lost += median;
        self.sums.retain(|_, sum| {
            *sum = sum.saturating_sub(median);
            *sum > 0
        });
    }

    /// The largest, at most so many of them; of equal ones the smaller key first.
    pub(crate) fn top(&self, most: usize) -> Vec<Ranked<K>> {
        let mut all: Vec<(&K, u64)> = self.sums.iter().map(|(key, sum)| (key, *sum)).collect();
        all.sort_unstable_by_key(|(key, sum)| (Reverse(*sum), *key));
        all.truncate(most);
        let ranked = |(key, sum): (&K, u64)| Ranked {
            key: key.clone(),
            at_least: sum,
            at_most: sum + self.lost,
        };
        all.into_iter().map(ranked).collect()
    }

    /// How many keys have a sum of at least this much, as far as is certain.
    pub(crate) fn reached(&self, sum: u64) -> usize {
        self.sums.values().filter(|known| **known >= sum).count()
    }

    /// Whether every sum is exact.
    #[cfg(test)]
    pub(crate) fn is_exact(&self) -> bool {
        self.lost == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sums_are_exact_while_there_is_room() {
        let mut ranking = Ranking::new(3);
        assert_eq!(ranking.add("a", 2), (0, 2));
        assert_eq!(ranking.add("a", 3), (2, 5));
        ranking.add("b", 5);
        ranking.add("c", 9);
        let top: Vec<_> =
            ranking.top(2).into_iter().map(|r| (r.key, r.at_least, r.at_most)).collect();
        assert_eq!(top, [("c", 9, 9), ("a", 5, 5)]);
        assert!(ranking.is_exact());
        assert_eq!(ranking.reached(5), 3);
    }

    proptest! {
        #[test]
        fn bounds_hold_and_memory_is_bounded(adds in prop::collection::vec((0..60_u8, 1..50_u64), 0..400)) {
            let mut ranking = Ranking::new(8);
            let mut sums: BTreeMap<u8, u64> = BTreeMap::new();
            for (key, more) in adds {
                // Few keys have most.
                let key = if key > 20 { key % 3 } else { key };
                ranking.add(key, more);
                *sums.entry(key).or_default() += more;
                prop_assert!(ranking.sums.len() <= 8);
            }
            let top = ranking.top(8);
            for Ranked { key, at_least, at_most } in &top {
                prop_assert!((*at_least..=*at_most).contains(&sums[key]));
            }
            // What is not there is not among the hottest.
            for (key, sum) in &sums {
                prop_assert!(*sum <= ranking.lost || top.iter().any(|ranked| ranked.key == *key));
            }
        }
    }
}
