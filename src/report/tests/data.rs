//! Answers to be shown: few of their numbers are the same, so that each can be looked for.

mod listed;
mod surroundings;
mod walks;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::advice::Advice;
use crate::estimate::Estimate;
use crate::latency::LatencySummary;
use crate::model::{
    Counts, Destination, MentionTally, Part, ScanTally, SweepTally, TableTally, Tally, Timed,
    UndoTally, UndonePairs,
};
use crate::moment::Moment;
use crate::pairs::{Consequence, RULES};
use crate::plan::{
    self, Chained, ChainedAccount, Finding, FollowedTarget, FollowedTargets, PlanStats,
};
use crate::report::summary::TableFacts;
use crate::report::*;
use crate::run::{InputRecord, RunId, RunRecord};
use crate::verify::TableCounts;

pub(super) use listed::runs;
pub(super) use walks::{undoing, verification};

fn topic(name: &str) -> Destination {
    Destination { sink: "Kafka", kind: "topic", name: name.to_owned() }
}

pub(super) fn plan() -> PlanStats {
    let codes = ["ambiguous", "cycle", "invalid-id", "malformed", "self-pair"];
    let mut rejected: BTreeMap<_, _> = codes.map(|code| (code, 0)).into();
    rejected.insert("ambiguous", 8);
    rejected.insert("cycle", 4);
    PlanStats {
        lines: 20_000,
        blank: 3,
        rejected,
        findings: vec![
            rejected_by("ambiguous", 8, &[3, 9, 12, 40, 41]),
            rejected_by("cycle", 4, &[5, 6, 7, 8]),
        ],
        duplicates: 40,
        pairs: 19_945,
        groups: 18_000,
        accounts: 37_945,
        chains: 12,
        longest_chain: 4,
        fan_ins: 1,
        largest_fan_in: 500,
        largest_group: 512,
        ..PlanStats::default()
    }
}

/// Targets of earlier runs.
pub(super) fn followed() -> FollowedTargets {
    let one =
        |account: &str, now: &str| FollowedTarget { account: account.into(), now: now.into() };
    FollowedTargets { targets: 1_702, first: vec![one("a", "b"), one("x\u{1b}", "b")] }
}

pub(super) fn rejected_by(rule: &str, lines: u64, first_lines: &[u64]) -> Finding {
    let entry = RULES.iter().find(|entry| entry.name == rule).unwrap();
    Finding {
        rule: entry.name,
        outcome: plan::Outcome::Rejected,
        lines,
        first_lines: first_lines.to_vec(),
        names: Vec::new(),
        what: entry.what,
        advice: entry.advice,
        can_be_accepted: entry.consequence == Consequence::Held,
    }
}

pub(super) fn operation(operation: &str, count: u64, times: [u64; 5]) -> LatencySummary {
    let [p50_us, p90_us, p99_us, p999_us, max_us] = times;
    let operation = operation.to_owned();
    let histogram = times.map(|us| (us, count / 5)).into();
    LatencySummary {
        operation,
        count,
        mean_us: 1.0,
        p50_us,
        p90_us,
        p99_us,
        p999_us,
        max_us,
        histogram,
    }
}

