//! What was undone, and what is said of it.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::common::{
    adds_up, contradictions, events, examples, failures, latency, over_time, session, settings,
    sum, tried_again,
};
use super::counts;
use super::document::{Fact, Kept, Outcome, Report, Section, Tone};
use super::words::{count, counted, path, per_second, say, seconds};
use super::{Answer, Equation, EventFacts, FailureReason, Listing, Timeline};
use crate::advice::Advice;
use crate::latency::LatencySummary;
use crate::model::{UndoTally, UndonePairs};
use crate::moment::Moment;
use crate::run::{RunId, files};

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 3;

/// What was undone.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Undoing {
    /// The version of this format.
    pub version: u32,
    /// The subcommand.
    pub command: &'static str,
    /// The run that was undone.
    pub run: RunId,
    /// Its directory.
    pub run_dir: PathBuf,
    /// When this session started.
    pub(crate) started_at: Moment,
    /// When it was over.
    pub(crate) finished_at: Moment,
    /// The time between the two.
    pub(crate) elapsed_s: f64,
    /// The exit code of the process.
    pub exit_code: u8,
    /// Whether what was changed since was overridden.
    pub force: bool,
    /// Whether what was begun was ended, and what was changed since left where it is.
    pub(crate) keep_changed: bool,
    /// The file with the pairs to undo, if there was one.
    pub(crate) pairs_file: Option<PathBuf>,
    /// Why it ended before all groups had their turn, if it did.
    pub stopped: Option<String>,
    /// The command that does what is left to be done, if anything is.
    pub again: Option<Advice>,
    pub groups: UndoneGroups,
    /// What takes the later runs back that come before the groups that were refused, in this order.
    pub first: Vec<Advice>,
    /// Their pairs.
    pub pairs: UndonePairs,
    /// Rows, by table.
    pub tables: Vec<UndoneTable>,
    /// Cells that are listed in conflicts.csv: those that were changed since, of all groups of the run that are disputed now…
    pub conflicts: u64,
    /// …and of those that were ended by --keep-changed, in this session or before.
    pub(crate) conflicts_kept: u64,
    pub events: EventFacts,
    /// Requests that were tried again.
    pub retries: u64,
    /// Why groups failed, the most frequent reason first.
    pub failures: Vec<FailureReason>,
    /// A few lines of conflicts.csv of each table.
    pub(crate) examples: Listing,
    /// How it went over time, in this session.
    pub(crate) timeline: Timeline,
    /// How long things took, in this session.
    pub latency: Vec<LatencySummary>,
    /// The settings in effect, redacted.
    pub settings: Value,
}

/// `selected = undone + disputed + kept_changed + failed + not_started`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct UndoneGroups {
    pub selected: u64,
    pub undone: u64,
    /// Undone, but for rows that were changed since.
    pub disputed: u64,
    /// The same, and ended with that: what was changed stays where it is.
    pub(crate) kept_changed: u64,
    /// Given up.
    pub failed: u64,
    /// They had no turn, because it was stopped.
    pub(crate) not_started: u64,
    /// Later runs come first; not among the selected.
    pub refused: u64,
    /// Undone before; not among the selected.
    pub(crate) undone_before: u64,
    /// They failed, or were rejected, before anything was written; not among the selected.
    pub untouched: u64,
    /// The journal knows nothing of them any more, where all were to be undone; not among the selected.
    pub(crate) erased: u64,
    /// They stay merged, as nobody has asked for them; neither among the selected nor among the refused.
    pub(crate) merged: u64,
}

/// What was done in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UndoneTable {
    /// Its name.
    pub table: String,
    #[serde(flatten)]
    pub(crate) rows: UndoTally,
}

impl Undoing {
    /// The format's version, for whoever fills it in.
    pub(crate) const VERSION: u32 = VERSION;

    /// Whether every group that was to be undone is accounted for.
    pub(crate) fn adds_up(&self) -> bool {
        self.equations().iter().all(Equation::holds)
    }

