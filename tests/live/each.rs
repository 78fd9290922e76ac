//! Entries of maps by a policy of their own, and dates that are text.

use serde_json::{Value, json};

use crate::world::World;

const SPEC: &str = r#"
name = "each"

[[table]]
name = "progress"
account = "userid"
find = "partition"

[table.on_conflict]
best = { each = "max" }
seen = { policy = "max", format = "%Y-%m-%d %H:%M:%S:%3f%z" }
"#;

#[test]
fn each_entry_and_each_date_goes_by_itself() {
    let world = World::empty("each");
    let cql = |statement: &str| world.cql(&statement.replace("KS", &world.keyspace));
    cql("CREATE TABLE KS.progress (userid text, course text, best map<text, int>, seen text, \
         PRIMARY KEY (userid, course))");
    for (user, best, seen) in [
        ("new", "'a': 3, 'b': 1", "2020-01-02 06:00:00:000+0530"),
        ("old", "'a': 2, 'b': 5, 'c': 0", "2020-01-02 03:00:00:000+0000"),
    ] {
        cql(&format!(
            "INSERT INTO KS.progress (userid, course, best, seen) VALUES ('{user}', 'k', {{{best}}}, '{seen}')"
        ));
    }
    let seen = || {
        let rows = world.rows("SELECT userid, best, seen FROM progress");
        let of = |user: &str| {
            let row = rows.iter().find(|row| row[0] == Some(user.into()))?;
            Some(row.iter().cloned().map(Option::unwrap_or_default).collect::<Vec<Value>>())
        };
        (of("new"), of("old"))
    };
    let before = seen();
    let (spec, pairs) =
        (world.file("each.toml", SPEC), world.file("pairs.csv", "from,to\nold,new\n"));
    let run = world.run_dir();
    let apply = world.apply(&pairs, &run).without("--brokers").without("--topic");
    apply.with("--spec", &spec).flag("--no-events").run().exits(0);
    let row = |best: Value| Some(vec![json!("new"), best, json!("2020-01-02 03:00:00:000+0000")]);
    assert_eq!(seen(), (row(json!({"a": 3, "b": 5, "c": 0})), None));
    // Later entries of the source, of which one is higher.
    cql(
        "UPDATE KS.progress SET best = best + {'a': 1, 'b': 7} WHERE userid = 'old' AND course = 'k'",
    );
    let over = |command: &str| world.over(command, &run);
    over("resume").run().exits(0);
    assert_eq!(seen(), (row(json!({"a": 3, "b": 7, "c": 0})), None));
    over("verify").run().exits(0);
    over("undo").run().exits(0);
    let (survivor, source) = seen();
    assert_eq!(survivor, before.0);
    assert_eq!(source.expect("it is back")[1], json!({"a": 1, "b": 7, "c": 0}));
}
