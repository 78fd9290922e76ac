//! One group, from its first read to its last acknowledgement: the seven steps of a merge.
//!
//! What is read becomes a draft; a full draft becomes a slice: journaled, then written. The last slice
//! completes the merge: it also says which partitions are deleted and what is announced when all is written. A group that
//! the journal knows already goes on where it stopped, with the same T and the same values.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use thiserror::Error;

use crate::events::EventError;
use crate::failpoint;
use crate::journal::{JournalError, SliceKind, SliceRecord, State};
use crate::merge::{Completion, OutOfOrder, Slice};
use crate::model::{Amount, Group, Scope, TableIndex, Tally};
use crate::register::Step;
use crate::spec::{Spec, Survivorship};
use crate::storage::{Fault, StorageError, Writer};

use super::access::Access;
use super::finish::finish;
use super::leftover::{self, Leftover};
use super::overtaken::Raised;
use super::work::{GroupWork, PreparedSlice, Sink};
use super::{IntendError, LargePermit, Window, mentions, sweep};

/// Why a group was given up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GroupError {
    /// A read or write failed for good.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Rows came in an order that cannot be joined.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// The journal failed: nothing that it does not cover was written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What the journal holds of the group cannot be understood.
    #[error("the journal's record of the group cannot be read: {0}")]
    Record(String),
    /// An event was refused. All rows are merged by then.
    #[error("rows are merged, but an event could not be delivered: {0}")]
    Events(#[from] EventError),
    /// A source's row of a table whose TTLs are carried has no cell that would say how long it lasts.
    #[error(
        "a row of {account} in {table} has nothing but its key, and how long that lasts nobody tells: give one of its columns \
         a value, or delete it; then the group can be merged"
    )]
    Bare {
        /// Whose row it is.
        account: String,
        table: String,
    },
    /// It is large, and there are enough of those under way. Nothing was done for it: it comes later.
    #[error("it is deferred until fewer large groups are under way")]
    Deferred,
    /// Before anything of it was journaled the clock was set, or a number that is added up was written, since it was dated:
    /// it is read and dated again.
    #[error(
        "the clock was set, or a number written, since it was dated: it is read and dated again"
    )]
    Outdated,
}

impl From<IntendError> for GroupError {
    fn from(error: IntendError) -> Self {
        match error {
            IntendError::Altered(error) => Self::Storage(error),
            IntendError::Journal(error) => Self::Journal(error),
        }
    }
}

impl GroupError {
    /// Whether every other group would fail as well.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Storage(error) => error.kind == Fault::Fatal,
            Self::Events(error) => error.is_fatal(),
            Self::Journal(error) => error.is_fatal(),
            Self::OutOfOrder(_)
            | Self::Record(_)
            | Self::Bare { .. }
            | Self::Deferred
            | Self::Outdated => false,
        }
    }

    /// What failed, without what differs from group to group.
    pub(crate) fn class(&self) -> String {
        match self {
            Self::Storage(error) => error.class.clone(),
            Self::Bare { table, .. } => format!("a row of {table} has nothing but its key"),
            other => other.to_string(),
        }
    }
}

/// What came of a group.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// What was done.
    pub tally: Tally,
    /// Rows of the survivor that were left otherwise than the policies say.
    pub left: Vec<Leftover>,
}

/// Merges one group; `earlier` is where the journal says that it stands. A group that was deferred before has a
/// permit to be `large`.
///
/// # Errors
/// What stopped it. A source's row is still there unless its copy was acknowledged, and a source's rows in
/// the tables found by partition are still there, all of them. Merging it again, with what the journal says
/// of it, ends as if nothing had happened.
pub async fn merge_group<S: Writer>(
    window: &Window<S>,
    group: &Group,
    earlier: Option<State>,
    large: Option<LargePermit>,
) -> Result<Merged, GroupError> {
    if earlier.is_some() {
        // What it wrote in an earlier session may be written again.
        window.begin(group, Step::Merge).await?;
    }
    if matches!(earlier, Some(State::Sweeping | State::Failed)) {
        let replayed = match mentions::replay(window, group).await? {
            None => sweep::replay(window, group).await?,
            replayed => replayed,
        };
        if let Some(merged) = replayed {
            window.over(group);
            return Ok(merged);
        }
    }
    let (mut work, completion) =
        begin(Access { window, group, t: window.t, can_wait: large.is_none() }, earlier, large)?;
    let completion = match completion {
        Some(completion) => completion,
        None => work.merge().await?,
    };
    let reported = match earlier {
        Some(State::Intended | State::Failed) => finish(window, group).await?,
        _ => Vec::new(),
    };
    let mut raised = match earlier {
        Some(_) => Raised::recorded(window, group)?,
        None => Raised::default(),
    };
    if earlier != Some(State::Written) {
        raised.write(window, group).await?;
        let again = work.access.complete(&completion).await?;
        raised.slices.extend(again.slices);
        raised.left = again.left;
        work.access.note(State::Written)?;
    }
    failpoint::hit("written");
    work.access.announce(completion, raised.slices).await?;
    failpoint::hit("announced");
    raised.left.extend(reported);
    leftover::keep(&*window.journal, group, &raised.left)?;
    work.access.note(State::Done)?;
    window.over(group);
    Ok(Merged { tally: work.tally, left: raised.left })
}

