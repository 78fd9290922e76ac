//! Raw CQL values, bound as they are.

use bytes::Bytes;
use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use crate::account::{AccountId, Cell, Change, Mutation};

use super::statements::Reads;

/// One bound value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A value in its CQL encoding.
    Raw(Bytes),
    /// A `bigint`.
    BigInt(i64),
    /// Not written at all: neither a value nor a tombstone.
    Unset,
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        cell.map_or(Self::Unset, Self::Raw)
    }
}

/// The values of one statement.
#[derive(Clone, Debug)]
pub(super) struct Values(pub(super) Vec<Value>);

impl SerializeRow for Values {
    fn serialize(
        &self,
        _: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        for value in &self.0 {
            let cell = writer.make_cell_writer();
            match value {
                Value::Raw(bytes) => {
                    cell.set_value(bytes).map_err(SerializationError::new)?;
                }
                Value::BigInt(number) => {
                    cell.set_value(&number.to_be_bytes()).map_err(SerializationError::new)?;
                }
                Value::Unset => {
                    cell.set_unset();
                }
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The values of a mutation's statement, in the order of its text.
pub(super) fn of_mutation(mutation: &Mutation, reads: &Reads) -> Values {
    let t = Value::BigInt(mutation.t);
    Values(match &mutation.change {
        Change::Insert { row } => row.cells.iter().cloned().map(Value::from).chain([t]).collect(),
        Change::Update { key, set } => {
            let mut values = vec![t];
            values.extend(reads.policy_columns.iter().map(|column| {
                let new = set.iter().find(|(changed, _)| changed == column);
                new.map_or(Value::Unset, |(_, value)| Value::Raw(value.clone()))
            }));
            values.extend(key.iter().cloned().map(Value::Raw));
            values
        }
        Change::DeleteRow { key } => {
            [t].into_iter().chain(key.iter().cloned().map(Value::Raw)).collect()
        }
        Change::DeletePartition { key } => vec![t, Value::Raw(key.clone())],
    })
}

/// Accounts as a `list<text>`: a count, then each value with its length (native protocol v4, section 6.12).
pub(super) fn account_list(accounts: &[AccountId]) -> Value {
    let bytes = accounts.iter().map(|account| 4 + account.cell().len()).sum::<usize>();
    let mut list = Vec::with_capacity(4 + bytes);
    list.extend_from_slice(&(accounts.len() as i32).to_be_bytes());
    for account in accounts {
        list.extend_from_slice(&(account.cell().len() as i32).to_be_bytes());
        list.extend_from_slice(account.cell());
    }
    Value::Raw(list.into())
}