pub(super) fn applied() -> Applied {
    let fates =
        |planned, failed| Fates { planned, done: planned - failed, failed, ..Fates::default() };
    let rows = |n: u64| TableTally {
        source_rows: n,
        target_rows: 400,
        copied: n - 30,
        merged: 20,
        unchanged: 10,
        deleted: n,
        ..TableTally::of(7_001..)
    };
    let table = |table: &str, n| TableFacts { table: table.into(), rows: rows(n) };
    let mut applied = Applied {
        groups: fates(18_000, 10),
        pairs: fates(19_945, 15),
        tables: vec![table("content_consumption", 1_234_567), table("user_courses", 61_000)],
        tally: Tally { absent_sources: 2_345, absent_survivors: 7, ..Tally::default() },
        events: EventFacts {
            destination: Some(topic("course.batch.job.request")),
            produced: 60_012,
            acknowledged: 60_000,
            left: 0,
        },
        retries: 1,
        latency: vec![
            operation("read content_consumption", 40_000, [812, 1_234, 12_345, 99_000, 1_020_000]),
            operation("never used", 0, [0; 5]),
            operation("group", 18_000, [9_900, 65_000, 120_000, 3_000_000, 65_200_000]),
        ],
        failures: vec![FailureReason {
            reason: "write of user_courses: not enough replicas answered (1 of 2) after \
                         10 tries"
                .into(),
            groups: 10,
            examples: vec![ExamplePair { from: "a1".into(), to: "b1".into(), line: 17 }],
        }],
        ..Applied::default()
    };
    applied.groups_done_now = applied.groups.done;
    applied.set_throughput(Duration::from_secs(180), 19_930, 1_295_567);
    applied
}

pub(super) fn summary(command: &str, plan: PlanStats, applied: Option<Applied>) -> Summary {
    let started = Moment::from(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_407_295));
    let run = RunRecord {
        version: 2,
        id: RunId::from_text("20261123T041455Z-3f9a"),
        command: command.to_owned(),
        started_at: started,
        versions: BTreeMap::new(),
        input: InputRecord {
            path: "pairs.csv".into(),
            file: None,
            sha256: "ab".into(),
            bytes: 1_412_345,
        },
        settings: json!({"keyspace": "courses", "events": {"topic": "jobs"}, "lacks": ["--topic", "TOPIC"]}),
    };
    let finished = Moment::from(started.time() + Duration::from_millis(192_400));
    Summary::new(&run, Path::new("/data/runs/r1"), finished, plan, applied, 3)
}

/// A run in which all happened that can.
pub(super) fn eventful() -> Applied {
    let mut applied = applied();
    applied.again = Some(Advice::resume("runs/r1".as_ref()));
    applied.resumed = Some(Resumed {
        run_started_at: Moment::now(),
        groups_done_before: 8_123,
        pairs_done_before: 8_930,
    });
    applied.groups_done_now -= 8_123;
    let tally = ScanTally {
        ranges: 272,
        ranges_before: 41,
        ranges_now: 230,
        rows: 7_654_321,
        clustered_rows: 4_711,
        ..ScanTally::of(7_401..)
    };
    applied.scanned = Some(Timed { tally, seconds: 12.34 });
    let tally = SweepTally {
        sources: 19_929,
        scanned: Some(7_654_322),
        rows: 37,
        events: 29,
        left: 13,
        failed: 3,
        ..SweepTally::of(7_201..)
    };
    applied.swept = Some(Timed { tally, seconds: 345.0 });
    let tally = MentionTally {
        scanned: 3_141_592,
        rows: 53,
        left: 17,
        failed: 5,
        ..MentionTally::of(7_301..)
    };
    applied.mentions = Some(Timed { tally, seconds: 67.8 });
    let hot = |partition: &str, groups| BusyPartition {
        table: "user_courses".into(),
        partition: partition.into(),
        groups,
        groups_at_most: groups + 1,
    };
    applied.hottest = vec![hot("b1", 861), hot("b2", 431)];
    applied.tally = Tally {
        batches: 80_928,
        slices: 20_079,
        ..Tally::of([2_345, 7].into_iter().chain(7_101..))
    };
    applied.deletes = deletes();
    applied.truncated = vec![TruncatedTable { table: "user_courses".into(), at: Moment::now() }];
    applied.aftercare = Some(surroundings::aftercare());
    applied
}

