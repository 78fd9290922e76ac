//! The register as commands use it: its lease is taken before anything is planned against it, kept while the command
//! goes on, and given back however it ends; groups that other runs stand in the way of are told apart before the first
//! read, and at the end it is told how the groups of this run stand.

mod alone;
mod busy;
mod lost;
mod standing;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{Failure, Terminal};
use crate::advice::Advice;
use crate::cluster::{Cluster, ClusterError, ClusterRegister, RegisterReader};
use crate::journal::Journal;
use crate::model::{AccountId, AccountType, Group, Pair};
use crate::pairs::{Followed, Rule};
use crate::pipeline::{Barred, Known, others};
use crate::plan::{Plan, Refusal};
use crate::register::{Archive, Later, Lineage, Obstacle, OfPlan, Register};
use crate::report::{AtWork, Leased, Rendered};
use crate::run::RunId;
use crate::spec::Spec;
use crate::storage::Fault;

pub(super) use busy::busy;
pub(super) use lost::remember;
pub(super) use standing::{
    WHOLE_UNDONE, begin, begun, closed, end_of, enter, is_closed, is_half_undone, is_lost, settle,
    state_of, whereabouts,
};

/// What a command does that enters a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Entering {
    /// It merges, or writes what was merged again.
    Merges,
    Undoes,
}

/// How often the lease is renewed while no window does it.
const RENEWED: Duration = Duration::from_secs(20);

/// The lease of a command, if it has one. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lease(Arc<Mutex<Option<Held>>>);

#[derive(Debug)]
struct Held {
    register: Arc<ClusterRegister>,
    renewing: JoinHandle<()>,
}

