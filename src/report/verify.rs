//! What verify has found, and what it says of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::common::{
    adds_up, contradictions, emptied, examples, latency, over_time, session, settings, sum,
    tried_again,
};
use super::document::{Fact, Kept, Outcome, Report, Section, Table, Tone};
use super::words::{Text, code, count, counted, say, seconds};
use super::{Answer, Equation, Listing, Timeline, TruncatedTable};
use crate::advice::Advice;
use crate::journal::State;
use crate::latency::LatencySummary;
use crate::moment::Moment;
use crate::run::{RunId, files};
use crate::verify::{MERGED_ON, TableCounts, Verdict};

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 2;

/// What verify has found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verification {
    /// The version of this format.
    pub version: u32,
    /// The subcommand.
    pub command: &'static str,
    /// The run that was verified.
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
    /// Whether differences were repaired.
    pub repair: bool,
    /// Tables that were truncated since the run began.
    pub truncated: Vec<TruncatedTable>,
    /// The register does not know the run any more: it can be compared, and nothing else.
    #[serde(skip)]
    pub(crate) is_forgotten: bool,
    /// Why it ended before all groups had been compared, if it did.
    pub stopped: Option<String>,
    /// The command that goes on, if it was stopped.
    pub again: Option<Advice>,
    /// The groups of the run.
    pub groups: VerifiedGroups,
    /// Differences that are there now, in all tables.
    pub differences: u64,
    /// What was found, by table.
    pub tables: Vec<VerifiedTable>,
    /// Events that repairs produced and were acknowledged, in this session.
    pub events: u64,
    /// What this server cannot tell, if anything.
    pub unsupported: Option<String>,
    /// Requests that were tried again, in this session.
    pub retries: u64,
    /// A few lines of diff.csv of each verdict.
    pub(crate) examples: Listing,
    /// How it went over time, in this session.
    pub(crate) timeline: Timeline,
    /// How long things took, in this session.
    pub latency: Vec<LatencySummary>,
    /// The settings in effect, redacted.
    pub settings: Value,
}

/// `total = compared + failed + left + the others`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct VerifiedGroups {
    /// Groups of the run's plan.
    pub total: u64,
    pub compared: u64,
    /// Those of them that a verification before had compared.
    pub(crate) compared_before: u64,
    /// Groups that could not be compared.
    pub failed: u64,
    /// Why the first of them could not.
    pub reason: Option<String>,
    /// Groups that had no turn, because it was stopped.
    pub left: u64,
    /// Groups that are not done, by state; there is nothing to compare.
    pub(crate) not_done: BTreeMap<String, u64>,
}

/// What was found in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct VerifiedTable {
    /// Its name.
    pub table: String,
    #[serde(flatten)]
    pub counts: TableCounts,
}

impl Verification {
    /// The format's version, for whoever fills it in.
    pub(crate) const VERSION: u32 = VERSION;

    /// Whether every group of the run is accounted for.
    pub(crate) fn adds_up(&self) -> bool {
        self.equations().iter().all(Equation::holds)
    }

    /// What must add up.
    pub(crate) fn equations(&self) -> Vec<Equation> {
        let VerifiedGroups { total, compared, failed, left, not_done, .. } = &self.groups;
        let mut parts = vec![("compared", *compared)];
        let others = [("not readable", *failed), ("still to compare", *left)];
        parts.extend(others.into_iter().filter(|(_, groups)| *groups > 0));
        parts.extend(not_done.iter().map(|(state, groups)| (state.as_str(), *groups)));
        let of_tables = self.sum(TableCounts::differences);
        vec![
            Equation::new("groups of the run", *total, &parts),
            Equation::new("differences", self.differences, &[("in all tables", of_tables)]),
        ]
    }

    fn sum(&self, of: impl Fn(&TableCounts) -> u64) -> u64 {
        self.tables.iter().map(|table| of(&table.counts)).sum()
    }

    /// Groups that are not done, in none of these states, and not merged on.
    fn but_for(&self, states: &[State]) -> u64 {
        let states: Vec<_> = states.iter().map(State::to_string).collect();
        let left = self.groups.not_done.iter();
        let left = left.filter(|(state, _)| !states.contains(state) && *state != MERGED_ON);
        left.map(|(_, groups)| groups).sum()
    }

    /// Groups that `resume` would take up.
    fn to_resume(&self) -> u64 {
        use State::{Disputed, Erased, Rejected, Undoing, Undone};
        self.but_for(&[Undoing, Undone, Disputed, Rejected, Erased])
    }

    fn undone(&self) -> u64 {
        self.groups.not_done.get(&State::Undone.to_string()).copied().unwrap_or_default()
    }

    fn merged_on(&self) -> u64 {
        self.groups.not_done.get(MERGED_ON).copied().unwrap_or_default()
    }

