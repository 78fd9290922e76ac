//! Every walk over many groups (merge, sweep, verify, undo, inspect): one [`Window`] of them after the other, a few at
//! a time.

use std::collections::VecDeque;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::storage::Reader;

use super::probe::probe;
use super::{Context, LargePermit, Window, drain};

/// What a window should take of the time of the whole walk: the more groups it has, the more of them meet in one request.
const WINDOW: Duration = Duration::from_millis(2_200);
/// Only so many groups are under way at once as end in this time, so that none takes longer from its first read to its last
/// acknowledgement: while one window waits for its slowest request, the next keeps the cluster busy.
const UNDER_WAY: Duration = Duration::from_secs(3);
/// Windows that are under way at once, at most.
const OVERLAP: usize = 4;
/// Groups of a window, at least and at most.
const FEWEST: usize = 64;
const MOST: usize = 5_000;
/// Groups of the first windows, and of those after an overload: nothing is known of what they take.
const FIRST: usize = 256;
/// Windows that say how fast groups end.
const REMEMBERED: usize = 6;

/// When more groups than this have failed in a walk over a run, the rest is not tried. A merge has `--max-errors` for that.
pub(crate) const MOST_FAILURES: u64 = 100;

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// Every item had its turn.
    Finished,
    /// It was asked to stop; what was in flight was finished, or did not end in time and was left.
    Interrupted,
    /// `on_end` broke it off; what was in flight was finished.
    BrokenOff,
}

/// What becomes of an item whose turn is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done with.
    Over,
    /// It is large: it comes again, in a window of its own.
    Later,
    /// It comes again in the next window.
    Again,
    /// No other item is begun.
    Last,
}

/// Works on every item, in windows that are opened so. `on_end` is told how each ended, in the order in which they do,
/// and may break the walk off.
pub async fn walk<S: Reader, T, R, F>(
    context: &Arc<Context<S>>,
    open: impl Fn(&Arc<Context<S>>) -> Arc<Window<S>>,
    items: impl IntoIterator<Item = T>,
    stop: watch::Receiver<bool>,
    work: impl Fn(Arc<Window<S>>, T) -> F,
    mut on_end: impl FnMut(R) -> ControlFlow<()>,
) -> Walked
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let work = |window, item, _| work(window, item);
    let on_end = |_, ended: thread::Result<R>| {
        let flow = on_end(ended.unwrap_or_else(|panic| resume_unwind(panic)));
        if flow.is_break() { Fate::Last } else { Fate::Over }
    };
    in_windows(context, open, items, stop, work, on_end).await
}

