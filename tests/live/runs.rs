//! Several runs over the same accounts: they know each other by the register, and nothing is lost.
//!
//! In each world r1 merges a into b; what follows names further accounts.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::process::{Call, Finished, Running, rejects};
use crate::world::World;

const KEY: &str = "contentid = 'do1' AND batchid = 'b1' AND courseid = 'c1'";

/// A world in which `a` has one content and one enrolment.
pub(crate) fn world(name: &str) -> World {
    let world = World::new(name);
    world.cql(
        "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status, progress, viewcount, \
         completedcount) VALUES ('a', 'do1', 'b1', 'c1', 2, 100, 3, 1)",
    );
    world.cql(
        "INSERT INTO user_courses (batchid, userid, courseid, contentstatus) VALUES ('b1', 'a', 'c1', {'do1': 2})",
    );
    world
}

pub(crate) fn pairs(world: &World, pairs: &str) -> PathBuf {
    let lines = pairs.split(' ').map(|pair| format!("{pair}\n"));
    let name = format!("{}.csv", pairs.replace([',', ' '], "-"));
    world.file(&name, format!("from,to\n{}", lines.collect::<String>()))
}

/// Applies pairs; gives the run directory with what came of it.
fn apply(world: &World, list: &str) -> (PathBuf, Finished) {
    let run = world.run_dir();
    let finished = world.apply(&pairs(world, list), &run).run();
    (run, finished)
}

/// Begins to apply pairs, and takes its time; gives the run directory, which is there, with the process.
pub(crate) fn begins(world: &World, list: &str) -> (PathBuf, Running) {
    let run = world.run_dir();
    let slow = world.apply(&pairs(world, list), &run).with("--settle", "3s").start();
    crate::stops::wait_until("the run is there", || run.join("run.json").exists());
    (run, slow)
}

/// Who has a content row, with its progress and score, and who is enrolled.
#[track_caller]
pub(crate) fn assert_rows(world: &World, content: &[(&str, Value, Value)], enrolled: &[&str]) {
    let mut seen: Vec<_> = world
        .rows("SELECT userid, progress, score FROM content_consumption")
        .into_iter()
        .map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>())
        .collect();
    seen.sort_by_key(|row| row[0].to_string());
    let expected: Vec<_> = content
        .iter()
        .map(|(user, progress, score)| vec![json!(user), progress.clone(), score.clone()])
        .collect();
    assert_eq!(seen, expected);
    let seen: Vec<_> =
        world.rows("SELECT userid FROM user_courses").into_iter().flatten().flatten().collect();
    assert_eq!(seen, enrolled.iter().map(|user| json!(user)).collect::<Vec<_>>());
}

/// The one rejected line of a run, as `code`, with what its reason names.
#[track_caller]
pub(crate) fn assert_rejected(run: &Path, codes: &[&str], named: &str) {
    let rejected = rejects(run);
    let seen: Vec<&str> = rejected.values().map(|reject| &*reject.code).collect();
    assert_eq!(seen, codes);
    let text = std::fs::read_to_string(run.join("rejects.csv")).expect("it is there");
    assert!(text.contains(named), "{named} is not named:\n{text}");
}

pub(crate) fn id(run: &Path) -> String {
    let record = crate::process::read_json(&run.join("run.json"));
    record["id"].as_str().expect("a run has an id").to_owned()
}

/// A2 and the other order of A8: merged the other way round, both tables would be empty.
#[test]
fn what_was_merged_is_not_merged_back() {
    let world = world("runs_cycle");
    let (r1, first) = apply(&world, "a,b");
    first.exits(0);
    let (r2, back) = apply(&world, "b,a");
    back.exits(3);
    assert_rejected(&r2, &["cycle"], &id(&r1));
    world.over("resume", &r1).run().exits(0);
    assert_rows(&world, &[("b", json!(100), Value::Null)], &["b"]);
    // Its plan is made again without the pair.
    world.over("resume", &r2).run().exits(3);
    assert_rows(&world, &[("b", json!(100), Value::Null)], &["b"]);
}

