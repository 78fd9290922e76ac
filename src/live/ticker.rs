//! The ticker: once a second it makes a frame of what the status says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};

use crate::latency::Recorder;
use crate::moment::Moment;

use super::control::Control;
use super::figures::{
    CassandraFigures, EventFigures, Figures, GroupFigures, LatencyFigures, Phase, Reached,
    RequestFigures, VERSION,
};
use super::status::{Counters, Status};
use super::under_way::UnderWay;
use super::{Rate, metrics};

/// How often a frame is made.
const TICK: Duration = Duration::from_secs(1);

/// Seconds of which the groups that ended are shown.
const RECENT: usize = 180;

/// Latencies are those since the last but one of these.
const LATENCY_STEP: Duration = Duration::from_secs(5);

/// Events that are out this long without any being acknowledged are late.
const SILENCE: Duration = Duration::from_secs(5);

/// What is shown of a run at one moment, rendered.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The [`Figures`] as JSON, in one line, without what may name an account.
    pub(crate) public: Arc<str>,
    /// The same with all that there is, for the operator.
    pub(crate) status: Arc<str>,
    /// The figures for Prometheus.
    pub(crate) metrics: Arc<str>,
    pub(crate) is_last: bool,
}

impl Frame {
    /// One frame, by itself: it has no rates and no latencies of a while.
    pub(crate) fn of(status: &Status, control: &Control) -> Self {
        Sampler::new(status.clone(), control.clone()).frame(Instant::now())
    }
}

/// The frames of a run, the latest of which is always there. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    sender: Arc<watch::Sender<Frame>>,
    sampler: Arc<Mutex<Sampler>>,
}

impl Frames {
    fn new(mut sampler: Sampler) -> Self {
        let (sender, _) = watch::channel(sampler.frame(Instant::now()));
        Self { sender: Arc::new(sender), sampler: Arc::new(Mutex::new(sampler)) }
    }

    /// The latest one, a second old at most.
    pub(crate) fn latest(&self) -> Frame {
        self.sender.borrow().clone()
    }

    /// Whoever subscribes gets the latest one at once, and then each that comes while it looks.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Frame> {
        let mut frames = self.sender.subscribe();
        frames.mark_changed();
        frames
    }

    /// Makes one now: whoever has changed something wants to see that it is so.
    pub(crate) fn refresh(&self) {
        self.publish(Sampler::frame);
    }

    fn tick(&self) {
        self.publish(Sampler::tick);
    }

    fn publish(&self, frame: impl FnOnce(&mut Sampler, Instant) -> Frame) {
        // Held until it is out, so that no frame comes after a later one.
        let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        self.sender.send_replace(frame(&mut sampler, Instant::now()));
    }
}

/// Makes frames, until it is told that the run has ended.
#[derive(Debug)]
pub(crate) struct Ticker {
    frames: Frames,
    ticking: JoinHandle<()>,
    over: watch::Sender<bool>,
}

impl Ticker {
    /// Begins, in the background of the current runtime; the first frame is there at once.
    pub(crate) fn start(status: &Status, control: &Control) -> Self {
        let frames = Frames::new(Sampler::new(status.clone(), control.clone()));
        let (over, mut ended) = watch::channel(false);
        let made = frames.clone();
        let ticking = tokio::spawn(async move {
            let mut ticks = time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                let is_over = tokio::select! {
                    _ = ticks.tick() => false,
                    _ = ended.wait_for(|ended| *ended) => true,
                };
                made.tick();
                if is_over {
                    return;
                }
            }
        });
        Self { frames, ticking, over }
    }

    /// Where the frames come.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Makes the last frame; the status has the end.
    pub(crate) async fn finish(self) -> Frame {
        self.over.send_replace(true);
        // Should it have panicked, the frame before is the last.
        let _ = self.ticking.await;
        self.frames.latest()
    }
}

