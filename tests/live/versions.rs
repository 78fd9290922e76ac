//! Older versions of Cassandra: every command does there what it does on the newest, and says what the server cannot tell.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::data::{self, Data, columns};
use crate::faults::writers;
use crate::merge::assert_whole_run;
use crate::model;
use crate::process::{Call, Finished};
use crate::services::{self, Instance};
use crate::world::{World, connect, to_csv};

/// A Cassandra that does not tell when the elements of maps and sets were written.
struct Older {
    cassandra: Instance,
}

impl Older {
    fn start(version: &'static str) -> Self {
        Self { cassandra: Instance::start(version, &["--version", version, "--cassandra-only"]) }
    }

    fn world(&self, name: &str) -> World {
        let mut addresses = services::shared().clone();
        addresses.hosts.clone_from(&self.cassandra.addresses.hosts);
        let session = connect(&addresses.hosts, None);
        World::on(name, addresses, session).with_tables()
    }
}

/// The lines of a CSV file of the run by a column.
fn lines(run: &Path, file: &str, by: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(run.join(file)).expect("there is such a file");
    let mut lines = BTreeMap::new();
    for record in reader.deserialize() {
        let line: BTreeMap<String, String> = record.expect("records have all columns");
        let again = lines.insert(line[by].clone(), line);
        assert!(again.is_none(), "{again:?} is listed twice");
    }
    lines
}

/// One such server at a time: each takes a gigabyte.
static ONE: Mutex<()> = Mutex::new(());

#[test]
fn all_commands_work_on_3_11() {
    every_command("3.11");
}

#[test]
fn all_commands_work_on_4_1() {
    every_command("4.1");
}

/// In worlds that are there before the first command: this one creates the register, and such a server may lose a table
/// where two are created at once.
fn every_command(version: &'static str) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let older = Older::start(version);
    let [commands, elements, written] =
        ["old_commands", "old_elements", "old_writers"].map(|name| older.world(name));
    merged_resumed_verified_and_taken_back(&commands);
    a_union_of_lists_is_refused(&commands);
    // Writers wait most of the time.
    std::thread::scope(|scope| {
        scope.spawn(|| late_elements_are_taken_or_listed(&elements));
        writers::nothing_is_lost(written, 6, Duration::from_millis(5));
    });
}

/// What needs the write times of elements is refused by name, and nothing is written.
fn a_union_of_lists_is_refused(world: &World) {
    world.schema(&format!(
        "CREATE TABLE {}.noted (userid text PRIMARY KEY, notes list<text>)",
        world.keyspace
    ));
    let spec = "name = \"noted\"\n[[table]]\nname = \"noted\"\naccount = \"userid\"\nfind = \"partition\"\n\
                on_conflict = { notes = \"union\" }\n";
    let (spec, pairs) = (world.file("noted.toml", spec), world.file("noted.csv", "from,to\na,b\n"));
    let apply = world.apply(&pairs, &world.run_dir()).without("--topic").without("--brokers");
    let refused = apply.with("--spec", &spec).flag("--no-events").run().exits(1);
    refused.names("the list noted.notes").names("Nothing was written");
}

/// plan --inspect, apply with a kill, resume, verify, lookup, runs, undo with a kill.
fn merged_resumed_verified_and_taken_back(world: &World) {
    let mut data = Data::new(7);
    for n in 0..12 {
        data::small(n, &mut data);
    }
    world.load(&data.tables);
    let before = data::without_empty_maps(data.tables);
    let expected = model::apply(&data.lines, &before);
    let code = if expected.plan.rejected.is_empty() { 0 } else { 3 };
    let (pairs, run) = (world.file("pairs.csv", to_csv(&data.lines)), world.run_dir());

    let plan = Call::new(&["plan", pairs.to_str().expect("the tests use UTF-8")]);
    let plan = plan.with("--inspect", "all").with("--keyspace", &world.keyspace);
    let plan = plan.with("--hosts", &world.addresses.hosts).with("--run-dir", world.path("plan"));
    let inspected = plan.flag("--json").run().exits(code).json();
    world.assert_tables(&before);

    let apply = || world.apply(&pairs, &run);
    apply().environment("TRIBUTARY_FAILPOINT", "batch:9").run().was_killed();
    let merged = world.resume(&run).run().exits(code);
    world.assert_is(&expected);
    assert_whole_run(&merged.json(), &expected, data.lines.len());
    let events = inspected["inspection"]["events"]["value"].as_u64();
    assert_eq!(events, Some(expected.events.len() as u64), "{inspected:#}");
    assert!(merged.json()["unsupported"].is_string(), "{merged}");

    let verified = world.over("verify", &run).run().exits(0);
    assert_eq!(verified.json()["differences"], 0, "{verified}");
    let group = &expected.plan.groups[0];
    let lookup = Call::new(&["lookup", &group.sources[0], run.to_str().expect("UTF-8")]);
    let found = lookup.run().exits(0);
    assert!(found.to_string().contains(&group.survivor), "{found}");
    let runs = Call::new(&["runs"]).with("--keyspace", &world.keyspace);
    let runs = runs.with("--hosts", &world.addresses.hosts).flag("--json").run().exits(0);
    let id = run.file_name().and_then(|name| name.to_str()).expect("a run has a name");
    assert!(runs.to_string().contains(&world.keyspace) || runs.to_string().contains(id), "{runs}");

    world.over("undo", &run).environment("TRIBUTARY_FAILPOINT", "batch:5").run().was_killed();
    world.over("undo", &run).run().exits(0);
    world.assert_tables(&before);
}