    /// What undoes what is not undone yet, if anything is begun.
    fn undo(&self) -> Option<Advice> {
        use State::{Disputed, Erased, Rejected, Undone};
        let run = self.run_dir.clone();
        let disputed = self.groups.not_done.contains_key(&Disputed.to_string());
        let is_left = self.groups.compared + self.groups.left + self.groups.failed > 0
            || self.but_for(&[Undone, Disputed, Rejected, Erased]) > 0;
        match (is_left, disputed) {
            (true, _) => Some(Advice::undo(&run)),
            (false, true) => Some(Advice::Undo { run, keep_changed: true }),
            (false, false) => None,
        }
    }
}

impl Answer for Verification {
    fn report(&self) -> Report {
        let kept = Kept::new(&self.run_dir, files::VERIFY_PAGE, files::VERIFY);
        let mut report = Report::new(self.command, &self.run, kept);
        report.equations = self.equations();
        report.outcome = self.outcome();
        report.facts.push(session(self.started_at, self.finished_at, self.exit_code));
        report.facts.extend(self.facts());
        report.facts.extend(emptied(&self.truncated));
        let forgotten = say!("does not know this run any more: it can only be compared");
        report.facts.extend(self.is_forgotten.then(|| Fact::new("Register", forgotten)));
        report.facts.extend(contradictions(&report.equations));
        report.add(self.findings());
        report.add(self.examples());
        report.add(adds_up(&report.equations));
        report.add(over_time(&self.timeline, "Groups compared"));
        report.add(latency("", &self.latency));
        report.add(settings(&self.settings));
        self.advise(&mut report);
        report
    }
}

impl Verification {
    fn outcome(&self) -> Outcome {
        let groups = &self.groups;
        let (tone, word) = match self.differences {
            _ if !self.adds_up() => (Tone::Bad, say!("the counters do not add up")),
            1.. => (Tone::Bad, counted(self.differences, "difference").at("/differences").into()),
            0 if self.stopped.is_some() => (Tone::Warning, say!("no difference so far")),
            0 if groups.failed > 0 => (Tone::Bad, say!("not everything could be read")),
            0 if groups.total > 0 && self.undone() == groups.total => {
                (Tone::Good, say!("nothing to compare, all of it was taken back"))
            }
            0 if self.merged_on() > 0 && self.undone() + self.merged_on() == groups.total => {
                (Tone::Good, say!("nothing to compare, later runs have merged it on"))
            }
            0 if groups.compared + self.undone() + self.merged_on() < groups.total => {
                (Tone::Warning, say!("no difference in what is done"))
            }
            0 => (Tone::Good, say!("no difference")),
        };
        Outcome { tone, word, took: say!("in {}", seconds(self.elapsed_s).at("/elapsed_s")) }
    }

    fn facts(&self) -> Vec<Fact> {
        let VerifiedGroups { total, compared, compared_before, failed, reason, left, not_done } =
            &self.groups;
        let at = |n: u64, field: &str| count(n).at(format!("/groups/{field}"));
        let parts = [
            (at(*compared, "compared"), "compared"),
            (at(*failed, "failed"), "not readable"),
            (at(*left, "left"), "still to compare"),
        ];
        let not_done = not_done.iter();
        let not_done =
            not_done.map(|(state, n)| (at(*n, &format!("not_done/{state}")), state.as_str()));
        let mut groups =
            Fact::new("Groups", sum(at(*total, "total"), parts.into_iter().chain(not_done)));
        if *compared_before > 0 {
            let before = at(*compared_before, "compared_before");
            groups = groups
                .with(say!("{} of them by the verification before, which was stopped", before));
        }
        let stopped = self.stopped.iter().map(|why| Fact::new("Stopped", why));
        let unseen = self.not_compared();
        let failed = reason.iter().map(|why| Fact::new("Failed", why));
        let retries = tried_again(self.retries, "/retries");
        let mut speed = Fact::new("Requests", retries);
        if self.repair {
            let events = counted(self.events, "event").at("/events");
            speed =
                speed.with(say!("what is missing was written again, and announced by {}", events));
        }
        let unsupported = self.unsupported.iter().map(|what| Fact::new("Not told", what));
        stopped
            .chain(unseen)
            .chain([groups])
            .chain(failed)
            .chain(unsupported)
            .chain([speed])
            .collect()
    }

    /// Groups of which nothing was compared, and where their rows are.
    fn not_compared(&self) -> Option<Fact> {
        let lines = self.groups.not_done.iter().filter_map(|(state, groups)| {
            if state == MERGED_ON {
                let groups = counted(*groups, "group").at(format!("/groups/not_done/{state}"));
                return Some(say!(
                    "{} merged on: later runs have worked on their accounts",
                    groups
                ));
            }
            let location = match state.parse().ok()? {
                State::Failed => "on the sources, or half under the survivor (failures.csv)",
                State::Intended | State::Written => "half merged: on sources and survivor",
                State::Rejected => "where other runs have moved them (failures.csv)",
                State::Sweeping => "under the survivor, but for late ones that are on their way",
                State::Undoing => "half given back: on sources and survivor",
                State::Disputed => "with their sources again, but for those in conflicts.csv",
                State::Done | State::Undone | State::Erased => return None,
            };
            let groups = counted(*groups, "group").at(format!("/groups/not_done/{state}"));
            Some(say!("{} {}: rows are {}", groups, state, location))
        });
        let mut lines = lines.collect::<Vec<_>>().into_iter();
        let fact = Fact::new("Left out", lines.next()?);
        Some(lines.fold(fact, Fact::with))
    }

