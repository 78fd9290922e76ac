//! The lease on a keyspace: one run works on it at a time, or the parts of one plan.
//!
//! A lease is a row that only who knows its epoch changes. A whole run holds the row of the keyspace. A part of a plan
//! holds two: one of its own, which keeps out whoever else would merge the same part, and the row of the keyspace, which
//! it *shares* with the other parts and which keeps out all strangers. The epoch of the shared row stays for as long as
//! nobody but parts of that plan takes it; that of a part's own row rises each time that it is taken. So a part that
//! stood still, and was resumed elsewhere meanwhile, finds its own row gone, and one whom a stranger has followed finds
//! the shared one gone.
//!
//! No account is in two parts, so parts need to know nothing else of each other. Each keeps the highest time that it
//! has written in its own row; who takes the keyspace's row from a plan goes by the highest of them.
//!
//! What is decided is here, whatever keeps the rows.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::future::{BoxFuture, try_join_all};

use crate::model::{Part, TimestampUs};
use crate::storage::{Fault, StorageError};

/// How long a lease lasts without being renewed, in microseconds: longer than clocks may differ.
pub const LEASE_US: TimestampUs = 60_000_000;

/// A row of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The run; or the plan, whose parts share it.
    pub run: String,
    /// The machine.
    pub(crate) host: String,
    /// It rises each time the lease is taken.
    pub(crate) epoch: i64,
    /// The highest time that any run may have written, in microseconds.
    pub(crate) floor: TimestampUs,
    /// When it ends unless it is renewed, in microseconds.
    pub(crate) until: TimestampUs,
}

impl Lease {
    /// Whether it keeps others out at a moment.
    pub(crate) fn is_live(&self, now: TimestampUs) -> bool {
        self.until > now
    }

    /// How long it does so unless it is renewed, in seconds, rounded up.
    pub(crate) fn seconds_left(&self, now: TimestampUs) -> u64 {
        (self.until - now).max(0).cast_unsigned() / 1_000_000 + 1
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} on {}", self.run, self.host)
    }
}

/// A part, with the plan that it is part of: what its parts have in common, and no other plan has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfPlan {
    pub plan: String,
    pub part: Part,
}

impl OfPlan {
    /// What holds the row of the keyspace. No run has a name like this.
    fn holder(&self) -> String {
        format!("{}/{}", self.plan, self.part.of)
    }

    /// The plan of what holds the row of a keyspace, with its first part, if that is no whole run.
    fn of_holder(holder: &str) -> Option<Self> {
        let (plan, of) = holder.split_once('/')?;
        Some(Self { plan: plan.to_owned(), part: format!("1/{of}").parse().ok()? })
    }

    /// The names of the rows of all its parts.
    fn rows(&self, keyspace: &str) -> Vec<String> {
        self.part.all().map(|part| format!("{keyspace}/{}/{part}", self.plan)).collect()
    }

    fn row(&self, keyspace: &str) -> String {
        format!("{keyspace}/{}/{}", self.plan, self.part)
    }
}

/// Who takes a lease.
#[derive(Clone, Debug)]
pub struct Holder {
    pub run: String,
    /// The machine.
    pub host: String,
    /// If the run is a part of a plan, which.
    pub part: Option<OfPlan>,
}

/// The rows of leases, to be read.
pub(crate) trait LeaseReader: Sync {
    /// A row, if there is one.
    fn row<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StorageError>>;
}

/// The rows of leases. Each change is seen by all who come next, or is none.
pub(crate) trait LeaseRows: LeaseReader {
    /// Writes a row that is still as it was found, not even renewed; says whether it was.
    fn put<'a>(
        &'a self,
        name: &'a str,
        found: Option<&'a Lease>,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>>;

    /// Writes a row that has still this epoch; says whether it had.
    fn renew<'a>(
        &'a self,
        name: &'a str,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>>;

    /// The time, in microseconds.
    fn now(&self) -> TimestampUs;

    /// How long a lease lasts, in microseconds.
    fn lasts(&self) -> TimestampUs;
}

/// What came of trying to take a lease.
#[derive(Debug)]
pub(crate) enum Taken {
    Held(Box<Held>),
    /// Another run has it.
    Busy(Lease),
    /// Somebody else has changed it at the same moment: to be tried again.
    Again,
}

/// A lease that is held.
#[derive(Debug)]
pub(crate) struct Held {
    keyspace: String,
    holder: Holder,
    /// The name of the row that is this run's alone, and the row.
    own: (String, Lease),
    /// The row of the keyspace, where that is shared.
    shared: Option<Lease>,
    /// The highest time that is known to be written, in microseconds.
    floor: AtomicI64,
}

