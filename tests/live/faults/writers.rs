//! The application goes on writing to both accounts while they are merged and swept.
//!
//! Each row has one writer, which raises its status and gives its other columns ever new values. What a
//! writer was told is written is compared with what is there in the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use tokio::task::JoinHandle;

use super::*;
use crate::model::{Columns, Tables};
use crate::proxy::{Fate, Proxy};
use crate::world::runtime;

/// What the application says, prepared once.
struct Statements {
    session: Arc<Session>,
    prepared: HashMap<&'static str, PreparedStatement>,
    stop: AtomicBool,
}

const STUDY: &str = "UPDATE content_consumption SET status = ?, grade = ? \
    WHERE userid = ? AND contentid = ? AND batchid = ? AND courseid = 'k'";
const SCORE: &str = "UPDATE content_consumption SET status = ?, score = ? \
    WHERE userid = ? AND contentid = ? AND batchid = ? AND courseid = 'k'";
const BEGIN: &str = "INSERT INTO content_consumption (status, grade, userid, contentid, batchid, courseid) \
    VALUES (?, ?, ?, ?, ?, 'k')";
const ENROL: &str =
    "INSERT INTO user_courses (progress, delta, batchid, userid) VALUES (?, ?, ?, ?)";
const PROGRESS: &str = "UPDATE user_courses SET progress = ?, contentstatus[?] = ? \
    WHERE batchid = ? AND userid = ?";

impl Statements {
    async fn new(world: &World) -> Self {
        let session = Arc::clone(world.session());
        let mut prepared = HashMap::new();
        for text in [STUDY, SCORE, BEGIN, ENROL, PROGRESS] {
            let mut qualified = text.to_owned();
            for table in ["user_courses", "content_consumption"] {
                let name = format!(" {}.{table}", world.keyspace);
                qualified = qualified.replacen(&format!(" {table}"), &name, 1);
            }
            let statement = session.prepare(qualified).await.expect("the tables have the columns");
            prepared.insert(text, statement);
        }
        Self { session, prepared, stop: AtomicBool::new(false) }
    }

    async fn write(&self, text: &str, values: impl scylla::serialize::row::SerializeRow) {
        let done = self.session.execute_unpaged(&self.prepared[text], values).await;
        done.unwrap_or_else(|error| panic!("the cluster refuses a write: {error}"));
    }

    /// Rests before the `n`-th write, and says whether others come after it: the last write of every writer
    /// comes when all are told to stop. Some rests are so long that a sweep takes what is there.
    async fn rest(&self, n: i32) -> bool {
        let goes_on = !self.stop.load(Ordering::SeqCst);
        let rest = if goes_on && n % 6 == 0 { 2_500 } else { 100 };
        tokio::time::sleep(Duration::from_millis(rest)).await;
        goes_on
    }
}

/// Studies one content until it is told to stop; gives what was acknowledged last, column by column.
async fn study(app: Arc<Statements>, user: String, content: &str, batch: String) -> Columns {
    let mut known = Columns::new();
    for n in 10.. {
        let goes_on = app.rest(n).await;
        let (text, column) = if n % 2 == 0 { (STUDY, "grade") } else { (SCORE, "score") };
        let value = format!("{user} {n}");
        app.write(text, (n, &value, &user, content, &batch)).await;
        known.insert("status".into(), n.into());
        known.insert(column.into(), value.into());
        if !goes_on {
            return known;
        }
    }
    unreachable!("it is told to stop before that")
}

/// Gets on with an enrolment until it is told to stop.
async fn progress(app: Arc<Statements>, user: String, batch: String) -> Columns {
    let (mut known, mut entries) = (Columns::new(), serde_json::Map::new());
    for n in 10.. {
        let goes_on = app.rest(n).await;
        let entry = format!("{} of {user}", n % 4);
        app.write(PROGRESS, (n, &entry, n, &batch, &user)).await;
        known.insert("progress".into(), n.into());
        entries.insert(entry, n.into());
        if !goes_on {
            known.insert("contentstatus".into(), entries.into());
            return known;
        }
    }
    unreachable!("it is told to stop before that")
}

