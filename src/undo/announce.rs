//! The events of a group that was taken back: enrolments that sources have again, and those of the survivor
//! in which something changed back.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::account::{AccountId, Event, Group, TableIndex, TimestampUs};
use crate::events::Outlet;
use crate::merge::{self, Announced};
use crate::pipeline::{Context, GroupError};
use crate::spec::EventSpec;
use crate::storage::{Reader, StorageError, Width};

use super::group::Changed;

/// Reads under way at once.
const READS: usize = 16;
/// Accounts that one read asks for.
const ACCOUNTS_PER_READ: usize = 100;

/// Announces every enrolment that changed back and is there now. What the events quote is read anew: all
/// writes of the group are acknowledged, and what someone wrote since is as good.
///
/// Returns the number of events.
pub(super) async fn announce<S: Reader>(
    context: &Context<S>,
    group: &Group,
    changed: &Changed,
    t: TimestampUs,
) -> Result<u64, GroupError> {
    let Some(event) = &context.spec.event else { return Ok(0) };
    if changed.is_empty() || matches!(context.outlet, Outlet::Discard) {
        return Ok(0);
    }
    let reads = changed.iter().map(|(partition, accounts)| {
        // In the order of the group, so that events come in a fixed one.
        let members = std::iter::once(&group.survivor).chain(group.sources());
        let accounts: Vec<AccountId> =
            members.filter(|account| accounts.contains(*account)).cloned().collect();
        async move { events(context, event, partition, &accounts, t).await }
    });
    let reads: Vec<_> = reads.collect();
    let events: Vec<Vec<Event>> = stream::iter(reads).buffered(READS).try_collect().await?;
    let events: Vec<Event> = events.into_iter().flatten().collect();
    let count = events.len() as u64;
    context.deliver(events).await?;
    Ok(count)
}

/// The events of the accounts' rows in one partition.
async fn events<S: Reader>(
    context: &Context<S>,
    event: &EventSpec,
    partition: &Bytes,
    accounts: &[AccountId],
    t: TimestampUs,
) -> Result<Vec<Event>, StorageError> {
    let table: TableIndex = event.table;
    let owner = context.spec.tables[table].account;
    let mut events = Vec::new();
    for chunk in accounts.chunks(ACCOUNTS_PER_READ) {
        let lane = context.lanes.read(table, Width::Full);
        let read = || context.storage.rows_of(table, partition, chunk);
        let rows = context.carry_out(lane, read).await?;
        for account in chunk {
            let row = rows.iter().find(|row| row.cells[owner].as_ref() == Some(account.cell()));
            let Some(row) = row else { continue };
            let quoted = context.quoted(account, row).await?;
            let announced = Announced { partition: partition.clone(), quoted };
            events.push(merge::event(event, account, &announced, t));
        }
    }
    Ok(events)
}