/// What the application writes to maps of both accounts after the merge.
fn late_elements_are_taken_or_listed(world: &World) {
    let mut data = Data::new(5);
    let stories = ["taken", "both", "gone", "changed", "again"];
    for story in stories {
        let (from, to) = (format!("{story}-from"), format!("{story}-to"));
        data.enrol("b", &from, columns([("contentstatus", json!({"old": 1, "kept": 1}))]));
        data.consume([&from, "c", "b", "k"], columns([("status", json!(1))]));
        data.pair(&from, &to);
    }
    world.load(&data.tables);
    let (pairs, run) = (world.file("pairs.csv", to_csv(&data.lines)), world.run_dir());
    let merged = world.apply(&pairs, &run).run().exits(0);
    let set = |account: &str, set: &str| {
        world.cql(&format!(
            "UPDATE user_courses SET {set} WHERE batchid = 'b' AND userid = '{account}'"
        ));
    };
    // Elements that only the source has got, or changed: they are later than its copy.
    set("taken-from", "contentstatus['new'] = 2, contentstatus['old'] = 3");
    // Elements that both have got: which was later cannot be told; a column beside them can.
    set("both-to", "contentstatus['old'] = 8");
    set("both-from", "contentstatus['old'] = 9, contentstatus['fine'] = 9, delta = 'late'");
    // The survivor's was removed.
    set("gone-to", "contentstatus = contentstatus - {'old'}");
    set("gone-from", "contentstatus['old'] = 7");
    set("changed-to", "contentstatus['old'] = 6");
    set("again-from", "contentstatus['new'] = 1");

    let swept = world.over("resume", &run).run().exits(3);
    let maps = |account: &str| {
        let tables = world.dump();
        let row = tables.user_courses.get(&("b".to_owned(), account.to_owned()));
        row.map(|row| (row["contentstatus"].clone(), row.get("delta").cloned()))
    };
    let map = |value: Value, delta: Option<&str>| Some((value, delta.map(Value::from)));
    assert_eq!(maps("taken-to"), map(json!({"old": 3, "kept": 1, "new": 2}), None));
    assert_eq!(maps("taken-from"), None);
    assert_eq!(maps("again-to"), map(json!({"old": 1, "kept": 1, "new": 1}), None));
    assert_eq!(maps("changed-to"), map(json!({"old": 6, "kept": 1}), None));
    let fine = json!({"old": 8, "kept": 1, "fine": 9});
    assert_eq!(maps("both-to"), map(fine, Some("late")));
    assert_eq!(maps("both-from"), map(json!({"old": 9}), None), "nothing is lost");
    assert_eq!(maps("gone-to"), map(json!({"kept": 1}), None));
    assert_eq!(maps("gone-from"), map(json!({"old": 7}), None));
    let left = lines(&run, "sweep.csv", "from");
    assert_eq!(left.keys().collect::<Vec<_>>(), ["both-from", "gone-from"], "{left:?}");
    assert!(left["both-from"]["reason"].starts_with("contentstatus[old] changed"), "{left:?}");
    // Whoever looks again tells it again, and nothing else happens.
    let again = world.over("resume", &run).run().exits(3);
    let rows = |report: &Finished| report.json()["swept"]["rows"].as_u64();
    assert!(rows(&swept) >= Some(4) && rows(&again) == Some(0), "{again}");
    assert_eq!(lines(&run, "sweep.csv", "from").len(), 2);
    assert!(
        merged.json()["unsupported"].as_str().is_some_and(|said| said.contains("contentstatus"))
    );

    undated_is_settled_by_a_repair(world, &run);
}

fn undated_is_settled_by_a_repair(world: &World, run: &Path) {
    let count = |report: &Finished, kind: &str| {
        let tables = report.json()["tables"].as_array().cloned().expect("there are tables");
        tables.iter().filter_map(|table| table[kind].as_u64()).sum::<u64>()
    };
    let before = world.dump();
    let verified = world.over("verify", run).run().exits(4);
    assert_eq!(count(&verified, "undated"), 3, "{verified}");
    let said = lines(run, "diff.csv", "account");
    assert_eq!(said["changed-to"]["verdict"], "undated", "{said:?}");
    assert_eq!(said["changed-to"]["column"], "contentstatus[old]");
    // What is written at the times of the run can win over nothing that is later.
    let repaired = world.over("verify", run).flag("--repair").run().exits(0);
    assert_eq!((count(&repaired, "undated"), count(&repaired, "repaired")), (0, 0), "{repaired}");
    assert_eq!(count(&repaired, "changed_since"), 3, "{repaired}");
    world.assert_tables(&before);

    // What changed since is a conflict, told by its value; the others go back.
    let conflicts = world.over("undo", run).run().exits(4);
    assert!(conflicts.json()["conflicts"].as_u64() > Some(0), "{conflicts}");
    let row = world.dump().user_courses[&("b".to_owned(), "taken-from".to_owned())].clone();
    assert_eq!(row["contentstatus"], json!({"old": 3, "kept": 1, "new": 2}), "as it was");
}