    /// What must add up.
    pub(crate) fn equations(&self) -> Vec<Equation> {
        let UndoneGroups { selected, undone, disputed, kept_changed, failed, not_started, .. } =
            self.groups;
        let parts = [
            ("taken back", undone),
            ("with conflicts", disputed),
            ("with changes kept", kept_changed),
            ("failed", failed),
            ("not started", not_started),
        ];
        let mut equations = vec![Equation::new("groups to be taken back", selected, &parts)];
        // A group that failed may have produced events that nobody waited for to the end.
        if failed == 0 && self.events.destination.is_some() {
            equations.push(self.events.equation());
        }
        equations
    }
}

impl Answer for Undoing {
    fn report(&self) -> Report {
        let kept = Kept::new(&self.run_dir, files::UNDO_PAGE, files::UNDO);
        let mut report = Report::new(self.command, &self.run, kept);
        report.equations = self.equations();
        report.outcome = self.outcome();
        report.facts.push(session(self.started_at, self.finished_at, self.exit_code));
        report.facts.extend(self.facts());
        let none = say!("none, as asked for by --no-events, the run or its specification");
        report.facts.push(events(&self.events, none));
        report.facts.push(self.speed());
        report.facts.extend(contradictions(&report.equations));
        report.add(self.rows());
        report.add(Section::new("Conflicts").with(examples(&self.examples)));
        report.add(failures(&self.failures, "They were given up; undo takes them up again."));
        report.add(adds_up(&report.equations));
        report.add(over_time(&self.timeline, "Groups taken back"));
        report.add(latency("", &self.latency));
        report.add(settings(&self.settings));
        self.advise(&mut report);
        report
    }
}

impl Undoing {
    fn outcome(&self) -> Outcome {
        let took = seconds(self.elapsed_s).at("/elapsed_s");
        let left_alone: u64 = self.tables.iter().map(|table| table.rows.left_alone).sum();
        let (tone, word) = match &self.stopped {
            _ if !self.adds_up() => (Tone::Bad, say!("the counters do not add up")),
            Some(_) => (Tone::Warning, say!("stopped")),
            None if self.groups.failed > 0 => (Tone::Bad, say!("finished, with failures")),
            None if left_alone + self.groups.disputed > 0 => {
                (Tone::Warning, say!("taken back, but for what was changed since"))
            }
            None if self.groups.refused > 0 && self.groups.selected == 0 => (
                Tone::Warning,
                say!("nothing was taken back: later runs have worked on the same accounts"),
            ),
            None if self.groups.refused > 0 => {
                (Tone::Warning, say!("taken back, but for groups that later runs have worked on"))
            }
            None if self.groups.erased > 0 && self.groups.selected == 0 => {
                (Tone::Warning, say!("nothing was taken back: its groups were erased"))
            }
            None if self.groups.erased > 0 => {
                (Tone::Warning, say!("taken back, but for groups that were erased"))
            }
            None if self.groups.selected == 0 => (Tone::Good, say!("nothing is left to take back")),
            None => (Tone::Good, say!("taken back")),
        };
        let took =
            if self.stopped.is_some() { say!("after {}", took) } else { say!("in {}", took) };
        Outcome { tone, word, took }
    }

