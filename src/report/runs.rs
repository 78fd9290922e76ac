//! The runs of a keyspace, as its register knows them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Answer;
use super::document::{Fact, Outcome, Report, Section, Table};
use super::words::{Text, code, count, counted, path_on, say};
use crate::advice::Advice;
use crate::model::Part;
use crate::moment::Moment;

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 2;

/// States of runs that are not over, the first of which a plan has if one of its parts has it.
const NOT_OVER: [&str; 5] = ["running", "undoing", "undoing-some", "partial", "lost"];

/// States in which a process works on a run, or did when it was last heard of.
const AT_WORK: [&str; 3] = ["running", "undoing", "undoing-some"];

fn is_at_work(run: &str, at_work: &[String]) -> bool {
    at_work.iter().any(|at_work| at_work.split_once(' ').is_some_and(|(id, _)| id == run))
}

/// The runs of a keyspace.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Runs {
    /// The version of this format.
    pub version: u32,
    /// The keyspace that they merge.
    pub keyspace: String,
    /// The runs that work on it at the moment, each with its machine: one, or parts of one plan.
    pub(crate) at_work: Vec<String>,
    /// All of them, the first that began first.
    pub runs: Vec<ListedRun>,
    /// The plans that are merged in parts.
    pub(crate) plans: Vec<ListedPlan>,
}

/// A plan that is merged in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ListedPlan {
    /// The runs that are its parts, by their ids, in the order of the parts.
    pub runs: Vec<String>,
    /// As of a run; partial, too, while a part has not begun.
    pub state: &'static str,
    /// The groups of all parts that have begun, by state.
    pub groups: BTreeMap<String, i64>,
    /// The parts that have not begun, as in 2/3.
    pub(crate) not_begun: Vec<Part>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListedRun {
    /// Its id.
    pub run: String,
    /// running, done, partial, undoing, undoing-some, undone, lost or closed.
    pub state: &'static str,
    /// Whether it is running or undoing by its state, and no process works on it: it was killed, or its machine is gone.
    pub(crate) stopped: bool,
    /// What ends it, if it is not over.
    #[serde(skip)]
    pub(crate) end: Option<Advice>,
    /// The machine on which it was begun.
    pub(crate) host: String,
    /// Its directory there.
    pub run_dir: PathBuf,
    /// Who began it.
    pub user: String,
    /// The version of the program.
    pub tributary: String,
    pub began: Moment,
    /// When a command of it ended last.
    pub ended: Option<Moment>,
    /// The SHA-256 of its pairs.
    pub(crate) input_sha256: String,
    /// The SHA-256 of its specification.
    pub(crate) spec_sha256: String,
    /// The tables that it merges.
    pub tables: Vec<String>,
    /// Its groups, by state.
    pub groups: BTreeMap<String, i64>,
    /// The part of its plan that it is, as in 2/3; none if it is all of it.
    pub part: Option<Part>,
}

impl Runs {
    pub(crate) fn new(keyspace: &str, at_work: Vec<String>, mut runs: Vec<ListedRun>) -> Self {
        for run in &mut runs {
            run.stopped = AT_WORK.contains(&run.state) && !is_at_work(&run.run, &at_work);
        }
        let plans = together(&runs).into_iter().map(|parts| ListedPlan::of(&parts)).collect();
        Self { version: VERSION, keyspace: keyspace.to_owned(), at_work, runs, plans }
    }

    /// The plan that a run is a part of.
    fn plan_of(&self, run: &ListedRun) -> Option<&ListedPlan> {
        self.plans.iter().find(|plan| plan.runs.contains(&run.run))
    }
}

/// The runs that are parts of one plan. What was merged in the same parts before is another plan: a part is in each once.
fn together(runs: &[ListedRun]) -> Vec<Vec<&ListedRun>> {
    let mut plans: Vec<Vec<&ListedRun>> = Vec::new();
    for run in runs {
        let Some(part) = run.part else { continue };
        let lacks_it = |plan: &&mut Vec<&ListedRun>| {
            let is_of = |other: &ListedRun| {
                other.part.is_some_and(|other| other.of == part.of)
                    && other.input_sha256 == run.input_sha256
                    && other.spec_sha256 == run.spec_sha256
            };
            plan.iter().all(|other| is_of(other) && other.part != run.part)
        };
        match plans.iter_mut().find(lacks_it) {
            Some(plan) => plan.push(run),
            None => plans.push(vec![run]),
        }
    }
    plans.iter_mut().for_each(|plan| plan.sort_by_key(|run| run.part));
    plans
}

