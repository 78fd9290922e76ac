//! What a merge could not write again, or what would not stay as it was written: such tables are refused.

use super::raw::RawTable;
use super::schema::{ColumnKind, ColumnSchema, Schema, TableSchema};
use crate::model::CqlType;

impl TableSchema {
    /// Why what is written to it could not be written again, or would not stay.
    pub(super) fn not_replayable(&self, carries_ttls: bool) -> Vec<String> {
        let ttl_s = self.default_time_to_live_s;
        let expiring = (ttl_s != 0 && !carries_ttls).then(|| {
            format!(
                "default_time_to_live is {ttl_s} s: copies would last longer than what they are copies of (with ttl = \"carry\" \
                 they expire when that would have)"
            )
        });
        let not = |column: &ColumnSchema| {
            Some(format!("column {} {}", column.name, column.not_replayable()?))
        };
        expiring.into_iter().chain(self.columns.iter().filter_map(not)).collect()
    }

    /// Why nobody tells how long what is in it lasts.
    pub(super) fn not_expiring(&self) -> Option<String> {
        let multi_cell = |column: &&ColumnSchema| {
            column.cql_type.collection().is_some() || column.cql_type.is_list()
        };
        if let Some(column) = self.columns.iter().find(multi_cell) {
            return Some(format!(
                "beside {}, which is a {}: its elements expire one by one",
                column.name, column.cql_type
            ));
        }
        let is_regular = |column: &ColumnSchema| column.kind == ColumnKind::Regular;
        let is_bare = !self.columns.iter().any(is_regular);
        is_bare.then(|| {
            "without a column beside the key: of a key nobody tells how long it lasts".to_owned()
        })
    }
}

impl RawTable {
    /// Why TTLs cannot be carried, with what to do about it.
    pub(super) fn without_ttls(&self, live: &TableSchema) -> Vec<String> {
        let sums = self.policies.iter().filter(|(_, policy)| policy.adds()).map(|(name, _)| {
            format!("beside {name}, which is added up: of a total nobody can say when it expires")
        });
        let reasons = live.not_expiring().into_iter().chain(sums);
        reasons
            .map(|why| format!("{why}; leave ttl out, and what is copied lasts for ever"))
            .collect()
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
            CqlType::Class(_) => {
                "is of a type that is known by its class alone: what its values mean is not known here"
            }
            _ => return None,
        })
    }
}
