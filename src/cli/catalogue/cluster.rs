//! How a cluster is reached.

use std::path::PathBuf;

use strum::VariantNames;

use crate::cluster::{AddressMap, Consistency};
use crate::secret::Secret;
use crate::setting::Command::{
    Apply, Forget, Lookup, Plan, Resume, Runs, RunsPrune, SpecCheck, SpecInit, SpecShow, Undo,
    Verify,
};
use crate::setting::{Kind, Layer, Setting, plain, recall, settings, text, values};

settings! {
    /// How a cluster is reached.
    pub(in crate::cli) CASSANDRA: "Cassandra",
        &[Plan, Apply, Resume, Verify, Undo, Lookup, Forget, Runs, RunsPrune, SpecShow, SpecCheck, SpecInit];

    /// Contact points, as host:port,…
    HOSTS: Vec<String> = Setting::new("hosts", Kind::List, "HOSTS", hosts)
        .default("127.0.0.1:9042").example("db1:9042,db2:9042").recorded(plain);

    /// Where nodes are reached that advertise an address which is not reachable from here: FROM=TO,…
    ///
    /// FROM is the address that a node advertises (broadcast_rpc_address), TO a name or an address with its port. It may
    /// be given several times. The contact points are taken as they are.
    ADDRESS_MAP: AddressMap = Setting::new("address_map", Kind::List, "FROM=TO", address_map)
        .example("10.0.0.1:9042=db1.example:9142").recorded(|map| map.rules().collect());

    /// The keyspace that holds the tables
    KEYSPACE: String = Setting::new("keyspace", Kind::Text, "NAME", keyspace)
        .example("courses").required("the keyspace that holds the tables").recorded(plain).pinned();

    /// The keyspace of the register: what all runs did to which accounts
    ///
    /// It is created where it is missing, replicated as the keyspace that is merged. A run that knows of no other may
    /// move what another has moved, or is moving.
    REGISTER: String = Setting::new("register", Kind::Text, "KEYSPACE", keyspace)
        .default("tributary").example("history").recorded(plain).pinned();

    /// Neither ask nor keep what other runs do: only where no other run ever touches these accounts
    NO_REGISTER: bool = Setting::switch("no_register").recorded(plain);

    /// The datacenter to work in, where there are several
    LOCAL_DC: String = Setting::new("local_dc", Kind::Text, "NAME", values::any).example("dc1").recorded(plain);

    /// Applications write to the merged keyspace in the datacenter of --local-dc alone
    ///
    /// Otherwise a keyspace in several datacenters is read at EACH_QUORUM: what was acknowledged in another, and is still
    /// on its way here, would else be deleted unseen.
    SINGLE_WRITER_DC: bool = Setting::switch("single_writer_dc").recorded(plain);

    /// Encrypt the connections; so does any of the next three
    TLS: bool = Setting::switch("tls")
        .recalled_from("tls", |tls| (!tls.is_null()).then(|| "true".to_owned()));

    /// The CAs that may sign the nodes' certificates (PEM) [default: those that this machine trusts]
    TLS_CA: PathBuf = Setting::new("tls_ca", Kind::Path, "FILE", values::file)
        .example("/etc/ca.pem").recorded_at("tls/ca", |path| text(&path.display()), recall);

    /// The certificate that we show, with those that lead to its CA (PEM)
    TLS_CERT: PathBuf = Setting::new("tls_cert", Kind::Path, "FILE", values::file)
        .example("/etc/merger.pem").recorded_at("tls/cert", |path| text(&path.display()), recall);

    /// Its private key (PEM, not encrypted)
    TLS_KEY: PathBuf = Setting::new("tls_key", Kind::Path, "FILE", values::file)
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
    USERNAME: String = Setting::new("username", Kind::Text, "NAME", values::any).example("merger").recorded(plain);

    /// The password of that user
    PASSWORD: Secret = Setting::secret("password", |text| Ok(Secret::new(text))).example("hunter2");

    /// A file that holds that password
    PASSWORD_FILE: PathBuf = Setting::new("password_file", Kind::Path, "FILE", values::path)
        .example("/run/secrets/cassandra").only(&[Layer::File]).leads_to_secret();

    /// The consistency level of every read and write
    ///
    /// Below a majority, rows that were acknowledged elsewhere may be overlooked and then lost. A keyspace in several
    /// datacenters is read at EACH_QUORUM (see --single-writer-dc).
    CONSISTENCY: Consistency = Setting::new("consistency", Kind::Text, "LEVEL", consistency)
        .default("LOCAL_QUORUM").example("QUORUM").recorded(text);
}

