//! `--discover scan` on composite tables: rows to which nothing leads are found, those with other constants are not.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cells::{Cells, Rows, Tables, quote};
use super::model::{Discover, merge};
use super::random::Data;
use super::shape::{Find, Part, Shape, WORLD};
use super::{Kind, Scene};

#[test]
fn a_scan_finds_what_nothing_leads_to() {
    let scene = Scene::new("composite_scan", &WORLD, &Data::groups(Kind::Text, 6, &WORLD, 60));
    let expected = scene.expected_by(Discover::Scan);
    let by_content = scene.expected();
    assert!(expected.missed > 20, "{} rows are found by the scan alone", expected.missed);
    let finished = scene.apply().with("--discover", "scan").run().exits(0);
    scene.assert_tables(&expected.tables);
    let report = finished.json();
    // Of a partition that is one account's, one key is read.
    let partitions = |rows: &Rows, shape: &Shape| {
        let length = if shape.account < shape.partition { shape.partition } else { shape.key };
        rows.keys().map(|key| key[..length].to_vec()).collect::<BTreeSet<_>>().len()
    };
    let is_led = |shape: &&Shape| {
        !matches!(shape.find, Find::Own) && {
            shape.parts().iter().any(|part| matches!(part, Part::From(..)))
        }
    };
    let led = WORLD.iter().filter(is_led);
    let rows: usize = led.map(|shape| partitions(&scene.before[shape.name], shape)).sum();
    assert_eq!(report["scanned"]["rows"], rows, "{report:#}");
    scene.walk("verify").run().exits(0);
    scene.walk("undo").run().exits(0);
    scene.assert_tables(&scene.before);
    scene.assert_report(&report, &expected);

    // What one run by content has left, another that scans takes: the tables end alike, but for rows that a conflict
    // was decided by.
    let run = scene.world.run_dir();
    let call = || scene.world.apply(&scene.pairs, &run).with("--spec", &scene.spec);
    call().run().exits(0);
    scene.assert_tables(&by_content.tables);
    let run = scene.world.run_dir();
    let call = scene.world.apply(&scene.pairs, &run).with("--spec", &scene.spec);
    let report = call.with("--discover", "scan").flag("--no-sweep").run().exits(0).json();
    let then = merge(&WORLD, Kind::Text, &scene.plan.groups, &by_content.tables, Discover::Scan);
    scene.assert_tables(&then.tables);
    scene.assert_report(&report, &then);
}

#[test]
fn a_scan_that_dies_goes_on() {
    let scene = Scene::new("composite_scan_dies", &WORLD, &Data::groups(Kind::Text, 7, &WORLD, 30));
    let expected = scene.expected_by(Discover::Scan);
    scene
        .apply()
        .with("--discover", "scan")
        .environment("TRIBUTARY_FAILPOINT", "scanned:300")
        .run()
        .was_killed();
    for at in ["scanned:900", "batch:40", "copied:3"] {
        scene.resume().environment("TRIBUTARY_FAILPOINT", at).run().was_killed();
    }
    let finished = scene.resume().run().exits(0);
    scene.assert_tables(&expected.tables);
    scene.walk("undo").run().exits(0);
    scene.assert_tables(&scene.before);
    scene.assert_report(&finished.json(), &expected);
}

/// Written after the merge, in partitions that nobody knew of: the sweep scans once more.
#[test]
fn the_sweep_of_a_scan_finds_late_rows() {
    let scene = Scene::new("composite_scan_late", &WORLD, &Data::groups(Kind::Text, 8, &WORLD, 20));
    let mut expected = scene.expected_by(Discover::Scan).tables;
    let mut before = scene.before.clone();
    scene.apply().with("--discover", "scan").flag("--no-sweep").run().exits(0);
    let group = &scene.plan.groups[0];
    let (from, to) = (quote(&group.sources[0]), quote(&group.survivor));
    let late = |account: &str| {
        let row = |key: &[&str], column| {
            let key = key.iter().map(|value| (*value).to_owned()).collect();
            Rows::from([(key, Cells::from([(column, "7".to_owned())]))])
        };
        Tables::from([
            ("user_activity_agg", row(&["'Course'", "'late'", account, "'late'"], "score")),
            ("posts", row(&["'blog'", "'late'", account, "1"], "likes")),
            ("members", row(&["'late'", account], "points")),
            ("ranking", row(&["'weekly'", "'late'", "9", account, "'2026-02-03'"], "points")),
        ])
    };
    // Another constant is none of the run's business.
    let other = ["'Other'", "'late'", &from, "'late'"].map(str::to_owned).to_vec();
    let other = Tables::from([("user_activity_agg", Rows::from([(other, Cells::new())]))]);
    for rows in [&late(&from), &other] {
        scene.load(rows);
        add(&mut before, rows);
    }
    add(&mut expected, &late(&to));
    add(&mut expected, &other);
    std::thread::sleep(std::time::Duration::from_millis(200)); // longer than --settle
    let report: Value = scene.resume().run().exits(0).json();
    scene.assert_tables(&expected);
    assert_eq!(report["swept"]["rows"], 4, "{report:#}");
    scene.walk("verify").run().exits(0);
    scene.walk("undo").run().exits(0);
    scene.assert_tables(&before);
}

fn add(tables: &mut Tables, more: &Tables) {
    for (table, rows) in more {
        tables.get_mut(table).expect("it is there").extend(rows.clone());
    }
}
