//! Where partitions are stored, for requests that concern several of them: the driver knows the replicas
//! of one partition key only, and sends other requests to any node, unless it is told.

use std::sync::Arc;

use scylla::cluster::{ClusterState, NodeRef};
use scylla::policies::load_balancing::{FallbackPlan, LoadBalancingPolicy, RoutingInfo};
use scylla::routing::{Shard, Token};
use uuid::Uuid;

use crate::model::{AccountId, Scope, TableIndex};
use crate::storage::{Among, Node, Width};

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

    /// The nodes that hold an account's partition.
    pub(super) fn holders(
        &self,
        table: TableIndex,
        scope: &Scope,
        account: &AccountId,
    ) -> Vec<Node> {
        if let [only] = self.preparer.session.get_cluster_state().get_nodes_info() {
            return vec![Node(only.host_id.as_u128())];
        }
        let token = self.token(table, scope, account);
        let nodes = token.map(|token| self.nodes_of(table, token)).unwrap_or_default();
        nodes.into_iter().map(|id| Node(id.as_u128())).collect()
    }

    /// Asks the node that is named, or those that hold the first account.
    pub(super) fn nearest(
        &self,
        table: TableIndex,
        Among { scope, accounts, node }: Among<'_>,
    ) -> Option<Arc<dyn LoadBalancingPolicy>> {
        if let Some(Node(id)) = node {
            let others = Arc::clone(&self.preparer.policy);
            return Some(Arc::new(Replicas { nodes: vec![Uuid::from_u128(id)], others }));
        }
        let token = self.token(table, scope, accounts.first()?)?;
        Some(self.replicas(table, token))
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
