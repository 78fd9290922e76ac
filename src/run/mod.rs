//! The run directory: everything that a run leaves behind, in one folder that appears at once.
//!
//! The files of a run are prepared in a hidden directory beside it
//! (`.<name>.partial-<pid>`), synced, and renamed into place. So a kill at any moment leaves
//! either no run or a whole one, never a directory that has to be judged. Files that were opened
//! before the rename stay valid after it; the log of a run is one of them. The directory holds
//! personal data (account ids), so only its owner may look into it.
//!
//! Whoever holds a [`RunDir`] holds the lock of the run (`lock` in the directory, from before it
//! appears), so no two processes ever work on one run; a lock goes with its process, however that ends.
//!
//! Deliberately absent: what is in the files. Each is written by whoever knows its content; here are
//! only the ones that say what ran ([`RunRecord`]) and what failed ([`Failures`]).
//!
//! May use `model`, `moment` and `advice`; may be used by `report` and `cli`.

mod erase;
mod failures;
mod id;
mod open;
mod prepared;
mod record;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::advice::Advice;

pub(crate) use erase::names;
pub(crate) use failures::Failures;
pub(crate) use id::RunId;
pub(crate) use open::copy_of_pairs;
pub(crate) use prepared::Prepared;
pub(crate) use record::{InputRecord, LACKS, RunRecord, plan_lacks};

/// The files of a run directory.
pub(crate) mod files {
    /// What ran, with which settings, on which input.
    pub(crate) const RUN: &str = "run.json";
    /// The lines of the input that were rejected.
    pub(crate) const REJECTS: &str = "rejects.csv";
    /// Those of them that other runs stood in the way of, for making the same plan again.
    pub(crate) const REFUSED: &str = "refused.csv";
    /// The targets that other runs have merged, for making the same plan again.
    pub(crate) const FOLLOWED: &str = "followed.csv";
    /// The pairs whose groups failed.
    pub(crate) const FAILURES: &str = "failures.csv";
    /// The summary of the run.
    pub(crate) const REPORT: &str = "report.json";
    /// The same as a page for a browser.
    pub(crate) const REPORT_PAGE: &str = "report.html";
    pub(crate) const LOG: &str = "run.log";
    /// Latencies per interval, as an HDR interval log.
    pub(crate) const LATENCY: &str = "latency.hlog";
    /// A copy of the input; if it did not come as plain text, with an ending that says how.
    pub(crate) const PAIRS: &str = "pairs.csv";
    /// A copy of the merge specification.
    pub(crate) const SPEC: &str = "spec.toml";
    pub(crate) const JOURNAL: &str = "journal.sqlite";
    /// What of the journal SQLite has not moved into it yet.
    pub(crate) const JOURNAL_WAL: &str = "journal.sqlite-wal";
    /// SQLite's index of that.
    pub(crate) const JOURNAL_SHM: &str = "journal.sqlite-shm";
    /// Locked while a process works on the run; empty.
    pub(crate) const LOCK: &str = "lock";
    /// What the sweep found and left alone.
    pub(crate) const SWEEP: &str = "sweep.csv";
    /// What verify found.
    pub(crate) const DIFF: &str = "diff.csv";
    /// The summary of the last verify.
    pub(crate) const VERIFY: &str = "verify.json";
    /// The same as a page for a browser.
    pub(crate) const VERIFY_PAGE: &str = "verify.html";
    /// What undo left alone.
    pub(crate) const CONFLICTS: &str = "conflicts.csv";
    /// The summary of the last undo.
    pub(crate) const UNDO: &str = "undo.json";
    /// The same as a page for a browser.
    pub(crate) const UNDO_PAGE: &str = "undo.html";

    /// What was counted, for Prometheus.
    pub(crate) const METRICS: &str = "metrics.prom";

    /// All of them.
    pub(crate) const ALL: [&str; 23] = [
        RUN,
        REJECTS,
        REFUSED,
        FOLLOWED,
        FAILURES,
        REPORT,
        REPORT_PAGE,
        LOG,
        LATENCY,
        PAIRS,
        SPEC,
        JOURNAL,
        JOURNAL_WAL,
        JOURNAL_SHM,
        LOCK,
        SWEEP,
        DIFF,
        VERIFY,
        VERIFY_PAGE,
        CONFLICTS,
        UNDO,
        UNDO_PAGE,
        METRICS,
    ];
}

/// The directory under which runs are kept unless one is named exactly.
pub(crate) const RUNS: &str = "runs";

