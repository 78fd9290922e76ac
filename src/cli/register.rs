//! The register as commands use it: its lease is taken before anything is planned against it, kept while the command
//! goes on, and given back however it ends; groups that other runs stand in the way of are told apart before the first
//! read, and at the end it is told how the groups of this run stand.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::Failure;
use crate::advice::Advice;
use crate::cluster::{Cluster, ClusterRegister};
use crate::journal::{GroupRecord, Journal, State};
use crate::model::{AccountId, Group, Pair};
use crate::pairs::Rule;
use crate::pipeline::{Barred, Known};
use crate::plan::{Plan, Refusal};
use crate::register::{Archive, History, Later, Register, Run, Verdict, WindowEnd};
use crate::run::{RunId, RunRecord};
use crate::spec::Spec;

/// Groups that the register is asked about at once.
const GROUPS: usize = 10_000;

/// How often the lease is renewed while no window does it.
const RENEWED: Duration = Duration::from_secs(20);

/// The lease of a command, if it has one. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Lease(Arc<Mutex<Option<Held>>>);

#[derive(Debug)]
struct Held {
    register: Arc<ClusterRegister>,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Takes the lease on the keyspace for a run.
    ///
    /// # Errors
    /// Another run has it, or there is no register and it may not be created.
    pub(super) async fn take(
        &self,
        cluster: &Cluster,
        keyspace: &str,
        run: &RunId,
    ) -> Result<Arc<ClusterRegister>, Failure> {
        let register = Arc::new(cluster.register(keyspace, run.as_str()).await?);
        register.take().await?;
        let renewed = Arc::clone(&register);
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWED).await;
                // A window that finds it lost says so, and stops the run.
                if let Err(error) = renewed.hold(0).await {
                    tracing::warn!("the lease could not be renewed: {error}");
                }
            }
        });
        let held = Held { register: Arc::clone(&register), renewing };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(register)
    }

    /// Gives the lease back, if the command has one.
    pub(super) async fn release(&self) {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Held { register, renewing }) = held else { return };
        renewing.abort();
        if let Err(error) = register.release().await {
            tracing::warn!("the lease was not given back, and ends by itself in a minute: {error}");
        }
    }
}

/// What the register knows of a plan's accounts, but for what the run itself did.
pub(super) async fn history(
    register: &dyn Archive,
    plan: &Plan,
    spec: &Spec,
    own: Option<&str>,
) -> Result<History, Failure> {
    let accounts = plan.participants().map(|account| account.text().into_owned());
    History::of(register, accounts, &tables(spec), own).await.map_err(Failure::failed)
}

/// The pairs of a plan that earlier runs stand in the way of, whatever becomes of the groups without them.
///
/// # Errors
/// The register cannot be read.
pub(super) async fn refusals(
    register: &dyn Archive,
    plan: &Plan,
    spec: &Spec,
) -> Result<Vec<Refusal>, Failure> {
    let history = history(register, plan, spec, None).await?;
    let mut refusals: Vec<Refusal> = Vec::new();
    if history.is_empty() {
        return Ok(refusals);
    }
    let mut groups: Vec<Group> = plan.groups().filter(|group| history.names(group)).collect();
    // What is left of a group without a pair may be another group, or two.
    while let Some(group) = groups.pop() {
        let verdicts = history.verdicts(&group);
        if verdicts.is_empty() {
            continue;
        }
        let mut refused = BTreeSet::new();
        for (at, verdict) in verdicts {
            let pairs = match at {
                Some(at) => &group.pairs[at..=at],
                None => &group.pairs[..],
            };
            for pair in pairs {
                refused.insert(pair.line);
                let Some(rule) = Rule::of(verdict.code()) else { continue };
                refusals.push(Refusal { line: pair.line, rule, words: sentence(&verdict) });
            }
        }
        let left = group.pairs.iter().filter(|pair| !refused.contains(&pair.line));
        groups.extend(regrouped(left.cloned().collect()));
    }
    refusals.sort_by_key(|refusal| refusal.line);
    Ok(refusals)
}

/// The groups of some pairs of one group.
fn regrouped(pairs: Vec<Pair>) -> Vec<Group> {
    let into: HashMap<AccountId, AccountId> =
        pairs.iter().map(|pair| (pair.from.clone(), pair.into.clone())).collect();
    let mut groups: BTreeMap<AccountId, Vec<Pair>> = BTreeMap::new();
    for pair in pairs {
        let mut survivor = &pair.into;
        while let Some(next) = into.get(survivor) {
            survivor = next;
        }
        groups.entry(survivor.clone()).or_default().push(pair);
    }
    let group = |(survivor, pairs)| Group { index: 0, survivor, pairs };
    groups.into_iter().map(group).collect()
}

/// The names of the tables that are merged.
pub(super) fn tables(spec: &Spec) -> BTreeSet<String> {
    spec.tables.iter().map(|table| table.name.clone()).collect()
}

/// The groups of a run that is gone on with that other runs stand in the way of.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn barred(
    history: &History,
    plan: &Plan,
    known: &Known,
    journal: &dyn Journal,
) -> Result<Barred, Failure> {
    let mut barred = Barred::default();
    if history.is_empty() {
        return Ok(barred);
    }
    for group in plan.groups() {
        match known.state(group.index) {
            None => {
                if let Some((_, verdict)) = history.verdicts(&group).into_iter().next() {
                    let why = format!("{}: {}", verdict.code(), sentence(&verdict));
                    barred.not_begun.insert(group.index, why);
                }
            }
            Some(State::Undone) => {}
            Some(state) => {
                let t = journal.group(group.index)?.and_then(|record| record.t);
                let later = history.named_since(&group, t.unwrap_or_default());
                let Some(last) = later.last() else { continue };
                let why = format!(
                    "run {} has worked on accounts of this group since: end or undo that one first",
                    last.run
                );
                match state {
                    State::Done => barred.moved_on.insert(group.index, last.run.clone()),
                    _ => barred.not_begun.insert(group.index, why),
                };
            }
        }
    }
    Ok(barred)
}