/// Works on every item, a window of them at a time. What is large and was deferred comes again, with the right to be
/// large, a few at a time.
pub(super) async fn in_windows<S: Reader, T, R, F>(
    context: &Arc<Context<S>>,
    open: impl Fn(&Arc<Context<S>>) -> Arc<Window<S>>,
    items: impl IntoIterator<Item = T>,
    mut stop: watch::Receiver<bool>,
    work: impl Fn(Arc<Window<S>>, T, Option<LargePermit>) -> F,
    mut on_end: impl FnMut(T, thread::Result<R>) -> Fate,
) -> Walked
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
    F: Future<Output = R> + Send + 'static,
{
    let mut items = items.into_iter().peekable();
    let (mut again, mut deferred) = (Vec::new(), VecDeque::new());
    let mut kept_down = None;
    let mut sizes = Sizes::default();
    let mut windows: JoinSet<(Instant, usize, bool)> = JoinSet::new();
    // It ends with the walk.
    let mut beside = JoinSet::new();
    if context.pace.max_latency().is_some() {
        let Context { storage, pace, probed, .. } = &**context;
        beside.spawn(probe(Arc::clone(storage), Arc::clone(pace), Arc::clone(probed)));
    }
    let (ends, mut ended) = mpsc::unbounded_channel();
    let (mut under_way, mut overlap) = (0, 0);
    let mut walked = Walked::Finished;
    let mut is_over = pin!(drain::is_over(stop.clone()));
    let start = |items: Vec<T>, large: Option<LargePermit>, windows: &mut JoinSet<_>| {
        let window = open(context);
        let (began, groups, mut large) = (Instant::now(), items.len(), large);
        let is_large = large.is_some();
        let works = items.iter().map(|item| work(Arc::clone(&window), item.clone(), large.take()));
        let works: Vec<F> = works.collect();
        let ends = ends.clone();
        let under_way = context.under_way.begin(groups, Arc::clone(&window.read));
        windows.spawn(async move {
            let on_end = |at: usize, end| {
                under_way.ended();
                drop(ends.send((items[at].clone(), end)));
            };
            window.run(works, on_end).await;
            window.end().await;
            (began, groups, is_large)
        });
        groups
    };
    loop {
        let going_on = walked == Walked::Finished;
        let has_next = going_on && (!again.is_empty() || items.peek().is_some());
        // While small groups are left, few of those that were deferred have their turn.
        match has_next && !deferred.is_empty() {
            true => kept_down = kept_down.or_else(|| context.keep_large_groups_down()),
            false => kept_down = None,
        }
        let has_deferred = going_on && !deferred.is_empty();
        if under_way == 0 && !has_next && !has_deferred {
            return walked;
        }
        let size = sizes.next(context.pace.rate(), context.pace.overloads());
        let size = size.min(context.window.unwrap_or(MOST));
        let has_room = overlap < OVERLAP && (under_way == 0 || under_way + size <= sizes.most());
        tokio::select! {
            biased;
            Some((item, end)) = ended.recv(), if under_way > 0 => {
                under_way -= 1;
                match on_end(item.clone(), end) {
                    Fate::Over => {}
                    Fate::Later => deferred.push_back(item),
                    Fate::Again => again.push(item),
                    Fate::Last => walked = Walked::BrokenOff,
                }
            }
            Some(window) = windows.join_next() => match window.map_err(|error| error.try_into_panic()) {
                Ok((began, groups, is_large)) => {
                    overlap -= usize::from(!is_large);
                    sizes.ended(began, groups);
                }
                Err(Ok(panic)) => resume_unwind(panic),
                // Nobody cancels these tasks.
                Err(Err(error)) => resume_unwind(Box::new(error)),
            },
            _ = stop.wait_for(|stop| *stop), if has_next || has_deferred => {
                walked = Walked::Interrupted;
            }
            () = &mut is_over => {
                tracing::warn!("{under_way} groups in flight have not ended in time and are left as they are");
                windows.shutdown().await;
                return Walked::Interrupted;
            }
            large = context.admit_large_group(), if has_deferred => {
                under_way += start(deferred.pop_front().into_iter().collect(), Some(large), &mut windows);
            }
            () = context.pace.begin(size), if has_next && has_room => {
                overlap += 1;
                let rest = again.split_off(size.min(again.len()));
                let first = std::mem::replace(&mut again, rest).into_iter();
                under_way += start(first.chain(items.by_ref()).take(size).collect(), None, &mut windows);
            }
        }
    }
}

/// How many groups the next window has: as many as end in [`WINDOW`].
#[derive(Debug, Default)]
struct Sizes {
    /// When the last windows began, and their groups, in the order in which they ended.
    ended: VecDeque<(Instant, usize)>,
    /// Overloads so far.
    overloads: u64,
}

impl Sizes {
    fn ended(&mut self, began: Instant, groups: usize) {
        self.ended.push_back((began, groups));
        if self.ended.len() > REMEMBERED {
            self.ended.pop_front();
        }
    }

    /// The groups of the next window, with so many groups per second at most, after so many overloads.
    fn next(&mut self, rate: Option<f64>, overloads: u64) -> usize {
        if overloads != std::mem::replace(&mut self.overloads, overloads) {
            self.ended.clear();
        }
        let size = self.ending_in(WINDOW).map_or(FIRST, |groups| groups.clamp(FEWEST, MOST));
        // A tenth of a second, so that no second has more than it should.
        rate.map_or(size, |rate| size.min((rate / 10.0) as usize).max(1))
    }

    /// How many groups may be under way at once.
    fn most(&self) -> usize {
        self.ending_in(UNDER_WAY).unwrap_or(OVERLAP * FIRST)
    }

    /// How many groups end in some time, as far as the windows tell that are remembered.
    fn ending_in(&self, time: Duration) -> Option<usize> {
        let began = self.ended.iter().map(|(began, _)| *began).min()?;
        let groups: usize = self.ended.iter().map(|(_, groups)| groups).sum();
        let per_second = groups as f64 / began.elapsed().as_secs_f64().max(0.001);
        Some((per_second * time.as_secs_f64()) as usize)
    }
}
