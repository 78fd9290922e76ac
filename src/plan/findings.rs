//! What is odd about the pairs as a whole, and how many lines each rule rejects.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::stats::LargeGroup;
use crate::pairs::{self, Accounts, Edge, Finding, Outcome, Rejects, Rule, Sightings, shown};

/// How many of the largest groups are named.
const LARGEST: usize = 5;

/// A group is far larger than the others from this many sources on…
const MANY: u64 = 10;
/// …and this many times as many as half of all groups have at most.
const FAR_MORE: u64 = 10;

/// Rejected lines by rule, every one of them; and as findings, where there are any.
pub(super) fn rejected(rejects: &Rejects) -> (BTreeMap<&'static str, u64>, Vec<Finding>) {
    let mut by_rule: BTreeMap<Rule, Sightings> =
        pairs::rejecting().map(|entry| (entry.rule, Sightings::default())).collect();
    for reject in rejects.iter() {
        let found = by_rule.entry(reject.reason.rule()).or_default();
        found.add(reject.line, String::new);
        found.note_acceptable(reject.reason.can_be_accepted());
    }
    let counts = by_rule.iter().map(|(rule, found)| (rule.name(), found.lines())).collect();
    let found = by_rule.into_iter().filter(|(_, found)| found.lines() > 0);
    let findings = found.map(|(rule, found)| Finding {
        advice: rejects.advice(rule),
        ..Finding::new(rule, Outcome::Rejected, found)
    });
    (counts, findings.collect())
}

/// Pairs of accounts that differ from another one in upper and lower case only.
pub(super) fn letter_case(accounts: &Accounts, edges: &[Edge], lines: &[u64]) -> Option<Finding> {
    let alike = accounts.alike()?;
    let mut found = Sightings::default();
    for (edge, line) in edges.iter().zip(lines) {
        let account =
            [edge.from, edge.to].into_iter().find(|account| alike.contains(*account as usize));
        if let Some(account) = account {
            found.add(*line, || shown(&accounts.id(account).text()));
        }
    }
    let is_there = found.lines() > 0;
    is_there.then(|| Finding::new(Rule::LetterCase, Outcome::Doubted, found))
}

/// The groups, as far as it matters how many sources each has.
pub(super) struct FanIn<'a> {
    pub(super) starts: &'a [u32],
    pub(super) order: &'a [u32],
    pub(super) edges: &'a [Edge],
    pub(super) lines: &'a [u64],
}

impl FanIn<'_> {
    fn sizes(&self) -> impl Iterator<Item = u64> + '_ {
        self.starts.windows(2).map(|of| u64::from(of[1] - of[0]))
    }

    /// The groups with the most sources.
    pub(super) fn largest(&self, accounts: &Accounts) -> Vec<LargeGroup> {
        let mut largest = BinaryHeap::with_capacity(LARGEST + 1);
        for (group, size) in self.sizes().enumerate() {
            // Of equal ones the first is kept.
            let is_large = largest.peek().is_none_or(|Reverse((least, _))| size > *least);
            if size > 1 && (is_large || largest.len() < LARGEST) {
                largest.push(Reverse((size, Reverse(group))));
                if largest.len() > LARGEST {
                    largest.pop();
                }
            }
        }
        let named =
            largest.into_sorted_vec().into_iter().map(|Reverse((sources, Reverse(group)))| {
                let members =
                    &self.order[self.starts[group] as usize..self.starts[group + 1] as usize];
                // The first source in pre-order is a child of the survivor.
                let survivor = accounts.id(self.edges[members[0] as usize].to);
                let line = members.iter().map(|member| self.lines[*member as usize]).min();
                let survivor = shown(&survivor.text());
                LargeGroup { survivor, sources, line: line.unwrap_or_default() }
            });
        named.collect()
    }

    /// Those of them that have far more sources than the others.
    pub(super) fn finding(&self, largest: &[LargeGroup]) -> Option<Finding> {
        if largest.first()?.sources < MANY || self.starts.len() < 3 {
            return None;
        }
        let usual = self.median();
        let mut found = Sightings::default();
        for group in largest {
            if group.sources >= MANY && group.sources >= usual * FAR_MORE {
                found.add_all(group.line, group.sources, || group.survivor.clone());
            }
        }
        let is_there = found.lines() > 0;
        is_there.then(|| Finding::new(Rule::FanIn, Outcome::Doubted, found))
    }

    /// The size that half of the groups have at most.
    fn median(&self) -> u64 {
        const APART: usize = 1 << 12;
        let mut counts = vec![0_usize; APART];
        for size in self.sizes() {
            counts[(size as usize).min(APART - 1)] += 1;
        }
        let half = (self.starts.len() - 1).div_ceil(2);
        let mut seen = 0;
        let reaches = |count: &usize| {
            seen += count;
            seen >= half
        };
        counts.iter().position(reaches).unwrap_or_default() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountType;
    use crate::pairs::{Format, read};

    #[test]
    fn only_lines_that_can_be_let_through_are_said_to_be() {
        let finding = |csv: &str, accounts| {
            let format = Format { accounts, ..Format::default() };
            rejected(read(csv.as_bytes(), &format).unwrap().rejects()).1.remove(0)
        };
        let of_type = finding("from,to\n1,2\nabc-1,3\n", AccountType::BigInt);
        assert_eq!((of_type.rule, of_type.can_be_accepted), ("invalid-id", false));
        let unseen = finding("from,to\na,b\nc\u{200b},d\n", AccountType::Text);
        assert_eq!((unseen.rule, unseen.can_be_accepted), ("invalid-id", true));
        let both = finding("from,to\n,b\nc\u{200b},d\n", AccountType::Text);
        assert_eq!((both.lines, both.can_be_accepted), (2, true));
    }
}
