//! What `plan --inspect` says is what `apply` then does, and it changes nothing; a run that is bound to a plan merges
//! that plan and nothing else.

use std::path::Path;

use serde_json::{Value, json};

use crate::data::{self, Data, columns};
use crate::model;
use crate::pages::shell::Job;
use crate::process::Call;
use crate::proxy::{Fate, Proxy};
use crate::services;
use crate::stops::wait_until;
use crate::world::{World, runtime, to_csv};

/// `plan --inspect` of everything.
pub(crate) fn inspect(world: &World, pairs: &Path, run: &Path) -> Call {
    Call::new(&["plan", pairs.to_str().expect("the tests use UTF-8")])
        .with("--inspect", "all")
        .with("--hosts", &world.addresses.hosts)
        .with("--keyspace", &world.keyspace)
        .with("--run-dir", run)
        .flag("--json")
}

/// What both reports say of the same things.
fn shown(tables: &Value, value: impl Fn(&Value) -> Value) -> Vec<(Value, Vec<Value>)> {
    let tables = tables.as_array().expect("there are tables").iter();
    let counters = ["source_rows", "copied", "merged", "unchanged", "deleted"];
    tables
        .map(|table| (table["table"].clone(), counters.map(|name| value(&table[name])).to_vec()))
        .collect()
}

/// Asserts that an inspection said what the run then did.
#[track_caller]
pub(crate) fn assert_foretold(inspected: &Value, applied: &Value) {
    let inspection = &inspected["inspection"];
    assert_eq!(inspection["coverage"]["is_exact"], true, "{inspection:#}");
    let exact = |estimate: &Value| {
        assert_eq!(estimate["low"], estimate["high"], "{estimate}");
        estimate["value"].clone()
    };
    let foretold = shown(&inspection["tables"], exact);
    assert_eq!(foretold, shown(&applied["tables"], Value::clone));
    for (one, other) in [
        ("/absent_sources/accounts", "/absent_sources"),
        ("/absent_survivors/accounts", "/absent_survivors"),
        ("/events", "/events/acknowledged"),
        ("/batches", "/batches"),
    ] {
        let foretold = exact(inspection.pointer(one).expect("it is there"));
        assert_eq!(Some(&foretold), applied.pointer(other), "{one}");
    }
}

/// Asserts what is foretold of the awkward cases, which is known by construction, and that apply says it, too.
#[track_caller]
pub(crate) fn assert_awkward(inspection: &Value, applied: &Value, run: &Path) {
    // The batch of ten thousand loses the 1,500 users that are merged.
    let hottest = &inspection["deletes"]["hottest"][0];
    assert_eq!(hottest["partition"], "ten-thousand", "{hottest:#}");
    assert_eq!(hottest["deletes"], 1_500);
    assert_eq!(hottest["there"], json!({"rows": 10_000, "tombstones": 0, "is_whole": true}));
    assert_eq!(inspection["deletes"]["warn"], 1_000);
    // Before 4.0 a server does not say how it is set.
    assert_eq!(inspection["deletes"]["is_told"], services::older() != Some("3.11"));
    assert_eq!(inspection["deletes"]["over_warn"], 1);
    let largest = &inspection["largest"];
    assert_eq!(largest[0]["account"], "wide-from", "{largest:#}");
    assert_eq!((&largest[0]["rows"], &largest[0]["is_survivor"]), (&json!(20_030), &json!(false)));
    assert_eq!(inspection["missed"]["clustered_rows"], Value::Null);
    let absent = &inspection["absent_sources"]["first"][0];
    assert_eq!(absent, &json!({"account": "absent-both-from", "line": 2}));

    // apply warns of it, too, while it runs and at its end.
    assert_eq!(applied["deletes"]["hottest"][0]["partition"], "ten-thousand");
    assert_eq!(applied["deletes"]["hottest"][0]["deletes"], 1_500);
    let log = std::fs::read_to_string(run.join("run.log")).expect("there is a log");
    assert!(log.contains("1000 rows are deleted in 'ten-thousand' of user_courses"), "{log}");
}

