//! What became of rows that mention sources.

use crate::model::{MentionTally, Timed};
use crate::report::document::Fact;
use crate::report::words::{counted, say, seconds};
use crate::run::files;

/// What was done to rows that mentioned sources of groups that are done.
pub(super) fn fact(Timed { tally, seconds: took }: &Timed<MentionTally>) -> Fact {
    let at = |n: u64, noun, field: &str| counted(n, noun).at(format!("/mentions/{field}"));
    let took = seconds(*took).at("/mentions/seconds");
    let rows = at(tally.rows, "row", "rows");
    let sentence = say!("{} that named sources and name survivors now", rows);
    let sentence =
        sentence.and(say!("; {} scanned in {}", at(tally.scanned, "row", "scanned"), took));
    let left = || say!("; {} left unchanged (see {})", at(tally.left, "row", "left"), files::SWEEP);
    let failed = || say!("; those of {} failed", at(tally.failed, "group", "failed"));
    let sentence = sentence.and_if(tally.left > 0, left);
    Fact::new("Mentions", sentence.and_if(tally.failed > 0, failed))
}
