//! What a server can do that not every Cassandra can, asked once when a command connects: by preparing what would need it
//! (where a server refuses it only then, by carrying it out), never by a version number. What is missing is refused where
//! it is needed, in the words of the server about the statement that needs it ([`Preparer::require`](super::statements::Preparer::require)).
//!
//! A server that is not Cassandra has other rules where its answers look alike, so it is refused by its name. So is one
//! whose guardrails forbid what every merge needs: before the first write, by a write that no server can carry out.

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use scylla::statement::batch::{Batch as CqlBatch, BatchStatement, BatchType};

use crate::spec::Table;
use crate::storage::Fault;

use super::ClusterError;
use super::fault::{is_about_level, one_line};
use super::statements::{Preparer, equals};
use super::values::{Value, Values};

/// What a statement may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capability {
    /// `WRITETIME` of a map or set that is not frozen, with a time for each element.
    CollectionTimes,
    /// `IN` on a clustering column where a collection is selected.
    InBesideCollections,
    /// `IN` on a clustering column behind another one that is not asked for.
    InBehindOthers,
    /// `PER PARTITION LIMIT`.
    PartitionLimit,
}

impl Capability {
    /// Every capability with a statement that needs it and nothing else, on a table that every Cassandra has.
    const PROBES: [(Self, &'static str); 4] = [
        (Self::CollectionTimes, "SELECT WRITETIME(tokens) FROM system.local WHERE key = 'local'"),
        (
            Self::InBesideCollections,
            "SELECT permissions FROM system_auth.role_permissions WHERE role = ? AND resource IN ?",
        ),
        (
            Self::InBehindOthers,
            // Of one value, the server makes an equation.
            "SELECT column_name FROM system_schema.columns WHERE keyspace_name = 'system' \
             AND column_name IN ('key', 'tokens') ALLOW FILTERING",
        ),
        (Self::PartitionLimit, "SELECT key FROM system.local PER PARTITION LIMIT 1"),
    ];
}

/// What the server can do.
#[derive(Clone, Debug, Default)]
pub(super) struct Capabilities {
    missing: Vec<Capability>,
}

impl Capabilities {
    /// Asks the server.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn ask(session: &Session) -> Result<Self, ClusterError> {
        let mut missing = Vec::new();
        for (capability, probe) in Capability::PROBES {
            match ask(session, probe).await {
                Ok(true) => {}
                Ok(false) => missing.push(capability),
                Err(message) => {
                    let what = "asking what the server can do".to_owned();
                    return Err(ClusterError::Query { what, message: one_line(&message) });
                }
            }
        }
        Ok(Self { missing })
    }

    /// Whether the server can do something.
    pub(super) fn has(&self, capability: Capability) -> bool {
        !self.missing.contains(&capability)
    }
}

