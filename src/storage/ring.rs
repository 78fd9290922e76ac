//! The ring of tokens, cut into ranges that are read one by one.

use crate::model::TokenRange;

/// The whole ring: Murmur3 gives no partition the lowest token.
const RING: TokenRange = TokenRange { after: i64::MIN, to: i64::MAX };

/// Cuts the ring at its nodes' tokens, so that each range has one set of replicas, and into as many more ranges of
/// like size as it takes to have `at_least` so many. No range goes around the end of the ring.
pub(crate) fn cut(tokens: impl IntoIterator<Item = i64>, at_least: usize) -> Vec<TokenRange> {
    let mut ends: Vec<i64> = tokens.into_iter().filter(|token| *token > RING.after).collect();
    ends.push(RING.to);
    ends.sort_unstable();
    ends.dedup();
    let widest = (RING.width() / at_least.max(1) as u128).max(1);
    let mut after = RING.after;
    let mut ranges = Vec::new();
    for to in ends {
        let range = TokenRange { after, to };
        let pieces = range.width().div_ceil(widest);
        ranges.extend((0..pieces).map(|piece| TokenRange {
            after: range.at(piece, pieces),
            to: range.at(piece + 1, pieces),
        }));
        after = to;
    }
    ranges
}

/// What of the ranges is in none of those that are done, whatever their bounds: the ring may have been cut in
/// another way then.
pub fn left_of(ranges: &[TokenRange], done: &[TokenRange]) -> Vec<TokenRange> {
    let mut done = done.to_vec();
    done.sort_unstable();
    let mut left = Vec::new();
    for TokenRange { mut after, to } in ranges.iter().copied() {
        // Those that end before this range begins. Done ranges do not overlap, so their ends are in order too.
        let first = done.partition_point(|done| done.to <= after);
        for done in done[first..].iter().take_while(|done| done.after < to) {
            if done.after > after {
                left.push(TokenRange { after, to: done.after });
            }
            after = after.max(done.to);
        }
        if after < to {
            left.push(TokenRange { after, to });
        }
    }
    left
}

impl TokenRange {
    /// Its first bound is outside, its last inside.
    pub fn contains(&self, token: i64) -> bool {
        self.after < token && token <= self.to
    }

    fn width(&self) -> u128 {
        (i128::from(self.to) - i128::from(self.after)).unsigned_abs()
    }

    /// The bound behind so many of so many pieces.
    fn at(&self, piece: u128, pieces: u128) -> i64 {
        // Both factors are below 2^64, and what is added stays below the end of the range.
        let offset = (self.width() / pieces) * piece + (self.width() % pieces) * piece / pieces;
        (i128::from(self.after) + offset as i128) as i64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens as they come, with those at the ends of the ring among them.
    fn token() -> impl Strategy<Value = i64> {
        prop_oneof![
            8 => any::<i64>(),
            1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
        ]
    }

    /// One behind the other, from the start of the ring to its end: every token once.
    fn covers(ranges: &[TokenRange]) -> bool {
        let bounds = ranges.iter().flat_map(|range| [range.after, range.to]);
        let bounds: Vec<i64> = bounds.collect();
        bounds.first() == Some(&i64::MIN)
            && bounds.last() == Some(&i64::MAX)
            && bounds[1..bounds.len() - 1].chunks(2).all(|pair| pair[0] == pair[1])
            && ranges.iter().all(|range| range.after < range.to)
    }

    proptest! {
        #[test]
        fn the_ranges_are_the_whole_ring_once(
            tokens in prop::collection::vec(token(), 0..40),
            at_least in 0..600_usize,
        ) {
            let ranges = cut(tokens.clone(), at_least);
            prop_assert!(covers(&ranges), "{ranges:?}");
            prop_assert!(ranges.len() >= at_least);
            prop_assert!(ranges.len() <= tokens.len() + 1 + at_least.max(1));
            // No range has two sets of replicas.
            for token in tokens {
                let inside = |range: &TokenRange| range.after < token && token < range.to;
                prop_assert!(!ranges.iter().any(inside), "{token} is inside a range");
            }
        }

        /// However the ring was cut before: what is done and what is left are all of it, once.
        #[test]
        fn what_is_left_is_what_is_not_done(
            before in prop::collection::vec(token(), 0..20),
            now in prop::collection::vec(token(), 0..20),
            picks in prop::collection::vec(any::<bool>(), 60),
            again in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut done = cut(before, 10);
            let mut picks = picks.into_iter();
            done.retain(|_| picks.next().unwrap_or(false));
            let ranges = cut(now.clone(), 20);
            let left = left_of(&ranges, &done);
            let all = |done: &[TokenRange], left: &[TokenRange]| {
                let mut all = [done, left].concat();
                all.sort_unstable();
                all
            };
            prop_assert!(covers(&all(&done, &left)), "{done:?} {left:?}");
            // And once more, with part of that done.
            let mut again = again.into_iter();
            done.extend(left.into_iter().filter(|_| again.next().unwrap_or(false)));
            let left = left_of(&cut(now, 7), &done);
            prop_assert!(covers(&all(&done, &left)));
        }
    }
}
