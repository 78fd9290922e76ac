//! The checks that need all pairs: ambiguous accounts first, then cycles among what remains.

use std::collections::HashMap;

use fixedbitset::FixedBitSet;

use super::findings::{self, FanIn};
use super::groups::Forest;
use super::stats::FollowedTargets;
use super::{Plan, PlanStats};
use crate::pairs::{Edge, NO_ACCOUNT, PairList, Reason, Rejects};

/// Resolves pairs into groups. Every line of the input ends up in a group, among the rejects, or
/// counted as a duplicate or blank.
pub fn resolve(list: PairList) -> Plan {
    let PairList { accounts, mut edges, mut lines, mut rejects, .. } = list;
    let PairList { seen, accepted, records, blank, followed, .. } = list;
    let mut findings = seen.findings(accepted);
    findings.extend(findings::letter_case(&accounts, &edges, &lines));
    let mut targets = Targets::new(&edges, accounts.bound());
    let before = rejects.len();
    let ambiguous = targets.reject_ambiguous(&edges, &mut rejects);
    let cyclic = targets.reject_cycles(&edges, &mut rejects);
    let mut duplicates = 0;
    if !ambiguous.is_empty() || !cyclic.is_empty() {
        for (edge, &line) in edges.iter().zip(&lines) {
            let reason = ambiguous.get(&edge.from).or_else(|| cyclic.get(&edge.from));
            if let Some(&reason) = reason {
                rejects.push(line, reason);
            }
        }
    }
    if rejects.len() > before {
        rejects.sort();
    }
    drop((ambiguous, cyclic));
    keep(&mut edges, &mut lines, |index, edge, _| {
        let accepted = targets.next[edge.from as usize] != NO_ACCOUNT;
        let repeated = accepted && targets.repeated.contains(index);
        duplicates += u64::from(repeated);
        accepted && !repeated
    });

    let forest = Forest::new(&edges, &targets.next);
    drop(targets);
    let rejected = findings::rejected(&rejects);
    let fan_in =
        FanIn { starts: &forest.starts, order: &forest.order, edges: &edges, lines: &lines };
    let largest = fan_in.largest(&accounts);
    findings.extend(fan_in.finding(&largest));
    findings.extend(rejected.1);
    findings.sort_by_key(|finding| (finding.outcome, finding.rule));
    let stats = PlanStats {
        lines: records,
        blank,
        followed: FollowedTargets::new(&followed),
        rejected: rejected.0,
        findings,
        largest,
        duplicates,
        pairs: edges.len() as u64,
        groups: forest.starts.len() as u64 - 1,
        accounts: edges.len() as u64 + forest.starts.len() as u64 - 1,
        ..forest.stats
    };
    Plan { stats, accounts, edges, lines, order: forest.order, starts: forest.starts, rejects }
}

/// Keeps some of the pairs, with their lines, in place.
pub(super) fn keep(
    edges: &mut Vec<Edge>,
    lines: &mut Vec<u64>,
    mut wanted: impl FnMut(usize, Edge, u64) -> bool,
) {
    let mut kept = 0;
    for index in 0..edges.len() {
        if wanted(index, edges[index], lines[index]) {
            edges[kept] = edges[index];
            lines[kept] = lines[index];
            kept += 1;
        }
    }
    edges.truncate(kept);
    lines.truncate(kept);
}

/// Where each account goes.
struct Targets {
    /// The direct target of each account; [`NO_ACCOUNT`] where there is none or it was rejected.
    next: Vec<u32>,
    /// The accounts with different targets.
    ambiguous: FixedBitSet,
    /// The pairs that an earlier line says already.
    repeated: FixedBitSet,
}

impl Targets {
    fn new(edges: &[Edge], bound: usize) -> Self {
        let mut next = vec![NO_ACCOUNT; bound];
        let mut ambiguous = FixedBitSet::with_capacity(bound);
        let mut repeated = FixedBitSet::with_capacity(edges.len());
        for (index, edge) in edges.iter().enumerate() {
            let target = &mut next[edge.from as usize];
            if *target == NO_ACCOUNT {
                *target = edge.to;
            } else if *target == edge.to {
                repeated.insert(index);
            } else {
                ambiguous.insert(edge.from as usize);
            }
        }
        Self { next, ambiguous, repeated }
    }

