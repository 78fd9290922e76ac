//! As of T: what the run writes is as if it had happened at one instant.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::data::{Data, columns};
use crate::model::{self, Outcome, Tables};
use crate::process::Call;
use crate::tables::{Kind, TABLES};
use crate::world::{World, to_csv};

pub(crate) fn now_us() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    since_epoch.as_micros() as i64
}

/// One pair whose rows are copied, one key being held by both. Gives the moments around the run.
fn merged(world: &World) -> (Tables, Outcome, std::ops::Range<i64>) {
    let mut data = Data::new(9);
    data.consume(
        ["source", "c1", "b1", "k"],
        columns([("grade", json!("A")), ("status", json!(2)), ("viewcount", json!(3))]),
    );
    data.consume(["source", "c2", "b1", "k"], columns([("status", json!(2))]));
    data.consume(
        ["target", "c2", "b1", "k"],
        columns([("status", json!(1)), ("grade", json!("own"))]),
    );
    let map = json!({"x": 1, "y": 2});
    data.enrol("b1", "source", columns([("progress", json!(5)), ("contentstatus", map)]));
    data.pair("source", "target");
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data.tables);
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let start = now_us();
    world.apply(&pairs, &world.run_dir()).run().exits(0);
    let during = start - 50_000..now_us();
    world.assert_is(&expected);
    (data.tables, expected, during)
}

/// The write times of all cells of a row, by column; a map has one per entry.
fn write_times(world: &World, table: usize, user: &str, rest: &str) -> Vec<(&'static str, i64)> {
    let table = &TABLES[table];
    let names: Vec<_> = table.values().iter().map(|(name, _)| *name).collect();
    let select: Vec<_> = names.iter().map(|name| format!("WRITETIME({name})")).collect();
    let query = format!(
        "SELECT {} FROM {} WHERE userid = '{user}' AND {rest}",
        select.join(", "),
        table.name
    );
    let rows = world.rows(&query);
    assert_eq!(rows.len(), 1, "{query}");
    let mut times = Vec::new();
    for (name, cell) in names.into_iter().zip(rows.into_iter().flatten()) {
        match cell {
            None => {}
            Some(Value::Array(cells)) => {
                times.extend(cells.iter().map(|cell| (name, cell.as_i64().expect("a write time"))));
            }
            Some(cell) => times.push((name, cell.as_i64().expect("a write time"))),
        }
    }
    times
}

#[test]
fn every_cell_of_a_group_carries_one_moment_within_the_run() {
    let world = World::new("one_moment");
    let (_, _, during) = merged(&world);
    let copied =
        write_times(&world, 1, "target", "contentid = 'c1' AND batchid = 'b1' AND courseid = 'k'");
    let enrolled = write_times(&world, 0, "target", "batchid = 'b1'");
    let kept =
        write_times(&world, 1, "target", "contentid = 'c2' AND batchid = 'b1' AND courseid = 'k'");
    assert_eq!((copied.len(), enrolled.len(), kept.len()), (3, 3, 2));

    let (status, own): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(name, _)| *name == "status");
    let moments: BTreeSet<i64> =
        copied.iter().chain(&enrolled).chain(&status).map(|(_, time)| *time).collect();
    let t = *moments.first().expect("cells were written");
    assert_eq!(moments.len(), 1, "{copied:?} {enrolled:?} {status:?}");
    assert!(during.contains(&t), "{t} is not within {during:?}");
    assert!(own[0].1 < t, "a cell that the survivor keeps was written again: {own:?}");
    for event in world.events().values() {
        assert!(during.contains(&(event.ets * 1_000 + 999)), "{event:?} is not of {during:?}");
    }
}

