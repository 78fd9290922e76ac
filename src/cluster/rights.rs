//! What the user may do, found out before the first write.
//!
//! A command that writes asks by requests that no server can carry out, because their keys are null. Whether somebody may make a request
//! is decided before its values are looked at (`QueryProcessor.processStatement`), so a privilege that is missing is told
//! from a null key, and nothing is ever written. A list of permissions would not do for it: a server may not give one, or
//! decide otherwise.
//!
//! A command that must be unable to write has no such request, so it asks what the user is [granted](Granted): that is what
//! `plan --inspect` tells of `apply`.

use std::collections::BTreeSet;
use std::fmt;

use futures::future::join_all;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use crate::model::written;
use crate::spec::Spec;

use super::ask::Ask;
use super::granted::Granted;
use super::statements::{Preparer, names};
use super::values::{Value, Values};
use super::{Cluster, ClusterError};

/// A privilege that a role lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lacking {
    role: String,
    permission: String,
    /// As a server names it: `<table k.t>`.
    resource: String,
}

/// What is asked for on a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Its rows.
    Read,
    /// To write them as well.
    Write,
}

impl Lacking {
    /// What an error says of a privilege, if it is about one.
    fn of(error: &ExecutionError) -> Option<Self> {
        let ExecutionError::LastAttemptError(RequestAttemptError::DbError(kind, message)) = error
        else {
            return None;
        };
        matches!(kind, DbError::Unauthorized).then(|| Self::read(message)).flatten()
    }

    /// What a server says, from 3.11 to 5.0 (`ClientState.ensurePermissionOnResourceChain`).
    fn read(message: &str) -> Option<Self> {
        let (role, rest) = message.strip_prefix("User ")?.split_once(" has no ")?;
        let (permission, rest) = rest.split_once(" permission on ")?;
        let resource = rest.strip_suffix(" or any of its parents")?;
        let [role, permission, resource] = [role, permission, resource].map(str::to_owned);
        Some(Self { role, permission, resource })
    }

    /// The same privilege on the whole keyspace.
    pub(super) fn on_keyspace(self, keyspace: &str) -> Self {
        Self { resource: format!("<keyspace {keyspace}>"), ..self }
    }

    /// The statement by which it is given.
    pub(super) fn grant(&self) -> String {
        let Self { role, permission, resource } = self;
        let plain = resource.trim_start_matches('<').trim_end_matches('>');
        let on = match plain.split_once(' ') {
            Some(("table", name)) => {
                let parts = name.split('.').map(written).collect::<Vec<_>>();
                format!("TABLE {}", parts.join("."))
            }
            Some(("keyspace", name)) => format!("KEYSPACE {}", written(name)),
            _ => plain.to_uppercase(),
        };
        format!("GRANT {permission} ON {on} TO {}", written(role))
    }
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = self.resource.trim_start_matches('<').trim_end_matches('>');
        write!(f, "{} on {on}", self.permission)
    }
}

/// All that is missing, in one sentence.
pub(super) fn sentence(lacking: &BTreeSet<Lacking>) -> String {
    let list = |each: &dyn Fn(&Lacking) -> String, between: &str| {
        lacking.iter().map(each).collect::<Vec<_>>().join(between)
    };
    let role = lacking.first().map_or("", |lacking| &lacking.role);
    format!(
        "role {role} lacks {}, which this command needs. Nothing was written. Whoever administers the roles can run: {}",
        list(&|lacking| lacking.to_string(), ", "),
        list(&Lacking::grant, "; ")
    )
}

impl Cluster {
    /// Sees that the user may read the tables of a specification, and write them if that is wanted.
    ///
    /// # Errors
    /// All that it may not.
    pub(crate) async fn check_rights(
        &self,
        spec: &Spec,
        is_writing: bool,
    ) -> Result<(), ClusterError> {
        let (with, wanted) =
            (self.preparer(), if is_writing { Wanted::Write } else { Wanted::Read });
        let looks = spec.tables.iter().map(|table| {
            let (full, key) = (with.table(table), names(table, 0..table.key_len));
            let with = &with;
            async move { with.lacking(&full, &key, wanted).await }
        });
        permitted(join_all(looks).await.into_iter().flatten())
    }
}