/// An error of a run directory. Each message is complete in itself, its cause included.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum RunError {
    /// There is something in the directory already.
    #[error("{}", occupied(path))]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The path cannot become a run directory whatever is tried.
    #[error("{} cannot be the run directory: it is {what}; name another --run-dir", path.display())]
    Unsuitable { path: PathBuf, what: &'static str },
    /// The directory cannot be made.
    #[error("cannot create the run directory {}: {cause}; name another --run-dir", path.display())]
    Create {
        /// The path that could not be made.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A file of the run cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// There is no such directory.
    #[error("there is no run directory {}", path.display())]
    Missing { path: PathBuf },
    #[error("{} is not a run: {what}", path.display())]
    NotARun {
        path: PathBuf,
        /// What speaks against it.
        what: &'static str,
    },
    #[error(
        "{} was only planned, so there is nothing to go on with; to merge what it planned: {}",
        path.display(),
        Advice::ApplyPlan { plan: path.clone(), with: lacks.clone() }
    )]
    OnlyPlanned {
        /// The directory.
        path: PathBuf,
        /// What merging it needs besides.
        lacks: Vec<String>,
    },
    /// A file of the run cannot be used.
    #[error("cannot use {}: {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another process has the run.
    #[error(
        "another process works on the run {}; wait for it, or stop it with Ctrl-C (or SIGTERM)",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the run in another directory, of which this one is a copy, or which is a copy of this one.
    #[error(
        "another process works on this run, in {}. Of copies of a run's directory one alone is gone on with: {} does not know \
         what that process writes. Nothing was written. Wait for it, or stop it with Ctrl-C (or SIGTERM), and go on there",
        at.display(), path.display()
    )]
    LockedElsewhere {
        /// The directory.
        path: PathBuf,
        /// The other one.
        at: PathBuf,
    },
    /// The lock cannot be taken for another reason.
    #[error("cannot lock {}: {cause}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
}

/// What to do about a directory that a run would have to be made in.
fn occupied(path: &Path) -> String {
    let shown = path.display();
    if path.join(files::JOURNAL).exists() {
        format!("{shown} is a run already; `{}` goes on with it", Advice::resume(path))
    } else if path.join(files::RUN).exists() {
        format!(
            "{shown} is a run already; resume goes on with runs that were applied, name another --run-dir"
        )
    } else {
        format!("{shown} is not empty; name another --run-dir (or, if it is a run, resume that)")
    }
}

/// A run directory that is complete. Nobody else works on the run for as long as this lives.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    /// Locked; the lock is given back when the file is closed.
    _lock: File,
}

impl RunDir {
    /// Begins a run directory at `dir`, or at `runs/<id>`. The path must be missing or an empty
    /// directory; nothing appears there before [`Prepared::commit`].
    pub(crate) fn prepare(dir: Option<&Path>, id: &RunId) -> Result<Prepared, RunError> {
        let default = || Path::new(RUNS).join(id.as_str());
        Prepared::beside(&dir.map_or_else(default, Path::to_path_buf))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a whole file, which replaces the one before in one step.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> Result<(), RunError> {
        let (path, beside) = (self.file(name), self.beside(name));
        let written = create(&beside)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, &path))
            .and_then(|()| sync_dir(&self.path));
        written.map_err(|cause| {
            // A leftover is harmless, the first error is the one to tell.
            let _ = fs::remove_file(&beside);
            RunError::Write { path, cause }
        })
    }

    /// Where a file is written before it replaces the one before.
    fn beside(&self, name: &str) -> PathBuf {
        self.file(&format!(".{name}.partial"))
    }
}

/// Makes a file that only its owner can read.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Takes the lock of a run directory, whose path `run` is; it is in `directory` at the moment.
fn lock(directory: &Path, run: &Path) -> Result<File, RunError> {
    let path = directory.join(files::LOCK);
    let cannot = |cause| RunError::Lock { path: run.join(files::LOCK), cause };
    let file = create(&path).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked { path: run.to_path_buf() }),
        Err(TryLockError::Error(cause)) => Err(cannot(cause)),
    }
}

/// Sees that no process works on a run, which this one has taken up in its `own` directory, in `other`, where it was
/// last known to be.
///
/// # Errors
/// One does.
pub(crate) fn check_alone(own: &Path, other: &Path) -> Result<(), RunError> {
    let id = |run| RunDir::record(run).ok().map(|record| record.id);
    let (Ok(lock), Ok(own_lock)) =
        (File::open(other.join(files::LOCK)), fs::metadata(own.join(files::LOCK)))
    else {
        return Ok(());
    };
    let is_same = lock
        .metadata()
        .is_ok_and(|lock| (lock.dev(), lock.ino()) == (own_lock.dev(), own_lock.ino()));
    if !is_same
        && id(own) == id(other)
        && matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    {
        return Err(RunError::LockedElsewhere { path: own.to_owned(), at: other.to_owned() });
    }
    Ok(())
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_their_cause_once() {
        let (path, cause) = (PathBuf::from("/r"), || io::Error::other("the disk is full"));
        let create = RunError::Create { path: path.clone(), cause: cause() };
        let write = RunError::Write { path, cause: cause() };
        for error in [create, write] {
            let shown = format!("{:#}", anyhow::Error::new(error));
            assert_eq!(shown.matches("the disk is full").count(), 1, "{shown}");
        }
    }
}