/// Asserts what is foretold once the awkward cases are merged; the world is as it was afterwards.
#[track_caller]
pub(crate) fn assert_nothing_left(world: &World, csv: &Path) {
    // Nothing is left to be deleted; for others in that batch, what was deleted is what a read meets.
    let again = inspect(world, csv, &world.run_dir()).run().exits(3).json();
    assert_eq!(again["inspection"]["deletes"]["hottest"], json!([]));
    world.cql(
        "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status) \
         VALUES ('user-9999', 'c', 'ten-thousand', 'course', 1)",
    );
    let csv = world.file("more.csv", "from,to\nuser-9999,user-9998\n");
    let more = inspect(world, &csv, &world.run_dir()).run().exits(0).json();
    let hottest = &more["inspection"]["deletes"]["hottest"][0];
    assert_eq!(hottest["deletes"], 1);
    assert_eq!(hottest["there"]["tombstones"], 1_500, "{hottest:#}");
    world.cql("DELETE FROM content_consumption WHERE userid = 'user-9999'");
}

/// Asserts that the journal takes about what was said.
#[track_caller]
pub(crate) fn assert_journal(inspection: &Value, run: &Path) {
    let shown = inspection["journal_bytes"]["value"].as_u64().expect("a number") as f64;
    let journal = std::fs::metadata(run.join("journal.sqlite")).expect("there is a journal");
    let takes = journal.len() as f64;
    assert!((0.8..1.25).contains(&(shown / takes)), "{shown} foretold, and it takes {takes}");
}

