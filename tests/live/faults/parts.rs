//! One plan that is merged in parts, by processes that know nothing of each other but what the register says.

use super::*;
use crate::busy::once_free;
use crate::process::{Running, read_json, rejects};
use crate::runs::id;

/// A plan in so many parts.
struct Parts {
    scenario: Scenario,
    of: usize,
}

impl Parts {
    fn new(name: &str, groups: u64) -> Self {
        Self { scenario: Scenario::new(name, crowd(11, groups)), of: 3 }
    }

    fn dir(&self, part: usize) -> PathBuf {
        self.scenario.world.path(&format!("part-{part}"))
    }

    /// What a scheduler calls, however often.
    fn call(&self, part: usize) -> Call {
        let call = self.scenario.world.apply(&self.scenario.pairs, &self.dir(part));
        let call = call.with("--shard", format!("{part}/{}", self.of)).flag("--or-resume");
        call.environment("TRIBUTARY_LEASE", "4")
    }

    fn all(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.of
    }

    fn listed(&self) -> Value {
        let world = &self.scenario.world;
        let listed = Call::new(&["runs"]).with("--hosts", &world.addresses.hosts);
        listed.with("--keyspace", &world.keyspace).flag("--json").run().exits(0).json()
    }
}

/// Three at once, of which one is killed at a step of a merge, and begins again by the same command.
#[test]
fn parts_leave_what_a_single_run_leaves() {
    let parts = Parts::new("parts", 60);
    let Scenario { world, lines, expected, .. } = &parts.scenario;
    let before = world.dump();
    let died = |part| (part == 2).then_some("copied:3");
    let start = |part| match died(part) {
        Some(point) => parts.call(part).environment("TRIBUTARY_FAILPOINT", point).start(),
        // They are at work when it dies.
        None => parts.call(part).with("--rate", "12").start(),
    };
    let mut running: Vec<(usize, Running)> = parts.all().map(|part| (part, start(part))).collect();
    let (_, killed) = running.remove(1);
    killed.wait().was_killed();
    // A stranger is kept out by those that go on; a part of another plan, too.
    let stranger = || world.apply(&parts.scenario.pairs, &world.run_dir());
    for call in [stranger(), stranger().with("--shard", "1/2")] {
        let busy = call.run().exits(1).json()["busy"]["run"].as_str().map(str::to_owned);
        assert!(busy.as_ref().is_some_and(|run| run.ends_with("of3")), "{busy:?}");
    }
    let again = once_free(|| parts.call(2)).exits(0);
    let mut reports: Vec<Value> = vec![again.json()];
    for (_, other) in running {
        reports.push(other.wait().exits(0).json());
    }
    world.assert_tables(&expected.tables);
    let (payloads, ids, _) = announced(world);
    assert_same("event", &expected.events, &payloads);
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");

    // What each counts adds up to what a single run counts.
    let sum = |at: &str| {
        reports.iter().map(|report| report.pointer(at).and_then(Value::as_u64)).sum::<Option<u64>>()
    };
    let plan = &expected.plan;
    assert_eq!(sum("/plan/pairs"), Some(plan.pairs as u64));
    assert_eq!(sum("/groups/done"), Some(plan.groups.len() as u64));
    for report in &reports {
        assert_eq!(
            (&report["adds_up"], &report["plan"]["lines"]),
            (&json!(true), &json!(lines.len()))
        );
        let part = report["part"].as_str().expect("it says which part it is");
        let run = report["run"].as_str().expect("it has an id");
        assert!(run.ends_with(&format!(".{}", part.replace('/', "of"))), "{run}");
    }
    let listed = parts.listed();
    assert_eq!(listed["plans"][0]["state"], "done", "{listed:#}");
    assert_eq!(listed["plans"][0]["runs"].as_array().map(Vec::len), Some(3), "{listed:#}");
    assert_eq!((&listed["advice"], &listed["at_work"]), (&json!([]), &json!([])), "{listed:#}");

    // Each is compared, and taken back, by itself: in any order, for none comes after another.
    for part in parts.all() {
        world.over("verify", &parts.dir(part)).run().exits(0);
    }
    // Once more changes nothing.
    parts.call(1).run().exits(0);
    world.assert_tables(&expected.tables);
    let undoing: Vec<Running> =
        [2, 3, 1].map(|part| world.over("undo", &parts.dir(part)).start()).into();
    undoing.into_iter().for_each(|undo| drop(undo.wait().exits(0)));
    world.assert_tables(&before);
    assert_eq!(parts.listed()["plans"][0]["state"], "undone");
    parts.call(1).run().exits(2).names("taken back by undo");
}

