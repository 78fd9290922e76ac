//! What became of a table since it was looked at before, as people say it.

use std::fmt;

use super::schema::{Schema, TableSchema};

/// Columns of a table: names and CQL types.
pub type Columns = Vec<(String, String)>;

/// What was done to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Alteration {
    /// It was dropped, or renamed with its keyspace.
    Dropped,
    /// Another table has its name.
    Recreated,
    /// It has a column more.
    Gained(String),
    /// It has a column less, or another one of the same name and another type.
    Lost(String),
    /// Whoever reads a column sees a mask now.
    Masked(String),
    /// What is written to it expires after so many seconds now.
    Expiring(i32),
    /// It keeps its tombstones for so many seconds now, which is shorter than before.
    Forgetting(u64),
}

impl Alteration {
    /// What became of columns.
    pub(crate) fn of_columns(then: &Columns, now: &Columns) -> Vec<Self> {
        let lost = then.iter().filter(|column| !now.contains(column));
        let gained = now.iter().filter(|column| !then.contains(column));
        let lost = lost.map(|(name, _)| Self::Lost(name.clone()));
        lost.chain(gained.map(|(name, _)| Self::Gained(name.clone()))).collect()
    }

    fn of_table(then: &TableSchema, now: Option<&TableSchema>) -> Vec<Self> {
        let Some(now) = now else { return vec![Self::Dropped] };
        if then.id != now.id {
            return vec![Self::Recreated];
        }
        let masked = now.masked.difference(&then.masked);
        let masked = masked.map(|column| Self::Masked(column.clone()));
        let ttl_s = now.default_time_to_live_s;
        let expiring = (ttl_s != then.default_time_to_live_s).then_some(Self::Expiring(ttl_s));
        let columns = Self::of_columns(&columns(then), &columns(now)).into_iter();
        let forgetting =
            (now.gc_grace_s < then.gc_grace_s).then_some(Self::Forgetting(now.gc_grace_s));
        columns.chain(masked).chain(expiring).chain(forgetting).collect()
    }

    /// What became of some tables of a schema, each with its name.
    pub(crate) fn of_tables<'a>(
        then: &Schema,
        now: &Schema,
        tables: impl IntoIterator<Item = &'a str>,
    ) -> Vec<(&'a str, Self)> {
        let of_table = |name: &'a str| {
            let then = then.tables.get(name);
            let all = then.map(|then| Self::of_table(then, now.tables.get(name)));
            all.into_iter().flatten().map(move |alteration| (name, alteration))
        };
        tables.into_iter().flat_map(of_table).collect()
    }
}

impl fmt::Display for Alteration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dropped => f.write_str("has been dropped"),
            Self::Recreated => f.write_str("has been dropped and created anew"),
            Self::Gained(column) => write!(f, "has got the column {column}"),
            Self::Lost(column) => write!(f, "has lost the column {column}"),
            Self::Masked(column) => write!(f, "has had its column {column} masked"),
            Self::Expiring(s) => write!(f, "has got a default_time_to_live of {s} s"),
            Self::Forgetting(s) => write!(f, "has got shorter gc_grace_seconds ({s})"),
        }
    }
}

fn columns(table: &TableSchema) -> Columns {
    let columns = table.columns.iter();
    columns.map(|column| (column.name.clone(), column.cql_type.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CqlType;
    use crate::spec::schema::{ColumnKind, ColumnSchema};

    fn table(id: &str, columns: &str) -> TableSchema {
        let columns = columns.split_whitespace().map(|column| {
            let (name, cql_type) = column.split_once(':').unwrap();
            let cql_type = CqlType::parse(cql_type);
            ColumnSchema { name: name.into(), kind: ColumnKind::Regular, cql_type }
        });
        TableSchema { id: id.into(), columns: columns.collect(), ..TableSchema::default() }
    }

    #[test]
    fn what_became_of_a_table_is_named() {
        let then = table("1", "id:text n:int s:text");
        let says = |now: Option<TableSchema>| {
            let all = Alteration::of_table(&then, now.as_ref());
            all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let same_id = |columns| says(Some(table("1", columns)));
        assert_eq!(same_id("s:text id:text n:int"), "", "in whatever order");
        assert_eq!(same_id("id:text s:text"), "has lost the column n");
        assert_eq!(
            same_id("id:text n:bigint s:text"),
            "has lost the column n, has got the column n"
        );
        assert_eq!(same_id("id:text a:int n:int s:text"), "has got the column a");
        let masked = TableSchema { masked: ["s".to_owned()].into(), ..then.clone() };
        assert_eq!(says(Some(masked)), "has had its column s masked");
        let expiring = TableSchema { default_time_to_live_s: 60, ..then.clone() };
        assert_eq!(says(Some(expiring)), "has got a default_time_to_live of 60 s");
        let with = |gc_grace_s| TableSchema { gc_grace_s, ..then.clone() };
        let of = |then: u64, now: u64| Alteration::of_table(&with(then), Some(&with(now)));
        assert_eq!(of(60, 0), [Alteration::Forgetting(0)]);
        assert_eq!(of(60, 70), []);
        assert_eq!(
            says(Some(table("2", "id:text n:int s:text"))),
            "has been dropped and created anew"
        );
        assert_eq!(says(None), "has been dropped");
    }
}
