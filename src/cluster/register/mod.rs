//! The [register](crate::register) in Cassandra: a keyspace of its own, beside the one that is merged.
//!
//! | table | partition | what it holds |
//! |---|---|---|
//! | `lease` | merged keyspace, or part | who works on it, until when, and the highest time that was written |
//! | `runs` | merged keyspace | each run: who, where, which tables, how it stands |
//! | `windows` | merged keyspace, run | each window of a run, whether it is over and which of its groups are not |
//! | `accounts` | merged keyspace, bucket | each account that a run works on |
//!
//! An account's bucket is the CRC-32 (as in gzip) of the account, as it is written out, modulo 64.

mod elsewhere;
mod erase;
mod lease;
mod reader;
mod runs;
mod tables;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;

use crate::model::{TimestampUs, quoted};
use crate::register::{Claim, Held, Holder, OfPlan, Register, WindowEnd, bucket};
use crate::storage::StorageError;

use super::statements::Preparer;
use super::{Cluster, ClusterError};

pub(crate) use reader::RegisterReader;

/// Rows of one batch, at most: all are of one partition.
const BATCH_ROWS: usize = 500;
/// Requests at once.
const AT_ONCE: usize = 16;

/// The register of one keyspace, as one run reads and writes it.
pub struct ClusterRegister {
    reader: RegisterReader,
    holder: Holder,
    /// The lease, once it is taken.
    held: OnceLock<Held>,
    statements: Statements,
}

impl fmt::Debug for ClusterRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reader, holder: Holder { run, host, .. }, .. } = self;
        write!(f, "{reader:?} for {run} on {host}")
    }
}

/// What is written.
struct Statements {
    entry: PreparedStatement,
    window: PreparedStatement,
    window_end: PreparedStatement,
    add_run: PreparedStatement,
    begin_state: PreparedStatement,
    set_state: PreparedStatement,
    take_first: PreparedStatement,
    take: PreparedStatement,
    renew: PreparedStatement,
}

impl Cluster {
    /// The register of the merged keyspace, for a run; its tables are created where they are missing. The lease is not
    /// taken yet.
    ///
    /// # Errors
    /// They are missing and may not be created, are of a later version, or cannot be used.
    pub async fn register(
        &self,
        keyspace: &str,
        (run, part): (&str, Option<OfPlan>),
    ) -> Result<ClusterRegister, ClusterError> {
        self.ensure_register(keyspace).await?;
        let reader = RegisterReader::prepare(self, keyspace).await?;
        let statements = Statements::prepare(&reader.preparer, &quoted(keyspace)).await?;
        let holder = Holder { run: run.to_owned(), host: hostname(), part };
        Ok(ClusterRegister { reader, holder, held: OnceLock::new(), statements })
    }
}

impl Statements {
    async fn prepare(with: &Preparer, name: &str) -> Result<Self, ClusterError> {
        let insert = |table: &str, columns: &str| {
            let marks = vec!["?"; columns.split(',').count() + 1].join(", ");
            format!("INSERT INTO {name}.{table} (keyspace_name, {columns}) VALUES ({marks})")
        };
        let entry = format!("bucket, {}", reader::ENTRY);
        let first = insert("lease", "run, host, epoch, floor, until") + " IF NOT EXISTS";
        let update = |set: &str, and: &str| {
            format!("UPDATE {name}.lease SET {set} WHERE keyspace_name = ? IF epoch = ?{and}")
        };
        Ok(Self {
            entry: with.prepare(&insert("accounts", &entry)).await?,
            window: with.prepare(&insert("windows", "run, t")).await?,
            window_end: with.prepare(&insert("windows", "run, t, ended, open")).await?,
            add_run: with.prepare(&insert("runs", runs::COLUMNS)).await?,
            begin_state: with.prepare(&insert("runs", "run, place, state")).await?,
            set_state: with.prepare(&insert("runs", "run, state, ended, groups")).await?,
            take_first: lease::conditional(with, &first).await?,
            take: lease::conditional(with, &update(lease::ALL, " AND until = ?")).await?,
            renew: lease::conditional(with, &update("floor = ?, until = ?", "")).await?,
        })
    }
}

impl ClusterRegister {
    /// What can be asked of it.
    pub(crate) fn reader(&self) -> &RegisterReader {
        &self.reader
    }

    /// The name of this machine.
    pub(crate) fn host(&self) -> &str {
        &self.holder.host
    }

    async fn tell(
        &self,
        what: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<(), StorageError> {
        self.reader.execute(what, statement, &values).await.map(drop)
    }

    async fn add_entries(&self, bucket: i32, entries: Vec<&Claim>) -> Result<(), StorageError> {
        let mut batch = CqlBatch::new(BatchType::Unlogged);
        batch.set_consistency(self.reader.preparer.levels.writes.into());
        batch.set_is_idempotent(true);
        let preparer = &self.reader.preparer;
        let statement = preparer.current(&self.statements.entry).into_owned();
        batch.statements = vec![BatchStatement::from(statement); entries.len()];
        let values: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let Claim { account, run, t, step, survivor } = entry;
                (&*self.reader.merged, bucket, &**account, &**run, *t, step.name(), &**survivor)
            })
            .collect();
        let result = preparer.renew(preparer.session.batch(&batch, values).await).await;
        result.map(drop).map_err(|error| self.reader.attempted("adding accounts to").failed(&error))
    }
}

impl Register for ClusterRegister {
    fn run(&self) -> &str {
        &self.holder.run
    }

    fn begin<'a>(
        &'a self,
        t: TimestampUs,
        entries: &'a [Claim],
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            // Without its window an account counts as busy, so the window may come last.
            let mut buckets: BTreeMap<i32, Vec<&Claim>> = BTreeMap::new();
            for entry in entries {
                buckets.entry(bucket(&entry.account)).or_default().push(entry);
            }
            let parts = buckets.into_iter().flat_map(|(bucket, entries)| {
                let parts = entries.chunks(BATCH_ROWS).map(<[_]>::to_vec).collect::<Vec<_>>();
                parts.into_iter().map(move |part| (bucket, part))
            });
            let adding = parts.map(|(bucket, part)| self.add_entries(bucket, part).boxed());
            stream::iter(adding.collect::<Vec<_>>())
                .buffer_unordered(AT_ONCE)
                .try_collect::<Vec<()>>()
                .await?;
            let values = (&*self.reader.merged, &*self.holder.run, t);
            self.tell("adding a window to", &self.statements.window, values).await
        }
        .boxed()
    }

    fn hold(&self, floor: TimestampUs) -> BoxFuture<'_, Result<(), StorageError>> {
        self.renew(floor).boxed()
    }

    fn look(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        self.look_at_lease().boxed()
    }

    fn end<'a>(&'a self, windows: &'a [WindowEnd]) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            for WindowEnd { t, open } in windows {
                let values = (&*self.reader.merged, &*self.holder.run, *t, true, open);
                self.tell("ending a window of", &self.statements.window_end, values).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// The name of this machine.
fn hostname() -> String {
    let named = |text: String| Some(text.trim().to_owned()).filter(|name| !name.is_empty());
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().and_then(named);
    kernel.or_else(|| std::env::var("HOSTNAME").ok().and_then(named)).unwrap_or_else(|| "?".into())
}
