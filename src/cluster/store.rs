//! The tables of a specification in a cluster: [`ReadStore`] can only read, [`Store`] can write.

use std::sync::Arc;

use bytes::Bytes;
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::OnceCell;

use crate::model::{AccountId, Clocks, Row, Scope, TableIndex, TimestampUs, TokenRange};
use crate::spec::Spec;
use crate::storage::{
    Among, Cursor, Fault, KeyPage, Mention, Node, Page, Reader, StorageError, TimedPage, TimedRow,
    Width,
};

use super::altered::Prepared;
use super::fault::Attempted;
use super::reads::{Reads, TimedReads};
use super::statements::Preparer;
use super::values::{self, Value, Values};
use super::writes::Writes;
use super::{ClusterError, about, clocks, rows, surroundings};

/// Reads the tables; it holds no statement that could write, and whatever asks for a writer does not take it:
///
/// ```compile_fail
/// fn merge<W: tributary::storage::Writer>() {}
/// merge::<tributary::cluster::ReadStore>();
/// ```
#[derive(Clone)]
pub struct ReadStore {
    pub(super) preparer: Preparer,
    pub(super) spec: Arc<Spec>,
    pub(super) reads: Arc<[Reads]>,
    /// Prepared when they are first needed: a plain merge does without.
    pub(super) timed: Arc<OnceCell<Vec<TimedReads>>>,
    pub(super) prepared: Arc<Prepared>,
}

/// Reads and writes the tables.
#[derive(Clone)]
pub struct Store {
    pub(super) read: ReadStore,
    pub(super) writes: Arc<[Writes]>,
}

impl Store {
    /// What this server cannot tell of the tables, in one sentence; `None` if it tells everything.
    pub fn untold(&self) -> Option<String> {
        self.read.untold()
    }

    /// How many nodes there are (in the datacenter to work in, if one is named), and how many of them there is a
    /// connection to.
    pub(crate) fn nodes(&self) -> (usize, usize) {
        let preparer = &self.read.preparer;
        let state = preparer.session.get_cluster_state();
        let is_ours = |node: &&Arc<scylla::cluster::Node>| {
            preparer.local_dc.is_none() || node.datacenter == preparer.local_dc
        };
        let nodes = state.get_nodes_info().iter().filter(is_ours);
        nodes.fold((0, 0), |(known, connected), node| {
            (known + 1, connected + usize::from(node.is_connected()))
        })
    }
}

impl ReadStore {
    /// Prepares the reads with write times now, so that a server that refuses them says so before
    /// anything is done, and what it cannot tell is said.
    ///
    /// # Errors
    /// The server does not take them.
    pub async fn prepare_timed(&self) -> Result<(), ClusterError> {
        self.all_timed().await?;
        if let Some(untold) = self.untold() {
            tracing::warn!("{untold}");
        }
        Ok(())
    }

    /// The tables of the specification that were dropped while this command ran.
    pub(crate) async fn gone(&self) -> Vec<String> {
        self.prepared.gone(&self.preparer, &self.spec).await
    }

    async fn all_timed(&self) -> Result<&[TimedReads], ClusterError> {
        let prepared =
            self.timed.get_or_try_init(|| TimedReads::prepare(&self.preparer, &self.spec));
        prepared.await.map(Vec::as_slice)
    }

    async fn timed(&self, table: TableIndex) -> Result<&TimedReads, StorageError> {
        let all = self.all_timed().await.map_err(|error| {
            let what = self.reading(table, "with write times".into());
            let kind = match &error {
                ClusterError::Prepare { kind, .. } => *kind,
                _ => Fault::Fatal,
            };
            what.error(&error.to_string(), kind)
        })?;
        Ok(&all[table])
    }

