//! A run that is undone: both tables are as they were, and what someone changed since is left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::data::{self, Data, columns};
use crate::frames::INVALID;
use crate::model::{self, Line, Outcome, Tables};
use crate::process::{Call, Finished, read_json};
use crate::proxy::{Fate, Proxy};
use crate::services;
use crate::stops::wait_until;
use crate::times::now_us;
use crate::world::{Event, World, assert_same, to_csv};

/// The steps of an undo, from its first to its last.
pub(crate) const STEPS: [&str; 6] =
    ["intend", "intended", "batch", "given-back", "restored", "undone"];

/// A world that was merged, and how it had been.
pub(crate) struct Applied {
    pub(crate) world: World,
    pub(crate) lines: Vec<Line>,
    pub(crate) pairs: PathBuf,
    pub(crate) before: Tables,
    pub(crate) expected: Outcome,
    pub(crate) run: PathBuf,
}

impl Applied {
    pub(crate) fn loaded(name: &str, data: Data) -> Self {
        let world = World::new(name);
        world.load(&data.tables);
        let before = data::without_empty_maps(data.tables);
        let expected = model::apply(&data.lines, &before);
        let pairs = world.file("pairs.csv", to_csv(&data.lines));
        let run = world.run_dir();
        Self { world, lines: data.lines, pairs, before, expected, run }
    }

    fn new(name: &str, data: Data) -> Self {
        let applied = Self::loaded(name, data);
        let code = if applied.expected.plan.rejected.is_empty() { 0 } else { 3 };
        applied.apply().run().exits(code);
        applied.world.assert_is(&applied.expected);
        applied
    }

    pub(crate) fn apply(&self) -> Call {
        self.world.apply(&self.pairs, &self.run)
    }

    fn undo(&self) -> Call {
        Call::new(&["undo", self.run.to_str().expect("the tests use UTF-8")])
            .with("--hosts", &self.world.addresses.hosts)
            .flag("--json")
    }

    /// The enrolments that are announced when everything is undone.
    fn announced(&self) -> BTreeMap<(String, String), Value> {
        let (before, after) = (&self.before, &self.expected.tables);
        let mut announced = BTreeSet::new();
        for group in &self.expected.plan.groups {
            for key in before.user_courses.keys().filter(|key| group.sources.contains(&key.1)) {
                if !after.user_courses.contains_key(key) {
                    announced.insert(key.clone());
                }
            }
            let content = after.content_consumption.iter().filter(|(key, row)| {
                key.0 == group.survivor && before.content_consumption.get(*key) != Some(*row)
            });
            let enrolments = content.map(|(key, _)| (key.2.clone(), group.survivor.clone()));
            announced.extend(enrolments.filter(|key| before.user_courses.contains_key(key)));
        }
        let event = |(batch, account): (String, String)| {
            let course = before.user_courses[&(batch.clone(), account.clone())].get("courseid");
            let smallest = || model::smallest_course(&account, &batch, before);
            let course = course.cloned().unwrap_or_else(smallest);
            let event = model::event(&account, &batch, &course);
            ((account, batch), event)
        };
        announced.into_iter().map(event).collect()
    }

    /// The events of the topic beside those of the merge, each with one id.
    #[track_caller]
    fn undo_events(&self) -> BTreeMap<(String, String), Event> {
        let mut events: BTreeMap<(String, String), Event> = BTreeMap::new();
        let mut merged: BTreeSet<_> = self.expected.events.keys().cloned().collect();
        for (object, event) in self.world.messages() {
            if merged.remove(&object) {
                continue;
            }
            let before = events.insert(object, event.clone());
            assert!(before.is_none_or(|before| before == event), "two ids: {event:?}");
        }
        events
    }

    #[track_caller]
    fn assert_undone(&self) {
        self.world.assert_tables(&self.before);
        let events = self.undo_events().into_iter();
        let payloads = events.map(|(object, event)| (object, event.payload)).collect();
        assert_same("event", &self.announced(), &payloads);
    }
}

