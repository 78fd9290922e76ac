//! A Cassandra with both TLS (client certificates wanted) and logins: what it takes to get in, and which
//! layer is named when that fails.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::data::Data;
use crate::model::Tables;
use crate::process::{Call, Finished, read_json};
use crate::services::{self, Instance};
use crate::world::{World, runtime, to_csv};

/// The files that an instance with TLS was made with.
struct Files {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

fn admin(hosts: &str, files: &Files) -> Arc<Session> {
    let mut tls = SslConnector::builder(SslMethod::tls_client()).expect("it can be used");
    // The node's certificate is for `localhost` only, and the tests' driver knows addresses alone.
    tls.set_verify(SslVerifyMode::NONE);
    tls.set_certificate_file(&files.cert, SslFiletype::PEM).expect("it was made");
    tls.set_private_key_file(&files.key, SslFiletype::PEM).expect("they belong together");
    let builder = SessionBuilder::new()
        .known_node(hosts)
        .user("cassandra", "cassandra")
        .tls_context(Some(tls));
    Arc::new(runtime().block_on(builder.build()).expect("the instance is up"))
}

/// A CA of somebody else's.
fn foreign_ca(folder: &Path) -> PathBuf {
    let (key, certificate) = (folder.join("foreign.key"), folder.join("foreign.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=foreign", "-keyout"]).arg(key).arg("-out").arg(&certificate);
    let made = openssl.stderr(Stdio::null()).status().expect("openssl can be run");
    assert!(made.success(), "openssl fails");
    certificate
}

/// A world of which the pairs can be merged through TLS and a login.
struct Secured {
    world: World,
    before: Tables,
    files: Files,
    pairs: PathBuf,
}

impl Secured {
    /// `apply` with all that it takes.
    fn apply(&self, run: &Path) -> Call {
        let text = |path: &PathBuf| path.to_str().expect("UTF-8").to_owned();
        self.world
            .apply(&self.pairs, run)
            .with("--tls-ca", text(&self.files.ca))
            .with("--tls-cert", text(&self.files.cert))
            .with("--tls-key", text(&self.files.key))
            .with("--username", "merger")
            .environment("TRIBUTARY_PASSWORD", "pass-phrase-of-merger")
    }

