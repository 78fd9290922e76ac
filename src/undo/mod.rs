//! The third walk over a run: it is undone. From the before-images in the journal, sources get their
//! rows again, overwritten cells their old values, and copies go away.
//!
//! Groups are taken newest first. What someone changed since the run is left alone, key by key, and told
//! ([`conflicts()`]); the rest of its group is restored all the same. What is decided is journaled before it is
//! written, so an undo that was stopped goes on with the same values and times.
//!
//! In reading order: `select` says which groups, `key` is the decision about one key, `restore` is what is written, `write` how, `record` is how it is journaled, `group` does it, `announce` tells the world, and `conflicts` reads
//! back what was left alone.
//!
//! May use `model`, `failpoint`, `setting`, `spec`, `merge`, `storage`, `register`, `events`, `journal`, `history` and `pipeline`;
//! may be used by `cli`.

mod announce;
mod conflicts;
mod group;
mod key;
mod record;
mod restore;
mod select;
mod settings;
mod write;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::watch;

pub(crate) use conflicts::keep;
pub use conflicts::{Conflict, Reported, conflicts};
pub use select::select;
pub(crate) use select::{SelectError, Selected};
pub use settings::Options;
pub(crate) use settings::UNDO;

use crate::journal::{GroupRecord, Journal, JournalError};
use crate::model::{Amount, Pair, UndoTally, UndonePairs};
use crate::pipeline::{
    self, Context, GroupCounts, GroupError, MOST_FAILURES, Reason, Walked, Window,
};
use crate::storage::Writer;

use group::UndoOutcome;

/// What an undo did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    pub ended: Walked,
    /// What every other group would meet as well; those that met it are left, and not failed.
    pub stopped_by: Option<String>,
    /// Groups that are undone.
    pub undone: u64,
    /// Groups that are undone but for keys that were left alone.
    pub disputed: u64,
    /// Groups that failed; they stand where they stood, or half way.
    pub failed: u64,
    pub(crate) pairs: UndonePairs,
    /// By table.
    pub rows: Vec<UndoTally>,
    /// Events that were sent.
    pub events: u64,
    /// A row that is gone may still be seen, with its key alone, until [`EXPIRY`](crate::model::EXPIRY) has
    /// passed.
    pub(crate) is_expiring: bool,
}

/// Takes groups back, in the order in which they are given. `on_failure` is told of each that failed, with its pairs as far
/// as the journal can be read. Where very many have failed, or every other group would meet the same, the walk is broken
/// off.
///
/// Beside what was done, it returns whether the journal has all of it.
pub async fn undo<S: Writer>(
    context: &Arc<Context<S>>,
    groups: &[usize],
    options: Options,
    stop: watch::Receiver<bool>,
    progress: &GroupCounts,
    mut on_failure: impl FnMut(&[Pair], &Reason),
) -> (Undone, Result<(), JournalError>) {
    let mut undone = Undone {
        ended: Walked::Finished,
        stopped_by: None,
        undone: 0,
        disputed: 0,
        failed: 0,
        pairs: UndonePairs::default(),
        rows: vec![UndoTally::default(); context.spec.tables.len()],
        events: 0,
        is_expiring: false,
    };
    let ended = pipeline::walk(
        context,
        Window::writing,
        groups.iter().copied(),
        stop,
        |window, number| async move {
            let began = Instant::now();
            let turn = turn(&window, number, options.force).await;
            window.recorder.record(window.operations.group(), began.elapsed());
            turn
        },
        |(pairs, turn)| match turn {
            Ok(turn) => {
                undone.add(pairs.len() as u64, &turn);
                progress.done.fetch_add(1, Ordering::Relaxed);
                ControlFlow::Continue(())
            }
            Err(error) if error.is_fatal() => {
                if undone.stopped_by.is_none() {
                    tracing::error!("no further group is begun: {error}");
                    undone.stopped_by = Some(error.to_string());
                }
                ControlFlow::Break(())
            }
            Err(error) => {
                undone.failed += 1;
                undone.pairs.failed += pairs.len() as u64;
                progress.failed.fetch_add(1, Ordering::Relaxed);
                let (reason, class) = (error.to_string(), error.class());
                on_failure(&pairs, &Reason { reason, class });
                match undone.failed > MOST_FAILURES {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            }
        },
    );
    undone.ended = ended.await;
    let flushed = context.journal.flush().await;
    (undone, flushed)
}

/// The turn of a group, with its pairs; none where the journal cannot tell them.
async fn turn<S: Writer>(
    window: &Window<S>,
    number: usize,
    force: bool,
) -> (Vec<Pair>, Result<UndoOutcome, GroupError>) {
    let record = match known(&*window.journal, number) {
        Ok(record) => record,
        Err(error) => return (Vec::new(), Err(error.into())),
    };
    let state = record.state;
    let group = record.into_group();
    let turn = group::undo_group(window, &group, state, force).await;
    (group.pairs, turn)
}

fn known(journal: &dyn Journal, number: usize) -> Result<GroupRecord, JournalError> {
    let gone =
        || JournalError::Damaged { path: format!("group {number}"), what: "it is gone".to_owned() };
    journal.group(number)?.ok_or_else(gone)
}

impl Undone {
    fn add(&mut self, pairs: u64, turn: &UndoOutcome) {
        if turn.left_alone() == 0 {
            self.undone += 1;
            self.pairs.undone += pairs;
        } else {
            self.disputed += 1;
            self.pairs.disputed += pairs;
        }
        self.rows.add(&turn.rows);
        self.events += turn.events;
        self.is_expiring |= turn.is_expiring;
    }
}
