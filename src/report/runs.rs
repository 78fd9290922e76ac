//! The runs of a keyspace, as its register knows them.

use std::path::PathBuf;

use serde::Serialize;

use super::Answer;
use super::document::{Fact, Outcome, Report, Section, Table};
use super::words::{code, count, counted, path, say};
use crate::advice::Advice;
use crate::moment::Moment;

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 1;

/// The runs of a keyspace.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Runs {
    /// The version of this format.
    pub version: u32,
    /// The keyspace that they merge.
    pub keyspace: String,
    /// The run that works on it at the moment, with its machine.
    pub(crate) at_work: Option<String>,
    /// All of them, the first that began first.
    pub runs: Vec<ListedRun>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct ListedRun {
    /// Its id.
    pub run: String,
    /// running, done, partial, undoing, undoing-some, undone, lost or closed.
    pub state: &'static str,
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
    pub groups: std::collections::BTreeMap<String, i64>,
}

impl Runs {
    pub(crate) fn new(keyspace: &str, at_work: Option<String>, runs: Vec<ListedRun>) -> Self {
        Self { version: VERSION, keyspace: keyspace.to_owned(), at_work, runs }
    }
}

impl ListedRun {
    /// What ends it; a run that is at work does that by itself.
    fn end(&self, at_work: Option<&str>) -> Option<&Advice> {
        let is_at_work = at_work.is_some_and(|at_work| at_work.starts_with(&self.run));
        self.end.as_ref().filter(|_| !is_at_work)
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
        if let Some(at_work) = &self.at_work {
            report.facts.push(Fact::new("At work", at_work.as_str()));
        }
        let mut table = Table::new(["run", "state", "groups", "began", "where"]);
        for run in &self.runs {
            let groups = run.groups.values().sum::<i64>().max(0).cast_unsigned();
            let location = format!("{}:{}", run.host, run.run_dir.display());
            table.push([
                code(&run.run),
                run.state.into(),
                count(groups).into(),
                run.began.to_string().as_str().into(),
                path(location.as_ref()),
            ]);
        }
        report.add(Section::new("Runs").with(table));
        let at_work = self.at_work.as_deref();
        for (run, end) in self.runs.iter().filter_map(|run| Some((run, run.end(at_work)?))) {
            let to = say!("To end {}, on {}", code(&run.run), code(&run.host));
            report.advise(to, end.clone());
        }
        report
    }
}
