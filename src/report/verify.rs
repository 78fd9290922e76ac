//! What verify has found, as text or as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::advice::Advice;
use crate::journal::State;
use crate::latency::LaneSummary;
use crate::moment::Moment;
use crate::run::{RunId, files};
use crate::verify::{TableCounts, Verdict};

use super::equation::{Document, Equation};
use super::text::{
    count, counted, duration, labelled, paragraph, printable, shown_in_browser, table,
};
use super::{Listing, Timeline};

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 1;

/// What verify has found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// The version of this format.
    pub version: u32,
    /// The subcommand.
    pub command: &'static str,
    /// The run that was verified.
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
    /// Whether differences were repaired.
    pub repair: bool,
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
    /// Events that repairs produced and the broker acknowledged, in this session.
    pub events: u64,
    /// Requests that were tried again, in this session.
    pub retries: u64,
    /// A few lines of diff.csv of each verdict.
    pub examples: Listing,
    /// How it went over time, in this session.
    pub timeline: Timeline,
    /// How long things took, in this session.
    pub latency: Vec<LaneSummary>,
    /// The settings in effect, redacted.
    pub settings: Value,
}

/// `total = compared + failed + left + the others`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifiedGroups {
    /// Groups of the run's plan.
    pub total: u64,
    /// Groups that were compared.
    pub compared: u64,
    /// Those of them that a verification before had compared.
    pub compared_before: u64,
    /// Groups that could not be compared.
    pub failed: u64,
    /// Why the first of them could not.
    pub reason: Option<String>,
    /// Groups that had no turn, because it was stopped.
    pub left: u64,
    /// Groups that are not done, by state; there is nothing to compare.
    pub not_done: BTreeMap<String, u64>,
}

/// What was found in one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifiedTable {
    /// Its name.
    pub table: String,
    /// What was counted.
    #[serde(flatten)]
    pub counts: TableCounts,
}

impl Verification {
    /// The format's version, for whoever fills it in.
    pub const VERSION: u32 = VERSION;

    /// Whether every group of the run is accounted for.
    pub fn adds_up(&self) -> bool {
        self.equations().iter().all(Equation::holds)
    }

