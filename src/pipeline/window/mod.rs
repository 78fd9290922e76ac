//! A window: groups that are worked on as one.
//!
//! Each group is an async function that reads like the steps of its work; none of them is a task. The window lets
//! all of them go on until each waits for something. What they then ask for is sent together ([`gather`]), and when
//! all of that is answered, they go on again. So thousands of groups take a step at a time, with few, large requests,
//! and what these have in common is known before the first of them is sent.
//!
//! [`ask`] is what groups may ask for, [`send`] how it is put into requests, [`coalesce`] what becomes of one that fails.

mod ask;
mod begin;
mod coalesce;
mod gather;
mod lists;
mod reached;
mod send;

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context as Polled, Poll, Wake, Waker};
use std::thread;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;
use futures::{FutureExt, StreamExt};

use crate::model::TimestampUs;
use crate::storage::{Reader, Writer};

use super::Context;

pub(crate) use ask::{IntendError, NextPage};
use begin::Begun;
use gather::Asked;
pub(super) use lists::ListAttempts;
pub(super) use reached::Reached;
pub(crate) use reached::{begin_to_reach, reached};

/// Groups that are worked on as one.
#[derive(Debug)]
pub struct Window<S> {
    context: Arc<Context<S>>,
    /// The write time of its merges.
    pub(super) t: TimestampUs,
    /// How often the clock was set before that.
    times_set: u64,
    asked: Asked,
    /// What the register knows of its groups.
    begun: Begun,
    send: SendFn<S>,
    /// The bytes of the rows that were read.
    pub(super) read: Arc<AtomicU64>,
}

/// Requests that are under way; each wakes the groups that it answers.
type Requests = Vec<BoxFuture<'static, ()>>;

/// How the requests of a window are sent.
type SendFn<S> = fn(&Arc<Window<S>>) -> Requests;

impl<S> Deref for Window<S> {
    type Target = Context<S>;

    fn deref(&self) -> &Context<S> {
        &self.context
    }
}

impl<S: Reader> Window<S> {
    /// A window that can only read: whatever else its groups asked for would never be answered.
    pub(super) fn reading(context: &Arc<Context<S>>) -> Arc<Self> {
        Self::new(context, Self::reads)
    }
}

impl<S: Writer> Window<S> {
    /// A window that reads and writes, dated now.
    pub fn writing(context: &Arc<Context<S>>) -> Arc<Self> {
        Self::new(context, |window| {
            let mut requests = window.reads();
            requests.extend(window.writes());
            requests
        })
    }
}

impl<S> Window<S> {
    fn new(context: &Arc<Context<S>>, send: SendFn<S>) -> Arc<Self> {
        let (times_set, t) = (context.as_of.times_set(), context.as_of.stamp());
        let (context, asked, read) = (Arc::clone(context), Asked::default(), Arc::default());
        Arc::new(Self { context, t, times_set, asked, begun: Begun::default(), send, read })
    }

    /// The write time of what it merges, by which the register knows it.
    pub(crate) fn t(&self) -> TimestampUs {
        self.t
    }

    /// Whether the clock was set since it was dated: what is not yet begun at its T is not begun any more.
    fn is_outdated(&self) -> bool {
        self.as_of.times_set() != self.times_set
    }

    /// Counts rows that were read, in bytes.
    pub(super) fn count(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Works on some groups until all have ended; `on_end` is told of each, by its index, what came of it, or that it
    /// panicked.
    pub(super) async fn run<R>(
        self: &Arc<Self>,
        groups: impl IntoIterator<Item = impl Future<Output = R>>,
        mut on_end: impl FnMut(usize, thread::Result<R>),
    ) {
        let groups = groups.into_iter().enumerate();
        let mut groups: FuturesUnordered<_> = groups
            .map(|(at, group)| AssertUnwindSafe(group).catch_unwind().map(move |end| (at, end)))
            .collect();
        let mut requests: FuturesUnordered<BoxFuture<'static, ()>> = FuturesUnordered::new();
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        let steps = poll_fn(|polled| {
            signal.window.register(polled.waker());
            loop {
                signal.is_woken.store(false, Ordering::Release);
                match groups.poll_next_unpin(&mut Polled::from_waker(&waker)) {
                    Poll::Ready(Some((at, end))) => on_end(at, end),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending if signal.is_woken.load(Ordering::Acquire) => {}
                    // No group can go on.
                    Poll::Pending => match requests.poll_next_unpin(polled) {
                        Poll::Ready(Some(())) => {}
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(None) => {
                            let next = (self.send)(self);
                            if next.is_empty() {
                                // They wait for something of their own, such as their events.
                                return Poll::Pending;
                            }
                            requests.extend(next);
                        }
                    },
                }
            }
        });
        // Whoever is made to give way by tokio looks like one who waits for an answer.
        tokio::task::unconstrained(steps).await;
    }

    /// One group that is a window of its own.
    pub async fn alone<R>(self: &Arc<Self>, group: impl Future<Output = R>) -> R {
        let mut ended = None;
        self.run([group], |_, end| ended = Some(end)).await;
        match ended {
            Some(Ok(end)) => end,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => std::future::pending().await,
        }
    }
}

/// Tells a group that can go on from one that waits.
#[derive(Debug, Default)]
struct Signal {
    is_woken: AtomicBool,
    window: AtomicWaker,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.window.wake();
    }
}
