//! The lineage of accounts: what the register has of them, put together by account and run.
//!
//! All accounts of a plan may have one, millions of them: what is held of each is its id, once, in 16 bytes where it is a
//! UUID, and numbers ([`names`], [`stays`]).

mod chunked;
mod names;
mod stays;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use fixedbitset::FixedBitSet;

use crate::model::TimestampUs;
use crate::storage::StorageError;

use super::{Archive, BUCKETS, Claim, Run, RunState, RunTimes, Step, WindowEnd};
use names::Names;
use stays::{Moment, Stays};

/// Accounts that are asked for at once: most of them have no history, and only those that have one are held.
const AT_ONCE: usize = 20_000;
/// Rows that a server reads one behind the other in the time in which it finds the rows of one account.
const ROWS_PER_ACCOUNT: usize = 8;

/// How a run's work on an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It is over.
    Done,
    /// It is undone as a whole.
    Undone,
    /// It is under way, was stopped, failed, or is undone but for some keys.
    Busy,
    /// As busy, by a run whose machine is gone.
    Lost,
}

/// What one run did to one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay<'l> {
    pub run: &'l str,
    /// The time of its merge, in microseconds.
    pub t: TimestampUs,
    /// When anything was last begun with it, in microseconds: the merge, a sweep, an undo.
    pub(crate) last: TimestampUs,
    /// The account into which it was merged; none where it survived.
    pub into: Option<Cow<'l, str>>,
    pub standing: Standing,
    /// Whether a write of the run that takes a row away may still be under way, besides those of one merge: it has begun an
    /// undo, or has merged anew, for which it took back what it had written before.
    pub(crate) takes_back: bool,
    /// Whether any table of that run is merged now, too.
    pub(crate) overlaps: bool,
}

/// What runs did to some accounts, and to those into which they went.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    names: Names,
    stays: Stays,
    /// The runs that did something to them, with what the register knows of each.
    runs: Vec<(String, Option<Run>)>,
    run_numbers: HashMap<String, usize>,
    times: RunTimes,
}

/// What is known of some accounts, and of those into which they went, while it is asked for.
struct Search<'a> {
    register: &'a dyn Archive,
    tables: &'a BTreeSet<String>,
    /// The run that asks, of which nothing is to be said.
    own: Option<&'a str>,
    lineage: Lineage,
    /// Of each run.
    windows: Vec<Windows>,
    /// Accounts of which the register has been asked. Most have no lineage; they have no number.
    asked: FixedBitSet,
}

impl<'a> Search<'a> {
    fn new(register: &'a dyn Archive, tables: &'a BTreeSet<String>, own: Option<&'a str>) -> Self {
        let (lineage, windows, asked) = <_>::default();
        Self { register, tables, own, lineage, windows, asked }
    }

    /// Puts down all entries of some accounts; gives where these went, as far as that was not asked for.
    async fn add(&mut self, mut entries: Vec<Claim>) -> Result<Vec<u32>, StorageError> {
        entries.iter().for_each(|entry| self.lineage.times.add(entry));
        entries.sort_unstable_by(|one, other| by_account(one).cmp(&by_account(other)));
        let mut went = Vec::new();
        for of_account in entries.chunk_by(|one, other| one.account == other.account) {
            let Some(Claim { account, .. }) = of_account.first() else { continue };
            let account = self.lineage.names.number(account);
            self.asked.grow_and_insert(account as usize);
            let mut stays = Vec::new();
            for of_run in of_account.chunk_by(|one, other| one.run == other.run) {
                let (Some(first), Some(last)) = (of_run.first(), of_run.last()) else { continue };
                if Some(&*first.run) == self.own {
                    continue;
                }
                let run = self.run(&first.run).await?;
                let known = self.lineage.runs[run].1.as_ref();
                // What it intended before and never wrote, for another run had come first, it has merged anew.
                let mut merges = of_run.iter().filter(|entry| entry.step == Step::Merge);
                let merged = merges.next_back().unwrap_or(first);
                let into = self.lineage.names.number(&merged.survivor);
                let of_tables =
                    |run: &Run| run.tables.is_empty() || !run.tables.is_disjoint(self.tables);
                let moment = Moment {
                    run: run as u32,
                    standing: standing(last, &self.windows[run], known),
                    takes_back: last.step == Step::Undo || merges.next().is_some(),
                    overlaps: known.is_none_or(of_tables),
                    t: merged.t,
                    last: last.t,
                };
                stays.push((into, moment));
                went.extend((!self.asked.contains(into as usize)).then_some(into));
            }
            self.lineage.stays.add(account, stays);
        }
        Ok(went)
    }

