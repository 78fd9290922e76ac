//! Specifications that people write: drafted from a live schema, checked against it, shown, and merged by.

use serde_json::{Value, json};

use crate::process::Call;
use crate::world::World;

/// Tables in which accounts stand in many ways; the last three cannot be merged.
const TABLES: [&str; 7] = [
    "learner (user_id text, course text, grade int, tags set<text>, PRIMARY KEY (user_id, course))",
    "members (course text, user_id text, joined timestamp, PRIMARY KEY (course, user_id))",
    "attempts (course text, user_id text, day date, score int, PRIMARY KEY ((course, user_id), day))",
    "by_kind (kind text, user_id text, day date, PRIMARY KEY ((kind, user_id), day))",
    "visits (user_id text, page text, hits counter, PRIMARY KEY (user_id, page))",
    "notes (user_id text, n int, shared text static, PRIMARY KEY (user_id, n))",
    "rooms (id text PRIMARY KEY, \"userId\" text)",
];

fn world(name: &str) -> World {
    let world = World::empty(name);
    for table in TABLES {
        world.cql(&format!("CREATE TABLE {}.{table}", world.keyspace));
    }
    world.cql(&format!("CREATE TABLE {}.pages (id text PRIMARY KEY, owner text)", world.keyspace));
    world
}

fn on(world: &World, words: &[&str]) -> Call {
    let call = Call::new(words).with("--hosts", &world.addresses.hosts);
    call.with("--keyspace", &world.keyspace)
}

/// A specification is checked against the world, and every one of these problems is named.
#[track_caller]
pub(crate) fn refuses(world: &World, spec: impl AsRef<[u8]>, problems: &[&str]) {
    let path = world.file("s.toml", spec);
    let checked = on(world, &["spec", "check", path.to_str().expect("the tests use UTF-8")]);
    let refused = checked.run().exits(1);
    problems.iter().fold(refused, |refused, problem| refused.names(problem));
}

fn draft(world: &World) -> String {
    let call = on(world, &["spec", "init"]).with("--account", "userid");
    call.run().exits(0).names("tributary spec check FILE --hosts").stdout
}

#[test]
fn a_draft_can_be_checked_shown_and_merged_by() {
    let world = world("spec_draft");
    let draft = draft(&world);
    let path = world.file("draft.toml", &draft);
    let file = path.to_str().expect("the tests use UTF-8");
    let checked = on(&world, &["spec", "check", file]).run().exits(0).stdout;
    assert!(checked.contains(&format!("it fits keyspace {}", world.keyspace)), "{checked}");
    world.cql(&format!("CREATE TABLE {}.badges (userid text PRIMARY KEY, n int)", world.keyspace));
    let told = on(&world, &["spec", "check", file]).run().exits(0);
    told.names("it leaves out table badges, whose userid may name accounts");
    world.cql(&format!("DROP TABLE {}.badges", world.keyspace));
    Call::new(&["spec", "check", file]).run().exits(0);
    let shown = on(&world, &["spec", "show"]).with("--spec", &path).run().exits(0).stdout;
    assert!(
        shown.contains("# The primary key of attempts is ((course, user_id), day);"),
        "{shown}"
    );
    assert!(shown.contains("in the partitions that learner.course"), "{shown}");
    let flat = draft.replace("\n# ", " ");
    for reason in [
        "Nothing that is found has rows which name kind.",
        "Not merged: table notes: column shared is static",
        "Not merged: table visits: column hits is a counter",
    ] {
        assert!(flat.contains(reason), "{reason}\nis not in\n{draft}");
    }
    assert!(!draft.contains("pages"), "{draft}");
    assert!(draft.contains("name = \"rooms\"\nmentions = [\"userId\"]\n"), "{draft}");

    let insert = |into: &str| world.cql(&format!("INSERT INTO {}.{into}", world.keyspace));
    insert("learner (user_id, course, grade, tags) VALUES ('a', 'c1', 3, {'x'})");
    insert("learner (user_id, course, grade, tags) VALUES ('b', 'c1', 2, {'y'})");
    insert("learner (user_id, course, grade) VALUES ('a', 'c2', 1)");
    insert("members (course, user_id, joined) VALUES ('c2', 'a', 1000)");
    insert("attempts (course, user_id, day, score) VALUES ('c1', 'a', '2026-01-02', 7)");
    let pairs = world.file("pairs.csv", "from,to\na,b\n");
    let run = world.run_dir();
    world.apply(&pairs, &run).with("--spec", &path).run().exits(0);
    let rows = |query: &str| -> Vec<Vec<Value>> {
        let rows = world.rows(query).into_iter();
        rows.map(|row| row.into_iter().map(Option::unwrap_or_default).collect()).collect()
    };
    assert_eq!(
        rows("SELECT user_id, course, grade FROM learner"),
        [[json!("b"), json!("c1"), json!(2)], [json!("b"), json!("c2"), json!(1)]]
    );
    assert_eq!(
        rows("SELECT JSON tags FROM learner WHERE user_id = 'b' AND course = 'c1'"),
        [[json!("{\"tags\": [\"x\", \"y\"]}")]]
    );
    assert_eq!(rows("SELECT course, user_id FROM members"), [[json!("c2"), json!("b")]]);
    assert_eq!(
        rows("SELECT course, user_id, score FROM attempts"),
        [[json!("c1"), json!("b"), json!(7)]]
    );
    Call::new(&["verify", run.to_str().expect("UTF-8")])
        .with("--hosts", &world.addresses.hosts)
        .run()
        .exits(0);
}