impl Lease {
    /// Takes the lease on the keyspace for a run, or for what stands for one; `run_dir` is the directory of a run that was
    /// begun before.
    ///
    /// # Errors
    /// Another run has it, the same run is at work in another directory, or there is no register and it may not be created.
    pub(super) async fn take(
        &self,
        cluster: &Cluster,
        keyspace: &str,
        (run, part, run_dir): (&str, Option<OfPlan>, Option<&Path>),
    ) -> Result<Arc<ClusterRegister>, Failure> {
        // A run that has begun goes on with its own, whatever was made since.
        if run_dir.is_none() {
            cluster.check_sole_register(keyspace).await?;
        }
        let register = Arc::new(cluster.register(keyspace, (run, part)).await?);
        if let Some(own) = run_dir {
            alone::check_alone(&register, own).await?;
        }
        register.take().await?;
        let renewed = Arc::clone(&register);
        let renewing = tokio::spawn(async move {
            let mut was_renewed = true;
            loop {
                tokio::time::sleep(RENEWED).await;
                // A window that finds it lost says so, and stops the run.
                match renewed.hold(0).await {
                    Err(error) if was_renewed => {
                        tracing::warn!("the lease could not be renewed: {error}");
                        was_renewed = false;
                    }
                    renewal => was_renewed = renewal.is_ok(),
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
        match register.release().await {
            Ok(()) => {}
            // Another run has it, or there is none any more: that has been said.
            Err(error) if error.kind == Fault::Fatal => tracing::debug!("{error}"),
            Err(error) => tracing::warn!(
                "the lease was not given back, and ends by itself in a minute: {error}"
            ),
        }
    }
}

/// Prints as JSON that a command was kept out by the lease of another run, if that is why it has failed.
pub(super) fn report_lease(failure: &Failure, terminal: &Terminal) {
    let Some(ClusterError::Leased { keyspace, lease, seconds }) = failure.error.downcast_ref()
    else {
        return;
    };
    let (run, host) = (lease.run.clone(), lease.host.clone());
    let busy = AtWork { run, host, lease_s: *seconds };
    let leased = Leased::new(keyspace, busy, failure.exit.code());
    // Who cannot read it is told on standard error all the same.
    if let Ok(report) = Rendered::of(&leased) {
        let _ = terminal.print(&report.json);
    }
}

/// The register, as far as a command may use it.
pub(super) enum Past {
    /// With --no-register, or where no run has made one that could be read.
    Unknown,
    Read(Box<RegisterReader>),
    /// To be written, too: the lease is held.
    Held(Arc<ClusterRegister>),
}

impl Past {
    /// What there is of it for a run; with the lease on the keyspace if the command writes.
    ///
    /// # Errors
    /// Another run has the lease, or the register cannot be used.
    pub(super) async fn of(
        cluster: &Cluster,
        (run, part, run_dir): (&RunId, Option<&OfPlan>, Option<&Path>),
        writes: bool,
        lease: &Lease,
    ) -> Result<Self, Failure> {
        let Some(keyspace) = cluster.register_keyspace() else { return Ok(Self::Unknown) };
        if writes {
            let run = (run.as_str(), part.cloned(), run_dir);
            return lease.take(cluster, keyspace, run).await.map(Self::Held);
        }
        let reader = cluster.register_reader(keyspace).await?;
        Ok(reader.map_or(Self::Unknown, |reader| Self::Read(Box::new(reader))))
    }

    /// What other runs did, as far as it is known and to be asked.
    pub(super) fn archive(&self) -> Option<&dyn Archive> {
        match self {
            Self::Unknown => None,
            Self::Read(reader) => Some(&**reader),
            Self::Held(register) => Some(register.reader()),
        }
    }

    /// The register, where the command may write.
    pub(super) fn held(&self) -> Option<&Arc<ClusterRegister>> {
        if let Self::Held(register) = self { Some(register) } else { None }
    }
}

/// What the register knows of a plan's accounts, but for what the run itself did.
pub(super) async fn lineage(
    register: &dyn Archive,
    plan: &Plan,
    spec: &Spec,
    own: Option<&str>,
) -> Result<Lineage, Failure> {
    of_plan(register, plan, plan.participants(), (spec, own)).await
}

/// As [`lineage`], of all accounts of the input: also of those whose pairs are rejected, which may be accepted once they
/// go to where their targets are now.
pub(super) async fn lineage_of_input(
    register: &dyn Archive,
    plan: &Plan,
    spec: &Spec,
) -> Result<Lineage, Failure> {
    of_plan(register, plan, plan.accounts().all(), (spec, None)).await
}

async fn of_plan(
    register: &dyn Archive,
    plan: &Plan,
    accounts: impl Iterator<Item = AccountId>,
    (spec, own): (&Spec, Option<&str>),
) -> Result<Lineage, Failure> {
    let filter = plan.accounts().filter();
    let is_wanted = |account: &str| filter.may_have(account);
    let accounts = accounts.map(|account| account.text().into_owned());
    Lineage::of_many(register, filter.len(), &is_wanted, accounts, &tables(spec), own)
        .await
        .map_err(Failure::failed)
}

/// The accounts that are others by now, in the order of their ids.
pub(super) fn moved(lineage: &Lineage, of: AccountType) -> Vec<Followed> {
    let id = |account: &str| AccountId::parse(of, account);
    let one = |account: Cow<'_, str>| {
        Some(Followed { account: id(&account)?, now: id(&lineage.moved(&account)?)? })
    };
    let mut moved: Vec<Followed> = lineage.accounts().filter_map(one).collect();
    moved.sort_unstable_by(|one, other| one.account.cmp(&other.account));
    moved
}

/// A plan without the pairs that earlier runs stand in the way of, and these.
pub(super) fn judged(lineage: &Lineage, mut plan: Plan) -> (Plan, Vec<Refusal>) {
    let mut refusals = Vec::new();
    // What is left of a group without a pair may be another group, or two.
    while !lineage.is_empty() {
        let groups = plan.groups().filter(|group| lineage.names(group));
        let found: Vec<Refusal> = groups.flat_map(|group| of_group(lineage, &group)).collect();
        if found.is_empty() {
            break;
        }
        plan = plan.without(&found);
        refusals.extend(found);
    }
    refusals.sort_by_key(|refusal| refusal.line);
    (plan, refusals)
}

fn of_group(lineage: &Lineage, group: &Group) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (at, verdict) in lineage.verdicts(group) {
        let pairs = match at {
            Some(at) => &group.pairs[at..=at],
            None => &group.pairs[..],
        };
        let (rule, words) = (rule(&verdict), sentence(&verdict));
        let of_pair = |pair: &Pair| Refusal { line: pair.line, rule, words: words.clone() };
        refusals.extend(pairs.iter().map(of_pair));
    }
    refusals
}

/// The names of the tables that are merged.
fn tables(spec: &Spec) -> BTreeSet<String> {
    spec.tables.iter().map(|table| table.name.clone()).collect()
}

/// The groups of a run that is resumed that other runs stand in the way of.
///
/// # Errors
/// The journal cannot be read.
pub(super) fn barred(
    lineage: &Lineage,
    plan: &Plan,
    known: &Known,
    journal: &dyn Journal,
) -> Result<Barred, Failure> {
    let say = |verdict: &Obstacle| format!("{}: {}", rule(verdict).name(), sentence(verdict));
    Ok(others::barred(lineage, plan, known, journal, say)?)
}

/// Forgets the intents of a run that were never written; says whether there were any.
///
/// # Errors
/// The journal or the register cannot be read, or the journal not written.
pub(super) async fn forget_unwritten(
    register: &dyn Archive,
    own: &RunId,
    journal: &dyn Journal,
    spec: &Spec,
) -> Result<bool, Failure> {
    let tables = tables(spec);
    let forgotten = others::forget_unwritten(register, own.as_str(), journal, &tables).await;
    let groups = forgotten.map_err(Failure::failed)?;
    if groups > 0 {
        tracing::info!(
            "{groups} groups were intended and never written: they count as not begun, or as not swept again"
        );
    }
    Ok(groups > 0)
}

/// The rule by which a pair is not merged.
fn rule(verdict: &Obstacle) -> Rule {
    match verdict {
        Obstacle::Busy { is_lost: false, .. } => Rule::Busy,
        Obstacle::Busy { is_lost: true, .. } => Rule::LostRun,
        Obstacle::Cycle { .. } => Rule::Cycle,
        Obstacle::MergedEarlier { .. } => Rule::MergedEarlier,
        Obstacle::AmbiguousEarlier { .. } => Rule::AmbiguousEarlier,
    }
}

/// Why a group is not merged.
fn sentence(verdict: &Obstacle) -> String {
    match verdict {
        Obstacle::Busy { account, run, is_lost: false } => {
            format!("run {run} has not ended with '{account}': resume or undo it first")
        }
        Obstacle::Busy { account, run, is_lost: true } => {
            format!("'{account}' was left half merged by run {run}, which is lost")
        }
        Obstacle::Cycle { run } => {
            format!("run {run} merged them the other way round: undo it first")
        }
        Obstacle::MergedEarlier { into, run } => {
            format!("its target was merged by run {run}, and is '{into}' now")
        }
        Obstacle::AmbiguousEarlier { into, run } => {
            format!("its source was merged by run {run}, and is '{into}' now")
        }
    }
}

/// The groups of a run that cannot be undone yet, each with the runs that have to be undone before: the last one
/// first.
///
/// # Errors
/// The journal or the register cannot be read.
pub(super) async fn not_yet(
    register: &dyn Archive,
    own: &RunId,
    journal: &dyn Journal,
    groups: &[usize],
    spec: &Spec,
) -> Result<BTreeMap<usize, Vec<Later>>, Failure> {
    let tables = tables(spec);
    let not_yet = others::not_yet(register, own.as_str(), journal, groups, &tables);
    not_yet.await.map_err(Failure::failed)
}

/// What undoes the runs that come before some groups of this one, in the order in which that can be done.
///
/// # Errors
/// The register cannot be read.
pub(super) async fn undos_before(
    register: &dyn Archive,
    not_yet: &BTreeMap<usize, Vec<Later>>,
) -> Result<Vec<Advice>, Failure> {
    let mut later: Vec<&Later> = not_yet.values().flatten().collect();
    // A run is as late as the last that it did to any of these groups.
    later.sort_by(|one, other| other.cmp(one));
    let mut named = BTreeSet::new();
    let mut undos = Vec::new();
    for Later { run, .. } in later {
        if named.insert(run) {
            let known = register.known_run(run).await.map_err(Failure::failed)?;
            let run_dir = known.as_ref().map_or(&**run, |known| known.host_and_dir().1);
            let keep_changed = known.as_ref().is_some_and(is_half_undone);
            undos.push(Advice::Undo { run: run_dir.into(), keep_changed });
        }
    }
    Ok(undos)
}