    /// The number of a run.
    async fn run(&mut self, id: &str) -> Result<usize, StorageError> {
        if let Some(known) = self.lineage.run_numbers.get(id) {
            return Ok(*known);
        }
        self.windows.push(self.register.windows(id).await?.into_iter().collect());
        let run = self.register.known_run(id).await?;
        let number = self.lineage.runs.len();
        self.lineage.runs.push((id.to_owned(), run));
        self.lineage.run_numbers.insert(id.to_owned(), number);
        Ok(number)
    }

    /// Asks for accounts, and for where they and others went.
    async fn ask(
        mut self,
        accounts: impl IntoIterator<Item = String>,
        mut went: Vec<u32>,
    ) -> Result<Lineage, StorageError> {
        let mut accounts = accounts.into_iter();
        loop {
            // Where accounts went comes first; then more of those that were asked for.
            let mut next = Vec::new();
            while next.len() < AT_ONCE
                && let Some(account) = went.pop()
            {
                if !self.asked.contains(account as usize) {
                    self.asked.grow_and_insert(account as usize);
                    next.push(self.lineage.names.name(account).into_owned());
                }
            }
            let (names, asked) = (&self.lineage.names, &self.asked);
            let is_new = |account: &String| {
                !names.find(account).is_some_and(|known| asked.contains(known as usize))
            };
            next.extend(accounts.by_ref().filter(is_new).take(AT_ONCE - next.len()));
            if next.is_empty() {
                break;
            }
            went.extend(self.add(self.register.entries(&next).await?).await?);
        }
        Ok(self.lineage)
    }
}

/// The windows of a run: those of which nothing more is known are open.
type Windows = HashMap<TimestampUs, Option<WindowEnd>>;

impl Lineage {
    /// Asks for what was done to some accounts, by any run but `own`, and follows them to where they went. `tables` are
    /// those that are merged now.
    ///
    /// # Errors
    /// The register cannot be read.
    pub async fn of(
        register: &dyn Archive,
        accounts: impl IntoIterator<Item = String>,
        tables: &BTreeSet<String>,
        own: Option<&str>,
    ) -> Result<Self, StorageError> {
        Search::new(register, tables, own).ask(accounts, Vec::new()).await
    }

    /// As [`of`](Self::of), for `count` accounts, which `is_wanted` lets through with a few more: what the register has of
    /// all accounts is read, where that is less than asking for each.
    ///
    /// # Errors
    /// As of [`of`](Self::of).
    pub(crate) async fn of_many(
        register: &dyn Archive,
        count: usize,
        is_wanted: &(dyn Fn(&str) -> bool + Sync),
        accounts: impl IntoIterator<Item = String>,
        tables: &BTreeSet<String>,
        own: Option<&str>,
    ) -> Result<Self, StorageError> {
        if count > AT_ONCE {
            let most = count / BUCKETS as usize * ROWS_PER_ACCOUNT;
            let (mut search, mut went) = (Search::new(register, tables, own), Vec::new());
            let mut is_whole = true;
            // One after the other: what one holds of millions of accounts takes tens of megabytes until it is added.
            for bucket in 0..BUCKETS {
                match register.scan(bucket, most, is_wanted).await? {
                    Some(entries) => went.extend(search.add(entries).await?),
                    None => {
                        is_whole = false;
                        break;
                    }
                }
            }
            if is_whole {
                return search.ask([], went).await;
            }
        }
        Self::of(register, accounts, tables, own).await
    }

