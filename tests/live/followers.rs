//! Rows whose key names two accounts: the example of the manual, two runs that are killed at their steps, compared, and
//! undone in their order.

use std::path::Path;

use serde_json::{Value, json};

use crate::mentions::printed;
use crate::process::Call;
use crate::world::World;

fn world() -> World {
    let world = World::empty("followers");
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    cql("CREATE TABLE KS.followers (user_id text, follower_id text, since int, note text, \
         PRIMARY KEY (user_id, follower_id))");
    for (user, follower, since) in [
        ("old", "other", 1),
        ("new", "other", 2),
        ("other", "old", 3),
        ("other", "new", 4),
        // Both go elsewhere, in one group and in two.
        ("old", "elder", 5),
        ("new", "elder", 6),
        ("new", "last", 7),
        ("oldest", "old", 8),
        ("third", "fourth", 9),
    ] {
        cql(&format!(
            "INSERT INTO KS.followers (user_id, follower_id, since, note) VALUES ('{user}', '{follower}', {since}, \
             '{user} {follower}')"
        ));
    }
    world
}

fn rows(world: &World) -> Value {
    let mut rows = world.rows("SELECT user_id, follower_id, since, note FROM followers");
    rows.sort_by_key(|row| format!("{row:?}"));
    json!(rows)
}

#[test]
fn the_example_of_the_manual_is_merged_killed_compared_and_undone() {
    let world = world();
    let before = rows(&world);
    let specs = ["followed.toml", "following.toml"].map(|name| world.file(name, printed(name)));
    let pairs = world.file("pairs.csv", "from,to\nold,new\noldest,new\nelder,last\n");
    let path = pairs.to_str().expect("the tests use UTF-8");
    let runs = [world.run_dir(), world.run_dir()];
    let killed = |call: Call, at: &str| {
        call.environment("TRIBUTARY_FAILPOINT", at).run().was_killed();
    };

    let apply = |half: usize| world.apply(&pairs, &runs[half]).with("--spec", &specs[half]);
    killed(apply(0), "intended:2");
    killed(world.resume(&runs[0]), "written:1");
    world.resume(&runs[0]).run().exits(0);
    let half = json!([
        ["new", "elder", 5, "new elder"],
        ["new", "last", 7, "new last"],
        ["new", "old", 8, "oldest old"],
        ["new", "other", 1, "new other"],
        ["other", "new", 4, "other new"],
        ["other", "old", 3, "other old"],
        ["third", "fourth", 9, "third fourth"],
    ]);
    assert_eq!(rows(&world), half);
    world.over("verify", &runs[0]).run().exits(0);

    let plan = Call::new(&["plan", path]).with("--hosts", &world.addresses.hosts).flag("--inspect");
    let plan = plan.with("--keyspace", &world.keyspace).with("--spec", &specs[1]).flag("--json");
    let report = plan.with("--run-dir", world.run_dir()).run().exits(0).json();
    let missed = &report["inspection"]["missed"];
    let expected = json!({
        "tables": [], "scanned": ["followers"], "clustered_rows": null, "scanned_rows": 7, "mentions": []
    });
    assert_eq!(missed, &expected, "{report:#}");
    let found = &report["inspection"]["tables"][0];
    assert_eq!(found["source_rows"]["value"], 3, "{report:#}");

    killed(apply(1), "scanned:40");
    killed(world.resume(&runs[1]), "intended:1");
    killed(world.resume(&runs[1]), "written:1");
    let report = world.resume(&runs[1]).run().exits(0).json();
    let whole = json!([
        ["new", "last", 5, "new last"],
        ["new", "other", 1, "new other"],
        ["other", "new", 3, "other new"],
        ["third", "fourth", 9, "third fourth"],
    ]);
    assert_eq!(rows(&world), whole, "{report:#}");
    assert_eq!(report["swept"]["scanned"], 4, "{report:#}");
    assert_eq!(report["tables"][0]["unchanged"], 1, "{report:#}");
    let verify = |run: &Path| world.over("verify", run).run().exits(0).json();
    assert_eq!(verify(&runs[1])["groups"]["compared"], 2);
    verify(&runs[0]);

    // What comes late is swept by the second, and left and listed by the first, whose accounts went on.
    world.cql(&format!(
        "INSERT INTO {}.followers (user_id, follower_id, since) VALUES ('fifth', 'old', 1)",
        world.keyspace
    ));
    let late = world.resume(&runs[1]).run().exits(0).json();
    assert_eq!(late["swept"]["rows"], 1, "{late:#}");
    assert!(rows(&world).to_string().contains("[\"fifth\",\"new\",1,null]"), "{}", rows(&world));

    world.cql(&format!(
        "INSERT INTO {}.followers (user_id, follower_id, since) VALUES ('elder', 'sixth', 1)",
        world.keyspace
    ));
    let late = world.resume(&runs[0]).run().exits(3).json();
    assert_eq!(
        (&late["swept"]["rows"], &late["swept"]["left"]),
        (&json!(0), &json!(1)),
        "{late:#}"
    );
    world.cql(&format!("DELETE FROM {}.followers WHERE user_id = 'elder'", world.keyspace));

    world.over("undo", &runs[0]).run().exits(4);
    world.over("undo", &runs[1]).run().exits(0);
    world.cql(&format!("DELETE FROM {}.followers WHERE user_id = 'fifth'", world.keyspace));
    assert_eq!(rows(&world), half);
    world.over("undo", &runs[0]).run().exits(0);
    assert_eq!(rows(&world), before);
}
