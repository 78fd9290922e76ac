//! Enrolments that no content leads to: left by `--discover content`, found by `--discover scan`, whatever stops it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::data::{self, AWKWARD_TEXTS, Data, columns};
use crate::frames::{Form, INVALID, READ_TIMEOUT, Request};
use crate::merge::assert_whole_run;
use crate::model::{self, Line, Outcome, Tables};
use crate::process::{Call, read_json};
use crate::proxy::{Fate, Proxy};
use crate::stops::wait_until;
use crate::world::{World, to_csv};

/// As the protocol numbers it.
const LOCAL_QUORUM: u16 = 6;

/// Pairs, most of which have enrolments in batches that nothing else names.
struct Scene {
    world: World,
    lines: Vec<Line>,
    tables: Tables,
    pairs: PathBuf,
    run: PathBuf,
}

impl Scene {
    fn new(name: &str, groups: u64) -> Self {
        let world = World::new(name);
        let Data { lines, tables, .. } = enrolments(groups);
        world.load(&tables);
        let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
        Self { world, lines, tables: data::without_empty_maps(tables), pairs, run }
    }

    fn expected(&self) -> Outcome {
        model::apply_by_scan(&self.lines, &self.tables)
    }

    fn apply(&self) -> Call {
        self.world.apply(&self.pairs, &self.run).with("--discover", "scan")
    }

    fn resume(&self) -> Call {
        self.world.resume(&self.run)
    }

    /// Another command on the run.
    fn walk(&self, command: &str) -> Call {
        let run = self.run.to_str().expect("the tests use UTF-8");
        Call::new(&[command, run]).with("--hosts", &self.world.addresses.hosts)
    }
}

/// Groups of one to three sources: with content and enrolments apart, with enrolments alone, with the survivor
/// enrolled or not; in batches whose names are easily damaged, and one that everybody shares.
fn enrolments(groups: u64) -> Data {
    let mut data = Data::new(61);
    let names: Vec<&str> = AWKWARD_TEXTS.into_iter().filter(|name| !name.is_empty()).collect();
    for group in 0..groups {
        let to = format!("to-{group}.");
        let from = |n: u64| format!("from-{group}-{n}.");
        let sources = 1 + data.random.below(3);
        for n in 0..sources {
            let target = if n > 0 && data.random.chance(40) { from(n - 1) } else { to.clone() };
            data.pair(&from(n), &target);
        }
        for account in (0..sources).map(from).chain([to]) {
            for _ in 0..data.random.below(3) {
                let (content, batch) = (data.random.below(4), data.random.below(12));
                data.study(&account, &format!("c{content}"), &format!("b{batch}"));
            }
            for _ in 0..data.random.below(4) {
                let batch = match data.random.below(4) {
                    0 => "everybody".to_owned(),
                    1 => (*data.random.one_of(&names)).to_owned(),
                    _ => format!("apart-{}", data.random.below(20)),
                };
                let row = data.enrolment();
                data.enrol(&batch, &account, row);
            }
        }
    }
    data
}

fn is_scan(request: &Request) -> bool {
    request.statements.iter().any(|statement| statement.query.contains("token("))
}

#[track_caller]
fn count(report: &Value, pointer: &str) -> u64 {
    let value = report.pointer(pointer).and_then(Value::as_u64);
    value.unwrap_or_else(|| panic!("no {pointer} in {report:#}"))
}

/// Ranges that the journal knows, as somebody else sees it.
fn journaled(run: &Path) -> u64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let journal = rusqlite::Connection::open_with_flags(run.join("journal.sqlite"), flags);
    let count = |journal: rusqlite::Connection| {
        journal.query_row("SELECT count(*) FROM scans", [], |row| row.get(0))
    };
    journal.and_then(count).unwrap_or_default() // there is no run yet
}

