//! Accepted pairs → groups in order, and the sources of each group in merge order.

use fixedbitset::FixedBitSet;

use super::PlanStats;
use crate::pairs::{Edge, NO_ACCOUNT};

/// No pair: it marks the end of a list.
const NO_PAIR: u32 = u32::MAX;

/// The pairs by group. The pairs must have one target for each account and no cycle.
pub(super) struct Forest {
    /// The positions of the pairs, group by group, in merge order.
    pub(super) order: Vec<u32>,
    /// Where each group begins in `order`, and the end of the last.
    pub(super) starts: Vec<u32>,
    /// The numbers that describe the shape of the groups; the others are left at 0.
    pub(super) stats: PlanStats,
}

impl Forest {
    /// Orders the pairs. They are given in the order of their lines, so that the groups are found by
    /// the first line of any of their pairs. `next` is the direct target of each account.
    pub(super) fn new(edges: &[Edge], next: &[u32]) -> Self {
        let shape = Shape::new(edges, next.len());
        let children = Children::new(edges, &shape, next.len());
        let mut done = FixedBitSet::with_capacity(edges.len());
        let mut forest = Self {
            order: Vec::with_capacity(edges.len()),
            starts: Vec::new(),
            stats: PlanStats::default(),
        };
        let mut stack = Vec::new();
        for (index, edge) in edges.iter().enumerate() {
            let index = index as u32;
            if shape.is_plain(*edge) {
                forest.starts.push(forest.order.len() as u32);
                forest.order.push(index);
                continue;
            }
            if done.contains(index as usize) {
                continue;
            }
            let mut root = edge.to;
            while next[root as usize] != NO_ACCOUNT {
                root = next[root as usize];
            }
            forest.add_tree(edges, &children, root, &mut done, &mut stack);
        }
        let groups = forest.starts.len();
        forest.starts.push(forest.order.len() as u32);
        if groups > 0 {
            let stats = &mut forest.stats;
            stats.longest_chain = stats.longest_chain.max(1);
            stats.largest_fan_in = stats.largest_fan_in.max(1);
            stats.largest_group = stats.largest_group.max(1);
        }
        forest
    }

    /// Adds the group of a survivor: pre-order, siblings by line.
    fn add_tree(
        &mut self,
        edges: &[Edge],
        children: &Children,
        root: u32,
        done: &mut FixedBitSet,
        stack: &mut Vec<Step>,
    ) {
        let start = self.order.len();
        self.starts.push(start as u32);
        let mut deepest = 0;
        stack.push(Step { pair: children.first_of(root), depth: 1, nth: 1 });
        while let Some(Step { pair, depth, nth }) = stack.pop() {
            if pair == NO_PAIR {
                continue;
            }
            done.insert(pair as usize);
            self.order.push(pair);
            deepest = deepest.max(depth);
            self.stats.fan_ins += u64::from(nth == 2);
            self.stats.largest_fan_in = self.stats.largest_fan_in.max(u64::from(nth));
            // The pairs into this source come before its siblings.
            stack.push(Step { pair: children.next_of(pair), depth, nth: nth + 1 });
            let source = edges[pair as usize].from;
            stack.push(Step { pair: children.first_of(source), depth: depth + 1, nth: 1 });
        }
        self.stats.chains += u64::from(deepest > 1);
        self.stats.longest_chain = self.stats.longest_chain.max(u64::from(deepest));
        let sources = (self.order.len() - start) as u64;
        self.stats.largest_group = self.stats.largest_group.max(sources);
    }
}

/// A pair that is still to be visited, with its distance from the survivor and its position among
/// the pairs into the same account, both from 1.
struct Step {
    pair: u32,
    depth: u32,
    nth: u32,
}

/// What can be told about an account with a few bits, so that the many plain pairs are recognised
/// without a look into the large tables.
struct Shape {
    is_source: FixedBitSet,
    is_target: FixedBitSet,
    is_shared_target: FixedBitSet,
}

impl Shape {
    fn new(edges: &[Edge], bound: usize) -> Self {
        let mut shape = Self {
            is_source: FixedBitSet::with_capacity(bound),
            is_target: FixedBitSet::with_capacity(bound),
            is_shared_target: FixedBitSet::with_capacity(bound),
        };
        for edge in edges {
            shape.is_source.insert(edge.from as usize);
            if shape.is_target.put(edge.to as usize) {
                shape.is_shared_target.insert(edge.to as usize);
            }
        }
        shape
    }

    /// Whether the pair is a group by itself.
    fn is_plain(&self, edge: Edge) -> bool {
        !self.is_target.contains(edge.from as usize)
            && !self.is_source.contains(edge.to as usize)
            && !self.is_shared_target.contains(edge.to as usize)
    }
}

/// The pairs into each account as linked lists in the order of their lines. Plain pairs are left
/// out, and without any other pair there is nothing.
struct Children {
    first: Vec<u32>,
    next: Vec<u32>,
}

impl Children {
    fn new(edges: &[Edge], shape: &Shape, bound: usize) -> Self {
        let mut children = Self { first: Vec::new(), next: Vec::new() };
        for (index, edge) in edges.iter().enumerate().rev() {
            if shape.is_plain(*edge) {
                continue;
            }
            if children.first.is_empty() {
                children.first.resize(bound, NO_PAIR);
                children.next.resize(edges.len(), NO_PAIR);
            }
            let first = &mut children.first[edge.to as usize];
            children.next[index] = *first;
            *first = index as u32;
        }
        children
    }

    fn first_of(&self, account: u32) -> u32 {
        self.first[account as usize]
    }

    fn next_of(&self, pair: u32) -> u32 {
        self.next[pair as usize]
    }
}
