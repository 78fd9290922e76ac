//! The sweep: what the application writes to a source after T is a later write to the row's new key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::data::{Data, columns};
use crate::model::{self, Columns, Tables};
use crate::services;
use crate::times::now_us;
use crate::world::{World, to_csv};

const TEN_MINUTES_US: i64 = 600_000_000;
const A_DAY_US: i64 = 86_400_000_000;

/// One pair's story: what is written to its accounts after the merge, and what must come of it.
struct Case {
    name: &'static str,
    /// Whether the survivor is enrolled from the beginning.
    enrolled: bool,
    write: fn(&Pair<'_>),
    expect: fn(&mut Rows<'_>),
    /// Whether the sweep announces a change.
    announced: bool,
    /// What the sweep reports of rows that it leaves.
    reported: &'static [&'static str],
}

/// A pair of accounts in a world.
struct Pair<'a> {
    world: &'a World,
    name: &'static str,
}

impl Pair<'_> {
    /// Sets columns of a content row of `from` or `to`, now or at a moment.
    fn content(&self, user: &str, content: &str, set: &str, at: Option<i64>) {
        let (name, at) = (self.name, using(at));
        self.world.cql(&format!(
            "UPDATE content_consumption {at} SET {set} WHERE userid = '{name}-{user}' \
             AND contentid = '{content}' AND batchid = '{name}' AND courseid = 'k'"
        ));
    }

    fn enrolment(&self, user: &str, set: &str, at: Option<i64>) {
        let (name, at) = (self.name, using(at));
        self.world.cql(&format!(
            "UPDATE user_courses {at} SET {set} WHERE batchid = '{name}' AND userid = '{name}-{user}'"
        ));
    }
}

fn using(at: Option<i64>) -> String {
    at.map(|at| format!("USING TIMESTAMP {at}")).unwrap_or_default()
}

/// The rows of a pair that are expected.
struct Rows<'a> {
    tables: &'a mut Tables,
    name: &'static str,
}

impl Rows<'_> {
    fn content(&mut self, user: &str, content: &str) -> &mut Columns {
        let name = self.name;
        let key = (format!("{name}-{user}"), content.into(), name.into(), "k".into());
        self.tables.content_consumption.entry(key).or_default()
    }

    fn enrolment(&mut self, batch: &str, user: &str) -> &mut Columns {
        let key = (batch.into(), format!("{}-{user}", self.name));
        self.tables.user_courses.entry(key).or_default()
    }
}

fn set(row: &mut Columns, name: &str, value: Value) {
    row.insert(name.into(), value);
}

const CASE: Case = Case {
    name: "",
    enrolled: false,
    write: |_| {},
    expect: |_| {},
    announced: false,
    reported: &[],
};

