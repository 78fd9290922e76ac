//! Runs that cannot start: one clear message, the right exit code, nothing written.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::data::Data;
use crate::kafka;
use crate::model::Tables;
use crate::process::{Call, Finished};
use crate::services::Instance;
use crate::settings::with_conflicts;
use crate::tables;
use crate::world::{World, to_csv};

/// A world in which one pair waits to be merged.
struct Waiting {
    world: World,
    before: Tables,
    pairs: PathBuf,
    run: PathBuf,
}

impl Waiting {
    fn new(name: &str) -> Self {
        Self::of(World::new(name))
    }

    fn of(world: World) -> Self {
        let mut data = Data::new(3);
        data.study("source", "c1", "b1");
        data.study("source", "c2", "b2");
        data.study("target", "c1", "b1");
        data.pair("source", "target");
        world.load(&data.tables);
        let before = world.dump();
        let pairs = world.file("pairs.csv", to_csv(&data.lines));
        let run = world.run_dir();
        Self { world, before, pairs, run }
    }

    fn apply(&self) -> Call {
        self.world.apply(&self.pairs, &self.run)
    }

    /// The run fails with a message that names all `things`, and leaves nothing behind.
    #[track_caller]
    fn refuses(&self, call: Call, code: i32, things: &[&str]) {
        let mut finished = call.run().exits(code);
        for thing in things {
            finished = finished.names(thing);
        }
        assert_short(&finished);
        assert!(!self.run.exists(), "a run directory of a run that never started: {finished}");
        let parent = self.run.parent().expect("it has one");
        let left: Vec<_> = std::fs::read_dir(parent)
            .expect("it can be listed")
            .map(|entry| entry.expect("it can be listed").file_name())
            .filter(|name| name.to_string_lossy().contains("run-"))
            .collect();
        assert!(left.is_empty(), "{left:?} left behind by {finished}");
        self.world.assert_tables(&self.before);
    }
}

/// A message is for an operator: no backtrace, not page after page.
#[track_caller]
fn assert_short(finished: &Finished) {
    assert!(finished.stderr.trim().lines().count() <= 12, "{finished}");
    assert!(finished.stdout.trim().is_empty(), "{finished}");
}

#[test]
fn unusable_input_is_told_apart_from_a_failure() {
    let waiting = Waiting::new("bad_input");
    let file = |name: &str, content: &[u8]| waiting.world.file(name, content);
    std::fs::create_dir(waiting.world.path("folder.csv")).expect("a folder can be made");
    let truncated = {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&b"from,to\nfrom,to\n".repeat(5_000)).expect("memory can be written");
        let mut bytes = encoder.finish().expect("memory can be written");
        bytes.truncate(bytes.len() - 20);
        bytes
    };
    let binary: Vec<u8> = (0..=255).cycle().skip(128).take(10_000).collect();
    let cases: [(PathBuf, &[&str]); 8] = [
        (waiting.world.path("missing.csv"), &["missing.csv"]),
        (waiting.world.path("folder.csv"), &["folder.csv"]),
        (file("empty.csv", b""), &["empty.csv"]),
        (file("names.csv", b"old,new\na,b\n"), &["names.csv", "from"]),
        (file("one.csv", b"from\na\n"), &["one.csv", "to"]),
        (file("binary.csv", &binary), &["binary.csv"]),
        (file("binary.gz", &binary), &["binary.gz"]),
        (file("truncated.csv.gz", &truncated), &["truncated.csv.gz"]),
    ];
    for (pairs, things) in cases {
        waiting.refuses(waiting.world.apply(&pairs, &waiting.run), 2, things);
        let plan = Call::new(&["plan", pairs.to_str().expect("the tests use UTF-8")]);
        waiting.refuses(plan.with("--run-dir", &waiting.run), 2, things);
    }
    let empty_input = waiting.world.apply(Path::new("-"), &waiting.run);
    waiting.refuses(empty_input, 2, &["input is empty"]);
}

