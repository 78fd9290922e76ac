//! How far a run is: a bar for a person, a line now and then for a log.
//!
//! Progress is read through a closure on a tick; the run knows nothing of it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};

use super::console::Console;
use super::until::Until;
use crate::live::{Rate, UnderWay};
use crate::pace::Held;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(250);

/// How often a line is logged.
const LINE: Duration = Duration::from_secs(5);

/// What stands beside the bar, in 80 columns.
const TEXT_COLUMNS: usize = 71;

/// Where a run is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Snapshot {
    /// Groups of this run.
    pub(crate) groups_total: u64,
    /// Groups that are done.
    pub(crate) done: u64,
    /// Groups that were given up.
    pub(crate) failed: u64,
    /// What is under way; how fast it goes is seen by the tick.
    pub(crate) under_way: UnderWay,
    /// Requests that were tried again.
    pub(crate) retries: u64,
    /// No group begins until the operator lets them.
    pub(crate) is_paused: bool,
    /// It is slower than it could be, because reads take too long.
    pub(crate) held: Option<Held>,
}

/// Where a scan is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ScanSnapshot {
    /// Token ranges in all.
    pub(crate) ranges_total: u64,
    /// Those that are over.
    pub(crate) ranges: u64,
    /// Rows that were looked at.
    pub(crate) rows: u64,
    /// Rows of sources among them.
    pub(crate) clustered_rows: u64,
    /// Requests that were tried again.
    pub(crate) retries: u64,
    /// No page is asked for until the operator lets them.
    pub(crate) is_paused: bool,
}

/// What progress can be shown of: so many steps of so many.
pub(crate) trait Stage: Send + 'static {
    /// The steps in all.
    fn total(&self) -> u64;

    /// The steps that are over.
    fn finished(&self) -> u64;

    /// What is counted per second.
    fn counted(&self) -> u64;

    /// What is worth knowing, the most important first: what does not fit is left out at the end.
    fn text(&self, rates: Rates) -> String;
}

/// How fast it went over the last while; nothing before a second is over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// Steps per second.
    steps: Option<f64>,
    /// What is counted, per second.
    counted: Option<f64>,
}

/// Shows progress until it is finished or dropped.
#[derive(Debug)]
pub(crate) struct ProgressDisplay {
    ticking: JoinHandle<()>,
    bar: Option<ProgressBar>,
}

