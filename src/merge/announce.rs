//! The event of a changed row, rendered. Its time and its id follow from T, the survivor and the
//! scope alone, so that a repeated delivery can be recognised.

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use crate::model::{AccountId, Event, TimestampUs};
use crate::spec::{Bindings, EventSpec, quoted};

use super::findings::Announced;

/// The namespace of event ids (version 5 UUIDs): any constant does, as long as it stays.
const EVENT_IDS: Uuid = Uuid::from_u128(0x8f1d_2c5e_64b1_4f0a_9d5b_7a1e_c0de_0001);

/// Renders the event of one changed row.
pub fn event(
    spec: &EventSpec,
    survivor: &AccountId,
    announced: &Announced,
    t: TimestampUs,
) -> Event {
    let id = event_id(t, survivor, &announced.scope.joined());
    let mut bindings: Bindings<'_> = vec![
        ("account", quoted(&spec.account, Some(survivor.cell()))),
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

fn event_id(t: TimestampUs, survivor: &AccountId, partition: &Bytes) -> Uuid {
    let survivor = survivor.cell();
    let mut name = Vec::with_capacity(16 + survivor.len() + partition.len());
    name.extend_from_slice(&t.to_be_bytes());
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    name.extend_from_slice(&(survivor.len() as u64).to_be_bytes());
    name.extend_from_slice(survivor);
    name.extend_from_slice(partition);
    Uuid::new_v5(&EVENT_IDS, &name)
}