    /// A read of a table, `about` which account or key.
    fn reading(&self, table: TableIndex, about: String) -> Attempted<'_> {
        self.attempted("reading", table, about)
    }

    /// A read of a table, about some accounts.
    pub(super) fn about(&self, table: TableIndex, among: Among<'_>) -> Attempted<'_> {
        let shape = &self.spec.tables[table];
        self.reading(table, about::of_accounts(shape, among.scope, among.accounts))
    }

    /// A statement about the partitions of several accounts, sent to a node that holds them.
    pub(super) fn at(
        &self,
        table: TableIndex,
        among: Among<'_>,
        statement: &PreparedStatement,
    ) -> PreparedStatement {
        let mut statement = statement.clone();
        statement.set_load_balancing_policy(self.nearest(table, among));
        statement
    }

    /// The first rows of several accounts' partitions.
    async fn first(
        &self,
        table: TableIndex,
        among: Among<'_>,
        statement: Option<&PreparedStatement>,
        rows: usize,
    ) -> Result<Vec<Row>, StorageError> {
        let what = || self.about(table, among);
        let Some(statement) = statement else {
            let why = "its accounts have no partitions of their own";
            return Err(what().error(why, Fault::Permanent));
        };
        let limit = i32::try_from(rows).unwrap_or(i32::MAX);
        let mut values = values::of_accounts(among.scope, among.accounts);
        values.push(Value::Int(limit));
        self.all(&self.at(table, among, statement), &Values(values), &what).await
    }

    pub(super) fn attempted(
        &self,
        what: &'static str,
        table: TableIndex,
        about: String,
    ) -> Attempted<'_> {
        Attempted { what, table: &self.spec.tables[table].name, about }
    }

    /// One page of an answer, of at most `rows` rows.
    pub(super) async fn one_page<'a>(
        &self,
        statement: &PreparedStatement,
        values: &Values<'_>,
        rows: usize,
        after: Option<Cursor>,
        what: &impl Fn() -> Attempted<'a>,
    ) -> Result<Page, StorageError> {
        let (answer, next) = self.one_answer(statement, values, rows, after, what).await?;
        Ok(Page { rows: rows::of_answer(answer, what)?, next })
    }

    /// As [`one_page`](Self::one_page), as it came.
    pub(super) async fn one_answer<'a>(
        &self,
        statement: &PreparedStatement,
        values: &Values<'_>,
        rows: usize,
        after: Option<Cursor>,
        what: &impl Fn() -> Attempted<'a>,
    ) -> Result<(QueryResult, Option<Cursor>), StorageError> {
        let mut statement = self.preparer.current(statement).into_owned();
        statement.set_page_size(i32::try_from(rows).unwrap_or(i32::MAX));
        let state = after.map_or_else(PagingState::start, |c| PagingState::new_from_raw_bytes(c.0));
        let answer = self.preparer.session.execute_single_page(&statement, values, state).await;
        let answer = self.preparer.renew(answer).await;
        let (result, next) = answer.map_err(|error| what().failed(&error))?;
        let next = match next {
            PagingStateResponse::NoMorePages => None,
            PagingStateResponse::HasMorePages { state } => {
                state.as_bytes_slice().map(|bytes| Cursor(Arc::clone(bytes)))
            }
        };
        Ok((result, next))
    }

    /// A whole answer at once.
    pub(super) async fn all<'a>(
        &self,
        statement: &PreparedStatement,
        values: &Values<'_>,
        what: &impl Fn() -> Attempted<'a>,
    ) -> Result<Vec<Row>, StorageError> {
        let statement = self.preparer.current(statement);
        let result = self.preparer.session.execute_unpaged(&statement, values).await;
        let result = self.preparer.renew(result).await;
        rows::of_answer(result.map_err(|error| what().failed(&error))?, what)
    }
}

impl AsRef<ReadStore> for ReadStore {
    fn as_ref(&self) -> &ReadStore {
        self
    }
}

impl AsRef<ReadStore> for Store {
    fn as_ref(&self) -> &ReadStore {
        &self.read
    }
}

