//! What undo has taken back, as text or as JSON.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::advice::Advice;
use crate::latency::LaneSummary;
use crate::moment::Moment;
use crate::run::{RunId, files};

use super::equation::{Document, Equation};
use super::text::{
    count, counted, duration, labelled, paragraph, printable, rate, shown_in_browser, table,
};
use super::{EventFacts, FailureReason, Listing, Timeline};

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 2;

/// What undo has taken back.
#[derive(Clone, Debug, Serialize)]
pub struct Undoing {
    /// The version of this format.
    pub version: u32,
    /// The subcommand.
    pub command: &'static str,
    /// The run that was taken back.
    pub run: RunId,
    /// Its directory.
    pub run_dir: PathBuf,
    /// When this session started.
    pub started_at: Moment,
    /// When it was over.
    pub finished_at: Moment,
    /// The time between the two.
    pub elapsed_s: f64,
    /// The exit code of the process.
    pub exit_code: u8,
    /// Whether what was changed since was overridden.
    pub force: bool,
    /// The file with the pairs to take back, if there was one.
    pub pairs_file: Option<PathBuf>,
    /// Why it ended before all groups had their turn, if it did.
    pub stopped: Option<String>,
    /// The command that does what is left to be done, if anything is.
    pub again: Option<Advice>,
    /// The groups.
    pub groups: UndoneGroups,
    /// Their pairs.
    pub pairs: UndonePairs,
    /// Rows, by table.
    pub tables: Vec<UndoneTable>,
    /// Cells that are listed in conflicts.csv: those of all groups of the run that are disputed now.
    pub conflicts: u64,
    /// Events.
    pub events: EventFacts,
    /// Requests that were tried again.
    pub retries: u64,
    /// Why groups failed, the most frequent reason first.
    pub failures: Vec<FailureReason>,
    /// A few lines of conflicts.csv of each table.
    pub examples: Listing,
    /// How it went over time, in this session.
    pub timeline: Timeline,
    /// How long things took, in this session.
    pub latency: Vec<LaneSummary>,
    /// The settings in effect, redacted.
    pub settings: Value,
}

/// `selected = undone + disputed + failed + not_started`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndoneGroups {
    /// Groups that were to be taken back.
    pub selected: u64,
    /// Taken back.
    pub undone: u64,
    /// Taken back, but for rows that were changed since.
    pub disputed: u64,
    /// Given up.
    pub failed: u64,
    /// They had no turn, because it was stopped.
    pub not_started: u64,
    /// Taken back before; not among the selected.
    pub undone_before: u64,
    /// They failed before anything was written; not among the selected.
    pub untouched: u64,
}

/// The pairs of groups that had their turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UndonePairs {
    /// Of groups that are taken back.
    pub undone: u64,
    /// Of groups that are disputed.
    pub disputed: u64,
    /// Of groups that failed.
    pub failed: u64,
}

/// What was done in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndoneTable {
    /// Its name.
    pub table: String,
    /// Rows that sources have again.
    pub given_back: u64,
    /// Copies that survivors have no longer.
    pub removed: u64,
    /// Rows of survivors that hold their old values again.
    pub set_back: u64,
    /// Keys that were changed since and left alone.
    pub left_alone: u64,
}

impl Undoing {
    /// The format's version, for whoever fills it in.
    pub const VERSION: u32 = VERSION;

    /// Whether every group that was to be taken back is accounted for.
    pub fn adds_up(&self) -> bool {
        self.equations().iter().all(Equation::holds)
    }

    /// What must add up.
    pub fn equations(&self) -> Vec<Equation> {
        let UndoneGroups { selected, undone, disputed, failed, not_started, .. } = self.groups;
        let parts = [
            ("taken back", undone),
            ("with conflicts", disputed),
            ("failed", failed),
            ("not started", not_started),
        ];
        let mut equations = vec![Equation::new("groups to be taken back", selected, &parts)];
        // A group that failed may have produced events that nobody waited for to the end.
        if failed == 0 && self.events.topic.is_some() {
            equations.push(self.events.equation());
        }
        equations
    }

    fn left_alone(&self) -> u64 {
        self.tables.iter().map(|table| table.left_alone).sum()
    }
}

/// As JSON, with a line feed at its end.
pub fn undo_json(undoing: &Undoing) -> serde_json::Result<String> {
    let (adds_up, equations) = (undoing.adds_up(), undoing.equations());
    let document = Document { report: undoing, adds_up, equations };
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}

