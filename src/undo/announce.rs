//! The events of a group that was undone: announced rows that sources have again, and those of the survivor
//! in which something changed back.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::events::EventSink;
use crate::merge;
use crate::model::{AccountId, Event, Row, Scope, TimestampUs};
use crate::pipeline::{GroupError, READS, Window};
use crate::spec::EventSpec;
use crate::storage::{Reader, StorageError};

/// The scopes of the announced table in which an account's row, or what leads there, changed back; with what is known to
/// stand there.
#[derive(Debug, Default)]
pub(super) struct Changed(BTreeMap<AccountId, BTreeMap<Scope, Option<Standing>>>);

/// A row of the announced table, of which only what is quoted is kept; none where it is known that there is none.
pub(super) type Standing = Option<Row>;

impl Changed {
    /// Notes that something of an account changed in a scope.
    pub(super) fn note(&mut self, account: &AccountId, scope: &Scope) {
        self.0.entry(account.clone()).or_default().entry(scope.clone()).or_default();
    }

    /// Takes up what stands where something changed, so that it is not read again.
    pub(super) fn stands(&mut self, account: &AccountId, scope: &Scope, standing: Standing) {
        let known = self.0.get_mut(account).and_then(|scopes| scopes.get_mut(scope));
        if let Some(known) = known {
            *known = Some(standing);
        }
    }
}

/// What events quote of a row: it outlives the answer that it was part of.
pub(super) fn quoted(event: &EventSpec, row: &Row) -> Row {
    let mut quoted = Row::new(vec![None; row.cells.len()]);
    for column in event.columns.iter().map(|column| column.column) {
        quoted.cells[column] = row.cells[column].as_deref().map(Bytes::copy_from_slice);
    }
    quoted
}

/// Announces every row that changed back and is there now. What the events quote was read when it was put back, or is read
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
    let reads = changed.0.into_iter().map(|(account, scopes)| async move {
        let known = |scope: &Scope| scopes.get(scope)?.clone();
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
