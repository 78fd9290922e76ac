//! The register's tables: their definition, and that they are there.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::prepared::PreparedStatement;

use crate::model::quoted;

use super::super::ask::Ask;
use super::super::fault::{is_unprepared_for_table, one_line};
use super::super::granted::Granted;
use super::super::rights::{Wanted, permitted};
use super::super::statements::Preparer;
use super::super::{Cluster, ClusterError};

/// The number of this layout of the tables. One with a higher number may mean what this version does not know.
const VERSION: i32 = 1;

/// How often it is tried to create what is missing, or to use what has just been created, and how long is waited in between.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// The tables: name, partition key, and what stands behind `CREATE TABLE IF NOT EXISTS` and the name.
const TABLES: [(&str, &[&str], &str); 5] = [
    ("version", &["name"], "(name text PRIMARY KEY, version int)"),
    (
        "lease",
        &["keyspace_name"],
        "(keyspace_name text PRIMARY KEY, run text, host text, epoch bigint, floor bigint, until bigint)",
    ),
    (
        "runs",
        &["keyspace_name"],
        "(keyspace_name text, run text, place text, user_name text, version text, began bigint, ended bigint, \
         input_sha256 text, spec_sha256 text, tables set<text>, state text, groups map<text, bigint>, \
         PRIMARY KEY (keyspace_name, run))",
    ),
    (
        "windows",
        &["keyspace_name", "run"],
        "(keyspace_name text, run text, t bigint, ended boolean, open set<text>, \
         PRIMARY KEY ((keyspace_name, run), t))",
    ),
    (
        "accounts",
        &["keyspace_name", "bucket"],
        "(keyspace_name text, bucket int, account text, run text, t bigint, step text, survivor text, \
         PRIMARY KEY ((keyspace_name, bucket), account, run, t))",
    ),
];

impl Cluster {
    /// Sees that the tables are there, and creates what is missing, replicated as the merged keyspace is.
    ///
    /// # Errors
    /// They are missing and may not be created; a later version of the program has created them.
    pub(super) async fn ensure_register(&self, keyspace: &str) -> Result<(), ClusterError> {
        let (session, merged) = (self.session(), &self.settings.keyspace);
        if !self.are_there(keyspace).await? {
            let replication: Vec<(HashMap<String, String>,)> = Ask::any(session)
                .rows(
                    "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?",
                    (merged,),
                )
                .await?;
            let replication = replication.into_iter().next().map(|(of,)| of).unwrap_or_default();
            let statements = statements(keyspace, &replication);
            // Where a DBA has made the keyspace, the right to make another one is not needed.
            let is_made = self.is_keyspace(keyspace).await?;
            self.create(keyspace, &statements, usize::from(is_made)).await?;
            // Other nodes refuse to prepare what they have not heard of yet.
            session.await_schema_agreement().await.map_err(|error| ClusterError::Query {
                what: format!("creating the register {keyspace}"),
                message: one_line(&error.to_string()),
            })?;
        }
        self.check_register_rights(keyspace, Wanted::Write).await?;
        self.check_version(keyspace).await
    }

    /// Sees that the user may read its tables, and write them if that is wanted.
    async fn check_register_rights(
        &self,
        keyspace: &str,
        wanted: Wanted,
    ) -> Result<(), ClusterError> {
        let (with, name) = (self.register_preparer(), quoted(keyspace));
        let looks = TABLES.iter().map(|(table, key, _)| {
            let (with, table) = (&with, format!("{name}.{table}"));
            let key: Vec<String> = key.iter().map(|column| (*column).to_owned()).collect();
            async move { with.lacking(&table, &key, wanted).await }
        });
        let lacking = join_all(looks).await.into_iter().flatten();
        permitted(lacking.map(|lacking| lacking.on_keyspace(keyspace)))
    }

    /// Whether there is a register, of a version that is known.
    pub(super) async fn has_register(&self, keyspace: &str) -> Result<bool, ClusterError> {
        let is_there = self.are_there(keyspace).await?;
        if is_there {
            self.check_register_rights(keyspace, Wanted::Read).await?;
            self.known_version(keyspace).await?;
        }
        Ok(is_there)
    }