#[test]
fn unusable_arguments_and_configuration() {
    let waiting = Waiting::new("bad_usage");
    let refuses = |call: Call, things: &[&str]| waiting.refuses(call, 2, things);
    let file = |name: &str, content: &str| waiting.world.file(name, content);
    let apply = || waiting.apply();

    refuses(apply().without("--keyspace"), &["keyspace"]);
    refuses(apply().with("--consistency", "MOST"), &["MOST"]);
    refuses(apply().with("--in-flight", "0"), &["in-flight"]);
    refuses(apply().with("--settle", "soon"), &["soon"]);
    refuses(apply().with("--max-errors", "some"), &["some"]);
    refuses(apply().with("--delimiter", ";;"), &["delimiter"]);
    refuses(apply().with("--hosts", "127.0.0.1:port"), &["127.0.0.1:port"]);
    refuses(apply().flag("--surprise"), &["--surprise"]);
    refuses(apply().environment("TRIBUTARY_CONSISTENCY", "MOST"), &["MOST"]);
    refuses(Call::new(&["merge"]), &["merge"]);

    let unknown = file("unknown.toml", "keyspaces = \"x\"\n");
    refuses(apply().with("--config", unknown), &["keyspaces", "unknown.toml"]);
    let broken = file("broken.toml", "keyspace = \n");
    refuses(apply().with("--config", broken), &["broken.toml"]);
    let typed = file("typed.toml", "trim = \"perhaps\"\n");
    refuses(apply().with("--config", typed), &["typed.toml", "trim"]);
    refuses(apply().with("--config", waiting.world.path("no.toml")), &["no.toml"]);
    refuses(apply().with("--spec", waiting.world.path("no-spec.toml")), &["no-spec.toml"]);
    let no_spec = file("not-a-spec.toml", "surprise = 1\n");
    refuses(apply().with("--spec", no_spec), &["not-a-spec.toml"]);
}

