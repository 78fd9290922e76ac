//! The driver as an ordinary program uses it, and the pairs of a data set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use super::measure::Servers;

/// Where the tables are.
#[derive(Args)]
pub(crate) struct Connection {
    /// Contact points, host:port, separated by commas.
    #[arg(long, env = "TRIBUTARY_HOSTS", value_delimiter = ',', default_value = "127.0.0.1:9042")]
    pub(crate) hosts: Vec<String>,
    /// The keyspace.
    #[arg(long)]
    pub(crate) keyspace: String,
}

/// What is merged, where, and whose time that takes.
#[derive(Args)]
pub(crate) struct Input {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(flatten)]
    pub(crate) servers: Servers,
    /// The pairs, of which no account is in two.
    #[arg(long)]
    pub(crate) pairs: PathBuf,
}

impl Connection {
    /// LOCAL_QUORUM for everything, and the driver's defaults otherwise: token-aware, its own retries.
    pub(crate) async fn open(&self) -> anyhow::Result<Arc<Session>> {
        let profile = ExecutionProfile::builder()
            .consistency(Consistency::LocalQuorum)
            .request_timeout(Some(Duration::from_secs(30)))
            .build();
        let builder = SessionBuilder::new()
            .known_nodes(&self.hosts)
            .default_execution_profile_handle(profile.into_handle());
        let hosts = self.hosts.join(",");
        Ok(Arc::new(builder.build().await.with_context(|| format!("cannot connect to {hosts}"))?))
    }
}

/// Prepares a statement whose answers name the columns that they were prepared with.
pub(crate) async fn prepare(session: &Session, text: &str) -> anyhow::Result<PreparedStatement> {
    let mut prepared = session.prepare(text).await.with_context(|| text.to_owned())?;
    prepared.set_use_cached_result_metadata(true);
    prepared.set_is_idempotent(true);
    Ok(prepared)
}

/// The accounts of pairs.csv, `from` and `to`.
pub(crate) fn pairs(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("cannot read {}", path.display()))?;
    reader.deserialize().map(|pair| pair.context("pairs.csv")).collect()
}