/// A3 and A4: a group that was begun and has not ended keeps its accounts busy.
#[test]
fn accounts_of_a_run_that_was_stopped_are_busy() {
    let world = world("runs_busy");
    let r1 = world.run_dir();
    let call = world.apply(&pairs(&world, "a,b"), &r1).environment("TRIBUTARY_LEASE", "4");
    call.environment("TRIBUTARY_FAILPOINT", "copied").run().was_killed();
    // Its lease has not ended yet, and nobody has it any more.
    let (_, leased) = apply(&world, "b,c");
    leased.exits(1).names("is being worked on by run").names(&id(&r1));
    world.over("verify", &r1).run();
    let took = std::time::Instant::now();
    let (r2, busy) = loop {
        let (r2, busy) = apply(&world, "b,c d,e");
        if !busy.has_exited(1) {
            break (r2, busy);
        }
        assert!(took.elapsed().as_secs() < 120, "the lease does not end: {busy}");
        std::thread::sleep(std::time::Duration::from_secs(1));
    };
    busy.exits(3);
    assert_rejected(&r2, &["busy"], &id(&r1));
    world.over("resume", &r1).run().exits(0);
    assert_rows(&world, &[("b", json!(100), Value::Null)], &["b"]);
    // What is rejected is fed in again.
    let r3 = world.run_dir();
    world.apply(&r2.join("rejects.csv"), &r3).run().exits(0);
    assert_rows(&world, &[("c", json!(100), Value::Null)], &["c"]);
}

/// A5: what went on from here is no difference, and a repair does not roll it back.
#[test]
fn what_was_merged_on_is_not_missed() {
    let world = world("runs_on");
    let (r1, first) = apply(&world, "a,b");
    first.exits(0);
    apply(&world, "b,c").1.exits(0);
    world.cql(&format!(
        "UPDATE content_consumption SET progress = 120 WHERE userid = 'c' AND {KEY}"
    ));
    for call in [world.over("verify", &r1), world.over("verify", &r1).flag("--repair")] {
        let verified = call.run().exits(0).json();
        assert_eq!(verified["differences"], 0, "{verified}");
        assert_eq!(verified["groups"]["not_done"]["merged-on"], 1, "{verified}");
    }
    world.over("resume", &r1).run().exits(0);
    assert_rows(&world, &[("c", json!(120), Value::Null)], &["c"]);
}

/// A6: runs are undone in the order in which they can be.
#[test]
fn the_later_run_is_taken_back_first() {
    let world = world("runs_order");
    let (r1, first) = apply(&world, "a,b");
    first.exits(0);
    let (r2, second) = apply(&world, "b,c");
    second.exits(0);
    for force in [false, true] {
        let call = world.over("undo", &r1);
        let call = if force { call.flag("--force") } else { call };
        let refused = call.run().exits(4).json();
        assert_eq!(refused["groups"]["refused"], 1, "{refused}");
        assert_eq!(refused["first"], json!([format!("tributary undo {}", r2.display())]));
        assert_rows(&world, &[("c", json!(100), Value::Null)], &["c"]);
    }
    world.over("undo", &r2).run().exits(0);
    assert_rows(&world, &[("b", json!(100), Value::Null)], &["b"]);
    world.over("undo", &r1).run().exits(0);
    assert_rows(&world, &[("a", json!(100), Value::Null)], &["a"]);
    // Both are gone from the history of these accounts.
    apply(&world, "b,a").1.exits(0);
}

/// A7: an account that was merged is no target any more; one that came back may go where it went.
#[test]
fn what_was_merged_is_no_target() {
    let world = world("runs_target");
    let (r1, first) = apply(&world, "a,b");
    first.exits(0);
    let (r2, rejected) = apply(&world, "x,a a,d b,c");
    rejected.exits(3);
    assert_rejected(&r2, &["merged-earlier", "ambiguous-earlier"], &id(&r1));
    world.cql(&format!("UPDATE content_consumption SET score = '9' WHERE userid = 'a' AND {KEY}"));
    // Straight to where it is now.
    apply(&world, "a,c").1.exits(0);
}