    fn facts(&self) -> Vec<Fact> {
        let UndoneGroups {
            selected,
            undone,
            disputed,
            kept_changed,
            failed,
            not_started,
            refused,
            undone_before,
            untouched,
            erased,
            merged,
        } = self.groups;
        let at = |n: u64, field: &str| count(n).at(format!("/groups/{field}"));
        let parts = [
            (at(undone, "undone"), "taken back"),
            (at(disputed, "disputed"), "with conflicts"),
            (at(kept_changed, "kept_changed"), "with changes kept"),
            (at(failed, "failed"), "failed"),
            (at(not_started, "not_started"), "not started"),
        ];
        let mut groups = Fact::new("Groups", sum(at(selected, "selected"), parts));
        if refused > 0 {
            groups = groups.with(say!(
                "beside them {} that cannot be taken back before later runs over the same accounts are",
                at(refused, "refused")
            ));
        }
        if undone_before > 0 {
            groups = groups
                .with(say!("beside them {} taken back before", at(undone_before, "undone_before")));
        }
        if untouched > 0 {
            groups = groups.with(say!(
                "beside them {} that failed or were rejected before anything was written: there is nothing to take back",
                at(untouched, "untouched")
            ));
        }
        if erased > 0 {
            groups = groups.with(say!(
                "beside them {} erased by forget: what was merged stays so, and cannot be taken back",
                at(erased, "erased")
            ));
        }
        if merged > 0 {
            groups = groups.with(say!("beside them {} that stay merged", at(merged, "merged")));
        }
        let pairs = self.pairs;
        let at = |n: u64, field: &str| count(n).at(format!("/pairs/{field}"));
        let parts = [
            (at(pairs.undone, "undone"), "taken back"),
            (at(pairs.disputed, "disputed"), "with conflicts"),
            (at(pairs.kept_changed, "kept_changed"), "with changes kept"),
            (at(pairs.failed, "failed"), "failed"),
        ];
        let whole = count(pairs.undone + pairs.disputed + pairs.kept_changed + pairs.failed);
        let since = match (self.force, self.conflicts) {
            (true, 0) => say!("taken back as well, because of --force"),
            (false, 0) if self.conflicts_kept == 0 => say!("none since the run"),
            (false, 0) => say!("none but those that are kept"),
            (_, cells) => say!(
                "left alone, and listed in {}: {}. Their rows belong to whoever changed them; --force would take them \
                 back, too, and lose that",
                files::CONFLICTS,
                counted(cells, "cell").at("/conflicts")
            ),
        };
        let kept = (self.conflicts_kept > 0).then(|| {
            let cells = counted(self.conflicts_kept, "cell").at("/conflicts_kept");
            let sentence = say!(
                "{} of groups that were ended by --keep-changed stay where they are; {} has them",
                cells,
                files::CONFLICTS
            );
            Fact::new("Kept", sentence)
        });
        let file = self.pairs_file.iter().map(|file| Fact::new("Pairs of", path(file)));
        let stopped = self.stopped.iter().map(|why| Fact::new("Stopped", why));
        let facts = [groups, Fact::new("Pairs", sum(whole, parts)), Fact::new("Changes", since)];
        let meanwhile =
            self.tables.iter().enumerate().flat_map(|(at, UndoneTable { table, rows })| {
                counts::facts(rows, &format!("/tables/{at}"), Some(table))
            });
        file.chain(stopped).chain(facts).chain(kept).chain(meanwhile).collect()
    }

    fn speed(&self) -> Fact {
        let groups = self.groups.undone + self.groups.disputed;
        if groups == 0 {
            let retries = tried_again(self.retries, "/retries");
            return Fact::new("Speed", say!("nothing was taken back in this session; {}", retries));
        }
        let speed = per_second(groups as f64 / self.elapsed_s.max(1e-3));
        Fact::new("Speed", say!("{} groups/s; {}", speed, tried_again(self.retries, "/retries")))
    }

    fn rows(&self) -> Section {
        let tables = self.tables.iter().map(|UndoneTable { table, rows }| (table, rows));
        Section::new("Rows by table").with(counts::rows_of(tables))
    }

    fn advise(&self, report: &mut Report) {
        for (at, undo) in self.first.iter().enumerate() {
            let to = match at {
                0 => say!("To take back first what later runs did to the same accounts"),
                _ => say!("Then"),
            };
            report.advise(to, undo.clone());
        }
        if let Some(again) = &self.again {
            report.advise(say!("To do what is left"), again.clone());
        } else if self.groups.disputed > 0 {
            let to = say!("To end it, and leave what was changed where it is");
            let run = self.run_dir.clone();
            report.advise(to, Advice::Undo { run, keep_changed: true });
        } else if self.first.is_empty() && self.groups.merged > 0 {
            let to = say!("To check what stays merged");
            report.advise(to, Advice::Verify { run: self.run_dir.clone(), repair: false });
        }
    }
}
