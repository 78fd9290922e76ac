//! Runs that are resumed: what is refused, and what is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::frames::INVALID;
use crate::model::{Line, Outcome};
use crate::process::{Call, read_json};
use crate::proxy::{Fate, Proxy};
use crate::stops::{groups, wait_until, world};
use crate::world::{World, to_csv};

/// A run of which most groups are left to be done.
struct Begun {
    world: World,
    lines: Vec<Line>,
    expected: Outcome,
    pairs: PathBuf,
    run: PathBuf,
}

impl Begun {
    fn new(name: &str) -> Self {
        let (world, lines, expected) = world(name, 30);
        let proxy = Proxy::with(&world.addresses.hosts, |request, n| {
            if request.writes() && n > 60 { Fate::Refuse(INVALID) } else { Fate::Pass }
        });
        let pairs = world.file("pairs.csv", to_csv(&lines));
        let run = world.run_dir();
        let call = world.apply(&pairs, &run).with("--hosts", &proxy.hosts);
        call.with("--in-flight", "1").with("--max-errors", "0").run().exits(1);
        Self { world, lines, expected, pairs, run }
    }

    fn resume(&self) -> Call {
        self.world.resume(&self.run)
    }

    /// It fails with a message that names all `things`, and changes nothing.
    #[track_caller]
    fn refuses(&self, call: Call, code: i32, things: &[&str]) {
        let before = self.world.dump();
        let report = read_json(&self.run.join("report.json"));
        let mut finished = call.run().exits(code);
        for thing in things {
            finished = finished.names(thing);
        }
        assert!(finished.stderr.trim().lines().count() <= 12, "{finished}");
        assert!(!finished.stderr.contains("to go on:"), "it would be refused again: {finished}");
        assert_eq!(finished.stdout, "");
        self.world.assert_tables(&before);
        assert_eq!(read_json(&self.run.join("report.json")), report);
    }

    #[track_caller]
    fn finishes(&self, call: Call) {
        let finished = call.run().exits(0);
        assert_eq!(groups(&finished.json()).done, 30, "{finished}");
        self.world.assert_is(&self.expected);
    }

    /// Does something to a file of the run, and undoes it afterwards.
    fn with_changed(&self, name: &str, change: impl FnOnce(&Path), then: impl FnOnce()) {
        let path = self.run.join(name);
        let before = fs::read(&path).expect("it is there");
        change(&path);
        then();
        fs::write(&path, before).expect("it is ours");
    }
}

