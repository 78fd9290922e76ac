//! What the walks over a finished run have to say.

use super::*;

pub(in crate::report::tests) fn verification() -> Verification {
    let counts = TableCounts {
        rows: 1_234_567,
        row_missing: 60,
        value_worse: 43,
        source_changed_since: 2,
        changed_since: 31,
        repaired: 7,
        ..TableCounts::default()
    };
    let started_at = Moment::from(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_407_295));
    Verification {
        version: Verification::VERSION,
        command: "verify",
        run: RunId::from_text("20261123T041455Z-3f9a"),
        run_dir: "/data/my runs/r1".into(),
        started_at,
        finished_at: Moment::from(started_at.time() + Duration::from_secs(62)),
        elapsed_s: 62.0,
        exit_code: 4,
        repair: false,
        truncated: Vec::new(),
        is_forgotten: false,
        stopped: None,
        again: None,
        groups: VerifiedGroups {
            total: 18_550,
            compared: 18_000,
            failed: 50,
            not_done: [("failed".to_owned(), 100), ("planned".to_owned(), 400)].into(),
            ..VerifiedGroups::default()
        },
        differences: 103,
        tables: vec![
            VerifiedTable { table: "content_consumption".into(), counts },
            VerifiedTable { table: "user_courses".into(), counts: TableCounts::default() },
        ],
        events: 3,
        unsupported: Some(
            "this server does not tell the times of user_courses.contentstatus".into(),
        ),
        retries: 11,
        examples: Listing::default(),
        timeline: Timeline::default(),
        latency: vec![operation("look", 1_235, [1_400, 2_410, 3_420, 4_430, 5_440])],
        settings: json!({}),
    }
}

pub(in crate::report::tests) fn undoing() -> Undoing {
    let started_at = Moment::now();
    let table = |table: &str, n: u64| UndoneTable {
        table: table.into(),
        rows: UndoTally {
            given_back: n + 3_001,
            removed: n + 2_002,
            set_back: n + 1_003,
            left_alone: n + 4,
            deleted_meanwhile: n + 5,
            counted_meanwhile: n + 6,
        },
    };
    Undoing {
        version: Undoing::VERSION,
        command: "undo",
        run: RunId::from_text("20261123T041455Z-3f9a"),
        run_dir: "/data/runs/r1".into(),
        started_at,
        finished_at: started_at,
        elapsed_s: 61.0,
        exit_code: 1,
        force: false,
        keep_changed: false,
        pairs_file: Some("wrong.csv".into()),
        stopped: None,
        again: Some(Advice::again(["", "undo", "r1"].map(str::to_owned))),
        first: vec![Advice::undo(Path::new("/data/runs/r2"))],
        groups: UndoneGroups {
            selected: 5_100,
            undone: 5_000,
            disputed: 70,
            kept_changed: 7,
            failed: 23,
            not_started: 0,
            refused: 211,
            undone_before: 191,
            untouched: 193,
            erased: 17,
            merged: 12_345,
        },
        pairs: UndonePairs { undone: 5_201, disputed: 79, kept_changed: 8, failed: 27 },
        tables: vec![table("content_consumption", 0), table("user_courses", 70_000)],
        conflicts: 89,
        conflicts_kept: 17,
        events: EventFacts {
            destination: Some(topic("jobs")),
            produced: 912,
            acknowledged: 911,
            left: 1,
        },
        retries: 97,
        failures: applied().failures,
        examples: Listing::default(),
        timeline: Timeline::default(),
        latency: Vec::new(),
        settings: json!({}),
    }
}
