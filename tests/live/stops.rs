//! Runs that end before their plan does: interrupted, limited, stopped by failures; and how they go on.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::data::{self, Data};
use crate::frames::INVALID;
use crate::model::{self, Line, Outcome};
use crate::process::{Call, Finished, read_json};
use crate::proxy::{Fate, Proxy};
use crate::world::{World, to_csv};

/// `count` plain pairs, each with something to copy, to raise and to leave.
pub(crate) fn world(name: &str, count: usize) -> (World, Vec<Line>, Outcome) {
    let world = World::new(name);
    let mut data = Data::new(13);
    for n in 0..count {
        let (from, to) = (format!("from-{n}."), format!("to-{n}."));
        for content in ["c1", "c2"] {
            data.study(&from, content, &format!("b{}", n % 7));
        }
        data.study(&to, "c1", &format!("b{}", n % 7));
        data.pair(&from, &to);
    }
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    assert_eq!(expected.plan.groups.len(), count);
    (world, data.lines, expected)
}

/// So few groups per second that what is done to a run from outside comes before its end, however slow the machine is.
pub(crate) const SLOWLY: &str = "2";

pub(crate) struct Groups {
    planned: u64,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) left: u64,
}

/// The groups of a report; they must add up.
#[track_caller]
pub(crate) fn groups(report: &Value) -> Groups {
    let count = |name: &str| {
        let count = report["groups"][name].as_u64();
        count.unwrap_or_else(|| panic!("no groups.{name} in {report:#}"))
    };
    let groups = Groups {
        planned: count("planned"),
        done: count("done"),
        failed: count("failed"),
        left: count("not_started") + count("half_merged") + count("limited"),
    };
    assert_eq!(groups.planned, groups.done + groups.failed + groups.left, "{report:#}");
    assert_eq!(report["adds_up"], true, "{report:#}");
    groups
}

/// Whatever stopped a run, resuming it finishes it: the rows and the events, each once, are those of a
/// run that nothing stopped.
#[track_caller]
fn resuming_finishes(world: &World, resume: Call, done_before: u64, expected: &Outcome) {
    let finished = resume.run().exits(0);
    let report = finished.json();
    let groups = groups(&report);
    assert_eq!((groups.done, groups.failed, groups.left), (groups.planned, 0, 0), "{finished}");
    assert_eq!(report["command"], "resume");
    assert_eq!(report["resumed"]["groups_done_before"], done_before, "{finished}");
    assert_eq!(report["groups_done_now"], groups.planned - done_before, "{finished}");
    assert_report_of_rows(&report, expected);
    world.assert_is(expected);
}

/// The rows in a report are those of all sessions of its run.
#[track_caller]
fn assert_report_of_rows(report: &Value, expected: &Outcome) {
    for (name, model) in [
        ("user_courses", expected.user_courses),
        ("content_consumption", expected.content_consumption),
    ] {
        let tables = report["tables"].as_array().expect("a report has tables");
        let table = tables.iter().find(|table| table["table"] == name).expect("with all of them");
        for (counter, value) in
            [("copied", model.copied), ("merged", model.merged), ("deleted", model.deleted)]
        {
            assert_eq!(table[counter], value, "{counter} of {name} in {report:#}");
        }
    }
}

/// What a run says of how to resume it.
#[track_caller]
fn assert_tells_how_to_go_on(report: &Value, run: &Path) {
    let again = report["again"].as_str().unwrap_or_default();
    let expected = format!("tributary resume {}", run.display());
    assert_eq!(again, expected, "{report:#}");
}