impl ListedPlan {
    fn of(parts: &[&ListedRun]) -> Self {
        let all = parts.iter().find_map(|run| run.part).into_iter().flat_map(Part::all);
        let begun: Vec<Part> = parts.iter().filter_map(|run| run.part).collect();
        let not_begun: Vec<Part> = all.filter(|part| !begun.contains(part)).collect();
        let has = |state: &&&str| {
            parts.iter().any(|run| run.state == **state)
                || **state == "partial" && !not_begun.is_empty()
        };
        let over = parts.iter().map(|run| run.state).min().unwrap_or_default();
        let state = NOT_OVER.iter().find(has).copied().unwrap_or(over);
        let mut groups = BTreeMap::new();
        for (state, n) in parts.iter().flat_map(|run| &run.groups) {
            *groups.entry(state.clone()).or_default() += n;
        }
        let runs = parts.iter().map(|run| run.run.clone()).collect();
        Self { runs, state, groups, not_begun }
    }

    /// Its row in the list of runs, where its first part stands.
    fn row(&self, first: &ListedRun) -> [Text; 5] {
        let parts = counted(self.runs.len() as u64, "part");
        let began = first.began.to_string();
        let missing = self.not_begun.iter().map(|part| part.to_string().into());
        let whereabouts = match self.not_begun.is_empty() {
            true => say!("below: {}", parts),
            false => say!("below: {}; not begun: {}", parts, Text::join(missing, ", ")),
        };
        [
            code(&first.run),
            self.state.into(),
            total(&self.groups),
            began.as_str().into(),
            whereabouts,
        ]
    }
}

fn total(groups: &BTreeMap<String, i64>) -> Text {
    // They are told when a command ends.
    if groups.is_empty() {
        return "–".into();
    }
    count(groups.values().sum::<i64>().max(0).cast_unsigned()).into()
}

impl ListedRun {
    /// What ends it; a run that is at work does that by itself.
    fn end(&self, at_work: &[String]) -> Option<&Advice> {
        self.end.as_ref().filter(|_| !is_at_work(&self.run, at_work))
    }

    fn state(&self) -> Text {
        match self.stopped {
            true => say!("{}, stopped", self.state),
            false => self.state.into(),
        }
    }

    fn row(&self) -> [Text; 5] {
        let began = self.began.to_string();
        let groups = total(&self.groups);
        [
            code(&self.run),
            self.state(),
            groups,
            began.as_str().into(),
            path_on(&self.host, &self.run_dir),
        ]
    }
}

impl Answer for Runs {
    fn report(&self) -> Report {
        let mut report = Report { title: "runs".to_owned(), ..Report::default() };
        report.outcome = Outcome {
            word: say!(
                "{} of keyspace {}",
                counted(self.runs.len() as u64, "run"),
                code(&self.keyspace)
            ),
            ..Outcome::default()
        };
        if !self.at_work.is_empty() {
            report.facts.push(Fact::new("At work", self.at_work.join(", ").as_str()));
        }
        let stopped = self.runs.iter().filter(|run| run.stopped).count() as u64;
        if stopped > 0 {
            let sentence = say!(
                "{} that no process works on any more (no lease): the commands below end what was begun",
                counted(stopped, "run")
            );
            report.facts.push(Fact::new("Stopped", sentence));
        }
        let columns = ["run", "state", "groups", "began", "where"];
        let (mut table, mut parts) = (Table::new(columns), Table::new(columns));
        for run in &self.runs {
            match self.plan_of(run) {
                None => table.push(run.row()),
                Some(plan) => {
                    if plan.runs.first() == Some(&run.run) {
                        table.push(plan.row(run));
                    }
                    parts.push(run.row());
                }
            }
        }
        report.add(Section::new("Runs").with(table));
        report.add(Section::new("Parts").with(parts));
        let ends = self.runs.iter().rev().filter_map(|run| Some((run, run.end(&self.at_work)?)));
        let mut ends: Vec<_> = ends.collect();
        // What a run left half merged keeps others from their end: those that died first, then the later ones.
        ends.sort_by_key(|(run, _)| run.state != "running");
        for (run, end) in ends {
            let to = say!("To end {}, on {}", code(&run.run), code(&run.host));
            report.advise(to, end.clone());
        }
        report
    }
}
