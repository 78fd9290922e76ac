//! The tables of a specification in a cluster: [`ReadStore`] can only read, [`Store`] can write.

use std::sync::Arc;

use bytes::Bytes;
use scylla::client::session::Session;
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::QueryResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;

use crate::account::{AccountId, Batch, Change, Mutation, Row, TableIndex};
use crate::spec::Spec;
use crate::storage::{Cursor, Page, Reader, StorageError, Width, Writer};

use super::fault::{Attempted, shown};
use super::statements::{Reads, Writes};
use super::values::{self, Value, Values};

/// Reads the tables; it holds no statement that could write.
#[derive(Clone)]
pub struct ReadStore {
    pub(super) session: Arc<Session>,
    pub(super) spec: Arc<Spec>,
    pub(super) reads: Arc<[Reads]>,
}

/// Reads and writes the tables.
#[derive(Clone)]
pub struct Store {
    pub(super) read: ReadStore,
    pub(super) writes: Arc<[Writes]>,
    pub(super) consistency: Consistency,
}

impl ReadStore {
    fn name(&self, table: TableIndex) -> &str {
        &self.spec.tables[table].name
    }
}

impl Reader for ReadStore {
    async fn page(
        &self,
        table: TableIndex,
        account: &AccountId,
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<Page, StorageError> {
        let what = || Attempted {
            what: "reading",
            table: self.name(table),
            about: format!("account {}", shown(account.cell())),
        };
        let mut statement = self.reads[table].of_width(width).clone();
        statement.set_page_size(i32::try_from(rows).unwrap_or(i32::MAX));
        let state = after.map_or_else(PagingState::start, |c| PagingState::new_from_raw_bytes(c.0));
        let values = Values(vec![Value::Raw(account.cell().clone())]);
        let (result, next) = self
            .session
            .execute_single_page(&statement, &values, state)
            .await
            .map_err(|error| what().failed(&error))?;
        let next = match next {
            PagingStateResponse::NoMorePages => None,
            PagingStateResponse::HasMorePages { state } => {
                state.as_bytes_slice().map(|bytes| Cursor(Arc::clone(bytes)))
            }
        };
        Ok(Page { rows: rows_of_answer(result, &what)?, next })
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        let what = || Attempted {
            what: "reading",
            table: self.name(table),
            about: format!("{} accounts in '{}'", accounts.len(), shown(partition)),
        };
        let values = Values(vec![Value::Raw(partition.clone()), values::account_list(accounts)]);
        let result = self
            .session
            .execute_unpaged(&self.reads[table].full, &values)
            .await
            .map_err(|error| what().failed(&error))?;
        rows_of_answer(result, &what)
    }
}

impl Reader for Store {
    async fn page(
        &self,
        table: TableIndex,
        account: &AccountId,
        width: Width,
        rows: usize,
        after: Option<Cursor>,
    ) -> Result<Page, StorageError> {
        self.read.page(table, account, width, rows, after).await
    }

    async fn rows_of(
        &self,
        table: TableIndex,
        partition: &Bytes,
        accounts: &[AccountId],
    ) -> Result<Vec<Row>, StorageError> {
        self.read.rows_of(table, partition, accounts).await
    }
}

impl Store {
    fn statement(&self, mutation: &Mutation) -> Option<&PreparedStatement> {
        let writes = &self.writes[mutation.table];
        match &mutation.change {
            Change::Insert { .. } => Some(&writes.insert),
            Change::Update { .. } => writes.update.as_ref(),
            Change::DeleteRow { .. } | Change::DeletePartition { .. } => Some(&writes.delete),
        }
    }
}

impl Writer for Store {
    async fn write(&self, batch: &Batch) -> Result<(), StorageError> {
        let what = || Attempted {
            what: "writing",
            table: self.read.name(batch.table),
            about: format!(
                "{} statements in '{}'",
                batch.mutations.len(),
                shown(batch.partition_key().map_or(&[], |key| key))
            ),
        };
        let statements: Vec<&PreparedStatement> =
            batch.mutations.iter().filter_map(|mutation| self.statement(mutation)).collect();
        let values: Vec<Values> = batch
            .mutations
            .iter()
            .map(|mutation| values::of_mutation(mutation, &self.read.reads[mutation.table]))
            .collect();
        let session = &self.read.session;
        let result = match (statements.as_slice(), values.as_slice()) {
            ([statement], [values]) => session.execute_unpaged(statement, values).await,
            _ => {
                // A batch takes its consistency from itself, not from the statements in it.
                let mut cql = CqlBatch::new(BatchType::Unlogged);
                cql.set_consistency(self.consistency);
                cql.set_is_idempotent(true);
                cql.statements = statements
                    .into_iter()
                    .map(|statement| BatchStatement::from(statement.clone()))
                    .collect();
                session.batch(&cql, &values).await
            }
        };
        result.map(drop).map_err(|error| what().failed(&error))
    }
}

/// The rows of an answer; cells share the memory of the frame that they arrived in.
fn rows_of_answer<'a>(
    result: QueryResult,
    what: &impl Fn() -> Attempted<'a>,
) -> Result<Vec<Row>, StorageError> {
    let rows = result.into_rows_result().map_err(|error| what().unreadable(&error))?;
    let mut all = Vec::with_capacity(rows.rows_num());
    for columns in rows.rows::<ColumnIterator<'_, '_>>().map_err(|e| what().unreadable(&e))? {
        let columns = columns.map_err(|error| what().unreadable(&error))?;
        let cells = columns
            .map(|column| Ok(column?.slice.map(|slice| slice.to_bytes())))
            .collect::<Result<_, scylla::errors::DeserializationError>>()
            .map_err(|error| what().unreadable(&error))?;
        all.push(Row { cells });
    }
    Ok(all)
}