/// The register says of a few pairs among many what it says of them alone: a plan of so many accounts reads it bucket by
/// bucket, where a few are asked for one by one.
#[test]
fn a_plan_of_many_accounts_hears_what_one_of_few_does() {
    let world = world("runs_many");
    apply(&world, "a,b").1.exits(0);
    apply(&world, "b,c").1.exits(0);
    let few = "from,to\nx,a\na,d\nb,e\nq,c\n".to_owned();
    let strangers = (0..10_100).map(|n| format!("from-{n},to-{n}\n"));
    let many: String = [few.clone()].into_iter().chain(strangers).collect();
    let rejected = [("few.csv", few), ("many.csv", many)].map(|(name, list)| {
        let run = world.run_dir();
        Call::new(&[
            "plan",
            world.file(name, list).to_str().expect("the tests use UTF-8"),
            "--inspect",
        ])
        .with("--hosts", &world.addresses.hosts)
        .with("--keyspace", &world.keyspace)
        .with("--run-dir", &run)
        .run()
        .exits(3);
        std::fs::read_to_string(run.join("rejects.csv")).expect("it is written")
    });
    assert_eq!(rejected[0].lines().count(), 4, "{}", rejected[0]);
    assert_eq!(rejected[0], rejected[1]);
}

/// A7 with --follow: what is paired with an account that was merged goes to where that is now, over several runs; the
/// plan and the run say so, and the run is resumed, verified and undone as the one that it was.
#[test]
fn targets_are_followed_to_where_they_are_now() {
    let world = world("runs_follow");
    let insert = |user: &str, content: &str, progress: u32| {
        world.cql(&format!(
            "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status, progress) \
             VALUES ('{user}', '{content}', 'b1', 'c1', 2, {progress})"
        ));
    };
    insert("x", "do2", 7);
    insert("y", "do3", 8);
    insert("q", "do4", 9);
    let (r1, first) = apply(&world, "a,b");
    first.exits(0);
    apply(&world, "b,c").1.exits(0);
    let names_it = |finished: &Finished| {
        let followed = finished.json()["plan"]["followed"].clone();
        let first = json!([{"account": "a", "now": "c"}, {"account": "b", "now": "c"}]);
        assert_eq!(followed, json!({"targets": 2, "first": first}), "{finished}");
    };

    // y is paired with two targets that are one by now; c,a is a circle over two runs, and stays alone with that.
    let list = pairs(&world, "x,a y,b y,c c,a q,s");
    let planned = world.run_dir();
    let plan = |flag: &str| {
        Call::new(&["plan", list.to_str().expect("the tests use UTF-8"), "--inspect"])
            .with("--hosts", &world.addresses.hosts)
            .with("--keyspace", &world.keyspace)
            .flag(flag)
    };
    names_it(&plan("--follow").with("--run-dir", &planned).flag("--json").run().exits(3));
    let text = plan("--follow").with("--run-dir", world.run_dir()).run().exits(3).stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("'a' is 'c' now, 'b' is 'c' now"), "{text}");
    let unfollowed = world.run_dir();
    plan("--json").with("--run-dir", &unfollowed).run().exits(3);
    let refused = world.apply(&list, &world.run_dir()).with("--plan", &unfollowed).flag("--follow");
    refused.run().exits(2).names("its --follow is false, that of this run is true");

    let r3 = world.run_dir();
    let begun = world.apply(&list, &r3).with("--plan", &planned);
    let begun = begun.with("--limit", "1").run();
    names_it(&begun);
    assert_eq!(begun.json()["plan"]["duplicates"], 1, "{begun}");
    assert_rejected(&r3, &["cycle"], &id(&r1));
    // Groups are built: what a target is from now on is nothing to this run.
    apply(&world, "s,t").1.exits(0);
    let resumed = world.over("resume", &r3).with("--limit", "all").run().exits(3);
    names_it(&resumed);
    assert_eq!(resumed.json()["groups"]["done"], 1, "{resumed}");
    world.over("verify", &r3).run();
    let of = |user: &'static str, progress: u32| (user, json!(progress), Value::Null);
    assert_rows(&world, &[of("c", 100), of("c", 7), of("c", 8), of("q", 9)], &["c"]);

    // Pairs are named as the list has them.
    let wrong = pairs(&world, "x,a y,b");
    world.over("undo", &r3).with("--pairs", &wrong).run().exits(0);
    assert_rows(&world, &[of("c", 100), of("q", 9), of("x", 7), of("y", 8)], &["c"]);
}

