//! Apache Cassandra: the only user of the driver.
//!
//! [`Cluster::connect`] reaches the cluster and reads its schema; [`Cluster::reader`] prepares reads
//! only, [`Cluster::store`] reads and writes. Every statement is prepared and carries the run's
//! consistency level itself; each that concerns one partition is token-aware (asserted). Values travel as
//! raw bytes.
//!
//! Deliberately absent: retries. The driver's own are switched off, because the pipeline retries with
//! lower concurrency and counts what it does.
//!
//! May use `model`, `secret`, `setting`, `spec`, `storage` and `register`; may be used by `cli`.

mod about;
mod address_map;
mod altered;
mod ask;
mod capabilities;
mod clocks;
mod connect;
mod consistency;
mod datacenters;
mod diagnosis;
mod elements;
mod fault;
mod granted;
mod masks;
mod owners;
mod reads;
mod register;
mod replicas;
mod rights;
mod rows;
mod scan;
mod schema;
mod settings;
mod statements;
mod store;
mod surroundings;
mod tls;
mod tombstones;
mod truncated;
mod values;
mod writes;

use std::collections::BTreeSet;

use thiserror::Error;

pub use address_map::AddressMap;
pub use connect::Cluster;
pub use consistency::Consistency;
pub(crate) use diagnosis::{Layer, Tried};
pub(crate) use register::{ClusterRegister, RegisterReader};
pub use rights::Lacking;
pub(crate) use settings::{CASSANDRA, HOSTS, KEYSPACE, NO_REGISTER};
pub use settings::{ClusterSettings, TlsSettings};
pub(crate) use store::ReadStore;
pub use store::Store;
pub(crate) use tls::TlsError;

use crate::register::Lease;
use crate::spec;
use crate::storage::Fault;

/// Why a cluster cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No contact point can be used.
    #[error("cannot connect to Cassandra: {}. {}", tried_list(tried), advice(tried))]
    Unreachable {
        /// Each contact point with the layer at which it fails.
        tried: Vec<Tried>,
    },
    /// A contact point answers, but none of the addresses that it gives for the nodes.
    #[error(
        "Cassandra answers at {hosts}, but there it is said that its nodes are reached at {}, and no connection to any of \
         these can be made from here. The nodes advertise these addresses: broadcast_rpc_address (without it, rpc_address) \
         in their cassandra.yaml has to be one that clients can reach; or say where each is reached from here: --address-map \
         {}=HOST:PORT",
        known_list(advertised),
        advertised.first().map_or("ADDRESS:PORT", |first| first)
    )]
    Unadvertised {
        /// The contact points.
        hosts: String,
        /// The addresses of the nodes.
        advertised: Vec<String>,
    },
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The login was refused.
    #[error(
        "Cassandra at {hosts} refuses the login{} (authentication): {message}. Check --username and the password \
         (TRIBUTARY_PASSWORD, or the configuration file)",
        user.as_ref().map(|user| format!(" of '{user}'")).unwrap_or_default()
    )]
    Login {
        /// The contact points.
        hosts: String,
        /// The user, if one was named.
        user: Option<String>,
        /// What the server says.
        message: String,
    },
    /// The keyspace does not exist.
    #[error(
        "there is no keyspace {keyspace}{}; check --keyspace. The cluster has: {}",
        in_another_case(keyspace, known),
        known_list(known)
    )]
    MissingKeyspace {
        keyspace: String,
        /// Those that exist, system keyspaces aside.
        known: Vec<String>,
    },
    /// The named datacenter does not exist.
    #[error(
        "there is no datacenter {named}; check --local-dc. The cluster has: {}",
        known_list(known)
    )]
    UnknownDatacenter {
        named: String,
        /// Those that exist.
        known: Vec<String>,
    },
    /// There are several datacenters, and none was named.
    #[error(
        "the cluster has several datacenters ({}): say which one is local with --local-dc, because \
         LOCAL_QUORUM counts the replicas of one",
        known_list(known)
    )]
    SeveralDatacenters {
        /// Those that exist.
        known: Vec<String>,
    },
    /// Clocks differ too much.
    #[error(
        "the clock of node {node} is {skew_s:.1} s away from this machine's; more than 5 s is refused, \
         because writes are ordered by their times. Set the clocks (NTP) and start again"
    )]
    ClockSkew {
        node: String,
        /// The difference in seconds.
        skew_s: f64,
    },
    /// The server is not Cassandra.
    #[error(
        "the server is {product}, not Apache Cassandra: its rules for write times, tombstones and batches are its own, \
         so nothing is merged there"
    )]
    NotCassandra { product: &'static str },
    /// The server forbids what every merge needs.
    #[error(
        "the server does not allow {what}, which every merge needs: {message}. Nothing was written; ask who runs the \
         cluster (a guardrail in cassandra.yaml, perhaps) to allow it to this user"
    )]
    Forbidden {
        /// What is forbidden.
        what: &'static str,
        /// What the server says.
        message: String,
    },
    /// A policy needs what the server does not tell.
    #[error(
        "the policy \"union\" of the list {list} needs a server that tells when elements of lists were written, as Cassandra \
         does from 5.0 on; this one does not, and an element that somebody appends while the list is merged could be there \
         twice. Nothing was written. Give it another policy (\"first\", \"keep-source\" or \"keep-target\")"
    )]
    UndatedList {
        /// The list, with its table.
        list: String,
    },
    /// The user lacks privileges.
    #[error("{}", rights::sentence(lacking))]
    NotPermitted {
        /// All of them.
        lacking: BTreeSet<Lacking>,
    },
    /// A table drops its tombstones too early.
    #[error(
        "table {table} keeps its tombstones for {gc_grace_s} s (gc_grace_seconds), which is less than {least_s} s: a \
         replica or a hint that is later brings rows back that were moved. Nothing was written. Raise it (ALTER TABLE \
         {table} WITH gc_grace_seconds = 864000), or accept it: --min-gc-grace {}",
        if *gc_grace_s == 0 { "none".to_owned() } else { format!("{gc_grace_s}s") }
    )]
    ShortGcGrace {
        /// The table, with its keyspace.
        table: String,
        /// How long it keeps them.
        gc_grace_s: u64,
        /// How long it should.
        least_s: u64,
    },
    /// The register is missing, and may not be created.
    #[error(
        "there is no register of runs in keyspace {keyspace}, and this user may not create it ({message}). Without it \
         tributary cannot know what other runs did to the same accounts. A DBA creates it with these statements and \
         grants SELECT and MODIFY on it:\n{ddl}\nOr name another keyspace with --register; or, if no other run ever \
         touches these accounts, go without: --no-register"
    )]
    NoRegister {
        /// The keyspace that it should be in.
        keyspace: String,
        /// What the server says.
        message: String,
        /// What creates it.
        ddl: String,
    },
    /// The register is of a later version of the program.
    #[error(
        "the register in keyspace {keyspace} is of version {version}, which a later tributary has written: use that one"
    )]
    NewerRegister {
        keyspace: String,
        /// The number of its layout.
        version: i32,
    },
    /// The merged keyspace has its register elsewhere.
    #[error(
        "what runs did in keyspace {merged} is in the register {other}, and the register {keyspace} knows nothing of it: \
         runs of two registers do not know of each other, and could lose rows. Nothing was written. Name that one: \
         --register {other}"
    )]
    OtherRegister {
        /// The one that was named.
        keyspace: String,
        /// The keyspace that is merged.
        merged: String,
        /// The one that knows it.
        other: String,
    },
    /// Another run works on the keyspace.
    #[error(
        "keyspace {keyspace} is being worked on by {lease}: two runs at once could lose rows. Wait until it has ended; \
         if its process is gone, its lease ends by itself in {seconds} s, and there that run can go on at once"
    )]
    Leased {
        keyspace: String,
        /// Who works on it.
        lease: Lease,
        /// How long the lease lasts if it is not renewed.
        seconds: u64,
    },
    /// A statement was refused.
    #[error("the cluster refuses to prepare `{statement}`: {message}")]
    Prepare {
        /// Its text.
        statement: String,
        /// What the server says.
        message: String,
        /// Whether trying again may help.
        kind: Fault,
    },
    /// A statement cannot be routed.
    #[error(
        "`{statement}` is not token-aware: the driver does not know which nodes own its partition. This is \
         a defect; please report it with the table's definition"
    )]
    NotTokenAware {
        /// Its text.
        statement: String,
    },
    /// A query before the run failed.
    #[error("{what} failed: {message}")]
    Query {
        /// What was attempted.
        what: String,
        /// What the driver says.
        message: String,
    },
}

