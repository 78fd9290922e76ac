//! What a merge could not write again, or what would not stay as it was written: such tables are refused.

use super::schema::{ColumnKind, ColumnSchema, Schema, TableSchema};
use crate::model::CqlType;

impl TableSchema {
    /// Why what is written to it could not be written again, or would not stay.
    pub(super) fn not_replayable(&self) -> Vec<String> {
        let ttl_s = self.default_time_to_live_s;
        let expiring = (ttl_s != 0).then(|| {
            format!(
                "default_time_to_live is {ttl_s} s: copies would get a new lease of life or never expire"
            )
        });
        let not = |column: &ColumnSchema| {
            Some(format!("column {} {}", column.name, column.not_replayable()?))
        };
        expiring.into_iter().chain(self.columns.iter().filter_map(not)).collect()
    }
}

impl Schema {
    /// The same without what [`RawSpec::check`] refuses because it cannot be written again: for whoever only compares what
    /// is known to a run that was begun before that came.
    pub(crate) fn to_compare(&self) -> Self {
        let mut schema = self.clone();
        for table in schema.tables.values_mut() {
            table.default_time_to_live_s = 0;
            table.columns.retain(|column| column.not_replayable().is_none());
        }
        schema
    }
}

impl ColumnSchema {
    /// Why its values cannot be written again, if so.
    fn not_replayable(&self) -> Option<&'static str> {
        if self.kind == ColumnKind::Static {
            return Some("is static: it belongs to the whole partition, not to an account's row");
        }
        Some(match &self.cql_type {
            CqlType::Counter => "is a counter: adding to it twice cannot be told from adding once",
            CqlType::Udt(_) => {
                "is of a user-defined type that is not frozen: its fields have write times of their own, which are not \
                 told apart here"
            }
            CqlType::Class(_) => {
                "is of a type that is known by its class alone: what its values mean is not known here"
            }
            _ => return None,
        })
    }
}
