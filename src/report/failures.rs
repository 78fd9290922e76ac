//! Why groups failed, counted by reason in bounded memory.

use std::collections::HashMap;

use crate::model::Pair;

use super::{ExamplePair, FailureReason};

/// Reasons that are told apart; every further one is counted together.
const MOST_REASONS: usize = 100;

/// Groups of which a pair is kept for each reason.
const EXAMPLES: usize = 3;

/// What the reasons beyond the bound are counted as.
const OTHER: &str = "other reasons (see failures.csv)";

/// Counts failed groups by reason. Reasons that differ in their numbers only are one.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailureReasons {
    by_kind: HashMap<String, FailureReason>,
}

impl FailureReasons {
    /// Counts a group of these pairs that failed.
    pub(crate) fn add(&mut self, pairs: &[Pair], reason: &str) {
        let Some(pair) = pairs.first() else { return };
        let kind = without_numbers(reason);
        let known = self.by_kind.contains_key(&kind) || self.by_kind.len() < MOST_REASONS;
        let (kind, reason) = if known { (kind, reason) } else { (OTHER.to_owned(), OTHER) };
        let counted = self.by_kind.entry(kind).or_insert_with(|| FailureReason {
            reason: reason.to_owned(),
            groups: 0,
            examples: Vec::new(),
        });
        counted.groups += 1;
        if counted.examples.len() < EXAMPLES {
            counted.examples.push(ExamplePair::from(pair));
        }
    }

    /// The `most` frequent reasons, the most frequent first; each with the numbers of its first group.
    pub(crate) fn top(&self, most: usize) -> Vec<FailureReason> {
        let mut reasons: Vec<_> = self.by_kind.values().cloned().collect();
        reasons.sort_by(|a, b| b.groups.cmp(&a.groups).then_with(|| a.reason.cmp(&b.reason)));
        reasons.truncate(most);
        reasons
    }
}

fn without_numbers(reason: &str) -> String {
    let mut kind = String::with_capacity(reason.len());
    for part in reason.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_start_matches(|c: char| c.is_ascii_digit());
        kind += if digits.len() < part.len() { "0" } else { "" };
        kind += digits;
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountId;

    #[test]
    fn reasons_that_differ_in_their_numbers_are_one() {
        let pair = [Pair { from: AccountId::new("a"), into: AccountId::new("b"), line: 2 }];
        let mut reasons = FailureReasons::default();
        for reason in ["70000 bytes, 65535 at most", "9 bytes, 65535 at most", "bytes, at most"] {
            reasons.add(&pair, reason);
        }
        let top = reasons.top(5);
        assert_eq!((top[0].reason.as_str(), top[0].groups), ("70000 bytes, 65535 at most", 2));
        assert_eq!((top[1].reason.as_str(), top.len()), ("bytes, at most", 2));
    }

    #[test]
    fn frequent_reasons_come_first_and_the_memory_is_bounded() {
        let group = |line| [Pair { from: AccountId::new("a"), into: AccountId::new("b"), line }];
        let mut reasons = FailureReasons::default();
        reasons.add(&group(7), "once");
        reasons.add(&group(8), "timed out");
        reasons.add(&group(9), "timed out");
        let top = reasons.top(5);
        assert_eq!((top[0].reason.as_str(), top[0].groups, top.len()), ("timed out", 2, 2));
        assert_eq!(top[0].examples.iter().map(|pair| pair.line).collect::<Vec<_>>(), [8, 9]);
        for n in 0..1_000 {
            reasons.add(&group(n), &format!("reason {}", "x".repeat(n as usize)));
        }
        let top = reasons.top(1_000);
        assert_eq!((top[0].reason.as_str(), top.len()), (OTHER, MOST_REASONS + 1));
        assert_eq!(top.iter().map(|reason| reason.groups).sum::<u64>(), 1_003);
    }
}