impl ProgressDisplay {
    /// Begins to show progress, in the background of the current runtime: a bar if standard error is a
    /// terminal (unless `--quiet`), and log lines in any case.
    pub(crate) fn start<S: Stage>(
        console: &Console,
        snapshot: impl Fn() -> S + Send + 'static,
    ) -> Self {
        let terminal = &console.terminal;
        let bar = (terminal.shows_bars() && !console.output.quiet).then(|| {
            let style = ProgressStyle::with_template("[{bar:5}] {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            terminal.add(ProgressBar::new(0).with_style(style.progress_chars("=> ")))
        });
        let drawn = bar.clone();
        let until = console.until.as_ref().map(Until::shown);
        let until = until.map_or_else(String::new, |until| format!(", until {until}"));
        let ticking = tokio::spawn(async move {
            let (mut steps, mut counted) = (Rate::default(), Rate::default());
            let mut ticks = time::interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut logged = Instant::now();
            loop {
                let now = ticks.tick().await.into_std();
                let snapshot = snapshot();
                steps.see(now, snapshot.finished());
                counted.see(now, snapshot.counted());
                let rates = Rates { steps: steps.per_second(), counted: counted.per_second() };
                let text = snapshot.text(rates) + &until;
                if now.duration_since(logged) >= LINE {
                    logged = now;
                    tracing::info!("{text}");
                }
                if let Some(bar) = &drawn {
                    // Of nothing a bar would be full.
                    bar.set_length(snapshot.total().max(1));
                    bar.set_position(snapshot.finished());
                    bar.set_message(fitting(&text).to_owned());
                }
            }
        });
        Self { ticking, bar }
    }

    /// Stops and takes the bar away.
    pub(crate) fn finish(self) {}
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.ticking.abort();
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Stage for Snapshot {
    fn total(&self) -> u64 {
        self.groups_total
    }

    fn finished(&self) -> u64 {
        self.done + self.failed
    }

    fn counted(&self) -> u64 {
        self.finished()
    }

    fn text(&self, rates: Rates) -> String {
        let Self { groups_total, failed, retries, under_way, is_paused, held, .. } = *self;
        let mut text = format!("{}/{groups_total} groups", self.finished());
        if is_paused {
            text += ", paused";
        } else if let Some(rate) = rates.counted {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {rate:.0}/s{}", time_left(self, rates));
        }
        let held = |is_least: bool| held.filter(|held| held.is_least == is_least);
        let reason = |held: Option<Held>| held.map_or_else(String::new, |held| format!(", {held}"));
        // Where that is all that can be done, it is why nothing gets on.
        text += &reason(held(true));
        text += &counts(&[(failed, "failed"), (retries, "retried")]);
        text += &under_way.short();
        text + &reason(held(false))
    }
}

impl Stage for ScanSnapshot {
    fn total(&self) -> u64 {
        self.ranges_total
    }

    fn finished(&self) -> u64 {
        self.ranges
    }

    fn counted(&self) -> u64 {
        self.rows
    }

    fn text(&self, rates: Rates) -> String {
        let Self { ranges_total, ranges, clustered_rows, retries, is_paused, .. } = *self;
        let mut text = match ranges_total {
            0 => "asking for the ranges to scan".to_owned(),
            _ => format!("{ranges}/{ranges_total} ranges scanned"),
        };
        if is_paused {
            text += ", paused";
        } else if let Some(rate) = rates.counted {
            let _ = write!(text, ", {rate:.0} rows/s{}", time_left(self, rates));
        }
        text + &counts(&[(clustered_rows, "found"), (retries, "retried")])
    }
}

/// How long it takes at this rate, if it is known.
fn time_left(stage: &impl Stage, rates: Rates) -> String {
    let rate = rates.steps.filter(|rate| *rate > 0.0);
    let left = rate.map(|rate| stage.total().saturating_sub(stage.finished()) as f64 / rate);
    let left = left.filter(|left| *left < 1e9);
    left.map_or_else(String::new, |left| format!(", {} left", clock(left.ceil() as u64)))
}

fn counts(counts: &[(u64, &str)]) -> String {
    let known = counts.iter().filter(|(n, _)| *n > 0);
    known.map(|(n, what)| format!(", {n} {what}")).collect()
}

/// As many whole items of the text as fit beside the bar.
fn fitting(text: &str) -> &str {
    let mut fitting = text;
    while fitting.len() > TEXT_COLUMNS {
        match fitting.rsplit_once(", ") {
            Some((shorter, _)) => fitting = shorter,
            None => break,
        }
    }
    fitting
}

/// `0:07`, `12:34`, `1:02:03`.
pub(super) fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::EXAMPLE;

    #[test]
    fn the_text_says_the_important_first() {
        let mut snapshot = Snapshot {
            groups_total: 18_000,
            done: 12_300,
            under_way: EXAMPLE,
            ..Snapshot::default()
        };
        let at = |rate| Rates { steps: Some(rate), counted: Some(rate) };
        assert_eq!(
            snapshot.text(Rates::default()),
            "12300/18000 groups, 512 under way, 16 requests, 3.4 MB, oldest 1.2 s, 2 windows"
        );
        // What matters in 80 columns, the bar among them.
        snapshot.done = 12_345;
        let fits = "12345/18000 groups, 62/s, 1:32 left, 512 under way, 16 requests, 3.4 MB";
        assert_eq!(fitting(&snapshot.text(at(62.0))), fits);
        snapshot.done = 12_300;
        snapshot.failed = 45;
        snapshot.retries = 7;
        assert_eq!(
            snapshot.text(at(62.0)),
            "12345/18000 groups, 62/s, 1:32 left, 45 failed, 7 retried, 512 under way, 16 requests, 3.4 MB, oldest 1.2 s, 2 windows"
        );
        assert_eq!(
            fitting(&snapshot.text(at(62.0))),
            "12345/18000 groups, 62/s, 1:32 left, 45 failed, 7 retried"
        );
        assert_eq!(Snapshot::default().text(at(0.0)), "0/0 groups, 0/s");
        snapshot.is_paused = true;
        assert_eq!(
            snapshot.text(at(62.0)),
            "12345/18000 groups, paused, 45 failed, 7 retried, 512 under way, 16 requests, 3.4 MB, oldest 1.2 s, 2 windows"
        );
        let scan = ScanSnapshot {
            ranges_total: 256,
            ranges: 64,
            rows: 9,
            clustered_rows: 1_234,
            ..ScanSnapshot::default()
        };
        assert_eq!(
            scan.text(Rates { steps: Some(3.0), counted: Some(93_210.4) }),
            "64/256 ranges scanned, 93210 rows/s, 1:04 left, 1234 found"
        );
        let read = Duration::from_micros(34_700);
        let mut slow =
            Snapshot { groups_total: 9_000, done: 12, under_way: EXAMPLE, ..Snapshot::default() };
        slow.held = Some(Held { read, is_least: true });
        let reason =
            "12/9000 groups, 2/s, 1:14:54 left, held back by --max-latency: a read takes 35 ms";
        assert_eq!(
            slow.text(at(2.0)),
            format!("{reason}, 512 under way, 16 requests, 3.4 MB, oldest 1.2 s, 2 windows")
        );
        slow.held = Some(Held { read, is_least: false });
        assert!(slow.text(at(2.0)).ends_with(
            "512 under way, 16 requests, 3.4 MB, oldest 1.2 s, 2 windows, held back by --max-latency: a read takes 35 ms"
        ));
        assert_eq!(ScanSnapshot::default().text(Rates::default()), "asking for the ranges to scan");
        assert_eq!([7, 754, 3_723].map(clock), ["0:07", "12:34", "1:02:03"]);
    }
}
