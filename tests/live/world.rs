//! A world of a test's own: a keyspace with both tables, a topic and a folder for its files.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::{TryStreamExt, stream};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::model::{Line, Outcome, Tables};
use crate::process::Call;
use crate::services::Instance;
use crate::{kafka, services, tables};

/// Where the servers are: `host:port,…`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    pub(crate) hosts: String,
    pub(crate) brokers: String,
}

/// One runtime for all tests: sessions and proxies outlive the test that made them.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime can be started"))
}

pub(crate) struct World {
    pub(crate) keyspace: String,
    pub(crate) topic: String,
    pub(crate) addresses: Addresses,
    session: Arc<Session>,
    folder: TempDir,
    runs: AtomicU32,
}

impl World {
    /// A world on the shared servers, with both tables in it.
    pub(crate) fn new(name: &str) -> Self {
        Self::empty(name).with_tables()
    }

    /// Adds both tables.
    pub(crate) fn with_tables(self) -> Self {
        self.cql(tables::USER_COURSES);
        self.cql(tables::CONTENT_CONSUMPTION);
        self
    }

    /// A world whose keyspace has no table.
    pub(crate) fn empty(name: &str) -> Self {
        static SESSION: OnceLock<Arc<Session>> = OnceLock::new();
        let addresses = services::shared();
        let session = SESSION.get_or_init(|| connect(&addresses.hosts, None));
        Self::on(name, addresses.clone(), Arc::clone(session))
    }

    /// A world with both tables, on a Cassandra of the test's own that wants logins; its session is a superuser's.
    pub(crate) fn with_logins(name: &str, options: &[&'static str]) -> (Instance, Self) {
        let cassandra = Instance::start(name, options);
        let mut addresses = services::shared().clone();
        addresses.hosts.clone_from(&cassandra.addresses.hosts);
        let session = connect(&addresses.hosts, Some(("cassandra", "cassandra")));
        (cassandra, Self::on(name, addresses, session).with_tables())
    }

    /// An empty world on servers of the test's own.
    pub(crate) fn on(name: &str, addresses: Addresses, session: Arc<Session>) -> Self {
        Self::replicated(name, addresses, session, "'datacenter1': 1")
    }

    /// An empty world of which each row is on so many nodes of each datacenter.
    pub(crate) fn replicated(
        name: &str,
        addresses: Addresses,
        session: Arc<Session>,
        replicas: &str,
    ) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let unique = format!("test_{name}_{:x}", since_epoch.as_nanos());
        let folder = tempfile::Builder::new().prefix(&unique).tempdir();
        let world = Self {
            keyspace: unique.clone(),
            topic: unique.replace('_', "."),
            addresses,
            session,
            folder: folder.expect("a folder can be made"),
            runs: AtomicU32::new(0),
        };
        world.schema(&format!(
            "CREATE KEYSPACE {unique} WITH replication = \
             {{'class': 'NetworkTopologyStrategy', {replicas}}}"
        ));
        world
    }

    /// Runs statements, many at once.
    pub(crate) fn execute(&self, statements: Vec<String>) {
        const AT_ONCE: usize = 32;
        let session = self.session();
        let done = stream::iter(statements.into_iter().map(Ok)).try_for_each_concurrent(
            AT_ONCE,
            |statement| async move {
                let done = session.query_unpaged(statement.as_str(), ()).await;
                done.map(drop).map_err(|error| format!("{statement}: {error}"))
            },
        );
        runtime().block_on(done).expect("the statements fit the tables");
    }

    /// Lets a role read and write the keyspace, and keep the register.
    pub(crate) fn admit(&self, role: &str) {
        let register = "CREATE KEYSPACE IF NOT EXISTS tributary WITH replication = \
                        {'class': 'SimpleStrategy', 'replication_factor': 1}";
        self.schema(register);
        let merged =
            |privilege| format!("GRANT {privilege} ON KEYSPACE {} TO {role}", self.keyspace);
        let all = format!("GRANT ALL PERMISSIONS ON KEYSPACE tributary TO {role}");
        for statement in [merged("SELECT"), merged("MODIFY"), all] {
            self.cql(&statement);
        }
    }

