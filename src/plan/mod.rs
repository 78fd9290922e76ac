//! Pairs become groups: plain data, no I/O.
//!
//! The pairs are a graph in which every account points to at most one other, once the ambiguous ones
//! are rejected; without its cycles it is a forest. Each tree is a group: its root survives, and the
//! others are its sources, in pre-order. No account is in two trees, so no account is in two groups.
//!
//! The chapter in reading order: `resolve` rejects what contradicts itself, `groups` puts the rest in
//! order, `parted` leaves out what other processes merge, `refused` what other runs stand in the way of, `findings` tells
//! what is odd about them, `stats` holds what was found in numbers; `sources` finds the group of an account.
//!
//! May use `model` and `pairs`; may be used by `pipeline`, `report` and `cli`.

mod chained;
mod findings;
mod groups;
#[cfg(test)]
mod model;
mod parted;
mod refused;
mod resolve;
mod sources;
mod stats;

use std::fmt;

pub(crate) use crate::pairs::Finding;
pub use crate::pairs::Outcome;
pub(crate) use chained::Chained;
#[cfg(test)]
pub(crate) use chained::ChainedAccount;
pub(crate) use refused::Refusal;
pub use resolve::resolve;
pub(crate) use sources::Sources;
pub(crate) use stats::{FollowedTarget, FollowedTargets, LargeGroup, PlanStats};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::model::{AccountId, Group, Pair};
use crate::pairs::{Accounts, Edge, Rejects};

/// What is to be done with an input: the groups, the rejected lines and the numbers. It holds the
/// groups compactly and makes each one when it is asked for.
pub struct Plan {
    stats: PlanStats,
    accounts: Accounts,
    /// The accepted pairs in the order of their lines.
    edges: Vec<Edge>,
    /// The line of each of them.
    lines: Vec<u64>,
    /// The positions of the accepted pairs, group by group, in merge order.
    order: Vec<u32>,
    /// Where each group begins in `order`, and the end of the last.
    starts: Vec<u32>,
    rejects: Rejects,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl Plan {
    /// The numbers.
    pub fn stats(&self) -> &PlanStats {
        &self.stats
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is nothing to merge.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The group at a position, counted from 0 by the first line of any of its pairs.
    ///
    /// # Panics
    /// If there are not as many groups.
    pub fn group(&self, index: usize) -> Group {
        let (root, members) = self.members(index);
        let survivor = self.accounts.id(root);
        let mut pairs: Vec<Pair> = Vec::with_capacity(members.len());
        let mut last = root;
        for &member in members {
            let edge = self.edges[member as usize];
            // Most pairs name the survivor, or, in a chain, the source before: those share its text.
            let into = match pairs.last() {
                _ if edge.to == root => survivor.clone(),
                Some(pair) if edge.to == last => pair.from.clone(),
                _ => self.accounts.id(edge.to),
            };
            let from = self.accounts.id(edge.from);
            pairs.push(Pair { from, into, line: self.lines[member as usize] });
            last = edge.from;
        }
        Group { index, survivor, pairs }
    }

    /// The survivor of a group, and the pairs of its sources in order.
    fn members(&self, index: usize) -> (u32, &[u32]) {
        let members = &self.order[self.starts[index] as usize..self.starts[index + 1] as usize];
        // The first source in pre-order is a child of the root.
        (self.edges[members[0] as usize].to, members)
    }

    /// How many sources a group has, without making it.
    ///
    /// # Panics
    /// If there are not as many groups.
    pub(crate) fn sources_of(&self, index: usize) -> usize {
        (self.starts[index + 1] - self.starts[index]) as usize
    }

    /// All groups in order.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Group> + '_ {
        (0..self.len()).map(|index| self.group(index))
    }

    /// The SHA-256 of all groups, in hexadecimal: two plans have the same one only if they merge the same accounts, in
    /// the same groups and order, as said on the same lines.
    pub(crate) fn sha256(&self) -> String {
        const GROUPS: usize = 4_096;
        let parts = self.len().div_ceil(GROUPS);
        let part = |part: usize| {
            let mut text = Vec::new();
            let groups = part * GROUPS..self.len().min((part + 1) * GROUPS);
            groups.for_each(|index| self.describe(index, &mut text));
            Sha256::digest(&text)
        };
        // All have as many groups, but for the last, and each group says how many sources it has: no two plans read alike.
        let parts: Vec<_> = (0..parts).into_par_iter().map(part).collect();
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        format!("{:x}", hash.finalize())
    }

    fn describe(&self, index: usize, out: &mut Vec<u8>) {
        let (root, members) = self.members(index);
        self.accounts.describe(root, out);
        out.extend((members.len() as u64).to_le_bytes());
        for &member in members {
            let edge = self.edges[member as usize];
            self.accounts.describe(edge.from, out);
            out.push(u8::from(edge.to == root));
            if edge.to != root {
                self.accounts.describe(edge.to, out);
            }
            out.extend(self.lines[member as usize].to_le_bytes());
        }
    }

    /// Every account that takes part, survivors included, in no particular order.
    pub fn participants(&self) -> impl Iterator<Item = AccountId> + '_ {
        let survivors = self.starts[..self.len()].iter().map(|&start| {
            let first = self.order[start as usize];
            self.edges[first as usize].to
        });
        self.edges.iter().map(|edge| edge.from).chain(survivors).map(|n| self.accounts.id(n))
    }

    /// The rejected lines.
    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    /// The accounts of the input, as the reasons of rejects name them.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}
