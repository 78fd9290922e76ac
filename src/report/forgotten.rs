//! What was erased of an account, and what cannot be done any more because of that.

use std::path::PathBuf;

use serde::Serialize;

use super::Answer;
use super::document::{Fact, Outcome, Report, Section, Table, Tone};
use super::words::{code, count, counted, path, path_on, say};

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 1;

/// What `forget` did.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Forgotten {
    /// The version of this format.
    pub version: u32,
    pub keyspace: String,
    /// Rows of the register that named the account; none where it was not asked.
    pub(crate) register_rows: Option<u64>,
    /// The run directories that were looked through.
    pub(crate) erased_in: Vec<ErasedRun>,
    /// Runs that worked on the account, and whose directories were not: they still name it.
    pub(crate) still_in: Vec<StillNamed>,
}

/// What was erased in a run directory.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ErasedRun {
    pub run: String,
    /// Its directory.
    pub run_dir: PathBuf,
    /// Groups of the journal that the account was in, with their rows before and after.
    pub groups: u64,
    /// Lines of its other files.
    pub lines: u64,
    /// Reports that named it, which are gone as a whole.
    pub(crate) reports: Vec<String>,
}

/// A run that still names an account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StillNamed {
    pub run: String,
    /// The machine on which it was begun; none where the register did not know that any more.
    pub(crate) host: Option<String>,
    /// Its directory there.
    pub run_dir: Option<PathBuf>,
}

impl Forgotten {
    /// Nothing is erased yet.
    pub(crate) fn new(keyspace: &str) -> Self {
        Self { version: VERSION, keyspace: keyspace.to_owned(), ..Self::default() }
    }
}

impl Answer for Forgotten {
    fn report(&self) -> Report {
        let tone = if self.still_in.is_empty() { Tone::Good } else { Tone::Warning };
        let outcome = Outcome { word: say!("erased"), tone, ..Outcome::default() };
        let mut report = Report { title: "account".to_owned(), outcome, ..Report::default() };
        let register = match self.register_rows {
            Some(rows) => say!(
                "{} erased, of keyspace {}",
                counted(rows, "row").at("/register_rows"),
                code(&self.keyspace)
            ),
            None => say!("not asked (--no-register)"),
        };
        report.facts.push(Fact::new("Register", register));
        let groups: u64 = self.erased_in.iter().map(|run| run.groups).sum();
        let lost = say!(
            "who the account became, and who became it: lookup, rejects and --follow do not know it any more"
        );
        let mut over = Fact::new("No longer", lost);
        if groups > 0 {
            over = over.with(say!(
                "{} cannot be undone, verified or repaired: their rows stay with whoever has them now, and none of these \
                 runs can be resumed",
                counted(groups, "group")
            ));
        }
        report.facts.push(over);
        let untouched = say!("the rows of the account in the tables of {}", code(&self.keyspace));
        report.facts.push(Fact::new("Untouched", untouched));
        let mut erased = Table::new(["erased in", "groups", "lines", "reports"]);
        for (index, run) in self.erased_in.iter().enumerate() {
            let at = |n: u64, field: &str| count(n).at(format!("/erased_in/{index}/{field}"));
            erased.push([
                path(&run.run_dir),
                at(run.groups, "groups").into(),
                at(run.lines, "lines").into(),
                run.reports.join(", ").as_str().into(),
            ]);
        }
        report.add(Section::new("Erased").with(erased));
        let mut still = Table::new(["still named by run", "in"]);
        for named in &self.still_in {
            let at = match (&named.host, &named.run_dir) {
                (Some(host), Some(dir)) => path_on(host, dir),
                _ => say!("a directory that the register does not know any more"),
            };
            still.push([code(&named.run), at]);
        }
        let about =
            "Give these directories to the same command, on their machines, or remove them.";
        report.add(Section::new("Still named").about(about).with(still));
        report
    }
}