/// A column that is null at the source must not become a tombstone: an older value that arrives
/// late would be lost.
#[test]
fn a_null_column_is_not_written() {
    let world = World::new("no_tombstone");
    let (_, mut expected, during) = merged(&world);
    let older = during.start - 60_000_000;
    let of_content =
        "WHERE userid = 'target' AND contentid = 'c1' AND batchid = 'b1' AND courseid = 'k'";
    for (name, value) in [("result", "'late'"), ("progress", "7")] {
        world.cql(&format!(
            "UPDATE content_consumption USING TIMESTAMP {older} SET {name} = {value} {of_content}"
        ));
    }
    world.cql(&format!(
        "UPDATE user_courses USING TIMESTAMP {older} SET delta = 'late' \
         WHERE userid = 'target' AND batchid = 'b1'"
    ));
    let key = ("target".into(), "c1".into(), "b1".into(), "k".into());
    let row = expected.tables.content_consumption.get_mut(&key).expect("it was copied");
    row.extend(columns([("result", json!("late")), ("progress", json!(7))]));
    let key = ("b1".into(), "target".into());
    let row = expected.tables.user_courses.get_mut(&key).expect("it was copied");
    row.insert("delta".into(), json!("late"));
    world.assert_tables(&expected.tables);
}

#[test]
fn a_later_write_of_the_application_stays() {
    let world = World::new("later_write");
    let (_, mut expected, _) = merged(&world);
    world.cql(
        "UPDATE content_consumption SET status = 0, result = 'new' \
         WHERE userid = 'target' AND contentid = 'c2' AND batchid = 'b1' AND courseid = 'k'",
    );
    let key = ("target".into(), "c2".into(), "b1".into(), "k".into());
    let row = expected.tables.content_consumption.get_mut(&key).expect("it is kept");
    row.extend(columns([("status", json!(0)), ("result", json!("new"))]));
    world.assert_tables(&expected.tables);
}

/// A write to a source that was stamped before T and arrives after the run stays deleted; one that
/// was stamped after it survives.
#[test]
fn a_deleted_source_hides_what_is_older_and_nothing_newer() {
    let world = World::new("deleted");
    let (before, mut expected, during) = merged(&world);
    let t = write_times(&world, 0, "target", "batchid = 'b1'")[0].1;
    let older = during.start - 60_000_000;
    assert!(older < t && before != expected.tables);
    let write = |time: i64, content: &str| {
        world.cql(&format!(
            "INSERT INTO content_consumption (userid, contentid, batchid, courseid, grade) \
             VALUES ('source', '{content}', 'b1', 'k', 'late') USING TIMESTAMP {time}"
        ));
        world.cql(&format!(
            "UPDATE user_courses USING TIMESTAMP {time} SET grade = 'late' \
             WHERE batchid = 'b1' AND userid = 'source'"
        ));
    };
    write(older, "c1");
    write(t, "c1"); // at the very same moment the delete wins
    world.assert_tables(&expected.tables);

    write(t + 1, "c9");
    let late = columns([("grade", json!("late"))]);
    let key = ("source".into(), "c9".into(), "b1".into(), "k".into());
    expected.tables.content_consumption.insert(key, late.clone());
    expected.tables.user_courses.insert(("b1".into(), "source".into()), late);
    world.assert_tables(&expected.tables);
}

/// A cell of the survivor that is dated later than T wins over the higher status of a source.
#[test]
fn a_cell_of_the_survivor_from_the_future_is_not_overwritten() {
    let world = World::new("future");
    let mut data = Data::new(9);
    data.consume(["source", "c", "b", "k"], columns([("status", json!(2))]));
    data.consume(["target", "c", "b", "k"], columns([("grade", json!("own"))]));
    data.pair("source", "target");
    world.load(&data.tables);
    world.cql(&format!(
        "UPDATE content_consumption USING TIMESTAMP {} SET status = 1 \
         WHERE userid = 'target' AND contentid = 'c' AND batchid = 'b' AND courseid = 'k'",
        now_us() + 600_000_000
    ));
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    world.apply(&pairs, &world.run_dir()).run().exits(0);
    let seen = world.dump().content_consumption;
    let own = columns([("status", json!(1)), ("grade", json!("own"))]);
    let key = ("target".into(), "c".into(), "b".into(), "k".into());
    assert_eq!(seen, [(key, own)].into());
}