/// D3: what is not merged goes on naming the sources.
#[test]
fn an_inspection_names_the_tables_that_are_left_out() {
    let world = world("spec_left_out");
    let spec = "name = 's'\n[[table]]\nname = 'learner'\naccount = 'user_id'\nfind = 'partition'\n[[table]]\nname = \
                'members'\naccount = 'user_id'\nfind = { partitions_from = 'learner.course' }\n";
    let (spec, pairs) = (world.file("s.toml", spec), world.file("pairs.csv", "from,to\na,b\n"));
    let inspect = |words: &str| {
        let call = on(&world, &["plan", pairs.to_str().expect("UTF-8")]).with("--inspect", "all");
        call.with("--spec", &spec).with("--run-dir", world.run_dir()).flag(words).run().exits(0)
    };
    let left_out = &inspect("--json").json()["inspection"]["left_out"];
    let of = |table: &str, column: &str| json!({"table": table, "columns": [column]});
    let expected = [
        of("attempts", "user_id"),
        of("by_kind", "user_id"),
        of("notes", "user_id"),
        of("rooms", "userId"),
        of("visits", "user_id"),
    ];
    assert_eq!(*left_out, json!(expected));
    let text = inspect("--quiet").stdout;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("named like those of the accounts: attempts (user_id), by_kind"),
        "{text}"
    );
}

#[test]
fn all_that_does_not_fit_a_live_schema_is_named_at_once() {
    let world = world("spec_faults");
    let spec = "name = 's'\n[[table]]\nname = 'learner'\naccount = 'user_id'\nfind = 'partition'\non_conflict = { grad = \
                'max', tags = 'max' }\n[table.columns]\ncourse = 'int'\n[[table]]\nname = 'members'\naccount = \
                'user_id'\nfind = { partitions_from = 'learner.class' }\n[[table]]\nname = 'visit'\naccount = 'user_id'\n\
                find = 'partition'\n[[table]]\nname = 'notes'\naccount = 'user_id'\nfind = 'partition'\n";
    let path = world.file("s.toml", spec);
    let file = path.to_str().expect("UTF-8");
    let faults = [
        "6 things are wrong with ",
        "line 6: table learner has no column grad, which the merge specification names; it has: ",
        "line 6: table learner: the policy \"max\" does not fit column tags of type set<text>",
        "line 8: table learner: column course is of type text, but the merge specification expects int",
        "line 12: table members: partitions_from names learner.class, but there is no such column; learner has: ",
        "line 14: keyspace",
        "line 18: table notes: column shared is static",
    ];
    // As far as the text alone tells, it is a specification.
    Call::new(&["spec", "check", file]).run().exits(0);
    let pairs = world.file("pairs.csv", "from,to\na,b\n");
    let apply = world.apply(&pairs, &world.run_dir()).with("--spec", &path);
    for call in [
        on(&world, &["spec", "check", file]),
        on(&world, &["spec", "show"]).with("--spec", &path),
        apply,
    ] {
        let finished = call.run().exits(1);
        faults.into_iter().fold(finished, |finished, fault| finished.names(fault));
    }
    let call = on(&world, &["spec", "init"]).with("--account", "shared");
    call.run().exits(1).names("no table of keyspace").names("which is static");
}