    /// How much of it there is.
    pub(in super::super) async fn register_state(
        &self,
        keyspace: &str,
    ) -> Result<RegisterState, ClusterError> {
        Ok(if self.are_there(keyspace).await? {
            RegisterState::Made
        } else if self.is_keyspace(keyspace).await? {
            RegisterState::Empty
        } else {
            RegisterState::Missing
        })
    }

    async fn is_keyspace(&self, keyspace: &str) -> Result<bool, ClusterError> {
        let known: Vec<(String,)> = Ask::any(self.session())
            .rows(
                "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
                (keyspace,),
            )
            .await?;
        Ok(!known.is_empty())
    }

    pub(super) async fn are_there(&self, keyspace: &str) -> Result<bool, ClusterError> {
        let known: Vec<(String,)> = Ask::any(self.session())
            .rows(
                "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?",
                (keyspace,),
            )
            .await?;
        Ok(TABLES.iter().all(|(table, ..)| known.iter().any(|(name,)| name == table)))
    }

    /// Creates the tables, and the keyspace unless it is `made`. Whoever creates one in the same moment may make the server
    /// fail at it, and is waited for.
    async fn create(
        &self,
        keyspace: &str,
        all: &[String],
        made: usize,
    ) -> Result<(), ClusterError> {
        let mut attempts = 0;
        for statement in all.iter().skip(made) {
            while let Err(error) = self.create_one(keyspace, statement, all).await {
                attempts += 1;
                if attempts == ATTEMPTS || matches!(error, ClusterError::NoRegister { .. }) {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    async fn create_one(
        &self,
        keyspace: &str,
        statement: &str,
        all: &[String],
    ) -> Result<(), ClusterError> {
        let Err(error) = self.session().query_unpaged(statement, ()).await else { return Ok(()) };
        let message = one_line(&error.to_string());
        let is_forbidden = matches!(
            &error,
            ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Unauthorized,
                _
            ))
        );
        let keyspace = keyspace.to_owned();
        Err(match is_forbidden {
            true => ClusterError::NoRegister { keyspace, message, ddl: all.join(";\n") + ";" },
            false => {
                ClusterError::Query { what: format!("creating the register {keyspace}"), message }
            }
        })
    }

    /// The version of the register, if it says one.
    async fn known_version(&self, keyspace: &str) -> Result<Option<i32>, ClusterError> {
        let name = quoted(keyspace);
        let select = format!("SELECT version FROM {name}.version WHERE name = 'register'");
        let version: Result<Vec<(Option<i32>,)>, _> =
            Ask::any(self.session()).rows(&select, ()).await;
        let version = version.map_err(|error| unreadable(keyspace, error))?;
        match version.into_iter().next().and_then(|(version,)| version) {
            Some(version) if version > VERSION => {
                Err(ClusterError::NewerRegister { keyspace: keyspace.to_owned(), version })
            }
            version => Ok(version),
        }
    }

    async fn check_version(&self, keyspace: &str) -> Result<(), ClusterError> {
        if self.known_version(keyspace).await?.is_some() {
            return Ok(());
        }
        let insert = format!(
            "INSERT INTO {}.version (name, version) VALUES ('register', {VERSION})",
            quoted(keyspace)
        );
        let inserted = self.session().query_unpaged(insert, ()).await;
        inserted.map(drop).map_err(|error| ClusterError::Query {
            what: format!("creating the register {keyspace}"),
            message: one_line(&error.to_string()),
        })
    }
}

impl Preparer {
    /// Prepares a statement on a table that the schema's tables name. A node names it there a moment before it knows it, and
    /// another node may be later still: whoever has not created it himself asks again.
    pub(super) async fn prepare_made(&self, text: &str) -> Result<PreparedStatement, ClusterError> {
        let mut attempts = 1;
        loop {
            match self.prepare(text).await {
                Err(ClusterError::Prepare { message, .. })
                    if attempts < ATTEMPTS && is_unprepared_for_table(&message) =>
                {
                    attempts += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }
}

/// How much of a register there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum RegisterState {
    Made,
    /// Its keyspace, but not all of its tables.
    Empty,
    /// Nothing.
    Missing,
}

impl RegisterState {
    /// What a user lacks to work with it, who may do whatever he likes with what he creates: permissions, each with its
    /// resource.
    pub(in super::super) fn needs(
        self,
        granted: &Granted,
        keyspace: &str,
    ) -> Vec<(&'static str, String)> {
        let covers = |permission: &str| {
            let tables = TABLES.iter();
            granted.reaches(permission, keyspace)
                || tables.clone().all(|(table, ..)| granted.covers(permission, keyspace, table))
        };
        let on = format!("<keyspace {keyspace}>");
        match self {
            Self::Made => ["SELECT", "MODIFY"]
                .into_iter()
                .filter(|permission| !covers(permission))
                .map(|permission| (permission, on.clone()))
                .collect(),
            Self::Empty if !granted.reaches("CREATE", keyspace) => vec![("CREATE", on)],
            Self::Missing if !granted.is_everywhere("CREATE") => {
                vec![("CREATE", "<all keyspaces>".to_owned())]
            }
            Self::Empty | Self::Missing => Vec::new(),
        }
    }
}

/// That the register cannot be read, rather than the schema; it may be kept on other nodes than what is merged.
fn unreadable(keyspace: &str, error: ClusterError) -> ClusterError {
    let ClusterError::Query { mut message, .. } = error else { return error };
    if message.contains("Not enough nodes are alive") {
        let name = quoted(keyspace);
        message += &format!(
            ". Nodes are down, or its replication asks for more than there are: ALTER KEYSPACE {name} WITH replication = …"
        );
    }
    ClusterError::Query { what: format!("reading the register {keyspace}"), message }
}

/// What creates the keyspace and its tables.
fn statements(keyspace: &str, replication: &HashMap<String, String>) -> Vec<String> {
    let mut options: Vec<String> =
        replication.iter().map(|(name, value)| format!("'{name}': '{value}'")).collect();
    // The class first, as people write it.
    options.sort_by_key(|option| (!option.starts_with("'class'"), option.clone()));
    let name = quoted(keyspace);
    let keyspace = format!(
        "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {{{}}}",
        options.join(", ")
    );
    let tables = TABLES
        .iter()
        .map(|(table, _, columns)| format!("CREATE TABLE IF NOT EXISTS {name}.{table} {columns}"));
    [keyspace].into_iter().chain(tables).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_needs_what_is_still_to_be_made() {
        let granted = |all: &[(&str, &str)]| {
            let own = all.iter().map(|(one, on)| ((*one).to_owned(), (*on).to_owned()));
            Granted::Only(own.collect())
        };
        let (on, everywhere) = ("<keyspace r>".to_owned(), "<all keyspaces>".to_owned());
        let none = granted(&[]);
        let (made, empty, missing) =
            (RegisterState::Made, RegisterState::Empty, RegisterState::Missing);
        assert_eq!(made.needs(&none, "r"), [("SELECT", on.clone()), ("MODIFY", on.clone())]);
        assert_eq!(empty.needs(&none, "r"), [("CREATE", on.clone())]);
        assert_eq!(missing.needs(&none, "r"), [("CREATE", everywhere)]);
        let some = granted(&[("CREATE", "<keyspace r>"), ("SELECT", "<all tables in r>")]);
        assert_eq!(made.needs(&some, "r"), [("MODIFY", on)]);
        assert!(empty.needs(&some, "r").is_empty());
        for state in [made, empty, missing] {
            assert!(state.needs(&Granted::All, "r").is_empty());
        }
    }

    #[test]
    fn the_statements_are_what_a_dba_would_run() {
        let replication =
            [("dc1", "3"), ("class", "org.apache.cassandra.locator.NetworkTopologyStrategy")];
        let replication = replication.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let statements = statements("tributary", &replication);
        assert_eq!(
            statements[0],
            "CREATE KEYSPACE IF NOT EXISTS \"tributary\" WITH replication = {'class': \
             'org.apache.cassandra.locator.NetworkTopologyStrategy', 'dc1': '3'}"
        );
        assert_eq!(statements.len(), 1 + TABLES.len());
    }
}
