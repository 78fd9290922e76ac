//! How a cluster is reached.

use std::path::PathBuf;

use scylla::statement::Consistency as Level;
use serde::Serialize;

use crate::secret::Secret;

use super::{AddressMap, TlsError, tls};

/// What [`Cluster::connect`](super::Cluster::connect) needs.
#[derive(Clone, Debug)]
pub struct ClusterSettings {
    /// The contact points, `host:port`.
    pub hosts: Vec<String>,
    /// Where nodes are reached that advertise another address.
    pub address_map: AddressMap,
    /// The keyspace that holds the tables.
    pub keyspace: String,
    /// The keyspace of the register of runs; none where it is not asked.
    pub register: Option<String>,
    /// The datacenter whose nodes are asked; needed where there are several.
    pub local_dc: Option<String>,
    /// Whether applications write to the keyspace in that datacenter alone.
    pub single_writer_dc: bool,
    /// How connections are encrypted; none if they are not.
    pub tls: Option<TlsSettings>,
    /// The user to log in as.
    pub username: Option<String>,
    /// That user's password.
    pub password: Option<Secret>,
    /// The consistency level of every write of a run, and of every read where no datacenter may know more than another.
    pub consistency: Consistency,
}

/// How connections are encrypted. All files are PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificates of the CAs that may sign those of nodes; none for the ones that this machine trusts.
    pub(crate) ca: Option<PathBuf>,
    /// Our own certificate, with those that lead to its CA, and its private key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// Whether a node's certificate must be for its address or for a name among the contact points.
    pub(crate) hostname_check: bool,
}

impl TlsSettings {
    /// Reads the files, to tell early whether they can be used.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub(crate) fn check(&self) -> Result<(), TlsError> {
        tls::client_config(self, &[]).map(drop)
    }
}

/// How many replicas acknowledge a read or write.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", ascii_case_insensitive)]
pub enum Consistency {
    /// One of any datacenter.
    One,
    /// One of the local datacenter.
    LocalOne,
    /// Two of any datacenter.
    Two,
    /// Three of any datacenter.
    Three,
    /// A majority of all datacenters together.
    Quorum,
    /// A majority of the local datacenter.
    #[default]
    LocalQuorum,
    /// A majority of each datacenter.
    EachQuorum,
    /// All.
    All,
}

impl From<Consistency> for Level {
    fn from(level: Consistency) -> Self {
        match level {
            Consistency::One => Self::One,
            Consistency::LocalOne => Self::LocalOne,
            Consistency::Two => Self::Two,
            Consistency::Three => Self::Three,
            Consistency::Quorum => Self::Quorum,
            Consistency::LocalQuorum => Self::LocalQuorum,
            Consistency::EachQuorum => Self::EachQuorum,
            Consistency::All => Self::All,
        }
    }
}