/// What has to be remembered from one frame to the next.
#[derive(Debug)]
struct Sampler {
    status: Status,
    control: Control,
    phase: Phase,
    groups: Rate,
    retries: Rate,
    recent: VecDeque<u64>,
    ended_before: u64,
    acknowledged: (u64, Option<Instant>),
    latency: LatencySampler,
}

impl Sampler {
    fn new(status: Status, control: Control) -> Self {
        Self {
            status,
            control,
            phase: Phase::default(),
            groups: Rate::default(),
            retries: Rate::default(),
            recent: VecDeque::new(),
            ended_before: 0,
            acknowledged: (0, None),
            latency: LatencySampler::default(),
        }
    }

    /// The frame of one more second.
    fn tick(&mut self, now: Instant) -> Frame {
        let status = self.status.clone();
        let Counters { groups_total, done, failed, .. } = *status.current().counters();
        let ended = done + failed;
        if groups_total > 0 {
            self.recent.push_back(ended.saturating_sub(self.ended_before));
            self.ended_before = ended;
        }
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        self.frame(now)
    }

    fn frame(&mut self, now: Instant) -> Frame {
        let (figures, recorder) = self.figures(now);
        let operations =
            recorder.map(|recorder| (recorder.names().to_vec(), recorder.histograms()));
        let (names, histograms) = operations.unwrap_or_default();
        let metrics = metrics::text(&figures, &names, &histograms);
        // Nothing in the figures can fail to be written as JSON.
        let json = |figures: &Figures| serde_json::to_string(figures).unwrap_or_default().into();
        let is_last = figures.phase == Phase::Ended;
        let (public, status) = (json(&figures.public()), json(&figures));
        Frame { public, status, metrics: metrics.into(), is_last }
    }

    fn figures(&mut self, now: Instant) -> (Figures, Option<Arc<Recorder>>) {
        let status = self.status.clone();
        let mut current = status.current();
        let counters = current.counters().clone();
        let recorder = current.recorder.clone();
        if current.phase != self.phase {
            // What was done in another way, or not yet, says nothing of how fast it goes now.
            (self.phase, self.groups) = (current.phase, Rate::default());
        }
        self.see(now, &counters);
        let per_second = self.groups.per_second().filter(|_| counters.groups_total > 0);
        let left = counters.groups_total.saturating_sub(counters.done + counters.failed);
        let works = matches!(current.phase, Phase::Merging | Phase::Verifying | Phase::Undoing);
        let is_merging = works && !counters.is_paused;
        let (latency, journal_commits) = match &recorder {
            Some(recorder) => self.latency.see(now, recorder),
            None => (Vec::new(), 0),
        };
        let figures = Figures {
            version: VERSION,
            run: current.run.clone(),
            command: current.command.clone(),
            run_dir: current.run_dir.clone(),
            started_at: current.started_at,
            at: Moment::now(),
            elapsed_s: current.started.elapsed().as_secs_f64(),
            phase: current.phase,
            paused: counters.is_paused && current.ended.is_none(),
            stopping: self.control.is_stopping() && current.ended.is_none(),
            until: current.until,
            groups: GroupFigures {
                total: counters.groups_total,
                done: counters.done,
                failed: counters.failed,
            },
            requests: RequestFigures {
                in_flight: counters.under_way.requests,
                limit: counters.in_flight_limit,
            },
            under_way: UnderWay { groups_per_s: per_second, ..counters.under_way },
            reads: counters.reads,
            groups_per_s: per_second,
            groups_recent: self.recent.iter().copied().collect(),
            seconds_left: per_second
                .filter(|rate| *rate > 0.0 && is_merging)
                .map(|rate| left as f64 / rate),
            rate_limit: counters.rate_limit,
            retries: counters.retries,
            journal_commits,
            scan: counters.scan,
            cassandra: self.cassandra(&counters),
            events: self.events(now, &counters),
            latency,
            failures: current.failures.iter().cloned().collect(),
            ended: current.ended.clone(),
        };
        (figures, recorder)
    }

