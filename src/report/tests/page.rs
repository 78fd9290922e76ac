//! The page: text of others stays text, and nothing but the page's own script can run.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::common;
use super::super::document::{Block, Report, Section};
use super::super::words::{code, count, say};
use super::*;
use crate::advice::Advice;
use crate::moment::Moment;
use crate::plan::PlanStats;
use crate::run::{InputRecord, RunId, RunRecord};

const HOSTILE: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "'--></style></title><svg onload=alert(3)>",
    "a\u{202e}b\u{0}&lt;",
];

fn summary(applied: Option<Applied>) -> Summary {
    let input = InputRecord { path: HOSTILE[0].into(), file: None, sha256: "ab".into(), bytes: 9 };
    let settings = serde_json::json!({"keyspace": HOSTILE[1], "events": {"topic": HOSTILE[2]}});
    let run = RunRecord {
        version: 2,
        id: RunId::from_text(HOSTILE[3]),
        command: "apply".into(),
        started_at: Moment::now(),
        versions: BTreeMap::new(),
        input,
        settings,
    };
    let stats = PlanStats { lines: 3, pairs: 3, groups: 3, ..PlanStats::default() };
    Summary::new(&run, Path::new(HOSTILE[1]), Moment::now(), stats, applied, 3)
}

fn applied() -> Applied {
    let mut applied = Applied {
        groups_done_now: 2,
        again: Some(Advice::resume(HOSTILE[1].as_ref())),
        ..Applied::default()
    };
    (applied.groups.planned, applied.pairs.planned) = (3, 3);
    (applied.groups.done, applied.pairs.done) = (2, 2);
    (applied.groups.failed, applied.pairs.failed) = (1, 1);
    let pair = ExamplePair { from: HOSTILE[0].into(), to: HOSTILE[1].into(), line: 7 };
    let reason = FailureReason { reason: HOSTILE[2].into(), groups: 1, examples: vec![pair] };
    applied.failures.push(reason);
    applied
}

/// Everything between `<` and `>` of a page, the two scripts and styles of our own aside.
fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()).collect()
}

#[test]
fn text_of_others_is_never_markup_wherever_it_stands() {
    let plain = rendered(&summary(Some(Applied::default()))).html;
    let mut report = summary(Some(applied())).report();
    let listing = Listing {
        file: HOSTILE[2].into(),
        columns: vec!["from".into(), "line".into(), HOSTILE[0].into()],
        rows: vec![HOSTILE[..3].iter().map(|text| (*text).to_owned()).collect()],
    };
    let bar = (say!("{}", HOSTILE[0]), count(7).at(HOSTILE[1]), f64::NAN);
    report.add(Section::new("s").with(common::examples(&listing)).with(Block::Bars(vec![bar])));
    report.advise(code(HOSTILE[1]), Advice::resume(HOSTILE[1].as_ref()));
    let html = export::html(&report);
    for tag in tags(&html) {
        let name = tag.trim_start_matches('/').split([' ', '\n']).next().unwrap_or_default();
        assert_ne!(name, "img", "{tag}");
        // What stands in quotes is the value of an attribute.
        let names: String = tag.split('"').step_by(2).collect();
        assert!(!names.contains("onerror") && !names.contains("onload"), "{tag}");
    }
    let scripts = |html: &str| html.matches("<script").count();
    assert_eq!((scripts(&html), scripts(&plain)), (1, 1));
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "it stays text");
    assert!(!html.contains(['\u{202e}', '\u{0}']));
}

#[test]
fn equations_that_do_not_hold_are_shown_so() {
    let good = rendered(&summary(Some(applied()))).html;
    assert!(good.contains("✓ yes") && !good.contains("✗ NO"), "{good}");
    let mut lost = applied();
    lost.groups.done = 1;
    let lost = summary(Some(lost));
    assert_eq!(lost.report().outcome.tone, Tone::Bad);
    let Rendered { html, json, .. } = rendered(&lost);
    assert!(json.contains("\"adds_up\": false") && json.contains("\"exit_code\": 1"), "{json}");
    assert!(html.contains("The counters do not add up") && html.contains("✗ NO"));
    assert!(html.contains("keep the run directory"), "{html}");
    // Both sides are there: three groups, and parts that make up two.
    assert!(html.contains("data-figure=\"/equations/2/total\">3<"), "{html}");
    assert!(html.contains("data-figure=\"/equations/2/sum\">2<"), "{html}");
}

#[test]
fn nothing_is_loaded_and_only_the_script_of_the_page_may_run() {
    let html = rendered(&summary(None)).html;
    // What a policy says stands in single quotes, which are no markup in an attribute.
    let html = html.replace("&#39;", "'");
    assert!(html.contains("default-src 'none'") && html.contains("script-src 'sha256-"));
    for tag in tags(&html) {
        let link = ["src=", "href=", "url("].iter().any(|word| tag.contains(word));
        let own = tag.contains("href=\"#") || tag.contains("href=\"data:,\"");
        assert!(!link || own, "{tag}");
    }
}

#[test]
fn a_page_without_anything_to_show_is_a_page() {
    let html = export::html(&Report::default());
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    assert!(common::over_time(&Timeline::default(), "t").is_none());
    assert!(common::latency("", &[]).is_none());
    let mut report = Report::default();
    report.add(Section::new("Examples").with(common::examples(&Listing::default())));
    assert!(report.sections.is_empty());
}