#[test]
fn random_worlds_are_foretold_and_both_rows_of_a_conflict_are_shown() {
    let world = World::new("foretold_random");
    let mut data = Data::new(23);
    for n in 0..120 {
        data::small(n, &mut data);
    }
    // On the first lines, so that it is the example.
    let mut lines = vec![model::Line::Pair("conflict-from".into(), "conflict-to".into())];
    lines.append(&mut data.lines);
    data.consume(
        ["conflict-from", "c", "b", "k"],
        columns([("status", json!(2)), ("grade", json!("<b>source's</b>"))]),
    );
    data.consume(
        ["conflict-to", "c", "b", "k"],
        columns([("status", json!(1)), ("grade", json!("survivor's"))]),
    );
    world.load(&data.tables);
    let expected = model::apply(&lines, &data::without_empty_maps(data.tables));
    let (csv, plan) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let proxy = Proxy::with(&world.addresses.hosts, |_, _| Fate::Pass);
    let call = inspect(&world, &csv, &plan).with("--hosts", &proxy.hosts);
    let inspected = call.run().exits(3).json();
    let seen = proxy.seen();
    assert!(seen.len() > 100 && !seen.iter().any(|seen| seen.request.writes()), "{}", seen.len());
    let conflict = &inspected["inspection"]["conflicts"][0];
    assert_eq!((&conflict["line"], &conflict["is_merged"]), (&json!(2), &json!(true)));
    assert_eq!(conflict["key"], r#"{"batchid":"b","contentid":"c","courseid":"k"}"#);
    let shown = |at: usize| {
        let column = &conflict["columns"][at];
        assert!(column["survivor_written_at"].is_string(), "{column:#}");
        ["column", "survivor", "source", "result"].map(|field| column[field].clone())
    };
    assert_eq!(shown(0), ["status", "1", "2", "2"].map(Value::from));
    assert_eq!(shown(1), ["grade", "survivor's", "<b>source's</b>", "survivor's"].map(Value::from));
    assert_eq!(conflict["is_complete"], true);

    // Without PAIRS, the plan's own copy is merged.
    let apply = world.apply(&csv, &world.run_dir()).without_pairs().with("--plan", &plan);
    let applied = apply.run().exits(3).json();
    world.assert_is(&expected);
    assert_foretold(&inspected, &applied);
}

#[test]
fn what_content_does_not_lead_to_is_counted_by_a_scan() {
    let world = World::new("foretold_scan");
    let mut data = Data::new(29);
    for n in 0..40 {
        let from = format!("from-{n}");
        data.study(&from, "c", "led");
        data.pair(&from, &format!("to-{n}"));
        if n % 4 == 0 {
            data.enrol("missed", &from, columns([("progress", json!(n))]));
        }
    }
    world.load(&data.tables);
    let csv = world.file("pairs.csv", to_csv(&data.lines));
    let plan = world.run_dir();
    let call = inspect(&world, &csv, &plan).with("--discover", "scan");
    let inspected = call.run().exits(0).json();
    let missed = &inspected["inspection"]["missed"];
    assert_eq!(missed["clustered_rows"], json!({"value": 10, "low": 10, "high": 10}));
    let bound = || world.apply(&csv, &world.run_dir()).with("--plan", &plan);
    let other = bound().with("--discover", "content").run().exits(2);
    other.names("--discover is 'content', but this run goes on with 'scan' only");
    let call = bound();
    assert_foretold(&inspected, &call.run().exits(0).json());
}

#[test]
fn a_sample_says_how_sure_it_is() {
    let world = World::new("sample");
    let mut data = Data::new(31);
    for n in 0..400 {
        let from = format!("from-{n}");
        for content in 0..=n % 5 {
            data.study(&from, &format!("c{content}"), "b");
        }
        data.pair(&from, &format!("to-{n}"));
    }
    world.load(&data.tables);
    let csv = world.file("pairs.csv", to_csv(&data.lines));
    let call = inspect(&world, &csv, &world.run_dir()).with("--inspect", "sample=200");
    let inspection = call.run().exits(0).json()["inspection"].clone();
    assert_eq!(inspection["coverage"]["is_exact"], false);
    assert_eq!(inspection["coverage"]["groups"], 200);
    assert!(inspection["coverage"]["seed"].is_u64());
    let rows = &inspection["tables"][0]["source_rows"];
    let [low, high] = ["low", "high"].map(|end| rows[end].as_u64().expect("a number"));
    // A half of the groups: at some five standard errors it is far from every other number.
    assert!(low < high && low > 1_000 && high < 1_400, "{rows}");
    let hot = &inspection["deletes"]["hottest"][0];
    assert_eq!(hot["deletes"], 400);
    // As many as there are is all of them.
    let call = inspect(&world, &csv, &world.run_dir()).with("--inspect", "sample=400");
    assert_eq!(call.run().exits(0).json()["inspection"]["coverage"]["is_exact"], true);
}

#[test]
fn a_run_that_is_bound_to_a_plan_refuses_everything_else() {
    let world = World::new("bound");
    let mut data = Data::new(37);
    data.study("a", "c", "b");
    data.pair("a", "z");
    data.pair("y", "z");
    world.load(&data.tables);
    let (csv, plan) = (world.file("pairs.csv", to_csv(&data.lines)), world.run_dir());
    inspect(&world, &csv, &plan).run().exits(0);
    let bound = |pairs: &Path| world.apply(pairs, &world.run_dir()).with("--plan", &plan);
    let spec = include_str!("../../src/spec/course-batch.toml");

    let other = world.file("other.csv", "from,to\na,z\n");
    bound(&other).run().exits(2).names("its input is SHA-256").names("other.csv");
    let other = world.file("spec.toml", format!("{spec}\n# another\n"));
    bound(&csv).with("--spec", &other).run().exits(2).names("its merge specification is");
    bound(&csv)
        .with("--keyspace", "elsewhere")
        .run()
        .exits(2)
        .names("--keyspace is 'elsewhere', but this run goes on with");
    // The same file, read in another way.
    let call = bound(&csv).with("--from-column", "to").with("--to-column", "from");
    call.run().exits(2).names("its resolution is");
    let applied = world.run_dir();
    world.apply(&csv, &applied).run().exits(0);
    world.apply(&csv, &world.run_dir()).with("--plan", &applied).run().exits(2).names("not a plan");
    let missing = world.path("missing");
    world
        .apply(&csv, &world.run_dir())
        .with("--plan", &missing)
        .run()
        .exits(1)
        .names("no run directory");
    bound(&csv).run().exits(0);
}

#[test]
fn an_interrupt_ends_an_inspection_and_leaves_nothing() {
    let world = World::new("inspect_stop");
    let mut data = Data::new(43);
    for n in 0..50 {
        data.study(&format!("from-{n}"), "c", "b");
        data.pair(&format!("from-{n}"), &format!("to-{n}"));
    }
    world.load(&data.tables);
    let csv = world.file("pairs.csv", to_csv(&data.lines));
    let proxy = Proxy::with(&world.addresses.hosts, |_, _| Fate::Pass);
    let run = world.run_dir();
    // The second group would have its turn after the test.
    let call = inspect(&world, &csv, &run).with("--hosts", &proxy.hosts).with("--rate", "0.001");
    let running = call.start();
    wait_until("a group is read", || proxy.count() > 0);
    running.interrupt();
    running.wait().exits(130).names("nothing was changed");
    assert!(!run.exists());
}

#[test]
fn a_plan_that_opens_no_connection_takes_no_flag_of_one() {
    let world = World::new("no_inspection");
    let csv = world.file("pairs.csv", "from,to\na,b\n");
    let call = inspect(&world, &csv, &world.run_dir()).without("--inspect");
    call.run().exits(2).names("--inspect");
    let run = world.run_dir();
    let call = inspect(&world, &csv, &run).with("--hosts", "127.0.0.1:1");
    call.run().exits(1).names("cannot connect");
    assert!(!run.exists(), "nothing is left of it");
}

#[test]
fn an_inspection_for_people_fits_a_terminal() {
    let world = World::new("inspect_text");
    let mut data = Data::new(41);
    for n in 0..30 {
        data::small(n, &mut data);
    }
    data.pair(&"x".repeat(300), &"y".repeat(300));
    data.consume([&"x".repeat(300), &"c".repeat(300), "b", "k"], columns([("status", json!(1))]));
    data.consume([&"y".repeat(300), &"c".repeat(300), "b", "k"], columns([("status", json!(2))]));
    data.pair("\u{1b}[2J-from", "\u{1b}[2J-to");
    world.load(&data.tables);
    let csv = world.file("pairs.csv", to_csv(&data.lines));
    for selection in ["all", "sample=12"] {
        let call = inspect(&world, &csv, &world.run_dir()).without("--json");
        let text = call.with("--inspect", selection).run().exits(3).stdout;
        let wide =
            text.lines().find(|line| line.chars().count() > 80 && !line.contains("tributary"));
        assert_eq!(wide, None, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        for word in ["to copy", "Conflicts", "Absent", "Chained", "Journal", "apply --plan"] {
            assert!(text.contains(word) || word == "Absent", "no {word}: {text}");
        }
    }
}

/// Law 13: it merges by the rules, and with the register, that were planned with, wherever these came from.
#[test]
fn what_a_plan_advises_merges_what_was_planned() {
    let world = World::new("advised");
    let mut data = Data::new(41);
    for n in 0..5 {
        data.study(&format!("from-{n}"), "c", "b");
        data.pair(&format!("from-{n}"), &format!("to-{n}"));
    }
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    let csv = String::from_utf8(to_csv(&data.lines)).expect("the tests use UTF-8");
    let csv = world.file("pairs.csv", csv.replacen("from,to", "old,new", 1));
    let spec = include_str!("../../src/spec/course-batch.toml");
    let spec = world.file("rules.toml", spec.replacen("\"course-batch\"", "\"our rules\"", 1));
    let register = format!("{}_register", world.keyspace);
    let (by_flags, by_file) = (world.run_dir(), world.run_dir());
    let planned = |call: Call| {
        let json = call.with("--spec", &spec).with("--from-column", "old").run().exits(0).json();
        json["advice"][0]["command"].as_str().expect("it is text").to_owned()
    };
    let call = inspect(&world, &csv, &by_flags).with("--register", &register);
    let advised = planned(call.with("--to-column", "new"));
    let own = by_flags.to_str().expect("the tests use UTF-8");
    assert_eq!(advised, format!("tributary apply --plan {own} --topic TOPIC"));
    // A file that says more is named again; without --inspect, the keyspace may stand there.
    let config = format!(
        "keyspace = '{}'\ntopic = '{}'\nto_column = 'new'\nregister = '{register}'\n",
        world.keyspace, world.topic
    );
    let config = world.file("tributary.toml", config);
    let plan = Call::new(&["plan", csv.to_str().expect("the tests use UTF-8"), "--json"]);
    let again = planned(plan.with("--config", &config).with("--run-dir", &by_file));
    let (file, own) = (config.display(), by_file.display());
    assert_eq!(again, format!("tributary apply --plan {own} --config {file}"));

    let environment = [("TRIBUTARY_BROKERS", world.addresses.brokers.as_str())];
    let line = advised.replace("TOPIC", &world.topic);
    let folder = world.path("");
    Job::start(&folder, &line, &environment).ends_with(0);
    world.assert_is(&expected);
    let registered = |run: &str| {
        let query = format!("SELECT run FROM {register}.runs");
        let rows = runtime().block_on(crate::tables::rows(world.session(), &query));
        assert!(rows.len() == 1, "{run}: {rows:?}");
    };
    registered(&line);
    world.cql(&format!("DROP KEYSPACE {register}"));
}
