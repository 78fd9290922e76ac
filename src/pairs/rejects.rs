//! Lines that are not merged: a line number and a reason each, nothing else.
//!
//! The text of a line is fetched when it is reported, by reading the input a second time.

use super::accounts::Accounts;
use super::reason::{Flaw, Heading, Reason, Side};
use super::rules::Rule;
use super::signs::escaped;

/// How many accounts a reason names.
const MAX_NAMED: usize = 3;

/// A rejected line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reject {
    /// The physical line on which the record starts, from 1.
    pub line: u64,
    /// Why it is rejected.
    pub reason: Reason,
}

/// A few accounts of a set, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    count: u32,
    first: [u32; MAX_NAMED],
}

impl Named {
    /// Takes the first accounts of the set and counts the rest.
    pub(crate) fn new(accounts: impl Iterator<Item = u32>) -> Self {
        let mut named = Self { count: 0, first: [0; MAX_NAMED] };
        for account in accounts {
            if let Some(slot) = named.first.get_mut(named.count as usize) {
                *slot = account;
            }
            named.count = named.count.saturating_add(1);
        }
        named
    }

    fn shown(&self) -> &[u32] {
        &self.first[..MAX_NAMED.min(self.count as usize)]
    }
}

/// All rejected lines of an input, by line.
#[derive(Clone, Debug, Default)]
pub struct Rejects {
    list: Vec<Reject>,
    ambiguous: Vec<Named>,
    cycles: Vec<Named>,
    words: Vec<Box<str>>,
    /// The lines of headers that are turned.
    turned: Vec<u64>,
    /// What to do about malformed lines.
    mend: &'static str,
}

impl Rejects {
    /// None yet, of a list of whose malformed lines this is said.
    pub(super) fn of(mend: &'static str) -> Self {
        Self { mend, ..Self::default() }
    }

    /// What to do about lines that a rule has rejected.
    pub(crate) fn advice(&self, rule: Rule) -> &'static str {
        if rule == Rule::Malformed { self.mend } else { rule.entry().advice }
    }

    /// The rejected lines in ascending order.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = Reject> + '_ {
        self.list.iter().copied()
    }

    /// The reject at a position in that order.
    pub(crate) fn get(&self, position: usize) -> Option<Reject> {
        self.list.get(position).copied()
    }

    /// How many lines are rejected.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether no line is rejected.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn push(&mut self, line: u64, reason: Reason) {
        self.list.push(Reject { line, reason });
    }

    /// Notes a header that is turned; the reason is that of a line below it.
    pub(crate) fn add_turned(&mut self, line: u64) -> Reason {
        self.turned.push(line);
        Reason::Header(Heading::Below(self.turned.len() as u32 - 1))
    }

    /// Notes the targets of an ambiguous account, in the order of their lines.
    pub(crate) fn add_ambiguous(&mut self, targets: impl Iterator<Item = u32>) -> Reason {
        self.ambiguous.push(Named::new(targets));
        Reason::Ambiguous(self.ambiguous.len() as u32 - 1)
    }

    /// Notes the accounts of a cycle, each one paired with the next.
    pub(crate) fn add_cycle(&mut self, accounts: impl Iterator<Item = u32>) -> Reason {
        self.cycles.push(Named::new(accounts));
        Reason::Cycle(self.cycles.len() as u32 - 1)
    }

    /// Notes a reason in words; gives the number that finds it.
    pub(crate) fn add_words(&mut self, words: &str) -> u32 {
        // What is said of a group is said of each of its pairs.
        if self.words.last().is_none_or(|last| **last != *words) {
            self.words.push(words.into());
        }
        self.words.len() as u32 - 1
    }

    /// Puts rejects that were found in another order into the order of their lines.
    pub(crate) fn sort(&mut self) {
        if !self.list.is_sorted_by_key(|reject| reject.line) {
            self.list.sort_unstable_by_key(|reject| reject.line);
        }
    }

    /// The code and, after a colon, the reason in words; `ids` are those of the line, as far as they can be told.
    pub(crate) fn explain(&self, reject: Reject, ids: [&str; 2], accounts: &Accounts) -> String {
        let [from, _] = ids;
        let of = |side: Side| shortened(ids[side as usize]);
        let words = match reject.reason {
            Reason::Malformed(why) => why.to_string(),
            Reason::Header(heading) => self.heading(heading),
            Reason::InvalidId(side, flaw @ Flaw::Invisible) => {
                format!("{side} {flaw} ('{}')", of(side))
            }
            Reason::InvalidId(side, flaw) => format!("{side} {flaw}"),
            Reason::Placeholder(side) => {
                format!("{side} is a word for nothing ('{}')", of(side))
            }
            Reason::Spreadsheet(side) => {
                format!("{side} is as a spreadsheet rewrites it ('{}')", of(side))
            }
            Reason::SelfPair => format!("'{}' is paired with itself", shortened(from)),
            Reason::Ambiguous(index) => match self.ambiguous.get(index as usize) {
                Some(targets) => format!(
                    "'{}' is paired with {} different targets ({})",
                    shortened(from),
                    targets.count,
                    names(targets, accounts, ",")
                ),
                None => "different targets".to_owned(),
            },
            Reason::Cycle(index) => match self.cycles.get(index as usize) {
                Some(cycle) => format!(
                    "{} accounts are paired in a circle ({})",
                    cycle.count,
                    names(cycle, accounts, " > ")
                ),
                None => "accounts are paired in a circle".to_owned(),
            },
            Reason::Earlier(_, index) => {
                self.words.get(index as usize).map_or_else(String::new, |words| words.to_string())
            }
        };
        format!("{}: {words}", reject.reason.rule().name())
    }

    fn heading(&self, heading: Heading) -> String {
        match heading {
            Heading::Again => "the line repeats the header".to_owned(),
            Heading::Turned => {
                "the line is a header with the columns in another order; what stands below it is not read".to_owned()
            }
            Heading::Below(index) => {
                let line = self.turned.get(index as usize).copied().unwrap_or_default();
                format!("stands below a header with the columns in another order (line {line})")
            }
        }
    }
}

fn names(named: &Named, accounts: &Accounts, separator: &str) -> String {
    let mut list: Vec<String> = named
        .shown()
        .iter()
        .map(|&account| format!("'{}'", shortened(&accounts.id(account).text())))
        .collect();
    if named.count as usize > MAX_NAMED {
        list.push("…".to_owned());
    }
    list.join(separator)
}

/// An id as it stands in a reason: a few accounts of the longest kind would hide the words.
fn shortened(id: &str) -> String {
    const MAX_CHARS: usize = 64;
    let id = escaped(id);
    match id.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id,
    }
}
