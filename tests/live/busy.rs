//! What another run keeps from being done is no failure: it is counted apart, and it is said which run that is.

use serde_json::{Value, json};

use crate::process::{Call, Finished};
use crate::runs::{assert_rows, begins, id, pairs, world};

/// Once the lease of a process that was killed has ended.
pub(crate) fn once_free(call: impl Fn() -> Call) -> Finished {
    let took = std::time::Instant::now();
    loop {
        let finished = call().run();
        if !finished.was_kept_out() {
            return finished;
        }
        assert!(took.elapsed().as_secs() < 120, "the lease does not end: {finished}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[test]
fn who_is_kept_out_by_a_lease_is_told_by_whom() {
    let world = world("busy_lease");
    let (r1, slow) = begins(&world, "a,b");
    let kept_out = world.apply(&pairs(&world, "b,c"), &world.run_dir()).run().exits(1);
    let json = kept_out.json();
    assert_eq!((&json["busy"]["run"], &json["exit_code"]), (&json!(id(&r1)), &json!(1)));
    assert!(json["busy"]["lease_s"].as_u64().is_some_and(|s| (1..=61).contains(&s)), "{json}");
    kept_out.names("two runs at once could lose rows");
    slow.wait().exits(0);
    // What has failed says nothing of the kind.
    let failed = world.apply(&pairs(&world, "b,c"), &world.run_dir());
    let failed = failed.with("--keyspace", "there_is_none").run().exits(1);
    assert_eq!(failed.stdout, "");
}

/// Groups that were not begun: the accounts of one are busy in another run, those of the other went elsewhere.
#[test]
fn groups_that_other_runs_stand_in_the_way_of_have_not_failed() {
    let world = world("busy_groups");
    world.cql(
        "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status, progress) \
         VALUES ('q', 'do2', 'b1', 'c1', 2, 7)",
    );
    let r1 = world.run_dir();
    world.apply(&pairs(&world, "a,b x,y p,q"), &r1).with("--limit", "1").run().exits(0);
    world.apply(&pairs(&world, "y,z"), &world.run_dir()).run().exits(0);
    let r3 = world.run_dir();
    let call = world.apply(&pairs(&world, "q,s"), &r3).environment("TRIBUTARY_LEASE", "1");
    call.environment("TRIBUTARY_FAILPOINT", "copied").run().was_killed();

    let rest = || world.over("resume", &r1).with("--limit", "all");
    let groups = |finished: &Finished| {
        let json = finished.json();
        assert_eq!(json["adds_up"], true, "{finished}");
        assert_eq!((&json["groups"]["failed"], &json["failures"]), (&json!(0), &json!([])));
        ["done", "busy", "rejected"].map(|state| json["groups"][state].as_u64())
    };
    let waiting = once_free(rest).exits(3);
    assert_eq!(groups(&waiting), [Some(1), Some(1), Some(1)], "{waiting}");
    let busy = json!([{"run": id(&r3), "groups": 1, "run_dir": r3, "host": waiting.json()["busy"][0]["host"]}]);
    assert_eq!(waiting.json()["busy"], busy, "{waiting}");
    let advised = waiting.json()["advice"].as_array().expect("a list").clone();
    let resume = format!("tributary resume {}", r3.display());
    assert!(advised.iter().any(|next| next["command"] == *resume), "{waiting}");
    let failures = std::fs::read_to_string(r1.join("failures.csv")).expect("it is there");
    assert!(failures.contains("x,y,3,\"merged-earlier: "), "{failures}");
    assert!(failures.contains("p,q,4,busy: "), "{failures}");

    world.over("resume", &r3).run().exits(0);
    // q went on now, and with that r1 has an end.
    let over_now = rest().run().exits(3);
    assert_eq!(groups(&over_now), [Some(1), Some(0), Some(2)], "{over_now}");
    let listed = Call::new(&["runs"]).with("--hosts", &world.addresses.hosts);
    let listed = listed.with("--keyspace", &world.keyspace).flag("--json").run().exits(0).json();
    let states: Vec<&Value> =
        listed["runs"].as_array().expect("a list").iter().map(|run| &run["state"]).collect();
    assert_eq!(states, ["done", "done", "done"], "{listed:#}");
    assert_eq!(listed["advice"], json!([]), "{listed:#}");
    let content = [("b", json!(100), Value::Null), ("s", json!(7), Value::Null)];
    assert_rows(&world, &content, &["b"]);
    // When that is taken back, the accounts are here again.
    world.over("undo", &r3).run().exits(0);
    assert_eq!(groups(&rest().run().exits(3)), [Some(2), Some(0), Some(1)]);
}
