//! Where an account went over all runs, and who it is now: what the register knows of it.

use std::path::PathBuf;

use serde::Serialize;

use super::Answer;
use super::document::{Fact, Outcome, Report, Section, Tone};
use super::words::{Text, code, path_on, say};
use crate::advice::Advice;
use crate::model::TimestampUs;
use crate::moment::Moment;

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 1;

/// What the register knows of an account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Traced {
    /// The version of this format.
    pub version: u32,
    /// The account, as the register writes it.
    pub account: String,
    /// What was asked: the register.
    pub by: &'static str,
    /// The keyspace that is merged.
    pub keyspace: String,
    /// Who the account is now.
    pub now: String,
    /// What runs did to it, and to the accounts that it became, in this order.
    pub stays: Vec<TracedStay>,
}

/// What a run did to an account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TracedStay {
    /// The account: the one that was asked for, or one that it became.
    pub account: String,
    pub run: String,
    /// The machine on which it was begun; none where the run was pruned.
    pub(crate) host: Option<String>,
    /// Its directory there.
    pub run_dir: Option<PathBuf>,
    /// The account into which it was merged; none where others were merged into it.
    pub into: Option<String>,
    /// The write time of the merge, in microseconds since the Unix epoch.
    pub(crate) t_us: TimestampUs,
    /// The same as a moment.
    pub as_of: Moment,
    /// `done`, `undone`, `busy` or `lost`.
    pub standing: &'static str,
    /// What ends the run, if it is not over.
    #[serde(skip)]
    pub(crate) end: Option<Advice>,
}

impl Traced {
    /// What the register of a keyspace knows of an account.
    pub(crate) fn new(account: &str, now: &str, keyspace: &str, stays: Vec<TracedStay>) -> Self {
        let [account, now, keyspace] = [account, now, keyspace].map(str::to_owned);
        Self { version: VERSION, account, by: "register", keyspace, now, stays }
    }
}

impl TracedStay {
    fn is_busy(&self) -> bool {
        self.standing == "busy"
    }

    fn facts(&self) -> [Fact; 4] {
        let run = match (&self.host, &self.run_dir) {
            (Some(host), Some(dir)) => {
                say!("{} in {}", code(&self.run), path_on(host, dir))
            }
            _ => say!("{}, which was pruned", code(&self.run)),
        };
        let merged = match &self.into {
            Some(into) => say!("{} into {}", code(&self.account), code(into)),
            None => say!("others into {}", code(&self.account)),
        };
        let state = match self.standing {
            "done" => say!("done"),
            "undone" => say!("taken back"),
            "lost" => say!("left half merged: the run is lost"),
            _ => say!("not ended: what is whose is open until it is"),
        };
        [
            Fact::new("Run", run),
            Fact::new("Merged", merged),
            Fact::new("As of", self.as_of.to_string()),
            Fact::new("State", state),
        ]
    }
}

impl Answer for Traced {
    fn report(&self) -> Report {
        let by: Text = say!("(by the register, of keyspace {})", code(&self.keyspace));
        let word = match self.now == self.account {
            true => say!("not merged into another account now {}", by),
            false => say!("{} now {}", code(&self.now), by),
        };
        let tone =
            if self.stays.iter().any(TracedStay::is_busy) { Tone::Warning } else { Tone::Good };
        let outcome = Outcome { word, tone, ..Outcome::default() };
        let mut report = Report { title: self.account.clone(), outcome, ..Report::default() };
        for (at, stay) in self.stays.iter().enumerate() {
            // That others came to a survivor is nothing new where a run has just brought the account there.
            let is_known = self.stays[..at].iter().any(|known| known.run == stay.run);
            if is_known && stay.into.is_none() {
                continue;
            }
            report.add(Section::new("Found").with_all(stay.facts()));
        }
        for stay in self.stays.iter().filter(|stay| stay.is_busy()) {
            if let (Some(host), Some(end)) = (&stay.host, &stay.end) {
                let to = say!("To end {}, on {}", code(&stay.run), code(host));
                report.advise(to, end.clone());
            }
        }
        report
    }
}
