//! Death at each named step of a run: one for every law that says what comes first.

use std::path::Path;

use super::*;
use crate::proxy::{Fate, Proxy};

/// The steps of a merge until its copies stand.
const COPY: [&str; 6] = ["intend", "intended", "registered", "begun", "batch", "copied"];

/// The step of a merge that an earlier session has begun.
const FINISH: [&str; 1] = ["finished"];

/// The last steps of a merge.
const END: [&str; 2] = ["written", "announced"];

/// The steps of the second look at computed cells (`crate::times` has its deaths).
const RAISE: [&str; 2] = ["raise", "raised"];

/// The steps of a sweep.
const SWEEP: [&str; 3] = ["sweep", "placed", "swept"];

/// The steps of a scan (`crate::scan` has its deaths).
const SCAN: [&str; 1] = ["scanned"];

/// The step of mentions (`crate::mentions` has its deaths).
const MENTIONS: [&str; 1] = ["mentioned"];

/// The steps of a repair by verify.
const REPAIR: [&str; 2] = ["compared", "repaired"];

/// The steps of an undo.
const UNDO: [&str; 3] = ["given-back", "restored", "undone"];

/// The steps that repairs and undos share with merges.
const SHARED: [&str; 3] = ["intend", "intended", "batch"];

/// A run that dies at every step of a merge and of a sweep, each so many times.
fn dies(name: &str, seed: u64, rounds: u64) {
    let mut data = crowd(seed, 10 + 30 * rounds);
    let late = 4 + 8 * rounds;
    for n in 0..late {
        let from = format!("late-{n}.");
        data.consume([&from, "c", "late", "k"], columns([("grade", json!("late"))]));
        data.enrol("late", &from, columns([("progress", json!(n))]));
        data.pair(&from, &format!("late-to-{n}."));
    }
    let scenario = Scenario::new(name, data);
    // The merge copies these cells like any others, and cannot delete them: they are for the sweep.
    let ahead = crate::times::now_us() + 600_000_000;
    for n in 0..late {
        scenario.world.cql(&format!(
            "UPDATE content_consumption USING TIMESTAMP {ahead} SET grade = 'late' WHERE \
             userid = 'late-{n}.' AND contentid = 'c' AND batchid = 'late' AND courseid = 'k'"
        ));
    }
    let mut random = Random::new(seed);
    let deaths = [(&COPY[..], 6), (&FINISH[..], 1), (&END[..], 6), (&SWEEP[..], 2)];
    for (steps, most) in deaths {
        for step in (0..rounds).flat_map(|_| steps) {
            let at = format!("{step}:{}", 1 + random.below(most));
            let call = scenario.session().with("--in-flight", "4");
            call.environment("TRIBUTARY_FAILPOINT", &at).run().was_killed();
        }
    }
    let last = scenario.finish();
    let swept = (0..late).map(|n| (format!("late-to-{n}."), "late".to_owned())).collect();
    let repeated = scenario.assert_whole(&last, &swept);
    println!(
        "{} deaths, {repeated} events sent again",
        rounds as usize * deaths.iter().map(|(steps, _)| steps.len()).sum::<usize>()
    );
    let times = "SELECT WRITETIME(grade) FROM content_consumption WHERE contentid = 'c' \
                 AND batchid = 'late' AND courseid = 'k' ALLOW FILTERING";
    let times = scenario.world.rows(times);
    assert_eq!(
        times,
        vec![vec![Some(json!(ahead))]; late as usize],
        "not written as of their own time"
    );
}

#[test]
fn a_run_that_dies_at_each_step_ends_as_if_nothing_had_happened() {
    dies("steps", 41, 1);
}

#[test]
#[ignore = "long: scripts/test --full"]
fn a_run_that_dies_ten_times_at_each_step_ends_as_if_nothing_had_happened() {
    dies("steps_10", 42, 10);
}

/// An account of several slices goes on behind the last one that was recorded.
#[test]
fn a_group_that_dies_between_its_slices_goes_on() {
    // More of them than two windows at a time can have recorded before the last death.
    let mut data = crowd(46, 0);
    wide(&mut data, 2..6);
    let scenario = Scenario::new("slices", data);
    for at in ["intend:2", "intended:2", "intend:1", "intended:1", "batch:10", "copied:1"] {
        let call = scenario.session().with("--in-flight", "1");
        call.environment("TRIBUTARY_FAILPOINT", at).run().was_killed();
    }
    scenario.assert_whole(&scenario.finish(), &BTreeSet::new());
}

/// Takes up the run with another command, which dies at each of these steps; then it may end.
fn dies_in(scenario: &Scenario, command: &[&str], steps: &[&str]) -> Finished {
    let call = || {
        let call = Call::new(command).with("--hosts", &scenario.world.addresses.hosts);
        call.with("--in-flight", "4").flag("--json")
    };
    let mut random = Random::new(44);
    for step in SHARED.iter().chain(steps) {
        let at = format!("{step}:{}", 1 + random.below(2));
        call().environment("TRIBUTARY_FAILPOINT", &at).run().was_killed();
    }
    call().run()
}

#[test]
fn an_undo_that_dies_at_each_step_gives_everything_back() {
    let mut scenario = Scenario::new("undo_steps", crowd(43, 60));
    let before = scenario.world.dump();
    scenario.finish();
    let run = scenario.run.to_str().expect("the tests use UTF-8").to_owned();
    dies_in(&scenario, &["undo", &run], &UNDO).exits(0);
    scenario.world.assert_tables(&before);

    // What was undone can be merged again, with the same result.
    scenario.run = scenario.world.run_dir();
    scenario.finish();
    scenario.world.assert_tables(&scenario.expected.tables);
}

#[test]
fn a_repair_that_dies_at_each_step_is_finished() {
    let mut data = crowd(45, 20);
    for n in 0..20 {
        let from = format!("lost-{n}.");
        data.study(&from, "c", "lost");
        data.pair(&from, &format!("lost-to-{n}."));
    }
    let scenario = Scenario::new("repair_steps", data);
    let proxy = Proxy::with(&scenario.world.addresses.hosts, |request, _| {
        let is_lost = |n| request.statements.iter().any(|s| s.writes_to(&format!("lost-to-{n}.")));
        if (0..20).any(is_lost) { Fate::Swallow } else { Fate::Pass }
    });
    scenario.session().with("--hosts", &proxy.hosts).run().exits(0);
    let run = scenario.run.to_str().expect("the tests use UTF-8").to_owned();
    dies_in(&scenario, &["verify", &run, "--repair"], &REPAIR);
    scenario.world.assert_tables(&scenario.expected.tables);
    let verify = Call::new(&["verify", &run]).with("--hosts", &scenario.world.addresses.hosts);
    verify.run().exits(0);
}

/// No step is forgotten above: these are all that the code names.
#[test]
fn every_step_that_the_code_names_is_tried() {
    let mut named = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("src/ can be listed") {
            let path = entry.expect("src/ can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source is text");
                let hits = text.split("failpoint::hit(\"").skip(1);
                named.extend(hits.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    let all: [&[&str]; 9] =
        [&COPY, &FINISH, &END, &RAISE, &SWEEP, &SCAN, &MENTIONS, &REPAIR, &UNDO];
    let tried = all.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(named, tried);
}
