//! What summaries say, line by line, as an operator sees it.

use std::time::{Duration, SystemTime};

use super::data::{applied, followed, plan, summary};
use super::*;
use crate::advice::Advice;
use crate::model::Tally;
use crate::moment::Moment;
use crate::pairs::{Finding, Outcome, Rule, Sightings};
use crate::plan::PlanStats;

const COLUMNS: usize = 80;

fn terminal(summary: &Summary) -> String {
    rendered(summary).text
}

/// These lines are in the text, in this order; a report may say more.
#[track_caller]
fn check(summary: &Summary, expected: &str) {
    let text = terminal(summary);
    let mut lines = text.lines();
    for line in expected.lines() {
        assert!(lines.any(|said| said == line), "no {line:?} there:\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS), "{text}");
}

#[test]
fn a_plan() {
    check(
        &summary("plan", plan(), None),
        "\
plan 20261123T041455Z-3f9a: planned, with rejected lines, in 3 min 12 s

Session     2026-11-23 04:14:55 to 04:18:07 UTC, exit code 3
Input       pairs.csv, 1.4 MB
            every line accounted for: 20,000 = 19,945 pairs + 3 blank
            + 12 rejected + 40 duplicates
Rejected    12 lines: 8 ambiguous (lines 3, 9, 12, 40, 41, …), 4 cycle (lines 5,
            6, 7, 8)
            rejects.csv has them, each with its reason, and can be fed back in
            ambiguous: decide which target is right, and leave the others out
            cycle: decide who survives, and leave out the line that merges that
            account away; if a run did, take that back first
Groups      18,000 with 37,945 accounts (2.11 on average), the largest with 512
            sources
Chains      12, the longest with 4 pairs
Fan-in      1 account is named by several sources, at most by 500
History     not asked: --inspect asks what other runs did to these accounts

To merge this, and nothing else:
  tributary apply --plan /data/runs/r1 --topic TOPIC
report.html shows this and more in a browser.
Run directory: /data/runs/r1
",
    );
}

#[test]
fn targets_that_were_followed_are_named() {
    let mut plan = summary("plan", plan(), None);
    plan.plan.followed = followed();
    let expected = "
Followed    1,702 targets that earlier runs have merged: 'a' is 'b' now,
            'x\\u{1b}' is 'b' now, and 1,700 more
            their pairs go to where they are now; followed.csv has them
Groups ";
    let text = terminal(&plan);
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_plan_says_what_discovery_misses_or_costs() {
    let mut plan = summary("plan", plan(), None);
    assert!(!terminal(&plan).contains("Discovery"));
    let led = LedTo { table: "user_courses".into(), through: "content_consumption.batchid".into() };
    plan.discovery = Discovery::of(vec![led], vec!["followers".into()]);
    let text = terminal(&plan);
    let expected = "\
Discovery   --discover content (the default): a row of user_courses stays under
            its source where no content_consumption.batchid of the group's
            sources leads to it
            --discover scan: finds them all; it reads every key of user_courses
            twice: before the first group, and in the sweep (keys only, by token
            ranges, in parallel)
Scan        nothing leads to rows of sources: it reads every key of followers
";
    assert!(text.contains(expected), "{text}");
    assert!(Discovery::of(Vec::new(), Vec::new()).is_none());
}

#[test]
fn scans_and_sweeps_are_told_with_what_was_left() {
    let text = terminal(&summary("resume", plan(), Some(data::eventful())));
    let text = text.replace("\n            ", " ").replace('\n', " ");
    for expected in [
        "Scan        272 token ranges in all, 7,654,321 rows looked at in 12.3 s: 41 ranges scanned before, 230 ranges scanned now, 4,711 rows of sources found ",
        "Sweep       19,929 sources looked at again, 7,654,322 rows scanned in 5 min 45 s: 37 later rows taken along, 29 events sent for them, 13 rows left there, or gone, 3 groups failed",
        "Mentions    3,141,592 rows scanned in 1 min 07 s: 53 rows that named sources and name survivors now, 17 rows left unchanged, 5 groups failed",
        " sweep.csv has what was left Mentions ",
        "WARNING     7,007 sums of user_courses beyond the limits of the column's type: what exceeds them is lost ",
    ] {
        assert!(text.contains(expected), "no {expected}: {text}");
    }
}

#[test]
fn an_empty_plan() {
    check(
        &summary("plan", PlanStats::default(), None),
        "\
plan 20261123T041455Z-3f9a: planned, but not all could be read, in 3 min 12 s

Session     2026-11-23 04:14:55 to 04:18:07 UTC, exit code 3
Input       pairs.csv, 1.4 MB
            every line accounted for: 0 = 0 pairs
Groups      none: there is nothing to merge

report.html shows this and more in a browser.
Run directory: /data/runs/r1
",
    );
}

#[test]
fn an_apply_with_failures() {
    let mut failed = applied();
    failed.again = Some(Advice::resume("runs/r1".as_ref()));
    check(
        &summary("apply", plan(), Some(failed)),
        "\
apply 20261123T041455Z-3f9a: finished, with failures, in 3 min 12 s

Session     2026-11-23 04:14:55 to 04:18:07 UTC, exit code 3
Input       pairs.csv, 1.4 MB
            every line accounted for: 20,000 = 19,945 pairs + 3 blank
            + 12 rejected + 40 duplicates
Rejected    12 lines: 8 ambiguous (lines 3, 9, 12, 40, 41, …), 4 cycle (lines 5,
            6, 7, 8)
            rejects.csv has them, each with its reason, and can be fed back in
            ambiguous: decide which target is right, and leave the others out
            cycle: decide who survives, and leave out the line that merges that
            account away; if a run did, take that back first
Groups      18,000 = 17,990 done + 10 failed
Pairs       19,945 = 19,930 done + 15 failed
Events      60,012 produced to 'course.batch.job.request', 60,000 acknowledged
Speed       111 pairs/s, 7,198 rows/s; 1 request tried again
            0 batch statements in 0 slices
WARNING     no rows for 2,345 of 19,930 sources (11.8%): are these ids typed
            right, and from this keyspace?
Absent      no rows for 7 of 17,990 survivors (0.1%)

Rows of                sources     copied  merged  unchanged    deleted
content_consumption  1,234,567  1,234,537      20         10  1,234,567
user_courses            61,000     60,970      20         10     61,000

Latency                    count      p50      p90      p99    p99.9     max
group                     18,000  9.90 ms  65.0 ms   120 ms   3.00 s  65.2 s
read content_consumption  40,000   812 µs  1.23 ms  12.3 ms  99.0 ms  1.02 s

Failed groups  reason
           10  write of user_courses: not enough replicas answered (1 of 2)
               after 10 tries

Such as line  from  to
          17  a1    b1

To go on (failures.csv has the pairs that failed):
  tributary resume runs/r1
To check it:
  tributary verify /data/runs/r1
To take it back:
  tributary undo /data/runs/r1
report.html shows this and more in a browser.
Run directory: /data/runs/r1
",
    );
}

/// What an apply of 18,000 groups says of itself that did half of them, and nothing else.
fn half_done() -> Applied {
    let mut half = applied();
    half.groups = Fates { planned: 18_000, done: 9_000, not_started: 9_000, ..Fates::default() };
    half.pairs = Fates { planned: 19_945, done: 9_930, not_started: 10_015, ..Fates::default() };
    half.groups_done_now = 9_000;
    half.failures.clear();
    half.tables.clear();
    half.latency.clear();
    half.tally = Tally::default();
    half.events = EventFacts::default();
    half
}

#[test]
fn an_apply_that_was_stopped_says_how_to_go_on() {
    let mut stopped = half_done();
    stopped.stopped = Some("interrupted by the operator".into());
    stopped.again = Some(Advice::resume("runs/r1".as_ref()));
    check(
        &summary("apply", plan(), Some(stopped)),
        "\
apply 20261123T041455Z-3f9a: stopped after 3 min 12 s

Session     2026-11-23 04:14:55 to 04:18:07 UTC, exit code 3
Input       pairs.csv, 1.4 MB
            every line accounted for: 20,000 = 19,945 pairs + 3 blank
            + 12 rejected + 40 duplicates
Rejected    12 lines: 8 ambiguous (lines 3, 9, 12, 40, 41, …), 4 cycle (lines 5,
            6, 7, 8)
            rejects.csv has them, each with its reason, and can be fed back in
            ambiguous: decide which target is right, and leave the others out
            cycle: decide who survives, and leave out the line that merges that
            account away; if a run did, take that back first
Stopped     interrupted by the operator
Groups      18,000 = 9,000 done + 9,000 not started
Pairs       19,945 = 9,930 done + 10,015 not started
Events      none, as asked for by --no-events or the specification
Speed       111 pairs/s, 7,198 rows/s; 1 request tried again
            0 batch statements in 0 slices

To go on:
  tributary resume runs/r1
To check it:
  tributary verify /data/runs/r1
To take it back:
  tributary undo /data/runs/r1
report.html shows this and more in a browser.
Run directory: /data/runs/r1
",
    );
}

#[test]
fn a_resume_speaks_of_the_run_as_a_whole() {
    let mut resumed = half_done();
    let whole = |planned| Fates { planned, done: planned, ..Fates::default() };
    resumed.groups = Fates { done: 17_000, undone: 1_000, ..whole(18_000) };
    resumed.pairs = whole(19_945);
    let began = Moment::from(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_320_895));
    resumed.resumed = Some(Resumed {
        run_started_at: began,
        groups_done_before: 8_000,
        pairs_done_before: 8_930,
    });
    let report = summary("resume", plan(), Some(resumed.clone()));
    assert!(report.equations().iter().all(Equation::holds), "{:?}", report.equations());
    check(
        &report,
        "\
resume 20261123T041455Z-3f9a: finished, with rejected lines, in 3 min 12 s

Session     2026-11-23 04:14:55 to 04:18:07 UTC, exit code 3
Input       pairs.csv, 1.4 MB
            every line accounted for: 20,000 = 19,945 pairs + 3 blank
            + 12 rejected + 40 duplicates
Rejected    12 lines: 8 ambiguous (lines 3, 9, 12, 40, 41, …), 4 cycle (lines 5,
            6, 7, 8)
            rejects.csv has them, each with its reason, and can be fed back in
Groups      18,000 = 17,000 done + 1,000 taken back
Pairs       19,945 = 19,945 done
Resumed     8,000 groups done before, since 2026-11-22T04:14:55.000Z; events,
            speed and latencies are those of this session
Events      none, as asked for by --no-events or the specification
Speed       111 pairs/s, 7,198 rows/s; 1 request tried again
            0 batch statements in 0 slices

To check it:
  tributary verify /data/runs/r1
To look once more for later rows:
  tributary resume /data/runs/r1
To take it back:
  tributary undo /data/runs/r1
report.html shows this and more in a browser.
Run directory: /data/runs/r1
",
    );
    // What the journal says is done, somebody must have done.
    resumed.groups_done_now -= 1;
    assert_eq!(summary("resume", plan(), Some(resumed)).exit_code, 1);
}

#[test]
fn a_canary_says_how_to_merge_the_rest() {
    let mut limited = half_done();
    limited.groups = Fates { not_started: 0, limited: 9_000, ..limited.groups };
    limited.again = Some(Advice::Resume { run: "runs/r1".into(), all: true, secrets: Vec::new() });
    let text = terminal(&summary("apply", plan(), Some(limited)));
    let expected = "\nTo merge the rest as well:\n  tributary resume runs/r1 --limit all\nTo check";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn ids_and_reasons_neither_steer_the_terminal_nor_break_its_lines() {
    let mut hostile = applied();
    let id = |start: &str| format!("{start}\u{1b}[2J\r\n{}", "x".repeat(1_000));
    let line = 17;
    hostile.failures = vec![
        FailureReason {
            reason: format!("the partition of {} is\nbroken", id("p")),
            groups: 9,
            examples: vec![ExamplePair { from: id("a"), to: id("\u{9b}b"), line }],
        },
        FailureReason { reason: "bad ".repeat(1_000), groups: 1, examples: Vec::new() },
    ];
    hostile.stopped = Some(id("why"));
    let text = terminal(&summary("apply", plan(), Some(hostile)));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    // Only what somebody may want to copy is wider, on a line of its own or behind a label.
    let is_word =
        |line: &str| line.split_whitespace().count() <= 1 + usize::from(!line.starts_with(' '));
    assert!(text.lines().all(|line| line.chars().count() <= COLUMNS || is_word(line)), "{text}");
    assert!(text.contains(r"the partition of p\u{1b}[2J\r\nxxx"), "{text}");
    assert!(text.contains(r"   is\nbroken"), "{text}");
    assert!(
        text.contains(
            r"          17  a\u{1b}[2J\r\nxxxxxxxxxxxxxxxxxxxxxxxxx…  \u{9b}b\u{1b}[2J\r\nxxx…"
        ),
        "{text}"
    );
    assert!(text.len() < 4_000, "{text}");
}

#[test]
fn what_is_done_about_a_rule_is_said_as_it_is_in_the_manual() {
    let mut odd = plan();
    let mut found = Sightings::default();
    found.add(7, String::new);
    odd.findings = vec![
        Finding::new(Rule::Placeholder, Outcome::Rejected, found.clone()),
        Finding::new(Rule::InvalidId, Outcome::Rejected, found.clone()),
    ];
    let text = terminal(&summary("plan", odd.clone(), None));
    // No line of these can be let through, so nobody is told that they can.
    assert!(!text.contains("--accept"), "{text}");
    found.note_acceptable(true);
    odd.findings = vec![Finding::new(Rule::Placeholder, Outcome::Doubted, found.clone())];
    let text = terminal(&summary("plan", odd.clone(), None));
    assert!(text.contains(r"NaN, \N, #N/A"), "{text}");
    odd.findings = vec![Finding::new(Rule::Placeholder, Outcome::Rejected, found)];
    let text = terminal(&summary("apply", odd.clone(), Some(half_done())));
    assert!(text.contains("--accept placeholder merges"), "{text}");
    let text = terminal(&summary("resume", odd, Some(half_done())));
    assert!(text.contains("Rejected") && !text.contains("--accept"), "{text}");
}

#[test]
fn a_run_that_is_undone_whole_advises_nothing_more() {
    let mut undone = half_done();
    undone.groups = Fates { planned: 18_000, undone: 18_000, ..Fates::default() };
    undone.groups_done_now = 0;
    let text = terminal(&summary("resume", plan(), Some(undone)));
    assert!(!text.contains("tributary "), "{text}");
    assert!(text.contains("\nSpeed       nothing was merged in this session;"), "{text}");
}

#[test]
fn the_next_command_can_be_pasted() {
    let mut planned = summary("plan", plan(), None);
    planned.input.path = "my pairs $(1).csv".into();
    planned.run_dir = "/data/\u{1b}[2J".into();
    let text = terminal(&planned);
    let command = r"tributary apply --plan $'/data/\x1b[2J' --topic TOPIC";
    assert!(text.contains(&format!("\n  {command}\n")), "{text}");
    assert!(text.contains("\nInput       my pairs $(1).csv, 1.4 MB\n"), "{text}");
    assert!(text.ends_with("\nRun directory: /data/\\u{1b}[2J\n"), "{text}");
}

#[test]
fn counters_that_do_not_add_up_are_seen() {
    let mut lost = plan();
    lost.pairs -= 1;
    let summary = summary("plan", lost, None);
    assert_eq!(summary.exit_code, 1);
    let text = terminal(&summary);
    assert!(!text.contains("accounted for"), "{text}");
    assert!(
        text.contains(
            "\n            lines of the input: 20,000 ≠ 3 blank + 12 rejected + 40 duplicates +\n\
             \x20           19,944 pairs\n"
        ),
        "{text}"
    );
}