    /// Takes the targets of ambiguous accounts away; returns those accounts with the reason.
    fn reject_ambiguous(&mut self, edges: &[Edge], rejects: &mut Rejects) -> HashMap<u32, Reason> {
        let mut reasons = HashMap::new();
        if self.ambiguous.is_clear() {
            return reasons;
        }
        let mut named: Vec<(u32, u32, u32)> = edges
            .iter()
            .enumerate()
            .filter(|(_, edge)| self.ambiguous.contains(edge.from as usize))
            .map(|(index, edge)| (edge.from, edge.to, index as u32))
            .collect();
        // Each target once, at its first line; then each account's targets by line.
        named.sort_unstable();
        named.dedup_by_key(|&mut (from, to, _)| (from, to));
        named.sort_unstable_by_key(|&(from, _, index)| (from, index));
        for targets in named.chunk_by(|a, b| a.0 == b.0) {
            let from = targets[0].0;
            self.next[from as usize] = NO_ACCOUNT;
            reasons.insert(from, rejects.add_ambiguous(targets.iter().map(|&(_, to, _)| to)));
        }
        reasons
    }

    /// Takes the targets of accounts on cycles away; returns those accounts with the reason.
    fn reject_cycles(&mut self, edges: &[Edge], rejects: &mut Rejects) -> HashMap<u32, Reason> {
        let mut reasons = HashMap::new();
        let mut is_target = FixedBitSet::with_capacity(self.next.len());
        for edge in edges {
            is_target.insert(edge.to as usize);
        }
        let mut done = FixedBitSet::with_capacity(self.next.len());
        let mut on_path = FixedBitSet::with_capacity(self.next.len());
        let mut path = Vec::new();
        for edge in edges {
            // What nobody points to is on no cycle; most pairs end here.
            if !is_target.contains(edge.from as usize) || done.contains(edge.from as usize) {
                continue;
            }
            let mut account = edge.from;
            while self.next[account as usize] != NO_ACCOUNT
                && !done.contains(account as usize)
                && !on_path.put(account as usize)
            {
                path.push(account);
                account = self.next[account as usize];
            }
            let cycle = match path.iter().position(|&a| a == account) {
                Some(start) => &path[start..],
                None => &[],
            };
            if !cycle.is_empty() {
                let reason = rejects.add_cycle(cycle.iter().copied());
                for &account in cycle {
                    self.next[account as usize] = NO_ACCOUNT;
                    reasons.insert(account, reason);
                }
            }
            for account in path.drain(..) {
                done.insert(account as usize);
                on_path.remove(account as usize);
            }
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use crate::pairs::{Format, read};
    use crate::plan::{Plan, resolve};

    fn plan(body: &str) -> Plan {
        let text = format!("from,to\n{body}");
        let plan = resolve(read(text.as_bytes(), &Format::default()).unwrap());
        assert!(plan.stats().adds_up(), "{:?}", plan.stats());
        plan
    }

    /// The groups as `survivor: source source …` and the rejects as `line: reason`.
    fn check(body: &str, groups: &[&str], rejects: &[&str]) {
        let plan = plan(body);
        let found: Vec<String> = plan
            .groups()
            .map(|group| {
                let sources: Vec<_> = group.sources().map(|id| id.text()).collect();
                format!("{}: {}", group.survivor, sources.join(" "))
            })
            .collect();
        assert_eq!(found, groups);
        let found: Vec<String> = plan
            .rejects()
            .iter()
            .map(|r| format!("{} {}", r.line, plan.rejects().explain(r, ["?"; 2], plan.accounts())))
            .collect();
        assert_eq!(found, rejects);
    }

    #[test]
    fn plain_pairs_are_groups_of_one() {
        check("a,b\nc,d\n", &["b: a", "d: c"], &[]);
    }

    #[test]
    fn a_chain_is_merged_from_its_end() {
        check("a,b\nb,c\n", &["c: b a"], &[]);
        check("b,c\na,b\n", &["c: b a"], &[]);
    }

    #[test]
    fn siblings_go_by_line_and_branches_depth_first() {
        check("x,r\na,y\ny,r\nb,x\nc,x\nb,x\n", &["r: x b c y a"], &[]);
    }

    #[test]
    fn groups_go_by_their_first_line() {
        check("a,b\nc,d\nb,e\nf,d\n", &["e: b a", "d: c f"], &[]);
    }

    #[test]
    fn a_repeated_line_is_a_duplicate() {
        check("a,b\na,b\nc,d\na,b\n", &["b: a", "d: c"], &[]);
        assert_eq!(plan("a,b\na,b\nc,d\na,b\n").stats().duplicates, 2);
    }

    #[test]
    fn different_targets_are_ambiguous() {
        check(
            "a,b\na,c\na,b\nx,a\ny,z\n",
            &["a: x", "z: y"],
            &[
                "2 ambiguous: '?' is paired with 2 different targets ('b','c')",
                "3 ambiguous: '?' is paired with 2 different targets ('b','c')",
                "4 ambiguous: '?' is paired with 2 different targets ('b','c')",
            ],
        );
    }

    #[test]
    fn a_self_pair_makes_nothing_ambiguous() {
        check("a,a\na,b\n", &["b: a"], &["2 self-pair: '?' is paired with itself"]);
    }

    #[test]
    fn an_ambiguous_account_breaks_a_cycle() {
        let reason = "ambiguous: '?' is paired with 2 different targets ('b','c')";
        let rejects = [format!("2 {reason}"), format!("4 {reason}")];
        check("a,b\nb,a\na,c\n", &["a: b"], &rejects.each_ref().map(String::as_str));
    }

    #[test]
    fn a_cycle_is_rejected_and_what_leads_into_it_stays() {
        check(
            "p,a\na,b\nq,p\nb,c\nc,a\nb,c\nx,y\n",
            &["a: p q", "y: x"],
            &[
                "3 cycle: 3 accounts are paired in a circle ('a' > 'b' > 'c')",
                "5 cycle: 3 accounts are paired in a circle ('a' > 'b' > 'c')",
                "6 cycle: 3 accounts are paired in a circle ('a' > 'b' > 'c')",
                "7 cycle: 3 accounts are paired in a circle ('a' > 'b' > 'c')",
            ],
        );
    }

    #[test]
    fn a_long_list_in_a_reason_is_cut() {
        check(
            "a,1\na,2\na,3\na,4\n",
            &[],
            &[2, 3, 4, 5]
                .map(|line| {
                    let list = "('1','2','3',…)";
                    format!("{line} ambiguous: '?' is paired with 4 different targets {list}")
                })
                .each_ref()
                .map(String::as_str),
        );
    }

    #[test]
    fn nothing_is_a_plan() {
        check("", &[], &[]);
        assert_eq!(plan("").stats().longest_chain, 0);
    }

    #[test]
    fn the_numbers_describe_the_graph() {
        let plan = plan("a,b\nb,c\nd,c\ne,f\n\na,a\n");
        let stats = plan.stats();
        assert_eq!((stats.lines, stats.blank, stats.pairs, stats.groups), (6, 1, 4, 2));
        assert_eq!((stats.accounts, stats.chains, stats.longest_chain), (6, 1, 2));
        assert_eq!((stats.fan_ins, stats.largest_fan_in, stats.largest_group), (1, 2, 3));
    }

    fn check_long_chain(pairs: impl Iterator<Item = (usize, usize)>, length: usize) {
        use std::fmt::Write;
        let mut body = String::new();
        for (from, to) in pairs {
            writeln!(body, "{from},{to}").unwrap();
        }
        let plan = plan(&body);
        assert_eq!((plan.len(), plan.stats().longest_chain), (1, length as u64));
        let sources: Vec<usize> =
            plan.group(0).sources().map(|id| id.text().parse().unwrap()).collect();
        assert!(sources.iter().rev().copied().eq(0..length));
    }

    #[test]
    fn a_chain_of_a_million_is_walked_without_recursion() {
        check_long_chain((0..50_000).map(|n| (n, n + 1)), 50_000);
        check_long_chain((0..1_000_000).rev().map(|n| (n, n + 1)), 1_000_000);
    }

    #[test]
    fn a_long_cycle_is_found_without_recursion() {
        use std::fmt::Write;
        let length = 200_000;
        let mut body = String::new();
        for n in 0..length {
            writeln!(body, "{n},{}", (n + 1) % length).unwrap();
        }
        let plan = plan(&body);
        assert_eq!((plan.len(), plan.rejects().len()), (0, length));
    }
}
