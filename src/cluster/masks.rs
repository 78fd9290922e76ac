//! Dynamic data masking (Cassandra 5.0): columns of which a user without UNMASK reads a mask in the place of the value. To
//! copy it would be to lose the value.

use crate::spec::schema::Schema;

use super::ClusterError;
use super::ask::Ask;
use super::granted::Granted;

/// The table of `system_schema` that has the masks.
pub(super) const TABLE: &str = "column_masks";

/// Adds the columns that the user sees masked.
pub(super) async fn add(
    ask: &Ask<'_>,
    schema: &mut Schema,
    user: Option<&str>,
) -> Result<(), ClusterError> {
    let masked =
        "SELECT table_name, column_name FROM system_schema.column_masks WHERE keyspace_name = ?";
    let masked: Vec<(String, String)> = ask.rows(masked, (&schema.keyspace,)).await?;
    if masked.is_empty() {
        return Ok(());
    }
    // Where the server does not say it, the user is taken to see none: nothing is lost by a refusal.
    let granted = Granted::of(ask, user).await;
    for (table, column) in masked {
        if granted.covers("UNMASK", &schema.keyspace, &table) {
            continue;
        }
        if let Some(table) = schema.tables.get_mut(&table) {
            table.masked.insert(column);
        }
    }
    Ok(())
}