#[test]
fn an_interrupt_finishes_the_groups_in_flight_and_reports() {
    let (world, lines, expected) = world("interrupt", 300);
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        if request.writes() { Fate::Delay(Duration::from_millis(20)) } else { Fate::Pass }
    });
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let running = call.with("--hosts", &proxy.hosts).with("--in-flight", "1").start();
    wait_until("a few groups are done", || proxy.count() > 30);
    running.interrupt();
    let finished = running.wait().exits(130);

    let report = read_json(&run.join("report.json"));
    let groups = groups(&report);
    assert_eq!(groups.failed, 0, "{finished}");
    assert!(groups.done > 0 && groups.left > 0, "{finished}");
    // Each group is either merged or as it was: its sources are empty or untouched.
    let after = world.dump();
    let emptied = (0..300)
        .filter(|n| {
            let from = format!("from-{n}.");
            let content = after.content_consumption.keys().filter(|key| key.0 == from).count();
            let courses = after.user_courses.keys().filter(|key| key.1 == from).count();
            assert!([(0, 0), (2, 1)].contains(&(content, courses)), "{from} is half merged");
            content == 0
        })
        .count();
    assert_eq!(emptied as u64, groups.done, "{finished}");
    assert_tells_how_to_go_on(&report, &run);

    // What goes on ends in the same way, and by SIGTERM.
    let seen = proxy.count();
    let again = world.resume(&run).with("--hosts", &proxy.hosts).with("--log-format", "json");
    let running = again.start();
    wait_until("some more groups are done", || proxy.count() > seen + 60);
    running.terminate();
    let finished = running.wait().exits(130).names("terminated: finishing the groups in flight");
    let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
    assert!(finished.stderr.lines().all(is_json), "{finished}");
    let report = read_json(&run.join("report.json"));
    let done = self::groups(&report).done;
    assert!(done > groups.done && done < 300, "{report:#}");
    resuming_finishes(&world, world.resume(&run), done, &expected);
}

/// One group in a thousand seconds: the second one does not begin while the test lasts.
#[test]
fn groups_begin_no_faster_than_asked_for() {
    let (world, lines, expected) = world("rate", 30);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run).with("--rate", "0.001");
    let running = call.start();
    wait_until("a group is announced", || !world.messages().is_empty());
    running.interrupt();
    let finished = running.wait().exits(130);
    let report = read_json(&run.join("report.json"));
    assert_eq!(groups(&report).done, 1, "{finished}");
    // A run keeps its rate until it is told otherwise.
    assert_eq!(read_json(&run.join("run.json"))["settings"]["rate"], 0.001);
    resuming_finishes(&world, world.resume(&run).with("--rate", "none"), 1, &expected);
}

/// It goes on the next night, and each call says its own time.
#[test]
fn the_clock_stops_a_run_and_resume_finishes_it() {
    let (world, lines, expected) = world("clock", 300);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let finished = call.with("--rate", "5").with("--for", "12s").run().exits(130);
    let report = finished.names("--for 12s").json();
    assert_eq!(report["stopped"], "stopped by --for 12s");
    assert_tells_how_to_go_on(&report, &run);
    let first = groups(&report);
    assert!(first.done > 0 && first.left > 0 && first.failed == 0, "{report:#}");
    let run_json = read_json(&run.join("run.json"));
    assert!(!run_json.to_string().contains("until") && !run_json.to_string().contains("12s"));

    let finished = world.resume(&run).with("--for", "8s").run().exits(130);
    let report = finished.json();
    // Without the time, which may be over when it is pasted.
    let again = report["again"].as_str().unwrap_or_default().to_owned();
    assert!(again.starts_with("tributary resume ") && !again.contains("--for"), "{again}");
    let second = groups(&report);
    assert!(second.done > first.done && second.left > 0, "{report:#}");
    let in_time = world.resume(&run).with("--rate", "none").with("--until", "2999-01-01T00:00:00Z");
    resuming_finishes(&world, in_time, second.done, &expected);
}

