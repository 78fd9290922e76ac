//! Dynamic data masking (Cassandra 5.0): columns of which a user without UNMASK reads a mask in the place of the value. To
//! copy it would be to lose the value.

use std::collections::BTreeSet;

use scylla::value::{CqlValue, Row};

use crate::model::quoted;
use crate::spec::schema::Schema;

use super::ClusterError;
use super::ask::Ask;

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
    let unmasked = Unmasked::of(ask, user).await;
    for (table, column) in masked {
        if unmasked.covers(&schema.keyspace, &table) {
            continue;
        }
        if let Some(table) = schema.tables.get_mut(&table) {
            table.masked.insert(column);
        }
    }
    Ok(())
}

/// Where a user sees the values.
enum Unmasked {
    Everywhere,
    /// By the names of resources.
    In(BTreeSet<String>),
}

impl Unmasked {
    /// What the server says of the user's own rights. Where it does not say it, the user is taken to have none: nothing
    /// is lost by a refusal.
    async fn of(ask: &Ask<'_>, user: Option<&str>) -> Self {
        let of = user.map(|user| format!(" OF {}", quoted(user))).unwrap_or_default();
        let listed = ask.rows::<Permission>(&format!("LIST UNMASK PERMISSION{of}"), ()).await;
        match listed {
            // Only a superuser may see everybody's.
            Ok(_) if user.is_none() => Self::Everywhere,
            Ok(_) if Self::is_superuser(ask, &of).await => Self::Everywhere,
            Ok(permissions) => {
                Self::In(permissions.into_iter().map(|(.., resource, _)| resource).collect())
            }
            Err(error) if is_open(&error.to_string()) => Self::Everywhere,
            Err(_) => Self::In(BTreeSet::new()),
        }
    }

    async fn is_superuser(ask: &Ask<'_>, of: &str) -> bool {
        // Name, whether it is a superuser, and more that differs from version to version.
        let roles = ask.rows::<Row>(&format!("LIST ROLES{of}"), ()).await;
        let is_super = |role: &Row| role.columns.get(1) == Some(&Some(CqlValue::Boolean(true)));
        roles.is_ok_and(|roles| roles.iter().any(is_super))
    }

    fn covers(&self, keyspace: &str, table: &str) -> bool {
        let Self::In(resources) = self else { return true };
        let own = [
            "<all keyspaces>".to_owned(),
            format!("<keyspace {keyspace}>"),
            format!("<all tables in {keyspace}>"),
            format!("<table {keyspace}.{table}>"),
        ];
        own.iter().any(|own| resources.contains(own))
    }
}

/// Role, user, resource and permission.
type Permission = (String, String, String, String);

/// Whether a server refuses to list permissions because everybody has all of them.
fn is_open(message: &str) -> bool {
    message.contains("AllowAllAuthorizer") || message.contains("anonymous")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_seen_where_a_permission_reaches() {
        let seen = |resource: &str| {
            let unmasked = Unmasked::In([resource.to_owned()].into());
            [("k", "t"), ("k", "u"), ("l", "t")].map(|(k, t)| unmasked.covers(k, t))
        };
        assert_eq!(seen("<all keyspaces>"), [true; 3]);
        assert_eq!(seen("<keyspace k>"), [true, true, false]);
        assert_eq!(seen("<all tables in k>"), [true, true, false]);
        assert_eq!(seen("<table k.t>"), [true, false, false]);
        assert_eq!(seen("<table k.tt>"), [false; 3]);
    }
}
