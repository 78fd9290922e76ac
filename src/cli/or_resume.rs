//! `apply --or-resume`: one command that begins a run or goes on with it, for whatever starts processes and does not know
//! what became of the last.
//!
//! A run that is there is gone on with only if the same command would begin it: the same pairs, read in the same way,
//! the same part of them, and the same specification. Keyspace and topic are held to the run's by `resume` itself.

use std::fs;
use std::path::Path;

use anyhow::anyhow;
use serde_json::Value;

use super::catalogue::work;
use super::recorded::Recorded;
use super::{ApplySettings, Failure, InputSource};
use crate::pairs;
use crate::run::{RunDir, RunError, RunRecord, files};
use crate::setting::Described;

/// The run that `apply` goes on with, taken up; none if it begins one.
///
/// # Errors
/// What the directory holds is no such run, which the same command would meet again however often it is tried; another
/// process works on it, or the pairs cannot be read.
pub(super) fn begun(
    settings: &ApplySettings,
) -> Result<Option<(RunDir, RunRecord, Recorded)>, Failure> {
    let Some(path) = settings.run_dir.as_deref().filter(|_| settings.or_resume) else {
        return Ok(None);
    };
    // A run directory appears as a whole: what has none of this file is none.
    if !path.join(files::RUN).exists() {
        return match fs::read_dir(path).is_ok_and(|mut held| held.next().is_some()) {
            true => Err(Failure::unusable(RunError::Exists { path: path.to_path_buf() })),
            false => Ok(None),
        };
    }
    let (run_dir, record) = RunDir::open(path).map_err(|error| match error {
        RunError::OnlyPlanned { .. } => Failure::unusable(error),
        error => error.into(),
    })?;
    let recorded = Recorded::load(path, &record)?;
    check(settings, path, &record, &recorded)?;
    Ok(Some((run_dir, record, recorded)))
}

/// Refuses a run that this command would not begin.
fn check(
    settings: &ApplySettings,
    path: &Path,
    record: &RunRecord,
    recorded: &Recorded,
) -> Result<(), Failure> {
    let differs = |what: &str, then: &str, now: &str| {
        Failure::unusable(anyhow!(
            "{} holds run {}, which this command would not begin, so it is not gone on with: its {what} is {then}, and \
             {now} is given. Name another --run-dir, or give what the run was begun with",
            path.display(),
            record.id
        ))
    };
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let InputSource::File(pairs) = &settings.input.source {
        let sha256 = pairs::sha256(pairs)?;
        if sha256 != record.input.sha256 {
            let then = format!("input with SHA-256 {}", record.input.sha256);
            let now = format!("{} with {sha256}", pairs.display());
            return Err(differs("input", &then, &now));
        }
    }
    let (then, now) = (recorded.spec.sha256(), settings.run.spec.sha256());
    if then != now {
        let named = |name: &str, sha256: &str| format!("'{name}' (SHA-256 {sha256})");
        let (then, now) = (named(&recorded.spec.name, &then), named(&settings.run.spec.name, &now));
        return Err(differs("merge specification", &then, &now));
    }
    let rows = work::of_groups().map(Described::row);
    for (row, at) in rows.filter_map(|row| Some((row, row.recorded?.at))) {
        let pointer = format!("/{at}");
        let [then, now] = [&record.settings, &settings.run.recorded]
            .map(|settings| settings.pointer(&pointer).unwrap_or(&Value::Null));
        if then != now {
            return Err(differs(&row.flag(), &shown(then), &shown(now)));
        }
    }
    Ok(())
}
