//! The servers that the tests run against, started and stopped by `scripts/services`.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::world::Addresses;

/// The servers that all tests share. Whatever is missing is started, once per process. `TRIBUTARY_TEST_VERSION` takes a
/// Cassandra of an older version.
pub(crate) fn shared() -> &'static Addresses {
    static SHARED: OnceLock<Addresses> = OnceLock::new();
    SHARED.get_or_init(|| {
        let of = |options: &[&str]| {
            services(&[&["start"], options].concat());
            addresses(&services(&[&["env"], options].concat()))
        };
        match older() {
            Some(version) => {
                let Addresses { hosts, .. } = of(&["--version", version, "--cassandra-only"]);
                Addresses { hosts, ..of(&["--kafka-only"]) }
            }
            None => of(&[]),
        }
    })
}

/// The version of the Cassandra that all tests share, if it is not the newest.
pub(crate) fn older() -> Option<&'static str> {
    static OLDER: OnceLock<Option<String>> = OnceLock::new();
    OLDER.get_or_init(|| std::env::var("TRIBUTARY_TEST_VERSION").ok()).as_deref()
}

/// Servers of one test's own: it may break them. They are stopped and wiped when this is dropped.
pub(crate) struct Instance {
    name: String,
    options: Vec<&'static str>,
    pub(crate) addresses: Addresses,
}

impl Instance {
    pub(crate) fn start(topic: &str, options: &[&'static str]) -> Self {
        // `scripts/test` names the run, so that it can clean up after an interrupted one.
        let run = std::env::var("TRIBUTARY_TEST_RUN").unwrap_or(std::process::id().to_string());
        let name = format!("test-{run}-{topic}");
        let (options, addresses) = (options.to_vec(), Addresses::default());
        let mut instance = Self { name, options, addresses };
        instance.again();
        instance.addresses = self::addresses(&instance.services("env"));
        instance
    }

    /// A variable of `scripts/services env`.
    pub(crate) fn env(&self, name: &str) -> String {
        let env = self.services("env");
        let value = env.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in:\n{env}")).to_owned()
    }

    /// Starts what is down and waits until it is healthy.
    pub(crate) fn again(&self) {
        self.services("start");
    }

    /// Kills a server the hard way.
    pub(crate) fn kill(&self, server: &str) {
        signal(&self.pid(server), "KILL");
    }

    /// Holds a server until what is returned is dropped: its connections stay open, nothing answers.
    pub(crate) fn freeze(&self, server: &str) -> Frozen {
        let pid = self.pid(server);
        signal(&pid, "STOP");
        Frozen { pid }
    }

    fn pid(&self, server: &str) -> String {
        let status = self.services("status");
        let line = status.lines().find(|line| line.starts_with(server));
        let pid = line.and_then(|line| line.split_once("pid=")?.1.split_whitespace().next());
        pid.unwrap_or_else(|| panic!("no pid of {server} in:\n{status}")).to_owned()
    }

    fn services(&self, command: &str) -> String {
        services(&self.arguments(command))
    }

    fn arguments<'a>(&'a self, command: &'a str) -> Vec<&'a str> {
        let mut arguments = vec![command, "--instance", &self.name];
        arguments.extend(&self.options);
        arguments
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        services(&["stop", "--instance", &self.name, "--fresh"]);
    }
}

/// A server that is held.
pub(crate) struct Frozen {
    pid: String,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal(&self.pid, "CONT");
    }
}

/// Sends a signal by its short name.
pub(crate) fn signal(pid: &str, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), pid]).status();
    assert!(status.expect("kill can be run").success(), "kill -{name} {pid} failed");
}

fn run(arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
    let mut command = Command::new(&script);
    command.args(arguments).stdin(Stdio::null());
    if arguments.contains(&"--instance") {
        // Ports set for the shared servers are not for those of a test.
        for (name, _) in std::env::vars() {
            if name.starts_with("TRIBUTARY_") && name.contains("_PORT") {
                command.env_remove(name);
            }
        }
    }
    command.output().unwrap_or_else(|error| {
        panic!("the tests need a real Cassandra and Kafka: {}: {error}", script.display())
    })
}

fn services(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "the tests need a real Cassandra and Kafka, and `scripts/services {}` failed:\n{stdout}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr),
    );
    stdout
}

/// `TRIBUTARY_HOSTS=…` and `TRIBUTARY_BROKERS=…`; a server that the instance lacks is left empty.
fn addresses(env: &str) -> Addresses {
    let value = |name: &str| {
        env.lines()
            .map(|line| line.trim_start_matches("export ").trim())
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|value| value.trim_matches(['"', '\'']).to_owned())
            .unwrap_or_default()
    };
    Addresses { hosts: value("TRIBUTARY_HOSTS"), brokers: value("TRIBUTARY_BROKERS") }
}
