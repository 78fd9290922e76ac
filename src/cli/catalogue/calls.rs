//! The flags that hold for one call.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::advice::Advice;
use crate::cli::moments;
use crate::setting::Command::{Apply, Plan, Resume, RunsPrune, SpecInit, Undo, Verify};
use crate::setting::{Setting, ValueKind, settings, values};

settings! {
    /// What is asked of one call.
    pub(in crate::cli) CALLS: "", &[];

    /// Merge what this plan says, and refuse anything else: the run directory of a `plan`
    ///
    /// The pairs (by SHA-256), the specification and the groups must be those of the plan, and, if it has inspected
    /// a cluster, the keyspace and --discover. Without PAIRS, the plan's own copy is merged.
    PLAN: PathBuf = Setting::new("plan", ValueKind::Path, "RUN", values::path)
        .example("runs/a").of_a_call().under("Input").taken_by(&[Apply]);

    /// Go on with the run that --run-dir holds, if it holds one of the same pairs and settings; else begin it
    ///
    /// One command for a scheduler, whatever has stopped the process before. A run of other pairs, of another part, or by
    /// another specification is refused.
    OR_RESUME: bool = Setting::switch("or_resume").of_a_call().under("Input").taken_by(&[Apply]);

    /// Read the cluster, and say what a merge would do there: of all groups, or of a sample of N
    ///
    /// `all` (the default) is exact, and reads what a merge reads. `sample=N` reads N groups, drawn at random, and
    /// gives 95 % confidence intervals. Nothing is written.
    INSPECT: Option<usize> = Setting::new("inspect", ValueKind::Optional("all"), "all|sample=N", inspect)
        .example("sample=50").of_a_call().under("Inspection").taken_by(&[Plan]);

    /// Go by the run's own copy of the pairs, though the file that they came from has changed since
    USE_COPY: bool = Setting::switch("use_copy").of_a_call().taken_by(&[Resume]);

    /// Take back only the groups that these pairs are in: a list, written as the run's pairs are
    PAIRS: PathBuf = Setting::new("pairs", ValueKind::Path, "FILE", values::path)
        .example("wrong.csv").of_a_call().taken_by(&[Undo]);

    /// The columns that hold accounts, by name, where _ and case do not count: NAME,…
    ACCOUNT: Vec<String> = Setting::new("account", ValueKind::List, "NAMES", names)
        .example("userid").of_a_call().required("the columns that hold accounts").taken_by(&[SpecInit]);

    /// So long ago the last command of a run must have ended: 90d, 12h
    OLDER_THAN: Duration = Setting::new("older_than", ValueKind::Text, "DURATION", values::time_span)
        .example("90d").of_a_call().required("how long ago a run must have ended, as in 90d").taken_by(&[RunsPrune]);
}

settings! {
    /// When a session ends by the clock.
    pub(in crate::cli) TIMES: "Pace", &[Apply, Resume, Verify, Undo];

    /// Begin no group after this time: 06:00 (the next one, of this machine's clock), or RFC 3339 with an offset
    ///
    /// What is under way then is finished, as after Ctrl-C: exit code 130, and the command that goes on is told. It
    /// holds for this call alone.
    UNTIL: SystemTime = Setting::new("until", ValueKind::Text, "TIME", moments::next).example("06:00").of_a_call();

    /// Begin no group after this long, counted from the start of the command: 4h, 90s, 1h30m
    FOR: Duration = Setting::new("for", ValueKind::Text, "DURATION", values::time_span).example("4h").of_a_call();
}

/// The fewest groups that a sample may have: fewer say next to nothing.
const SMALLEST_SAMPLE: usize = 10;

/// `userid,user_id`
fn names(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.is_empty() { Err("names no column: use NAME,…".to_owned()) } else { Ok(names) }
}

/// `all`, or `sample=N`: so many groups. The flag may stand alone, so that whatever follows is taken for its value:
/// what is none is told with what was probably meant.
fn inspect(text: &str) -> Result<Option<usize>, String> {
    let wrong = match text.strip_prefix("sample=") {
        None if text == "all" => return Ok(None),
        None => "is neither all nor sample=N".to_owned(),
        Some(groups) => match values::count(groups, SMALLEST_SAMPLE, usize::MAX) {
            Ok(groups) => return Ok(Some(groups)),
            Err(wrong) => format!("asks for a sample that {wrong}"),
        },
    };
    Err(format!(
        "{wrong}. If these are the pairs, they come first: {}",
        Advice::Inspect { pairs: text.into() }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_large_enough_to_say_something() {
        assert_eq!((inspect("all"), inspect("sample=1_000")), (Ok(None), Ok(Some(1_000))));
        assert!(
            ["sample", "sample=", "sample=9", "pairs.csv", ""].iter().all(|t| inspect(t).is_err())
        );
    }
}
