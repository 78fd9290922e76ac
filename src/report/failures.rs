//! Why groups failed, counted by reason in bounded memory.

use std::collections::HashMap;

use crate::account::Pair;

use super::{ExamplePair, FailureReason};

/// Reasons that are told apart; every further one is counted together.
const MOST_REASONS: usize = 100;

/// What the reasons beyond the bound are counted as.
const OTHER: &str = "other reasons (see failures.csv)";

/// Counts failed groups by reason.
#[derive(Clone, Debug, Default)]
pub struct FailureReasons {
    by_reason: HashMap<String, (u64, ExamplePair)>,
}

impl FailureReasons {
    /// Counts a group of these pairs that failed.
    pub fn add(&mut self, pairs: &[Pair], reason: &str) {
        let Some(pair) = pairs.first() else { return };
        let known = self.by_reason.contains_key(reason) || self.by_reason.len() < MOST_REASONS;
        let reason = if known { reason } else { OTHER };
        let entry =
            self.by_reason.entry(reason.to_owned()).or_insert_with(|| (0, ExamplePair::from(pair)));
        entry.0 += 1;
    }

    /// The `most` frequent reasons, the most frequent first.
    pub fn top(&self, most: usize) -> Vec<FailureReason> {
        let mut reasons: Vec<_> = self
            .by_reason
            .iter()
            .map(|(reason, (groups, example))| FailureReason {
                reason: reason.clone(),
                groups: *groups,
                example: Some(example.clone()),
            })
            .collect();
        reasons.sort_by(|a, b| b.groups.cmp(&a.groups).then_with(|| a.reason.cmp(&b.reason)));
        reasons.truncate(most);
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::AccountId;

    #[test]
    fn frequent_reasons_come_first_and_the_memory_is_bounded() {
        let group = |line| [Pair { from: AccountId::new("a"), into: AccountId::new("b"), line }];
        let mut reasons = FailureReasons::default();
        reasons.add(&group(7), "once");
        reasons.add(&group(8), "timed out");
        reasons.add(&group(9), "timed out");
        let top = reasons.top(5);
        assert_eq!((top[0].reason.as_str(), top[0].groups, top.len()), ("timed out", 2, 2));
        assert_eq!(top[0].example.as_ref().map(|pair| pair.line), Some(8));
        for n in 0..1_000 {
            reasons.add(&group(n), &format!("reason {n}"));
        }
        let top = reasons.top(1_000);
        assert_eq!((top[0].reason.as_str(), top.len()), (OTHER, MOST_REASONS + 1));
        assert_eq!(top.iter().map(|reason| reason.groups).sum::<u64>(), 1_003);
    }
}
