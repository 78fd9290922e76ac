//! `latest`: of two values the one stands that the application wrote later; what runs have written is not dated by it.

use std::path::{Path, PathBuf};

use crate::process::{Call, Finished};
use crate::world::World;

const PRESET: &str = include_str!("../../src/spec/course-batch.toml");

/// Three accounts with one content each, of which the grade was written at different times.
struct Grades {
    world: World,
    spec: PathBuf,
}

impl Grades {
    fn new(name: &str) -> Self {
        let world = World::new(name);
        let (from, to) = ("{ status = \"max\" }", "{ status = \"max\", grade = \"latest\" }");
        assert!(PRESET.contains(from));
        let spec = world.file("latest.toml", PRESET.replace(from, to));
        let grades = Self { world, spec };
        for (user, grade, t) in [("a", "its", 3_000_000), ("b", "own", 2_000_000)] {
            grades.begin(user);
            grades.writes(user, grade, Some(t));
        }
        grades.begin("c");
        grades.writes("c", "third", Some(1_000_000));
        grades
    }

    fn begin(&self, user: &str) {
        self.world.cql(&format!(
            "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status) \
             VALUES ('{user}', 'do_1', 'b1', 'k', 1)"
        ));
    }

    fn writes(&self, user: &str, grade: &str, t: Option<i64>) {
        let using = t.map_or(String::new(), |t| format!("USING TIMESTAMP {t}"));
        self.world.cql(&format!(
            "UPDATE content_consumption {using} SET grade = '{grade}' WHERE userid = '{user}' AND contentid = 'do_1' \
             AND batchid = 'b1' AND courseid = 'k'"
        ));
    }

    /// The grades that there are, by account.
    fn seen(&self) -> Vec<String> {
        let rows = self.world.rows("SELECT userid, grade FROM content_consumption");
        let text = |value: &Option<serde_json::Value>| {
            value.as_ref().and_then(|value| value.as_str()).unwrap_or("null").to_owned()
        };
        let mut seen: Vec<String> =
            rows.iter().map(|row| format!("{}: {}", text(&row[0]), text(&row[1]))).collect();
        seen.sort();
        seen
    }

    fn apply(&self, name: &str, pair: &str, run: &Path) -> Call {
        let pairs = self.world.file(name, format!("from,to\n{pair}\n"));
        self.world.apply(&pairs, run).with("--spec", &self.spec)
    }

    fn over(&self, command: &str, run: &Path) -> Finished {
        self.world.over(command, run).run()
    }
}

/// What the report says that nobody tells.
fn unsupported(finished: &Finished) -> String {
    finished.json()["unsupported"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_later_write_stands_until_it_is_undone_and_again() {
    let grades = Grades::new("latest");
    let before = grades.seen();
    let run = grades.world.run_dir();
    let killed = grades.apply("pairs.csv", "a,b", &run);
    killed.environment("TRIBUTARY_FAILPOINT", "batch:1").run().was_killed();
    grades.world.resume(&run).run().exits(0);
    assert_eq!(grades.seen(), ["b: its", "c: third"]);
    grades.over("verify", &run).exits(0);
    let record = Call::new(&["record", run.to_str().expect("UTF-8"), "a"]).run().exits(0);
    assert!(record.stdout.contains("row_written") && record.stdout.contains("3000000"), "{record}");
    // It is late, and the last.
    grades.writes("b", "own again", None);
    grades.writes("a", "late", None);
    grades.world.resume(&run).run().exits(0);
    assert_eq!(grades.seen(), ["b: late", "c: third"]);
    grades.over("verify", &run).exits(0);
    grades.over("undo", &run).exits(4);
    grades.world.over("undo", &run).flag("--force").run().exits(0);
    assert_ne!(grades.seen(), before, "the late one is the source's again");
    assert_eq!(grades.seen(), ["a: late", "b: own", "c: third"]);
    let again = grades.world.run_dir();
    let told = grades.apply("again.csv", "a,b", &again).run().exits(0);
    assert_eq!(unsupported(&told), "");
    assert_eq!(grades.seen(), ["b: late", "c: third"]);
}

/// Its time is that of the run, later than all; and yet it gives way to whatever the application wrote.
#[test]
fn what_an_earlier_run_moved_is_older_than_what_was_written() {
    for is_asked in [true, false] {
        let grades = Grades::new("latest_chain");
        let [first, second] = [grades.world.run_dir(), grades.world.run_dir()];
        grades.apply("first.csv", "a,b", &first).run().exits(0);
        let apply = grades.apply("second.csv", "c,b", &second);
        let told = if is_asked { apply } else { apply.flag("--no-register") }.run().exits(0);
        let told = unsupported(&told);
        if is_asked {
            assert_eq!((grades.seen(), &*told), (vec!["b: third".to_owned()], ""));
        } else {
            assert_eq!(grades.seen(), ["b: its"]);
            assert!(
                told.contains("--no-register") && told.contains("content_consumption.grade"),
                "{told}"
            );
        }
        grades.over("verify", &second).exits(0);
    }
}