#[test]
fn a_second_interrupt_stops_at_once() {
    let (world, lines, expected) = world("interrupt_twice", 20);
    // A group in flight never ends: its writes are answered after the test.
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        if request.writes() { Fate::Delay(Duration::from_secs(600)) } else { Fate::Pass }
    });
    let pairs = world.file("pairs.csv", to_csv(&lines));
    let run = world.run_dir();
    let mut running = world.apply(&pairs, &run).with("--hosts", &proxy.hosts).start();
    wait_until("a group is in flight", || proxy.seen().iter().any(|seen| seen.fate != Fate::Pass));
    running.interrupt();
    // Signals of the same kind merge while one is pending, so it is sent until it is obeyed.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running.has_ended() {
        assert!(Instant::now() < deadline, "interrupts are not obeyed");
        std::thread::sleep(Duration::from_millis(200));
        running.interrupt();
    }
    let command = format!("tributary resume {}", run.display());
    running.wait().exits(130).names(&command);
    drop(proxy);
    resuming_finishes(&world, world.resume(&run), 0, &expected);
}

pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_canary_merges_only_the_first_groups() {
    let (world, lines, expected) = world("limit", 30);
    let pairs = world.file("pairs.csv", to_csv(&lines));
    let run = world.run_dir();
    let finished = world.apply(&pairs, &run).with("--limit", "7").run().exits(0);
    let merged = groups(&finished.json());
    assert_eq!((merged.done, merged.left), (7, 23));
    let rest = format!("tributary resume {} --limit all", run.display());
    assert_eq!(finished.json()["again"], rest);
    // A run keeps its limit until it is told otherwise.
    let kept = groups(&world.resume(&run).run().exits(0).json());
    assert_eq!((kept.done, kept.left), (7, 23));
    let untouched = (0..30)
        .filter(|n| {
            let key = (format!("b{}", n % 7), format!("from-{n}."));
            world.dump().user_courses.contains_key(&key)
        })
        .count();
    assert_eq!(untouched, 23);
    resuming_finishes(&world, world.resume(&run).with("--limit", "all"), 7, &expected);
}

/// The writes of every third account are refused for good.
fn refuse_a_third(world: &World) -> Proxy {
    Proxy::with(&world.addresses.hosts, |request, _| {
        let refused =
            |n: &usize| request.binds(&format!("from-{n}.")) || request.binds(&format!("to-{n}."));
        if request.writes() && (0..30).step_by(3).any(|n| refused(&n)) {
            Fate::Refuse(INVALID)
        } else {
            Fate::Pass
        }
    })
}

/// The pairs that failures.csv lists.
fn failures(run: &Path) -> Vec<(String, String)> {
    let mut reader = csv::Reader::from_path(run.join("failures.csv")).expect("there is one");
    let header: Vec<_> = reader.headers().expect("it has a header").iter().collect();
    assert_eq!(header[..2], ["from", "to"]);
    assert!(header.contains(&"reason"));
    let mut pairs: Vec<_> = reader
        .records()
        .map(|record| record.expect("every record has all columns"))
        .map(|record| (record[0].to_owned(), record[1].to_owned()))
        .collect();
    pairs.sort();
    pairs
}

#[test]
fn failed_groups_are_listed_and_can_be_resumed() {
    let (world, lines, expected) = world("failures", 30);
    let proxy = refuse_a_third(&world);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let finished = call.with("--hosts", &proxy.hosts).run().exits(3);
    let counted = groups(&finished.json());
    assert_eq!((counted.done, counted.failed, counted.left), (20, 10, 0), "{finished}");
    assert_tells_how_to_go_on(&finished.json(), &run);
    let mut refused: Vec<_> =
        (0..30).step_by(3).map(|n| (format!("from-{n}."), format!("to-{n}."))).collect();
    refused.sort();
    assert_eq!(failures(&run), refused);
    let text = std::fs::read_to_string(run.join("failures.csv")).expect("it was just read");
    assert!(text.contains("a fault that the test asked for"), "{text}");

    // While the cause is there they fail again, and the run says so as a whole.
    let finished = world.resume(&run).with("--hosts", &proxy.hosts).run().exits(3);
    let counted = groups(&finished.json());
    assert_eq!((counted.done, counted.failed, counted.left), (20, 10, 0), "{finished}");
    assert_eq!(failures(&run), refused);

    resuming_finishes(&world, world.resume(&run), 20, &expected);
    assert_eq!(failures(&run), []);
}

