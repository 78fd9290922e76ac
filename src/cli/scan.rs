//! The scan before the first group: the clustered rows of sources, whatever leads there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::engine::{Engine, ToMerge};
use super::{Console, Failure, ProgressDisplay, ScanSnapshot};
use crate::live::Phase;
use crate::model::{ScanTally, Timed};
use crate::pipeline;

/// Scans what no earlier session has scanned; `None` if nothing is left to be merged, or clustered rows are found in
/// another way.
pub(super) async fn run(
    engine: &Engine,
    work: &ToMerge<'_>,
    console: &Console,
) -> Result<Option<Timed<ScanTally>>, Failure> {
    if !engine.context.scans() || work.left() == 0 {
        return Ok(None);
    }
    let began = Instant::now();
    tracing::info!("looking for rows of the sources by a scan");
    console.status.enter(Phase::Scanning);
    let shown = progress(engine, console);
    let scanned = pipeline::scan(&engine.context, work.plan, &work.stop).await;
    shown.finish();
    let tally = scanned.map_err(|error| {
        let error = anyhow::Error::new(error);
        Failure::failed(error.context("the scan failed, and this session began no group"))
    })?;
    let ScanTally { ranges, rows, clustered_rows, .. } = tally;
    let scanned = Timed::since(began, tally);
    tracing::info!(ranges, rows, clustered_rows, "the scan took {:.1} s", scanned.seconds);
    Ok(Some(scanned))
}

/// Shows how far a scan is.
pub(super) fn progress(engine: &Engine, console: &Console) -> ProgressDisplay {
    let context = Arc::clone(&engine.context);
    ProgressDisplay::start(console, move || {
        let scanning = &context.scanning;
        ScanSnapshot {
            ranges_total: scanning.total.load(Ordering::Relaxed),
            ranges: scanning.ranges.load(Ordering::Relaxed),
            rows: scanning.rows.load(Ordering::Relaxed),
            clustered_rows: scanning.clustered_rows.load(Ordering::Relaxed),
            retries: context.retries(),
            is_paused: context.pace.is_paused(),
        }
    })
}