/// Enrols in ever new batches, studies there, and gets on with the enrolment for a while; gives the batches.
async fn begin(app: Arc<Statements>, user: String) -> Vec<String> {
    let mut batches = Vec::new();
    for n in 0.. {
        let goes_on = app.rest(n).await;
        let batch = format!("new-{n} of {user}");
        app.write(ENROL, (0, "new", &batch, &user)).await;
        app.write(BEGIN, (1, "new", &user, "c", &batch)).await;
        batches.push(batch.clone());
        for n in 1..=3 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            app.write(PROGRESS, (n, "c", n, &batch, &user)).await;
        }
        if !goes_on {
            return batches;
        }
    }
    unreachable!("it is told to stop before that")
}

/// Reads the statuses of survivors until it is told to stop: none may ever fall.
async fn watch(app: Arc<Statements>, keyspace: String, content: &'static str) -> usize {
    let query = format!(
        "SELECT userid, status FROM {keyspace}.content_consumption WHERE contentid = '{content}' \
         ALLOW FILTERING"
    );
    let (mut highest, mut looks) = (BTreeMap::<String, i64>::new(), 0);
    while app.rest(1).await {
        for row in crate::tables::rows(&app.session, &query).await {
            let [Some(Value::String(user)), status] = &row[..] else { panic!("{row:?}") };
            let status = status.as_ref().and_then(Value::as_i64).unwrap_or(-1);
            let known = highest.entry(user.clone()).or_insert(status);
            assert!(
                !user.starts_with("to") || status >= *known,
                "{user}: {known} fell to {status}"
            );
            *known = status;
        }
        looks += 1;
    }
    looks
}

/// Pair `n` before: a content that only the source has, two that both have; an enrolment that the source
/// has, and one that both have.
fn before(pairs: usize) -> Data {
    let mut data = Data::new(1);
    for n in 0..pairs {
        let (from, to, batch) = (format!("from-{n}."), format!("to-{n}."), format!("b{}", n % 7));
        let row = |user: &str, status: i64| {
            columns([("grade", user.into()), ("result", user.into()), ("status", status.into())])
        };
        data.consume([&from, "copied", &batch, "k"], row(&from, 1));
        for content in ["kept", "own"] {
            data.consume([&from, content, &batch, "k"], row(&from, 2));
            data.consume([&to, content, &batch, "k"], row(&to, n as i64 % 5));
        }
        data.enrol(
            &batch,
            &from,
            columns([("contentstatus", json!({"old": 1})), ("delta", json!("f"))]),
        );
        if n % 2 == 1 {
            data.enrol(
                &batch,
                &to,
                columns([("contentstatus", json!({"old": 2})), ("grade", json!("t"))]),
            );
        }
        data.pair(&from, &to);
    }
    data
}

/// The writers of all pairs; each ends with what it was told is written.
struct Writers {
    pairs: usize,
    /// By account and content.
    study: BTreeMap<(String, &'static str), JoinHandle<Columns>>,
    /// By account.
    progress: BTreeMap<String, JoinHandle<Columns>>,
    begin: BTreeMap<String, JoinHandle<Vec<String>>>,
}

impl Writers {
    fn start(app: &Arc<Statements>, pairs: usize) -> Self {
        let mut writers = Self {
            pairs,
            study: BTreeMap::new(),
            progress: BTreeMap::new(),
            begin: BTreeMap::new(),
        };
        for n in 0..pairs {
            let (from, to, batch) =
                (format!("from-{n}."), format!("to-{n}."), format!("b{}", n % 7));
            let rows = [(&from, "copied"), (&from, "kept"), (&from, "own"), (&to, "own")];
            for (user, content) in rows {
                let work = study(Arc::clone(app), user.clone(), content, batch.clone());
                writers.study.insert((user.clone(), content), runtime().spawn(work));
            }
            for user in [&from, &to].into_iter().take(1 + n % 2) {
                let work = progress(Arc::clone(app), user.clone(), batch.clone());
                writers.progress.insert(user.clone(), runtime().spawn(work));
            }
            if n % 5 == 0 {
                let work = begin(Arc::clone(app), from.clone());
                writers.begin.insert(from, runtime().spawn(work));
            }
        }
        writers
    }

