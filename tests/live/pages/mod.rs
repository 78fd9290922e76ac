//! The README and the manual, carried out: every block of code in them, as it is printed and in the order of its page.
//!
//! What stands there for something that only a reader has (hosts, a keyspace, the id of a run) is in one table, [`mine`];
//! lines that end otherwise than well, that stay at work, or that this is not the machine for, are in another,
//! [`UNUSUAL`]. A block that nothing here can carry out fails the test, and so does a row that no page has any more.

mod labels;
pub(crate) mod shell;
mod walk;

use chrono::{Local, TimeDelta};
use tributary::help::{Block, TOPICS, blocks};

use crate::world::World;
use shell::Job;
use walk::Walk;

const README: &str = "README.md";

/// What becomes of a line for a shell.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// It ends, with this exit code.
    With(i32),
    /// It goes on, and slowly, while others talk to it; the line after those interrupts it.
    AtWork,
    /// It is for another machine or another time, for this reason.
    Elsewhere(#[allow(dead_code, reason = "for whoever reads the table")] &'static str),
}
use Ends::{AtWork, Elsewhere, With};

/// Lines that do not end with 0: the page, how the line begins, and what becomes of it. The first that fits holds.
const UNUSUAL: &[(&str, &str, Ends)] = &[
    (README, "tributary apply pairs.csv --keyspace tributary_demo", With(3)),
    (README, "scripts/demo", Elsewhere("it builds, and it has the machine to itself")),
    (README, "scripts/test", Elsewhere("it runs this test")),
    (README, "cargo install", Elsewhere("it builds")),
    (README, "scripts/package", Elsewhere("it builds; tests/package.rs runs what it makes")),
    (README, "tar -xzf", Elsewhere("for the machine that the archive is for")),
    (README, "tributary plan pairs.csv", With(3)),
    (README, "tributary apply", With(3)),
    (README, "--until", AtWork),
    (README, "tributary resume", With(3)),
    ("specification", "tributary spec check wrong.toml", With(2)),
    ("parts", "apiVersion: batch/v1", Elsewhere("for Kubernetes")),
    ("parts", "# /etc/systemd/system", Elsewhere("for systemd")),
    ("live", "tributary apply", AtWork),
    ("live", "ssh", Elsewhere("another machine")),
    (
        "live",
        "scrape_configs:",
        Elsewhere("for Prometheus, which is not among the servers of the tests"),
    ),
];

/// What has been done before a page is read, where it speaks of a run.
const BEFORE: &[(&str, &str)] = &[
    ("journal", "tributary apply pairs.csv --config tributary.toml"),
    ("live", "tributary apply pairs.csv --config tributary.toml --listen 8088"),
    ("events", "tributary apply pairs.csv --config tributary.toml"),
];

/// What is printed, and what it stands for here; the longer of two that overlap first. Ids of runs stand for the last run.
fn mine(world: &World, demo: &str, account: &str) -> Vec<(&'static str, String)> {
    let (hosts, brokers) = (&world.addresses.hosts, &world.addresses.brokers);
    let local = format!("--hosts {hosts} --brokers {brokers}");
    let soon = Local::now() + TimeDelta::hours(1);
    let own = |text: &str| text.to_owned();
    vec![
        ("--keyspace tributary_demo", format!("--keyspace {demo} {local}")),
        ("tributary-demo", format!("{}.demo", world.topic)),
        ("db1:9042", hosts.clone()),
        ("db2:9042", hosts.clone()),
        ("kafka1:9092", brokers.clone()),
        ("\"courses\"", format!("\"{}\"", world.keyspace)),
        ("--keyspace courses", format!("--keyspace {}", world.keyspace)),
        ("course.batch.job.request", world.topic.clone()),
        ("--listen 8088", own("--listen 0")),
        ("06:00", soon.format("%H:%M").to_string()),
        ("/etc/tributary/ca.pem", own("ca.pem")),
        ("4aa7c1de-0000-4000-8000-000000000000", own(account)),
    ]
}

/// What `tributary.toml` holds where a page uses it and does not print it.
const SETTINGS: &str = r#"
hosts = ["db1:9042", "db2:9042"]
keyspace = "courses"
brokers = ["kafka1:9092"]
topic = "course.batch.job.request"
"#;

#[test]
fn the_readme_is_true() {
    carry_out(README, include_str!("../../../README.md"));
}

#[test]
fn the_manual_is_true() {
    TOPICS.iter().for_each(|topic| carry_out(topic.name, &topic.markdown()));
}

/// Tables that pages speak of, beside those of the built-in specification.
const TABLES: [&str; 3] = [
    "CREATE TABLE KEYSPACE.user_enrolments (userid text, courseid text, batchid text, status int, \
     PRIMARY KEY (userid, courseid, batchid))",
    "CREATE TABLE KEYSPACE.user_activity_agg (activity_type text, activity_id text, user_id text, context_id text, \
     agg_updated timestamp, PRIMARY KEY ((activity_type, activity_id, user_id), context_id))",
    "CREATE TABLE KEYSPACE.followers (user_id text, follower_id text, since int, PRIMARY KEY (user_id, follower_id))",
];

/// A page is carried out to its end, with a few accounts to merge.
fn carry_out(page: &'static str, text: &str) {
    let code = blocks(text).into_iter().filter(|block| matches!(block, Block::Code(..)));
    let code: Vec<_> = code.collect();
    if code.is_empty() {
        return;
    }
    let (world, demo) = (World::new("pages"), World::new("pages_demo"));
    for table in TABLES {
        world.cql(&table.replace("KEYSPACE", &world.keyspace));
    }
    let account = accounts(&world, &[&world.keyspace, &demo.keyspace], page == README);
    others(&world);
    let mut walk = Walk::new(page, &world, mine(&world, &demo.keyspace, &account));
    code.iter().for_each(|block| walk.block(block));
    walk.end();
}

/// Loads accounts, and writes `pairs.csv`, with lines that are no pairs if that is wanted, and `wrong.csv`; gives an
/// account that is merged.
fn accounts(world: &World, keyspaces: &[&str], has_odd_lines: bool) -> String {
    let folder = world.path("");
    let run = |line: &str| drop(Job::start(&folder, line, &[]).ends_with(0));
    run("tributary-dataset generate --out data --pairs 130 --rows 3 --batches 20");
    for keyspace in keyspaces {
        let hosts = &world.addresses.hosts;
        run(&format!("tributary-dataset load --dir data --hosts {hosts} --keyspace {keyspace}"));
    }
    let mut pairs = std::fs::read_to_string(world.path("data/pairs.csv")).expect("it was written");
    let first: Vec<String> = pairs.lines().take(2).map(|line| format!("{line}\n")).collect();
    if has_odd_lines {
        pairs += &format!("\nalone\nitself,itself\n{}", first[1]);
    }
    world.file("pairs.csv", pairs);
    world.file("wrong.csv", first.concat());
    first[1].split(',').next().expect("a pair has two accounts").to_owned()
}

/// Files that are no part of a page: settings, and what settings name.
fn others(world: &World) {
    world.file("cassandra.password", "secret");
    let certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                       -subj /CN=merger -keyout merger.key -out merger.pem && cp merger.pem ca.pem";
    Job::start(&world.path(""), certificate, &[]).ends_with(0);
}