#[test]
fn a_specification_that_cannot_be_followed() {
    let waiting = Waiting::new("bad_spec");
    let with = |name: &str, of_content: &str| {
        let spec = with_conflicts(of_content, r#""keep-target""#);
        waiting.apply().with("--spec", waiting.world.file(name, spec))
    };
    // What the file alone can tell is an error of usage; the rest needs the schema.
    waiting.refuses(
        with("latest.toml", "{ status = { each = \"latest\" } }"),
        2,
        &["latest", "status"],
    );
    waiting.refuses(with("most.toml", "{ status = \"most\" }"), 2, &["most"]);
    waiting.refuses(with("no.toml", "{ statusses = \"max\" }"), 1, &["statusses"]);

    // A policy that does not fit the type of its column.
    waiting.world.cql("ALTER TABLE content_consumption ADD tags map<text,int>");
    waiting.refuses(with("map.toml", "{ tags = \"max\" }"), 1, &["tags", "max"]);
}

#[test]
fn a_cluster_that_does_not_fit() {
    let waiting = Waiting::new("bad_cluster");
    let refuses = |call: Call, things: &[&str]| waiting.refuses(call, 1, things);
    refuses(waiting.apply().with("--hosts", "127.0.0.1:1"), &["127.0.0.1:1"]);
    refuses(waiting.apply().with("--hosts", "no-such-host.invalid"), &["no-such-host.invalid"]);
    refuses(waiting.apply().with("--keyspace", "no_such_keyspace"), &["no_such_keyspace"]);
    refuses(waiting.apply().with("--local-dc", "no_such_dc"), &["no_such_dc"]);
    refuses(waiting.apply().with("--brokers", "127.0.0.1:1"), &["127.0.0.1:1"]);
}

#[test]
fn a_schema_that_does_not_fit() {
    let (courses, content) = (tables::USER_COURSES, tables::CONTENT_CONSUMPTION);
    let other_type = content.replace(" status int", " status text");
    let no_column = content.replace(" status int,", "");
    let other_key = courses.replace("(batchid, userid)", "(userid, batchid)");
    let other_key = other_key.replace("userid ASC", "batchid ASC");
    let cases: [(&str, &[&str], &[&str]); 6] = [
        ("table", &[courses], &["content_consumption"]),
        ("column", &[courses, &no_column], &["content_consumption", "status"]),
        ("type", &[courses, &other_type], &["content_consumption", "status", "text", "int"]),
        ("key", &[&other_key, content], &["user_courses"]),
        (
            "ttl",
            &[courses, content, "ALTER TABLE user_courses WITH default_time_to_live = 3600"],
            &["user_courses", "default_time_to_live"],
        ),
        (
            "static",
            &[courses, content, "ALTER TABLE user_courses ADD shared text static"],
            &["user_courses", "shared", "static"],
        ),
    ];
    for (name, schema, things) in cases {
        let world = World::empty(&format!("bad_schema_{name}"));
        schema.iter().for_each(|statement| world.cql(statement));
        let pairs = world.file("pairs.csv", "from,to\nsource,target\n");
        let run = world.run_dir();
        let mut finished = world.apply(&pairs, &run).run().exits(1);
        for thing in things {
            finished = finished.names(thing);
        }
        assert_short(&finished);
        assert!(!run.exists(), "{finished}");
    }
}

#[test]
fn run_directories_that_cannot_be_used() {
    let waiting = Waiting::new("bad_run_dir");
    let used = waiting.world.path("used");
    std::fs::create_dir(&used).expect("a folder can be made");
    std::fs::write(used.join("run.json"), "{}").expect("a file can be written");
    let call = waiting.apply().with("--run-dir", &used);
    waiting.refuses(call, 1, &["resume", used.to_str().expect("UTF-8")]);
    assert_eq!(std::fs::read_dir(&used).expect("it is still there").count(), 1);

    let file = waiting.world.file("a-file", "");
    waiting.refuses(waiting.apply().with("--run-dir", &file), 1, &["a-file"]);
    // A folder below a file can be made by nobody, not even by root.
    let below = file.join("run");
    waiting.refuses(waiting.apply().with("--run-dir", below), 1, &["a-file"]);
    let locked = waiting.world.path("locked");
    std::fs::create_dir(&locked).expect("a folder can be made");
    let read_only = std::fs::Permissions::from_mode(0o500);
    std::fs::set_permissions(&locked, read_only).expect("it is ours");
    if std::fs::write(locked.join("probe"), "").is_err() {
        let call = waiting.apply().with("--run-dir", locked.join("run"));
        waiting.refuses(call, 1, &["locked"]);
    }

    // An empty one is filled.
    let empty = waiting.world.path("empty");
    std::fs::create_dir(&empty).expect("a folder can be made");
    waiting.apply().with("--run-dir", &empty).run().exits(0);
    assert!(empty.join("report.json").is_file());
    assert_ne!(waiting.world.dump(), waiting.before);
}

#[test]
fn a_topic_that_nobody_creates() {
    let kafka = Instance::start("topic", &["--kafka-only", "--no-topic-creation"]);
    let waiting = Waiting::new("bad_topic");
    let call = waiting.apply().with("--brokers", &kafka.addresses.brokers);
    waiting.refuses(call, 1, &[&waiting.world.topic]);
    let topic = kafka::consume(&kafka.addresses.brokers, &waiting.world.topic);
    assert_eq!(topic.len(), 0);
}

/// What needs a Cassandra with logins, on one that is started once.
#[test]
fn logins_and_privileges() {
    let (_cassandra, world) = World::with_logins("auth", &["--cassandra-only", "--auth"]);
    let keyspace = world.keyspace.clone();
    for statement in [
        "CREATE ROLE merger WITH PASSWORD = 'pass-phrase-of-merger' AND LOGIN = true".to_owned(),
        format!("GRANT SELECT ON KEYSPACE {keyspace} TO merger"),
        "CREATE ROLE reader WITH PASSWORD = 'pass-phrase-of-reader' AND LOGIN = true".to_owned(),
        format!("GRANT SELECT ON KEYSPACE {keyspace} TO reader"),
        format!("GRANT MODIFY ON KEYSPACE {keyspace} TO merger"),
    ] {
        world.cql(&statement);
    }
    let waiting = Waiting::of(world);
    let login = |user: &str, password: &str| {
        waiting.apply().with("--username", user).environment("TRIBUTARY_PASSWORD", password)
    };

    waiting.refuses(waiting.apply(), 1, &["username"]);
    waiting.refuses(login("merger", "a wrong one"), 1, &["merger"]);
    let finished = login("nobody", "pass-phrase").run().exits(1);
    assert!(!finished.stderr.contains("pass-phrase"), "{finished}");

    // Nobody has made a register yet, and this one may not: what a DBA runs is printed.
    let finished = login("merger", "pass-phrase-of-merger").run().exits(1).names("--no-register");
    let ddl: Vec<&str> =
        finished.stderr.lines().filter(|line| line.starts_with("CREATE ")).collect();
    assert!(ddl.len() > 3, "{finished}");
    let granted = ["merger", "reader"].into_iter().flat_map(|role| {
        ["SELECT", "MODIFY"].map(|right| format!("GRANT {right} ON KEYSPACE tributary TO {role}"))
    });
    for statement in ddl.iter().map(|line| line.trim_end_matches(';').to_owned()).chain(granted) {
        waiting.world.cql(&statement);
    }

    // One that may read only is refused, and leaves nothing behind that would be in the way of another.
    waiting.refuses(login("reader", "pass-phrase-of-reader"), 1, &["MODIFY on table"]);

    // SELECT and MODIFY on the keyspace and on the register are enough; the password is written nowhere.
    let run = waiting.world.run_dir();
    let call = login("merger", "pass-phrase-of-merger").with("--run-dir", &run);
    let finished = call.flag("-vv").run().exits(0);
    assert!(!finished.stderr.contains("pass-phrase"), "{finished}");
    crate::run_dir::assert_absent(&run, "pass-phrase");
    assert_ne!(waiting.world.dump(), waiting.before);
}