    /// For requests that the functions here do not make.
    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Runs a statement in the keyspace; its one table is named without the keyspace.
    pub(crate) fn cql(&self, statement: &str) {
        let mut qualified = statement.to_owned();
        for table in ["user_courses", "content_consumption"] {
            qualified =
                qualified.replace(&format!(" {table}"), &format!(" {}.{table}", self.keyspace));
        }
        if ["CREATE", "ALTER", "DROP"].iter().any(|word| statement.starts_with(word)) {
            self.schema(&qualified);
        } else {
            let done = runtime().block_on(self.session.query_unpaged(qualified.as_str(), ()));
            done.unwrap_or_else(|error| panic!("{qualified}: {error}"));
        }
    }

    pub(crate) fn schema(&self, statement: &str) {
        let done = self.change_schema(statement);
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Schema changes go one at a time: Cassandra agrees on them best that way.
    fn change_schema(&self, statement: &str) -> Result<(), String> {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let done = runtime().block_on(self.session.query_unpaged(statement, ()));
        done.map(drop).map_err(|error| error.to_string())
    }

    /// The rows of a query on the keyspace's tables.
    pub(crate) fn rows(&self, query: &str) -> Vec<Vec<Option<Value>>> {
        let query = query.replace("FROM ", &format!("FROM {}.", self.keyspace));
        runtime().block_on(tables::rows(&self.session, &query))
    }

    pub(crate) fn load(&self, tables: &Tables) {
        runtime().block_on(tables::load(&self.session, &self.keyspace, tables, None));
    }

    /// Rows that were written at a moment, in microseconds.
    pub(crate) fn load_at(&self, tables: &Tables, at: i64) {
        runtime().block_on(tables::load(&self.session, &self.keyspace, tables, Some(at)));
    }

    pub(crate) fn dump(&self) -> Tables {
        runtime().block_on(tables::dump(&self.session, &self.keyspace))
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("a file can be written");
        path
    }

    /// A path in the folder of this world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A run directory that does not exist yet.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.path(&format!("run-{}", self.runs.fetch_add(1, Ordering::Relaxed)))
    }

    /// `apply` with everything it needs, waiting only a moment to settle: no test writes meanwhile.
    pub(crate) fn apply(&self, pairs: &Path, run: &Path) -> Call {
        Call::new(&["apply", pairs.to_str().expect("the tests use UTF-8")])
            .with("--hosts", &self.addresses.hosts)
            .with("--keyspace", &self.keyspace)
            .with("--brokers", &self.addresses.brokers)
            .with("--topic", &self.topic)
            .with("--run-dir", run)
            .with("--settle", "50ms")
            .flag("--json")
    }

    /// `resume`: the settings are those of the run, but for the hosts (tests take a proxy away).
    pub(crate) fn resume(&self, run: &Path) -> Call {
        self.over("resume", run)
    }

    /// A command over a run, by its settings.
    pub(crate) fn over(&self, command: &str, run: &Path) -> Call {
        Call::new(&[command, run.to_str().expect("the tests use UTF-8")])
            .with("--hosts", &self.addresses.hosts)
            .flag("--json")
    }

    /// The events of the topic by survivor and batch, of which there must be one each.
    pub(crate) fn events(&self) -> BTreeMap<(String, String), Event> {
        let mut events = BTreeMap::new();
        for (object, event) in self.messages() {
            if let Some(first) = events.insert(object, event.clone()) {
                panic!("two events for one enrolment:\n{first:?}\n{event:?}");
            }
        }
        events
    }

    /// Every message of the topic, with its survivor and batch.
    pub(crate) fn messages(&self) -> Vec<((String, String), Event)> {
        let messages = kafka::consume(&self.addresses.brokers, &self.topic);
        messages.into_iter().map(event).collect()
    }

    /// Asserts that both tables and the topic are as the model says, in every row, column and event.
    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &Outcome) {
        self.assert_tables(&expected.tables);
        let events = self.events();
        let payloads = events.into_iter().map(|(object, event)| (object, event.payload)).collect();
        assert_same("event", &expected.events, &payloads);
    }

    /// The same where the run was killed: an event that had gone out by then may come again, as it was.
    #[track_caller]
    pub(crate) fn assert_is_after_a_kill(&self, expected: &Outcome) {
        self.assert_tables(&expected.tables);
        let mut events = BTreeMap::new();
        for (object, event) in self.messages() {
            let first = events.entry(object).or_insert_with(|| event.clone());
            assert_eq!(*first, event, "two events for one enrolment");
        }
        let payloads = events.into_iter().map(|(object, event)| (object, event.payload)).collect();
        assert_same("event", &expected.events, &payloads);
    }

    #[track_caller]
    pub(crate) fn assert_tables(&self, expected: &Tables) {
        let seen = self.dump();
        assert_same("enrolment", &expected.user_courses, &seen.user_courses);
        assert_same("content", &expected.content_consumption, &seen.content_consumption);
    }
}

