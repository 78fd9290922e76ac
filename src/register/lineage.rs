//! The lineage of accounts: what the register has of them, put together by account and run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};

use crate::model::TimestampUs;
use crate::storage::StorageError;

use super::{Archive, BUCKETS, Entry, Run, RunState, Step, WindowEnd};

/// Accounts that are asked for at once: most of them have no history, and only those that have one are held.
const AT_ONCE: usize = 20_000;
/// Rows that a server reads one behind the other in the time in which it finds the rows of one account.
const ROWS_PER_ACCOUNT: usize = 8;
/// Buckets that are read at once.
const SCANS_AT_ONCE: usize = 4;

/// How a run's work on an account stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
pub struct Stay {
    pub run: String,
    /// The time of its merge, in microseconds.
    pub t: TimestampUs,
    /// When anything was last begun with it, in microseconds: the merge, a sweep, an undo.
    pub(crate) last: TimestampUs,
    /// The account into which it was merged; none where it survived.
    pub into: Option<String>,
    pub standing: Standing,
    /// Whether the last thing that was begun with it is an undo.
    pub(crate) is_undo: bool,
    /// Whether any table of that run is merged now, too.
    pub(crate) overlaps: bool,
}

/// What runs did to some accounts, and to those into which they went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lineage {
    /// By account; by time of merge.
    stays: HashMap<String, Vec<Stay>>,
    /// The runs that the register knows of those.
    runs: HashMap<String, Run>,
}

/// What is known of some accounts, and of those into which they went, while it is asked for.
struct Search<'a> {
    register: &'a dyn Archive,
    tables: &'a BTreeSet<String>,
    /// The run that asks, of which nothing is to be said.
    own: Option<&'a str>,
    lineage: Lineage,
    runs: HashMap<String, (Windows, Option<Run>)>,
    /// Accounts of which the register has been asked. Most have no lineage; they are not held.
    asked: HashSet<String>,
}

impl<'a> Search<'a> {
    fn new(register: &'a dyn Archive, tables: &'a BTreeSet<String>, own: Option<&'a str>) -> Self {
        let (lineage, runs, asked) = <_>::default();
        Self { register, tables, own, lineage, runs, asked }
    }

    /// Puts down all entries of some accounts; gives where these went, as far as that was not asked for.
    async fn add(&mut self, entries: Vec<Entry>) -> Result<Vec<String>, StorageError> {
        let mut next = Vec::new();
        self.asked.extend(entries.iter().map(|entry| entry.account.clone()));
        let mut of: BTreeMap<(String, String), Vec<Entry>> = BTreeMap::new();
        for entry in entries.into_iter().filter(|entry| Some(&*entry.run) != self.own) {
            of.entry((entry.account.clone(), entry.run.clone())).or_default().push(entry);
        }
        for ((account, run), mut entries) in of {
            if !self.runs.contains_key(&run) {
                let windows = self.register.windows(&run).await?.into_iter().collect();
                let known = self.register.known_run(&run).await?;
                self.runs.insert(run.clone(), (windows, known));
            }
            let Some((windows, known)) = self.runs.get(&run) else { continue };
            entries.sort_by_key(|entry| entry.t);
            let stay = stay(&account, &entries, windows, known.as_ref(), self.tables);
            let Some(stay) = stay else { continue };
            let went = stay.into.iter().filter(|into| !self.asked.contains(*into));
            next.extend(went.cloned());
            self.lineage.stays.entry(account).or_default().push(stay);
        }
        Ok(next)
    }

