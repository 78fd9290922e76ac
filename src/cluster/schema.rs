//! What the cluster says of a keyspace, read from `system_schema`.

use uuid::Uuid;

use crate::model::CqlType;
use crate::spec::schema::{ColumnKind, ColumnSchema, Direction, Schema, TableSchema};

use super::ClusterError;
use super::ask::Ask;
use super::capabilities::other_product;
use super::masks;

/// Reads the tables and columns of a keyspace, as a user sees them.
pub(super) async fn read(
    ask: &Ask<'_>,
    keyspace: &str,
    user: Option<&str>,
) -> Result<Schema, ClusterError> {
    let keyspaces: Vec<(String,)> =
        ask.rows("SELECT keyspace_name FROM system_schema.keyspaces", ()).await?;
    if !keyspaces.iter().any(|(name,)| name == keyspace) {
        let mut known: Vec<String> = keyspaces
            .into_iter()
            .map(|(name,)| name)
            .filter(|name| name != "system" && !name.starts_with("system_"))
            .collect();
        known.sort();
        return Err(ClusterError::MissingKeyspace { keyspace: keyspace.into(), known });
    }
    let own = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system_schema'";
    let schema_tables: Vec<(String,)> = ask.rows(own, ()).await?;
    let named = |names: Vec<(String,)>| names.into_iter().map(|(name,)| name).collect::<Vec<_>>();
    let schema_tables = named(schema_tables);
    if let Some(product) = other_product(&named(keyspaces), &schema_tables) {
        return Err(ClusterError::NotCassandra { product });
    }
    let mut schema = Schema { keyspace: keyspace.into(), ..Schema::default() };
    let tables = "SELECT table_name, id, default_time_to_live, gc_grace_seconds FROM system_schema.tables \
                  WHERE keyspace_name = ?";
    let tables: Vec<(String, Uuid, Option<i32>, Option<i32>)> =
        ask.rows(tables, (keyspace,)).await?;
    for (name, id, ttl, gc_grace) in tables {
        let (id, default_time_to_live_s) = (id.to_string(), ttl.unwrap_or_default());
        let gc_grace_s = gc_grace.and_then(|s| s.try_into().ok()).unwrap_or_default();
        let table = TableSchema { id, default_time_to_live_s, gc_grace_s, ..Default::default() };
        schema.tables.insert(name, table);
    }
    let columns = "SELECT table_name, column_name, kind, position, clustering_order, type \
                   FROM system_schema.columns WHERE keyspace_name = ?";
    let columns: Vec<(String, String, String, i32, String, String)> =
        ask.rows(columns, (keyspace,)).await?;
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
    if schema_tables.iter().any(|name| name == masks::TABLE) {
        masks::add(ask, &mut schema, user).await?;
    }
    Ok(schema)
}
