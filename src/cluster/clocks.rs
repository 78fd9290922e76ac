//! The nodes' clocks: a merge is dated by the earliest of them.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::cluster::Node;

use crate::model::{Clocks, TimestampUs, now_us};

use super::ClusterError;
use super::ask::Ask;

/// The most that a node's clock may differ from ours.
const MAX_SKEW: Duration = Duration::from_secs(5);

/// What a node's clock says, in milliseconds, as it is selected.
pub(super) const CLOCK: &str = "toUnixTimestamp(now())";

/// The moments that a clock may mean that has milliseconds, in microseconds.
pub(super) fn moments(clock_ms: i64) -> [TimestampUs; 2] {
    [clock_ms * 1_000, clock_ms * 1_000 + 999]
}

/// Asks every node for its clock.
///
/// # Errors
/// A clock is more than 5 s away from ours: writes of the application and of the merge could not be told apart by their
/// times.
pub(super) async fn ask_all(session: &Session) -> Result<Clocks, ClusterError> {
    let (mut latest, mut behind) = (now_us(), Duration::ZERO);
    for node in session.get_cluster_state().get_nodes_info() {
        let before = now_us();
        let Some(clock_ms) = ask(session, node).await else { continue };
        // The answer was given at some moment between the two.
        let after = now_us();
        let [earliest, last] = moments(clock_ms);
        let behind_us = (before - last).max(0);
        let skew_us = behind_us.max(earliest - after);
        if skew_us > MAX_SKEW.as_micros() as i64 {
            let (node, skew_s) = (node.address.to_string(), skew_us as f64 / 1e6);
            return Err(ClusterError::ClockSkew { node, skew_s });
        }
        latest = latest.max(last + 1);
        behind = behind.max(Duration::from_micros(behind_us.unsigned_abs()));
    }
    let ours = now_us();
    Ok(Clocks { ours, latest: latest.max(ours), behind })
}

/// The node's clock in milliseconds; `None` (and a warning) if the node does not answer.
async fn ask(session: &Session, node: &Arc<Node>) -> Option<i64> {
    let text = format!("SELECT {CLOCK} FROM system.local");
    match Ask::one(session, node).rows::<(i64,)>(&text, ()).await {
        Ok(rows) => rows.first().map(|(clock_ms,)| *clock_ms),
        Err(error) => {
            tracing::warn!(
                "node {} does not tell its clock, so it is not compared: {error}",
                node.address
            );
            None
        }
    }
}
