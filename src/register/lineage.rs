//! The lineage of accounts: what the register has of them, put together by account and run.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::model::TimestampUs;
use crate::storage::StorageError;

use super::{Archive, Entry, Run, RunState, Step, WindowEnd};

/// Accounts that are asked for at once: most of them have no history, and only those that have one are held.
const AT_ONCE: usize = 100_000;

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
    /// Whether any table of that run is merged now, too.
    pub(crate) overlaps: bool,
}

/// What runs did to some accounts, and to those into which they went.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    /// By account; by time of merge.
    stays: HashMap<String, Vec<Stay>>,
    /// The runs that the register knows of those.
    runs: HashMap<String, Run>,
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
        let mut lineage = Self::default();
        let mut runs: HashMap<String, (Windows, Option<Run>)> = HashMap::new();
        let mut asked: HashSet<String> = HashSet::new();
        let mut accounts = accounts.into_iter();
        let mut next: Vec<String> = accounts.by_ref().take(AT_ONCE).collect();
        while !next.is_empty() {
            let entries = register.entries(&next).await?;
            // Most accounts have no lineage; they are not held.
            asked.extend(entries.iter().map(|entry| entry.account.clone()));
            next.clear();
            let mut of: BTreeMap<(String, String), Vec<Entry>> = BTreeMap::new();
            for entry in entries.into_iter().filter(|entry| Some(&*entry.run) != own) {
                of.entry((entry.account.clone(), entry.run.clone())).or_default().push(entry);
            }
            for ((account, run), mut entries) in of {
                if !runs.contains_key(&run) {
                    let windows = register.windows(&run).await?.into_iter().collect();
                    runs.insert(run.clone(), (windows, register.known_run(&run).await?));
                }
                let Some((windows, known)) = runs.get(&run) else { continue };
                entries.sort_by_key(|entry| entry.t);
                let Some(stay) = stay(&account, &entries, windows, known.as_ref(), tables) else {
                    continue;
                };
                let went = stay.into.iter().filter(|into| !asked.contains(*into));
                next.extend(went.cloned());
                lineage.stays.entry(account).or_default().push(stay);
            }
            next.sort_unstable();
            next.dedup();
            asked.extend(next.iter().cloned());
            // Where accounts went comes first; then more of those that were asked for.
            let more = accounts.by_ref().filter(|account| !asked.contains(account));
            next.extend(more.take(AT_ONCE.saturating_sub(next.len())));
        }
        lineage.stays.values_mut().for_each(|stays| stays.sort_by_key(|stay| stay.t));
        lineage.runs = runs.into_iter().filter_map(|(id, (_, run))| Some((id, run?))).collect();
        Ok(lineage)
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
        overlaps: run.is_none_or(|run| run.tables.is_empty() || !run.tables.is_disjoint(tables)),
    })
}
