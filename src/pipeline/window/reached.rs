//! How far a run has got in the register, as its journal says it: a journal that knows of less is an older copy, whose
//! windows after that one it would take for never begun.

use std::sync::{Mutex, PoisonError};

use crate::journal::{Journal, JournalError};
use crate::model::TimestampUs;

/// The highest time of a window that the register may have.
const REACHED: &str = "reached";

/// The highest of a session; nothing as long as the journal has not been asked.
#[derive(Debug, Default)]
pub(in super::super) struct Reached(Mutex<Option<TimestampUs>>);

impl Reached {
    /// Notes a window that the register is about to have: durable when this returns.
    pub(super) fn note(&self, journal: &dyn Journal, t: TimestampUs) -> Result<(), JournalError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.map_or_else(|| reached(journal), |known| Ok(Some(known)))?;
        let highest = before.map_or(t, |before| before.max(t));
        if before != Some(highest) {
            journal.set_meta(REACHED, &highest.to_string())?;
        }
        *known = Some(highest);
        Ok(())
    }
}

/// The highest time of a window that a run has told the register of; nothing if its journal is from before that was noted.
///
/// # Errors
/// The journal cannot be read.
pub(crate) fn reached(journal: &dyn Journal) -> Result<Option<TimestampUs>, JournalError> {
    let noted = journal.meta(REACHED)?.map(|noted| noted.parse());
    noted.transpose().map_err(|_| JournalError::Damaged {
        path: "the highest time of a window".to_owned(),
        what: "it is no number".to_owned(),
    })
}

/// Begins to note that, in the journal of a run that the register has just got to know.
///
/// # Errors
/// The journal cannot be written.
pub(crate) fn begin_to_reach(journal: &dyn Journal) -> Result<(), JournalError> {
    journal.set_meta(REACHED, "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::memory::MemoryJournal;

    #[test]
    fn the_highest_time_is_kept_over_sessions_in_whatever_order_windows_begin() {
        let journal = MemoryJournal::default();
        assert_eq!(reached(&journal).unwrap(), None);
        begin_to_reach(&journal).unwrap();
        let session = Reached::default();
        for (t, highest) in [(20, 20), (10, 20), (30, 30)] {
            session.note(&journal, t).unwrap();
            assert_eq!(reached(&journal).unwrap(), Some(highest));
        }
        Reached::default().note(&journal, 5).unwrap();
        assert_eq!(reached(&journal).unwrap(), Some(30));
    }
}