    /// The call fails before anything is done, and the message names all `things`.
    #[track_caller]
    fn refuses(&self, call: impl FnOnce(Call) -> Call, code: i32, things: &[&str]) -> Finished {
        let run = self.world.run_dir();
        let mut finished = call(self.apply(&run)).run().exits(code);
        for thing in things {
            finished = finished.names(thing);
        }
        assert!(finished.stderr.trim().lines().count() <= 2, "{finished}");
        assert!(!finished.stderr.contains("pass-phrase"), "{finished}");
        assert!(!run.exists(), "{finished}");
        self.world.assert_tables(&self.before);
        finished
    }
}

#[test]
fn a_cluster_with_tls_and_logins() {
    let cassandra = Instance::start("tls", &["--cassandra-only", "--auth", "--tls"]);
    let file = |name: &str| PathBuf::from(cassandra.env(name));
    let files = Files {
        ca: file("TRIBUTARY_TLS_CA"),
        cert: file("TRIBUTARY_TLS_CERT"),
        key: file("TRIBUTARY_TLS_KEY"),
    };
    let hosts = cassandra.addresses.hosts.clone();
    let (_, port) = hosts.split_once(':').expect("localhost:port");
    let mut addresses = services::shared().clone();
    addresses.hosts.clone_from(&hosts);
    let world = World::on("tls", addresses, admin(&hosts, &files)).with_tables();
    let keyspace = world.keyspace.clone();
    world.cql("CREATE ROLE merger WITH PASSWORD = 'pass-phrase-of-merger' AND LOGIN = true");
    world.admit("merger");
    let mut data = Data::new(3);
    data.study("source", "c1", "b1");
    data.study("target", "c1", "b1");
    data.pair("source", "target");
    world.load(&data.tables);
    let before = world.dump();
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let secured = Secured { world, before, files, pairs };
    let by_address = format!("127.0.0.1:{port}");
    let foreign = foreign_ca(&secured.world.path(""));
    let foreign_key = foreign.with_file_name("foreign.key");

    // One layer after the other.
    let unknown = ["layer name", "no-such-host.invalid:9042", "--hosts"];
    secured.refuses(|call| call.with("--hosts", "no-such-host.invalid"), 1, &unknown);
    let closed = ["layer TCP", "127.0.0.1:1 ", "refuses connections"];
    secured.refuses(|call| call.with("--hosts", "127.0.0.1:1"), 1, &closed);
    secured.refuses(
        |call| call.without("--tls-ca").without("--tls-cert").without("--tls-key"),
        1,
        &["layer TLS", "the node may want TLS (--tls)"],
    );
    let untrusted = ["layer TLS", "signed by none of the CAs in", "foreign.pem", "--tls-ca"];
    secured.refuses(|call| call.with("--tls-ca", &foreign), 1, &untrusted);
    secured.refuses(
        |call| call.with("--hosts", &by_address),
        1,
        &["layer TLS", "is for localhost", "127.0.0.1", "--tls-no-hostname-check"],
    );
    secured.refuses(
        |call| call.without("--tls-cert").without("--tls-key"),
        1,
        &["layer TLS", "a client certificate (--tls-cert"],
    );
    secured.refuses(
        |call| call.with("--tls-cert", &foreign).with("--tls-key", &foreign_key),
        1,
        &["layer TLS", "our client certificate", "foreign.pem"],
    );
    let wrong = ["authentication", "'merger'", "TRIBUTARY_PASSWORD"];
    secured.refuses(|call| call.environment("TRIBUTARY_PASSWORD", "wrong"), 1, &wrong);
    secured.refuses(
        |call| call.without("--username").environment("TRIBUTARY_PASSWORD", ""),
        1,
        &["refuses the login (authentication)", "--username"],
    );
    secured.refuses(
        |call| call.with("--keyspace", "elsewhere"),
        1,
        &["no keyspace elsewhere", &keyspace],
    );
    // What files alone can tell is said before anything is tried.
    secured.refuses(
        |call| call.with("--tls-key", &foreign_key),
        2,
        &["client certificate", "client.pem"],
    );
    secured.refuses(
        |call| call.with("--tls-ca", &foreign_key),
        2,
        &["no certificate", "foreign.key"],
    );
    secured.refuses(|call| call.without("--tls-key"), 2, &["no --tls-key"]);

    // All of it from a file, with paths relative to that; a run goes on with what it was begun with.
    let config = secured.files.ca.with_file_name("tributary.toml");
    let text = format!(
        "hosts = '{by_address}'\ntls_ca = 'ca.pem'\ntls_cert = 'client.pem'\ntls_key = 'client.key'\n\
         tls_no_hostname_check = true\nusername = 'merger'\npassword = 'pass-phrase-of-merger'\n"
    );
    std::fs::write(&config, text).expect("a file can be written");
    let run = secured.world.run_dir();
    let by_file = secured.world.apply(&secured.pairs, &run).without("--hosts");
    by_file.with("--config", &config).with("--limit", "1").run().exits(0);
    assert_ne!(secured.world.dump(), secured.before);
    let tls = read_json(&run.join("run.json"))["settings"]["tls"].clone();
    assert_eq!(tls["hostname_check"], false, "{tls}");
    assert_eq!(tls["ca"], secured.files.ca.to_str().expect("UTF-8"), "{tls}");
    crate::run_dir::assert_absent(&run, "pass-phrase");
    crate::run_dir::assert_absent(&run, "PRIVATE KEY");
    let login = |call: Call| call.environment("TRIBUTARY_PASSWORD", "pass-phrase-of-merger");
    let run = run.to_str().expect("UTF-8");
    login(Call::new(&["verify", run])).run().exits(0);
    login(Call::new(&["undo", run])).run().exits(0);
    secured.world.assert_tables(&secured.before);
    // By a name that the certificate holds.
    secured.apply(&secured.world.run_dir()).run().exits(0);
    assert_ne!(secured.world.dump(), secured.before);
}
