//! The runs that the register of a keyspace has forgotten.

use serde::Serialize;

use super::Answer;
use super::document::{Fact, Outcome, Report, Section, Table};
use super::words::{code, counted, say};
use crate::moment::Moment;

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 1;

/// What `runs prune` did.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PrunedRuns {
    /// The version of this format.
    pub version: u32,
    /// The keyspace that they merged.
    pub keyspace: String,
    /// Runs whose last command ended before.
    pub before: Moment,
    /// The ids of those that are gone, the first that began first.
    pub pruned: Vec<String>,
    /// Those that are as old and stay, because an earlier one does.
    pub kept: Vec<KeptRun>,
}

/// A run that stays for another.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct KeptRun {
    /// Its id.
    pub run: String,
    /// The earlier run: were that one undone, this one would have to be undone before.
    pub(crate) because_of: String,
}

impl PrunedRuns {
    /// What was pruned, and what stays with the run for which it does.
    pub(crate) fn new(
        keyspace: &str,
        before: Moment,
        pruned: Vec<String>,
        kept: Vec<(String, String)>,
    ) -> Self {
        let kept = kept.into_iter().map(|(run, because_of)| KeptRun { run, because_of });
        Self {
            version: VERSION,
            keyspace: keyspace.to_owned(),
            before,
            pruned,
            kept: kept.collect(),
        }
    }
}

impl Answer for PrunedRuns {
    fn report(&self) -> Report {
        let word = say!(
            "{} of keyspace {} pruned",
            counted(self.pruned.len() as u64, "run"),
            code(&self.keyspace)
        );
        let outcome = Outcome { word, ..Outcome::default() };
        let mut report = Report { title: "runs".to_owned(), outcome, ..Report::default() };
        report.facts.push(Fact::new("Ended before", self.before.to_string()));
        if !self.pruned.is_empty() {
            let stays = "who became whom; these runs can be verified, and neither resumed, repaired nor undone";
            report.facts.push(Fact::new("What stays", stays));
        }
        let mut pruned = Table::new(["pruned"]);
        self.pruned.iter().for_each(|run| pruned.push([code(run)]));
        report.add(Section::new("Pruned").with(pruned));
        let mut kept = Table::new(["as old, and kept", "because this earlier run stays"]);
        self.kept.iter().for_each(|kept_run| {
            kept.push([code(&kept_run.run), code(&kept_run.because_of)]);
        });
        report.add(Section::new("Kept").with(kept));
        report
    }
}
