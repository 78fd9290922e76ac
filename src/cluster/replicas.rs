//! Where partitions are stored, for requests that concern several of them: the driver knows the replicas
//! of one partition key only, and sends other requests to any node, unless it is told.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use scylla::cluster::{ClusterState, NodeRef};
use scylla::policies::load_balancing::{FallbackPlan, LoadBalancingPolicy, RoutingInfo};
use scylla::routing::{Shard, Token};
use uuid::Uuid;

use crate::model::{AccountId, Scope, TableIndex};
use crate::storage::Width;

use super::store::ReadStore;
use super::values::{self, Values};

impl ReadStore {
    /// The token of an account's partition.
    pub(super) fn token(
        &self,
        table: TableIndex,
        scope: &Scope,
        account: &AccountId,
    ) -> Option<Token> {
        let values = Values(values::of_account(scope, account));
        self.reads[table].of_width(Width::Full).calculate_token(&values).ok().flatten()
    }

    /// The nodes that have a token, in the datacenter that is worked in.
    fn nodes_of(&self, table: TableIndex, token: Token) -> Vec<Uuid> {
        let state = self.preparer.session.get_cluster_state();
        let (keyspace, table) = (&self.preparer.keyspace, &self.spec.tables[table].name);
        let local_dc = self.preparer.local_dc.as_deref();
        let endpoints = state.get_token_endpoints(keyspace, table, token);
        let local = endpoints
            .into_iter()
            .filter(|(node, _)| local_dc.is_none() || node.datacenter.as_deref() == local_dc);
        local.map(|(node, _)| node.host_id).collect()
    }

    /// A number that stands for the nodes that have a token.
    pub(super) fn replica_set_of(&self, table: TableIndex, token: Token) -> u64 {
        if self.preparer.session.get_cluster_state().get_nodes_info().len() == 1 {
            return 0;
        }
        let mut nodes = self.nodes_of(table, token);
        nodes.sort_unstable();
        let mut hasher = DefaultHasher::new();
        nodes.hash(&mut hasher);
        hasher.finish()
    }

    /// Asks the nodes that have a token.
    pub(super) fn replicas(&self, table: TableIndex, token: Token) -> Arc<dyn LoadBalancingPolicy> {
        let mut nodes = self.nodes_of(table, token);
        // Another one each time: the load is spread, and what failed at one is tried at the next.
        fastrand::shuffle(&mut nodes);
        Arc::new(Replicas { nodes, others: Arc::clone(&self.preparer.policy) })
    }
}

/// Asks some nodes first.
#[derive(Debug)]
struct Replicas {
    nodes: Vec<Uuid>,
    others: Arc<dyn LoadBalancingPolicy>,
}

impl Replicas {
    fn connected<'a>(
        &'a self,
        cluster: &'a ClusterState,
    ) -> impl Iterator<Item = (NodeRef<'a>, Option<Shard>)> + Send + Sync + 'a {
        let nodes = self.nodes.iter().filter_map(|id| cluster.get_node_by_host_id(*id));
        nodes.filter(|node| node.is_connected()).map(|node| (node, None))
    }
}

impl LoadBalancingPolicy for Replicas {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        self.connected(cluster).next().or_else(|| self.others.pick(request, cluster))
    }

    fn fallback<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> FallbackPlan<'a> {
        Box::new(self.connected(cluster).skip(1).chain(self.others.fallback(request, cluster)))
    }

    fn name(&self) -> String {
        "replicas of a token".to_owned()
    }
}