    fn findings(&self) -> Section {
        type Kind = (&'static str, Verdict, &'static str, fn(&TableCounts) -> u64);
        let kinds: [Kind; 9] = [
            ("row_missing", Verdict::RowMissing, "rows that are not there", |n| n.row_missing),
            ("value_missing", Verdict::ValueMissing, "values that are not there", |n| {
                n.value_missing
            }),
            ("value_worse", Verdict::ValueWorse, "values worse than the run left them", |n| {
                n.value_worse
            }),
            ("value_differs", Verdict::ValueDiffers, "other values, and not newer ones", |n| {
                n.value_differs
            }),
            (
                "source_not_emptied",
                Verdict::SourceNotEmptied,
                "rows of sources that are still there",
                |n| n.source_not_emptied,
            ),
            (
                "undated",
                Verdict::Undated,
                "values that the run did not leave, and this server does not tell whether they are newer",
                |n| n.undated,
            ),
            (
                "changed_since",
                Verdict::ChangedSince,
                "values written or deleted later, which is no difference",
                |n| n.changed_since,
            ),
            (
                "source_changed_since",
                Verdict::ChangedSince,
                "rows of sources written later, which is no difference",
                |n| n.source_changed_since,
            ),
            ("repaired", Verdict::Repaired, "differences that were repaired", |n| n.repaired),
        ];
        let mut rows =
            Table::new(["Rows of", "compared", "differences", "changed since", "repaired"]);
        let mut found = Table::new(["Found in", "number", "what"]);
        for (index, VerifiedTable { table, counts }) in self.tables.iter().enumerate() {
            let at =
                |n: u64, field: &str| Text::from(count(n).at(format!("/tables/{index}/{field}")));
            let changed = counts.of(Verdict::ChangedSince);
            rows.push([
                code(table),
                at(counts.rows, "rows"),
                count(counts.differences()).into(),
                count(changed).into(),
                at(counts.repaired, "repaired"),
            ]);
            for (field, verdict, what, number) in kinds {
                let number = number(counts);
                if number > 0 {
                    let what = say!("{} ({})", what, verdict.to_string());
                    found.push([code(table), at(number, field), what]);
                }
            }
        }
        Section::new("What was found").with(rows).with(found)
    }

    fn examples(&self) -> Section {
        let about = "diff.csv has all of them. Each was read again before it was told.";
        let section = Section::new("Differences").about(about).with(examples(&self.examples));
        let left = say!(
            "what is left cannot be repaired from the journal: rows that were the survivor's own (it has only what the \
             policies look at), values where the run left none, rows of sources that are not what the run copied, and \
             all that is so old that its tombstones may be gone"
        );
        match self.differences > 0 && self.repair {
            true => section.with(Fact::new("Not repaired", left)),
            false => section,
        }
    }

    fn advise(&self, report: &mut Report) {
        let run = || self.run_dir.clone();
        if let Some(again) = &self.again {
            report.advise(say!("To go on where it was stopped"), again.clone());
        }
        if self.is_forgotten {
            return;
        }
        if self.again.is_none() && self.differences > 0 && !self.repair && self.truncated.is_empty()
        {
            let to =
                say!("To write again what is missing or worse ({} has each of them)", files::DIFF);
            report.advise(to, Advice::Verify { run: run(), repair: true });
        }
        let late = self.sum(|counts| counts.source_changed_since);
        let back = self.sum(|counts| counts.source_not_emptied);
        if back > 0 && !self.truncated.is_empty() {
            let to = say!(
                "{} of sources stand again where a table was truncated: restored, perhaps. To merge them once more",
                counted(back, "row")
            );
            report.advise(to, Advice::resume(&run()));
        } else if late > 0 {
            let to = say!(
                "{} of sources: written after the merge, or with nothing but a key, whose time cannot be read. What \
                 resume left before is in {} with its reason. To take what can be moved to the survivor's row",
                counted(late, "row"),
                files::SWEEP
            );
            report.advise(to, Advice::resume(&run()));
        } else if self.to_resume() > 0 {
            report.advise(say!("To do what is not done"), Advice::resume(&run()));
        }
        match self.undo() {
            Some(end @ Advice::Undo { keep_changed: true, .. }) => {
                report.advise(say!("To end it, and leave what was changed where it is"), end);
            }
            Some(undo) => report.advise(say!("To take the run back"), undo),
            None => {}
        }
    }
}
