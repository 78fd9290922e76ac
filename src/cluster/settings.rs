//! How a cluster is reached: the rows of its settings, and what they make.
//!
//! A new one is a row, a field and a line of [`ClusterSettings::of`], and its use.

mod written;

use std::fs;
use std::path::PathBuf;

use crate::secret::Secret;
use crate::setting::Command::{
    Apply, Forget, Lookup, Plan, Resume, Runs, RunsPrune, SpecCheck, SpecInit, SpecShow, Undo,
    Verify,
};
use crate::setting::{
    Described, Given, Layer, Layers, Origin, Setting, SettingsError, ValueKind, plain, recall,
    settings, text, values,
};

use super::{AddressMap, Consistency, TlsError, tls};

settings! {
    /// How a cluster is reached.
    pub(crate) CASSANDRA: "Cassandra",
        &[Plan, Apply, Resume, Verify, Undo, Lookup, Forget, Runs, RunsPrune, SpecShow, SpecCheck, SpecInit];

    /// Contact points, as host:port,…
    HOSTS: Vec<String> = Setting::new("hosts", ValueKind::List, "HOSTS", written::hosts)
        .default("127.0.0.1:9042").example("db1:9042,db2:9042").recorded(plain);

    /// Where nodes are reached that advertise an address which is not reachable from here: FROM=TO,…
    ///
    /// FROM is the address that a node advertises (broadcast_rpc_address), TO a name or an address with its port. It may
    /// be given several times. The contact points are taken as they are.
    ADDRESS_MAP: AddressMap = Setting::new("address_map", ValueKind::List, "FROM=TO", written::address_map)
        .example("10.0.0.1:9042=db1.example:9142").recorded(|map| map.rules().collect());

    /// The keyspace that holds the tables
    KEYSPACE: String = Setting::new("keyspace", ValueKind::Text, "NAME", written::keyspace)
        .example("courses").required("the keyspace that holds the tables").recorded(plain).pinned();

    /// The keyspace of the register: what all runs did to which accounts
    ///
    /// It is created where it is missing, replicated as the keyspace that is merged. A run that knows of no other may
    /// move what another has moved, or is moving.
    REGISTER: String = Setting::new("register", ValueKind::Text, "KEYSPACE", written::keyspace)
        .default("tributary").example("history").recorded(plain).pinned();

    /// Neither ask nor keep what other runs do: only where no other run ever touches these accounts
    NO_REGISTER: bool = Setting::switch("no_register").recorded(plain);

    /// The datacenter to work in, where there are several
    LOCAL_DC: String = Setting::new("local_dc", ValueKind::Text, "NAME", values::any).example("dc1").recorded(plain);

    /// Applications write to the merged keyspace in the datacenter of --local-dc alone
    ///
    /// Otherwise a keyspace in several datacenters is read at EACH_QUORUM: what was acknowledged in another, and is still
    /// on its way here, would else be deleted unseen.
    SINGLE_WRITER_DC: bool = Setting::switch("single_writer_dc").recorded(plain);

    /// Encrypt the connections; so does any of the next three
    TLS: bool = Setting::switch("tls")
        .recalled_from("tls", |tls| (!tls.is_null()).then(|| "true".to_owned()));

    /// The CAs that may sign the nodes' certificates (PEM) [default: those that this machine trusts]
    TLS_CA: PathBuf = Setting::new("tls_ca", ValueKind::Path, "FILE", values::file)
        .example("/etc/ca.pem").recorded_at("tls/ca", |path| text(&path.display()), recall);

    /// The certificate that we show, with those that lead to its CA (PEM)
    TLS_CERT: PathBuf = Setting::new("tls_cert", ValueKind::Path, "FILE", values::file)
        .example("/etc/merger.pem").recorded_at("tls/cert", |path| text(&path.display()), recall);

    /// Its private key (PEM, not encrypted)
    TLS_KEY: PathBuf = Setting::new("tls_key", ValueKind::Path, "FILE", values::file)
        .example("/etc/merger.key").recorded_at("tls/key", |path| text(&path.display()), recall);

    /// Accept a node's certificate whomever it is for, if a trusted CA signed it
    ///
    /// Otherwise it has to be for the address of the node, or for one of the names in --hosts. Without this
    /// check, everybody who owns any certificate of that CA can pass for a node.
    TLS_NO_HOSTNAME_CHECK: bool = Setting::switch("tls_no_hostname_check").recorded_at(
        "tls/hostname_check",
        |unchecked| (!unchecked).into(),
        |checked| Some((!checked.as_bool()?).to_string()),
    );

    /// The user to log in as
    ///
    /// The password is taken from TRIBUTARY_PASSWORD, or from `password` or `password_file` in the
    /// configuration file; never from the command line, where other users could see it.
    USERNAME: String = Setting::new("username", ValueKind::Text, "NAME", values::any).example("merger").recorded(plain);

    /// The password of that user
    PASSWORD: Secret = Setting::secret("password", |text| Ok(Secret::new(text))).example("hunter2");

    /// A file that holds that password
    PASSWORD_FILE: PathBuf = Setting::new("password_file", ValueKind::Path, "FILE", values::path)
        .example("/run/secrets/cassandra").only(&[Layer::File]).leads_to_secret();

    /// The consistency level of every read and write
    ///
    /// Below a majority, rows that were acknowledged elsewhere may be overlooked and then lost. A keyspace in several
    /// datacenters is read at EACH_QUORUM (see --single-writer-dc).
    CONSISTENCY: Consistency = Setting::new("consistency", ValueKind::Text, "LEVEL", written::consistency)
        .default("LOCAL_QUORUM").example("QUORUM").recorded(text);
}