/// Whether a server takes a statement: all of them are prepared, and those are carried out that need no values.
async fn ask(session: &Session, probe: &str) -> Result<bool, String> {
    let refused = |attempt: &RequestAttemptError| {
        let refusals = |kind: &DbError| {
            matches!(kind, DbError::SyntaxError | DbError::Invalid | DbError::Unauthorized)
        };
        matches!(attempt, RequestAttemptError::DbError(kind, _) if refusals(kind))
    };
    let prepared = match session.prepare(probe).await {
        Ok(prepared) => prepared,
        Err(PrepareError::AllAttemptsFailed { first_attempt }) if refused(&first_attempt) => {
            return Ok(false);
        }
        Err(error) => return Err(error.to_string()),
    };
    if prepared.get_variable_col_specs().len() > 0 {
        return Ok(true);
    }
    match session.execute_unpaged(&prepared, ()).await {
        Ok(_) => Ok(true),
        Err(ExecutionError::LastAttemptError(attempt)) if refused(&attempt) => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// The name of a server that is not Cassandra, as its system tables give it away.
pub(super) fn other_product(
    keyspaces: &[String],
    schema_tables: &[String],
) -> Option<&'static str> {
    let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
    if has(schema_tables, "scylla_tables") {
        return Some("ScyllaDB");
    }
    has(keyspaces, "system_schema_mcs").then_some("Amazon Keyspaces")
}

/// What a merge writes has a time of its own.
const OWN_TIMES: &str = "writes with a time of their own (USING TIMESTAMP)";

/// They are written at one consistency level, too.
const OWN_LEVEL: &str = "writes at the consistency level of this run (--consistency)";

/// Finds out whether the server takes what every merge writes: a delete with a time of its own, and an unlogged batch of
/// such. Some guardrails are checked when a statement is prepared, some when it is carried out; so it is, with null keys:
/// it is refused for those where nothing else is wrong with it, and nothing is ever written.
///
/// # Errors
/// A guardrail, or whatever else the server has against them.
pub(super) async fn check_writes(with: &Preparer, table: &Table) -> Result<(), ClusterError> {
    let key = equals(table, table.key_len);
    let delete = |using: &str| format!("DELETE FROM {}{using} WHERE {key}", with.table(table));
    let delete = match with.prepare(&delete(" USING TIMESTAMP ?")).await {
        Ok(delete) => delete,
        Err(ClusterError::Prepare { message, kind: Fault::Fatal, .. })
            if with.prepare(&delete("")).await.is_ok() =>
        {
            return Err(ClusterError::Forbidden { what: OWN_TIMES, message });
        }
        Err(other) => return Err(other),
    };
    // As old as can be.
    let oldest = Value::BigInt(1);
    let nulls = (0..table.key_len).map(|_| Value::Null);
    let values = Values([oldest].into_iter().chain(nulls).collect());
    take(with.session.execute_unpaged(&delete, &values).await.map(drop), OWN_TIMES)?;
    let mut batch = CqlBatch::new(BatchType::Unlogged);
    batch.set_consistency(with.levels.writes.into());
    batch.statements = vec![BatchStatement::from(delete); 2];
    let batched = with.session.batch(&batch, vec![values.clone(), values]).await.map(drop);
    take(batched, "unlogged batches")
}

/// Tells a refusal of the kind of request from that of its null keys, and from what says nothing.
fn take(result: Result<(), ExecutionError>, what: &'static str) -> Result<(), ClusterError> {
    let Err(error) = result else { return Ok(()) };
    let ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, message)) = &error
    else {
        return Ok(());
    };
    let is_refused = matches!(kind, DbError::Invalid | DbError::ConfigError | DbError::SyntaxError);
    if !is_refused || says_null(message) {
        return Ok(());
    }
    let what = if is_about_level(message) { OWN_LEVEL } else { what };
    Err(ClusterError::Forbidden { what, message: one_line(message) })
}

fn says_null(message: &str) -> bool {
    message.to_ascii_lowercase().contains("null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_not_allowed_is_told_from_times_that_are_not() {
        let forbidden = |message: &str| {
            let error = RequestAttemptError::DbError(DbError::Invalid, message.into());
            match take(Err(ExecutionError::LastAttemptError(error)), OWN_TIMES) {
                Err(ClusterError::Forbidden { what, .. }) => what,
                other => panic!("{other:?}"),
            }
        };
        let level =
            "Guardrail write_consistency_levels violated: Provided values [QUORUM] are not allowed";
        assert_eq!(forbidden(level), OWN_LEVEL);
        assert_eq!(
            forbidden("User provided timestamps (USING TIMESTAMP) is not allowed"),
            OWN_TIMES
        );
    }

    #[test]
    fn servers_that_are_not_cassandra_have_a_name() {
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cassandra = names(&["system", "system_schema", "system_views", "learning"]);
        let tables = names(&["tables", "columns", "views"]);
        assert_eq!(other_product(&cassandra, &tables), None);
        let scylla = names(&["tables", "scylla_tables"]);
        assert_eq!(other_product(&cassandra, &scylla), Some("ScyllaDB"));
        let amazon = names(&["system", "system_schema_mcs"]);
        assert_eq!(other_product(&amazon, &tables), Some("Amazon Keyspaces"));
    }
}