fn count(finished: &Finished, name: &str) -> u64 {
    let groups = &finished.json()["groups"];
    groups[name].as_u64().unwrap_or_else(|| panic!("no groups.{name}: {finished}"))
}

/// Each source has a content and an enrolment of its own, and one content that the target has too, with a
/// lower status; every third target is enrolled itself.
fn plain(pairs: usize) -> Data {
    let mut data = Data::new(43);
    for n in 0..pairs {
        let (from, to, batch) = (format!("from-{n}."), format!("to-{n}."), format!("b{}", n % 7));
        let status = |status: i32| columns([("status", json!(status)), ("grade", json!("A"))]);
        data.consume([&from, "own", &batch, "k"], status(1));
        data.consume([&from, "both", &batch, "k"], status(2));
        data.consume([&to, "both", &batch, "k"], status(1));
        let map = json!({ "do_1": 1, "do_2": 2 });
        let row = columns([("courseid", json!("k")), ("contentstatus", map)]);
        if n % 3 == 0 {
            data.enrol(&batch, &to, columns([("progress", json!(n))]));
        }
        data.enrol(&batch, &from, row);
        data.pair(&from, &to);
    }
    data
}

/// Whoever undoes a whole run has everything back, and nothing more to do; what the run rejected is none of it.
pub(crate) fn undo_gives_back_every_row(applied: &Applied, window: &str) {
    let undo = || applied.undo().environment("TRIBUTARY_WINDOW", window).run().exits(0);
    let groups = applied.expected.plan.groups.len() as u64;
    let finished = undo();
    assert_eq!((count(&finished, "selected"), count(&finished, "undone")), (groups, groups));
    applied.assert_undone();
    let report = finished.json();
    let of = |table: &str, name: &str| {
        let tables = report["tables"].as_array().expect("a report has tables");
        let table = tables.iter().find(|facts| facts["table"] == table).expect("it is there");
        table[name].as_u64().expect("a count")
    };
    let Outcome { user_courses, content_consumption, .. } = &applied.expected;
    assert_eq!(of("user_courses", "given_back"), user_courses.source_rows);
    assert_eq!(of("content_consumption", "given_back"), content_consumption.source_rows);
    assert_eq!(report["events"]["acknowledged"], applied.announced().len(), "{finished}");
    assert_eq!(read_json(&applied.run.join("undo.json")), report);

    // It has had its turn.
    let again = undo();
    assert_eq!((count(&again, "selected"), count(&again, "undone_before")), (0, groups));
    applied.world.resume(&applied.run).run().exits(2).names("taken back");
    applied.assert_undone();
}

#[test]
fn undo_can_be_silent() {
    let applied = Applied::new("undo_silent", plain(5));
    let finished = applied.undo().without("--json").flag("--no-events").run().exits(0);
    for printed in ["5 = 5 taken back", "content_consumption", "none, as asked for"] {
        assert!(finished.stdout.contains(printed), "no {printed:?}: {finished}");
    }
    assert!(finished.stdout.lines().all(|line| line.chars().count() <= 100), "{finished}");
    applied.world.assert_tables(&applied.before);
    assert_eq!(applied.undo_events(), BTreeMap::new());
}

/// A line of conflicts.csv by column.
type Record = BTreeMap<String, String>;

fn conflicts(run: &Path) -> Vec<Record> {
    let mut reader = csv::Reader::from_path(run.join("conflicts.csv")).expect("it is there");
    reader.deserialize().map(|record| record.expect("every record has all columns")).collect()
}

