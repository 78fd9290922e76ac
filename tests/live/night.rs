//! What nights are like: machines that are suspended, terminals that are closed, directories that are copied and cut off.
//! Each is a clear sentence, nothing is lost, and the run goes on where it can.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::process::{Call, Finished, Running};
use crate::runs::{assert_rejected, assert_rows, id, pairs};
use crate::stops::{self, wait_until};
use crate::world::{World, to_csv};

/// A world in which `b` has a content of its own, beside what `a` has.
fn world(name: &str) -> World {
    let world = crate::runs::world(name);
    world.cql(
        "INSERT INTO content_consumption (userid, contentid, batchid, courseid, progress) VALUES ('b', 'do2', 'b1', 'c1', \
         7)",
    );
    world
}

/// A run of `a,b` that is held at a place for longer than its lease lasts, and what took its lease meanwhile.
fn suspended(world: &World, place: &str, then: &str) -> (Running, std::path::PathBuf, Finished) {
    let r1 = world.run_dir();
    let call = world.apply(&pairs(world, "a,b"), &r1).environment("TRIBUTARY_LEASE", "2");
    let held = call.environment("TRIBUTARY_FAILPOINT", &format!("{place}:1:stop")).start();
    wait_until("it is held", || held.is_held());
    let mut taken = None;
    wait_until("its lease has ended", || {
        let run = world.run_dir();
        let finished = world.apply(&pairs(world, then), &run).run();
        let is_taken = !finished.has_exited(1);
        taken = is_taken.then_some((run, finished));
        is_taken
    });
    let (r2, finished) = taken.expect("it has been taken");
    (held, r2, finished)
}

/// E8: it has read, and not yet told the register.
#[test]
fn what_was_suspended_before_its_first_write_writes_nothing() {
    let world = world("night_before");
    let (held, r2, second) = suspended(&world, "intended", "b,c");
    second.exits(0);
    held.signal("CONT");
    held.wait().exits(1).names(&id(&r2)).names("lease");
    let own = ("a", json!(100), Value::Null);
    assert_rows(&world, &[own, ("c", json!(7), Value::Null)], &["a"]);
}

/// E25: it has looked at its lease, and not yet written.
#[test]
fn what_was_suspended_behind_its_look_deletes_nothing() {
    let world = world("night_behind");
    let (held, r2, second) = suspended(&world, "begun", "b,c x,y");
    second.exits(3);
    assert_rejected(&r2, &["busy"], "has not ended with 'b'");
    held.signal("CONT");
    let stopped = held.wait().exits(1).names(&id(&r2)).names("lease");
    assert_eq!(stopped.json()["groups"]["half_merged"], 1, "{stopped}");
    let of_a = "SELECT progress FROM content_consumption WHERE userid = 'a'";
    assert_eq!(world.rows(of_a), [[Some(json!(100))]]);
    let r1 = r2.with_file_name("run-0");
    world.over("resume", &r1).run().exits(0);
    let all = [("b", json!(100), Value::Null), ("b", json!(7), Value::Null)];
    assert_rows(&world, &all, &["b"]);
}

/// It is undone and nothing else, and says so itself where it goes on.
#[test]
fn what_was_declared_lost_while_it_was_suspended_advises_its_undo_alone() {
    let world = world("night_lost");
    let r1 = world.run_dir();
    let call = world.apply(&pairs(&world, "a,b"), &r1).environment("TRIBUTARY_LEASE", "2");
    let held = call.environment("TRIBUTARY_FAILPOINT", "begun:1:stop").start();
    wait_until("it is held", || held.is_held());
    let lost = || {
        let lost = Call::new(&["runs", "lost", &id(&r1)]);
        lost.with("--hosts", &world.addresses.hosts).with("--keyspace", &world.keyspace).run()
    };
    wait_until("its lease has ended", || lost().has_exited(0));
    world.apply(&pairs(&world, "b,c"), &world.run_dir()).run().exits(3);
    held.signal("CONT");
    let stopped = held.wait().exits(1);
    let report = stopped.json();
    assert_eq!(report["groups"]["half_merged"], 1, "{stopped}");
    let advised: Vec<&Value> = report["advice"].as_array().expect("a list").iter().collect();
    let undo = json!(format!("tributary undo {}", r1.display()));
    assert_eq!(advised.iter().map(|one| &one["command"]).collect::<Vec<_>>(), [&undo]);
    world.over("undo", &r1).run().exits(0);
    let own = [("a", json!(100), Value::Null), ("b", json!(7), Value::Null)];
    assert_rows(&world, &own, &["a"]);
}

#[test]
fn a_terminal_that_goes_away_stops_the_run_as_an_interrupt_does() {
    let (world, lines, expected) = stops::world("night_terminal", 60);
    let before = world.dump();
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let running = world.apply(&pairs, &run).with("--rate", stops::SLOWLY).start();
    wait_until("it has begun", || world.dump() != before);
    // A shell and the kernel may both say it.
    running.signal("HUP");
    running.signal("HUP");
    let finished = running.wait().exits(130).names("the terminal is gone");
    let again = format!("tributary resume {}", run.display());
    assert_eq!(finished.json()["again"], again);
    assert!(run.join("report.json").exists());
    world.resume(&run).with("--rate", "none").run().exits(0);
    world.assert_is(&expected);
}

