//! A table that is restored from a snapshot of before a run: its rows are back at their old places, and what the run left
//! there is gone.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::data::{self, Data};
use crate::model::{self, Outcome, Tables};
use crate::world::{World, to_csv};

const PAIRS: usize = 20;

/// A run of which one table is restored; with the rows of before it, and what the run made of them.
fn restored(name: &str) -> (World, std::path::PathBuf, Tables, Outcome) {
    let world = World::new(name);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let hour_ago = i64::try_from(now.as_micros()).expect("it fits") - 3_600_000_000;
    let mut data = Data::new(13);
    for n in 0..PAIRS {
        let (from, to, batch) = (format!("from-{n}."), format!("to-{n}."), format!("b{}", n % 7));
        for (user, content, status) in [(&from, "c1", 2), (&from, "c2", 1), (&to, "c1", 1)] {
            let columns = data::columns([("status", status.into()), ("grade", content.into())]);
            data.consume([user, content, &batch, "course"], columns);
        }
        data.enrol(&batch, &from, data::columns([("enrolleddate", "2026-01-01".into())]));
        data.pair(&from, &to);
    }
    world.load_at(&data.tables, hour_ago);
    let before = world.dump();
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let run = world.run_dir();
    world.apply(&pairs, &run).run().exits(0);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables.clone()));
    world.assert_is(&expected);
    world.cql("TRUNCATE content_consumption");
    let content = data.tables.content_consumption;
    world.load_at(&Tables { content_consumption: content, ..Tables::default() }, hour_ago);
    (world, run, before, expected)
}

#[test]
fn resume_merges_what_a_restore_brought_back() {
    let (world, run, before, expected) = restored("restored");
    let verified = world.over("verify", &run).run().exits(4).json();
    assert_eq!(verified["truncated"][0]["table"], "content_consumption");
    let advice = verified["advice"].to_string();
    assert!(
        advice.contains("restored, perhaps") && advice.contains("tributary resume"),
        "{advice}"
    );
    assert!(!advice.contains("--repair"), "{advice}");
    let repair = world.over("verify", &run).flag("--repair").run().exits(1);
    repair.names("was truncated at").names("Nothing was written");
    let resumed = world.resume(&run).run().exits(0).json();
    assert_eq!(resumed["swept"]["rows"], 2 * PAIRS);
    world.assert_tables(&expected.tables);
    world.over("verify", &run).run().exits(0);
    world.over("undo", &run).run().exits(0);
    world.assert_tables(&before);
}

#[test]
fn undo_takes_back_what_was_not_restored() {
    let (world, run, before, _) = restored("restored_undone");
    world.over("undo", &run).run().exits(0);
    world.assert_tables(&before);
}
