//! `runs prune`: lets the register forget runs that nobody resumes, verifies or undoes any more, but not who became whom.

use std::time::Duration;

use anyhow::anyhow;

use super::runs::register;
use super::{Exit, Failure, Lease, Terminal};
use crate::cluster::{Cluster, ClusterSettings};
use crate::model::{TimestampUs, now_us};
use crate::moment::Moment;
use crate::register;
use crate::report::{PrunedRuns, Rendered};
use crate::run::RunId;

/// Prunes the runs whose last command ended so long ago.
pub(super) async fn run(
    settings: &ClusterSettings,
    older_than: Duration,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let cluster = Cluster::connect(settings.clone()).await?;
    let name = register(settings)?;
    let lease = Lease::default();
    let own = format!("prune-{}", RunId::new(Moment::now()));
    let register = lease.take(&cluster, name, (&own, None, None)).await?;
    let long = TimestampUs::try_from(older_than.as_micros()).unwrap_or(TimestampUs::MAX);
    let before = now_us().saturating_sub(long);
    let pruned = match register.eraser().await {
        Ok(eraser) => register::prune(&eraser, before).await.map_err(|error| {
            Failure::failed(anyhow!("{error}. What is not pruned yet is by the same command"))
        }),
        Err(error) => Err(error.into()),
    };
    lease.release().await;
    let register::Pruned { gone, kept } = pruned?;
    let report = PrunedRuns::new(&settings.keyspace, Moment::from_us(before), gone, kept);
    let report = Rendered::of(&report).map_err(Failure::failed)?;
    terminal.report(&report, json)?;
    Ok(Exit::Done)
}