#[test]
fn a_scan_moves_what_content_does_not_see() {
    let scene = Scene::new("scan", 60);
    // As it is by default, on the same rows: what nothing leads to stays.
    let by_content = model::apply(&scene.lines, &scene.tables);
    let expected = scene.expected();
    let left = by_content.tables.user_courses.len() - expected.tables.user_courses.len();
    assert!(left > 10, "{left} enrolments differ");
    let other = Scene::new("scan_not", 60);
    let report = other.world.apply(&other.pairs, &other.run).run().exits(0).json();
    other.world.assert_is(&by_content);
    assert_eq!((&report["scanned"], &report["swept"]["scanned"]), (&Value::Null, &Value::Null));

    let finished = scene.apply().run().exits(0);
    scene.world.assert_is(&expected);
    let report = finished.json();
    assert_whole_run(&report, &expected, scene.lines.len());
    let rows = scene.tables.user_courses.len() as u64;
    assert_eq!(count(&report, "/scanned/rows"), rows);
    assert_eq!(count(&report, "/scanned/clustered_rows"), expected.user_courses.source_rows);
    assert!(count(&report, "/scanned/ranges") >= 64);
    assert_eq!(count(&report, "/scanned/ranges_now"), count(&report, "/scanned/ranges"));
    assert_eq!(count(&report, "/swept/scanned"), expected.tables.user_courses.len() as u64);
    assert_eq!(read_json(&scene.run.join("run.json"))["settings"]["discover"], "scan");

    // The run goes on as what it is, and the other walks know where its rows were.
    scene.resume().with("--discover", "content").run().exits(2).names("--discover");
    scene.resume().run().exits(0);
    scene.walk("verify").run().exits(0);
    scene.walk("undo").run().exits(0);
    scene.world.assert_tables(&scene.tables);
    // What was undone can be merged again; a new run that scans takes what one by content has left.
    let again = other.world.run_dir();
    let call = other.world.apply(&other.pairs, &again).with("--discover", "scan");
    call.run().exits(0);
    let whole = model::apply_by_scan(&other.lines, &by_content.tables);
    other.world.assert_tables(&whole.tables);
    assert_eq!(whole.tables.user_courses, expected.tables.user_courses);
}

#[test]
fn a_scan_that_dies_goes_on_with_the_rest() {
    let scene = Scene::new("scan_killed", 30);
    let expected = scene.expected();
    let at = |nth: &str| ("TRIBUTARY_FAILPOINT", format!("scanned:{nth}"));
    let (name, value) = at("60");
    scene.apply().environment(name, &value).run().was_killed();
    let first = journaled(&scene.run);
    assert!(first >= 60, "{first} ranges");
    let (name, value) = at("40");
    scene.resume().environment(name, &value).run().was_killed();
    let second = journaled(&scene.run);
    assert!(second >= first + 40, "{first}, then {second} ranges");

    let proxy = Proxy::new(&scene.world.addresses.hosts);
    let call = scene.resume().with("--hosts", &proxy.hosts).flag("--no-sweep");
    let report = call.run().exits(0).json();
    assert_eq!(count(&report, "/scanned/ranges_before"), second);
    let rest = count(&report, "/scanned/ranges") - second;
    assert_eq!(count(&report, "/scanned/ranges_now"), rest);
    // Each is one page here, of keys alone.
    let seen: Vec<_> = proxy.seen().into_iter().map(|seen| seen.request).filter(is_scan).collect();
    assert_eq!(seen.len() as u64, rest);
    for request in seen {
        assert_eq!((request.form, request.consistency), (Form::Prepared, LOCAL_QUORUM));
        let query = &request.statements[0].query;
        assert!(query.starts_with("SELECT \"batchid\", \"userid\" FROM "), "{query}");
    }
    assert_eq!(count(&report, "/scanned/rows"), scene.tables.user_courses.len() as u64);
    scene.world.assert_is(&expected);
}

#[test]
fn an_interrupted_scan_ends_at_once_and_goes_on() {
    let scene = Scene::new("scan_interrupted", 20);
    let proxy = Proxy::with(&scene.world.addresses.hosts, |request, _| {
        if is_scan(request) { Fate::Delay(Duration::from_millis(600)) } else { Fate::Pass }
    });
    let running = scene.apply().with("--hosts", &proxy.hosts).start();
    wait_until("some ranges are over", || journaled(&scene.run) >= 150);
    running.interrupt();
    let finished = running.wait().exits(130);
    let report = finished.json();
    assert_eq!(report["scanned"]["interrupted"], true, "{finished}");
    assert_eq!(count(&report, "/groups/done"), 0);
    let again = format!("tributary resume {}", scene.run.display());
    assert_eq!(report["again"], again, "{finished}");
    // A line now and then says how far it is.
    assert!(finished.stderr.contains(" ranges scanned, "), "{finished}");
    scene.world.assert_tables(&scene.tables);

    let before = journaled(&scene.run);
    let report = scene.resume().run().exits(0).json();
    assert_eq!(count(&report, "/scanned/ranges_before"), before);
    scene.world.assert_is(&scene.expected());
}

