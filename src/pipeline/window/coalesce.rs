//! One request for several groups. One that fails is taken apart until the group that it concerns is alone, so that only
//! that one fails; and what of it was too large for the server is known from then on
//! ([`request_limits`](super::super::request_limits)).

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::model::{AccountId, Batch, Mutation};
use crate::storage::{Fault, Node, StorageError};

use super::super::attempt::{Attempts, Otherwise};
pub(super) use super::super::pages::Sort;
use super::super::request_limits::{Load, Trial, may_be_size};
use super::Window;
use super::gather::Waiting;

/// An answer of so many bytes is asked for whatever else was expected of it before.
const LITTLE_BYTES: usize = 1_024 * 1_024;

/// What one group asks for in a request that it shares with others.
pub(super) trait Asked: Clone + Send + Sync + 'static {
    /// Accounts or statements.
    fn count(&self) -> usize {
        1
    }

    /// What is written.
    fn bytes(&self) -> usize {
        0
    }

    /// Whether it has halves.
    fn is_divisible(&self) -> bool {
        false
    }

    /// Its halves: the second may be asked for when the first has been answered.
    fn halves(&self) -> Option<[Self; 2]> {
        None
    }
}

impl Asked for AccountId {}

impl Asked for Arc<Batch> {
    fn count(&self) -> usize {
        self.mutations.len()
    }

    fn bytes(&self) -> usize {
        self.mutations.iter().map(Mutation::size_bytes).sum()
    }

    fn is_divisible(&self) -> bool {
        self.mutations.len() > 1
    }

    /// A copy comes before the delete of its row, so nothing is deleted before its copy is acknowledged, also where they
    /// are in different halves.
    fn halves(&self) -> Option<[Self; 2]> {
        let (first, second) = self.mutations.split_at_checked(self.mutations.len() / 2)?;
        let batch = |mutations: &[Mutation]| {
            Arc::new(Batch { table: self.table, mutations: mutations.to_vec() })
        };
        (!first.is_empty()).then(|| [batch(first), batch(second)])
    }
}

/// How they are addressed: to a node, for so many rows of each account.
#[derive(Clone, Copy, Debug)]
pub(super) struct To {
    pub(super) node: Option<Node>,
    pub(super) rows: usize,
}

/// Whether it is the request as it was put together, or what it was taken apart into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Whole,
    Part,
    /// Perhaps the whole was too large.
    Smaller,
}

impl Depth {
    /// What one is taken apart into that failed so.
    fn after(why: Fault) -> Self {
        if may_be_size(why) { Self::Smaller } else { Self::Part }
    }

    /// How often a request that can be taken apart is tried, if it is not answered in time.
    fn late_tries(self) -> u32 {
        if self == Self::Whole { 2 } else { 1 }
    }
}

struct Sender<'a, S, Q> {
    window: &'a Window<S>,
    sort: Sort,
    send: Q,
    /// Whether a part of it got through.
    has_part: AtomicBool,
}

impl<S: Send + Sync + 'static> Window<S> {
    /// Sends one request for several groups and gives each its answer.
    pub(super) async fn together<R: Asked, A: Send, F>(
        self: Arc<Self>,
        sort: Sort,
        part: Vec<Waiting<R, A>>,
        node: Option<Node>,
        send: impl Fn(Vec<R>, To) -> F + Send + Sync,
    ) where
        F: Future<Output = Result<Vec<A>, StorageError>> + Send,
    {
        let sender = Sender { window: &self, sort, send, has_part: AtomicBool::new(false) };
        sender.several(part, node, &mut None, Depth::Whole).await;
    }
}

