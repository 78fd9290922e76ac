//! What runs did to accounts, by number.
//!
//! Whatever a window did to one of its accounts it did to thousands: what their stays have in common is held once.

use std::collections::HashMap;

use crate::model::TimestampUs;

use super::Standing;
use super::chunked::Chunked;

/// No stay: nothing is known of an account.
const NONE: u32 = u32::MAX;
/// Marks the last stay of an account.
const LAST: u32 = 1 << 31;
/// Marks the moment of an account that has survived once, and has no other stay: every second one.
const SURVIVED: u32 = 1 << 31;

/// What a [`Stay`](super::Stay) has in common with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Moment {
    pub(super) run: u32,
    pub(super) standing: Standing,
    pub(super) takes_back: bool,
    pub(super) overlaps: bool,
    pub(super) t: TimestampUs,
    pub(super) last: TimestampUs,
}

/// The stays of all accounts. There are fewer than 2³¹.
#[derive(Clone, Debug, Default)]
pub(super) struct Stays {
    /// Where the stays of each account begin, or the moment of its only one.
    first: Chunked<u32>,
    /// Of an account one behind the other, by time of merge.
    all: Chunked<Numbered>,
    moments: Vec<Moment>,
    numbers: HashMap<Moment, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Numbered {
    /// The account itself, where it survived.
    into: u32,
    /// The number of its moment, and whether it is the last one of its account.
    moment: u32,
}

impl Stays {
    /// Puts down all stays of an account: into whom it was merged, and what else is known. Once for each account.
    pub(super) fn add(&mut self, account: u32, mut stays: Vec<(u32, Moment)>) {
        stays.sort_by_key(|(_, moment)| moment.t);
        let first = match *stays {
            [] => return,
            [(into, moment)] if into == account => self.number(moment) | SURVIVED,
            _ => self.all.len() as u32,
        };
        while self.first.len() <= account as usize {
            self.first.push(NONE);
        }
        if let Some(of_account) = self.first.get_mut(account as usize) {
            *of_account = first;
        }
        if first & SURVIVED != 0 {
            return;
        }
        let last = stays.len() - 1;
        for (at, (into, moment)) in stays.into_iter().enumerate() {
            let moment = self.number(moment) | if at == last { LAST } else { 0 };
            self.all.push(Numbered { into, moment });
        }
    }

    /// Takes in a moment, unless it is known.
    fn number(&mut self, moment: Moment) -> u32 {
        let new = self.moments.len() as u32;
        let number = *self.numbers.entry(moment).or_insert(new);
        if number == new {
            self.moments.push(moment);
        }
        number
    }

    /// The stays of an account, by time of merge.
    pub(super) fn of(
        &self,
        account: u32,
    ) -> impl DoubleEndedIterator<Item = (u32, Moment)> + use<'_> {
        let first = self.first.get(account as usize).copied().filter(|first| *first != NONE);
        let survived = first.filter(|first| first & SURVIVED != 0);
        let survived = survived.map(|first| (account, self.moments[(first & !SURVIVED) as usize]));
        let begin = first.filter(|first| first & SURVIVED == 0);
        let stays = begin.map_or(0..0, |begin| {
            let is_last = |at: &usize| self.all[*at].moment & LAST != 0;
            let begin = begin as usize;
            begin..(begin..).find(is_last).map_or(begin, |last| last + 1)
        });
        let numbered = stays.map(|at| {
            let Numbered { into, moment } = self.all[at];
            (into, self.moments[(moment & !LAST) as usize])
        });
        survived.into_iter().chain(numbered)
    }

    /// The accounts that have any.
    pub(super) fn accounts(&self) -> impl Iterator<Item = u32> {
        (0..self.first.len()).filter(|at| self.first[*at] != NONE).map(|at| at as u32)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.len() == 0
    }
}
