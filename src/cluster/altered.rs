//! Whether the tables are still what they were when the statements were prepared.
//!
//! A statement knows the columns that it names. One that somebody adds meanwhile would not be copied, and the delete of
//! its row or partition would take it. So the schema's version is asked before whatever a command intends is written: of
//! all nodes, for one may not have heard of a change yet. What a version is not known by is looked up once, at a node
//! that has it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use scylla::client::session::Session;
use scylla::cluster::Node;
use uuid::Uuid;

use crate::model::TimestampUs;
use crate::spec::schema::Schema;
use crate::spec::{Alteration, Spec};
use crate::storage::{Fault, StorageError};

use super::ask::Ask;
use super::clocks::{CLOCK, moments};
use super::statements::Preparer;
use super::{ClusterError, schema};

/// The schema that statements were prepared for.
pub(super) struct Prepared {
    schema: Schema,
    /// Versions by which the tables are what they were.
    same: Mutex<BTreeSet<Uuid>>,
}

impl Prepared {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { schema: schema.clone(), same: Mutex::default() }
    }

    /// Sees that no table of the specification has been altered; returns what the clock of the node says that was asked, as
    /// the earliest and the latest moment that it may mean.
    ///
    /// # Errors
    /// What was altered, or why that cannot be told.
    pub(super) async fn see_unaltered(
        &self,
        with: &Preparer,
        spec: &Spec,
    ) -> Result<[TimestampUs; 2], StorageError> {
        let session = &*with.session;
        let mut connected = connected(session);
        fastrand::shuffle(&mut connected);
        let Some(asked) = connected.first() else {
            return Err(unknown("no node is connected"));
        };
        let (clock, versions) = versions(session, asked).await.map_err(|error| unasked(&error))?;
        for (version, node) in versions {
            if self.same().contains(&version) {
                continue;
            }
            // One that is gone takes no writes by that version either.
            let Some(node) = connected.iter().find(|known| known.host_id == node) else { continue };
            let ask = Ask::one(session, node);
            let now = match schema::read(&ask, &with.keyspace, with.user.as_deref()).await {
                Ok(now) => now,
                Err(ClusterError::MissingKeyspace { .. }) => Schema::default(),
                Err(error) => return Err(unasked(&error)),
            };
            let tables = spec.tables.iter().map(|table| table.name.as_str());
            if let Some((table, what)) = Alteration::of_tables(&self.schema, &now, tables).first() {
                return Err(altered(table, what));
            }
            self.same().insert(version);
        }
        Ok(clock)
    }

    /// The tables of the specification that are not there any more, or are other ones by now, as far as a node tells it.
    pub(super) async fn gone(&self, with: &Preparer, spec: &Spec) -> Vec<String> {
        let session = &*with.session;
        let connected = connected(session);
        let Some(node) = connected.first() else { return Vec::new() };
        let ask = Ask::one(session, node);
        let now = match schema::read(&ask, &with.keyspace, with.user.as_deref()).await {
            Ok(now) => now,
            Err(ClusterError::MissingKeyspace { .. }) => Schema::default(),
            Err(_) => return Vec::new(),
        };
        let tables = spec.tables.iter().map(|table| table.name.as_str());
        let is_gone =
            |what: &Alteration| matches!(what, Alteration::Dropped | Alteration::Recreated);
        let all = Alteration::of_tables(&self.schema, &now, tables).into_iter();
        all.filter(|(_, what)| is_gone(what)).map(|(table, _)| table.to_owned()).collect()
    }

    fn same(&self) -> std::sync::MutexGuard<'_, BTreeSet<Uuid>> {
        self.same.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connected(session: &Session) -> Vec<Arc<Node>> {
    let state = session.get_cluster_state();
    state.get_nodes_info().iter().filter(|node| node.is_connected()).cloned().collect()
}

/// Versions of the schema, each with a node that has it.
type Versions = Vec<(Uuid, Uuid)>;

/// What the clock of a node says, and the versions that it knows of.
async fn versions(
    session: &Session,
    asked: &Arc<Node>,
) -> Result<([TimestampUs; 2], Versions), ClusterError> {
    let ask = Ask::one(session, asked);
    let peers = "SELECT schema_version, host_id FROM system.peers";
    // A node that is just coming has no version yet.
    let mut versions: Vec<(Option<Uuid>, Option<Uuid>)> = ask.rows(peers, ()).await?;
    // Last, so that the clock is read behind everything else.
    let own =
        format!("SELECT {CLOCK}, schema_version, host_id FROM system.local WHERE key = 'local'");
    let own: Vec<(i64, Option<Uuid>, Option<Uuid>)> = ask.rows(&own, ()).await?;
    versions.extend(own.iter().map(|(_, version, node)| (*version, *node)));
    let clock = own.first().map_or([TimestampUs::MIN, TimestampUs::MAX], |(ms, ..)| moments(*ms));
    Ok((clock, versions.into_iter().filter_map(|(version, node)| version.zip(node)).collect()))
}

fn altered(table: &str, what: &Alteration) -> StorageError {
    let message = format!(
        "table {table} {what} since this command began, so nothing more is written by what it knows of the table"
    );
    StorageError { class: message.clone(), message, kind: Fault::Fatal }
}

fn unasked(error: &ClusterError) -> StorageError {
    unknown(&error.to_string())
}

fn unknown(why: &str) -> StorageError {
    let message = format!("whether a table has been altered cannot be told: {why}");
    StorageError { class: message.clone(), message, kind: Fault::Transient }
}
