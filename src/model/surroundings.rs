//! What stands around the tables that are merged, as far as a cluster tells it to a client.

use serde::Serialize;

/// A cluster and its tables, as they are before a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Surroundings {
    /// Nodes of the cluster.
    pub nodes: u64,
    /// Those to which there is no connection, by address.
    pub nodes_down: Vec<String>,
    /// What nodes keep for others; null where no node tells.
    pub hints: Option<Vec<PendingHints>>,
    /// Limits that the servers set themselves, of those that a merge may meet: name and value.
    pub guardrails: Vec<(String, String)>,
    /// What the user lacks of what `apply` needs in the cluster; null where that is not known.
    pub lacking: Option<Vec<LackingRight>>,
    /// The keyspaces, the register's included, of which nodes keep no commit log (`durable_writes = false`).
    pub not_durable: Vec<String>,
    /// The tables, in the order of the specification.
    pub tables: Vec<TableSurroundings>,
    /// What the cluster did not tell, and why.
    #[serde(rename = "unknown")]
    pub untold: Vec<String>,
}

/// A permission that is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LackingRight {
    /// Permission and resource, as in `MODIFY on table courses.user_courses`.
    pub what: String,
    /// The statement by which it is given.
    pub grant: String,
}

/// Writes that wait for a node which could not take them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PendingHints {
    /// The address of that node.
    pub node: String,
    /// The files in which the others keep them.
    pub files: u64,
}

/// What stands around one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableSurroundings {
    pub table: String,
    /// How long its tombstones are kept, in seconds: so long may a node go without a repair.
    pub gc_grace_s: u64,
    /// What it takes on the disks of all nodes, to a mebibyte; null where that is not told.
    pub disk_bytes: Option<u64>,
    /// Its secondary indexes.
    pub indexes: Vec<String>,
    /// The materialised views of it.
    pub views: Vec<String>,
    pub triggers: Vec<String>,
    /// Whether its changes are kept for a consumer.
    pub cdc: bool,
}
