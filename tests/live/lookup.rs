//! Where accounts went.

use serde_json::{Value, json};

use crate::data::Data;
use crate::frames::INVALID;
use crate::process::{Call, Finished};
use crate::proxy::{Fate, Proxy};
use crate::world::{World, to_csv};

fn lookup(account: &str, path: &std::path::Path) -> Call {
    Call::new(&["lookup", account, path.to_str().expect("the tests use UTF-8")])
}

/// The only group that was found.
#[track_caller]
fn only(finished: &Finished) -> Value {
    let json = finished.json();
    let found = json["found"].as_array().expect("what was found is a list");
    assert_eq!(found.len(), 1, "{finished}");
    found[0].clone()
}

/// Two runs: a chain and a fan-in that were merged, a pair that fails, one that is left out; and later a
/// pair that leads on.
fn world() -> World {
    let world = World::new("lookup");
    let mut data = Data::new(23);
    for (from, to) in [("a", "b"), ("b", "c"), ("x y", "c"), ("fails", "z"), ("later", "last")] {
        data.study(from, "content", "batch");
        data.pair(from, to);
    }
    world.load(&data.tables);
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        let refused = request.writes() && request.binds("fails");
        if refused { Fate::Refuse(INVALID) } else { Fate::Pass }
    });
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let first = world.apply(&pairs, &world.path("runs/first")).with("--hosts", &proxy.hosts);
    first.with("--limit", "2").run().exits(3);
    let pairs = world.file("more.csv", "from,to\nc,d\n");
    world.apply(&pairs, &world.path("runs/second")).run().exits(0);
    let plan = Call::new(&["plan", pairs.to_str().expect("the tests use UTF-8")]);
    plan.with("--run-dir", world.path("runs/third")).run().exits(0);
    world
}

#[test]
fn accounts_are_found_in_every_part_that_they_play() {
    let world = world();
    let (runs, first) = (world.path("runs"), world.path("runs/first"));
    let found = only(&lookup("a", &runs).flag("--json").run().exits(0));
    assert_eq!((&found["role"], &found["state"]), (&json!("source"), &json!("done")));
    assert_eq!(found["chain"], json!(["a", "b", "c"]));
    assert_eq!(found["pair"], json!({"from": "a", "to": "b", "line": 2}));
    assert_eq!(found["run_dir"], json!(first));
    let as_of = found["as_of"].as_str().expect("it was merged");
    assert!(as_of < found["changed_at"].as_str().expect("it is done"), "{found:#}");

    let found = only(&lookup("b", &first).flag("--json").run().exits(0));
    assert_eq!((&found["role"], &found["chain"]), (&json!("intermediate"), &json!(["b", "c"])));
    assert_eq!(found["received"], json!([{"from": "a", "to": "b", "line": 2}]));

    // Its survivor is a source of the next run.
    let found = lookup("c", &runs).flag("--json").run().exits(0).json();
    let roles: Vec<_> =
        found["found"].as_array().expect("a list").iter().map(|f| &f["role"]).collect();
    assert_eq!(roles, ["survivor", "source"]);
    assert_eq!(found["runs"], 2, "one that only planned merged nothing");

    let text = lookup("x y", &runs).run().exits(0).stdout;
    assert!(text.contains("into c: line 4 pairs it with c") && text.contains("x y → c"), "{text}");
    assert!(text.contains("State       done"), "{text}");
}

#[test]
fn failed_planned_and_unknown_accounts_are_told_apart() {
    let world = world();
    let (runs, first) = (world.path("runs"), world.path("runs/first"));
    let found = only(&lookup("z", &first).flag("--json").run().exits(0));
    assert_eq!((&found["role"], &found["state"]), (&json!("survivor"), &json!("failed")));
    assert!(found["reason"].as_str().expect("there is one").contains("the test asked for"));
    let text = lookup("fails", &runs).run().exits(0).stdout;
    assert!(text.contains("failed: ") && text.contains("the test asked for"), "{text}");

    let found = only(&lookup("later", &runs).flag("--json").run().exits(0));
    assert_eq!((&found["state"], &found["as_of"]), (&json!("planned"), &Value::Null));
    assert_eq!(found["chain"], json!(["later", "last"]));
    let text = lookup("last", &runs).run().exits(0).stdout;
    assert!(text.contains("planned: nothing was done yet"), "{text}");

    let unknown = lookup("nobody", &runs).run().exits(1).names("'nobody' is in none of the runs");
    assert_eq!(unknown.stdout, "");
    let unknown = lookup("nobody", &runs).flag("--json").run().exits(1);
    assert_eq!((&unknown.json()["found"], &unknown.json()["runs"]), (&json!([]), &json!(2)));
}

#[test]
fn a_run_that_cannot_be_read_does_not_hide_the_others() {
    let world = world();
    let runs = world.path("runs");
    std::fs::write(runs.join("second/journal.sqlite"), "garbage").expect("it is ours");
    let finished =
        lookup("a", &runs).flag("--json").run().exits(1).names("runs/second is left out");
    assert_eq!(only(&finished)["run_dir"], json!(runs.join("first")));
    assert_eq!(finished.json()["unreadable"][0]["run_dir"], json!(runs.join("second")));
}

#[test]
fn what_was_recorded_is_shown_by_name() {
    let world = world();
    let run = world.path("runs/first");
    let record =
        |account: &str| Call::new(&["record", run.to_str().expect("the tests use UTF-8"), account]);
    let shown = record("a").run().exits(0).json();
    assert_eq!((&shown["survivor"], &shown["state"]), (&json!("c"), &json!("done")));
    assert_eq!(record("c").run().exits(0).json(), shown, "whoever of the group it is asked for");
    let slice = &shown["slices"][0];
    assert_eq!((&slice["kind"], &slice["completes"]), (&json!("merge"), &json!(true)));
    assert_eq!(slice["t"], shown["t"]);
    let content = &slice["body"]["entries"][0];
    assert_eq!(
        (&content["table"], &content["write"]),
        (&json!("content_consumption"), &json!("copy"))
    );
    let row = &content["from"][0]["row"];
    assert_eq!((&row["contentid"], &row["userid"]), (&json!("content"), &json!("b")), "{row:#}");
    let scopes = [&slice["scopes"][0]["scope"], &slice["body"]["seal"]["events"][0]["scope"]];
    assert_eq!(scopes, [&json!({"batchid": "batch"}); 2]);

    assert_eq!(record("fails").run().exits(0).json()["state"], "failed");
    let planned = record("later").run().exits(0).names("this group was not begun");
    let planned = planned.json();
    assert_eq!((&planned["state"], &planned["slices"]), (&json!("planned"), &json!([])));
    assert_eq!(planned["pairs"], json!([{"from": "later", "to": "last", "line": 6}]));
    let unknown = record("nobody").run().exits(2).names("'nobody' is in no group of the run");
    assert_eq!(unknown.stdout, "");
}
