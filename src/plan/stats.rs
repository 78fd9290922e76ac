//! What the planner found, in numbers that add up.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::pairs::{Finding, Followed, shown};

/// How many targets that were followed are named.
const NAMED: usize = 5;

/// The counters of a plan: `lines = blank + rejected + duplicates + pairs + other_parts`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlanStats {
    /// Records of the input after the header, blank lines included.
    pub lines: u64,
    /// Blank lines, skipped.
    pub blank: u64,
    /// Rejected lines by the rule that rejects them. Every such rule is present, with 0 where it rejected nothing.
    pub rejected: BTreeMap<&'static str, u64>,
    /// What the rules have found: rejected, accepted and doubted lines.
    pub(crate) findings: Vec<Finding>,
    /// Repeated lines of accepted pairs.
    pub duplicates: u64,
    /// Targets that other runs have merged, and that were followed to where they are now.
    pub(crate) followed: FollowedTargets,
    /// Lines that other parts of the plan tell.
    pub(crate) other_parts: u64,
    /// Accepted pairs: each is one source of one group.
    pub pairs: u64,
    pub groups: u64,
    /// Different accounts in the groups, survivors included.
    pub accounts: u64,
    /// Groups in which at least one source reaches the survivor over another source.
    pub chains: u64,
    /// The most pairs between a source and its survivor (1 where there is no chain, 0 without pairs).
    pub(crate) longest_chain: u64,
    /// Accounts that at least two sources name as their direct target.
    pub fan_ins: u64,
    /// The most sources that name one account as their direct target (0 without pairs).
    pub(crate) largest_fan_in: u64,
    /// The most sources in one group.
    pub(crate) largest_group: u64,
    /// The groups with the most sources, the largest first; none of a single source.
    pub(crate) largest: Vec<LargeGroup>,
}

/// A group with many sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LargeGroup {
    /// The account that survives; what nobody sees in it is written by its number.
    pub survivor: String,
    /// How many sources it gets.
    pub sources: u64,
    /// The first line of any of its pairs.
    pub line: u64,
}

/// Targets of pairs that other runs have merged: their pairs go to where they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct FollowedTargets {
    pub targets: u64,
    /// The first of them.
    pub(crate) first: Vec<FollowedTarget>,
}

/// A target, and the account that it is now; what nobody sees in them is written by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FollowedTarget {
    /// As the input names it.
    pub account: String,
    /// The account that it is now.
    pub now: String,
}

impl FollowedTargets {
    pub(super) fn new(followed: &[Followed]) -> Self {
        let named = followed.iter().take(NAMED).map(|Followed { account, now }| {
            let [account, now] = [account, now].map(|id| shown(&id.text()));
            FollowedTarget { account, now }
        });
        Self { targets: followed.len() as u64, first: named.collect() }
    }
}

impl PlanStats {
    pub(crate) fn rejected_lines(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Whether every line of the input is accounted for (law 6).
    #[cfg(test)]
    pub(crate) fn adds_up(&self) -> bool {
        self.lines
            == self.blank + self.rejected_lines() + self.duplicates + self.pairs + self.other_parts
    }
}
