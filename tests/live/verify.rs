//! What verify finds in a real cluster, and what it makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::data::{self, Data, columns};
use crate::frames::INVALID;
use crate::kafka;
use crate::model::{self, Line, Outcome};
use crate::process::{Call, read_json};
use crate::proxy::{Fate, Proxy};
use crate::stops::wait_until;
use crate::world::{World, to_csv};

/// A line of diff.csv by column.
type Record = BTreeMap<String, String>;

pub(crate) fn diff(run: &Path) -> Vec<Record> {
    let mut reader = csv::Reader::from_path(run.join("diff.csv")).expect("there is diff.csv");
    reader.deserialize().map(|record| record.expect("every record has all columns")).collect()
}

pub(crate) fn verify(world: &World, run: &Path) -> Call {
    Call::new(&["verify", run.to_str().expect("the tests use UTF-8")])
        .with("--hosts", &world.addresses.hosts)
        .flag("--json")
}

/// Differences by kind, added up over the tables.
pub(crate) fn found(report: &Value, kind: &str) -> u64 {
    let tables = report["tables"].as_array().unwrap_or_else(|| panic!("no tables: {report:#}"));
    tables.iter().map(|table| table[kind].as_u64().expect("a count")).sum()
}

/// A run of pairs of which each source has a content and an enrolment of its own, and one content that
/// the target has too, with a lower status.
struct Applied {
    world: World,
    lines: Vec<Line>,
    expected: Outcome,
    run: PathBuf,
}

impl Applied {
    fn new(name: &str, pairs: usize) -> Self {
        let begun = Self::loaded(name, pairs);
        begun.apply().run().exits(0);
        begun.world.assert_is(&begun.expected);
        begun
    }

    fn loaded(name: &str, pairs: usize) -> Self {
        let world = World::new(name);
        let mut data = Data::new(41);
        for n in 0..pairs {
            let (from, to, batch) = (format!("from-{n}"), format!("to-{n}"), format!("b{}", n % 7));
            let status = |status: i32| columns([("status", json!(status)), ("grade", json!("A"))]);
            data.consume([&from, "own", &batch, "k"], status(1));
            data.consume([&from, "both", &batch, "k"], status(2));
            data.consume([&to, "both", &batch, "k"], status(1));
            let map = json!({ "do_1": 1, "do_2": 2 });
            let row = columns([("courseid", json!("k")), ("contentstatus", map)]);
            data.enrol(&batch, &from, row);
            data.pair(&from, &to);
        }
        world.load(&data.tables);
        let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
        let run = world.run_dir();
        Self { world, lines: data.lines, expected, run }
    }

    fn apply(&self) -> Call {
        let pairs = self.world.file("pairs.csv", to_csv(&self.lines));
        self.world.apply(&pairs, &self.run)
    }

    fn verify(&self) -> Call {
        verify(&self.world, &self.run)
    }

    fn content(&self, n: usize, content: &str) -> String {
        format!(
            "userid = 'to-{n}' AND contentid = '{content}' AND batchid = 'b{}' AND courseid = 'k'",
            n % 7
        )
    }

    fn enrolment(&self, n: usize) -> String {
        format!("batchid = 'b{}' AND userid = 'to-{n}'", n % 7)
    }

    /// Merges, and loses what it writes to the survivors' content, though it is acknowledged.
    fn losing(name: &str, pairs: usize) -> Self {
        let applied = Self::loaded(name, pairs);
        let proxy = Proxy::with(&applied.world.addresses.hosts, |request, _| {
            let is_lost = |n| request.statements.iter().any(|s| s.writes_to(&format!("to-{n}")));
            if (0..100).any(is_lost) { Fate::Swallow } else { Fate::Pass }
        });
        applied.apply().with("--hosts", &proxy.hosts).run().exits(0);
        applied
    }

