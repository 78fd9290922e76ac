//! What the cluster says of a keyspace, read from `system_schema`.

use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;

use crate::model::CqlType;
use crate::spec::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};

use super::ClusterError;
use super::capabilities::other_product;
use super::fault::one_line;

/// Reads the tables and columns of a keyspace.
pub(super) async fn read(session: &Session, keyspace: &str) -> Result<Schema, ClusterError> {
    let keyspaces: Vec<(String,)> =
        rows(session, "SELECT keyspace_name FROM system_schema.keyspaces", ()).await?;
    if !keyspaces.iter().any(|(name,)| name == keyspace) {
        let mut known: Vec<String> = keyspaces
            .into_iter()
            .map(|(name,)| name)
            .filter(|name| name != "system" && !name.starts_with("system_"))
            .collect();
        known.sort();
        return Err(ClusterError::MissingKeyspace { keyspace: keyspace.into(), known });
    }
    let schema_tables: Vec<(String,)> = rows(
        session,
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system_schema'",
        (),
    )
    .await?;
    let named = |names: Vec<(String,)>| names.into_iter().map(|(name,)| name).collect::<Vec<_>>();
    if let Some(product) = other_product(&named(keyspaces), &named(schema_tables)) {
        return Err(ClusterError::NotCassandra { product });
    }
    let mut schema = Schema { keyspace: keyspace.into(), ..Schema::default() };
    let tables: Vec<(String, Option<i32>)> = rows(
        session,
        "SELECT table_name, default_time_to_live FROM system_schema.tables WHERE keyspace_name = ?",
        (keyspace,),
    )
    .await?;
    for (name, ttl) in tables {
        let table =
            TableSchema { default_time_to_live_s: ttl.unwrap_or_default(), ..Default::default() };
        schema.tables.insert(name, table);
    }
    let columns: Vec<(String, String, String, i32, String, String)> = rows(
        session,
        "SELECT table_name, column_name, kind, position, clustering_order, type \
         FROM system_schema.columns WHERE keyspace_name = ?",
        (keyspace,),
    )
    .await?;
    for (table, name, kind, position, order, cql_type) in columns {
        let position = usize::try_from(position).unwrap_or_default();
        let kind = match (kind.as_str(), order.as_str()) {
            ("partition_key", _) => ColumnKind::PartitionKey(position),
            ("clustering", "desc") => ColumnKind::Clustering(position, Direction::Descending),
            ("clustering", _) => ColumnKind::Clustering(position, Direction::Ascending),
            ("static", _) => ColumnKind::Static,
            _ => ColumnKind::Regular,
        };
        if let Some(table) = schema.tables.get_mut(&table) {
            let cql_type = CqlType::parse(&cql_type);
            table.columns.push(ColumnSchema { name, kind, cql_type });
        }
    }
    Ok(schema)
}

pub(super) async fn rows<R>(
    session: &Session,
    text: &str,
    values: impl SerializeRow,
) -> Result<Vec<R>, ClusterError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let failed = |error: &dyn std::error::Error| ClusterError::Query {
        what: "reading the schema".into(),
        message: one_line(&error.to_string()),
    };
    let result = session.query_unpaged(text, values).await.map_err(|error| failed(&error))?;
    let rows = result.into_rows_result().map_err(|error| failed(&error))?;
    let rows = rows.rows::<R>().map_err(|error| failed(&error))?;
    rows.map(|row| row.map_err(|error| failed(&error))).collect()
}
