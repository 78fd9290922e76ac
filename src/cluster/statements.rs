//! The statements of a merge: their text, and their preparation at the run's consistency level.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use crate::spec::{Find, Spec, Table};
use crate::storage::Width;

use super::fault::one_line;
use super::{ClusterError, ClusterSettings};

/// The reads of one table.
pub(super) struct Reads {
    /// All columns of an account's partition, or of accounts' rows in a partition.
    pub(super) full: PreparedStatement,
    /// The key, and what policies and events look at.
    pub(super) slim: PreparedStatement,
    /// The columns that policies look at, in the order of [`Writes::update`].
    pub(super) policy_columns: Vec<usize>,
}

/// The writes of one table.
pub(super) struct Writes {
    pub(super) insert: PreparedStatement,
    /// Absent where the table has no policy.
    pub(super) update: Option<PreparedStatement>,
    pub(super) delete: PreparedStatement,
}

impl Reads {
    pub(super) fn of_width(&self, width: Width) -> &PreparedStatement {
        match width {
            Width::Full => &self.full,
            Width::Slim => &self.slim,
        }
    }
}

/// Prepares statements, all with the same options.
pub(super) struct Preparer<'a> {
    pub(super) session: &'a Session,
    pub(super) settings: &'a ClusterSettings,
}

impl Preparer<'_> {
    pub(super) async fn reads(&self, spec: &Spec) -> Result<Arc<[Reads]>, ClusterError> {
        let mut all = Vec::with_capacity(spec.tables.len());
        for table in &spec.tables {
            all.push(Reads {
                full: self.prepare(&self.select(table, table.columns.len())).await?,
                slim: self.prepare(&self.select(table, table.slim_len)).await?,
                policy_columns: table.survivorship.iter().map(|rule| rule.column).collect(),
            });
        }
        Ok(all.into())
    }

    pub(super) async fn writes(&self, spec: &Spec) -> Result<Arc<[Writes]>, ClusterError> {
        let mut all = Vec::with_capacity(spec.tables.len());
        for table in &spec.tables {
            let update = match table.survivorship.is_empty() {
                true => None,
                false => Some(self.prepare(&self.update(table)).await?),
            };
            all.push(Writes {
                insert: self.prepare(&self.insert(table)).await?,
                update,
                delete: self.prepare(&self.delete(table)).await?,
            });
        }
        Ok(all.into())
    }

    fn select(&self, table: &Table, columns: usize) -> String {
        let condition = match table.find {
            Find::Partition => format!("{} = ?", quoted(&table.columns[0].name)),
            Find::Clustering { .. } => format!(
                "{} = ? AND {} IN ?",
                quoted(&table.columns[0].name),
                quoted(&table.columns[table.account].name)
            ),
        };
        let columns = names(table, 0..columns).join(", ");
        format!("SELECT {columns} FROM {} WHERE {condition}", self.table(table))
    }

    fn insert(&self, table: &Table) -> String {
        let names = names(table, 0..table.columns.len());
        format!(
            "INSERT INTO {} ({}) VALUES ({}) USING TIMESTAMP ?",
            self.table(table),
            names.join(", "),
            vec!["?"; names.len()].join(", ")
        )
    }

    fn update(&self, table: &Table) -> String {
        let set: Vec<String> = table
            .survivorship
            .iter()
            .map(|rule| format!("{} = ?", quoted(&table.columns[rule.column].name)))
            .collect();
        format!(
            "UPDATE {} USING TIMESTAMP ? SET {} WHERE {}",
            self.table(table),
            set.join(", "),
            equals(table, table.key_len)
        )
    }

    /// Deletes a partition where the account is the partition key, else a row.
    fn delete(&self, table: &Table) -> String {
        let key_len = match table.find {
            Find::Partition => 1,
            Find::Clustering { .. } => table.key_len,
        };
        let condition = equals(table, key_len);
        format!("DELETE FROM {} USING TIMESTAMP ? WHERE {condition}", self.table(table))
    }

    fn table(&self, table: &Table) -> String {
        format!("{}.{}", quoted(&self.settings.keyspace), quoted(&table.name))
    }

    /// Prepares a statement and asserts that it can be sent to a replica directly.
    async fn prepare(&self, text: &str) -> Result<PreparedStatement, ClusterError> {
        let mut statement = self.session.prepare(text).await.map_err(|error| {
            ClusterError::Prepare { statement: text.into(), message: one_line(&error.to_string()) }
        })?;
        if !statement.is_token_aware() {
            return Err(ClusterError::NotTokenAware { statement: text.into() });
        }
        statement.set_consistency(self.settings.consistency.into());
        // Every write carries its own timestamp, so sending it twice is harmless.
        statement.set_is_idempotent(true);
        // The columns are named, so the metadata of an answer is known from the preparation.
        statement.set_use_cached_result_metadata(true);
        Ok(statement)
    }
}

fn names(table: &Table, range: std::ops::Range<usize>) -> Vec<String> {
    table.columns[range].iter().map(|column| quoted(&column.name)).collect()
}

fn equals(table: &Table, columns: usize) -> String {
    let terms: Vec<String> =
        names(table, 0..columns).into_iter().map(|name| format!("{name} = ?")).collect();
    terms.join(" AND ")
}

/// A name as stored, whatever its case.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