#[test]
fn a_run_goes_on_only_as_what_it_is() {
    let begun = Begun::new("other_run");
    let resume = || begun.resume();
    begun.refuses(resume().with("--keyspace", "other"), 2, &["'other'", &begun.world.keyspace]);
    begun.refuses(resume().with("--topic", "other"), 2, &["'other'", &begun.world.topic]);
    begun.refuses(resume().flag("--no-events"), 2, &["--no-events", &begun.world.topic]);
    let spec = crate::settings::with_conflicts(r#"{ status = "min" }"#, r#""keep-target""#);
    let spec = begun.world.file("other.toml", spec);
    begun.refuses(resume().with("--spec", spec), 2, &["other.toml", "course-batch"]);
    begun.refuses(resume().with("--in-flight", "none"), 2, &["--in-flight", "none"]);
    // The pairs are those of the run, so there are none to be given.
    begun.refuses(resume().with("--from-column", "x"), 2, &["--from-column"]);

    let append = |path: &Path| {
        let text = fs::read_to_string(path).expect("it is text");
        fs::write(path, text + "more,pairs\n").expect("it is ours");
    };
    begun.with_changed("pairs.csv", append, || {
        begun.refuses(resume(), 1, &["pairs.csv has been changed"]);
        begun.refuses(resume().flag("--use-copy"), 1, &["pairs.csv has been changed"]);
    });
    let comment = |path: &Path| {
        let text = fs::read_to_string(path).expect("it is text");
        fs::write(path, text.replace("max", "min")).expect("it is ours");
    };
    begun.with_changed("spec.toml", comment, || begun.refuses(resume(), 1, &["spec.toml"]));
    let other_id = |path: &Path| {
        let text = fs::read_to_string(path).expect("it is text");
        let id = read_json(path)["id"].as_str().expect("a run has an id").to_owned();
        fs::write(path, text.replace(&id, "20000101T000000Z-0000")).expect("it is ours");
    };
    begun.with_changed("run.json", other_id, || {
        begun.refuses(resume(), 1, &["journal does not belong", "20000101T000000Z-0000"]);
    });
    begun.with_changed(
        "run.json",
        |path| fs::write(path, "{").expect("it is ours"),
        || {
            begun.refuses(resume(), 1, &["run.json"]);
        },
    );

    // The pairs themselves may be gone, but not have become others unseen.
    append(&begun.pairs);
    begun.refuses(resume(), 2, &["pairs.csv has changed", "--use-copy"]);
    begun.finishes(resume().flag("--use-copy"));
}

#[test]
fn a_journal_that_is_no_journal_is_refused() {
    let begun = Begun::new("bad_journal");
    let journal = begun.run.join("journal.sqlite");
    assert!(journal.is_file());
    begun.with_changed(
        "journal.sqlite",
        |path| fs::remove_file(path).expect("it is ours"),
        || {
            begun.refuses(begun.resume(), 1, &["journal"]);
            assert!(!journal.exists(), "a new journal would hide that the old one is gone");
        },
    );
    for garbage in [&b""[..], b"SQLite format 3", &[7; 100_000]] {
        let write = |path: &Path| fs::write(path, garbage).expect("it is ours");
        begun.with_changed("journal.sqlite", write, || {
            begun.refuses(begun.resume(), 1, &["journal"]);
        });
    }
    fs::remove_file(&begun.pairs).expect("it is ours");
    begun.finishes(begun.resume());
}

#[test]
fn a_table_that_has_got_a_column_is_resumed() {
    let begun = Begun::new("altered");
    begun.world.cql("ALTER TABLE user_courses ADD nickname text");
    begun.finishes(begun.resume());
}

#[test]
fn one_process_works_on_a_run_at_a_time() {
    let (world, lines, expected) = world("locked", 20);
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        if request.writes() { Fate::Delay(Duration::from_millis(300)) } else { Fate::Pass }
    });
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let mut running = call.with("--hosts", &proxy.hosts).with("--in-flight", "1").start();
    wait_until("the run has begun", || proxy.seen().iter().any(|seen| seen.fate != Fate::Pass));
    world.resume(&run).run().exits(1).names("another process works on the run");
    // Looking is free.
    let path = run.to_str().expect("the tests use UTF-8");
    Call::new(&["lookup", "from-19.", path]).run().exits(0);
    assert!(!running.has_ended(), "the run was over too early for this test");
    running.wait().exits(0);
    world.assert_is(&expected);
}

#[test]
fn a_finished_run_is_left_alone() {
    let (world, mut lines, expected) = world("finished", 20);
    lines.push(Line::Malformed);
    let run = world.run_dir();
    world.apply(&world.file("pairs.csv", to_csv(&lines)), &run).run().exits(3);
    world.assert_is(&expected);
    let proxy = Proxy::new(&world.addresses.hosts);
    for _ in 0..2 {
        let finished = world.resume(&run).with("--hosts", &proxy.hosts).run().exits(3);
        let report = finished.json();
        assert_eq!((groups(&report).done, groups(&report).left), (20, 0), "{finished}");
        assert_eq!(report["groups_done_now"], 0);
        assert_eq!(report["events"]["produced"], 0);
        assert_eq!(report["again"], serde_json::Value::Null);
    }
    assert!(proxy.seen().iter().all(|seen| !seen.request.writes()), "{:?}", proxy.seen());
    world.assert_is(&expected);
    // The log and the latencies go on where they were.
    let log = fs::read_to_string(run.join("run.log")).expect("it is text");
    assert_eq!(log.matches("going on with run").count(), 2, "{log}");
    let latency = fs::read_to_string(run.join("latency.hlog")).expect("it is text");
    assert_eq!(latency.matches("#[StartTime:").count(), 3, "{latency}");
}

#[test]
fn an_existing_run_is_resumed_and_not_applied_to() {
    let begun = Begun::new("apply_again");
    let again = begun.world.apply(&begun.pairs, &begun.run);
    let command = format!("tributary resume {}", begun.run.display());
    begun.refuses(again, 1, &[&command]);
    assert_eq!(begun.lines.len(), 30);
    begun.finishes(begun.resume());
}