/// What [`Cluster::connect`](super::Cluster::connect) needs.
#[derive(Clone, Debug, Default)]
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

impl ClusterSettings {
    /// What the settings say of it.
    ///
    /// # Errors
    /// A setting is missing, or has no value that it may have, or two of them do not go together.
    pub(crate) fn of(layers: &Layers) -> Result<Self, SettingsError> {
        let (username, password) = (layers.find(&USERNAME)?, password(layers)?);
        match (&username, &password) {
            (Some(user), None) => {
                return Err(SettingsError::new(format!(
                    "the password of '{user}' is missing: set TRIBUTARY_PASSWORD, or password or \
                 password_file in the configuration file"
                )));
            }
            (None, Some(_)) => {
                return Err(SettingsError::new("there is a password but no --username"));
            }
            _ => {}
        }
        Ok(Self {
            register: register(layers)?,
            tls: tls_of(layers)?,
            hosts: layers.get(&HOSTS)?,
            address_map: layers.find(&ADDRESS_MAP)?.unwrap_or_default(),
            keyspace: layers.get(&KEYSPACE)?,
            local_dc: layers.find(&LOCAL_DC)?,
            single_writer_dc: layers.get(&SINGLE_WRITER_DC)?,
            username,
            password,
            consistency: layers.get(&CONSISTENCY)?,
        })
    }

    /// What is allowed, but worth a warning.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let level = self.consistency;
        match level {
            Consistency::One | Consistency::LocalOne | Consistency::Two => vec![format!(
                "the consistency {level} may overlook rows that were acknowledged elsewhere; what \
                 is overlooked is deleted without having been copied"
            )],
            _ => Vec::new(),
        }
    }
}

/// The keyspace of the register, if it is to be kept.
fn register(layers: &Layers) -> Result<Option<String>, SettingsError> {
    if layers.get(&NO_REGISTER)? {
        return Ok(None);
    }
    let register: String = layers.get(&REGISTER)?;
    match register == layers.get(&KEYSPACE)? {
        false => Ok(Some(register)),
        true => Err(SettingsError::new(format!(
            "--register: '{register}' is the keyspace that is merged, whose tables may have the names of the register's; \
             name another one"
        ))),
    }
}

/// The password, or what is in the file that is named instead.
fn password(layers: &Layers) -> Result<Option<Secret>, SettingsError> {
    let in_file = |given: &Given| match &given.origin {
        Origin::File(path, ..) => Some(path.display().to_string()),
        _ => None,
    };
    let wrong = |file: &str, why: String| SettingsError::new(format!("{file}: {why}"));
    let given = layers.written(PASSWORD.row()).map(in_file);
    match (given, layers.written(PASSWORD_FILE.row()).and_then(in_file)) {
        (Some(Some(file)), Some(_)) => {
            Err(wrong(&file, "give either password or password_file, not both".to_owned()))
        }
        (None, Some(file)) => {
            let Some(path) = layers.find(&PASSWORD_FILE)? else { return Ok(None) };
            let password = fs::read_to_string(&path).map_err(|error| {
                wrong(&file, format!("cannot read the password_file {}: {error}", path.display()))
            })?;
            Ok(Some(Secret::new(password.trim_end_matches(['\r', '\n']))))
        }
        _ => layers.find(&PASSWORD),
    }
}

/// How connections are encrypted. Naming a file of TLS asks for TLS, unless it is switched off by name.
fn tls_of(layers: &Layers) -> Result<Option<TlsSettings>, SettingsError> {
    let (ca, unchecked) = (layers.find(&TLS_CA)?, layers.get(&TLS_NO_HOSTNAME_CHECK)?);
    let (cert, key) = (layers.find(&TLS_CERT)?, layers.find(&TLS_KEY)?);
    let names_files = ca.is_some() || cert.is_some() || key.is_some();
    let is_named = layers.given(TLS.row()).is_some();
    if !(layers.get(&TLS)? || names_files && !is_named) {
        return match unchecked {
            true => {
                Err(SettingsError::new("--tls-no-hostname-check says how to do TLS: add --tls"))
            }
            false => Ok(None),
        };
    }
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(SettingsError::new("there is a --tls-cert but no --tls-key"));
        }
        (None, Some(_)) => {
            return Err(SettingsError::new("there is a --tls-key but no --tls-cert"));
        }
    };
    let tls = TlsSettings { ca, identity, hostname_check: !unchecked };
    tls.check().map_err(SettingsError::new)?;
    Ok(Some(tls))
}
