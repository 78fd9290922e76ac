//! latency.hlog: one interval per second for as long as groups are merged.
//!
//! A session that goes on with a run appends a log of its own to the same file: the head of an interval
//! log may stand anywhere in it and sets the time for what follows, so readers of HDR logs take the file as one.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::latency::{IntervalLog, Recorder};

/// latency.hlog, written once a second.
pub(super) struct LatencyLog {
    writing: tokio::task::JoinHandle<()>,
    done: watch::Sender<bool>,
}

impl LatencyLog {
    pub(super) fn start(file: File, recorder: Arc<Recorder>, path: PathBuf) -> Self {
        let (done, mut over) = watch::channel(false);
        let writing = tokio::spawn(async move {
            let written = async {
                let mut log = IntervalLog::begin(file, &recorder, SystemTime::now())?;
                let mut ticks = interval(Duration::from_secs(1));
                ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
                ticks.tick().await;
                loop {
                    let last = tokio::select! {
                        _ = ticks.tick() => false,
                        _ = over.wait_for(|over| *over) => true,
                    };
                    log.append(&recorder.take_interval(), SystemTime::now())?;
                    if last {
                        return Ok::<(), std::io::Error>(());
                    }
                }
            };
            // The histograms are a by-product; merging goes on without them.
            if let Err(error) = written.await {
                tracing::warn!("cannot write {}: {error}", path.display());
            }
        });
        Self { writing, done }
    }

    pub(super) async fn finish(self) {
        self.done.send_replace(true);
        // It ended by itself, or with a warning of its own.
        let _ = self.writing.await;
    }
}