const CASES: [Case; 14] = [
    Case {
        name: "one-column",
        write: |pair| pair.content("from", "copied", "score = 'new'", None),
        expect: |rows| set(rows.content("to", "copied"), "score", json!("new")),
        announced: true,
        ..CASE
    },
    Case {
        name: "new-row",
        write: |pair| {
            let (user, world) = (format!("{}-from", pair.name), pair.world);
            world.cql(&format!(
                "INSERT INTO user_courses (batchid, userid, progress) VALUES ('later', '{user}', 7)"
            ));
            world.cql(&format!(
                "INSERT INTO content_consumption (userid, contentid, batchid, courseid, grade) \
                 VALUES ('{user}', 'c', 'later', 'k', 'new')"
            ));
        },
        expect: |rows| {
            set(rows.enrolment("later", "to"), "progress", json!(7));
            let key = ("new-row-to".into(), "c".into(), "later".into(), "k".into());
            rows.tables.content_consumption.insert(key, columns([("grade", json!("new"))]));
        },
        ..CASE // it is announced in another batch
    },
    Case {
        name: "new-row-of-both",
        write: |pair| {
            pair.content("to", "later", "grade = 'own', status = 1", None);
            pair.content("from", "later", "grade = 'lost', status = 2", None);
        },
        expect: |rows| {
            set(rows.content("to", "later"), "grade", json!("own"));
            set(rows.content("to", "later"), "status", json!(2));
        },
        announced: true,
        ..CASE
    },
    Case {
        name: "ten-minutes-ahead",
        write: |pair| {
            let at = now_us() + TEN_MINUTES_US;
            pair.content("from", "copied", "score = 'ahead'", Some(at));
            pair.enrolment("from", "contentstatus['ahead'] = 1", Some(at));
        },
        expect: |rows| {
            set(rows.content("to", "copied"), "score", json!("ahead"));
            let map = json!({"first": 1, "ahead": 1});
            set(rows.enrolment("ten-minutes-ahead", "to"), "contentstatus", map);
        },
        announced: true,
        ..CASE
    },
    Case {
        name: "a-day-ahead",
        write: |pair| {
            pair.content("from", "copied", "score = 'far'", Some(now_us() + A_DAY_US));
        },
        expect: |rows| set(rows.content("from", "copied"), "score", json!("far")),
        reported: &["copied"],
        ..CASE
    },
    Case {
        name: "near-and-far",
        write: |pair| {
            pair.content("from", "copied", "score = 'far'", Some(now_us() + A_DAY_US));
            pair.content("from", "copied", "result = 'near'", None);
        },
        expect: |rows| {
            set(rows.content("from", "copied"), "score", json!("far"));
            set(rows.content("to", "copied"), "result", json!("near"));
        },
        announced: true,
        reported: &["copied"],
        ..CASE
    },
    Case {
        name: "only-its-key",
        write: |pair| {
            pair.world.cql(
                "INSERT INTO content_consumption (userid, contentid, batchid, courseid) \
                 VALUES ('only-its-key-from', 'copied', 'only-its-key', 'k')",
            );
        },
        expect: |rows| _ = rows.content("from", "copied"),
        reported: &["copied"],
        ..CASE
    },
    Case {
        name: "conflict-higher",
        write: |pair| pair.content("from", "own", "grade = 'lost', status = 5", None),
        expect: |rows| set(rows.content("to", "own"), "status", json!(5)),
        announced: true,
        ..CASE
    },
    Case {
        name: "conflict-lower",
        write: |pair| pair.content("from", "own", "grade = 'lost', status = 1", None),
        ..CASE
    },
    Case {
        name: "survivor-later",
        write: |pair| {
            pair.content("from", "copied", "score = 'first'", None);
            pair.content("to", "copied", "score = 'second'", None);
        },
        expect: |rows| set(rows.content("to", "copied"), "score", json!("second")),
        announced: true,
        ..CASE
    },
    Case {
        name: "survivor-earlier",
        write: |pair| {
            pair.content("to", "copied", "score = 'first'", None);
            pair.content("from", "copied", "score = 'second'", None);
        },
        expect: |rows| set(rows.content("to", "copied"), "score", json!("second")),
        announced: true,
        ..CASE
    },
    Case {
        name: "map-entry",
        write: |pair| {
            pair.enrolment("to", "contentstatus['survivor'] = 3", None);
            pair.enrolment("from", "contentstatus['source'] = 2", None);
        },
        expect: |rows| {
            let map = json!({"first": 1, "source": 2, "survivor": 3});
            set(rows.enrolment("map-entry", "to"), "contentstatus", map);
        },
        announced: true,
        ..CASE
    },
    Case {
        name: "map-overwritten",
        write: |pair| pair.enrolment("from", "contentstatus['first'] = 2, progress = 9", None),
        expect: |rows| {
            let row = rows.enrolment("map-overwritten", "to");
            set(row, "contentstatus", json!({"first": 2}));
            set(row, "progress", json!(9));
        },
        announced: true,
        ..CASE
    },
    Case {
        name: "map-of-both",
        enrolled: true,
        write: |pair| pair.enrolment("from", "contentstatus['source'] = 2, progress = 9", None),
        ..CASE
    },
];

/// A world in which all pairs are merged, and nothing is swept.
struct Merged {
    world: World,
    run: PathBuf,
    tables: Tables,
}

impl Merged {
    fn new(name: &str) -> Self {
        let world = World::new(name);
        let mut data = Data::new(1);
        for Case { name, enrolled, .. } in &CASES {
            let (from, to) = (format!("{name}-from"), format!("{name}-to"));
            let row = |grade: &str, status: i64| {
                columns([("grade", grade.into()), ("status", status.into())])
            };
            data.consume([&from, "copied", name, "k"], row("copied", 1));
            data.consume([&from, "own", name, "k"], row("lost", 2));
            data.consume([&to, "own", name, "k"], row("own", 1));
            let map = ("contentstatus", json!({"first": 1}));
            data.enrol(name, &from, columns([("progress", json!(1)), map.clone()]));
            if *enrolled {
                data.enrol(name, &to, columns([("progress", json!(2)), map]));
            }
            data.pair(&from, &to);
        }
        world.load(&data.tables);
        let expected = model::apply(&data.lines, &data.tables);
        let (pairs, run) = (world.file("pairs.csv", to_csv(&data.lines)), world.run_dir());
        world.apply(&pairs, &run).flag("--no-sweep").run().exits(0);
        world.assert_is(&expected);
        Self { world, run, tables: expected.tables }
    }

    /// The ids of the events by case; all are for the case's survivor and the batch of its name.
    fn ids(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut ids = BTreeMap::<_, BTreeSet<_>>::new();
        for ((_, batch), event) in self.world.messages() {
            ids.entry(batch).or_default().insert(event.mid);
        }
        ids
    }
}