/// Tries to take the lease on a keyspace.
///
/// # Errors
/// The rows cannot be read or written.
pub(crate) async fn take(
    rows: &impl LeaseRows,
    keyspace: &str,
    holder: &Holder,
) -> Result<Taken, StorageError> {
    let held = |own: (String, Lease), shared: Option<Lease>| {
        let floor = own.1.floor.max(shared.as_ref().map_or(0, |shared| shared.floor)).into();
        let (keyspace, holder) = (keyspace.to_owned(), holder.clone());
        Taken::Held(Box::new(Held { keyspace, holder, own, shared, floor }))
    };
    let Some(part) = &holder.part else {
        return Ok(match taken(rows, keyspace, (&holder.run, holder), keyspace).await? {
            Ok(Some(own)) => held((keyspace.to_owned(), own), None),
            Ok(None) => Taken::Again,
            Err(busy) => Taken::Busy(busy),
        });
    };
    let name = part.row(keyspace);
    let own = match taken(rows, &name, (&holder.run, holder), keyspace).await? {
        Ok(Some(own)) => own,
        Ok(None) => return Ok(Taken::Again),
        Err(busy) => return Ok(Taken::Busy(busy)),
    };
    match taken(rows, keyspace, (&part.holder(), holder), keyspace).await? {
        Ok(Some(shared)) => Ok(held((name, own), Some(shared))),
        Ok(None) => Ok(Taken::Again),
        Err(busy) => {
            rows.put(&name, Some(&own), &ended(&own)).await?;
            Ok(Taken::Busy(busy))
        }
    }
}

/// Takes a row in the name of a run, or of a plan, unless another one has it; none if it has just been changed.
async fn taken(
    rows: &impl LeaseRows,
    name: &str,
    (run, holder): (&str, &Holder),
    keyspace: &str,
) -> Result<Result<Option<Lease>, Lease>, StorageError> {
    let (now, found) = (rows.now(), rows.row(name).await?);
    let plan = found.as_ref().and_then(|lease| OfPlan::of_holder(&lease.run));
    // The same run on another machine is a copy of its directory: its journal does not know what the other writes.
    let is_ours = found
        .as_ref()
        .is_some_and(|lease| lease.run == run && (plan.is_some() || lease.host == holder.host));
    let (host, until) = (holder.host.clone(), now + rows.lasts());
    let mut lease = Lease { run: run.to_owned(), host, epoch: 1, floor: 0, until };
    let Some(found) = found else {
        return Ok(Ok(rows.put(name, None, &lease).await?.then_some(lease)));
    };
    (lease.epoch, lease.floor) = (found.epoch, found.floor);
    if is_ours && plan.is_some() {
        // Nobody else has had it since the others began to share it.
        return Ok(Ok(rows.renew(name, &lease).await?.then_some(lease)));
    }
    let parts = match &plan {
        Some(plan) => parts(rows, keyspace, plan).await?,
        None => Vec::new(),
    };
    if !is_ours && found.is_live(now) {
        // Who shares it is whom people know.
        let at_work = parts.into_iter().max_by_key(|part| part.until);
        let (run, host) = at_work
            .map_or_else(|| (found.run.clone(), found.host.clone()), |part| (part.run, part.host));
        return Ok(Err(Lease { run, host, ..found }));
    }
    lease.epoch += 1;
    lease.floor = parts.iter().map(|part| part.floor).fold(lease.floor, Ord::max);
    // Whoever held it and has been awake since is found to be so, and how far it has written.
    Ok(Ok(rows.put(name, Some(&found), &lease).await?.then_some(lease)))
}

/// The same, as it was given back.
fn ended(lease: &Lease) -> Lease {
    Lease { until: 0, ..lease.clone() }
}

/// The rows of the parts of a plan.
async fn parts(
    rows: &impl LeaseReader,
    keyspace: &str,
    plan: &OfPlan,
) -> Result<Vec<Lease>, StorageError> {
    let names = plan.rows(keyspace);
    let found = try_join_all(names.iter().map(|name| rows.row(name))).await?;
    Ok(found.into_iter().flatten().collect())
}

/// Who works on a keyspace at a moment: a run, or parts of one plan.
///
/// # Errors
/// The rows cannot be read.
pub(crate) async fn at_work(
    rows: &impl LeaseReader,
    keyspace: &str,
    now: TimestampUs,
) -> Result<Vec<Lease>, StorageError> {
    let found = rows.row(keyspace).await?;
    let Some(lease) = found.filter(|lease| lease.is_live(now)) else { return Ok(Vec::new()) };
    let Some(plan) = OfPlan::of_holder(&lease.run) else { return Ok(vec![lease]) };
    let parts = parts(rows, keyspace, &plan).await?;
    Ok(parts.into_iter().filter(|part| part.is_live(now)).collect())
}

