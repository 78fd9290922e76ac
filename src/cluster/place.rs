//! Where partitions are stored, for requests that concern several of them: the driver sends those to any
//! node, unless it is told.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::cluster::{ClusterState, NodeRef};
use scylla::errors::RequestAttemptError;
use scylla::policies::load_balancing::{FallbackPlan, LoadBalancingPolicy, RoutingInfo};
use scylla::routing::{Shard, Token};

/// Sends a request to a replica of a token.
#[derive(Debug)]
pub(super) struct ReplicaOf {
    pub(super) token: Token,
    /// Chooses among the replicas.
    pub(super) policy: Arc<dyn LoadBalancingPolicy>,
}

impl LoadBalancingPolicy for ReplicaOf {
    fn pick<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> Option<(NodeRef<'a>, Option<Shard>)> {
        let mut request = request.clone();
        request.token = Some(self.token);
        let (node, shard) = self.policy.pick(&request, cluster)?;
        // What is returned must not outlive the changed request, so that the node is looked up again.
        Some((cluster.get_node_by_host_id(node.host_id)?, shard))
    }

    fn fallback<'a>(
        &'a self,
        request: &'a RoutingInfo<'_>,
        cluster: &'a ClusterState,
    ) -> FallbackPlan<'a> {
        self.policy.fallback(request, cluster)
    }

    fn on_request_success(&self, request: &RoutingInfo<'_>, latency: Duration, node: NodeRef<'_>) {
        self.policy.on_request_success(request, latency, node);
    }

    fn on_request_failure(
        &self,
        request: &RoutingInfo<'_>,
        latency: Duration,
        node: NodeRef<'_>,
        error: &RequestAttemptError,
    ) {
        self.policy.on_request_failure(request, latency, node, error);
    }

    fn name(&self) -> String {
        "ReplicaOf".to_owned()
    }
}

/// A number that stands for the nodes that own a token.
pub(super) fn owners(session: &Session, keyspace: &str, table: &str, token: Token) -> u64 {
    let state = session.get_cluster_state();
    if state.get_nodes_info().len() == 1 {
        return 0;
    }
    let endpoints = state.get_token_endpoints(keyspace, table, token);
    let mut nodes: Vec<_> = endpoints.iter().map(|(node, _)| node.host_id).collect();
    nodes.sort_unstable();
    let mut hasher = DefaultHasher::new();
    nodes.hash(&mut hasher);
    hasher.finish()
}
