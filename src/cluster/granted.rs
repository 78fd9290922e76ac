//! What the user has been granted, as the server lists it: how it is found out where nothing may be written, not even to be
//! refused.

use std::collections::BTreeSet;

use scylla::value::{CqlValue, Row};

use crate::model::quoted;

use super::ask::Ask;

/// What a user may do.
pub(super) enum Granted {
    /// Whatever there is: a superuser, or nobody decides.
    All,
    /// Permissions, each on a resource as servers name it.
    Only(BTreeSet<(String, String)>),
    /// The server does not say it, and why.
    Unknown(String),
}

/// Role, user, resource and permission.
type Permission = (Option<String>, Option<String>, String, String);

impl Granted {
    /// What the server says of the user's own rights, those of its roles' roles included.
    pub(super) async fn of(ask: &Ask<'_>, user: Option<&str>) -> Self {
        let of = user.map(|user| format!(" OF {}", quoted(user))).unwrap_or_default();
        match ask.rows::<Permission>(&format!("LIST ALL PERMISSIONS{of}"), ()).await {
            // Only a superuser may see everybody's.
            Ok(_) if user.is_none() => Self::All,
            Ok(listed) => match is_superuser(ask, &of).await {
                Ok(true) => Self::All,
                Ok(false) => {
                    let one = |(.., resource, permission): Permission| (permission, resource);
                    Self::Only(listed.into_iter().map(one).collect())
                }
                Err(why) => Self::Unknown(why),
            },
            Err(error) if is_open(&error.to_string()) => Self::All,
            Err(error) => Self::Unknown(error.to_string()),
        }
    }

    /// Whether a permission reaches a table, whichever resource above it was named.
    pub(super) fn covers(&self, permission: &str, keyspace: &str, table: &str) -> bool {
        let above = [format!("<all tables in {keyspace}>"), format!("<table {keyspace}.{table}>")];
        self.reaches(permission, keyspace)
            || above.into_iter().any(|resource| self.has(permission, resource))
    }

    pub(super) fn reaches(&self, permission: &str, keyspace: &str) -> bool {
        self.is_everywhere(permission) || self.has(permission, format!("<keyspace {keyspace}>"))
    }

    /// Whether a permission reaches all keyspaces.
    pub(super) fn is_everywhere(&self, permission: &str) -> bool {
        self.has(permission, "<all keyspaces>".to_owned())
    }

    fn has(&self, permission: &str, resource: String) -> bool {
        match self {
            Self::All => true,
            Self::Only(granted) => granted.contains(&(permission.to_owned(), resource)),
            Self::Unknown(_) => false,
        }
    }
}

async fn is_superuser(ask: &Ask<'_>, of: &str) -> Result<bool, String> {
    // Name, whether it is a superuser, and more that differs from version to version.
    let roles = ask.rows::<Row>(&format!("LIST ROLES{of}"), ()).await;
    let is_super = |role: &Row| role.columns.get(1) == Some(&Some(CqlValue::Boolean(true)));
    roles.map(|roles| roles.iter().any(is_super)).map_err(|error| error.to_string())
}

/// Whether a server refuses to list permissions because everybody has all of them.
fn is_open(message: &str) -> bool {
    message.contains("AllowAllAuthorizer") || message.contains("anonymous")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_reaches_what_is_below_its_resource() {
        let reached = |resource: &str| {
            let granted = Granted::Only([("MODIFY".to_owned(), resource.to_owned())].into());
            assert!(!granted.covers("SELECT", "k", "t"));
            [("k", "t"), ("k", "u"), ("l", "t")].map(|(k, t)| granted.covers("MODIFY", k, t))
        };
        assert_eq!(reached("<all keyspaces>"), [true; 3]);
        assert_eq!(reached("<keyspace k>"), [true, true, false]);
        assert_eq!(reached("<all tables in k>"), [true, true, false]);
        assert_eq!(reached("<table k.t>"), [true, false, false]);
        assert_eq!(reached("<table k.tt>"), [false; 3]);
    }

    #[test]
    fn whoever_is_not_told_of_has_nothing() {
        assert!(Granted::All.covers("UNMASK", "k", "t"));
        assert!(!Granted::Unknown("no answer".into()).covers("UNMASK", "k", "t"));
    }
}