impl Drop for World {
    /// `TRIBUTARY_TEST_KEEP` keeps the keyspaces, to look at them after a failure.
    fn drop(&mut self) {
        if std::env::var_os("TRIBUTARY_TEST_KEEP").is_none() {
            // A server that has many schema changes to make may be late with this one.
            let drop = format!("DROP KEYSPACE IF EXISTS {}", self.keyspace);
            let done = (0..3).map(|_| self.change_schema(&drop)).find(Result::is_ok);
            assert!(done.is_some() || std::thread::panicking(), "{} stays", self.keyspace);
        }
    }
}

/// A session of the tests' own.
pub(crate) fn connect(hosts: &str, login: Option<(&str, &str)>) -> Arc<Session> {
    let mut builder = SessionBuilder::new().known_nodes(hosts.split(','));
    if let Some((user, password)) = login {
        builder = builder.user(user, password);
    }
    let session = runtime().block_on(builder.build());
    Arc::new(session.unwrap_or_else(|error| panic!("{hosts}: {error}")))
}

/// An event, its identity apart from what it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) payload: Value,
    pub(crate) ets: i64,
    pub(crate) mid: String,
}

/// Checks the form of a message; gives its survivor and batch with it.
fn event(message: kafka::Message) -> ((String, String), Event) {
    let kafka::Message { key, mut payload } = message;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(text(&payload["object"]["id"]), key, "the key is not the object's id");
    let object = (text(&payload["edata"]["userId"]), text(&payload["edata"]["batchId"]));
    let fields = payload.as_object_mut().expect("a payload is an object");
    let ets = fields.remove("ets").and_then(|ets| ets.as_i64()).expect("ets is a number");
    let mid = fields.remove("mid").map(|mid| text(&mid)).expect("there is a mid");
    let uuid = mid.strip_prefix(&format!("LP.{ets}."));
    assert!(uuid.is_some_and(is_uuid), "{mid} is not LP.{ets}.<uuid>");
    (object, Event { payload, ets, mid })
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Compares two maps and shows the first few differences, not all of both.
#[track_caller]
pub(crate) fn assert_same<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    expected: &BTreeMap<K, V>,
    seen: &BTreeMap<K, V>,
) {
    let short = |value: String| value.chars().take(600).collect::<String>();
    let missing = expected.iter().filter_map(|(key, value)| match seen.get(key) {
        None => Some(format!("missing {what} {key:?}: {value:?}")),
        Some(other) if other != value => {
            Some(format!("{what} {key:?}\n  expected {value:?}\n  seen     {other:?}"))
        }
        Some(_) => None,
    });
    let extra = seen.iter().filter(|(key, _)| !expected.contains_key(key));
    let extra = extra.map(|(key, value)| format!("unexpected {what} {key:?}: {value:?}"));
    let differences: Vec<String> = missing.chain(extra).map(short).collect();
    assert!(
        differences.is_empty(),
        "{} differences; the first of them:\n{}",
        differences.len(),
        differences[..differences.len().min(5)].join("\n"),
    );
}

/// Input as CSV, with every id quoted that needs it.
pub(crate) fn to_csv(lines: &[Line]) -> Vec<u8> {
    let mut text = b"from,to\n".to_vec();
    for line in lines {
        match line {
            Line::Blank => text.push(b'\n'),
            Line::Malformed => text.extend(b"one column only\n"),
            Line::Pair(from, to) => {
                text.extend(format!("{},{}\n", quoted(from), quoted(to)).into_bytes());
            }
        }
    }
    text
}

pub(crate) fn quoted(id: &str) -> String {
    if id.contains([',', '"', '\n', '\r']) || id.trim() != id {
        format!("\"{}\"", id.replace('"', "\"\""))
    } else {
        id.to_owned()
    }
}
