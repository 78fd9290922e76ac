//! The event of a changed row, rendered. Its time and its id follow from T, the account and the
//! scope alone, so that a repeated delivery can be recognised.

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use crate::model::{AccountId, Event, TimestampUs};
use crate::spec::{Bindings, EventSpec, quoted};

use super::findings::Announced;

/// The namespace of event ids (version 5 UUIDs): any constant does, as long as it stays.
const EVENT_IDS: Uuid = Uuid::from_u128(0x8f1d_2c5e_64b1_4f0a_9d5b_7a1e_c0de_0001);

/// Renders the event of one row of an account, which has changed, or has left for another one.
pub fn event(
    spec: &EventSpec,
    (account, merged_into): (&AccountId, Option<&AccountId>),
    announced: &Announced,
    t: TimestampUs,
) -> Event {
    let id = event_id(t, account, &announced.scope.joined());
    let mut bindings: Bindings<'_> = vec![
        ("account", quoted(&spec.account, Some(account.cell()))),
        ("merged_into", quoted(&spec.account, merged_into.map(AccountId::cell))),
        ("ets", Value::from(t / 1_000)),
        ("uuid", Value::String(id.to_string())),
    ];
    let scope = spec.scope.iter().zip(announced.scope.values());
    bindings.extend(
        scope.map(|(column, value)| (&*column.name, quoted(&column.cql_type, Some(value)))),
    );
    let columns = spec.columns.iter().zip(&announced.quoted);
    bindings.extend(
        columns.map(|(column, cell)| (&*column.name, quoted(&column.cql_type, cell.as_ref()))),
    );
    Event { key: spec.key(&bindings), payload: spec.value(&bindings) }
}

fn event_id(t: TimestampUs, account: &AccountId, partition: &Bytes) -> Uuid {
    let account = account.cell();
    let mut name = Vec::with_capacity(16 + account.len() + partition.len());
    name.extend_from_slice(&t.to_be_bytes());
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    name.extend_from_slice(&(account.len() as u64).to_be_bytes());
    name.extend_from_slice(account);
    name.extend_from_slice(partition);
    Uuid::new_v5(&EVENT_IDS, &name)
}
