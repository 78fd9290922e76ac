//! What can be set: where settings come from, and merge specifications other than the built-in one.

use std::path::Path;

use serde_json::{Value, json};

use crate::data::{Data, columns};
use crate::model::Tables;
use crate::process::{Call, read_json};
use crate::world::{World, to_csv};

/// The built-in specification, as a file to be changed.
fn course_batch() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/spec/course-batch.toml");
    std::fs::read_to_string(path).expect("the built-in specification is a file")
}

/// The specification with another rule for keys that both accounts hold.
pub(crate) fn with_conflicts(of_content: &str, of_courses: &str) -> String {
    let spec = course_batch();
    let (content, courses) =
        (r#"on_conflict = { status = "max" }"#, r#"on_conflict = "keep-target""#);
    assert!(spec.contains(content) && spec.contains(courses), "it has changed:\n{spec}");
    spec.replace(content, &format!("on_conflict = {of_content}"))
        .replace(courses, &format!("on_conflict = {of_courses}"))
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let world = World::new("settings");
    let pairs = world.file("pairs.csv", "from,to\n");
    let config = world.file(
        "tributary.toml",
        "in_flight = 3\nconsistency = \"QUORUM\"\nlimit = 9\n[kafka]\n\"linger.ms\" = \"7\"\n",
    );
    let run = world.run_dir();
    world
        .apply(&pairs, &run)
        .with("--config", config)
        .environment("TRIBUTARY_IN_FLIGHT", "4")
        .environment("TRIBUTARY_LIMIT", "8")
        .with("--in-flight", "5")
        .run()
        .exits(0);
    let settings = read_json(&run.join("run.json"))["settings"].clone();
    assert_eq!(settings["in_flight"], 5, "the flag: {settings:#}");
    assert_eq!(settings["limit"], 8, "the environment: {settings:#}");
    assert_eq!(settings["consistency"], "QUORUM", "the file: {settings:#}");
    assert_eq!(settings["events"]["properties"]["linger.ms"], "7", "{settings:#}");

    // What resume would go by, and from where; also while somebody works on the run.
    let run = run.to_str().expect("UTF-8");
    let config = Call::new(&["config", run]).with("--rate", "3").flag("--json").run().exits(0);
    let config = config.json();
    let setting = |name: &str| {
        let settings = config["settings"].as_array().expect("a list");
        let found = settings.iter().find(|setting| setting["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {config:#}"));
        (found["value"].clone(), found["origin"]["layer"].clone())
    };
    assert_eq!(setting("in_flight"), ("5".into(), "run".into()));
    assert_eq!(setting("kafka.linger.ms"), ("7".into(), "run".into()));
    assert_eq!(setting("rate"), ("3".into(), "flag".into()));
    assert_eq!(setting("no_sweep"), ("false".into(), "default".into()));
    Call::new(&["config", run]).with("--topic", "other").run().exits(2).names("'other'");
}

/// The only row of a query, as CQL's JSON.
fn row(world: &World, query: &str) -> Value {
    let rows = world.rows(query);
    let [row] = rows.as_slice() else { panic!("{} rows: {query}", rows.len()) };
    let text = row[0].as_ref().and_then(Value::as_str).expect("JSON is text");
    serde_json::from_str(text).expect("it is JSON")
}

#[test]
fn columns_that_no_specification_names_are_copied_whole() {
    let world = World::new("more_columns");
    let more = [
        ("tags", "set<text>", "{'a', 'b'}"),
        ("raw", "blob", "0x00ff"),
        ("couple", "tuple<int, text>", "(1, 'x')"),
        ("fixed", "frozen<list<int>>", "[3, 1, 2]"),
        ("big", "varint", "123456789012345678901234567890"),
        ("money", "decimal", "12.50"),
        ("exact", "double", "0.1"),
        ("day", "date", "'2026-02-03'"),
        ("id", "uuid", "123e4567-e89b-12d3-a456-426614174000"),
        ("address", "inet", "'::1'"),
        ("span", "duration", "1h30m"),
        ("nested", "map<text, frozen<list<frozen<map<int, text>>>>>", "{'k': [{1: 'v'}]}"),
    ];
    for table in ["content_consumption", "user_courses"] {
        for (name, kind, _) in more {
            world.cql(&format!("ALTER TABLE {table} ADD {name} {kind}"));
        }
    }
    let names = more.map(|(name, ..)| name).join(", ");
    let values = more.map(|(.., value)| value).join(", ");
    let insert = |into: &str, keys: &str| {
        world.cql(&format!("INSERT INTO {into}, {names}) VALUES ({keys}, {values})"));
    };
    insert("content_consumption (userid, contentid, batchid, courseid", "'source', 'c', 'b', 'k'");
    insert("user_courses (batchid, userid", "'b', 'source'");
    let of = |user: &str| {
        ["content_consumption", "user_courses"].map(|table| {
            // Of both tables, the rows of a batch are asked for by what both have.
            let filter = format!("userid = '{user}' AND batchid = 'b' ALLOW FILTERING");
            row(&world, &format!("SELECT JSON {names} FROM {table} WHERE {filter}"))
        })
    };
    let before = of("source");
    assert_eq!(before[0]["nested"], json!({"k": [{"1": "v"}]}));
    let pairs = world.file("pairs.csv", "from,to\nsource,target\n");
    world.apply(&pairs, &world.run_dir()).run().exits(0);
    assert_eq!(of("target"), before);
    assert_eq!(world.events().len(), 1);
}

#[test]
fn another_specification_merges_by_its_own_policies() {
    let world = World::new("policies");
    let mut data = Data::new(1);
    let row = |progress: i32, time: i64, score: &str, status: i32| {
        columns([
            ("progress", json!(progress)),
            ("datetime", json!(time)),
            ("score", json!(score)),
            ("status", json!(status)),
        ])
    };
    data.consume(["first", "c", "b", "k"], row(3, 200, "b", 1));
    data.consume(["second", "c", "b", "k"], row(4, 300, "bb", 9));
    data.consume(["to", "c", "b", "k"], row(5, 100, "c", 2));
    data.enrol("b", "first", columns([("progress", json!(3)), ("status", json!(1))]));
    data.enrol("b", "second", columns([("progress", json!(8)), ("grade", json!("A"))]));
    data.enrol("b", "to", columns([("progress", json!(7)), ("courseid", json!("k"))]));
    data.pair("first", "to");
    data.pair("second", "to");
    world.load(&data.tables);

    let of_content = r#"{ progress = "min", datetime = "max", score = "min" }"#;
    let spec = with_conflicts(of_content, r#"{ progress = "max" }"#);
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let call = world.apply(&pairs, &world.run_dir());
    call.with("--spec", world.file("spec.toml", spec)).run().exits(0);

    let mut expected = Tables::default();
    let key = ("to".to_owned(), "c".to_owned(), "b".to_owned(), "k".to_owned());
    expected.content_consumption.insert(key, row(3, 300, "b", 2));
    let key = ("b".to_owned(), "to".to_owned());
    let row = columns([("progress", json!(8)), ("courseid", json!("k"))]);
    expected.user_courses.insert(key, row);
    world.assert_tables(&expected);
    assert_eq!(world.events().into_keys().collect::<Vec<_>>(), [("to".into(), "b".into())]);
}