/// The most contact points that a message lists.
const LISTED: usize = 4;

fn tried_list(tried: &[Tried]) -> String {
    let mut list: Vec<_> = tried.iter().take(LISTED).map(ToString::to_string).collect();
    if tried.len() > LISTED {
        list.push(format!("and {} more", tried.len() - LISTED));
    }
    list.join("; ")
}

/// What helps the contact point that is nearest to working.
fn advice(tried: &[Tried]) -> &'static str {
    tried.iter().map(|tried| tried.layer).max().unwrap_or(Layer::Name).advice()
}

/// What a server says of a login that it refuses, if that is why there is no session.
fn refused_login(message: &str) -> Option<String> {
    let login = ["authentication", "Authentication", "credentials", "Credentials"];
    login.iter().any(|word| message.contains(word)).then(|| {
        if message.contains("Authentication is required") {
            return "it wants a user and a password".to_owned();
        }
        // The driver says first through which of its layers the message came.
        let cause = message.rsplit("Error message: ").next().unwrap_or(message);
        cause.trim_end_matches('.').to_owned()
    })
}

/// That there is one that differs in case only.
fn in_another_case(name: &str, known: &[String]) -> String {
    let other = known.iter().find(|known| known.eq_ignore_ascii_case(name));
    other.map_or_else(String::new, |other| format!(" (case counts: there is {other})"))
}

fn known_list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { spec::list(names.iter().map(String::as_str)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyspace_in_another_case_is_named() {
        let missing = |keyspace: &str| {
            let (keyspace, known) = (keyspace.into(), vec!["courses".into()]);
            ClusterError::MissingKeyspace { keyspace, known }.to_string()
        };
        assert!(
            missing("Courses")
                .starts_with("there is no keyspace Courses (case counts: there is courses);")
        );
        assert!(missing("classes").starts_with("there is no keyspace classes; check --keyspace."));
    }
}
