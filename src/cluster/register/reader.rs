//! What the register knows, read: of accounts, windows, runs and the lease.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use scylla::deserialize::row::DeserializeRow;
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use crate::model::{TimestampUs, now_us, quoted};
use crate::register::{self, Archive, Claim, Lease, Run, RunWindows, Step, WindowEnd, bucket};
use crate::storage::{Fault, StorageError};

use super::super::ask::Ask;
use super::super::fault::Attempted;
use super::super::statements::Preparer;
use super::super::{Cluster, ClusterError, truncated};
use super::{AT_ONCE, lease, runs};

/// How often a statement is carried out that the server does not know any more.
const TRIES: u32 = 5;
/// Accounts that one read asks for.
const ASKED: usize = 100;
/// Rows of a page; a bucket that has no more is read whole.
const PAGE_ROWS: i32 = 5_000;
/// The columns of an entry, behind keyspace and bucket.
pub(super) const ENTRY: &str = "account, run, t, step, survivor";

/// An entry, as it is read.
type EntryRow = (String, String, i64, String, String);

/// The register of one keyspace, as it is read.
pub(crate) struct RegisterReader {
    pub(super) preparer: Preparer,
    pub(super) keyspace: String,
    /// The keyspace that is merged.
    pub(super) merged: String,
    entries_of: PreparedStatement,
    /// So many accounts are asked for at once: fewer, once a server has refused more.
    asked: AtomicUsize,
    bucket: PreparedStatement,
    windows: PreparedStatement,
    pub(super) run: PreparedStatement,
    pub(super) runs: PreparedStatement,
    pub(super) lease: PreparedStatement,
}

impl fmt::Debug for RegisterReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the register of {}", self.merged)
    }
}

impl Cluster {
    /// The register of the merged keyspace, to be read; none where its tables are not there.
    ///
    /// # Errors
    /// It is of a later version, or cannot be read.
    pub(crate) async fn register_reader(
        &self,
        keyspace: &str,
    ) -> Result<Option<RegisterReader>, ClusterError> {
        match self.has_register(keyspace).await? {
            true => RegisterReader::prepare(self, keyspace).await.map(Some),
            false => Ok(None),
        }
    }
}

impl RegisterReader {
    pub(super) async fn prepare(cluster: &Cluster, keyspace: &str) -> Result<Self, ClusterError> {
        let (with, name) = (cluster.register_preparer(), quoted(keyspace));
        let select = |columns: &str, table: &str, and: &str| {
            format!("SELECT {columns} FROM {name}.{table} WHERE keyspace_name = ?{and}")
        };
        let mut bucket = with.prepare_made(&select(ENTRY, "accounts", " AND bucket = ?")).await?;
        bucket.set_page_size(PAGE_ROWS);
        let of_accounts = select(ENTRY, "accounts", " AND bucket = ? AND account IN ?");
        let lease = select("run, host, epoch, floor, until", "lease", "");
        Ok(Self {
            entries_of: with.prepare(&of_accounts).await?,
            asked: AtomicUsize::new(ASKED),
            bucket,
            windows: with.prepare(&select("t, ended, open", "windows", " AND run = ?")).await?,
            run: with.prepare(&select(runs::COLUMNS, "runs", " AND run = ?")).await?,
            runs: with.prepare(&select(runs::COLUMNS, "runs", "")).await?,
            lease: lease::serial(&with, &lease).await?,
            keyspace: keyspace.to_owned(),
            merged: cluster.settings.keyspace.clone(),
            preparer: with,
        })
    }

