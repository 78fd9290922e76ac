//! A plan and a run of it, to be told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::super::*;
use crate::latency::LaneSummary;
use crate::model::TableTally;
use crate::moment::Moment;
use crate::plan::{Finding, Outcome, PlanStats};
use crate::report::{EventFacts, ExamplePair, FailureReason, TableFacts};
use crate::run::{InputRecord, RunId, RunRecord};

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
        largest: Vec::new(),
    }
}

fn rejected_by(rule: &'static str, lines: u64, first_lines: &[u64]) -> Finding {
    Finding {
        rule,
        outcome: Outcome::Rejected,
        lines,
        first_lines: first_lines.to_vec(),
        names: Vec::new(),
        what: "contradicts another one",
        advice: "decide which is right",
        can_be_accepted: false,
    }
}

pub(super) fn lane(lane: &str, count: u64, times: [u64; 5]) -> LaneSummary {
    let [p50_us, p90_us, p99_us, p999_us, max_us] = times;
    let lane = lane.to_owned();
    let histogram = times.map(|us| (us, count / 5)).into();
    LaneSummary { lane, count, mean_us: 1.0, p50_us, p90_us, p99_us, p999_us, max_us, histogram }
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
    };
    let table = |table: &str, n| TableFacts { table: table.into(), rows: rows(n) };
    let mut applied = Applied {
        groups: fates(18_000, 10),
        pairs: fates(19_945, 15),
        tables: vec![table("content_consumption", 1_234_567), table("user_courses", 61_000)],
        absent_sources: 2_345,
        absent_survivors: 7,
        events: EventFacts {
            topic: Some("course.batch.job.request".into()),
            produced: 60_012,
            acknowledged: 60_000,
            left: 0,
        },
        retries: 1,
        latency: vec![
            lane("read content_consumption", 40_000, [812, 1_234, 12_345, 99_000, 1_020_000]),
            lane("never used", 0, [0; 5]),
            lane("group", 18_000, [9_900, 65_000, 120_000, 3_000_000, 65_200_000]),
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
        settings: serde_json::json!({}),
    };
    let finished = Moment::from(started.time() + Duration::from_millis(192_400));
    Summary::new(&run, Path::new("/data/runs/r1"), finished, plan, applied, 3)
}
