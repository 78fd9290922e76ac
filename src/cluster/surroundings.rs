//! What the cluster tells of the tables beside their rows: what hangs on them, how long their tombstones are kept, which
//! nodes are away. It is a look: what a server does not tell is named, and nothing fails for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::cluster::Node;
use scylla::deserialize::row::DeserializeRow;

use crate::model::{LackingRight, PendingHints, Surroundings, TableSurroundings};
use crate::spec::Spec;

use super::ask::Ask;
use super::{Cluster, ClusterError, Lacking};

/// Guardrails that a merge may meet.
const GUARDRAILS: [&str; 13] = [
    "user_timestamps_enabled",
    "minimum_timestamp_fail_threshold",
    "maximum_timestamp_fail_threshold",
    "partition_keys_in_select_fail_threshold",
    "in_select_cartesian_product_fail_threshold",
    "page_size_fail_threshold",
    "column_value_size_fail_threshold",
    "collection_size_fail_threshold",
    "items_per_collection_fail_threshold",
    "partition_size_fail_threshold",
    "data_disk_usage_percentage_fail_threshold",
    "read_consistency_levels_disallowed",
    "write_consistency_levels_disallowed",
];
/// What says that one is not set.
const UNSET: [&str; 5] = ["-1", "[]", "true", "null", ""];

/// The bytes of what servers count their disks in.
const MEBIBYTE: u64 = 1 << 20;

