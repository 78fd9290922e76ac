//! The way of a group's lines into diff.csv.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::journal::Journal;

use super::diff::{Diff, DiffError};
use super::progress::Checkpoint;
use super::{VerifyError, lock};

/// What a group holds back at most, in bytes, before it writes some of its lines ahead of its end.
const HELD_BYTES: usize = 256 * 1_024;

/// diff.csv, shared by all groups.
#[derive(Debug)]
pub(super) struct Shared {
    diff: Mutex<Diff>,
    /// Groups that wrote lines ahead and are not over; while there are any, the file's length says nothing
    /// about groups that are over, and progress is not kept.
    ahead: AtomicU64,
}

/// The lines of one group.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) held: Vec<u8>,
    /// Whether some were written ahead.
    is_ahead: bool,
}

impl Shared {
    pub(super) fn new(diff: Diff) -> Self {
        Self { diff: Mutex::new(diff), ahead: AtomicU64::new(0) }
    }

    /// Writes lines ahead of the group's end if there are very many.
    pub(super) fn relieve(&self, lines: &mut Lines) -> Result<(), DiffError> {
        if lines.held.len() < HELD_BYTES {
            return Ok(());
        }
        if !lines.is_ahead {
            lines.is_ahead = true;
            self.ahead.fetch_add(1, Ordering::SeqCst);
        }
        let held = std::mem::take(&mut lines.held);
        lock(&self.diff).append(&held)
    }

    /// Writes the lines of a group that is over.
    pub(super) fn end(&self, lines: &Lines) -> Result<(), DiffError> {
        lock(&self.diff).append(&lines.held)?;
        if lines.is_ahead {
            self.ahead.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Keeps the progress, unless the file holds lines of groups that are not over.
    pub(super) fn keep(
        &self,
        progress: &mut Checkpoint,
        journal: &dyn Journal,
    ) -> Result<(), VerifyError> {
        let mut diff = lock(&self.diff);
        if self.ahead.load(Ordering::SeqCst) == 0 {
            progress.diff_bytes = diff.sync()?;
            progress.keep(journal)?;
        }
        Ok(())
    }
}