/// On a terminal, which util-linux's `script` provides: each line of the log stands alone, with nothing of the
/// bar before or behind it.
#[test]
fn the_bar_does_not_break_the_log() {
    let (world, lines, _) = world("bar", 30);
    let proxy = refuse_a_third(&world);
    let pairs = world.file("pairs.csv", to_csv(&lines));
    // Slowly, so that the bar is drawn between the failures.
    let apply = format!(
        "'{}' apply '{}' --hosts {} --keyspace {} --no-events --run-dir '{}' --settle 50ms --rate 15",
        env!("CARGO_BIN_EXE_tributary"),
        pairs.display(),
        proxy.hosts,
        world.keyspace,
        world.run_dir().display()
    );
    let mut script = Command::new("script");
    script.args(["-qec", &apply, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", "1");
    let output = script.stdin(Stdio::null()).output().expect("util-linux has script");
    assert_eq!(output.status.code(), Some(3));
    let shown = String::from_utf8(output.stdout).expect("the tool writes UTF-8");
    assert!(shown.contains("/30 groups, ") && shown.contains("left"), "{shown:?}");
    // What was on a line before it was cleared, or written over from its start, is not seen.
    let seen: Vec<_> =
        shown.lines().filter_map(|line| line.rsplit(['\r', '\u{1b}']).next()).collect();
    let log: Vec<_> = seen.iter().filter(|line| line.contains("a group of")).collect();
    assert_eq!(log.len(), 10, "{shown:?}");
    for line in log {
        let alone = line.trim_start_matches("[2K").trim_start_matches("[1A");
        assert!(alone.starts_with("20") && !alone.contains("/30 groups"), "{line:?}");
    }
}

#[test]
fn failed_groups_can_be_fed_back_as_a_new_run() {
    let (world, lines, expected) = world("fed_back", 30);
    let proxy = refuse_a_third(&world);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    call.with("--hosts", &proxy.hosts).run().exits(3);
    // As it is, though the pairs of the house are written in another way: what the run has begun with is its own to end.
    let again = || {
        let again = world.apply(&run.join("failures.csv"), &world.run_dir());
        again.with("--from-column", "alt").with("--to-column", "neu").with("--delimiter", ";")
    };
    let busy = again().run().exits(3).json();
    assert_eq!(busy["plan"]["rejected"]["busy"], 10, "{busy}");
    world.resume(&run).run().exits(0);
    world.assert_is(&expected);
    // Then none of them is listed any more.
    let again = again().run().exits(0);
    assert_eq!(groups(&again.json()).done, 0);
    world.assert_is(&expected);
}

#[test]
fn too_many_failures_stop_the_run() {
    for (limit, stops) in [("3", true), ("10%", true), ("10", false), ("50%", false)] {
        let (world, lines, expected) = world("max_errors", 30);
        let proxy = refuse_a_third(&world);
        let pairs = world.file("pairs.csv", to_csv(&lines));
        let run = world.run_dir();
        let call = world.apply(&pairs, &run).with("--hosts", &proxy.hosts);
        let running = call.with("--max-errors", limit).with("--in-flight", "1").start();
        let finished: Finished = running.wait().exits(if stops { 1 } else { 3 });
        let mut ended = groups(&finished.json());
        // What is under way when the fourth fails is ended, and may fail as well.
        let failed = if stops { 4..=9 } else { 10..=10 };
        assert!(failed.contains(&ended.failed), "{finished}");
        assert_eq!(ended.left > 0, stops, "{finished}");
        assert_tells_how_to_go_on(&finished.json(), &run);
        // Those that have no turn because the next session is stopped as well stay failed.
        if stops {
            let call = world.resume(&run).with("--hosts", &proxy.hosts).with("--max-errors", "0");
            let finished = call.with("--in-flight", "1").run().exits(1);
            let before = ended.failed;
            ended = groups(&finished.json());
            assert!((before..10).contains(&ended.failed), "{finished}");
            assert_eq!(failures(&run).len() as u64, ended.failed);
        }
        drop(proxy);
        resuming_finishes(&world, world.resume(&run), ended.done, &expected);
    }
}