pub(super) fn deletes() -> Deletes {
    let hot = |partition: &str, deletes, there| HotPartition {
        table: "user_courses".into(),
        partition: partition.into(),
        deletes,
        there,
    };
    let met = |tombstones, is_whole| Some(Met { rows: 5_385, tombstones, is_whole });
    Deletes {
        warn: 1_009,
        fail: 100_003,
        is_reported: true,
        over_warn: 2,
        over_fail: 1,
        hottest: vec![
            hot("batch-2", 100_315, met(Some(1_301), false)),
            hot("batch-0", 309, met(None, false)),
            hot("batch-7", 87, None),
        ],
    }
}

pub(super) fn inspection(is_exact: bool) -> Inspection {
    let total = |value: u64| match is_exact {
        true => Estimate::exact(value),
        false => Estimate { value, low: value - value / 11, high: value + value / 13 },
    };
    let table = |table: &str, rows: u64| InspectedTable {
        table: table.into(),
        source_rows: total(rows),
        copied: total(rows - 8_231),
        merged: total(8_000),
        unchanged: total(231),
        deleted: total(rows + 1),
        written_bytes: total(rows * 211),
        tombstones: total(rows + 3),
        immortal: total(0),
        rule: "the survivor's row stays".into(),
    };
    let column = |column: &str| ConflictColumn {
        column: column.into(),
        survivor: Some("1".into()),
        survivor_written_at: None,
        source: None,
        source_written_at: None,
        result: Some("2".into()),
    };
    let conflict = |line, is_merged| ConflictExample {
        table: "content_consumption".into(),
        line,
        survivor: "s".repeat(36),
        source: "t".repeat(36),
        key: r#"{"batchid":"b"}"#.into(),
        is_merged,
        columns: ["status", "grade", "progress", "score"].map(column).into(),
        is_complete: true,
    };
    let named = |line| NamedAccount { account: format!("a{line}"), line };
    Inspection {
        keyspace: "courses".into(),
        discover: "scan".into(),
        coverage: Coverage {
            is_exact,
            groups: 20_077,
            of_groups: if is_exact { 20_077 } else { 31_001 },
            pairs: 20_607,
            seed: None,
            method: "Drawn at random.".into(),
        },
        tables: vec![table("content_consumption", 70_351), table("user_courses", 41_780)],
        surroundings: surroundings::surroundings(),
        left_out: vec![LeftOut { table: "badges".into(), columns: vec!["user_id".into()] }],
        conflicts: vec![conflict(331, true), conflict(332, true), conflict(333, false)],
        absent_sources: AbsentAccounts {
            accounts: total(4_021),
            of: 20_613,
            first: vec![named(401), named(402), named(403), named(404)],
        },
        absent_survivors: AbsentAccounts {
            accounts: total(17),
            of: 20_078,
            first: vec![named(405)],
        },
        chained: Chained {
            accounts: 233,
            first: vec![ChainedAccount { account: "x".into(), from_line: 410, to_line: 411 }],
        },
        missed: Missed {
            tables: vec!["user_courses".into()],
            scanned: vec!["followers".into()],
            clustered_rows: Some(total(6_007)),
            scanned_rows: Some(450_017),
            mentions: vec!["orders.sold_by".into()],
        },
        largest: vec![
            LargestAccount { account: "big".into(), line: 501, is_survivor: true, rows: 9_011 },
            LargestAccount { account: "next".into(), line: 502, is_survivor: false, rows: 9_001 },
        ],
        deletes: deletes(),
        events: Some(total(40_283)),
        batches: total(80_929),
        journal_bytes: total(31_020_000),
        duration: Some(DurationEstimate { low_s: 86.0, high_s: 295.0 }),
        speed: Speed {
            seconds: 87.0,
            groups_per_s: 1_871.0,
            requests_per_s: 2_713.0,
            requests: 9,
            retries: 59,
        },
        latency: vec![operation(
            "source content_consumption",
            1_615,
            [12_600, 42_800, 83_100, 193_000, 217_000],
        )],
        unreadable: 23,
        unreadable_reasons: vec![("no replica answered".into(), 19), ("other".into(), 4)],
    }
}
