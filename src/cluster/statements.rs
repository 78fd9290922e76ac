//! How statements are prepared, and the parts of their text that reads and writes share.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use scylla::client::session::Session;
use scylla::errors::{ExecutionError, RequestAttemptError};
use scylla::policies::load_balancing::LoadBalancingPolicy;
use scylla::statement::prepared::PreparedStatement;

use crate::model::{ColumnIndex, quoted};
use crate::spec::Table;

use super::ClusterError;
use super::capabilities::{Capabilities, Capability};
use super::datacenters::Levels;
use super::fault::{one_line, preparation_kind};

/// Prepares statements on the tables of one keyspace, all with the same options.
#[derive(Clone)]
pub(super) struct Preparer {
    pub(super) session: Arc<Session>,
    pub(super) keyspace: String,
    /// At which consistency levels its statements are carried out.
    pub(super) levels: Levels,
    /// The datacenter to work in, if one is named.
    pub(super) local_dc: Option<String>,
    /// Who is logged in, if anybody.
    pub(super) user: Option<String>,
    /// What the server can do.
    pub(super) capabilities: Arc<Capabilities>,
    /// Which nodes are asked where nothing else is said.
    pub(super) policy: Arc<dyn LoadBalancingPolicy>,
    /// Statements that the server has come to know by other ids.
    pub(super) renewed: Arc<Renewed>,
}

/// Statements by their text, as they were prepared last.
#[derive(Default)]
pub(super) struct Renewed {
    is_any: AtomicBool,
    by_text: Mutex<HashMap<String, PreparedStatement>>,
}

impl Renewed {
    fn by_text(&self) -> MutexGuard<'_, HashMap<String, PreparedStatement>> {
        self.by_text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many partitions a statement concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// One, so that it is sent to a replica directly.
    OnePartition,
    /// Several, which may be on different nodes.
    Partitions,
}

impl Preparer {
    /// The full name of a table.
    pub(super) fn table(&self, table: &Table) -> String {
        format!("{}.{}", quoted(&self.keyspace), quoted(&table.name))
    }

    /// Refuses a statement that needs what the server cannot do.
    ///
    /// # Errors
    /// What the server says of it.
    pub(super) async fn require(&self, needed: Capability, text: &str) -> Result<(), ClusterError> {
        match self.capabilities.has(needed) {
            true => Ok(()),
            false => self.prepare_for(text, Reach::Partitions).await.map(drop),
        }
    }

    /// Prepares a statement of one partition.
    pub(super) async fn prepare(&self, text: &str) -> Result<PreparedStatement, ClusterError> {
        self.prepare_for(text, Reach::OnePartition).await
    }

    /// Prepares a statement and asserts, if it is of one partition, that it can be sent to a replica
    /// directly.
    pub(super) async fn prepare_for(
        &self,
        text: &str,
        reach: Reach,
    ) -> Result<PreparedStatement, ClusterError> {
        let mut statement =
            self.session.prepare(text).await.map_err(|error| ClusterError::Prepare {
                statement: text.into(),
                message: one_line(&error.to_string()),
                kind: preparation_kind(&error),
            })?;
        if reach == Reach::OnePartition && !statement.is_token_aware() {
            return Err(ClusterError::NotTokenAware { statement: text.into() });
        }
        self.make_ready(&mut statement);
        Ok(statement)
    }

    fn make_ready(&self, statement: &mut PreparedStatement) {
        let level = match statement.get_statement().starts_with("SELECT") {
            true => self.levels.reads,
            false => self.levels.writes,
        };
        statement.set_consistency(level.into());
        // Every write carries its own timestamp, so sending it twice is harmless.
        statement.set_is_idempotent(true);
        // The columns are named, so the metadata of an answer is known from the preparation.
        statement.set_use_cached_result_metadata(true);
    }

    /// A statement by the id that the server knows it by.
    pub(super) fn current<'a>(
        &self,
        statement: &'a PreparedStatement,
    ) -> Cow<'a, PreparedStatement> {
        let is_any = self.renewed.is_any.load(Ordering::Relaxed);
        let renewed =
            is_any.then(|| self.renewed.by_text().get(statement.get_statement()).cloned());
        let Some(mut renewed) = renewed.flatten() else { return Cow::Borrowed(statement) };
        renewed.set_page_size(statement.get_page_size());
        if let Some(consistency) = statement.get_consistency() {
            renewed.set_consistency(consistency);
        }
        renewed.set_serial_consistency(statement.get_serial_consistency());
        renewed.set_use_cached_result_metadata(statement.get_use_cached_result_metadata());
        renewed.set_load_balancing_policy(statement.get_load_balancing_policy().cloned());
        Cow::Owned(renewed)
    }

    /// Prepares a statement anew if a request has failed because the server knows it by another id: the next attempt has
    /// it. The driver prepares again what the server has forgotten, but keeps the id.
    pub(super) async fn renew<T>(
        &self,
        answer: Result<T, ExecutionError>,
    ) -> Result<T, ExecutionError> {
        if let Err(ExecutionError::LastAttemptError(RequestAttemptError::RepreparedIdChanged {
            statement: text,
            ..
        })) = &answer
            && let Ok(mut statement) = self.session.prepare(text.as_str()).await
        {
            self.make_ready(&mut statement);
            self.renewed.by_text().insert(text.clone(), statement);
            self.renewed.is_any.store(true, Ordering::Relaxed);
        }
        answer
    }
}

pub(super) fn names(table: &Table, columns: impl IntoIterator<Item = ColumnIndex>) -> Vec<String> {
    columns.into_iter().map(|column| quoted(&table.columns[column].name)).collect()
}

/// The condition on the first columns of a table.
pub(super) fn equals(table: &Table, columns: usize) -> String {
    conditions(table, 0..columns).join(" AND ")
}

pub(super) fn conditions(
    table: &Table,
    columns: impl IntoIterator<Item = ColumnIndex>,
) -> Vec<String> {
    names(table, columns).iter().map(|name| format!("{name} = ?")).collect()
}