#[test]
fn a_scan_is_tried_again_and_ends_the_run_if_that_is_no_use() {
    let scene = Scene::new("scan_faults", 20);
    let proxy = Proxy::with(&scene.world.addresses.hosts, |request, n| match () {
        () if is_scan(request) && n == 100 => Fate::Refuse(INVALID),
        () => Fate::Pass,
    });
    let finished = scene.apply().with("--hosts", &proxy.hosts).run().exits(1);
    let finished = finished.names("scanning user_courses").names("a fault that the test asked for");
    assert_eq!(count(&finished.json(), "/groups/not_started"), 20, "{finished}");
    scene.world.assert_tables(&scene.tables);
    drop(proxy);

    let proxy = Proxy::with(&scene.world.addresses.hosts, |request, n| match n % 5 {
        0 if is_scan(request) => Fate::Misreport(READ_TIMEOUT),
        1 if is_scan(request) => Fate::Refuse(READ_TIMEOUT),
        _ => Fate::Pass,
    });
    let report = scene.resume().with("--hosts", &proxy.hosts).run().exits(0).json();
    assert!(count(&report, "/retries") > 20, "{report:#}");
    scene.world.assert_is(&scene.expected());
}

/// Enrolled after the scan, in batches that nobody knew of.
#[test]
fn the_sweep_finds_late_enrolments() {
    let scene = Scene::new("scan_late", 20);
    scene.apply().flag("--no-sweep").run().exits(0);
    let Outcome { mut tables, .. } = scene.expected();
    let late = [("new", "from-3-0.", "to-3."), ("everybody", "from-5-0.", "to-5.")];
    for (batch, from, to) in late {
        scene.world.cql(&format!(
            "INSERT INTO user_courses (batchid, userid, grade) VALUES ('{batch}', '{from}', 'late')"
        ));
        let row = tables.user_courses.entry((batch.to_owned(), to.to_owned()));
        row.or_insert_with(|| columns([("grade", json!("late"))]));
    }
    let report = scene.resume().run().exits(0).json();
    assert_eq!(count(&report, "/swept/rows"), 2);
    assert_eq!(report["scanned"], Value::Null, "nothing was left to be merged");
    scene.world.assert_tables(&tables);
    scene.walk("verify").run().exits(0);
    assert_eq!(count(&scene.resume().run().exits(0).json(), "/swept/rows"), 0);

    // What was late goes back to its source, too.
    scene.walk("undo").run().exits(0);
    let mut before = scene.tables.clone();
    for (batch, from, _) in late {
        let row = columns([("grade", json!("late"))]);
        before.user_courses.entry((batch.to_owned(), from.to_owned())).or_default().extend(row);
    }
    scene.world.assert_tables(&before);
}

#[test]
fn a_plan_says_what_each_way_misses_or_costs() {
    let world = World::empty("scan_plan");
    let pairs = world.file("pairs.csv", "from,to\na,b\n");
    let path = pairs.to_str().expect("the tests use UTF-8");
    let plan = || Call::new(&["plan", path]).with("--run-dir", world.run_dir());
    let text = plan().run().exits(0).stdout;
    for printed in ["--discover content", "--discover scan", "user_courses", "every key"] {
        assert!(text.contains(printed), "no {printed:?} in {text}");
    }
    let report = plan().flag("--json").run().exits(0).json();
    let tables = json!([{"table": "user_courses", "through": "content_consumption.batchid"}]);
    assert_eq!(report["discovery"]["tables"], tables);
    for printed in ["content_misses", "scan_costs"] {
        assert!(report["discovery"][printed].as_str().is_some_and(|printed| !printed.is_empty()));
    }
    // A specification without such tables has nothing to discover.
    let spec = include_str!("../../src/spec/course-batch.toml");
    let (before, _) = spec.split_once("# Tables in which").expect("it is there");
    let spec = world.file("content.toml", before);
    let report = plan().with("--spec", spec).flag("--json").run().exits(0).json();
    assert_eq!(report.get("discovery"), None);
    plan().with("--spec", world.path("none")).run().exits(2).names("--spec");
}