impl Cluster {
    /// Asks for what stands around some tables.
    pub(crate) async fn surroundings(&self, tables: &[&str]) -> Surroundings {
        let state = self.session().get_cluster_state();
        let nodes = state.get_nodes_info();
        let (up, down): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.is_connected());
        let mut found = Surroundings {
            nodes: nodes.len() as u64,
            nodes_down: down.iter().map(|node| node.address.to_string()).collect(),
            ..Surroundings::default()
        };
        found.hints = self.hints(&up, &mut found.untold).await;
        found.guardrails = self.guardrails(&mut found.untold).await;
        let sizes = self.sizes(&up, &mut found.untold).await;
        let table = |name: &&str| TableSurroundings {
            table: (*name).to_owned(),
            gc_grace_s: self.gc_grace_s(name),
            disk_bytes: sizes.as_ref().map(|sizes| sizes.get(*name).copied().unwrap_or(0)),
            ..TableSurroundings::default()
        };
        found.tables = tables.iter().map(table).collect();
        self.add_what_hangs(&mut found).await;
        match self.not_durable().await {
            Ok(keyspaces) => found.not_durable = keyspaces,
            Err(error) => found.untold.push(format!("whether writes are durable: {error}")),
        }
        let views: Vec<String> =
            found.tables.iter().flat_map(|table| table.views.iter().cloned()).collect();
        let tables: Vec<String> = found.tables.iter().map(|table| table.table.clone()).collect();
        match self.lacking_to_apply(&tables, &views).await {
            Ok(lacking) => {
                let shown =
                    |one: &Lacking| LackingRight { what: one.to_string(), grant: one.grant() };
                found.lacking = Some(lacking.iter().map(shown).collect());
            }
            Err(why) => {
                found.untold.push(format!("whether this user may do what apply does: {why}"));
            }
        }
        found
    }

    /// The keyspaces, of the merged one and the register's, whose writes nodes keep in memory alone until they are flushed.
    ///
    /// # Errors
    /// The schema cannot be read.
    pub(crate) async fn not_durable(&self) -> Result<Vec<String>, ClusterError> {
        let text = "SELECT keyspace_name, durable_writes FROM system_schema.keyspaces";
        let all: Vec<(String, Option<bool>)> = Ask::any(self.session()).rows(text, ()).await?;
        let is_ours =
            |name: &str| name == self.settings.keyspace || self.register_keyspace() == Some(name);
        let own =
            all.into_iter().filter(|(name, durable)| *durable == Some(false) && is_ours(name));
        Ok(own.map(|(name, _)| name).collect())
    }

    /// How long the tombstones of a table are kept, in seconds.
    pub(crate) fn gc_grace_s(&self, table: &str) -> u64 {
        self.schema().tables.get(table).map_or(0, |table| table.gc_grace_s)
    }

    /// Sees that all tables of a specification keep their tombstones for so long at least.
    ///
    /// # Errors
    /// The first that does not.
    pub(crate) fn check_gc_grace(&self, spec: &Spec, least: Duration) -> Result<(), ClusterError> {
        let mut tables = spec.tables.iter().map(|table| (table, self.gc_grace_s(&table.name)));
        match tables.find(|(_, kept)| *kept < least.as_secs()) {
            None => Ok(()),
            Some((table, gc_grace_s)) => Err(ClusterError::ShortGcGrace {
                table: format!("{}.{}", self.settings.keyspace, table.name),
                gc_grace_s,
                least_s: least.as_secs(),
            }),
        }
    }

    /// The guardrails that are set, of those that a merge may meet.
    async fn guardrails(&self, untold: &mut Vec<String>) -> Vec<(String, String)> {
        let names = GUARDRAILS.map(|name| format!("'{name}'")).join(", ");
        let ask = format!("SELECT name, value FROM system_views.settings WHERE name IN ({names})");
        match Ask::any(self.session()).rows::<(String, Option<String>)>(&ask, ()).await {
            Ok(rows) => {
                let set = rows.into_iter().filter_map(|(name, value)| Some((name, value?)));
                set.filter(|(_, value)| !UNSET.contains(&value.as_str())).collect()
            }
            Err(error) => {
                untold.push(format!("guardrails: {error}"));
                Vec::new()
            }
        }
    }

    /// What nodes keep for others, by the node that it is for.
    async fn hints(
        &self,
        nodes: &[&Arc<Node>],
        untold: &mut Vec<String>,
    ) -> Option<Vec<PendingHints>> {
        let ask = "SELECT address, files FROM system_views.pending_hints";
        let what = "hints that nodes keep for others";
        let kept: Vec<(Option<IpAddr>, Option<i32>)> = self.all(nodes, ask, what, untold).await?;
        let mut by_node = BTreeMap::<String, u64>::new();
        for (node, files) in kept {
            let node = node.map_or_else(|| "a node that is gone".to_owned(), |ip| ip.to_string());
            *by_node.entry(node).or_default() += files.unwrap_or_default().max(0) as u64;
        }
        by_node.retain(|_, files| *files > 0);
        Some(by_node.into_iter().map(|(node, files)| PendingHints { node, files }).collect())
    }

    /// What the tables of the keyspace take on all disks, in bytes.
    async fn sizes(
        &self,
        nodes: &[&Arc<Node>],
        untold: &mut Vec<String>,
    ) -> Option<BTreeMap<String, u64>> {
        let ask = "SELECT keyspace_name, table_name, mebibytes FROM system_views.disk_usage";
        let what = "the size of tables on disk";
        let all: Vec<(String, String, Option<i64>)> = self.all(nodes, ask, what, untold).await?;
        let mut sizes = BTreeMap::new();
        for (_, table, mebibytes) in
            all.into_iter().filter(|(keyspace, ..)| *keyspace == self.settings.keyspace)
        {
            *sizes.entry(table).or_default() +=
                mebibytes.unwrap_or_default().max(0) as u64 * MEBIBYTE;
        }
        Some(sizes)
    }

    /// Adds what hangs on the tables.
    async fn add_what_hangs(&self, found: &mut Surroundings) {
        let ask = Ask::any(self.session());
        let of = (&self.settings.keyspace,);
        let Surroundings { tables, untold, .. } = found;
        let kinds: [(_, _, _, Names); 3] = [
            ("indexes", "table_name, index_name", "indexes", |table| &mut table.indexes),
            ("materialised views", "base_table_name, view_name", "views", |table| &mut table.views),
            ("triggers", "table_name, trigger_name", "triggers", |table| &mut table.triggers),
        ];
        for (what, columns, from, names) in kinds {
            let text =
                format!("SELECT {columns} FROM system_schema.{from} WHERE keyspace_name = ?");
            match ask.rows::<(String, String)>(&text, of).await {
                Ok(rows) => {
                    for (on, name) in rows {
                        if let Some(table) = named(tables, &on) {
                            names(table).push(name);
                        }
                    }
                }
                Err(error) => untold.push(format!("{what} of the tables: {error}")),
            }
        }
        let text = "SELECT table_name, cdc FROM system_schema.tables WHERE keyspace_name = ?";
        match ask.rows::<(String, Option<bool>)>(text, of).await {
            Ok(rows) => {
                for (on, cdc) in rows {
                    if let Some(table) = named(tables, &on) {
                        table.cdc = cdc == Some(true);
                    }
                }
            }
            Err(error) => untold.push(format!("whether changes of the tables are kept: {error}")),
        }
    }

    /// The rows of all nodes; none, and why, if one of them does not tell: what is left would pass for all.
    async fn all<R>(
        &self,
        nodes: &[&Arc<Node>],
        text: &str,
        what: &str,
        untold: &mut Vec<String>,
    ) -> Option<Vec<R>>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let mut all = Vec::new();
        let mut refused = None;
        for node in nodes {
            match Ask::one(self.session(), node).rows::<R>(text, ()).await {
                Ok(rows) => all.extend(rows),
                Err(error) => refused = Some(format!("{what}: {error}")),
            }
        }
        match refused {
            None => Some(all),
            Some(why) => {
                untold.push(why);
                None
            }
        }
    }
}

/// The bytes that no partition of a table on any node's disk exceeds; `None` if a node does not say. Nodes round up to whole
/// mebibytes (`TableMetricTables.StorageTableMetric`).
pub(super) async fn largest_partition(
    session: &Session,
    keyspace: &str,
    table: &str,
) -> Option<u64> {
    let text = "SELECT mebibytes FROM system_views.max_partition_size \
                WHERE keyspace_name = ? AND table_name = ?";
    let mut largest = 0;
    for node in session.get_cluster_state().get_nodes_info() {
        let asked = Ask::one(session, node).rows::<(Option<i64>,)>(text, (keyspace, table)).await;
        let reported = asked.inspect_err(|error| {
            tracing::debug!("node {} does not tell its largest partitions: {error}", node.address);
        });
        let mebibytes = reported.ok()?.first()?.0?.max(0);
        largest = largest.max(mebibytes.unsigned_abs().saturating_mul(MEBIBYTE));
    }
    Some(largest)
}

/// The names of one kind of what hangs on a table.
type Names = fn(&mut TableSurroundings) -> &mut Vec<String>;

fn named<'t>(tables: &'t mut [TableSurroundings], name: &str) -> Option<&'t mut TableSurroundings> {
    tables.iter_mut().find(|table| table.table == name)
}