/// Journals slices, then writes them.
struct Journaled {
    /// Whether nothing of the group is journaled: its T may still change.
    is_new: bool,
    /// Those of a group that was begun long ago are written when all of them are journaled: see [`finish`].
    are_written: bool,
}

impl<S: Writer> Sink<S> for Journaled {
    async fn take(
        &mut self,
        window: &Window<S>,
        part: PreparedSlice<'_>,
    ) -> Result<(), GroupError> {
        let PreparedSlice { group, slice, intent, writes, .. } = part;
        window.track_deletes(&slice);
        let is_new = std::mem::take(&mut self.is_new);
        let counted = if is_new { counted(&window.spec, &slice) } else { BTreeSet::new() };
        // The rows live on in the writes, which hold less than the before-images.
        drop(slice);
        if !is_new {
            window.intend(intent).await?;
        } else if is_newer(window, group, counted).await? || !window.intend_first(intent).await? {
            return Err(GroupError::Outdated);
        }
        window.begin(group, Step::Merge).await?;
        if self.are_written {
            window.write_all(writes).await?;
        }
        Ok(())
    }
}

/// The scopes of a slice in which something is added up, or lists are united.
fn counted(spec: &Spec, slice: &Slice) -> BTreeSet<(TableIndex, Scope)> {
    let entries = slice.entries.iter();
    let counts = |rule: &Survivorship| rule.policy.adds() || rule.unites_lists();
    let adds_up = entries.filter(|entry| spec.tables[entry.table].computed().any(counts));
    let scopes = adds_up.filter_map(|entry| {
        let scope = spec.tables[entry.table].scope_of(&entry.base()?.cells);
        Some((entry.table, scope.detached()))
    });
    scopes.collect()
}

/// Whether a number that was added up, or an element of a list, may have been written since T. It would outlive the delete as of T, and count once more
/// in another run: so the group is read again, dated later, when what was written by then has arrived.
async fn is_newer<S: Writer>(
    window: &Window<S>,
    group: &Group,
    counted: BTreeSet<(TableIndex, Scope)>,
) -> Result<bool, GroupError> {
    let looks = counted.iter().flat_map(|(table, scope)| {
        let accounts = group.accounts();
        accounts.map(move |account| window.written_since(*table, scope, account, window.t))
    });
    let is_newer = try_join_all(looks).await?.iter().any(|keys| !keys.is_empty());
    if is_newer {
        tokio::time::sleep(window.as_of.settle()).await;
    }
    Ok(is_newer)
}

/// Takes up a group. What the journal has of it is recalled, and its T; its completion is returned if the journal has all of it.
fn begin<'a, S: Writer>(
    access: Access<'a, S>,
    earlier: Option<State>,
    large: Option<LargePermit>,
) -> Result<(GroupWork<'a, S, Journaled>, Option<Completion>), GroupError> {
    let Access { window, group, .. } = access;
    let mut work = GroupWork::new(access, large, Journaled { is_new: true, are_written: true });
    let recorded = match earlier {
        None => Vec::new(),
        Some(_) => window.journal.slices(group.index)?,
    };
    let recorded: Vec<SliceRecord> =
        recorded.into_iter().filter(|slice| slice.kind == SliceKind::Merge).collect();
    let Some(last) = recorded.last() else { return Ok((work, None)) };
    (work.access.t, work.access.can_wait) = (last.t, false);
    work.sink = Journaled { is_new: false, are_written: false };
    for record in &recorded {
        work.tally.add(&record.tally);
        // What earlier slices hold is only of use to the slices that are still to come.
        if last.completes && record.id != last.id {
            continue;
        }
        let body = window.journal.body(record.id)?;
        let slice = window.codec.decode(&body).map_err(GroupError::Record)?;
        slice.entries.iter().for_each(|entry| work.recall(entry));
        if let Some(completion) = slice.completion {
            return Ok((work, Some(completion)));
        }
    }
    Ok((work, None))
}