    fn see(&mut self, now: Instant, counters: &Counters) {
        let ended = counters.done + counters.failed;
        self.groups.see(now, ended);
        self.retries.see(now, counters.retries);
        let is_out = counters.produced > counters.acknowledged;
        let (before, silent) = self.acknowledged;
        let silent = match silent {
            _ if !is_out => None,
            Some(since) if before == counters.acknowledged => Some(since),
            _ => Some(now),
        };
        self.acknowledged = (counters.acknowledged, silent);
    }

    fn cassandra(&self, counters: &Counters) -> CassandraFigures {
        let nodes = counters.nodes;
        let retries_recent = self.retries.gained();
        let state = match nodes.known {
            0 => Reached::Unknown,
            known if nodes.connected < known || retries_recent > 0 => Reached::Waiting,
            _ => Reached::Ok,
        };
        let last_error = counters.last_error.clone();
        let (nodes, nodes_connected) = (nodes.known, nodes.connected);
        CassandraFigures { state, nodes, nodes_connected, retries_recent, last_error }
    }

    fn events(&self, now: Instant, counters: &Counters) -> EventFigures {
        let silent = self.acknowledged.1.map(|since| now.saturating_duration_since(since));
        let state = match &counters.destination {
            None if counters.nodes.known == 0 => Reached::Unknown,
            None => Reached::Off,
            Some(_) if silent.is_some_and(|silent| silent >= SILENCE) => Reached::Waiting,
            Some(_) => Reached::Ok,
        };
        EventFigures {
            sink: counters.destination.as_ref().map(|to| to.sink),
            to: counters.destination.as_ref().map(|to| format!("{} {}", to.kind, to.name)),
            state,
            produced: counters.produced,
            acknowledged: counters.acknowledged,
            silent_s: silent.map(|silent| silent.as_secs_f64()),
        }
    }
}

/// The figures of a status that nobody has looked at before.
#[cfg(test)]
pub(super) fn figures_of(status: &Status, control: &Control) -> Figures {
    Sampler::new(status.clone(), control.clone()).figures(Instant::now()).0
}

/// The latencies of the last while: those of now without those of some seconds ago.
#[derive(Debug, Default)]
struct LatencySampler {
    earlier: VecDeque<(Instant, Vec<Histogram<u64>>)>,
}

impl LatencySampler {
    /// The latencies of the last while, and how often the journal has committed so far.
    fn see(&mut self, now: Instant, recorder: &Recorder) -> (Vec<LatencyFigures>, u64) {
        let totals = recorder.histograms();
        let mut recent = totals.clone();
        if let Some((_, earlier)) = self.earlier.front() {
            for (operation, earlier) in recent.iter_mut().zip(earlier) {
                // They were counted into the same operation before, so there is enough to take away.
                let taken = operation.subtract(earlier);
                debug_assert!(taken.is_ok(), "{taken:?}");
            }
        }
        let journal = recorder.names().iter().position(|name| name == metrics::JOURNAL);
        let commits = journal.and_then(|operation| totals.get(operation)).map_or(0, Histogram::len);
        if self.earlier.back().is_none_or(|(then, _)| now - *then >= LATENCY_STEP) {
            self.earlier.push_back((now, totals));
        }
        while self.earlier.len() > 2 {
            self.earlier.pop_front();
        }
        let operations =
            recorder.names().iter().zip(&recent).filter(|(_, operation)| !operation.is_empty());
        let operations = operations.map(|(name, operation)| LatencyFigures {
            operation: name.clone(),
            count: operation.len(),
            p50_us: operation.value_at_quantile(0.5),
            p90_us: operation.value_at_quantile(0.9),
            p99_us: operation.value_at_quantile(0.99),
            max_us: operation.max(),
        });
        (operations.collect(), commits)
    }
}

#[cfg(test)]
mod tests;