#[test]
fn what_is_kept_stays_listed_and_nothing_is_advised_that_leads_nowhere() {
    let applied = Applied::new("undo_kept", plain(4));
    applied.world.cql("UPDATE content_consumption SET grade = 'B' WHERE userid = 'to-1.' AND contentid = 'own' AND batchid = 'b1' AND courseid = 'k'");
    let finished = applied.undo().run().exits(4);
    assert_eq!((count(&finished, "undone"), count(&finished, "disputed")), (3, 1), "{finished}");
    let listed = conflicts(&applied.run);
    assert_eq!(listed.len(), 1, "{listed:?}");
    let finished = applied.undo().flag("--keep-changed").run().exits(0);
    let pairs = &finished.json()["pairs"];
    assert_eq!((count(&finished, "kept_changed"), pairs["kept_changed"].as_u64()), (1, Some(1)));
    assert_eq!(conflicts(&applied.run), listed);

    // Whatever comes after, the list of what was kept stays.
    let finished = applied.undo().run().exits(0);
    assert_eq!(finished.json()["conflicts_kept"], 1, "{finished}");
    assert_eq!(finished.json()["advice"], json!([]), "{finished}");
    assert_eq!(conflicts(&applied.run), listed);

    let run = applied.run.to_str().expect("the tests use UTF-8");
    let over = |command| Call::new(&[command, run]).with("--hosts", &applied.world.addresses.hosts);
    let verified = over("verify").flag("--json").run().exits(0);
    assert_eq!(verified.json()["advice"], json!([]), "{verified}");
    let refused = over("resume").run().exits(2);
    let says = "Nothing of it is left to take back. To merge its pairs again, as a new run: ";
    assert!(refused.stderr.contains(says), "{refused}");
}