impl<'a, S, Q> Sender<'a, S, Q>
where
    S: Send + Sync + 'static,
{
    /// Answers all; gives whether none of them failed.
    fn several<'f, R: Asked, A: Send + 'f, F>(
        &'f self,
        mut part: Vec<Waiting<R, A>>,
        node: Option<Node>,
        trial: &'f mut Option<Trial<'a>>,
        depth: Depth,
    ) -> BoxFuture<'f, bool>
    where
        Q: Fn(Vec<R>, To) -> F + Send + Sync,
        F: Future<Output = Result<Vec<A>, StorageError>> + Send,
    {
        async move {
            let request_limits = &self.window.request_limits;
            let Sort { kind, table, .. } = self.sort;
            let load = self.load(part.iter().map(|waiting| &waiting.request));
            if part.len() == 1 {
                let Some((one, waiting)) = part.pop().map(Waiting::apart) else { return true };
                let answer = self.one(one, node, trial, depth).await;
                let is_ok = answer.is_ok();
                if let Some(answer) = answer.transpose() {
                    waiting.answer(answer);
                }
                return is_ok;
            }
            if trial.is_none() {
                *trial = request_limits.trial(load).await;
            }
            if trial.is_some() {
                self.sample(part.iter().map(|waiting| &waiting.request), node).await;
            }
            // What is known by now may be less than when it was put together.
            if !request_limits.allows(load) {
                let half = part.split_off(part.len() / 2);
                let first = self.several(part, node, trial, depth).await;
                return self.several(half, node, trial, depth).await && first;
            }
            let rows = request_limits.rows_of_each(kind, table);
            let (waited, late_tries) = (self.window.outage.waited(), depth.late_tries());
            let otherwise = Otherwise::IsLess { late_tries };
            let asked: Vec<R> = part.iter().map(|waiting| waiting.request.clone()).collect();
            match self.request(asked, To { node, rows }, otherwise).await {
                Ok(None) => self.several(part, node, trial, depth).await,
                Ok(Some(answers)) => {
                    request_limits.took(load);
                    let answered = part.into_iter().zip(answers);
                    answered.for_each(|(waiting, own)| waiting.answer(Ok(own)));
                    true
                }
                Err(error) if error.kind == Fault::Fatal => {
                    part.into_iter().for_each(|waiting| waiting.answer(Err(error.clone())));
                    false
                }
                Err(error) => {
                    tracing::debug!("a request of {} groups is taken apart: {error}", part.len());
                    let half = part.split_off(part.len() / 2);
                    // Another replica may be able to do what this one was not.
                    let depth = Depth::after(error.kind);
                    let first = self.several(part, None, trial, depth).await;
                    let is_ok = self.several(half, None, trial, depth).await && first;
                    // If fewer rows were asked of each meanwhile, that may have been it; or it was nobody's turn.
                    let is_size = may_be_size(error.kind) && waited == self.window.outage.waited();
                    if is_ok && is_size && request_limits.rows_of_each(kind, table) >= rows {
                        request_limits.too_large(load, error.kind);
                    }
                    is_ok
                }
            }
        }
        .boxed()
    }

    /// Asks for one group. That may still be too large for one request.
    fn one<'f, R: Asked, A: Send + 'f, F>(
        &'f self,
        one: R,
        node: Option<Node>,
        trial: &'f mut Option<Trial<'a>>,
        mut depth: Depth,
    ) -> BoxFuture<'f, Result<Option<A>, StorageError>>
    where
        Q: Fn(Vec<R>, To) -> F + Send + Sync,
        F: Future<Output = Result<Vec<A>, StorageError>> + Send,
    {
        async move {
            let request_limits = &self.window.request_limits;
            let Sort { kind, table, .. } = self.sort;
            let load = self.load([&one].into_iter());
            let is_divisible = one.is_divisible();
            if trial.is_none() && (is_divisible || !request_limits.is_seen(kind, table)) {
                *trial = request_limits.trial(load).await;
            }
            if trial.is_some() {
                self.sample([&one].into_iter(), node).await;
            }
            if !request_limits.allows(load)
                && let Some([first, second]) = one.halves()
            {
                self.one(first, node, trial, depth).await?;
                return self.one(second, node, trial, depth).await;
            }
            let mut most = request_limits.rows_of_each(kind, table);
            let (mut refused, mut is_common) = (None, false);
            loop {
                let (rows, can_be_less) = (most, is_divisible || most > 1);
                if !is_divisible && (rows == 1 || depth != Depth::Smaller) {
                    // It may take long, and nothing is found out by it.
                    *trial = None;
                }
                let otherwise = match can_be_less && !is_common {
                    true => Otherwise::IsLess { late_tries: depth.late_tries() },
                    false => Otherwise::Fails,
                };
                let (asked, waited) = (vec![one.clone()], self.window.outage.waited());
                match self.request(asked, To { node, rows }, otherwise).await {
                    Ok(None) => most = most.min(request_limits.rows_of_each(kind, table)),
                    Ok(Some(mut answers)) => {
                        request_limits.took(load);
                        if let Some((rows, why)) = refused {
                            request_limits.too_many_rows(kind, table, rows, why);
                        }
                        return Ok(answers.pop());
                    }
                    // Nothing is found out by it.
                    Err(error) if error.kind == Fault::Transient && !is_common => {
                        (*trial, is_common) = (None, true);
                    }
                    Err(error) if !can_be_less || !may_be_size(error.kind) => return Err(error),
                    Err(error) => {
                        depth = Depth::Smaller;
                        if let Some([first, second]) = one.halves() {
                            self.one(first, node, trial, depth).await?;
                            let answer = self.one(second, node, trial, depth).await?;
                            if waited == self.window.outage.waited() {
                                request_limits.too_large(load, error.kind);
                            }
                            return Ok(answer);
                        }
                        // Fewer rows help only where many, or tombstones between them, are more than a read can do.
                        if error.kind == Fault::Permanent {
                            return Err(error);
                        }
                        (refused, most) = (Some((rows, error.kind)), rows / 2);
                    }
                }
            }
        }
        .boxed()
    }

    /// One request; `None` if it is no longer sent, because others have met larger rows while it waited.
    async fn request<R: Asked, A, F>(
        &self,
        asked: Vec<R>,
        to: To,
        otherwise: Otherwise,
    ) -> Result<Option<Vec<A>>, StorageError>
    where
        Q: Fn(Vec<R>, To) -> F,
        F: Future<Output = Result<Vec<A>, StorageError>>,
    {
        let Sort { kind, table, operation } = self.sort;
        let rows = asked.len() * to.rows;
        let expected = || self.window.request_limits.answer(kind, table, rows);
        let bytes = expected();
        let is_apart = self.has_part.load(Ordering::Relaxed);
        let attempts = Attempts { otherwise, bytes, is_apart, ..self.window.attempts(asked.len()) };
        let send = || {
            let is_late = expected() > (2 * bytes).max(LITTLE_BYTES);
            let answer = (!is_late).then(|| (self.send)(asked.clone(), to));
            async {
                match answer {
                    Some(answer) => answer.await.map(Some),
                    None => Ok(None),
                }
            }
        };
        let answered = attempts.carry_out(operation, send).await;
        self.has_part.fetch_or(matches!(answered, Ok(Some(_))), Ordering::Relaxed);
        answered
    }

    /// Looks at a few rows before any others are asked for: only what they weigh is of interest. If it fails, what comes
    /// after it tells why.
    async fn sample<'r, R: Asked, A, F>(
        &self,
        asked: impl ExactSizeIterator<Item = &'r R>,
        node: Option<Node>,
    ) where
        Q: Fn(Vec<R>, To) -> F,
        F: Future<Output = Result<Vec<A>, StorageError>>,
    {
        let (request_limits, Sort { kind, table, .. }) = (&self.window.request_limits, self.sort);
        let Some((accounts, rows)) = request_limits.sample(kind, table, asked.len()) else {
            return;
        };
        let otherwise = Otherwise::IsLess { late_tries: 1 };
        let some: Vec<R> = asked.take(accounts).cloned().collect();
        if self.request(some, To { node, rows }, otherwise).await.is_err() {
            request_limits.sizes.learn(table, kind, std::iter::empty());
        }
    }

    fn load<'r, R: Asked>(&self, asked: impl Iterator<Item = &'r R> + Clone) -> Load {
        let Sort { kind, table, .. } = self.sort;
        let count = asked.clone().map(R::count).sum();
        Load { kind, table, count, bytes: asked.map(R::bytes).sum() }
    }
}
