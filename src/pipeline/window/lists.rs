//! The time of each attempt to write a list that is not frozen: above that of every earlier one, those of other sessions
//! included, so that it deletes whatever those may still bring.

use std::sync::{Arc, Mutex, PoisonError};

use crate::journal::{Journal, JournalError};
use crate::model::{Batch, Change, Mutation};
use crate::storage::{Fault, StorageError};

use super::Window;

/// The attempts at any one list that a run may have made, as its journal says it.
const ATTEMPTS: &str = "list-attempts";

/// So many attempts are made durable at once.
const BLOCK: i64 = 8;

/// How many there can be: what a group writes besides is dated further above its time.
const MOST: i64 = 4_997;

/// The attempts of a session.
#[derive(Debug, Default)]
pub(in super::super) struct ListAttempts(Mutex<Option<Numbers>>);

#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// Earlier sessions have had the numbers up to this one.
    before: i64,
    /// The numbers up to this one are durable as had.
    durable: i64,
}

impl Numbers {
    fn read(journal: &dyn Journal) -> Result<Self, JournalError> {
        let had = journal.meta(ATTEMPTS)?.map(|had| had.parse());
        let damaged = |_| JournalError::Damaged {
            path: "the count of attempts at lists".to_owned(),
            what: "it is no number".to_owned(),
        };
        let before = had.transpose().map_err(damaged)?.unwrap_or_default();
        Ok(Self { before, durable: before })
    }
}

impl ListAttempts {
    /// The number of a session's n-th attempt at a list, counted from 1; it is durable as had when this returns.
    fn number(&self, journal: &dyn Journal, nth: i64) -> Result<i64, JournalError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut numbers = known.map_or_else(|| Numbers::read(journal), Ok)?;
        let number = numbers.before + nth;
        if number > numbers.durable {
            numbers.durable = number + BLOCK - 1;
            journal.set_meta(ATTEMPTS, &numbers.durable.to_string())?;
        }
        *known = Some(numbers);
        Ok(number)
    }
}

impl<S> Window<S> {
    /// Batches as they are sent now: each list in them is dated as the next attempt.
    pub(super) fn as_attempts(
        &self,
        batches: Vec<Arc<Batch>>,
    ) -> Result<Vec<Arc<Batch>>, StorageError> {
        let attempts = batches.into_iter().map(|batch| match has_list(&batch) {
            false => Ok(batch),
            true => self.as_attempt(&batch).map(Arc::new),
        });
        attempts.collect()
    }

    fn as_attempt(&self, batch: &Batch) -> Result<Batch, StorageError> {
        let mut attempt = batch.clone();
        for Mutation { table, t, change } in &mut attempt.mutations {
            let Change::SetList { column, tries, .. } = change else { continue };
            let number = self.list_attempts.number(&*self.journal, tries.next());
            match number {
                Ok(number) if number <= MOST => *t += number,
                Ok(_) => {
                    let table = &self.spec.tables[*table];
                    let column = &table.columns[*column].name;
                    let why = format!(
                        "the list {column} of table {} was tried to be written {MOST} times, and cannot be once more \
                         without doubling its elements",
                        table.name
                    );
                    return Err(refused(why, Fault::Permanent));
                }
                Err(error) => return Err(refused(error.to_string(), Fault::Fatal)),
            }
        }
        Ok(attempt)
    }
}

fn has_list(batch: &Batch) -> bool {
    batch.mutations.iter().any(|mutation| matches!(mutation.change, Change::SetList { .. }))
}

fn refused(message: String, kind: Fault) -> StorageError {
    StorageError { class: message.clone(), message, kind }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::memory::MemoryJournal;

    #[test]
    fn no_attempt_has_the_number_of_another_of_its_list() {
        let journal = MemoryJournal::default();
        let first = ListAttempts::default();
        let numbers: Vec<i64> = (1..=20).map(|nth| first.number(&journal, nth).unwrap()).collect();
        assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
        assert_eq!(first.number(&journal, 1).unwrap(), 1, "another list counts for itself");
        let next = ListAttempts::default().number(&journal, 1).unwrap();
        assert!(next > 20, "{next}");
        assert!(ListAttempts::default().number(&journal, 1).unwrap() > next);
        journal.set_meta(ATTEMPTS, "many").unwrap();
        assert!(ListAttempts::default().number(&journal, 1).is_err());
    }
}