#[test]
fn what_was_changed_since_is_left_alone_and_listed() {
    let applied = Applied::new("undo_conflicts", plain(20));
    let content = |account: &str, n: usize, content: &str| {
        format!(
            "userid = '{account}-{n}.' AND contentid = '{content}' AND batchid = 'b{}' AND \
             courseid = 'k'",
            n % 7
        )
    };
    let enrolment =
        |account: &str, n: usize| format!("batchid = 'b{}' AND userid = '{account}-{n}.'", n % 7);
    let set = |table: &str, set: &str, key: &str| {
        applied.world.cql(&format!("UPDATE {table} SET {set} WHERE {key}"));
    };
    let mut expected: BTreeSet<[String; 6]> = BTreeSet::new();
    let mut conflict = |table: &str, n: usize, account: &str, [column, was, is]: [&str; 3]| {
        let account = format!("{account}-{n}.");
        let fields = [table, &account, column, was, is, &format!("from-{n}.")];
        expected.insert(fields.map(str::to_owned));
    };
    let content_table = "content_consumption";
    // A copy: another value, a cell that was not there, and one that is gone.
    set(content_table, "grade = 'B'", &content("to", 1, "own"));
    conflict(content_table, 1, "to", ["grade", "A", "B"]);
    set(content_table, "score = ''", &content("to", 2, "own"));
    conflict(content_table, 2, "to", ["score", "", "\"\""]);
    set(content_table, "status = null", &content("to", 3, "own"));
    conflict(content_table, 3, "to", ["status", "1", ""]);
    // A row of the target's own: what was raised, and what the run has not looked at.
    set(content_table, "status = 3", &content("to", 4, "both"));
    conflict(content_table, 4, "to", ["status", "2", "3"]);
    set(content_table, "grade = 'B'", &content("to", 5, "both"));
    // The target's enrolment, which was copied; one of its own is none of the run's business.
    set("user_courses", "contentstatus['do_3'] = 1", &enrolment("to", 7));
    let (was, is) = (r#"{"do_1":1,"do_2":2}"#, r#"{"do_1":1,"do_2":2,"do_3":1}"#);
    conflict("user_courses", 7, "to", ["contentstatus", was, is]);
    set("user_courses", "progress = 99", &enrolment("to", 9));
    // Sources that own rows again: those are theirs, and no conflict.
    set(content_table, "status = 1", &content("from", 10, "both"));
    set("user_courses", "courseid = 'x'", &enrolment("from", 11));
    set("user_courses", "contentstatus['do_3'] = 7", &enrolment("from", 12));
    // As it was before the run, whoever saw to that.
    set(content_table, "status = 1", &content("to", 13, "both"));
    set(content_table, "status = 2", &content("from", 13, "both"));
    // A copy that somebody deleted.
    applied.world.cql(&format!("DELETE FROM {content_table} WHERE {}", content("to", 14, "own")));
    conflict(content_table, 14, "to", ["status", "1", ""]);
    conflict(content_table, 14, "to", ["grade", "A", ""]);
    let changed = applied.world.dump();

    let finished = applied.undo().run().exits(4);
    assert_eq!((count(&finished, "undone"), count(&finished, "disputed")), (14, 6), "{finished}");
    let listed = conflicts(&applied.run);
    let fields = ["table", "account", "column", "expected", "found", "from"];
    let seen: BTreeSet<_> =
        listed.iter().map(|line| fields.map(|name| line[name].clone())).collect();
    assert_eq!(seen, expected);
    assert_eq!(finished.json()["conflicts"], expected.len());
    for line in &listed {
        let key: Value = serde_json::from_str(&line["key"]).expect("a key is JSON");
        assert!(key["batchid"].is_string() && key.get("userid").is_none(), "{line:?}");
        // Older servers do not tell it of elements.
        let is_untold = services::older().is_some() && line["column"] == "contentstatus";
        let is_nowhere = line["found"].is_empty() || is_untold;
        assert_eq!(line["found_written_at"].is_empty(), is_nowhere, "{line:?}");
    }
    // Their keys are as they were found, and everything else is as before the run.
    let mut left = applied.before.clone();
    for line in &listed {
        let n: usize = line["from"][5..line["from"].len() - 1].parse().expect("its number");
        let key: Value = serde_json::from_str(&line["key"]).expect("a key is JSON");
        for account in [format!("from-{n}."), format!("to-{n}.")] {
            if line["table"] == content_table {
                let content = key["contentid"].as_str().expect("a text").to_owned();
                let key = (account, content, format!("b{}", n % 7), "k".to_owned());
                match changed.content_consumption.get(&key) {
                    Some(row) => _ = left.content_consumption.insert(key, row.clone()),
                    None => _ = left.content_consumption.remove(&key),
                }
            } else {
                let key = (format!("b{}", n % 7), account);
                match changed.user_courses.get(&key) {
                    Some(row) => _ = left.user_courses.insert(key, row.clone()),
                    None => _ = left.user_courses.remove(&key),
                }
            }
        }
    }
    // What nobody undoes.
    let lived = |tables: &mut Tables| {
        let both =
            |user: &str, n: usize| (user.into(), "both".into(), format!("b{}", n % 7), "k".into());
        let mut content = |user: &str, n: usize, column: &str, value: Value| {
            let row = tables.content_consumption.get_mut(&both(user, n)).expect("it is there");
            row.insert(column.into(), value);
        };
        content("to-5.", 5, "grade", json!("B"));
        content("from-10.", 10, "status", json!(1));
        let mut enrolment = |batch: &str, user: &str, column: &str, value: Value| {
            let key = (batch.to_owned(), user.to_owned());
            let row = tables.user_courses.get_mut(&key).expect("it is there");
            row.insert(column.into(), value);
        };
        enrolment("b2", "to-9.", "progress", json!(99));
        enrolment("b4", "from-11.", "courseid", json!("x"));
        let map = json!({ "do_1": 1, "do_2": 2, "do_3": 7 });
        enrolment("b5", "from-12.", "contentstatus", map);
    };
    lived(&mut left);
    applied.world.assert_tables(&left);

    // The list can be fed back; what is disputed still is.
    let file = applied
        .world
        .file("again.csv", std::fs::read(applied.run.join("conflicts.csv")).expect("it is there"));
    let finished = applied.undo().with("--pairs", &file).run().exits(4);
    assert_eq!((count(&finished, "selected"), count(&finished, "disputed")), (6, 6), "{finished}");
    assert_eq!(conflicts(&applied.run), listed);
    applied.world.assert_tables(&left);

    let finished = applied.undo().flag("--force").run().exits(0);
    assert_eq!((count(&finished, "undone"), count(&finished, "undone_before")), (6, 14));
    assert_eq!(conflicts(&applied.run), Vec::<Record>::new());
    let mut forced = applied.before.clone();
    lived(&mut forced);
    applied.world.assert_tables(&forced);
}

#[test]
fn groups_are_taken_back_whole_or_not_at_all() {
    let mut data = plain(6);
    data.study("extra.", "c", "b1");
    data.pair("extra.", "to-1.");
    let applied = Applied::new("undo_pairs", data);
    let undo = |text: &str| {
        let file = applied.world.file("some.csv", text);
        applied.undo().with("--pairs", file)
    };
    for (text, things) in [
        ("from,to\nfrom-1.,to-1.\n", &["\"extra.\"", "line 8"][..]),
        ("from,to\nfrom-2.,to-1.\n", &["\"from-2.\" → \"to-1.\"", "line 2"]),
        ("from,to\nfrom-2.,to-2.\nnobody,to-2.\n", &["\"nobody\"", "line 3"]),
        ("from,to\nfrom-2.,to-2.\n,to-2.\n", &["some.csv", "line 3"]),
        ("a,b\nfrom-2.,to-2.\n", &["some.csv", "'from'"]),
    ] {
        let finished = undo(text).run().exits(2);
        things.iter().fold(finished, |finished, thing| finished.names(thing));
    }
    applied.world.assert_is(&applied.expected);

    let finished = undo("line,to,from\n,to-1.,extra.\n,to-1.,from-1.\n,to-4.,from-4.\n").run();
    assert_eq!(count(&finished.exits(0), "undone"), 2);
    let rest: Vec<Line> = applied
        .lines
        .iter()
        .filter(|line| !matches!(line, Line::Pair(_, to) if to == "to-1." || to == "to-4."))
        .cloned()
        .collect();
    applied.world.assert_tables(&model::apply(&rest, &applied.before).tables);
    let finished = applied.undo().run().exits(0);
    assert_eq!((count(&finished, "undone"), count(&finished, "undone_before")), (4, 2));
    applied.assert_undone();
}

#[test]
fn an_undo_that_dies_at_each_step_goes_on() {
    let applied = Applied::new("undo_steps", plain(40));
    for step in STEPS {
        let call = applied
            .undo()
            .with("--in-flight", "4")
            .with("--brokers", &applied.world.addresses.brokers);
        call.environment("TRIBUTARY_FAILPOINT", &format!("{step}:3")).run().was_killed();
    }
    applied.undo().run().exits(0);
    applied.assert_undone();
}

#[test]
fn an_interrupted_undo_names_the_command_that_goes_on() {
    let applied = Applied::new("undo_interrupted", plain(30));
    let proxy = Proxy::with(&applied.world.addresses.hosts, |request, _| {
        if request.writes() { Fate::Delay(Duration::from_millis(50)) } else { Fate::Pass }
    });
    let call = applied.undo().without("--json").with("--hosts", &proxy.hosts);
    let running = call.with("--in-flight", "1").start();
    wait_until("a few writes", || proxy.seen().iter().filter(|s| s.request.writes()).count() > 8);
    running.interrupt();
    let finished = running.wait().exits(130);
    let command = format!("tributary undo {}", applied.run.display());
    assert!(finished.stdout.contains(&command), "{finished}");
    let stopped = read_json(&applied.run.join("undo.json"));
    assert_eq!(stopped["stopped"], "interrupted");
    let undone = stopped["groups"]["undone"].as_u64().expect("a count");
    assert!((1..30).contains(&undone), "{stopped:#}");
    let finished = applied.undo().run().exits(0);
    assert_eq!(count(&finished, "undone_before"), undone);
    applied.assert_undone();
}

#[test]
fn groups_that_fail_can_be_taken_back_later() {
    let applied = Applied::new("undo_failed", plain(20));
    let proxy = Proxy::with(&applied.world.addresses.hosts, |request, _| {
        let is_ill = request.writes() && request.binds("from-7.");
        if is_ill { Fate::Refuse(INVALID) } else { Fate::Pass }
    });
    let finished = applied.undo().with("--hosts", &proxy.hosts).run().exits(1);
    assert_eq!((count(&finished, "undone"), count(&finished, "failed")), (19, 1), "{finished}");
    assert!(finished.json()["again"].as_str().is_some_and(|again| again.contains(" undo ")));
    let finished = applied.undo().run().exits(0);
    assert_eq!(count(&finished, "undone"), 1, "{finished}");
    applied.assert_undone();
}

/// A run that was stopped half way is undone as far as it came.
#[test]
fn a_run_that_was_never_completed_can_be_taken_back() {
    for (n, step) in ["intended:9", "batch:20", "copied:7", "written:5"].into_iter().enumerate() {
        let applied = Applied::loaded(&format!("undo_half_{n}"), plain(20));
        let call = applied.apply().with("--in-flight", "3");
        call.environment("TRIBUTARY_FAILPOINT", step).run().was_killed();
        applied.undo().run().exits(0);
        applied.world.assert_tables(&applied.before);
    }
}

/// What was written to sources while they were merged, or lies in the future, comes back with the rest.
#[test]
fn what_the_sweep_took_comes_back() {
    let applied = Applied::loaded("undo_swept", plain(8));
    applied.apply().flag("--no-sweep").run().exits(0);
    let ahead = now_us() + 600_000_000;
    let mut before = applied.before.clone();
    let content = |n: usize, content: &str| {
        (format!("from-{n}."), content.to_owned(), format!("b{}", n % 7), "k".to_owned())
    };
    let mut set = |n: usize, name: &str, column: &str, value: Value, using: &str| {
        let (user, _, batch, _) = content(n, name);
        let cql = value.to_string().replace('"', "'");
        applied.world.cql(&format!(
            "UPDATE content_consumption {using} SET {column} = {cql} WHERE userid = '{user}' AND \
             contentid = '{name}' AND batchid = '{batch}' AND courseid = 'k'"
        ));
        let row = before.content_consumption.entry(content(n, name)).or_default();
        row.insert(column.to_owned(), value);
    };
    let using = format!("USING TIMESTAMP {ahead}");
    set(1, "own", "score", json!("late"), "");
    set(2, "own", "score", json!("ahead"), &using);
    set(3, "both", "status", json!(3), "");
    set(4, "both", "status", json!(3), &using);
    set(5, "new", "grade", json!("new"), "");
    set(6, "new", "grade", json!("ahead"), &using);
    for (n, using) in [(4, ""), (5, using.as_str())] {
        let (user, batch) = (format!("from-{n}."), format!("b{}", n % 7));
        applied.world.cql(&format!(
            "UPDATE user_courses {using} SET contentstatus['do_3'] = 3, progress = 7 WHERE \
             batchid = '{batch}' AND userid = '{user}'"
        ));
        let row = before.user_courses.get_mut(&(batch, user)).expect("it is there");
        row.insert("contentstatus".into(), json!({ "do_1": 1, "do_2": 2, "do_3": 3 }));
        row.insert("progress".into(), json!(7));
    }
    std::thread::sleep(Duration::from_millis(200)); // longer than --settle
    applied.world.resume(&applied.run).run().exits(0);
    let swept = applied.world.dump();
    assert!(swept.content_consumption.keys().all(|key| !key.0.starts_with("from-")));

    applied.undo().run().exits(0);
    applied.world.assert_tables(&before);
    let run = applied.world.run_dir();
    applied.world.apply(&applied.pairs, &run).run().exits(0);
    applied.world.assert_tables(&swept);
}