/// Whether a case is tried on this server: an element whose time is not known is deleted by the moment of the sweep, so that
/// one from the future stays.
fn is_tried(name: &str) -> bool {
    services::older().is_none() || name != "ten-minutes-ahead"
}

/// The rows that a sweep left, as it reports them: account, content and reason.
fn reported(run: &Path) -> BTreeSet<(String, String)> {
    let mut reader = csv::Reader::from_path(run.join("sweep.csv")).expect("there is a sweep.csv");
    let header = reader.headers().expect("it has a header").clone();
    let records = reader.records().map(|record| record.expect("every record has all columns"));
    let reported = records.map(|record| {
        let cell = |name: &str| {
            let at = header.iter().position(|column| column == name);
            record[at.unwrap_or_else(|| panic!("no {name} in {header:?}"))].to_owned()
        };
        assert!(!cell("reason").is_empty(), "{record:?}");
        (cell("from"), cell("key"))
    });
    reported.collect()
}

#[test]
fn what_is_written_to_a_source_meanwhile_goes_where_its_row_went() {
    let Merged { world, run, mut tables } = Merged::new("sweep");
    for Case { name, write, .. } in CASES.into_iter().filter(|case| is_tried(case.name)) {
        write(&Pair { world: &world, name });
    }
    let finished = world.resume(&run).run().exits(3);
    for Case { name, expect, .. } in CASES.into_iter().filter(|case| is_tried(case.name)) {
        expect(&mut Rows { tables: &mut tables, name });
    }
    world.assert_tables(&tables);
    let merged = Merged { world, run, tables };

    // An event with an id of its own says that something has changed once more.
    let mut ids = merged.ids();
    assert_eq!(ids.remove("later").map(|ids| ids.len()), Some(1), "the batch of new-row");
    for Case { name, announced, .. } in CASES {
        let count = ids.remove(name).map_or(0, |ids| ids.len());
        assert_eq!(count > 1, announced && is_tried(name), "{count} ids of {name}");
    }
    assert_eq!(ids, BTreeMap::new());

    // What cannot be judged is left, and reported row by row.
    let left = CASES.iter().flat_map(|case| {
        case.reported.iter().map(|content| (format!("{}-from", case.name), *content))
    });
    let reported = reported(&merged.run);
    assert_eq!(reported.len(), left.clone().count(), "{reported:?}");
    for (account, content) in left {
        let is_reported =
            reported.iter().any(|(from, key)| *from == account && key.contains(content));
        assert!(is_reported, "{account} is not in {reported:?}");
    }
    assert_eq!(finished.json()["groups"]["done"], CASES.len());

    // Once more, and there is nothing more to do.
    merged.world.resume(&merged.run).run().exits(3);
    merged.world.assert_tables(&merged.tables);
}

#[test]
fn a_cell_from_the_future_keeps_its_time_and_hides_nothing_else() {
    let Merged { world, run, mut tables } = Merged::new("sweep_ahead");
    let at = now_us() + TEN_MINUTES_US;
    let pair = Pair { world: &world, name: "one-column" };
    pair.content("from", "copied", "score = 'ahead'", Some(at));
    world.resume(&run).run().exits(0);
    let of_survivor = "FROM content_consumption WHERE userid = 'one-column-to' \
                       AND contentid = 'copied' AND batchid = 'one-column' AND courseid = 'k'";
    let time = world.rows(&format!("SELECT WRITETIME(score) {of_survivor}"));
    assert_eq!(time, [[Some(json!(at))]]);

    // Neither the source's other cells nor new rows of it are hidden by the delete of that cell.
    pair.content("from", "copied", "result = 'later'", None);
    pair.content("from", "another", "result = 'later'", None);
    world.resume(&run).run().exits(0);
    let mut rows = Rows { tables: &mut tables, name: "one-column" };
    let row = rows.content("to", "copied");
    set(row, "score", json!("ahead"));
    set(row, "result", json!("later"));
    set(rows.content("to", "another"), "result", json!("later"));
    world.assert_tables(&tables);
}

#[test]
fn a_run_that_is_not_to_sweep_leaves_what_is_written_meanwhile() {
    let Merged { world, run, mut tables } = Merged::new("no_sweep");
    let pair = Pair { world: &world, name: "one-column" };
    pair.content("from", "copied", "score = 'new'", None);
    world.resume(&run).flag("--no-sweep").run().exits(0);
    let mut rows = Rows { tables: &mut tables, name: "one-column" };
    set(rows.content("from", "copied"), "score", json!("new"));
    world.assert_tables(&tables);
    assert!(!run.join("sweep.csv").exists());
}
