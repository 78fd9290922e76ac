//! Questions about the cluster itself, to any node or to one.

use std::sync::Arc;

use scylla::client::session::Session;
use scylla::cluster::Node;
use scylla::deserialize::row::DeserializeRow;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::serialize::row::SerializeRow;
use scylla::statement::unprepared::Statement;

use super::ClusterError;
use super::fault::{is_about_level, one_line};

/// Who is asked.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) session: &'a Session,
    /// Any node, if none is named.
    pub(super) node: Option<Arc<Node>>,
}

impl<'a> Ask<'a> {
    pub(super) fn any(session: &'a Session) -> Self {
        Self { session, node: None }
    }

    pub(super) fn one(session: &'a Session, node: &Arc<Node>) -> Self {
        Self { session, node: Some(Arc::clone(node)) }
    }

    /// All rows of an answer.
    pub(super) async fn rows<R>(
        &self,
        text: &str,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, ClusterError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let failed = |error: &dyn std::error::Error| {
            let mut message = one_line(&error.to_string());
            if is_about_level(&message) {
                message += ". Name another level: --consistency";
            }
            ClusterError::Query { what: "reading the schema".into(), message }
        };
        let mut asked = Statement::new(text);
        asked.set_load_balancing_policy(self.node.as_ref().map(|node| {
            let node = NodeIdentifier::Node(Arc::clone(node));
            SingleTargetLoadBalancingPolicy::new(node, None)
        }));
        let answer = self.session.query_unpaged(asked, values).await;
        let rows = answer.map_err(|error| failed(&error))?.into_rows_result();
        let rows = rows.map_err(|error| failed(&error))?;
        let rows = rows.rows::<R>().map_err(|error| failed(&error))?;
        rows.map(|row| row.map_err(|error| failed(&error))).collect()
    }
}
