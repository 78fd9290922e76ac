//! latency.hlog: one interval per second for as long as groups are worked on; and how it went over that time, for the
//! report.
//!
//! A session that resumes a run appends a log of its own to the same file: the head of an interval
//! log may stand anywhere in it and sets the time for what follows, so readers of HDR logs take the file as one.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::cluster::Store;
use crate::latency::IntervalLog;
use crate::pipeline::Context;
use crate::report::{Interval, Timeline};

/// What is written and kept once a second.
pub(super) struct LatencyLog {
    writing: tokio::task::JoinHandle<Timeline>,
    done: watch::Sender<bool>,
}

impl LatencyLog {
    /// Begins to write to `out`, which is at `path`.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        path: PathBuf,
        context: &Arc<Context<Store>>,
    ) -> Self {
        let (done, mut over) = watch::channel(false);
        let context = Arc::clone(context);
        let writing = tokio::spawn(async move {
            let began = Instant::now();
            let mut timeline = Timeline::default();
            let log = IntervalLog::begin(out, &context.recorder, SystemTime::now());
            // The histograms are a by-product; merging goes on without them.
            let warn = |error| tracing::warn!("cannot write {}: {error}", path.display());
            let mut log = log.map_err(warn).ok();
            let mut ticks = interval(Duration::from_secs(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            ticks.tick().await;
            let mut before = Interval::default();
            loop {
                let last = tokio::select! {
                    _ = ticks.tick() => false,
                    _ = over.wait_for(|over| *over) => true,
                };
                let operations = context.recorder.take_interval();
                if let Some(open) = &mut log
                    && let Err(error) = open.append(&operations, SystemTime::now())
                {
                    warn(error);
                    log = None;
                }
                let (group, others) = (
                    context.operations.group(),
                    [context.operations.journal(), context.operations.events()],
                );
                let count = |operation: usize| {
                    operations.get(operation).map_or(0, |operation| operation.len())
                };
                let all: u64 = (0..operations.len()).map(count).sum();
                let retries = context.retries();
                timeline.push(Interval {
                    from_s: before.to_s,
                    to_s: began.elapsed().as_secs_f64(),
                    groups: count(group.0),
                    requests: all
                        - count(group.0)
                        - others.map(|operation| count(operation.0)).iter().sum::<u64>(),
                    retries: retries - before.retries,
                    in_flight: context.pace.now().1 as u64,
                });
                before.to_s = began.elapsed().as_secs_f64();
                before.retries = retries;
                if last {
                    return timeline;
                }
            }
        });
        Self { writing, done }
    }

    /// Ends it.
    pub(super) async fn finish(self) -> Timeline {
        self.done.send_replace(true);
        self.writing.await.unwrap_or_default()
    }
}
