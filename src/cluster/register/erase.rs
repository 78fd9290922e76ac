//! What takes rows out of the register: prepared by the commands that do so, and carried out while they hold the lease.

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use scylla::response::PagingState;
use scylla::statement::prepared::PreparedStatement;

use crate::model::quoted;
use crate::register::{Prunable, Run};
use crate::storage::StorageError;

use super::super::ClusterError;
use super::super::statements::Reach;
use super::tables::BUCKETS;
use super::{AT_ONCE, ClusterRegister, bucket};

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
    /// Erases what is known of accounts of some runs in one bucket.
    async fn bucket(&self, bucket: i32, runs: &BTreeSet<String>) -> Result<(), StorageError> {
        let reader = &self.register.reader;
        let mut after = PagingState::start();
        loop {
            let (entries, next) = reader.bucket_page(bucket, after).await?;
            let of_runs = entries.iter().filter(|entry| runs.contains(&entry.run));
            let keys: BTreeSet<(&str, &str)> =
                of_runs.map(|entry| (&*entry.account, &*entry.run)).collect();
            // The lease, before anything goes: whoever stood still finds it lost.
            self.register.look_at_lease().await?;
            self.of_accounts(keys).await?;
            let Some(next) = next else { return Ok(()) };
            after = next;
        }
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
        async move {
            for bucket in 0..BUCKETS.cast_signed() {
                self.bucket(bucket, runs).await?;
            }
            Ok(())
        }
        .boxed()
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
