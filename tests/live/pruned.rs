//! A register that has forgotten old runs: whatever it is asked, it answers as before.

use serde_json::{Value, json};

use crate::process::{Call, Finished};
use crate::runs::{assert_rejected, assert_rows, begins, id, pairs, world};
use crate::world::World;

fn runs(world: &World, words: &[&str]) -> Call {
    Call::new(&[&["runs"], words].concat())
        .with("--hosts", &world.addresses.hosts)
        .with("--keyspace", &world.keyspace)
        .flag("--json")
}

fn prune(world: &World) -> Call {
    runs(world, &["prune"]).with("--older-than", "90d")
}

/// The ids of the runs that are listed.
fn listed(world: &World) -> Vec<String> {
    let json = runs(world, &[]).run().exits(0).json();
    let listed = json["runs"].as_array().expect("a list").iter();
    listed.map(|run| run["run"].as_str().expect("an id").to_owned()).collect()
}

/// Lets a run have been on a day, long ago.
fn on_day(world: &World, run: &str, day: i64) {
    let at = 1_000_000_000_000_000 + day * 86_400_000_000;
    let keyspace = &world.keyspace;
    world.cql(&format!(
        "UPDATE tributary.runs SET began = {at}, ended = {at} WHERE keyspace_name = '{keyspace}' AND run = '{run}'"
    ));
}

/// Rows of the register that name a run.
fn rows_of(world: &World, run: &str) -> (usize, usize) {
    let count = |query: &str| {
        let rows = crate::tables::rows(world.session(), query);
        crate::world::runtime().block_on(rows).len()
    };
    let keyspace = &world.keyspace;
    let windows = format!(
        "SELECT t FROM tributary.windows WHERE keyspace_name = '{keyspace}' AND run = '{run}'"
    );
    let accounts = format!(
        "SELECT account FROM tributary.accounts WHERE keyspace_name = '{keyspace}' AND run = '{run}' ALLOW FILTERING"
    );
    (count(&windows), count(&accounts))
}

#[test]
fn who_became_whom_stays_when_old_runs_are_pruned() {
    let world = world("runs_pruned");
    let apply = |list: &str, code: i32| {
        let run = world.run_dir();
        world.apply(&pairs(&world, list), &run).run().exits(code);
        run
    };
    let r1 = apply("a,b", 0);
    let r2 = apply("b,c", 0);
    let undone = apply("x,y", 0);
    world.over("undo", &undone).run().exits(0);
    let closed = apply("p,q", 0);
    runs(&world, &["close", &id(&closed)]).without("--json").run().exits(0);
    let lost = apply("l,m", 0);
    runs(&world, &["lost", &id(&lost)]).without("--json").run().exits(0);
    let recent = apply("c,d", 0);
    let ids = [&r1, &r2, &undone, &closed, &lost, &recent].map(|run| id(run));
    for (day, run) in (1..).zip(&ids[..5]) {
        on_day(&world, run, day);
    }
    let lookup = |account: &str| -> Value {
        let call = Call::new(&["lookup", account]).with("--hosts", &world.addresses.hosts);
        call.with("--keyspace", &world.keyspace).flag("--json").run().exits(0).json()
    };
    let went = |json: &Value| -> Vec<Value> {
        let stays = json["stays"].as_array().expect("a list").iter();
        stays
            .map(|stay| json!([stay["account"], stay["run"], stay["into"], stay["standing"]]))
            .collect()
    };
    let before = lookup("a");
    assert_eq!(before["now"], "d", "{before:#}");

    let pruned = prune(&world).run().exits(0).json();
    assert_eq!(pruned["pruned"], json!(ids[..4]), "{pruned:#}");
    assert_eq!(listed(&world), ids[4..]);
    for (run, accounts) in [(0, 2), (1, 2), (2, 0), (3, 0)] {
        assert_eq!(rows_of(&world, &ids[run]), (0, accounts), "run {run}");
    }
    let after = lookup("a");
    assert_eq!((&after["now"], went(&after)), (&before["now"], went(&before)), "{after:#}");
    assert_eq!(after["stays"][0]["run_dir"], Value::Null, "{after:#}");

    // It cannot be known any more what comes before them.
    let forgotten = |finished: Finished| {
        finished.exits(2).names("has forgotten run").names("tributary apply");
    };
    forgotten(world.over("resume", &r1).run());
    forgotten(world.over("undo", &r2).run());
    forgotten(world.over("verify", &r1).flag("--repair").run());
    let compared = world.over("verify", &r1).run().exits(0).json();
    assert_eq!(compared["advice"], json!([]), "nothing that would be refused: {compared:#}");
    // Planning goes by who became whom, and what was undone or closed stands in nobody's way.
    let rejected = apply("d,a b,x c,e y,x q,p", 3);
    assert_rejected(&rejected, &["cycle", "ambiguous-earlier", "ambiguous-earlier"], &ids[0]);
    world.over("undo", &recent).run().exits(0);
    assert_rows(&world, &[("c", json!(100), Value::Null)], &["c"]);
    assert_eq!(prune(&world).run().exits(0).json()["pruned"], json!([]));
}

/// A run that has not ended is not forgotten, nor is what would have to be undone before it; nobody prunes while a run
/// is at work.
#[test]
fn what_is_not_over_is_not_pruned() {
    let world = world("runs_kept");
    let r1 = world.run_dir();
    let list = pairs(&world, "a,b x,y");
    world.apply(&list, &r1).with("--limit", "1").run();
    let r2 = world.run_dir();
    world.apply(&pairs(&world, "b,c"), &r2).run().exits(0);
    let [first, second] = [&r1, &r2].map(|run| id(run));
    on_day(&world, &first, 1);
    on_day(&world, &second, 2);
    let pruned = prune(&world).run().exits(0).json();
    assert_eq!(pruned["pruned"], json!([]), "{pruned:#}");
    assert_eq!(pruned["kept"], json!([{"run": second, "because_of": first}]), "{pruned:#}");
    let text = prune(&world).without("--json").run().exits(0).stdout;
    assert!(text.contains(&first) && text.contains(&second), "{text}");

    let (r3, slow) = begins(&world, "p,q");
    prune(&world).run().exits(1).names("is being worked on by run").names(&id(&r3));
    slow.wait().exits(0);
    runs(&world, &["prune"]).run().exits(2).names("--older-than is missing");
    // In its order everything can still be undone.
    world.over("undo", &r2).run().exits(0);
    world.over("undo", &r1).run().exits(0);
    assert_rows(&world, &[("a", json!(100), Value::Null)], &["a"]);
}