/// Maps are among the columns whose every cell is checked above.
#[test]
fn the_tables_of_the_tests_have_every_kind_of_column() {
    let kinds = [Kind::Text, Kind::Int, Kind::Boolean, Kind::Timestamp, Kind::IntMap];
    for kind in kinds {
        assert!(TABLES.iter().flat_map(|table| table.columns).any(|(_, of)| *of == kind));
    }
}

/// The application lowers and raises statuses of the survivor between T and the write: it knows nothing of the source's,
/// and the higher of both stands. Undo leaves what the application wrote.
#[test]
fn what_the_application_writes_between_t_and_the_merge_hides_no_higher_value() {
    let world = World::new("overtaken");
    let mut data = Data::new(12);
    let mut times = Vec::new();
    // Whether the survivor has a row, with which status; what the source has; what the application writes.
    let cases = [(Some(0), 2, 1), (Some(2), 1, 0), (Some(1), 2, 3), (None, 2, 1), (Some(0), 1, 1)];
    for (n, (own, offered, written)) in cases.into_iter().enumerate() {
        let content = format!("c{n}");
        let row = columns([("status", json!(offered)), ("grade", json!("source"))]);
        data.consume(["source", &content, "b1", "k"], row);
        if let Some(own) = own {
            let row = columns([("status", json!(own)), ("grade", json!("own"))]);
            data.consume(["target", &content, "b1", "k"], row);
        }
        times.push((content, written));
    }
    data.enrol("b1", "target", columns([("progress", json!(1))]));
    data.pair("source", "target");
    world.load(&data.tables);
    let mut expected = model::apply(&data.lines, &data.tables);
    // T is the start of the run, and the first read comes 6 s later: these are dated in between.
    let between = now_us() + 4_000_000;
    let row = |content: &str| {
        let key = ("target".to_owned(), content.to_owned(), "b1".to_owned(), "k".to_owned());
        (
            key,
            format!(
                "userid = 'target' AND contentid = '{content}' AND batchid = 'b1' AND courseid = 'k'"
            ),
        )
    };
    for (content, status) in &times {
        let (key, condition) = row(content);
        world.cql(&format!(
            "UPDATE content_consumption USING TIMESTAMP {between} SET status = {status} WHERE {condition}"
        ));
        let kept = expected.tables.content_consumption.get_mut(&key).expect("it is merged");
        let offered = data.tables.content_consumption
            [&("source".to_owned(), key.1.clone(), key.2, key.3)]["status"]
            .as_i64()
            .expect("a number");
        kept.insert("status".into(), json!(offered.max(*status)));
    }
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let run = world.run_dir();
    let apply = world.apply(&pairs, &run).with("--settle", "6s");
    apply.environment("TRIBUTARY_FAILPOINT", "raise:1").run().was_killed();
    world.resume(&run).environment("TRIBUTARY_FAILPOINT", "raised:1").run().was_killed();
    world.resume(&run).run().exits(0);
    // The survivor's row of c3 was there when it was read, so nothing but its status is its own.
    let own = ("target".to_owned(), "c3".to_owned(), "b1".to_owned(), "k".to_owned());
    expected.tables.content_consumption.insert(own, columns([("status", json!(2))]));
    world.assert_tables(&expected.tables);
    let hosts = &world.addresses.hosts;
    let run = run.to_str().expect("the tests use UTF-8");
    Call::new(&["verify", run]).with("--hosts", hosts).run().exits(0);
    Call::new(&["undo", run]).with("--hosts", hosts).run().exits(0);
    let mut before = data.tables.clone();
    for (content, status) in &times {
        let (key, _) = row(content);
        let own = before.content_consumption.entry(key).or_default();
        own.insert("status".into(), json!(status));
    }
    world.assert_tables(&before);
}