impl<S: AsRef<ReadStore> + Send + Sync + 'static> Reader for S {
    async fn page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<Page, StorageError> {
        let store = self.as_ref();
        let what = || store.reading(table, about::of_account(&store.spec.tables[table], rows_of));
        let values = Values(values::of_account(rows_of.0, rows_of.1));
        let statement = store.reads[table].of_width(width);
        let page = store.one_page(statement, &values, rows, after, &what).await?;
        Ok(Page { rows: store.with_moments(table, width, page.rows, &what)?, next: page.next })
    }

    async fn first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        width: Width,
        rows: usize,
    ) -> Result<Vec<Row>, StorageError> {
        let store = self.as_ref();
        let what = || store.about(table, among);
        let rows =
            store.first(table, among, store.reads[table].first_of_width(width), rows).await?;
        store.with_moments(table, width, rows, &what)
    }

    async fn timed_first_rows(
        &self,
        table: TableIndex,
        among: Among<'_>,
        rows: usize,
    ) -> Result<Vec<TimedRow>, StorageError> {
        let store = self.as_ref();
        let what = || store.about(table, among);
        let statement = store.timed(table).await?.first.as_ref();
        let rows = store.first(table, among, statement, rows).await?;
        store.with_times(table, rows, &what)
    }

    async fn see_unaltered(&self) -> Result<[TimestampUs; 2], StorageError> {
        let store = self.as_ref();
        store.prepared.see_unaltered(&store.preparer, &store.spec).await
    }

    async fn clocks(&self) -> Result<Clocks, StorageError> {
        let asked = clocks::ask_all(&self.as_ref().preparer.session).await;
        // Somebody, or a daemon, sets the clock that is wrong.
        let failed = |error: ClusterError| StorageError {
            message: error.to_string(),
            class: error.to_string(),
            kind: Fault::Transient,
        };
        asked.map_err(failed)
    }

    fn replicas(&self, table: TableIndex, scope: &Scope, account: &AccountId) -> Vec<Node> {
        self.as_ref().holders(table, scope, account)
    }

    async fn largest_partition(&self, table: TableIndex) -> Option<u64> {
        let store = self.as_ref();
        let name = &store.spec.tables[table].name;
        surroundings::largest_partition(&store.preparer.session, &store.preparer.keyspace, name)
            .await
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        let store = self.as_ref();
        let what =
            || store.reading(table, about::of_accounts(&store.spec.tables[table], scope, accounts));
        let values = Values(values::of_accounts(scope, accounts));
        let reads = &store.reads[table];
        let rows = store.all(reads.of_width(Width::Full), &values, &what).await?;
        let rows = store.with_collections(table, rows, reads.collections.as_ref(), &what).await?;
        store.with_moments(table, Width::Full, rows, &what)
    }

    async fn owners(
        &self,
        table: TableIndex,
        among: Among<'_>,
    ) -> Result<Vec<AccountId>, StorageError> {
        self.as_ref().owners_among(table, among).await
    }

    async fn timed_page(
        &self,
        table: TableIndex,
        rows_of: (&Scope, &AccountId),
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<TimedPage, StorageError> {
        let store = self.as_ref();
        let what = || store.reading(table, about::of_account(&store.spec.tables[table], rows_of));
        let values = Values(values::of_account(rows_of.0, rows_of.1));
        let statement = &store.timed(table).await?.full;
        let page = store.one_page(statement, &values, rows, after, &what).await?;
        Ok(TimedPage { rows: store.with_times(table, page.rows, &what)?, next: page.next })
    }

    async fn timed_rows_of(
        &self,
        table: TableIndex,
        scope: &Scope,
        accounts: &[AccountId],
    ) -> Result<Vec<TimedRow>, StorageError> {
        let store = self.as_ref();
        let what =
            || store.reading(table, about::of_accounts(&store.spec.tables[table], scope, accounts));
        let values = Values(values::of_accounts(scope, accounts));
        let rows = store.all(&store.timed(table).await?.full, &values, &what).await?;
        let collections = store.reads[table].collections.as_ref();
        let rows = store.with_collections(table, rows, collections, &what).await?;
        store.with_times(table, rows, &what)
    }

    async fn written_since(
        &self,
        table: TableIndex,
        among: Among<'_>,
        t: TimestampUs,
    ) -> Result<Vec<Vec<Bytes>>, StorageError> {
        self.as_ref().keys_written_since(table, among, t).await
    }

    async fn timed_row(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<TimedRow>, StorageError> {
        let store = self.as_ref();
        let shape = &store.spec.tables[table];
        let what =
            || store.reading(table, format!("row {}", about::shown_key(shape, 0..key.len(), key)));
        let values = Values(key.iter().map(Value::raw).collect());
        let rows = store.all(&store.timed(table).await?.row, &values, &what).await?;
        Ok(store.with_times(table, rows, &what)?.pop())
    }

    async fn mention(
        &self,
        table: TableIndex,
        key: &[Bytes],
    ) -> Result<Option<Mention>, StorageError> {
        self.as_ref().mention_of(table, key).await
    }

    async fn token_ranges(&self, at_least: usize) -> Result<Vec<TokenRange>, StorageError> {
        self.as_ref().ring(at_least).await
    }

    async fn scan(
        &self,
        table: TableIndex,
        range: TokenRange,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<KeyPage, StorageError> {
        self.as_ref().keys(table, range, rows, after).await
    }
}
