//! Whether another keyspace holds the register of what is merged: runs of two registers would not know of each other.

use crate::model::quoted;

use super::super::ask::Ask;
use super::super::{Cluster, ClusterError};
use super::RegisterReader;

impl Cluster {
    /// The register to be read by whoever asks for no run that has begun; none where its tables are not there.
    ///
    /// # Errors
    /// Another keyspace has it; it is of a later version, or cannot be read.
    pub(crate) async fn sole_register_reader(
        &self,
        keyspace: &str,
    ) -> Result<Option<RegisterReader>, ClusterError> {
        self.check_sole_register(keyspace).await?;
        self.register_reader(keyspace).await
    }

    /// Sees that no other keyspace has a register that knows the merged keyspace, where this one does not know it. One
    /// that this user may not read, or that cannot be read now, is passed over: it may be anybody's.
    ///
    /// # Errors
    /// There is one.
    pub(crate) async fn check_sole_register(&self, keyspace: &str) -> Result<(), ClusterError> {
        let named = "SELECT keyspace_name FROM system_schema.tables WHERE table_name = 'lease' ALLOW FILTERING";
        let named: Result<Vec<(String,)>, _> = Ask::any(self.session()).rows(named, ()).await;
        let named = named.unwrap_or_default().into_iter().map(|(name,)| name);
        let others: Vec<String> = named.filter(|name| name != keyspace).collect();
        if others.is_empty() || self.knows_merged(keyspace).await {
            return Ok(());
        }
        for other in others {
            if self.knows_merged(&other).await {
                let (keyspace, merged) = (keyspace.to_owned(), self.settings.keyspace.clone());
                return Err(ClusterError::OtherRegister { keyspace, merged, other });
            }
        }
        Ok(())
    }

    /// Whether there is a register in this keyspace in which somebody has ever had a lease on the merged one.
    async fn knows_merged(&self, keyspace: &str) -> bool {
        if !self.are_there(keyspace).await.unwrap_or(false) {
            return false;
        }
        let text = format!("SELECT run FROM {}.lease WHERE keyspace_name = ?", quoted(keyspace));
        let rows: Result<Vec<(Option<String>,)>, _> =
            Ask::any(self.session()).rows(&text, (&self.settings.keyspace,)).await;
        rows.is_ok_and(|rows| !rows.is_empty())
    }
}