/// As text: at most 80 columns, what matters first, what to do next last.
pub fn undo_text(undoing: &Undoing) -> String {
    let mut text = format!("{}\n\n", head(undoing));
    if let Some(why) = &undoing.stopped {
        text += &labelled("Stopped", why);
    }
    text += &groups(undoing);
    text += &labelled("Events", &events(&undoing.events));
    text += &speed(undoing);
    text += &tables(undoing);
    text += &failures(undoing);
    text += "\n";
    text + &next(undoing)
}

fn head(undoing: &Undoing) -> String {
    let what = match (&undoing.stopped, undoing.groups.failed, undoing.left_alone()) {
        (Some(_), ..) => "stopped after".to_owned(),
        (None, 1.., _) => "finished, with failures, in".to_owned(),
        (None, 0, 0) => "taken back in".to_owned(),
        (None, 0, keys) => format!("taken back BUT FOR {} in", counted(keys, "KEY").to_uppercase()),
    };
    let took = duration(Duration::from_secs_f64(undoing.elapsed_s));
    format!("undo {}: {what} {took}", undoing.run)
}

fn groups(undoing: &Undoing) -> String {
    let UndoneGroups { selected, undone, disputed, failed, not_started, undone_before, untouched } =
        undoing.groups;
    let mut parts = format!("{} = {} taken back", count(selected), count(undone));
    let others = [
        (disputed, "taken back but for what was changed since"),
        (failed, "failed"),
        (not_started, "not started"),
    ];
    for (groups, what) in others.into_iter().filter(|(groups, _)| *groups > 0) {
        parts += &format!(" + {} {what}", count(groups));
    }
    let mut text = String::new();
    if !undoing.adds_up() {
        let what =
            "THE COUNTERS DO NOT ADD UP. This is a defect of this program: please report it.";
        text += &paragraph(what);
    }
    text += &labelled("Groups", &parts);
    let beside = [
        (undone_before, "taken back before"),
        (untouched, "failed before anything was written: there is nothing to take back"),
    ];
    for (groups, what) in beside.into_iter().filter(|(groups, _)| *groups > 0) {
        text += &labelled("", &format!("beside them {} {what}", count(groups)));
    }
    let UndonePairs { undone, disputed, .. } = undoing.pairs;
    text + &labelled("Pairs", &format!("{} in these groups", count(undone + disputed)))
}

fn events(events: &EventFacts) -> String {
    match &events.topic {
        None => "none, as asked for by --no-events, the run or its specification".to_owned(),
        Some(topic) => format!(
            "{} produced to '{topic}', {} acknowledged",
            count(events.produced),
            count(events.acknowledged)
        ),
    }
}

fn speed(undoing: &Undoing) -> String {
    let groups = undoing.groups.undone + undoing.groups.disputed;
    let per_second = groups as f64 / undoing.elapsed_s.max(1e-3);
    let retries = counted(undoing.retries, "request");
    labelled("Speed", &format!("{} groups/s; {retries} tried again", rate(per_second)))
}

fn tables(undoing: &Undoing) -> String {
    let head = ["Rows of", "given back", "copies removed", "set back", "left alone"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for UndoneTable { table, given_back, removed, set_back, left_alone } in &undoing.tables {
        let numbers = [*given_back, *removed, *set_back, *left_alone];
        lines.push([table.clone()].into_iter().chain(numbers.map(count)).collect());
    }
    format!("\n{}", table(&lines))
}

fn failures(undoing: &Undoing) -> String {
    let reasons = undoing.failures.iter().map(|failure| {
        labelled(&format!("{:>10}", count(failure.groups)), &printable(&failure.reason))
    });
    let text: String = reasons.collect();
    if text.is_empty() { text } else { format!("\nFailed groups by reason\n{text}") }
}

fn next(undoing: &Undoing) -> String {
    let mut text = String::new();
    // Commands are not wrapped, so that they can be copied.
    let mut to = |what: &str, command: &Advice| {
        text += &format!("{}  {command}\n", paragraph(what));
    };
    if let Some(again) = &undoing.again {
        to("To do what is left:", again);
    }
    if undoing.conflicts > 0 {
        let what = format!(
            "{} has {} that someone changed since the run; their rows were left alone, and the others of \
             their groups were taken back. To lose these changes and take all back:",
            files::CONFLICTS,
            counted(undoing.conflicts, "cell"),
        );
        to(&what, &Advice::Undo { run: undoing.run_dir.clone(), force: true });
    }
    text += &shown_in_browser(files::UNDO_PAGE);
    text + &format!("Run directory: {}\n", printable(&undoing.run_dir.to_string_lossy()))
}