    /// Both tables as they must be when all writers have ended and everything was swept.
    fn outcome(mut self, before: &Tables) -> Tables {
        let mut after = Tables::default();
        for n in 0..self.pairs {
            let (from, to, batch) =
                (format!("from-{n}."), format!("to-{n}."), format!("b{}", n % 7));
            let mut content = |user: &str, content: &'static str| {
                let key = (user.to_owned(), content.to_owned(), batch.clone(), "k".to_owned());
                let mut row = before.content_consumption.get(&key).cloned().unwrap_or_default();
                let written = self.study.remove(&(user.to_owned(), content)).map(end);
                row.extend(written.unwrap_or_default());
                row
            };
            let copied = content(&from, "copied");
            let raised = |mut own: Columns, other: &Columns| {
                let status = own["status"].as_i64().max(other["status"].as_i64());
                own.insert("status".into(), status.into());
                own
            };
            let kept = raised(content(&to, "kept"), &content(&from, "kept"));
            let own = raised(content(&to, "own"), &content(&from, "own"));
            for (name, row) in [("copied", copied), ("kept", kept), ("own", own)] {
                let key = (to.clone(), name.to_owned(), batch.clone(), "k".to_owned());
                after.content_consumption.insert(key, row);
            }
            // The survivor's enrolment stays as it is, where it has one.
            let enrolled = if n % 2 == 1 { &to } else { &from };
            let mut row = before.user_courses[&(batch.clone(), enrolled.clone())].clone();
            let mut written = self.progress.remove(enrolled).map(end).unwrap_or_default();
            let entries = written.remove("contentstatus").expect("a writer ends with entries");
            row.extend(written);
            let map = row.get_mut("contentstatus").and_then(Value::as_object_mut);
            let entries = entries.as_object().cloned().unwrap_or_default();
            map.expect("every enrolment has had an entry").extend(entries);
            after.user_courses.insert((batch.clone(), to.clone()), row);

            for batch in self.begin.remove(&from).map(end).unwrap_or_default() {
                let row = columns([("status", json!(1)), ("grade", json!("new"))]);
                let key = (to.clone(), "c".to_owned(), batch.clone(), "k".to_owned());
                after.content_consumption.insert(key, row);
                let map = ("contentstatus", json!({"c": 3}));
                let row = columns([("progress", json!(3)), ("delta", json!("new")), map]);
                after.user_courses.insert((batch, to.clone()), row);
            }
        }
        self.progress.into_values().for_each(|writer| _ = end(writer));
        after
    }
}

fn end<T>(task: JoinHandle<T>) -> T {
    runtime().block_on(task).unwrap_or_else(|error| panic!("a writer failed: {error}"))
}

#[test]
fn no_acknowledged_write_is_lost_and_no_status_falls() {
    // Requests are held back so that much is written between a group's first read and its last write.
    nothing_is_lost(World::new("writers"), 40, Duration::from_millis(15));
}

/// Merges so many pairs, in an empty world with both tables, while everything is written to, and sweeps; each request of
/// the run is held back.
pub(crate) fn nothing_is_lost(world: World, pairs: usize, held_back: Duration) {
    let scenario = Scenario::on(world, before(pairs));
    let tables = scenario.world.dump();
    let app = Arc::new(runtime().block_on(Statements::new(&scenario.world)));
    let keyspace = scenario.world.keyspace.clone();
    let watchers = ["copied", "kept"]
        .map(|content| runtime().spawn(watch(Arc::clone(&app), keyspace.clone(), content)));
    let writers = Writers::start(&app, pairs);

    // Time enough for a write to arrive that was stamped before the merge.
    let call = scenario.session().with("--settle", "2s").with("--in-flight", "4");
    let delay = move |_: &_, _| Fate::Delay(held_back);
    let proxy = Proxy::with(&scenario.world.addresses.hosts, delay);
    let merged = call.with("--hosts", &proxy.hosts).run();
    assert!(merged.has_exited(0) || merged.has_exited(3), "{merged}"); // rows may still be written to
    app.stop.store(true, Ordering::SeqCst);
    let expected = writers.outcome(&tables);
    let looks: usize = watchers.into_iter().map(end).sum();
    assert!(looks > 20, "only {looks} looks at the statuses");

    // Now that nobody writes any more, one more sweep finds all that the first one had to leave.
    scenario.finish();
    scenario.world.assert_tables(&expected);
    let (_, ids, _) = announced(&scenario.world);
    let enrolled = |object: &&(String, String)| {
        expected.user_courses.contains_key(&(object.1.clone(), object.0.clone()))
    };
    assert_eq!(ids.keys().filter(enrolled).count(), ids.len(), "an event for nobody");
    assert_eq!(ids.len(), expected.user_courses.len(), "every enrolment was changed");
}
