//! Rounds over groups that are done, for what was written since: what was too fresh in one comes again in the next, once
//! that has settled.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::watch;

use crate::model::{Amount, EXPIRY, Group};
use crate::plan::Plan;
use crate::storage::Writer;

use super::drain::unless_stopped;
use super::walk::{Walked, walk};
use super::{Context, GroupError, Known, Leftover, Window};

/// Rounds, at most. Each waits until what it found too fresh has settled.
pub(super) const ROUNDS: usize = 3;

/// What came of one group's turn.
#[derive(Debug, Default)]
pub(super) struct Turn<T> {
    pub(super) tally: T,
    pub(super) left: Vec<Leftover>,
    /// What no later round comes across again.
    pub(super) leftovers: Vec<Leftover>,
    /// Something may be found once more: it was too fresh, or has been taken just now.
    pub(super) again: bool,
    /// A row's liveness has to end before the next look.
    pub(super) expiring: bool,
}

/// What came of all turns.
#[derive(Debug, Default)]
pub(super) struct Turns<T> {
    /// What they counted.
    pub(super) tally: T,
    /// Rows that were left and told.
    pub(super) left: u64,
    /// Groups whose turn failed.
    pub(super) failed: u64,
    /// Whether they were stopped before their end.
    pub(super) interrupted: bool,
}

/// Who has a turn, and how it is told.
pub(super) struct Rounds<'a, S> {
    pub(super) context: &'a Arc<Context<S>>,
    pub(super) plan: &'a Plan,
    /// What other runs have done with its accounts.
    pub(super) known: &'a Known,
    pub(super) stop: &'a watch::Receiver<bool>,
    /// What is the matter with a group on which another run has gone on, and what becomes of it.
    pub(super) moved_on: [&'static str; 2],
    /// What is said of a turn that failed, before why.
    pub(super) failed: &'static str,
}

impl<S: Writer> Rounds<'_, S> {
    /// Gives these groups their turns; `on_left` is told of each row that is left.
    ///
    /// # Errors
    /// What every group would meet; the error of a single one is told by `on_left` instead.
    pub(super) async fn go<T, F>(
        &self,
        mut groups: Vec<usize>,
        turn: impl Fn(Arc<Window<S>>, Arc<Group>, usize) -> F,
        on_left: &mut impl FnMut(&Leftover),
    ) -> Result<Turns<T>, GroupError>
    where
        T: Amount + Default + Send + 'static,
        F: Future<Output = Result<Turn<T>, GroupError>> + Send + 'static,
    {
        let Self { context, plan, stop, failed: why, .. } = *self;
        let mut turns = Turns::<T>::default();
        groups.retain(|group| match self.known.barred().moved_on.get(group) {
            None => true,
            Some(run) => {
                let [what, left] = self.moved_on;
                let why = format!(
                    "{what}, but run {run} has worked on these accounts after this one: {left}"
                );
                turns.left += 1;
                on_left(&Leftover::of_group(&plan.group(*group), &why));
                false
            }
        });
        let mut error = None;
        for round in 1..=ROUNDS {
            let (mut again, mut expiring) = (Vec::new(), false);
            let walked = walk(
                context,
                Window::writing,
                groups,
                stop.clone(),
                |window, number| {
                    let group = Arc::new(plan.group(number));
                    let turn = turn(Arc::clone(&window), Arc::clone(&group), round);
                    async move {
                        let turn = turn.await;
                        if turn.is_ok() {
                            window.over(&group);
                        }
                        (group, turn)
                    }
                },
                |(group, turn)| match turn {
                    Ok(turn) => {
                        turns.tally.add(&turn.tally);
                        expiring |= turn.expiring;
                        let mut left = turn.leftovers;
                        if turn.again && round < ROUNDS {
                            // What is left then is told by its last turn.
                            again.push(group.index);
                        } else {
                            left.extend(turn.left);
                        }
                        turns.left += left.len() as u64;
                        left.iter().for_each(&mut *on_left);
                        ControlFlow::Continue(())
                    }
                    Err(failed) if failed.is_fatal() => {
                        error = Some(failed);
                        ControlFlow::Break(())
                    }
                    Err(failed) => {
                        turns.failed += 1;
                        on_left(&Leftover::of_group(&group, &format!("{why}: {failed}")));
                        ControlFlow::Continue(())
                    }
                },
            );
            turns.interrupted = walked.await == Walked::Interrupted;
            if let Some(error) = error {
                return Err(error);
            }
            if turns.interrupted || again.is_empty() {
                break;
            }
            let settle = context.as_of.settle();
            let pause = if expiring { settle.max(EXPIRY) } else { settle };
            unless_stopped(stop, tokio::time::sleep(pause)).await;
            again.sort_unstable();
            groups = again;
        }
        context.journal.flush().await?;
        Ok(turns)
    }
}