    /// What was done to an account, in the order in which it was merged.
    pub fn stays<'l>(
        &'l self,
        account: &str,
    ) -> impl DoubleEndedIterator<Item = Stay<'l>> + use<'l> {
        let number = self.names.find(account);
        number.into_iter().flat_map(move |account| {
            self.stays.of(account).map(move |(into, moment)| Stay {
                run: &self.runs[moment.run as usize].0,
                t: moment.t,
                last: moment.last,
                into: (into != account).then(|| self.names.name(into)),
                standing: moment.standing,
                takes_back: moment.takes_back,
                overlaps: moment.overlaps,
            })
        })
    }

    /// A run that has done something to one of the accounts, if the register knows it.
    pub(crate) fn run(&self, id: &str) -> Option<&Run> {
        self.runs[*self.run_numbers.get(id)?].1.as_ref()
    }

    /// The accounts of which something is known, in no particular order.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.stays.accounts().map(|account| self.names.name(account))
    }

    /// Whether nothing is known of any account.
    pub fn is_empty(&self) -> bool {
        self.stays.is_empty()
    }

    /// The times at which any run has written to the accounts, also the one that asks.
    pub fn times(&self) -> &RunTimes {
        &self.times
    }

    /// Where an account is now: the last merge of it that stands says where it went, and so on from there. With the run
    /// that took it there first.
    pub(crate) fn root<'h>(&'h self, account: &'h str) -> (Cow<'h, str>, Option<&'h str>) {
        let Some(first) = self.names.find(account) else { return (account.into(), None) };
        let (mut at, mut by) = (first, None);
        let mut seen = HashSet::new();
        while seen.insert(at) {
            let Some((into, run)) = self.step(at) else { break };
            by = by.or(Some(run));
            at = into;
        }
        (if at == first { account.into() } else { self.names.name(at) }, by)
    }

    /// The accounts that an account became, itself first, up to the one that it is now.
    pub(crate) fn path<'h>(&'h self, account: &'h str) -> Vec<Cow<'h, str>> {
        let mut path: Vec<u32> = self.names.find(account).into_iter().collect();
        while let Some((into, _)) = path.last().and_then(|last| self.step(*last))
            && !path.contains(&into)
        {
            path.push(into);
        }
        let became = path.into_iter().skip(1).map(|into| self.names.name(into));
        [Cow::Borrowed(account)].into_iter().chain(became).collect()
    }

    /// The account that an account became by the last merge of it that stands, and the run of that.
    fn step(&self, account: u32) -> Option<(u32, &str)> {
        let stands =
            |(into, moment): &(u32, Moment)| *into != account && moment.standing == Standing::Done;
        let (into, moment) = self.stays.of(account).rev().find(stands)?;
        Some((into, &self.runs[moment.run as usize].0))
    }
}

/// How what a run did to an account stands, once it is over.
fn over(last: Step) -> Standing {
    match last {
        Step::Undo => Standing::Undone,
        Step::Merge | Step::After => Standing::Done,
    }
}

/// By what entries are put together, and in which order.
fn by_account(entry: &Claim) -> (&str, &str, TimestampUs) {
    (&entry.account, &entry.run, entry.t)
}

/// How a run's work on an account stands, from the last of its entries there.
fn standing(last: &Claim, windows: &Windows, run: Option<&Run>) -> Standing {
    let state = run.map(|run| run.state);
    match windows.get(&last.t) {
        _ if state == Some(RunState::Closed) => Standing::Undone,
        Some(Some(end)) if !end.open.contains(&last.survivor) => over(last.step),
        // Only runs that had ended are pruned.
        None if run.is_none() => over(last.step),
        _ if state == Some(RunState::Lost) => Standing::Lost,
        _ => Standing::Busy,
    }
}