#[test]
fn a_terminal_that_cannot_be_written_any_more_is_no_reason_to_fail() {
    let (world, lines, expected) = stops::world("night_pty", 60);
    let before = world.dump();
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let mut running = world.apply(&pairs, &run).with("--rate", stops::SLOWLY).on_terminal().start();
    wait_until("it has begun", || world.dump() != before);
    running.kill();
    wait_until("it has reported", || run.join("report.json").exists());
    let report = crate::process::read_json(&run.join("report.json"));
    assert_eq!(report["exit_code"], 130, "{report}");
    running.wait().was_killed();
    let resume = || world.resume(&run).with("--rate", "none").run();
    wait_until("it has ended", || !resume().has_exited(1));
    world.assert_is(&expected);
}

#[test]
fn few_open_files_and_no_home_are_enough() {
    let (world, lines, expected) = stops::world("night_files", 60);
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let call = world.apply(&pairs, &run).environment("HOME", "/proc/nobody");
    call.open_files(64).run().exits(0);
    world.assert_is(&expected);
    let refused = world.apply(&pairs, &world.run_dir()).open_files(10).run();
    refused.exits(1).names("too many open files");
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-r").args([from, to]).status();
    assert!(done.is_ok_and(|status| status.success()));
}

#[test]
fn an_older_copy_of_a_run_directory_is_not_gone_on_with() {
    let (world, lines, expected) = stops::world("night_copy", 40);
    let before = world.dump();
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    world.apply(&pairs, &run).with("--limit", "5").run().exits(0);
    let older = world.path("older");
    copy(&run, &older);
    world.resume(&run).with("--limit", "all").run().exits(0);
    world.assert_tables(&expected.tables);
    let refused = |command: &str| {
        let refused = world.over(command, &older).run().exits(2);
        refused.names("is an older copy").names(&run.display().to_string());
    };
    refused("resume");
    refused("undo");
    world.assert_tables(&expected.tables);
    // A copy that is as new is as good: nothing says which of the two is meant.
    let newer = world.path("newer");
    copy(&run, &newer);
    world.over("undo", &newer).run().exits(0);
    world.assert_tables(&before);
    world.over("resume", &run).run().exits(2).names("is an older copy");
    world.assert_tables(&before);
}

/// The lease is the run's, so it says nothing of two directories that are the same run on the same machine.
#[test]
fn a_copy_of_a_run_directory_that_is_at_work_is_refused() {
    let (world, lines, expected) = stops::world("night_copied", 60);
    let before = world.dump();
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let slow = |call: Call| call.with("--rate", stops::SLOWLY).environment("TRIBUTARY_LEASE", "60");
    let running = slow(world.apply(&pairs, &run)).start();
    wait_until("it has begun", || world.dump() != before);
    let copied = world.path("copied");
    copy(&run, &copied);
    for command in ["resume", "undo"] {
        let refused = world.over(command, &copied).run().exits(1);
        refused.names("another process works on this run, in ").names(&run.display().to_string());
    }
    let at = world.dump();
    wait_until("it has gone further", || world.dump() != at);
    running.signal("KILL");
    running.wait().was_killed();
    // What it did since is in the journal of the original alone, which nothing but the register's windows tells.
    for command in ["resume", "undo"] {
        let refused = world.over(command, &copied).run().exits(2).names("is an older copy");
        refused.names(&run.display().to_string());
    }
    // Whoever has died keeps out nobody, not even for as long as its lease would last.
    let moved = world.path("moved");
    std::fs::rename(&run, &moved).expect("it can be moved");
    let before = world.dump();
    let running = slow(world.resume(&moved)).start();
    wait_until("it goes on", || world.dump() != before);
    let again = world.path("again");
    copy(&moved, &again);
    let refused = world.over("resume", &again).run().exits(1);
    refused.names("another process works on this run, in ").names(&moved.display().to_string());
    running.signal("INT");
    running.wait().exits(130);
    world.resume(&moved).with("--rate", "none").run().exits(0);
    world.assert_is_after_a_kill(&expected);
    // It is told where it was worked on last.
    world.over("undo", &again).run().exits(2).names(&moved.display().to_string());
}

/// What is not in a file that can be found again could never be taken back.
#[test]
fn a_run_whose_journal_is_taken_away_stops() {
    let (world, lines, expected) = stops::world("night_away", 60);
    let before = world.dump();
    let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
    let running = world.apply(&pairs, &run).with("--rate", stops::SLOWLY).start();
    wait_until("it has begun", || world.dump() != before);
    let away = world.path("away");
    std::fs::rename(&run, &away).expect("it can be moved");
    running.wait().exits(1).names("somebody has removed or moved it");
    assert_ne!(world.dump(), expected.tables);
    std::fs::rename(&away, &run).expect("it can be moved back");
    world.resume(&run).with("--rate", "none").run().exits(0);
    world.assert_tables(&expected.tables);
}

#[test]
fn a_run_directory_that_was_cut_off_is_not_gone_on_with() {
    let world = world("night_cut");
    let run = world.run_dir();
    world.apply(&pairs(&world, "a,b"), &run).run().exits(0);
    let after = world.dump();
    for (name, length, says) in [
        ("journal.sqlite", 0, "holds something unreadable"),
        ("journal.sqlite", 20_000, "holds something unreadable"),
        ("pairs.csv", 3, "has been changed since the run began"),
        ("run.json", 30, "it is not what this program writes"),
    ] {
        let cut = world.path("cut");
        copy(&run, &cut);
        let file = std::fs::File::options().write(true).open(cut.join(name));
        file.expect("it is there").set_len(length).expect("it can be cut off");
        let call: Call = world.over("resume", &cut);
        call.run().exits(1).names(name).names(says);
        std::fs::remove_dir_all(cut).expect("it is there");
    }
    world.assert_tables(&after);
}
