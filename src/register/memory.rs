//! A register in memory, for tests: what the one in Cassandra promises, without a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{BoxFuture, ready};

use crate::model::TimestampUs;
use crate::storage::StorageError;

use super::{
    Archive, Claim, Held, Holder, LEASE_US, Lease, LeaseReader, LeaseRows, OfPlan, Prunable,
    Register, Run, RunWindows, Taken, WindowEnd, bucket, take,
};

/// The keyspace that all runs merge.
const KEYSPACE: &str = "in memory";

/// What all runs see.
#[derive(Debug, Default)]
pub struct Shared {
    leases: BTreeMap<String, Lease>,
    entries: Vec<Claim>,
    windows: BTreeMap<(String, TimestampUs), Option<WindowEnd>>,
    runs: BTreeMap<String, Run>,
}

/// The register as one run sees it.
#[derive(Clone, Debug)]
pub struct MemoryRegister {
    rows: MemoryLeases,
    run: String,
    held: Arc<Held>,
}

/// The leases, at a moment.
#[derive(Clone, Debug)]
pub(crate) struct MemoryLeases {
    shared: Arc<Mutex<Shared>>,
    /// In microseconds.
    now: TimestampUs,
}

impl MemoryRegister {
    /// Takes the lease for a run at a moment.
    ///
    /// # Errors
    /// Another run has it.
    pub fn take(shared: &Arc<Mutex<Shared>>, run: Run, now: TimestampUs) -> Result<Self, Lease> {
        Self::take_part(shared, run, None, now)
    }

    /// Takes the lease for a run that may be a part of a plan, at a moment.
    ///
    /// # Errors
    /// Another run has it, or another plan.
    pub fn take_part(
        shared: &Arc<Mutex<Shared>>,
        run: Run,
        part: Option<OfPlan>,
        now: TimestampUs,
    ) -> Result<Self, Lease> {
        let rows = MemoryLeases { shared: Arc::clone(shared), now };
        let id = run.id.clone();
        let holder = Holder { run: id.clone(), host: String::new(), part };
        match block_on(take(&rows, KEYSPACE, &holder)) {
            Ok(Taken::Held(held)) => {
                lock(shared).runs.entry(id.clone()).or_insert(run);
                Ok(Self { rows, run: id, held: Arc::from(held) })
            }
            Ok(Taken::Busy(lease)) => Err(lease),
            Ok(Taken::Again) | Err(_) => {
                unreachable!("memory does not fail, and nobody else is at it")
            }
        }
    }

    /// Gives the lease back.
    pub fn release(&self) {
        // Memory does not fail.
        drop(block_on(self.held.release(&self.rows)));
    }

    /// The highest time that any run may have written.
    pub fn floor(&self) -> TimestampUs {
        self.held.floor()
    }

    /// Declares a run lost.
    pub fn lose(shared: &Arc<Mutex<Shared>>, run: &str) {
        if let Some(run) = lock(shared).runs.get_mut(run) {
            run.state = super::RunState::Lost;
        }
    }

    /// Notes what is known of a run now.
    #[cfg(test)]
    pub(crate) fn know(&self, run: Run) {
        lock(&self.rows.shared).runs.insert(run.id.clone(), run);
    }

    fn of<T: Send + 'static>(
        &self,
        see: impl FnOnce(&mut Shared) -> Result<T, StorageError>,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        ready(see(&mut lock(&self.rows.shared))).boxed()
    }
}

impl MemoryLeases {
    fn of<T: Send + 'static>(
        &self,
        see: impl FnOnce(&mut BTreeMap<String, Lease>) -> T,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        ready(Ok(see(&mut lock(&self.shared).leases))).boxed()
    }
}

impl LeaseReader for MemoryLeases {
    fn row<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StorageError>> {
        self.of(|leases| leases.get(name).cloned())
    }
}

impl LeaseRows for MemoryLeases {
    fn put<'a>(
        &'a self,
        name: &'a str,
        found: Option<&'a Lease>,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        self.of(|leases| {
            let is_same = leases.get(name) == found;
            if is_same {
                leases.insert(name.to_owned(), lease.clone());
            }
            is_same
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        self.of(|leases| {
            let own = leases.get_mut(name).filter(|own| own.epoch == lease.epoch);
            own.map(|own| own.clone_from(lease)).is_some()
        })
    }

    fn now(&self) -> TimestampUs {
        self.now
    }

    fn lasts(&self) -> TimestampUs {
        LEASE_US
    }
}

fn lock(shared: &Arc<Mutex<Shared>>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Register for MemoryRegister {
    fn run(&self) -> &str {
        &self.run
    }

    fn begin<'a>(
        &'a self,
        t: TimestampUs,
        entries: &'a [Claim],
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(|shared| {
            shared.entries.extend_from_slice(entries);
            shared.windows.entry((self.run.clone(), t)).or_default();
            Ok(())
        })
    }

    fn hold(&self, floor: TimestampUs) -> BoxFuture<'_, Result<(), StorageError>> {
        self.held.hold(&self.rows, floor).boxed()
    }

    fn look(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.held.look(&self.rows).boxed()
    }

    fn end<'a>(&'a self, windows: &'a [WindowEnd]) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(|shared| {
            for window in windows {
                shared.windows.insert((self.run.clone(), window.t), Some(window.clone()));
            }
            Ok(())
        })
    }
}

impl Archive for MemoryRegister {
    fn entries<'a>(
        &'a self,
        accounts: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Claim>, StorageError>> {
        self.of(|shared| {
            let of = shared.entries.iter().filter(|entry| accounts.contains(&entry.account));
            Ok(of.cloned().collect())
        })
    }

    fn scan<'a>(
        &'a self,
        of: i32,
        most: usize,
        is_wanted: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Option<Vec<Claim>>, StorageError>> {
        self.of(|shared| {
            let entries = shared.entries.iter().filter(|entry| bucket(&entry.account) == of);
            let entries: Vec<&Claim> = entries.collect();
            let found = entries.iter().filter(|entry| is_wanted(&entry.account));
            Ok((entries.len() <= most).then(|| found.copied().cloned().collect()))
        })
    }

    fn windows<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<RunWindows, StorageError>> {
        self.of(|shared| {
            let of = shared.windows.iter().filter(|((known, _), _)| known == run);
            Ok(of.map(|((_, t), end)| (*t, end.clone())).collect())
        })
    }

    fn known_run<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<Option<Run>, StorageError>> {
        self.of(|shared| Ok(shared.runs.get(run).cloned()))
    }
}

impl Prunable for MemoryRegister {
    fn known_runs(&self) -> BoxFuture<'_, Result<Vec<Run>, StorageError>> {
        self.of(|shared| Ok(shared.runs.values().cloned().collect()))
    }

    fn windowed_runs(&self) -> BoxFuture<'_, Result<BTreeSet<String>, StorageError>> {
        self.of(|shared| Ok(shared.windows.keys().map(|(run, _)| run.clone()).collect()))
    }

    fn erase_entries<'a>(
        &'a self,
        runs: &'a BTreeSet<String>,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(|shared| {
            shared.entries.retain(|entry| !runs.contains(&entry.run));
            Ok(())
        })
    }

    fn erase_run<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(|shared| {
            shared.runs.remove(run);
            Ok(())
        })
    }

    fn erase_windows<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(|shared| {
            shared.windows.retain(|(known, _), _| known != run);
            Ok(())
        })
    }
}
