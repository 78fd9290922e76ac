//! The status: what a run says of itself, for whoever looks.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::latency::Recorder;
use crate::model::{Destination, Pair};
use crate::moment::Moment;

use super::figures::{Ended, FailedGroup, Phase, ReadFigures};
use super::under_way::UnderWay;

/// Failed groups that are shown.
const FAILURES: usize = 20;

/// Characters of a reason or an id that are shown.
const SHOWN: usize = 300;

/// What a run counts, at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    /// Groups of this session.
    pub(crate) groups_total: u64,
    /// Groups that ended well.
    pub(crate) done: u64,
    /// Groups that were given up.
    pub(crate) failed: u64,
    /// What is under way; how fast it goes is for whoever looks.
    pub(crate) under_way: UnderWay,
    /// How many requests may be.
    pub(crate) in_flight_limit: u64,
    /// What a reader beside the run feels, if that is bounded.
    pub(crate) reads: Option<ReadFigures>,
    /// Groups that may begin per second.
    pub(crate) rate_limit: Option<f64>,
    /// Whether none begins.
    pub(crate) is_paused: bool,
    /// Requests that were tried again.
    pub(crate) retries: u64,
    /// Why one was tried again last.
    pub(crate) last_error: Option<String>,
    /// The nodes of the cluster.
    pub nodes: Nodes,
    /// Where events go, if they go anywhere.
    pub destination: Option<Destination>,
    /// Events that were handed over.
    pub produced: u64,
    /// Events that were acknowledged.
    pub acknowledged: u64,
    /// The scan, once one has begun.
    pub(crate) scan: Option<ScanCounters>,
}

/// The nodes of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nodes {
    /// Those that it has.
    pub(crate) known: u64,
    /// Those to which there is a connection.
    pub(crate) connected: u64,
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ScanCounters {
    /// Token ranges in all.
    pub(crate) ranges_total: u64,
    /// Those that are over.
    pub(crate) ranges: u64,
    /// Rows that were looked at.
    pub(crate) rows: u64,
    /// Rows of sources among them.
    pub(crate) clustered_rows: u64,
}

/// Where counters are read.
type Source = Box<dyn Fn() -> Counters + Send>;

/// What a run says of itself. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Status(Arc<Mutex<Current>>);

/// What was said so far.
pub(super) struct Current {
    pub(super) command: String,
    pub(super) run: Option<String>,
    pub(super) run_dir: Option<PathBuf>,
    pub(super) started_at: Moment,
    pub(super) started: Instant,
    pub(super) phase: Phase,
    pub(super) until: Option<Moment>,
    pub(super) failures: VecDeque<FailedGroup>,
    pub(super) ended: Option<Ended>,
    pub(super) recorder: Option<Arc<Recorder>>,
    source: Option<Source>,
    counters: Counters,
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Said").field("run", &self.run).field("phase", &self.phase).finish()
    }
}

impl Default for Status {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Current {
            command: String::new(),
            run: None,
            run_dir: None,
            started_at: Moment::now(),
            started: Instant::now(),
            phase: Phase::default(),
            until: None,
            failures: VecDeque::new(),
            ended: None,
            recorder: None,
            source: None,
            counters: Counters::default(),
        })))
    }
}

impl Status {
    /// The run and the command that works on it.
    pub(crate) fn begin(&self, command: &str, run: &str) {
        let mut current = self.current();
        command.clone_into(&mut current.command);
        current.run = Some(run.to_owned());
    }

    pub(crate) fn is_kept_in(&self, run_dir: &Path) {
        self.current().run_dir = Some(run_dir.to_path_buf());
    }

    /// No group begins after that.
    pub(crate) fn ends_at(&self, until: Moment) {
        self.current().until = Some(until);
    }

    /// What the run does from now on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.current().phase = phase;
    }

    /// Where the counters are read from now on, until [`freeze`](Self::freeze), and the latencies.
    pub(crate) fn watch(
        &self,
        recorder: Arc<Recorder>,
        source: impl Fn() -> Counters + Send + 'static,
    ) {
        let mut current = self.current();
        current.recorder = Some(recorder);
        current.source = Some(Box::new(source));
    }

    /// Keeps the counters as they are now; whatever they were read from is let go.
    pub(crate) fn freeze(&self) {
        let mut current = self.current();
        current.counters();
        current.source = None;
    }

    /// A group was given up.
    pub(crate) fn failed(&self, pairs: &[Pair], reason: &str) {
        let Some(first) = pairs.first() else { return };
        let mut current = self.current();
        current.failures.truncate(FAILURES - 1);
        current.failures.push_front(FailedGroup {
            from: Some(short(&first.from.text())),
            to: Some(short(&first.into.text())),
            line: first.line,
            pairs: pairs.len(),
            reason: Some(short(reason)),
            at: Moment::now(),
        });
    }

    /// The command is over.
    pub(crate) fn end(&self, ended: Ended) {
        let mut current = self.current();
        current.phase = Phase::Ended;
        current.ended = Some(ended);
    }

    /// Whether the command is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.current().ended.is_some()
    }

    pub(super) fn current(&self) -> MutexGuard<'_, Current> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Current {
    /// The counters now, or as they were kept.
    pub(super) fn counters(&mut self) -> &Counters {
        if let Some(source) = &self.source {
            self.counters = source();
        }
        &self.counters
    }
}

/// Text that somebody else wrote, bounded.
fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AccountId;

    #[test]
    fn the_last_failures_are_kept_and_bounded() {
        let status = Status::default();
        for line in 1..=50 {
            let from = AccountId::new("<script>");
            let pair = Pair { from, into: AccountId::new("ü".repeat(900)), line };
            status.failed(&[pair], "timed out");
        }
        let current = status.current();
        let lines: Vec<_> = current.failures.iter().map(|failed| failed.line).collect();
        assert_eq!(lines, (31..=50).rev().collect::<Vec<_>>());
        let to = current.failures[0].to.as_ref().map(|to| to.chars().count());
        assert_eq!(to, Some(SHOWN + 1));
    }

    #[test]
    fn frozen_counters_stay_and_let_go() {
        let status = Status::default();
        let held = Arc::new(());
        let source = {
            let held = Arc::clone(&held);
            move || Counters { done: Arc::strong_count(&held) as u64, ..Counters::default() }
        };
        status.watch(Arc::new(Recorder::new(Vec::new())), source);
        assert_eq!(status.current().counters().done, 2);
        status.freeze();
        assert_eq!(Arc::strong_count(&held), 1, "nothing of the run is held any more");
        assert_eq!(status.current().counters().done, 2);
    }
}