/// Why a group is not merged.
pub(super) fn sentence(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Busy { account, run, is_lost: false } => {
            format!("run {run} has not ended with '{account}': resume or undo it first")
        }
        Verdict::Busy { account, run, is_lost: true } => {
            format!("'{account}' was left half merged by run {run}, which is lost")
        }
        Verdict::Cycle { run } => {
            format!("run {run} merged them the other way round: undo it first")
        }
        Verdict::MergedEarlier { into, run } => {
            format!("its target was merged by run {run}, and is '{into}' now")
        }
        Verdict::AmbiguousEarlier { into, run } => {
            format!("its source was merged by run {run}, and is '{into}' now")
        }
    }
}

/// The groups of a run that cannot be taken back yet, each with the runs that have to be taken back before: the last one
/// first.
///
/// # Errors
/// The journal or the register cannot be read.
pub(super) async fn not_yet(
    register: &ClusterRegister,
    journal: &dyn Journal,
    groups: &[usize],
    spec: &Spec,
) -> Result<BTreeMap<usize, Vec<Later>>, Failure> {
    let mut not_yet = BTreeMap::new();
    for some in groups.chunks(GROUPS) {
        let mut known = Vec::with_capacity(some.len());
        for index in some {
            if let Some(GroupRecord { group: index, survivor, pairs, t, .. }) =
                journal.group(*index)?
            {
                known.push((Group { index, survivor, pairs }, t.unwrap_or_default()));
            }
        }
        let accounts = known.iter().flat_map(|(group, _)| {
            let all = [&group.survivor].into_iter().chain(group.sources());
            all.map(|account| account.text().into_owned()).collect::<Vec<_>>()
        });
        let history =
            History::of(register.reader(), accounts, &tables(spec), Some(register.run())).await;
        let history = history.map_err(Failure::failed)?;
        for (group, t) in &known {
            let later = history.later(group, *t);
            if !later.is_empty() {
                not_yet.insert(group.index, later);
            }
        }
    }
    Ok(not_yet)
}

/// What takes the runs back that come before some groups of this one, in the order in which that can be done.
///
/// # Errors
/// The register cannot be read.
pub(super) async fn undos_before(
    register: &ClusterRegister,
    not_yet: &BTreeMap<usize, Vec<Later>>,
) -> Result<Vec<Advice>, Failure> {
    let mut later: Vec<&Later> = not_yet.values().flatten().collect();
    // A run is as late as the last that it did to any of these groups.
    later.sort_by(|one, other| other.cmp(one));
    let mut named = BTreeSet::new();
    let mut undos = Vec::new();
    for Later { run, .. } in later {
        if named.insert(run) {
            let known = register.reader().known_run(run).await.map_err(Failure::failed)?;
            // host:directory
            let place = known.as_ref().and_then(|known| known.place.split_once(':'));
            let run_dir = place.map_or(&**run, |(_, run_dir)| run_dir).into();
            undos.push(Advice::Undo { run: run_dir });
        }
    }
    Ok(undos)
}

/// A run that is about to begin, as the register keeps it.
pub(super) fn begun(record: &RunRecord, run_dir: &Path, spec: (&Spec, String)) -> Run {
    let (spec, spec_sha256) = spec;
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let place = std::path::absolute(run_dir).unwrap_or_else(|_| run_dir.to_owned());
    Run {
        id: record.id.to_string(),
        place: place.display().to_string(),
        user: user.unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        began: crate::model::now_us(),
        ended: None,
        hashes: [record.input.sha256.clone(), spec_sha256],
        tables: tables(spec),
        state: "running".to_owned(),
        groups: BTreeMap::new(),
    }
}

/// Tells the register how the groups of a run stand, at the end of a command: its windows are over, but for those that
/// are not; and how the run stands as a whole.
///
/// # Errors
/// The journal cannot be read, or the register not written.
pub(super) async fn settle(
    register: &ClusterRegister,
    journal: &dyn Journal,
    total: u64,
) -> Result<(), Failure> {
    journal.flush().await?;
    let mut open = BTreeSet::new();
    let mut groups: BTreeMap<String, i64> = BTreeMap::new();
    let states = journal.states()?;
    let planned = total.saturating_sub(states.len() as u64);
    for (group, state) in states {
        *groups.entry(state.to_string()).or_default() += 1;
        if !matches!(state, State::Done | State::Undone)
            && let Some(record) = journal.group(group)?
        {
            open.insert(record.survivor.text().into_owned());
        }
    }
    if planned > 0 {
        groups.insert("planned".to_owned(), i64::try_from(planned).unwrap_or(i64::MAX));
    }
    let windows = register.reader().windows(register.run()).await.map_err(Failure::failed)?;
    let stale = windows.into_iter().filter_map(|(t, end)| {
        let now = match &end {
            None => open.clone(),
            Some(end) => end.open.intersection(&open).cloned().collect(),
        };
        (end.is_none_or(|end| end.open != now)).then_some(WindowEnd { t, open: now })
    });
    let stale: Vec<WindowEnd> = stale.collect();
    register.end(&stale).await.map_err(Failure::failed)?;
    let state = if groups.keys().all(|state| *state == State::Undone.to_string()) {
        "undone"
    } else if groups.keys().any(|state| *state != State::Done.to_string()) {
        "partial"
    } else {
        "done"
    };
    register.set_state(register.run(), state, &groups).await.map_err(Failure::failed)
}
