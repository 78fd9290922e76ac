//! That another run is at work on the keyspace, so that a command did nothing.

use serde::Serialize;

use super::Answer;
use super::document::{Fact, Outcome, Report, Tone};
use super::words::{code, counted, say};

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 1;

/// A command that the lease of another run kept out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Leased {
    /// The version of this format.
    pub version: u32,
    pub keyspace: String,
    /// Who is at work.
    pub busy: AtWork,
    /// The exit code of the process.
    pub exit_code: u8,
}

/// Who works on a keyspace.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AtWork {
    pub run: String,
    /// The machine.
    pub host: String,
    /// How long its lease lasts unless it is renewed, in seconds.
    pub(crate) lease_s: u64,
}

impl Leased {
    /// The command ends with this code, because of who is at work.
    pub(crate) fn new(keyspace: &str, busy: AtWork, exit_code: u8) -> Self {
        Self { version: VERSION, keyspace: keyspace.to_owned(), busy, exit_code }
    }
}

impl Answer for Leased {
    fn report(&self) -> Report {
        let AtWork { run, host, lease_s } = &self.busy;
        let word = say!("kept out of keyspace {}", code(&self.keyspace));
        let outcome = Outcome { word, tone: Tone::Warning, ..Outcome::default() };
        let mut report = Report { title: "busy".to_owned(), outcome, ..Report::default() };
        let lease = counted(*lease_s, "second").at("/busy/lease_s");
        let at_work =
            say!("{} on {}, for {} unless it renews its lease", code(run), code(host), lease);
        report.facts.push(Fact::new("At work", at_work));
        report
    }
}