/// By the register alone: no run directory is left. Without hosts, by run directories.
#[test]
fn an_account_is_followed_through_all_runs_by_the_register() {
    let world = world("runs_lookup");
    let (r1, first) = apply(&world, "a,b");
    first.exits(0);
    let (r2, second) = apply(&world, "b,c");
    second.exits(0);
    let ids = [&r1, &r2].map(|run| id(run));
    let kept = world.path("kept");
    std::fs::rename(&r1, &kept).expect("it is ours");
    let lookup = |account: &str| {
        let call = Call::new(&["lookup", account]).with("--hosts", &world.addresses.hosts);
        call.with("--keyspace", &world.keyspace)
    };
    let text = lookup("a").run().exits(0).stdout;
    let now = format!("a: c now (by the register, of keyspace {})", world.keyspace);
    assert_eq!(text.lines().next(), Some(&*now), "{text}");
    let json = lookup("a").flag("--json").run().exits(0).json();
    assert_eq!((&json["by"], &json["now"]), (&json!("register"), &json!("c")));
    let stays = json["stays"].as_array().expect("a list").iter();
    let went: Vec<_> = stays.map(|stay| [&stay["account"], &stay["run"], &stay["into"]]).collect();
    let step = |account: &str, run: &str, into: Option<&str>| {
        [json!(account), json!(run), into.map_or(Value::Null, |into| json!(into))]
    };
    // b got a's rows, went on, and c is where both are.
    let expected = [
        step("a", &ids[0], Some("b")),
        step("b", &ids[0], None),
        step("b", &ids[1], Some("c")),
        step("c", &ids[1], None),
    ];
    assert_eq!(went, expected.each_ref().map(|step| step.each_ref()), "{json:#}");
    world.over("undo", &r2).run().exits(0);
    let json = lookup("a").flag("--json").run().exits(0).json();
    assert_eq!(json["now"], "b", "{json:#}");
    let nobody = lookup("nobody").run().exits(1);
    nobody.names("'nobody' is in no run of keyspace").names("by the register");

    let path = kept.to_str().expect("the tests use UTF-8");
    let found = Call::new(&["lookup", "a", path]).flag("--json").run().exits(0).json();
    assert_eq!((&found["by"], &found["runs"]), (&json!("run directories"), &json!(1)));
    let both = Call::new(&["lookup", "a", path]).with("--hosts", &world.addresses.hosts).run();
    both.exits(2).names("give one of them");
}

/// A8: of two processes one works at a time.
#[test]
fn two_runs_at_once_are_refused() {
    let world = world("runs_lease");
    let (r1, slow) = begins(&world, "a,b");
    let (_, refused) = apply(&world, "b,a");
    refused.exits(1).names(&id(&r1)).names("two runs at once");
    slow.wait().exits(0);
    let (r2, second) = apply(&world, "b,a");
    second.exits(3);
    assert_rejected(&r2, &["cycle"], &id(&r1));
    assert_rows(&world, &[("b", json!(100), Value::Null)], &["b"]);
}

/// A1: what a source gets after its survivor was merged on is lost to nobody: it stays, and is listed.
#[test]
fn a_late_row_of_an_account_that_went_on_is_listed() {
    let world = world("runs_late");
    let (r1, first) = apply(&world, "a,b");
    first.exits(0);
    world.cql(&format!("UPDATE content_consumption SET score = '9' WHERE userid = 'a' AND {KEY}"));
    apply(&world, "b,c").1.exits(0);
    world.over("resume", &r1).run().exits(3);
    let late = ("a", Value::Null, json!("9"));
    assert_rows(&world, &[late, ("c", json!(100), Value::Null)], &["c"]);
    let listed = std::fs::read_to_string(r1.join("sweep.csv")).expect("it is there");
    assert!(listed.lines().any(|line| line.starts_with("a,b,2,")), "{listed}");
}

/// A9: when some pairs are undone, the others can still be resumed.
#[test]
fn the_rest_of_a_run_goes_on_when_some_pairs_are_taken_back() {
    let world = world("runs_rest");
    world.cql(
        "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status, progress) \
         VALUES ('x', 'do1', 'b1', 'c1', 2, 7)",
    );
    let (r1, first) = apply(&world, "a,b x,y");
    first.exits(0);
    let some = pairs(&world, "a,b");
    world.over("undo", &r1).with("--pairs", &some).run().exits(0);
    world.cql(&format!("UPDATE content_consumption SET score = '9' WHERE userid = 'x' AND {KEY}"));
    world.over("resume", &r1).run().exits(0);
    assert_rows(&world, &[("a", json!(100), Value::Null), ("y", json!(7), json!("9"))], &["a"]);
}
