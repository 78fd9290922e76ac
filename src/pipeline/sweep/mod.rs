//! The sweep: what was written to a source after T, or is dated in the future, outlives the merge's
//! delete. At the end of a run every source is looked at again, cheaply, and what survived is taken to its new
//! place.
//!
//! The look goes over windows of groups, so that one read asks for many accounts: accounts of a table found by
//! partition, and accounts in one partition of a table found by clustering. Only groups in which something
//! is found are read with values ([`group`]). Rows to which something was written just now are left to
//! the next round; what is still left after the last round is told row by row.
//!
//! Where clustered rows are found by a scan, the tables are scanned once more instead of being asked partition by
//! partition: so a row is found even in a partition that no row leads to.

mod group;
mod look;
mod relocate;
mod undated;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::journal::State;
use crate::model::{AccountId, EXPIRY, Group, SweepTally, TableIndex};
use crate::plan::Plan;
use crate::storage::Writer;

use super::discovered::Discovered;
use super::drain::unless_stopped;
use super::scan::survey;
use super::walk::{Walked, walk};
use super::{Context, Discover, GroupError, Known, Window};

pub(super) use group::replay;

/// Rounds, at most. Each waits until what it found too fresh has settled.
const ROUNDS: usize = 3;
/// Groups whose sources are looked at together.
const WINDOW: usize = 20_000;

/// A row that was left on a source, or of the survivor and otherwise than the policies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The source.
    pub account: AccountId,
    /// The surviving account.
    pub survivor: AccountId,
    /// The line of the source's pair in the input.
    pub line: u64,
    /// The table; `None` if the whole sweep of the group failed.
    pub table: Option<TableIndex>,
    /// The key of the row, in column order.
    pub key: Vec<Bytes>,
    /// Why it was left.
    pub why: String,
}

/// What came of one group's turn.
#[derive(Debug, Default)]
struct Turn {
    group: usize,
    rows: u64,
    events: u64,
    left: Vec<Leftover>,
    /// What no later round comes across again.
    leftovers: Vec<Leftover>,
    /// Something may be found once more: it was too fresh, or has been taken just now.
    again: bool,
    /// A row's liveness has to end before the next look.
    expiring: bool,
}

/// Sweeps all groups of a plan that are done. `on_left` is told of each row that is left.
///
/// # Errors
/// The journal or every read failed; the error of a single group is told by `on_left` instead.
pub async fn sweep<S: Writer>(
    context: &Arc<Context<S>>,
    plan: &Plan,
    earlier: &Known,
    stop: &watch::Receiver<bool>,
    mut on_left: impl FnMut(&Leftover),
) -> Result<SweepTally, GroupError> {
    context.journal.flush().await?;
    let known = Known::new(context.journal.states()?);
    let is_done = |group: usize| known.state(group) == Some(State::Done);
    let mut swept = SweepTally::default();
    let mut found = Vec::new();
    let mut discovered = Discovered::default();
    if context.work.discover == Discover::Scan && (0..plan.len()).any(is_done) {
        let (seen, scanned) = survey(context, plan, &is_done, stop).await?;
        if scanned.interrupted {
            swept.interrupted = true;
            return Ok(swept);
        }
        swept.scanned = Some(scanned.rows);
        found.extend(seen.groups());
        discovered = seen;
    }
    let discovered = Arc::new(discovered);
    for from in (0..plan.len()).step_by(WINDOW) {
        if *stop.borrow() {
            swept.interrupted = true;
            return Ok(swept);
        }
        let to = (from + WINDOW).min(plan.len());
        if !(from..to).any(is_done) {
            continue;
        }
        let look = look::Look::at(context, plan, from..to, is_done)?;
        swept.sources += look.sources();
        let Some(looked) = unless_stopped(stop, look.find(context)).await else {
            swept.interrupted = true;
            return Ok(swept);
        };
        let look::Found { owning, failed } = looked?;
        swept.failed += failed.len() as u64;
        failed.iter().for_each(|(group, why)| on_left(&Leftover::failed(&plan.group(*group), why)));
        found.extend(owning);
    }
    found.sort_unstable();
    found.dedup();
    found.retain(|group| match earlier.barred().moved_on.get(group) {
        None => true,
        Some(run) => {
            swept.left += 1;
            on_left(&Leftover::of_group(&plan.group(*group), &moved_on(run)));
            false
        }
    });
    let mut error = None;
    for round in 1..=ROUNDS {
        let is_last = round == ROUNDS;
        let mut again = Vec::new();
        let mut expiring = false;
        let walked = walk(
            context,
            Window::writing,
            found,
            stop.clone(),
            |window, number| {
                let (group, discovered) = (plan.group(number), Arc::clone(&discovered));
                async move {
                    let turn = group::turn(&window, &group, &discovered, round).await;
                    if turn.is_ok() {
                        window.over(&group);
                    }
                    (group, turn)
                }
            },
            |(group, turn)| match turn {
                Ok(turn) => {
                    swept.rows += turn.rows;
                    swept.events += turn.events;
                    expiring |= turn.expiring;
                    let mut left = turn.leftovers;
                    if turn.again && !is_last {
                        again.push(turn.group);
                    } else {
                        left.extend(turn.left);
                    }
                    swept.left += left.len() as u64;
                    left.iter().for_each(&mut on_left);
                    ControlFlow::Continue(())
                }
                Err(failed) if failed.is_fatal() => {
                    error = Some(failed);
                    ControlFlow::Break(())
                }
                Err(failed) => {
                    swept.failed += 1;
                    on_left(&Leftover::failed(&group, &failed));
                    ControlFlow::Continue(())
                }
            },
        );
        let walked = walked.await;
        if let Some(error) = error {
            return Err(error);
        }
        swept.interrupted = walked == Walked::Interrupted;
        if swept.interrupted || again.is_empty() {
            break;
        }
        let settle = context.as_of.settle();
        let pause = if expiring { settle.max(EXPIRY) } else { settle };
        unless_stopped(stop, tokio::time::sleep(pause)).await;
        again.sort_unstable();
        found = again;
    }
    context.journal.flush().await?;
    Ok(swept)
}

/// Why late rows of a group are not taken to its survivor.
fn moved_on(run: &str) -> String {
    format!(
        "something was written to its sources since, but run {run} has worked on these accounts after this one: it is \
         left where it is"
    )
}

impl Leftover {
    /// A row that a source of a group led to.
    pub(super) fn of(
        group: &Group,
        source: usize,
        (table, key): (TableIndex, Vec<Bytes>),
        why: impl Into<String>,
    ) -> Self {
        let pair = &group.pairs[source];
        Self {
            account: pair.from.clone(),
            survivor: group.survivor.clone(),
            line: pair.line,
            table: Some(table),
            key,
            why: why.into(),
        }
    }

    fn failed(group: &Group, why: &dyn fmt::Display) -> Self {
        Self::of_group(group, &format!("the sweep of the group failed: {why}"))
    }

    pub(in super::super) fn of_group(group: &Group, why: &str) -> Self {
        let pair = group.pairs.first();
        Self {
            account: pair.map_or_else(|| group.survivor.clone(), |pair| pair.from.clone()),
            survivor: group.survivor.clone(),
            line: pair.map_or(0, |pair| pair.line),
            table: None,
            key: Vec::new(),
            why: why.to_owned(),
        }
    }
}
