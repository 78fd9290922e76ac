//! The session: how the cluster is reached, and in which datacenter.

use std::sync::Arc;
use std::time::Duration;

use openssl::ssl::{SslConnector, SslConnectorBuilder};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::{DefaultPolicy, LoadBalancingPolicy};
use scylla::policies::retry::FallthroughRetryPolicy;

use crate::model::Clocks;
use crate::spec::Spec;
use crate::spec::schema::Schema;

use super::altered::Prepared;
use super::ask::Ask;
use super::capabilities::{Capabilities, check_writes};
use super::datacenters::{self, Levels};
use super::diagnosis::diagnose;
use super::fault::one_line;
use super::reads::Reads;
use super::statements::Preparer;
use super::store::{ReadStore, Store};
use super::writes::Writes;
use super::{ClusterError, ClusterSettings, clocks, refused_login, schema, tls};

/// How long one attempt may take before it is given up and tried again: a little more than Cassandra's
/// own time-outs (5 s for a read, 2 s for a write by default), which say more.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(12);
/// How often a connection is asked whether its node is there, and how long the answer may take. A node that
/// hangs keeps its connections open, and every request that is sent to it waits for its time-out.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to be set up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long all of it may take, over all contact points.
const SESSION_TIMEOUT: Duration = Duration::from_secs(20);

/// A connected cluster whose keyspace exists.
pub struct Cluster {
    session: Arc<Session>,
    policy: Arc<dyn LoadBalancingPolicy>,
    pub(super) settings: ClusterSettings,
    /// Those that hold the keyspace, as far as its replication names them.
    datacenters: Vec<String>,
    schema: Schema,
    capabilities: Arc<Capabilities>,
}

impl Cluster {
    /// Connects and reads the schema of the keyspace.
    ///
    /// # Errors
    /// No host can be reached, the login is refused, the datacenter is not clear, or the keyspace does not
    /// exist; each says what to do.
    pub async fn connect(settings: ClusterSettings) -> Result<Self, ClusterError> {
        let mut policy = DefaultPolicy::builder().token_aware(true);
        if let Some(datacenter) = &settings.local_dc {
            policy = policy.prefer_datacenter(datacenter.clone());
        }
        let policy = policy.build();
        let profile = ExecutionProfile::builder()
            .consistency(settings.consistency.into())
            .request_timeout(Some(REQUEST_TIMEOUT))
            .load_balancing_policy(Arc::clone(&policy))
            // Retries are the pipeline's: it also lowers its concurrency and counts them.
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&settings.hosts)
            .default_execution_profile_handle(profile.into_handle())
            .connection_timeout(CONNECT_TIMEOUT)
            .keepalive_interval(KEEPALIVE_INTERVAL)
            .keepalive_timeout(KEEPALIVE_TIMEOUT)
            .keyspaces_to_fetch([&settings.keyspace]);
        if !settings.address_map.0.is_empty() {
            builder = builder.address_translator(Arc::new(settings.address_map.clone()));
        }
        if let Some(username) = &settings.username {
            let password = settings.password.as_ref().map_or("", |secret| secret.expose());
            builder = builder.user(username, password);
        }
        let tls = || {
            let config = settings.tls.as_ref().map(|tls| tls::client_config(tls, &settings.hosts));
            config.transpose()
        };
        builder = builder.tls_context(tls()?);
        let built = match tokio::time::timeout(SESSION_TIMEOUT, builder.build()).await {
            Ok(built) => built.map_err(|error| one_line(&error.to_string())),
            // The driver's own time-out does not cover a server that accepts and says nothing.
            Err(_) => Err(format!("no answer in CQL within {} s", SESSION_TIMEOUT.as_secs())),
        };
        let session = match built {
            Ok(session) => session,
            Err(message) => {
                if let Some(message) = refused_login(&message) {
                    let (hosts, user) = (settings.hosts.join(", "), settings.username.clone());
                    return Err(ClusterError::Login { hosts, user, message });
                }
                // The driver keeps what it was given.
                let connector = tls()?.map(SslConnectorBuilder::build);
                let context = connector.as_ref().map(SslConnector::context);
                let tried = diagnose(&settings, context, &message).await;
                return Err(ClusterError::Unreachable { tried });
            }
        };
        check_reach(&session, &settings)?;
        datacenters::check(&session, &settings)?;
        let datacenters = datacenters::of_keyspace(&session, &settings);
        datacenters::tell(&settings, &datacenters);
        let ask = Ask::any(&session);
        let schema = schema::read(&ask, &settings.keyspace, settings.username.as_deref()).await?;
        let capabilities = Arc::new(Capabilities::ask(&session).await?);
        let session = Arc::new(session);
        Ok(Self { session, policy, settings, datacenters, schema, capabilities })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The keyspace of the register; none where it is not to be asked.
    pub(crate) fn register_keyspace(&self) -> Option<&str> {
        self.settings.register.as_deref()
    }

    /// The schema of the keyspace.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Prepares the reads of a specification; those with write times at their first use, or by
    /// [`ReadStore::prepare_timed`].
    pub async fn reader(&self, spec: Arc<Spec>) -> Result<ReadStore, ClusterError> {
        let preparer = self.preparer();
        let reads = Reads::prepare(&preparer, &spec).await?;
        let prepared = Arc::new(Prepared::new(&self.schema));
        Ok(ReadStore { preparer, spec, reads, timed: Arc::default(), prepared })
    }

    /// Prepares the reads and the writes of a specification, and sees that the server takes such writes.
    pub async fn store(&self, spec: Arc<Spec>) -> Result<Store, ClusterError> {
        let preparer = self.preparer();
        if let Some(table) = spec.tables.first() {
            check_writes(&preparer, table).await?;
        }
        let writes = Writes::prepare(&preparer, &spec).await?;
        Ok(Store { read: self.reader(spec).await?, writes })
    }

    /// Asks every node for its clock.
    ///
    /// # Errors
    /// A clock is too far away from ours.
    pub(crate) async fn clocks(&self) -> Result<Clocks, ClusterError> {
        clocks::ask_all(&self.session).await
    }

    /// For the tables of the register, which lie where the merged keyspace does.
    pub(super) fn register_preparer(&self) -> Preparer {
        let preparer = self.preparer();
        Preparer { levels: preparer.levels.of_register(&self.datacenters), ..preparer }
    }

    pub(super) fn preparer(&self) -> Preparer {
        Preparer {
            session: Arc::clone(&self.session),
            policy: Arc::clone(&self.policy),
            keyspace: self.settings.keyspace.clone(),
            levels: Levels::of_tables(&self.settings, &self.datacenters),
            local_dc: self.settings.local_dc.clone(),
            user: self.settings.username.clone(),
            renewed: Arc::default(),
            capabilities: Arc::clone(&self.capabilities),
        }
    }
}

/// Where clients find the nodes is what these say of themselves, which need not be so.
fn check_reach(session: &Session, settings: &ClusterSettings) -> Result<(), ClusterError> {
    let state = session.get_cluster_state();
    let nodes = state.get_nodes_info();
    if nodes.is_empty() || nodes.iter().any(|node| node.is_connected()) {
        return Ok(());
    }
    let hosts = settings.hosts.join(", ");
    let advertised = nodes.iter().map(|node| node.address.to_string()).collect();
    Err(ClusterError::Unadvertised { hosts, advertised })
}