impl Cluster {
    /// What the user lacks of what `apply` needs on some tables, the views of some, and the register.
    ///
    /// # Errors
    /// Why that is not known.
    pub(super) async fn lacking_to_apply(
        &self,
        tables: &[String],
        views: &[String],
    ) -> Result<BTreeSet<Lacking>, String> {
        let ask = Ask::any(self.session());
        let granted = Granted::of(&ask, self.settings.username.as_deref()).await;
        if let Granted::Unknown(why) = granted {
            return Err(why);
        }
        let keyspace = &*self.settings.keyspace;
        let lacks = |permission: &str, resource: String| Lacking {
            role: self.settings.username.clone().unwrap_or_default(),
            permission: permission.to_owned(),
            resource,
        };
        let mut needed = Vec::new();
        needed.extend(tables.iter().map(|table| ("SELECT", table)));
        // Whoever writes to a table writes to its views as well.
        needed.extend(tables.iter().chain(views).map(|table| ("MODIFY", table)));
        needed.retain(|(permission, table)| !granted.covers(permission, keyspace, table));
        let mut lacking: BTreeSet<Lacking> = needed
            .into_iter()
            .map(|(permission, table)| lacks(permission, format!("<table {keyspace}.{table}>")))
            .collect();
        if let Some(register) = self.register_keyspace() {
            let on_register = match self.register_state(register).await {
                Ok(state) => state.needs(&granted, register),
                Err(error) => return Err(error.to_string()),
            };
            let on_register = on_register.into_iter();
            lacking.extend(on_register.map(|(permission, resource)| lacks(permission, resource)));
        }
        Ok(lacking)
    }
}

/// That nothing is missing.
pub(super) fn permitted(lacking: impl IntoIterator<Item = Lacking>) -> Result<(), ClusterError> {
    let lacking: BTreeSet<Lacking> = lacking.into_iter().collect();
    if lacking.is_empty() { Ok(()) } else { Err(ClusterError::NotPermitted { lacking }) }
}

impl Preparer {
    /// What the user lacks on a table, of which these are the columns of the key, or of the partition key.
    pub(super) async fn lacking(
        &self,
        table: &str,
        key: &[String],
        wanted: Wanted,
    ) -> BTreeSet<Lacking> {
        let conditions: Vec<_> = key.iter().map(|column| format!("{column} = ?")).collect();
        let whose = format!("FROM {table} WHERE {}", conditions.join(" AND "));
        let read = format!("SELECT {} {whose}", key.join(", "));
        let write = (wanted == Wanted::Write).then(|| format!("DELETE {whose}"));
        let nulls = Values(vec![Value::Null; key.len()]);
        let asked = [Some(read), write].into_iter().flatten().map(async |text| {
            // What cannot be prepared or is refused for anything else is for others to tell.
            let statement = self.session.prepare(text).await.ok()?;
            let refused = self.session.execute_unpaged(&statement, &nulls).await.err()?;
            Lacking::of(&refused)
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(permission: &str, resource: &str) -> Lacking {
        let message = format!(
            "User merger has no {permission} permission on {resource} or any of its parents"
        );
        Lacking::read(&message).unwrap()
    }

    #[test]
    fn what_is_missing_is_said_at_once_with_what_gives_it() {
        let lacking = [lacks("MODIFY", "<table k.t>"), lacks("SELECT", "<table k.Odd>")];
        assert_eq!(
            sentence(&lacking.into()),
            "role merger lacks MODIFY on table k.t, SELECT on table k.Odd, which this command needs. Nothing was written. \
             Whoever administers the roles can run: GRANT MODIFY ON TABLE k.t TO merger; GRANT SELECT ON TABLE k.\"Odd\" TO merger"
        );
        let all = [lacks("SELECT", "<table k.t>"), lacks("SELECT", "<table k.u>")];
        let all: BTreeSet<_> = all.into_iter().map(|one| one.on_keyspace("k")).collect();
        assert!(sentence(&all).ends_with(" can run: GRANT SELECT ON KEYSPACE k TO merger"));
        assert_eq!(
            lacks("MODIFY", "<all keyspaces>").grant(),
            "GRANT MODIFY ON ALL KEYSPACES TO merger"
        );
        assert_eq!(Lacking::read("You are not authorized"), None);
    }
}
