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

/// Counts failed groups by reason.
#[derive(Clone, Debug, Default)]
pub struct FailureReasons {
    by_reason: HashMap<String, (u64, Vec<ExamplePair>)>,
}

impl FailureReasons {
    /// Counts a group of these pairs that failed.
    pub fn add(&mut self, pairs: &[Pair], reason: &str) {
        let Some(pair) = pairs.first() else { return };
        let known = self.by_reason.contains_key(reason) || self.by_reason.len() < MOST_REASONS;
        let reason = if known { reason } else { OTHER };
        let (groups, examples) = self.by_reason.entry(reason.to_owned()).or_default();
        *groups += 1;
        if examples.len() < EXAMPLES {
            examples.push(ExamplePair::from(pair));
        }
    }

    /// The `most` frequent reasons, the most frequent first.
    pub fn top(&self, most: usize) -> Vec<FailureReason> {
        let mut reasons: Vec<_> = self
            .by_reason
            .iter()
            .map(|(reason, (groups, examples))| FailureReason {
                reason: reason.clone(),
                groups: *groups,
                examples: examples.clone(),
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
    use crate::model::AccountId;

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
            reasons.add(&group(n), &format!("reason {n}"));
        }
        let top = reasons.top(1_000);
        assert_eq!((top[0].reason.as_str(), top.len()), (OTHER, MOST_REASONS + 1));
        assert_eq!(top.iter().map(|reason| reason.groups).sum::<u64>(), 1_003);
    }
}
