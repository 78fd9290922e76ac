//! How the elements of a map or set, and the fields of a user-defined type, that are not frozen are written one by one.

use bytes::Bytes;
use scylla::frame::response::result::ColumnType;
use scylla::statement::prepared::PreparedStatement;

use crate::model::{Collection, ColumnIndex, field_number, quoted};
use crate::spec::Table;

use super::ClusterError;
use super::statements::Preparer;
use super::values::Value;
use super::writes::update;

/// The statements of one column.
pub(super) enum Elements {
    Collection {
        add: PreparedStatement,
        remove: PreparedStatement,
    },
    /// Of a user-defined type with so many fields, in their order.
    Fields {
        set: PreparedStatement,
        count: usize,
    },
}

impl Elements {
    pub(super) async fn prepare(
        with: &Preparer,
        table: &Table,
        column: ColumnIndex,
    ) -> Result<Self, ClusterError> {
        let name = quoted(&table.columns[column].name);
        if table.columns[column].cql_type.collection() != Some(Collection::Fields) {
            let set = |sign| update(with, table, &format!("{name} = {name} {sign} ?"));
            let add = with.prepare(&set('+')).await?;
            return Ok(Self::Collection { add, remove: with.prepare(&set('-')).await? });
        }
        let whole = with.prepare(&update(with, table, &format!("{name} = ?"))).await?;
        let of = whole.get_variable_col_specs().iter().find_map(|value| match value.typ() {
            ColumnType::UserDefinedType { definition, .. } => Some(definition),
            _ => None,
        });
        let fields = of.map_or(&[][..], |of| &of.field_types);
        let set = fields.iter().map(|(field, _)| format!("{name}.{} = ?", quoted(field)));
        let set = set.collect::<Vec<_>>().join(", ");
        let set = with.prepare(&update(with, table, &set)).await?;
        Ok(Self::Fields { set, count: fields.len() })
    }

    /// What adds elements, with its values; none where there are fields that the type did not have.
    pub(super) fn add<'a>(
        &'a self,
        elements: &'a Bytes,
    ) -> Option<(&'a PreparedStatement, Vec<Value<'a>>)> {
        match self {
            Self::Collection { add, .. } => Some((add, vec![Value::raw(elements)])),
            Self::Fields { set, count } => {
                let fields = Collection::Fields.split(elements)?;
                let value = |value: Option<Bytes>| value.map(|value| value.to_vec().into());
                let fields =
                    fields.into_iter().map(|(key, field)| (key, value(field).map(Value::Raw)));
                Some((set, of_fields(*count, fields)?))
            }
        }
    }

    /// The same of what removes elements by their keys.
    pub(super) fn remove<'a>(
        &'a self,
        keys: &'a Bytes,
    ) -> Option<(&'a PreparedStatement, Vec<Value<'a>>)> {
        match self {
            Self::Collection { remove, .. } => Some((remove, vec![Value::raw(keys)])),
            Self::Fields { set, count } => {
                let keys = Collection::Set.split(keys)?.into_iter();
                Some((set, of_fields(*count, keys.map(|(key, _)| (key, Some(Value::Null))))?))
            }
        }
    }
}

/// A value for each field; unset where there is none.
fn of_fields<'a>(
    count: usize,
    fields: impl Iterator<Item = (Bytes, Option<Value<'a>>)>,
) -> Option<Vec<Value<'a>>> {
    let mut values = vec![Value::Unset; count];
    for (key, value) in fields {
        *values.get_mut(field_number(&key)?)? = value?;
    }
    Some(values)
}
