//! A register in memory, for tests: what the one in Cassandra promises, without a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use crate::model::TimestampUs;
use crate::storage::StorageError;

use super::{
    Archive, Entry, LEASE_US, Lease, Prunable, Register, Run, RunWindows, WindowEnd, lost,
};

/// What all runs see.
#[derive(Debug, Default)]
pub struct Shared {
    lease: Option<Lease>,
    entries: Vec<Entry>,
    windows: BTreeMap<(String, TimestampUs), Option<WindowEnd>>,
    runs: BTreeMap<String, Run>,
}

/// The register as one run sees it.
#[derive(Clone, Debug)]
pub struct MemoryRegister {
    shared: Arc<Mutex<Shared>>,
    run: String,
    epoch: i64,
}

impl MemoryRegister {
    /// Takes the lease for a run at a moment.
    ///
    /// # Errors
    /// Another run has it.
    pub fn take(shared: &Arc<Mutex<Shared>>, run: Run, now: TimestampUs) -> Result<Self, Lease> {
        let id = run.id.clone();
        let mut held = lock(shared);
        let (mut epoch, mut floor) = (0, 0);
        if let Some(lease) = &held.lease {
            if lease.run != id && lease.is_live(now) {
                return Err(lease.clone());
            }
            (epoch, floor) = (lease.epoch, lease.floor);
        }
        epoch += 1;
        let (host, until) = (String::new(), now + LEASE_US);
        held.lease = Some(Lease { run: id.clone(), host, epoch, floor, until });
        held.runs.entry(id.clone()).or_insert(run);
        drop(held);
        Ok(Self { shared: Arc::clone(shared), run: id, epoch })
    }

    /// Gives the lease back.
    pub fn release(&self) {
        if let Some(lease) = &mut lock(&self.shared).lease
            && lease.epoch == self.epoch
        {
            lease.until = 0;
        }
    }

    /// The highest time that any run may have written.
    pub fn floor(&self) -> TimestampUs {
        lock(&self.shared).lease.as_ref().map_or(0, |lease| lease.floor)
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
        lock(&self.shared).runs.insert(run.id.clone(), run);
    }

    fn of<T: Send + 'static>(
        &self,
        see: impl FnOnce(&mut Shared) -> Result<T, StorageError>,
    ) -> BoxFuture<'static, Result<T, StorageError>> {
        ready(see(&mut lock(&self.shared))).boxed()
    }

    fn held<'s>(&self, shared: &'s mut Shared) -> Result<&'s mut Lease, StorageError> {
        let is_ours = |lease: &&mut Lease| lease.epoch == self.epoch;
        let now = shared.lease.clone();
        let held = shared.lease.as_mut().filter(is_ours);
        held.ok_or_else(|| lost(&self.run, "in memory", now.as_ref()))
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
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        self.of(|shared| {
            shared.entries.extend_from_slice(entries);
            shared.windows.entry((self.run.clone(), t)).or_default();
            Ok(())
        })
    }

    fn hold(&self, floor: TimestampUs) -> BoxFuture<'_, Result<(), StorageError>> {
        self.of(|shared| {
            let lease = self.held(shared)?;
            lease.floor = lease.floor.max(floor);
            Ok(())
        })
    }

    fn look(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.of(|shared| self.held(shared).map(drop))
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
    ) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
        self.of(|shared| {
            let of = shared.entries.iter().filter(|entry| accounts.contains(&entry.account));
            Ok(of.cloned().collect())
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
