//! The other walks over a run (sweep, verify, undo): some work for each of many items, a bounded number
//! at a time.

use std::future::Future;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Context;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// Every item had its turn.
    Finished,
    /// It was asked to stop; what was in flight was finished.
    Interrupted,
    /// `on_end` broke it off; what was in flight was finished.
    BrokenOff,
}

/// Works on every item, at most as many at a time as the pace allows. `on_end` is told how each ended, in the order in which they do, and may break the walk off.
pub async fn walk<S, T, R, F>(
    context: &Arc<Context<S>>,
    items: impl IntoIterator<Item = T>,
    mut stop: watch::Receiver<bool>,
    work: impl Fn(Arc<Context<S>>, T) -> F,
    mut on_end: impl FnMut(R) -> ControlFlow<()>,
) -> Walked
where
    S: Send + Sync + 'static,
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut items = items.into_iter().peekable();
    let mut running = JoinSet::new();
    let mut ended = Walked::Finished;
    while items.peek().is_some() || !running.is_empty() {
        let going_on = items.peek().is_some() && ended == Walked::Finished;
        tokio::select! {
            biased;
            Some(joined) = running.join_next() => {
                let (permit, result) = joined.unwrap_or_else(|error| match error.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    // Nobody cancels these tasks.
                    Err(error) => resume_unwind(Box::new(error)),
                });
                drop(permit);
                context.pace.succeeded();
                if on_end(result).is_break() {
                    ended = Walked::BrokenOff;
                }
            }
            _ = stop.wait_for(|stop| *stop), if going_on => ended = Walked::Interrupted,
            permit = context.pace.admit(), if going_on => {
                let Some(item) = items.next() else { continue };
                let work = work(Arc::clone(context), item);
                running.spawn(async move { (permit, work.await) });
            }
            else => break,
        }
    }
    ended
}
