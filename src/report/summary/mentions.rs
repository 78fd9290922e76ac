//! What became of rows that mention sources.

use serde::Serialize;

use crate::report::document::Fact;
use crate::report::words::{counted, say, seconds};
use crate::run::files;

/// What was done to rows that mentioned sources of groups that are done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct MentionFacts {
    /// Rows that were scanned for them.
    pub scanned: u64,
    /// Rows that name the survivor now.
    pub rows: u64,
    /// Rows that were left as they are, listed in sweep.csv.
    pub left: u64,
    /// Groups of which that failed, listed there too.
    pub failed: u64,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
    /// The time that it took.
    pub seconds: f64,
}

impl MentionFacts {
    /// Whether something was left to be looked at.
    pub(crate) fn is_partial(&self) -> bool {
        self.left > 0 || self.failed > 0
    }

    /// In words.
    pub(super) fn fact(&self) -> Fact {
        let at = |n: u64, noun, field: &str| counted(n, noun).at(format!("/mentions/{field}"));
        let took = seconds(self.seconds).at("/mentions/seconds");
        let rows = at(self.rows, "row", "rows");
        let sentence = say!("{} that named sources and name survivors now", rows);
        let sentence =
            sentence.and(say!("; {} scanned in {}", at(self.scanned, "row", "scanned"), took));
        let left =
            || say!("; {} left as they are (see {})", at(self.left, "row", "left"), files::SWEEP);
        let failed = || say!("; those of {} failed", at(self.failed, "group", "failed"));
        let sentence = sentence.and_if(self.left > 0, left);
        Fact::new("Mentions", sentence.and_if(self.failed > 0, failed))
    }
}
