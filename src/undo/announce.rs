//! The events of a group that was undone: announced rows that sources have again, and those of the survivor
//! in which something changed back.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};

use crate::events::EventSink;
use crate::merge;
use crate::model::{AccountId, Event, Row, Scope, TimestampUs};
use crate::pipeline::{GroupError, READS, Window};
use crate::storage::{Reader, StorageError};

/// The scopes of the announced table in which an account's row, or what leads there, changed back; with that row where it
/// was seen since.
pub(super) type Changed = BTreeMap<AccountId, BTreeMap<Scope, Option<Row>>>;

/// Announces every row that changed back and is there now. What the events quote was read when it stood again, or is read
/// now: what someone wrote since is as good.
///
/// Returns the number of events.
pub(super) async fn announce<S: Reader>(
    window: &Window<S>,
    changed: Changed,
    t: TimestampUs,
) -> Result<u64, GroupError> {
    let Some(event) = &window.spec.event else { return Ok(0) };
    if matches!(window.event_sink, EventSink::Discard) {
        return Ok(0);
    }
    let reads = changed.into_iter().map(|(account, scopes)| async move {
        let known = |scope: &Scope| scopes.get(scope)?.clone().map(Some);
        let announced = window.announced(&account, scopes.keys().cloned().collect(), known).await?;
        let events = announced.iter().map(|one| merge::event(event, (&account, None), one, t));
        Ok::<Vec<Event>, StorageError>(events.collect())
    });
    let reads: Vec<_> = reads.collect();
    let events: Vec<Vec<Event>> = stream::iter(reads).buffered(READS).try_collect().await?;
    let events: Vec<Event> = events.into_iter().flatten().collect();
    let count = events.len() as u64;
    if count > 0 {
        window.deliver(events).await?;
    }
    Ok(count)
}
