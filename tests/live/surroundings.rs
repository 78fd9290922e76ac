//! What stands around the tables: told before a run, and what follows from it afterwards.

use serde_json::{Value, json};

use crate::process::{Call, Finished};
use crate::runs::{pairs, world};
use crate::world::World;

fn inspect(world: &World) -> Value {
    let run = world.run_dir();
    let pairs = pairs(world, "a,b");
    let call = Call::new(&["plan", pairs.to_str().expect("UTF-8")]).flag("--inspect");
    let call = call.with("--hosts", &world.addresses.hosts).with("--keyspace", &world.keyspace);
    call.with("--run-dir", run).flag("--json").run().exits(0).json()["inspection"].clone()
}

#[test]
fn what_hangs_on_the_tables_is_told_before_a_run() {
    let world = world("around_told");
    world.cql("CREATE INDEX by_grade ON content_consumption (grade)");
    let inspection = inspect(&world);
    let around = &inspection["surroundings"];
    assert_eq!((&around["nodes"], &around["nodes_down"]), (&json!(1), &json!([])));
    assert_eq!((&around["hints"], &around["unknown"]), (&json!([]), &json!([])));
    assert_eq!(around["guardrails"], json!([]));
    assert_eq!((&around["lacking"], &around["not_durable"]), (&json!([]), &json!([])));
    let content = &around["tables"][0];
    assert_eq!(content["table"], "content_consumption");
    assert_eq!((&content["indexes"], &content["views"]), (&json!(["by_grade"]), &json!([])));
    assert_eq!((&content["triggers"], &content["cdc"]), (&json!([]), &json!(false)));
    assert_eq!(content["gc_grace_s"], 864_000);
    assert!(content["disk_bytes"].is_u64(), "{content}");
    // A partition goes; a row goes, and its map is set as a whole.
    for (table, tombstones) in [(0, 1), (1, 2)] {
        let table = &inspection["tables"][table];
        assert_eq!(
            table["tombstones"],
            json!({"value": tombstones, "low": tombstones, "high": tombstones})
        );
        assert!(table["written_bytes"]["value"].as_u64() > Some(10), "{table}");
    }
}

/// What a node forgets when it is killed cannot be told from what somebody deleted.
#[test]
fn a_keyspace_without_a_commit_log_is_warned_of() {
    let world = world("around_log");
    let apply = || world.apply(&pairs(&world, "a,b"), &world.run_dir()).run().exits(0);
    let is_warned = |finished: Finished| finished.stderr.contains("durable_writes = true");
    assert!(!is_warned(apply()));
    world.schema(&format!("ALTER KEYSPACE {} WITH durable_writes = false", world.keyspace));
    assert_eq!(inspect(&world)["surroundings"]["not_durable"], json!([world.keyspace]));
    assert!(is_warned(apply()));
}

/// A replica or a hint that is late would bring rows back.
#[test]
fn tables_that_drop_their_tombstones_early_are_refused_unless_accepted() {
    let world = world("around_grace");
    let before = world.dump();
    let gc_grace = |seconds: u32| {
        world.cql(&format!("ALTER TABLE user_courses WITH gc_grace_seconds = {seconds}"));
    };
    gc_grace(600);
    assert_eq!(inspect(&world)["surroundings"]["tables"][1]["gc_grace_s"], 600);
    let run = world.run_dir();
    let apply = || world.apply(&pairs(&world, "a,b"), &run);
    let refused = |finished: Finished| {
        let finished = finished.exits(1).names("user_courses keeps its tombstones for");
        finished.names("--min-gc-grace").names("ALTER TABLE")
    };
    refused(apply().run()).names("--min-gc-grace 600s");
    world.assert_tables(&before);
    let report = apply().with("--min-gc-grace", "600s").run().exits(0).json();
    let care = &report["aftercare"];
    assert_eq!((&care["gc_grace_s"], &care["keyspace"]), (&json!(600), &json!(world.keyspace)));
    assert_eq!(care["tables"], json!(["content_consumption", "user_courses"]));
    let [from, until] = [&report["started_at"], &care["repair_before"]];
    assert!(from.as_str() < until.as_str(), "{from} {until}");
    // What was begun can be ended, whatever the table is by now.
    gc_grace(0);
    refused(world.over("resume", &run).run()).names("--min-gc-grace none");
    world.over("resume", &run).with("--min-gc-grace", "none").run().exits(0);
    world.over("verify", &run).run().exits(0);
    world.over("undo", &run).run().exits(0);
    world.assert_tables(&before);
}
