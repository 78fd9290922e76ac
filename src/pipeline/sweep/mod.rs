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

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;

use crate::journal::State;
use crate::model::{Amount, Group, SweepTally};
use crate::plan::Plan;
use crate::storage::Writer;

use super::discovered::Discovered;
use super::drain::unless_stopped;
use super::rounds::{Rounds, Turns};
use super::scan::survey;
use super::{Context, GroupError, Known, Leftover, Window};

pub(super) use group::replay;

/// What is said of a group of which it failed, before why.
const FAILED: &str = "the sweep of the group failed";
/// Groups whose sources are looked at together.
const WINDOW: usize = 20_000;

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
    let mut tally = SweepTally::default();
    let Some((owners, discovered)) = owners(context, plan, stop, &mut tally, &mut on_left).await?
    else {
        return Ok(SweepTally { interrupted: true, ..tally });
    };
    let rounds = Rounds {
        context,
        plan,
        known: earlier,
        stop,
        moved_on: ["something was written to its sources since", "it is left where it is"],
        failed: FAILED,
    };
    let discovered = Arc::new(discovered);
    let turn = |window: Arc<Window<S>>, group: Arc<Group>, round| {
        let discovered = Arc::clone(&discovered);
        async move { group::turn(&window, &group, &discovered, round).await }
    };
    let Turns { tally: of_turns, left, failed, interrupted } =
        rounds.go(owners, turn, &mut on_left).await?;
    tally.add(&SweepTally { left, failed, interrupted, ..of_turns });
    Ok(tally)
}

/// The groups whose sources own something again, with what a scan has discovered; `None` if that was stopped.
async fn owners<S: Writer>(
    context: &Arc<Context<S>>,
    plan: &Plan,
    stop: &watch::Receiver<bool>,
    tally: &mut SweepTally,
    on_left: &mut impl FnMut(&Leftover),
) -> Result<Option<(Vec<usize>, Discovered)>, GroupError> {
    let known = Known::new(context.journal.states()?);
    let is_done = |group: usize| known.state(group) == Some(State::Done);
    let mut owners = BTreeSet::new();
    let mut discovered = Discovered::default();
    if context.scans() && (0..plan.len()).any(is_done) {
        let (seen, scanned) = survey(context, plan, &is_done, stop).await?;
        if scanned.interrupted {
            return Ok(None);
        }
        tally.scanned = Some(scanned.rows);
        owners.extend(seen.groups());
        discovered = seen;
    }
    for from in (0..plan.len()).step_by(WINDOW) {
        if *stop.borrow() {
            return Ok(None);
        }
        let to = (from + WINDOW).min(plan.len());
        if !(from..to).any(is_done) {
            continue;
        }
        let look = look::Look::at(context, plan, from..to, is_done)?;
        tally.sources += look.sources();
        let Some(looked) = unless_stopped(stop, look.find(context)).await else { return Ok(None) };
        let look::Owning { owning, failed } = looked?;
        tally.failed += failed.len() as u64;
        for (group, why) in failed {
            on_left(&Leftover::of_group(&plan.group(group), &format!("{FAILED}: {why}")));
        }
        owners.extend(owning);
    }
    Ok(Some((owners.into_iter().collect(), discovered)))
}
