//! Chained accounts: a `from` on one line and a `to` on another. Everything that is merged into them goes on to
//! where they go, which is what a chain means, or a sign that the columns of some lines were swapped.

use std::collections::HashMap;

use serde::Serialize;

use super::Plan;

/// The accounts that are a `from` and a `to`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Chained {
    pub accounts: u64,
    /// Those of the first lines.
    pub first: Vec<ChainedAccount>,
}

/// One of them, and the lines that say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ChainedAccount {
    pub account: String,
    pub(crate) from_line: u64,
    /// The first line that has it as `to`.
    pub(crate) to_line: u64,
}

impl Plan {
    /// The chained accounts; at most so many of them by name.
    pub(crate) fn chained(&self, most: usize) -> Chained {
        let mut accounts = 0;
        let mut first: Vec<(u64, u64, u32)> = Vec::new();
        for bounds in self.starts.windows(2) {
            let members = &self.order[bounds[0] as usize..bounds[1] as usize];
            let Some(&root) = members.first().filter(|_| members.len() > 1) else { continue };
            let root = self.edges[root as usize].to;
            let edge = |member: &u32| self.edges[*member as usize];
            if members.iter().all(|member| edge(member).to == root) {
                continue;
            }
            let line = |member: &u32| self.lines[*member as usize];
            let own: HashMap<u32, u64> =
                members.iter().map(|member| (edge(member).from, line(member))).collect();
            let mut targets: HashMap<u32, u64> = HashMap::new();
            for member in members.iter().filter(|member| edge(member).to != root) {
                let to_line = targets.entry(edge(member).to).or_insert(u64::MAX);
                *to_line = line(member).min(*to_line);
            }
            accounts += targets.len() as u64;
            let own = |account: &u32| own.get(account).copied().unwrap_or_default();
            first.extend(targets.iter().map(|(account, to)| (own(account), *to, *account)));
            first.sort_unstable();
            first.truncate(most);
        }
        let named = |(from_line, to_line, account): (u64, u64, u32)| ChainedAccount {
            account: self.accounts.id(account).to_string(),
            from_line,
            to_line,
        };
        Chained { accounts, first: first.into_iter().map(named).collect() }
    }
}

#[cfg(test)]
mod tests {
    use crate::pairs::{Format, read};
    use crate::plan::{Plan, resolve};

    fn plan(body: &str) -> Plan {
        let text = format!("from,to\n{body}");
        resolve(read(text.as_bytes(), &Format::default()).unwrap())
    }

    #[test]
    fn chained_accounts_are_counted_and_named_by_line() {
        let plan = plan("x,y\na,b\nd,c\nb,c\nc,e\nz,b\nq,r\ns,r\n");
        let chained = plan.chained(1);
        assert_eq!(chained.accounts, 2);
        let [first] = &chained.first[..] else { panic!("{chained:?}") };
        assert_eq!((&*first.account, first.from_line, first.to_line), ("b", 5, 3));
        let all = plan.chained(9).first;
        let lines: Vec<_> =
            all.iter().map(|c| (c.account.to_string(), c.from_line, c.to_line)).collect();
        assert_eq!(lines, [("b".to_owned(), 5, 3), ("c".to_owned(), 6, 4)]);
    }

    #[test]
    fn the_fingerprint_is_that_of_the_groups() {
        let fingerprint = |body: &str| plan(body).sha256();
        assert_eq!(fingerprint("a,b\nb,c\n"), fingerprint("a,b\nb,c\na,b\nself,self\n"));
        let others = ["b,c\na,b\n", "a,c\nb,c\n", "a,b\n", "", "a,bb\nb,c\n", "a,b\n\nb,c\n"];
        for other in others {
            assert_ne!(fingerprint("a,b\nb,c\n"), fingerprint(other), "{other:?}");
        }
    }
}