    /// A hundred differences: rows deleted, statuses lowered.
    fn plant(&self) -> BTreeSet<(String, String, String, String)> {
        let mut planted = BTreeSet::new();
        let mut difference = |verdict: &str, table: &str, n: usize, column: &str| {
            let account = format!("to-{n}");
            planted.insert((verdict.to_owned(), table.to_owned(), account, column.to_owned()));
        };
        for n in 0..30 {
            let key = self.content(n, "own");
            self.world.cql(&format!("DELETE FROM content_consumption WHERE {key}"));
            difference("row-missing", "content_consumption", n, "");
            let key = self.enrolment(n);
            self.world.cql(&format!("DELETE FROM user_courses WHERE {key}"));
            difference("row-missing", "user_courses", n, "");
        }
        for n in 30..70 {
            let key = self.content(n, "both");
            let status = if n % 2 == 0 { "0" } else { "null" };
            let statement = format!("UPDATE content_consumption SET status = {status}");
            self.world.cql(&format!("{statement} WHERE {key}"));
            let verdict = if n % 2 == 0 { "value-worse" } else { "value-missing" };
            difference(verdict, "content_consumption", n, "status");
        }
        // What an application does is none.
        for n in 70..80 {
            let key = self.content(n, "own");
            self.world.cql(&format!("UPDATE content_consumption SET grade = 'B' WHERE {key}"));
            let key = self.enrolment(n);
            let map = "contentstatus = contentstatus + {'do_3': 3}, progress = 9";
            self.world.cql(&format!("UPDATE user_courses SET {map} WHERE {key}"));
        }
        planted
    }
}

fn of(record: &Record) -> (String, String, String, String) {
    let of = |name: &str| record[name].clone();
    (of("verdict"), of("table"), of("account"), of("column"))
}

#[test]
fn a_hundred_differences_are_found_and_what_somebody_did_stays() {
    let applied = Applied::new("verify", 80);
    let clean = applied.verify().run().exits(0).json();
    assert_eq!((&clean["differences"], &clean["groups"]["compared"]), (&json!(0), &json!(80)));
    assert!(diff(&applied.run).is_empty());

    let planted = applied.plant();
    assert_eq!(planted.len(), 100);
    let finished = applied.verify().run().exits(4);
    let report = finished.json();
    assert_eq!(report["differences"], 100, "{finished}");
    assert_eq!(report, read_json(&applied.run.join("verify.json")), "--json is verify.json");
    assert_eq!(report["exit_code"], 4);
    let records = diff(&applied.run);
    let (since, different): (Vec<_>, Vec<_>) =
        records.iter().partition(|record| record["verdict"] == "changed-since");
    assert_eq!(different.len(), 100);
    assert_eq!(different.into_iter().map(of).collect::<BTreeSet<_>>(), planted);
    let since: BTreeSet<_> = since.into_iter().map(of).map(|(.., column)| column).collect();
    assert_eq!(since, BTreeSet::from(["grade".to_owned(), "progress".to_owned()]));
    assert_eq!(found(&report, "changed_since"), 20);
    lines_can_be_read(&records);

    let text = applied.verify().without("--json").run().exits(4).stdout;
    assert!(text.contains("100 DIFFERENCES") && text.contains("--repair"), "{text}");

    // All of it was done since the run, by whoever deletes rows and lowers statuses.
    let before = applied.world.dump();
    let repaired = applied.verify().flag("--repair").run().exits(0).json();
    assert_eq!((&repaired["differences"], found(&repaired, "repaired")), (&json!(0), 0));
    assert_eq!(found(&repaired, "changed_since"), 120, "{repaired:#}");
    applied.world.assert_tables(&before);
}