impl Held {
    /// The highest time that any run may have written before, and this one since, in microseconds.
    pub(crate) fn floor(&self) -> TimestampUs {
        self.floor.load(Ordering::SeqCst)
    }

    /// Renews it; no other run writes at a time up to `floor`.
    ///
    /// # Errors
    /// Someone else has it, or the rows cannot be written.
    pub(crate) async fn hold(
        &self,
        rows: &impl LeaseRows,
        floor: TimestampUs,
    ) -> Result<(), StorageError> {
        let floor = self.floor.fetch_max(floor, Ordering::SeqCst).max(floor);
        let (until, (name, own)) = (rows.now() + rows.lasts(), &self.own);
        let own = Lease { floor, until, ..own.clone() };
        let mut is_held = rows.renew(name, &own).await?;
        if let Some(shared) = self.shared.as_ref().filter(|_| is_held) {
            // Behind its own row: whoever takes the shared one over has seen how far this part may write, or keeps it out.
            let shared = Lease { until, ..shared.clone() };
            is_held = rows.renew(&self.keyspace, &shared).await?;
        }
        if is_held { Ok(()) } else { Err(self.lost(rows).await?) }
    }

    /// Looks whether it is still held.
    ///
    /// # Errors
    /// Someone else has it, or the rows cannot be read.
    pub(crate) async fn look(&self, rows: &impl LeaseReader) -> Result<(), StorageError> {
        match self.taken_over(rows).await? {
            None => Ok(()),
            Some(by) => Err(lost(&self.holder.run, &self.keyspace, by.as_ref())),
        }
    }

    /// Gives it back; what is shared, when nobody else holds it any more.
    ///
    /// # Errors
    /// The rows cannot be read or written; the lease then ends by itself.
    pub(crate) async fn release(&self, rows: &impl LeaseRows) -> Result<(), StorageError> {
        let (name, own) = &self.own;
        if let Some(found) = rows.row(name).await?.filter(|found| found.epoch == own.epoch) {
            rows.put(name, Some(&found), &ended(&found)).await?;
        }
        let (Some(shared), Some(plan)) = (&self.shared, &self.holder.part) else { return Ok(()) };
        // Whoever joins from here on changes it, and keeps it.
        let found = rows.row(&self.keyspace).await?;
        let Some(found) = found.filter(|found| found.epoch == shared.epoch) else { return Ok(()) };
        let others = parts(rows, &self.keyspace, plan).await?;
        if !others.iter().any(|other| other.is_live(rows.now())) {
            // Whoever has found it free before the parts wrote does not find it so again.
            let floor = others.iter().map(|other| other.floor).fold(found.floor, Ord::max);
            let free = Lease { floor, ..ended(&found) };
            rows.put(&self.keyspace, Some(&found), &free).await?;
        }
        Ok(())
    }

    /// What has taken one of its rows since: nothing if its row is gone.
    async fn taken_over(
        &self,
        rows: &impl LeaseReader,
    ) -> Result<Option<Option<Lease>>, StorageError> {
        let (name, own) = &self.own;
        let held = [(&**name, own)].into_iter();
        let held = held.chain(self.shared.iter().map(|shared| (&*self.keyspace, shared)));
        let looks = held.map(|(name, held)| async move {
            let found = rows.row(name).await?;
            Ok((found.as_ref().map(|found| found.epoch) != Some(held.epoch)).then_some(found))
        });
        Ok(try_join_all(looks).await?.into_iter().flatten().next())
    }

    async fn lost(&self, rows: &impl LeaseReader) -> Result<StorageError, StorageError> {
        let by = self.taken_over(rows).await?.flatten();
        Ok(lost(&self.holder.run, &self.keyspace, by.as_ref()))
    }
}

/// That a run has lost its lease on a keyspace, to whoever has it now: nothing may be written any more.
fn lost(run: &str, keyspace: &str, to: Option<&Lease>) -> StorageError {
    let why = match to {
        Some(to) if to.run == run => {
            "it was begun again, from its directory or from a copy of that"
        }
        _ => "it stood still for longer than a minute, or was declared lost",
    };
    let to = to.map_or_else(|| "nobody: its row is gone".to_owned(), Lease::to_string);
    let message = format!(
        "run {run} has lost its lease on keyspace {keyspace} to {to}, and writes nothing any more: {why}. What it has \
         journaled is finished, or taken back, by resume or undo once the other run has ended"
    );
    StorageError { class: message.clone(), message, kind: Fault::Fatal }
}

#[cfg(test)]
mod tests;