    /// Asks for accounts, and for where they went.
    async fn ask(
        mut self,
        accounts: impl IntoIterator<Item = String>,
    ) -> Result<Lineage, StorageError> {
        let mut accounts = accounts.into_iter();
        let mut next: Vec<String> = accounts.by_ref().take(AT_ONCE).collect();
        while !next.is_empty() {
            next = self.add(self.register.entries(&next).await?).await?;
            next.sort_unstable();
            next.dedup();
            self.asked.extend(next.iter().cloned());
            // Where accounts went comes first; then more of those that were asked for.
            let more = accounts.by_ref().filter(|account| !self.asked.contains(account));
            next.extend(more.take(AT_ONCE.saturating_sub(next.len())));
        }
        let Self { mut lineage, runs, .. } = self;
        lineage.stays.values_mut().for_each(|stays| stays.sort_by_key(|stay| stay.t));
        lineage.runs = runs.into_iter().filter_map(|(id, (_, run))| Some((id, run?))).collect();
        Ok(lineage)
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
        Search::new(register, tables, own).ask(accounts).await
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
            let scans = (0..BUCKETS).map(|bucket| register.scan(bucket, most, is_wanted));
            let mut scans = stream::iter(scans).buffer_unordered(SCANS_AT_ONCE);
            let (mut search, mut went) = (Search::new(register, tables, own), Vec::new());
            let is_whole = loop {
                match scans.try_next().await? {
                    Some(Some(entries)) => went.extend(search.add(entries).await?),
                    Some(None) => break false,
                    None => break true,
                }
            };
            if is_whole {
                // One that was found in a bucket that was scanned later is known by now.
                let went = went.into_iter().filter(|account| !search.asked.contains(account));
                let went: BTreeSet<String> = went.collect();
                return search.ask(went).await;
            }
        }
        Self::of(register, accounts, tables, own).await
    }

    /// What was done to an account, in the order in which it was merged.
    pub fn stays(&self, account: &str) -> &[Stay] {
        self.stays.get(account).map_or(&[], Vec::as_slice)
    }

    /// A run that has done something to one of the accounts, if the register knows it.
    pub(crate) fn run(&self, id: &str) -> Option<&Run> {
        self.runs.get(id)
    }

    /// The accounts of which something is known, in no particular order.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &str> {
        self.stays.keys().map(String::as_str)
    }

    /// Whether nothing is known of any account.
    pub fn is_empty(&self) -> bool {
        self.stays.is_empty()
    }

    /// Where an account is now: the last merge of it that stands says where it went, and so on from there. With the run
    /// that took it there first.
    pub(crate) fn root<'h>(&'h self, account: &'h str) -> (&'h str, Option<&'h str>) {
        let (mut at, mut by) = (account, None);
        let mut seen = HashSet::new();
        while seen.insert(at) {
            let Some((into, run)) = self.step(at) else { break };
            by = by.or(Some(run));
            at = into;
        }
        (at, by)
    }

    /// The accounts that an account became, itself first, up to the one that it is now.
    pub(crate) fn path<'h>(&'h self, account: &'h str) -> Vec<&'h str> {
        let mut path = vec![account];
        while let Some((into, _)) = path.last().and_then(|last| self.step(last))
            && !path.contains(&into)
        {
            path.push(into);
        }
        path
    }

    /// The account that an account became by the last merge of it that stands, and the run of that.
    fn step(&self, account: &str) -> Option<(&str, &str)> {
        let stands = |stay: &&Stay| stay.into.is_some() && stay.standing == Standing::Done;
        let stay = self.stays(account).iter().rev().find(stands)?;
        Some((stay.into.as_deref()?, &stay.run))
    }
}

/// How what a run did to an account stands, once it is over.
fn over(last: Step) -> Standing {
    match last {
        Step::Undo => Standing::Undone,
        Step::Merge | Step::After => Standing::Done,
    }
}

/// What one run did to an account, from its entries by time.
fn stay(
    account: &str,
    entries: &[Entry],
    windows: &Windows,
    run: Option<&Run>,
    tables: &BTreeSet<String>,
) -> Option<Stay> {
    let (first, last) = (entries.first()?, entries.last()?);
    let state = run.map(|run| run.state);
    let standing = match windows.get(&last.t) {
        _ if state == Some(RunState::Closed) => Standing::Undone,
        Some(Some(end)) if !end.open.contains(&last.survivor) => over(last.step),
        // Only runs that had ended are pruned.
        None if run.is_none() => over(last.step),
        _ if state == Some(RunState::Lost) => Standing::Lost,
        _ => Standing::Busy,
    };
    // What it intended before and never wrote, for another run had come first, it has merged anew.
    let merged = entries.iter().rfind(|entry| entry.step == Step::Merge).unwrap_or(first);
    Some(Stay {
        run: merged.run.clone(),
        t: merged.t,
        last: last.t,
        into: (merged.survivor != account).then(|| merged.survivor.clone()),
        standing,
        is_undo: last.step == Step::Undo,
        overlaps: run.is_none_or(|run| run.tables.is_empty() || !run.tables.is_disjoint(tables)),
    })
}