    /// What must add up.
    pub fn equations(&self) -> Vec<Equation> {
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

    /// Groups that `resume` would take up.
    pub(super) fn to_resume(&self) -> u64 {
        let taken_back = [State::Undoing, State::Undone, State::Disputed].map(|s| s.to_string());
        let left = self.groups.not_done.iter().filter(|(state, _)| !taken_back.contains(state));
        left.map(|(_, groups)| groups).sum()
    }
}

/// As JSON, with a line feed at its end.
pub fn verify_json(verification: &Verification) -> serde_json::Result<String> {
    let (adds_up, equations) = (verification.adds_up(), verification.equations());
    let document = Document { report: verification, adds_up, equations };
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}

/// As text: at most 80 columns, what matters first, what to do next last.
pub fn verify_text(verification: &Verification) -> String {
    let mut text = format!("{}\n\n", head(verification));
    text += &groups(verification);
    text += &findings(verification);
    text += &tables(verification);
    text += "\n";
    text + &next(verification)
}

fn head(verification: &Verification) -> String {
    let Verification { run, differences, stopped, groups, .. } = verification;
    let found = match differences {
        0 => "no difference".to_owned(),
        differences => counted(*differences, "difference").to_uppercase(),
    };
    let repaired = match verification.sum(|counts| counts.repaired) {
        0 => String::new(),
        repaired => format!(", {} repaired", count(repaired)),
    };
    let so_far = if stopped.is_some() || groups.failed > 0 { " so far" } else { "" };
    let took = duration(Duration::from_secs_f64(verification.elapsed_s));
    format!("verify {run}: {found}{repaired}{so_far}, in {took}")
}

fn groups(verification: &Verification) -> String {
    let VerifiedGroups { total, compared, compared_before, failed, reason, left, not_done } =
        &verification.groups;
    let mut text = String::new();
    if let Some(why) = &verification.stopped {
        text += &labelled("Stopped", why);
    }
    let mut parts = format!("{} = {} compared", count(*total), count(*compared));
    let others = not_done.iter().map(|(state, groups)| (*groups, state.as_str()));
    for (groups, what) in [(*failed, "not readable"), (*left, "still to compare")]
        .into_iter()
        .chain(others)
        .filter(|(groups, _)| *groups > 0)
    {
        parts += &format!(" + {} {what}", count(groups));
    }
    text += &labelled("Groups", &parts);
    if *compared_before > 0 {
        let before = format!(
            "{} of them by the verification before, which was stopped",
            count(*compared_before)
        );
        text += &labelled("", &before);
    }
    if let Some(reason) = reason {
        text += &labelled("Failed", &printable(reason));
    }
    text
}

/// What was found, by kind.
fn findings(verification: &Verification) -> String {
    let kinds = [
        (Verdict::RowMissing, "rows are not there"),
        (Verdict::ValueMissing, "values are not there"),
        (Verdict::ValueWorse, "values are worse than the run left them"),
        (Verdict::ValueDiffers, "values are others, and not newer ones"),
        (Verdict::SourceNotEmptied, "rows of sources are still there"),
        (Verdict::ChangedSince, "were written later, which is no difference"),
        (Verdict::Repaired, "differences were repaired"),
    ];
    let mut text = String::new();
    for (verdict, what) in kinds {
        let found = verification.sum(|counts| counts.of(verdict));
        if found > 0 {
            text += &labelled(&format!("{:>10}", count(found)), &format!("{what} ({verdict})"));
        }
    }
    if text.is_empty() { text } else { format!("\nFound\n{text}") }
}

fn tables(verification: &Verification) -> String {
    let head = ["Rows of", "compared", "differences", "changed since", "repaired"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for VerifiedTable { table, counts } in &verification.tables {
        let changed = counts.of(Verdict::ChangedSince);
        let numbers = [counts.rows, counts.differences(), changed, counts.repaired];
        lines.push([table.clone()].into_iter().chain(numbers.map(count)).collect());
    }
    format!("\n{}", table(&lines))
}

fn next(verification: &Verification) -> String {
    let run = || verification.run_dir.clone();
    let mut text = String::new();
    let found = |counts: &TableCounts| {
        counts.differences() + counts.of(Verdict::ChangedSince) + counts.repaired
    };
    if verification.sum(found) > 0 {
        text += &paragraph(&format!("{} has each of them.", files::DIFF));
    }
    // Commands are not wrapped, so that they can be copied.
    let to = |what: &str, command: &Advice| format!("{}  {command}\n", paragraph(what));
    if let Some(again) = &verification.again {
        text += &to("To go on where it was stopped:", again);
    } else if verification.differences > 0 && !verification.repair {
        let command = Advice::Verify { run: run(), repair: true };
        text += &to("To write again what is missing or worse:", &command);
    } else if verification.differences > 0 {
        text += &paragraph(
            "What is left cannot be repaired from the journal: rows that were the survivor's own (it has only \
             what the policies look at), values where the run left none, and rows of sources that are not \
             what the run copied.",
        );
    }
    let late = verification.sum(|counts| counts.source_changed_since);
    if late > 0 {
        let what = format!(
            "{} of sources: written after the merge, or with nothing but a key, whose time cannot be read. \
             To take what can be taken to its new place:",
            counted(late, "row")
        );
        text += &to(&what, &Advice::resume(&run()));
    } else if verification.to_resume() > 0 {
        text += &to("To do what is not done:", &Advice::resume(&run()));
    }
    text += &shown_in_browser(files::VERIFY_PAGE);
    text + &format!("Run directory: {}\n", printable(&verification.run_dir.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verification() -> Verification {
        let counts = TableCounts {
            rows: 1_234_567,
            row_missing: 60,
            value_worse: 40,
            source_changed_since: 2,
            ..TableCounts::default()
        };
        let started_at = Moment::now();
        Verification {
            version: VERSION,
            command: "verify",
            run: RunId::new(started_at),
            run_dir: "/data/my runs/r1".into(),
            started_at,
            finished_at: started_at,
            elapsed_s: 62.0,
            exit_code: 4,
            repair: false,
            stopped: None,
            again: None,
            groups: VerifiedGroups {
                total: 18_500,
                compared: 18_000,
                not_done: [("failed".to_owned(), 100), ("planned".to_owned(), 400)].into(),
                ..VerifiedGroups::default()
            },
            differences: 100,
            tables: vec![
                VerifiedTable { table: "content_consumption".into(), counts },
                VerifiedTable { table: "user_courses".into(), counts: TableCounts::default() },
            ],
            events: 0,
            retries: 0,
            examples: Listing::default(),
            timeline: Timeline::default(),
            latency: Vec::new(),
            settings: Value::Null,
        }
    }

    #[test]
    fn differences_come_first_and_what_to_do_last() {
        let verification = verification();
        let text = verify_text(&verification);
        let rest = text.split_once(": ").unwrap().1;
        assert_eq!(
            rest,
            "100 DIFFERENCES, in 1 min 02 s\n\n\
             Groups      18,500 = 18,000 compared + 100 failed + 400 planned\n\
             \nFound\n\
             \x20       60  rows are not there (row-missing)\n\
             \x20       40  values are worse than the run left them (value-worse)\n\
             \x20        2  were written later, which is no difference (changed-since)\n\
             \n\
             Rows of               compared  differences  changed since  repaired\n\
             content_consumption  1,234,567          100              2         0\n\
             user_courses                 0            0              0         0\n\
             \n\
             diff.csv has each of them.\n\
             To write again what is missing or worse:\n\
             \x20 tributary verify '/data/my runs/r1' --repair\n\
             2 rows of sources: written after the merge, or with nothing but a key, whose\n\
             time cannot be read. To take what can be taken to its new place:\n\
             \x20 tributary resume '/data/my runs/r1'\n\
             verify.html shows this and more in a browser.\n\
             Run directory: /data/my runs/r1\n"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_stopped_verification_says_how_to_go_on() {
        let mut stopped = verification();
        stopped.differences = 0;
        stopped.tables.iter_mut().for_each(|table| table.counts = TableCounts::default());
        stopped.stopped = Some("interrupted".into());
        stopped.again = Some(Advice::Verify { run: "r1".into(), repair: false });
        stopped.groups.left = 7_000;
        stopped.groups.compared_before = 2_000;
        let text = verify_text(&stopped);
        assert!(text.contains(": no difference so far, in "), "{text}");
        assert!(text.contains("+ 7,000 still to compare"), "{text}");
        assert!(text.contains("2,000 of them by the verification before"), "{text}");
        assert!(text.contains("go on where it was stopped:\n  tributary verify r1\n"), "{text}");
        assert!(!text.contains("Found") && !text.contains(files::DIFF), "{text}");
    }

    #[test]
    fn the_json_has_every_count_by_table() {
        let json = verify_json(&verification()).unwrap();
        crate::report::tests::documented("verify", &json);
        let value: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["tables"][0]["row_missing"], 60);
        assert_eq!(value["groups"]["not_done"]["planned"], 400);
        assert_eq!(value["version"], VERSION);
    }
}