#[test]
fn what_was_lost_is_repaired_as_of_then() {
    let applied = Applied::losing("verify_lost", 20);
    // A learner goes on with one of them meanwhile, and deletes another.
    let (on, away) = (applied.content(3, "both"), applied.content(4, "own"));
    applied.world.cql(&format!("UPDATE content_consumption SET status = 1 WHERE {on}"));
    applied.world.cql(&format!("DELETE FROM content_consumption WHERE {away}"));
    let finished = applied.verify().run().exits(4);
    assert_eq!(finished.json()["differences"], 40, "{finished}");

    let repaired = applied.verify().flag("--repair").run().exits(0).json();
    assert_eq!((&repaired["differences"], found(&repaired, "repaired")), (&json!(0), 38));
    assert_eq!((found(&repaired, "changed_since"), &repaired["events"]), (2, &json!(20)));
    let mut expected = applied.expected.tables.clone();
    let content = &mut expected.content_consumption;
    let key = |n: usize, content: &str| {
        (format!("to-{n}"), content.to_owned(), format!("b{}", n % 7), "k".to_owned())
    };
    let both = content.get_mut(&key(3, "both")).expect("it is there");
    both.insert("status".to_owned(), json!(1));
    content.remove(&key(4, "own")).expect("it is there");
    applied.world.assert_tables(&expected);
    // What nobody has touched is taken back whole.
    applied.world.over("undo", &applied.run).run().exits(4);
}

/// Values are decoded, ids and keys can be used as they are.
#[track_caller]
fn lines_can_be_read(records: &[Record]) {
    let line = |verdict: &str, account: &str| {
        let line = records.iter().find(|r| r["verdict"] == verdict && r["account"] == account);
        line.unwrap_or_else(|| panic!("no {verdict} of {account}")).clone()
    };
    let missing = line("row-missing", "to-0");
    assert_eq!((&*missing["from"], &*missing["to"], &*missing["line"]), ("from-0", "to-0", "2"));
    let worse = line("value-worse", "to-30");
    let key = json!({ "contentid": "both", "batchid": "b2", "courseid": "k" });
    assert_eq!(worse["key"].parse::<Value>().expect("JSON"), key);
    assert_eq!((&*worse["expected"], &*worse["found"]), ("2", "0"));
    assert!(
        worse["found_written_at"].starts_with("20") && worse["found_written_at"].ends_with('Z')
    );
    let is_enrolment = |r: &&Record| r["verdict"] == "row-missing" && r["table"] == "user_courses";
    let enrolment = records.iter().find(is_enrolment).expect("one is missing");
    let row: Value = enrolment["expected"].parse().expect("JSON");
    assert_eq!(row["contentstatus"], json!({ "do_1": 1, "do_2": 2 }));
}