/// The port of Cassandra's CQL protocol.
const CQL_PORT: u16 = 9_042;

/// `host:port,…`; the port may be left out, and IPv6 addresses stand in brackets.
fn hosts(text: &str) -> Result<Vec<String>, String> {
    values::hosts(text)?.into_iter().map(|host| values::with_port(host, CQL_PORT)).collect()
}

/// `10.0.0.1=db1:9142,…`; ports may be left out.
fn address_map(text: &str) -> Result<AddressMap, String> {
    let rule = |rule: &str| {
        let wrong = || format!("is not FROM=TO,… ({rule})");
        let (from, to) = rule.split_once('=').ok_or_else(wrong)?;
        let from = values::with_port(from.trim(), CQL_PORT)?;
        let from = from.parse().map_err(|_| {
            format!("is not FROM=TO,… ({from} is no address: nodes advertise addresses, not names)")
        })?;
        Ok((from, values::with_port(to.trim(), CQL_PORT)?))
    };
    values::hosts(text)?.into_iter().map(rule).collect::<Result<_, String>>().map(AddressMap)
}

/// A keyspace: letters, digits and underscores, and not one of the server's own.
fn keyspace(text: &str) -> Result<String, String> {
    if text == "system" || text.starts_with("system_") {
        return Err("is a keyspace of the server's own".to_owned());
    }
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        Ok(text.to_owned())
    } else {
        Err("is not a keyspace: letters, digits and _ are allowed".to_owned())
    }
}

/// A consistency level by its CQL name.
fn consistency(text: &str) -> Result<Consistency, String> {
    let names = Consistency::VARIANTS.join(", ");
    text.replace('-', "_")
        .parse()
        .map_err(|_| format!("is not a consistency level: use one of {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_their_port() {
        assert_eq!(
            hosts("db1, db2:9043,[::1],[fe80::1]:1,").unwrap(),
            ["db1:9042", "db2:9043", "[::1]:9042", "[fe80::1]:1"]
        );
        for wrong in
            ["", " , ", "db1:", "db1:0", "db1:99999", "::1", "[::1", "[::1]9", "a b:1", "h/x"]
        {
            hosts(wrong).unwrap_err();
        }
    }

    #[test]
    fn addresses_are_mapped_to_names_and_addresses() {
        let map = address_map("10.0.0.1=db1:9142, [::1]:9043=10.9.0.2").unwrap();
        let rules: Vec<_> = map.rules().collect();
        assert_eq!(rules, ["10.0.0.1:9042=db1:9142", "[::1]:9043=10.9.0.2:9042"]);
        for wrong in
            ["", "10.0.0.1", "db1=10.0.0.1", "10.0.0.1=", "10.0.0.1:x=db1", "10.0.0.1=db1=db2"]
        {
            address_map(wrong).unwrap_err();
        }
    }

    #[test]
    fn names_are_checked() {
        keyspace("k-1").unwrap_err();
        assert_eq!(keyspace("system_auth").unwrap_err(), "is a keyspace of the server's own");
        assert_eq!(consistency("quorum").unwrap(), Consistency::Quorum);
        assert!(consistency("most").unwrap_err().contains("LOCAL_QUORUM"));
    }
}
