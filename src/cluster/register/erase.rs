//! What takes rows out of the register: prepared by the commands that do so, and carried out while they hold the lease.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use scylla::response::PagingState;
use scylla::statement::prepared::PreparedStatement;

use crate::model::quoted;
use crate::register::{BUCKETS, Claim, Prunable, Run, bucket};
use crate::storage::StorageError;

use super::super::ClusterError;
use super::super::statements::Reach;
use super::{AT_ONCE, ClusterRegister};

/// The register of one keyspace, to be erased from.
pub(crate) struct Eraser<'r> {
    register: &'r ClusterRegister,
    entries: PreparedStatement,
    run: PreparedStatement,
    windows: PreparedStatement,
    windowed: PreparedStatement,
}

impl ClusterRegister {
    /// What erases from it.
    ///
    /// # Errors
    /// The statements are refused.
    pub(crate) async fn eraser(&self) -> Result<Eraser<'_>, ClusterError> {
        let (with, name) = (&self.reader.preparer, quoted(&self.reader.keyspace));
        let delete = |table: &str, and: &str| {
            format!("DELETE FROM {name}.{table} WHERE keyspace_name = ? AND {and}")
        };
        let windowed = format!("SELECT DISTINCT keyspace_name, run FROM {name}.windows");
        Ok(Eraser {
            register: self,
            entries: with
                .prepare(&delete("accounts", "bucket = ? AND account = ? AND run = ?"))
                .await?,
            run: with.prepare(&delete("runs", "run = ?")).await?,
            windows: with.prepare(&delete("windows", "run = ?")).await?,
            windowed: with.prepare_for(&windowed, Reach::Partitions).await?,
        })
    }
}

impl Eraser<'_> {
    /// Erases what names an account in one of its spellings: as itself, or as what others became. Returns how many rows
    /// went, and the runs whose they were.
    ///
    /// # Errors
    /// The register cannot be read or written, or the lease is lost.
    pub(crate) async fn erase_account(
        &self,
        spellings: &[String],
    ) -> Result<(u64, BTreeSet<String>), StorageError> {
        let is_named = |id: &String| spellings.contains(id);
        self.erase(|entry| is_named(&entry.account) || is_named(&entry.survivor)).await
    }

    /// Erases what some runs did to accounts.
    async fn erase(
        &self,
        is_one: impl Fn(&Claim) -> bool,
    ) -> Result<(u64, BTreeSet<String>), StorageError> {
        let (mut rows, mut runs) = (0, BTreeSet::new());
        for bucket in 0..BUCKETS {
            let mut after = PagingState::start();
            loop {
                let (mut entries, next) = self.register.reader.bucket_page(bucket, after).await?;
                entries.retain(&is_one);
                if !entries.is_empty() {
                    // Whoever stood still finds the lease lost before anything goes.
                    self.register.look_at_lease().await?;
                }
                let keys = entries.iter().map(|entry| (&*entry.account, &*entry.run)).collect();
                self.of_accounts(keys).await?;
                rows += entries.len() as u64;
                runs.extend(entries.into_iter().map(|entry| entry.run));
                let Some(next) = next else { break };
                after = next;
            }
        }
        Ok((rows, runs))
    }

    /// Erases what some runs did to some accounts.
    async fn of_accounts(&self, keys: BTreeSet<(&str, &str)>) -> Result<(), StorageError> {
        let merged = &*self.register.reader.merged;
        let erasing = keys.into_iter().map(|(account, run)| {
            let values = (merged, bucket(account), account, run);
            self.register.tell("erasing accounts from", &self.entries, values).boxed()
        });
        let erasing: Vec<_> = erasing.collect();
        stream::iter(erasing).buffer_unordered(AT_ONCE).try_collect().await
    }
}

impl Prunable for Eraser<'_> {
    fn known_runs(&self) -> BoxFuture<'_, Result<Vec<Run>, StorageError>> {
        self.register.reader.runs().boxed()
    }

    fn windowed_runs(&self) -> BoxFuture<'_, Result<BTreeSet<String>, StorageError>> {
        async {
            let reader = &self.register.reader;
            let rows: Vec<(String, String)> =
                reader.ask("reading the windows of", &self.windowed, ()).await?;
            let own = rows.into_iter().filter(|(merged, _)| *merged == reader.merged);
            Ok(own.map(|(_, run)| run).collect())
        }
        .boxed()
    }

    fn erase_entries<'a>(
        &'a self,
        runs: &'a BTreeSet<String>,
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move { self.erase(|entry| runs.contains(&entry.run)).await.map(drop) }.boxed()
    }

    fn erase_run<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            self.register.look_at_lease().await?;
            let values = (&*self.register.reader.merged, run);
            self.register.tell("erasing a run from", &self.run, values).await
        }
        .boxed()
    }

    fn erase_windows<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
        let values = (&*self.register.reader.merged, run);
        self.register.tell("erasing windows from", &self.windows, values).boxed()
    }
}