#[test]
fn sources_that_are_written_to_again_are_left_to_the_sweep() {
    let applied = Applied::new("verify_sources", 10);
    let row = "userid, contentid, batchid, courseid";
    applied.world.cql(&format!(
        "INSERT INTO content_consumption ({row}, status) VALUES ('from-3', 'new', 'b3', 'k', 2)"
    ));
    applied.world.cql(&format!(
        "INSERT INTO content_consumption ({row}) VALUES ('from-4', 'bare', 'b4', 'k')"
    ));
    let finished = applied.verify().run().exits(0);
    assert_eq!(found(&finished.json(), "source_changed_since"), 2, "{finished}");
    let records = diff(&applied.run);
    let printed: BTreeSet<_> =
        records.iter().map(|r| (r["account"].as_str(), r["found"].as_str())).collect();
    assert_eq!(printed, [("from-3", r#"{"status":2}"#), ("from-4", "only its key")].into());
    let text = applied.verify().without("--json").run().exits(0).stdout;
    assert!(text.contains("tributary resume"), "{text}");

    // Of what was copied, the delete was lost: it was restored from a snapshot, say.
    for n in [5, 6] {
        applied.world.cql(&format!(
            "INSERT INTO content_consumption ({row}, status, grade) VALUES ('from-{n}', 'own', 'b{n}', \
             'k', 1, 'A')"
        ));
    }
    // A row whose cells are older than the delete cannot be made while the delete is there, so these
    // count as later writes; that they are told apart is tested without a cluster.
    let finished = applied.verify().flag("--repair").run().exits(0);
    assert_eq!(found(&finished.json(), "source_changed_since"), 4, "{finished}");
    applied.world.resume(&applied.run).run();
    let finished = applied.verify().run().exits(0);
    assert_eq!(found(&finished.json(), "source_changed_since"), 1, "{finished}");
}

#[test]
fn groups_that_are_not_done_are_counted_and_not_compared() {
    let applied = Applied::loaded("verify_partial", 20);
    applied.apply().with("--limit", "15").run().exits(0);
    let finished = applied.verify().run().exits(3);
    let groups = &finished.json()["groups"];
    assert_eq!((&groups["total"], &groups["compared"]), (&json!(20), &json!(15)), "{finished}");
    assert_eq!(groups["not_done"], json!({ "planned": 5 }), "{finished}");
    // Another run is refused, and so is another keyspace.
    verify(&applied.world, &applied.world.path("nowhere")).run().exits(1).names("nowhere");
    applied.verify().with("--keyspace", "other").run().exits(2).names("other");
}

#[test]
fn what_was_interrupted_or_killed_goes_on_and_says_so() {
    let applied = Applied::new("verify_stopped", 90);
    let planted = applied.plant();
    let proxy = Proxy::new(&applied.world.addresses.hosts);
    let slow = || applied.verify().with("--rate", "20").with("--in-flight", "4");
    let running = slow().with("--hosts", &proxy.hosts).start();
    wait_until("some groups are compared", || proxy.count() > 60);
    running.interrupt();
    let finished = running.wait().exits(130);
    let first = finished.json()["groups"]["compared"].as_u64().expect("a count");
    assert!(first > 0 && first < 90, "{finished}");
    let again = finished.json()["again"].as_str().expect("it says how to go on").to_owned();
    assert!(again.contains("tributary verify"), "{again}");
    drop(proxy);

    // Killed on the way, without a chance to keep anything.
    let killed = slow().environment("TRIBUTARY_FAILPOINT", "compared:40").start().wait();
    assert_eq!(killed.stdout, "", "{killed}");
    let finished = applied.verify().run().exits(4);
    let report = finished.json();
    let before = report["groups"]["compared_before"].as_u64().expect("a count");
    assert!(before > first, "{before} after {first}: {finished}");
    assert_eq!(report["groups"]["compared"], 90, "{finished}");
    let records = diff(&applied.run);
    let different: Vec<_> = records.iter().filter(|r| r["verdict"] != "changed-since").collect();
    assert_eq!(different.len(), planted.len(), "nothing is lost, nothing is there twice");
    assert_eq!(different.into_iter().map(of).collect::<BTreeSet<_>>(), planted);
    assert_eq!(report["differences"], 100);
    // It is over, so the next one begins anew.
    let finished = applied.verify().run().exits(4);
    assert_eq!(finished.json()["groups"]["compared_before"], 0, "{finished}");
}

#[test]
fn groups_that_cannot_be_read_fail_and_have_another_turn() {
    let applied = Applied::new("verify_failed", 12);
    let proxy = Proxy::with(&applied.world.addresses.hosts, |request, _| {
        if request.binds("to-7") { Fate::Refuse(INVALID) } else { Fate::Pass }
    });
    let finished = applied.verify().with("--hosts", &proxy.hosts).run().exits(1);
    let groups = finished.json()["groups"].clone();
    assert_eq!((&groups["compared"], &groups["failed"]), (&json!(11), &json!(1)), "{finished}");
    assert!(groups["reason"].as_str().is_some_and(|reason| reason.contains("to-7")), "{finished}");
    drop(proxy);
    let groups = applied.verify().run().exits(0).json()["groups"].clone();
    assert_eq!((&groups["compared"], &groups["compared_before"]), (&json!(12), &json!(11)));
}

/// A repair that is killed after its writes announces with the next.
#[test]
fn a_killed_repair_is_finished_by_the_next() {
    let applied = Applied::losing("verify_repair_killed", 1);
    let messages = || kafka::consume(&applied.world.addresses.brokers, &applied.world.topic).len();
    let before = messages();
    let repair = || applied.verify().flag("--repair");
    repair().environment("TRIBUTARY_FAILPOINT", "repaired").start().wait();
    applied.world.assert_tables(&applied.expected.tables);
    assert_eq!(messages(), before);
    let report = repair().run().exits(0).json();
    assert_eq!((&report["differences"], &report["events"]), (&json!(0), &json!(1)), "{report:#}");
    let report = repair().run().exits(0).json();
    assert_eq!(report["events"], 0, "{report:#}");
}