    pub(super) fn attempted(&self, what: &'static str) -> Attempted<'_> {
        let about = format!("in {}, about keyspace {}", self.keyspace, self.merged);
        Attempted { what, table: "the register", about }
    }

    /// Carries out a statement; one that the server has forgotten, or has under another id, once more.
    pub(super) async fn execute(
        &self,
        what: &'static str,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
    ) -> Result<QueryResult, StorageError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let current = self.preparer.current(statement);
            let answer = self.preparer.session.execute_unpaged(&current, values).await;
            let answer = self.preparer.renew(answer).await;
            match answer.map_err(|error| self.attempted(what).failed(&error)) {
                Err(error) if error.kind == Fault::Forgotten && tries < TRIES => {}
                answer => return answer,
            }
        }
    }

    /// Carries out a statement; gives what it answers.
    pub(super) async fn ask<R>(
        &self,
        what: &'static str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, StorageError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let unreadable = |error: &dyn std::error::Error| self.attempted(what).unreadable(error);
        let answer = self.execute(what, statement, &values).await?;
        let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
        let rows = rows.rows::<R>().map_err(|error| unreadable(&error))?;
        rows.map(|row| row.map_err(|error| unreadable(&error))).collect()
    }

    /// Where it is, beside the keyspace that is merged.
    pub(crate) fn keyspace(&self) -> &str {
        &self.keyspace
    }

    /// Its tables, each with its id: one that was dropped and made anew has another.
    ///
    /// # Errors
    /// The schema cannot be read.
    pub(crate) async fn tables(&self) -> Result<BTreeMap<String, String>, ClusterError> {
        let text = "SELECT table_name, id FROM system_schema.tables WHERE keyspace_name = ?";
        let ask = Ask::any(&self.preparer.session);
        let tables: Vec<(String, Uuid)> = ask.rows(text, (&self.keyspace,)).await?;
        Ok(tables.into_iter().map(|(name, id)| (name, id.to_string())).collect())
    }

    /// Which of these tables of it have been truncated after a moment, as far as nodes tell it.
    pub(crate) async fn truncated_since(
        &self,
        tables: &BTreeMap<String, String>,
        since: TimestampUs,
    ) -> BTreeMap<String, TimestampUs> {
        let tables = tables.iter().map(|(name, id)| (&**name, &**id));
        truncated::since(&self.preparer.session, tables, since).await
    }

    /// Who works on the keyspace: a run, or parts of one plan.
    ///
    /// # Errors
    /// The register cannot be read.
    pub(crate) async fn at_work(&self) -> Result<Vec<Lease>, StorageError> {
        register::at_work(self, &self.merged, now_us()).await
    }

    /// What is known of accounts of one bucket.
    async fn of_bucket(
        &self,
        bucket: i32,
        accounts: HashSet<&str>,
    ) -> Result<Vec<Claim>, StorageError> {
        if accounts.len() > ASKED {
            // One request, where the register has few accounts.
            let found = self.scan(bucket, 0, &|account| accounts.contains(account)).await?;
            if let Some(found) = found {
                return Ok(found);
            }
        }
        let mut found = Vec::new();
        let accounts: Vec<&str> = accounts.into_iter().collect();
        let mut left = &accounts[..];
        while !left.is_empty() {
            let asked = self.asked.load(Ordering::Relaxed).clamp(1, left.len());
            let values = (&*self.merged, bucket, &left[..asked]);
            let rows: Result<Vec<EntryRow>, _> =
                self.ask("reading accounts of", &self.entries_of, values).await;
            match rows {
                Ok(rows) => {
                    found.extend(rows.into_iter().map(entry));
                    left = &left[asked..];
                }
                // A server may not take so many at once.
                Err(error) if asked > 1 && error.kind == Fault::Permanent => {
                    self.asked.fetch_min(asked / 2, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    pub(super) async fn bucket_page(
        &self,
        bucket: i32,
        after: PagingState,
    ) -> Result<(Vec<Claim>, Option<PagingState>), StorageError> {
        let what = "reading accounts of";
        let values = (&*self.merged, bucket);
        let statement = &self.bucket;
        let statement = self.preparer.current(statement);
        let answer = self.preparer.session.execute_single_page(&statement, values, after).await;
        let answer = self.preparer.renew(answer).await;
        let (answer, next) = answer.map_err(|error| self.attempted(what).failed(&error))?;
        let unreadable = |error: &dyn std::error::Error| self.attempted(what).unreadable(error);
        let rows = answer.into_rows_result().map_err(|error| unreadable(&error))?;
        let rows = rows.rows::<EntryRow>().map_err(|error| unreadable(&error))?;
        let rows: Result<Vec<_>, _> =
            rows.map(|row| row.map(entry).map_err(|error| unreadable(&error))).collect();
        let next = match next {
            PagingStateResponse::HasMorePages { state } => Some(state),
            PagingStateResponse::NoMorePages => None,
        };
        Ok((rows?, next))
    }
}

impl Archive for RegisterReader {
    fn entries<'a>(
        &'a self,
        accounts: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<Claim>, StorageError>> {
        async move {
            let mut buckets: BTreeMap<i32, HashSet<&str>> = BTreeMap::new();
            for account in accounts {
                buckets.entry(bucket(account)).or_default().insert(account);
            }
            let reading =
                buckets.into_iter().map(|(bucket, some)| self.of_bucket(bucket, some).boxed());
            let found: Vec<Vec<Claim>> = stream::iter(reading.collect::<Vec<_>>())
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
            Ok(found.into_iter().flatten().collect())
        }
        .boxed()
    }

    fn scan<'a>(
        &'a self,
        bucket: i32,
        most: usize,
        is_wanted: &'a (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Option<Vec<Claim>>, StorageError>> {
        async move {
            let (mut found, mut read, mut after) = (Vec::new(), 0, PagingState::start());
            while read <= most
                // A server may not give so many rows at once.
                && let Ok((rows, next)) = self.bucket_page(bucket, after).await
            {
                read += rows.len();
                found.extend(rows.into_iter().filter(|entry| is_wanted(&entry.account)));
                match next {
                    Some(next) => after = next,
                    None => return Ok(Some(found)),
                }
            }
            Ok(None)
        }
        .boxed()
    }

    fn windows<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<RunWindows, StorageError>> {
        async move {
            let values = (&*self.merged, run);
            let rows: Vec<(i64, Option<bool>, Option<BTreeSet<String>>)> =
                self.ask("reading windows of", &self.windows, values).await?;
            let window = |(t, ended, open): (i64, Option<bool>, Option<BTreeSet<String>>)| {
                let end = WindowEnd { t, open: open.unwrap_or_default() };
                (t, (ended == Some(true)).then_some(end))
            };
            Ok(rows.into_iter().map(window).collect())
        }
        .boxed()
    }

    fn known_run<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<Option<Run>, StorageError>> {
        self.run_of(run).boxed()
    }
}

fn entry((account, run, t, step, survivor): EntryRow) -> Claim {
    Claim { account, run, t, step: Step::of(&step), survivor }
}