/// Who dies and is never begun again is lost alone.
#[test]
fn a_part_that_is_lost_is_lost_alone() {
    let parts = Parts::new("parts_lost", 12);
    parts.call(1).environment("TRIBUTARY_FAILPOINT", "copied").run().was_killed();
    let lost = id(&parts.dir(1));
    let world = &parts.scenario.world;
    let lose = || {
        let call = Call::new(&["runs", "lost", &lost]).with("--hosts", &world.addresses.hosts);
        call.with("--keyspace", &world.keyspace)
    };
    lose().run().exits(1).names("is at work");
    parts.call(2).run().exits(0);
    crate::stops::wait_until("its lease has ended", || lose().run().has_exited(0));
    parts.call(3).run().exits(0);
    let listed = parts.listed();
    assert_eq!(listed["plans"][0]["state"], "lost", "{listed:#}");
    parts.call(1).run().exits(2).names("declared lost");
    world.over("undo", &parts.dir(1)).run().exits(0);
}

/// One command for whoever starts processes: it begins, or goes on, and never with something else.
#[test]
fn what_a_directory_holds_of_another_plan_is_not_gone_on_with() {
    let parts = Parts::new("parts_other", 6);
    let Scenario { world, pairs, .. } = &parts.scenario;
    parts.call(1).with("--limit", "1").run().exits(0);
    let (ran, run_dir) = (id(&parts.dir(1)), parts.dir(1));
    let refused = |call: Call, named: &str| {
        call.run().exits(2).names(&ran).names(named);
        assert_eq!(id(&run_dir), ran);
    };
    refused(parts.call(1).with("--shard", "2/3"), "--shard is 1/3, and 2/3");
    refused(parts.call(1).without("--shard"), "--shard is 1/3, and null");
    refused(parts.call(1).with("--accept", "placeholder"), "--accept");
    refused(parts.call(1).with("--spec", "sunbird-lern"), "merge specification");
    let other = world.file("other.csv", "from,to\nx,y\n");
    let mut call = world.apply(&other, &run_dir).with("--shard", "1/3").flag("--or-resume");
    refused(call, "other.csv");
    // A copy of the list elsewhere is the same list.
    let copy = world.file("copy.csv", std::fs::read(pairs).expect("it was written"));
    call = world.apply(&copy, &run_dir).with("--shard", "1/3").flag("--or-resume");
    let rest = call.with("--limit", "all").run().exits(0).json();
    assert_eq!((&rest["command"], &rest["groups"]["limited"]), (&json!("resume"), &json!(0)));
    // What the input is rejected for is told by the first part alone.
    let odd = world.file("odd.csv", "from,to\nm,n\n\nself,self\no,p\nq,r\nm,n\n");
    for (part, exit, rejected) in [(1, 3, 1), (2, 0, 0), (3, 0, 0)] {
        let dir = world.path(&format!("odd-{part}"));
        let call = world.apply(&odd, &dir).with("--shard", format!("{part}/3"));
        let report = call.run().exits(exit).json();
        assert_eq!(report["adds_up"], true, "{report:#}");
        assert_eq!((rejects(&dir).len(), &report["plan"]["lines"]), (rejected, &json!(6)));
        let settings = &read_json(&dir.join("run.json"))["settings"];
        assert_eq!(settings["shard"], format!("{part}/3"), "{settings}");
    }
    for flag in ["--follow", "--no-register"] {
        parts.call(2).without("--or-resume").flag(flag).run().exits(2).names("--shard");
    }
    parts.call(2).without("--run-dir").run().exits(2).names("--run-dir");
}
