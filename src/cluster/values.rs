//! Raw CQL values, bound as they are.

use std::borrow::Cow;

use bytes::Bytes;
use scylla::errors::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use crate::model::{AccountId, Cell, Scope};
use crate::storage::WriteTimes;

/// One bound value.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// A value in its CQL encoding.
    Raw(Cow<'a, [u8]>),
    Int(i32),
    /// A `bigint`.
    BigInt(i64),
    /// Null: what was there is deleted.
    Null,
    /// Not written at all: neither a value nor a tombstone.
    Unset,
}

impl<'a> Value<'a> {
    /// A value in its CQL encoding.
    pub(super) fn raw(value: &'a Bytes) -> Self {
        Self::Raw(Cow::Borrowed(value))
    }

    /// A cell of a row that is written whole: its nulls are not written.
    pub(super) fn or_unset(cell: &'a Cell) -> Self {
        cell.as_ref().map_or(Self::Unset, Self::raw)
    }

    /// A cell that is to be as given, null included.
    pub(super) fn or_null(cell: &'a Cell) -> Self {
        cell.as_ref().map_or(Self::Null, Self::raw)
    }
}

/// The values of one statement.
#[derive(Clone, Debug)]
pub(super) struct Values<'a>(pub(super) Vec<Value<'a>>);

impl SerializeRow for Values<'_> {
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
                Value::Int(number) => {
                    cell.set_value(&number.to_be_bytes()).map_err(SerializationError::new)?;
                }
                Value::BigInt(number) => {
                    cell.set_value(&number.to_be_bytes()).map_err(SerializationError::new)?;
                }
                Value::Null => {
                    cell.set_null();
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

/// The values of a condition on a scope and an account.
pub(super) fn of_account<'a>(scope: &'a Scope, account: &'a AccountId) -> Vec<Value<'a>> {
    scope.values().iter().chain([account.cell()]).map(Value::raw).collect()
}

/// The values of a condition on a scope and several accounts.
pub(super) fn of_accounts<'a>(scope: &'a Scope, accounts: &[AccountId]) -> Vec<Value<'a>> {
    scope.values().iter().map(Value::raw).chain([account_list(accounts)]).collect()
}

/// Accounts as a list of their type: a count, then each value with its length (native protocol v4, section 6.12).
fn account_list(accounts: &[AccountId]) -> Value<'static> {
    let bytes = accounts.iter().map(|account| 4 + account.cell().len()).sum::<usize>();
    let mut list = Vec::with_capacity(4 + bytes);
    list.extend_from_slice(&(accounts.len() as i32).to_be_bytes());
    for account in accounts {
        list.extend_from_slice(&(account.cell().len() as i32).to_be_bytes());
        list.extend_from_slice(account.cell());
    }
    Value::Raw(list.into())
}

/// Read from its CQL encoding; `None` if it is null, or something else.
pub(super) fn bigint(cell: &Cell) -> Option<i64> {
    Some(i64::from_be_bytes(cell.as_deref()?.try_into().ok()?))
}

/// As [`bigint`], of four bytes.
pub(super) fn int(cell: &Cell) -> Option<i32> {
    Some(i32::from_be_bytes(cell.as_deref()?.try_into().ok()?))
}

/// What `WRITETIME` says of a column: nothing, a `bigint`, or a `list<bigint>` with one per element; of a user-defined type
/// with one per field, null where that is.
pub(super) fn write_times(cell: &Cell, is_multi_cell: bool) -> Option<WriteTimes> {
    let Some(value) = cell else { return Some(WriteTimes::None) };
    if !is_multi_cell {
        return bigint(cell).map(WriteTimes::Cell);
    }
    let (count, mut rest) = value.split_first_chunk::<4>()?;
    let mut times = Vec::new();
    for _ in 0..i32::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        if *length == (-1_i32).to_be_bytes() {
            continue;
        }
        let (time, after) = after.split_first_chunk::<8>()?;
        if *length != 8_i32.to_be_bytes() {
            return None;
        }
        times.push(i64::from_be_bytes(*time));
        rest = after;
    }
    Some(if times.is_empty() { WriteTimes::None } else { WriteTimes::Elements(times) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_times_are_one_or_one_per_element() {
        let times = |value: &[u8], is_multi_cell| {
            write_times(&Some(Bytes::copy_from_slice(value)), is_multi_cell)
        };
        let (five, nine) = (5_i64.to_be_bytes(), 9_i64.to_be_bytes());
        let (one, two, eight) = (1_i32.to_be_bytes(), 2_i32.to_be_bytes(), 8_i32.to_be_bytes());
        assert_eq!(times(&five, false), Some(WriteTimes::Cell(5)));
        let list = [&two[..], &eight, &five, &eight, &nine].concat();
        assert_eq!(times(&list, true), Some(WriteTimes::Elements(vec![5, 9])));
        assert_eq!(times(&[0; 4], true), Some(WriteTimes::None));
        assert_eq!(write_times(&None, true), Some(WriteTimes::None));

        assert_eq!(times(&list[..list.len() - 1], true), None, "cut short");
        let null = (-1_i32).to_be_bytes();
        let fields = [&two[..], &null, &eight, &nine].concat();
        assert_eq!(times(&fields, true), Some(WriteTimes::Elements(vec![9])), "one field is null");
        assert_eq!(times(&[&one[..], &null].concat(), true), Some(WriteTimes::None));
        assert_eq!(times(&five[1..], false), None, "cut short");
    }
}
