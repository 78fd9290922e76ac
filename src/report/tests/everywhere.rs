//! Every figure and every advice of an answer is in the terminal, in the JSON and on the page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::super::escaped::Escaped;
use super::traced::traced;
use super::*;
use crate::model::{AccountId, Pair};
use crate::moment::Moment;
use crate::run::RunId;

/// Whether a text has a number, and not as a part of another.
fn has(text: &str, number: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || c == ',' || c == '.';
    text.match_indices(number).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + number.len()..].chars();
        let after = (after.next(), after.next());
        let goes_on = match after {
            (Some(','), Some(next)) | (Some('.'), Some(next)) => next.is_ascii_digit(),
            (next, _) => next.is_some_and(|c| c.is_ascii_digit()),
        };
        !before.is_some_and(is_part) && !goes_on
    })
}

/// Looks for every figure and every advice of an answer; there are so many figures or more.
#[track_caller]
fn check(answer: &impl Answer, at_least: usize) -> Vec<String> {
    let (report, Rendered { text, json, html, .. }) = (answer.report(), rendered(answer));
    let json: Value = serde_json::from_str(&json).unwrap();
    let figures = report.figures();
    assert!(figures.len() >= at_least, "{}: {} figures", report.title, figures.len());
    for (number, at, in_terminal) in figures.iter().flat_map(|(figure, in_terminal)| {
        figure.numbers().into_iter().map(|(number, at)| (number, at, *in_terminal))
    }) {
        let (shown, value) = (number.shown(), number.value());
        if in_terminal {
            assert!(has(&text, &shown), "no {shown} ({at:?}) in\n{text}");
        }
        let documented = match at {
            None => format!("<span data-value=\"{value}\">{shown}<"),
            Some(at) => {
                // The JSON is read back less exactly than it is written.
                let known = json.pointer(&at).and_then(Value::as_f64);
                let is_same = known.is_some_and(|known| (known - value).abs() <= value * 1e-9);
                assert!(is_same, "{at} is {known:?}, not {value}");
                format!("<span data-value=\"{value}\" data-figure=\"{at}\">{shown}<")
            }
        };
        assert!(html.contains(&documented), "no {documented} in\n{html}");
    }
    // What the text says of them, the JSON says as well.
    let said = json["facts"].as_array().unwrap();
    let all: Vec<_> = report.all_facts().collect();
    assert_eq!(said.len(), all.len());
    for (said, fact) in said.iter().zip(all) {
        assert_eq!(
            (&said["label"], &said["text"]),
            (&fact.label.into(), &export::whole(&fact.text).into())
        );
        assert_eq!(said["more"].as_array().map_or(0, Vec::len), fact.more.len(), "{said}");
    }
    let advice = json["advice"].as_array().unwrap();
    assert_eq!(advice.len(), report.next.len());
    for (next, advice) in report.next.iter().zip(advice) {
        let command = next.advice.to_string();
        assert!(text.contains(&format!("\n  {command}\n")), "no {command} in\n{text}");
        assert!(html.contains(&format!(">{}</code>", Escaped(&command))), "no {command} in {html}");
        assert_eq!(advice["command"], command);
        assert!(!advice["to"].as_str().unwrap().is_empty());
    }
    for line in text.lines().filter(|line| !line.contains("  tributary ")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    report.next.iter().map(|next| next.advice.to_string()).collect()
}

#[test]
fn a_plan_is_the_same_everywhere() {
    let mut plan = data::summary("plan", data::plan(), None);
    assert_eq!(check(&plan, 20), ["tributary apply --plan /data/runs/r1 --topic TOPIC"]);
    plan.discovery =
        Discovery::of(vec![LedTo { table: "t".into(), through: "u.c".into() }], vec!["v".into()]);
    check(&plan, 20);
}

#[test]
fn an_inspection_is_the_same_everywhere() {
    for is_exact in [true, false] {
        let mut plan = data::summary("plan", data::plan(), None);
        plan.inspection = Some(data::inspection(is_exact));
        plan.plan.followed = data::followed();
        let advised = check(&plan, 90);
        assert_eq!(advised, ["tributary apply --plan /data/runs/r1 --topic TOPIC"]);
    }
}

#[test]
fn a_run_is_the_same_everywhere() {
    let advised = check(&data::summary("resume", data::plan(), Some(data::eventful())), 90);
    assert_eq!(advised[0], "tributary resume runs/r1");
    let advised = check(&data::summary("apply", data::plan(), Some(data::applied())), 60);
    let run = "/data/runs/r1";
    let expected = [
        format!("tributary verify {run}"),
        format!("tributary resume {run}"),
        format!("tributary undo {run}"),
    ];
    assert_eq!(advised, expected);
}

#[test]
fn a_verification_is_the_same_everywhere() {
    let mut verification = data::verification();
    let advised = check(&verification, 25);
    assert_eq!(advised[0], "tributary verify '/data/my runs/r1' --repair");
    assert_eq!(advised[1], "tributary resume '/data/my runs/r1'");
    verification.repair = true;
    let advised = check(&verification, 25);
    assert_eq!(advised.len(), 2, "there is nothing more that could be repaired: {advised:?}");
}

#[test]
fn an_undo_is_the_same_everywhere() {
    let advised = check(&data::undoing(), 25);
    assert_eq!(advised, ["tributary undo /data/runs/r2", "tributary undo r1"]);
}

#[test]
fn a_lookup_is_the_same_everywhere() {
    assert_eq!(check(&lookup(), 4), ["tributary resume runs/r1"]);
    assert_eq!(check(&traced("busy"), 0), ["tributary resume /data/r2"]);
}

fn lookup() -> Lookup {
    let account = |id: &str| AccountId::new(id);
    let pair = |from, into, line| Pair { from: account(from), into: account(into), line };
    let pairs = [pair("b", "c", 311), pair("a", "b", 211)];
    let group = KnownGroup {
        group: 4,
        survivor: &account("c"),
        pairs: &pairs,
        t: None,
        state: None,
        reason: None,
        changed_at_ms: None,
    };
    let mut lookup = Lookup::new("b");
    lookup.runs = 1_023;
    lookup.add(AccountGroup::new(
        &account("b"),
        RunId::from_text("r"),
        Path::new("runs/r1"),
        &group,
    ));
    lookup
}

/// The names of all fields of a JSON.
fn names(json: &Value, into: &mut BTreeSet<String>) {
    match json {
        Value::Object(fields) => {
            into.extend(fields.keys().cloned());
            fields.values().for_each(|value| names(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| names(value, into)),
        _ => {}
    }
}

/// Words that are set as code in the manual of reports, and are no fields: commands and names of settings; those of
/// `config` have a test of their own.
const NO_FIELDS: [&str; 14] = [
    "plan", "apply", "resume", "verify", "undo", "lookup", "forget", "runs", "config", "usable",
    "problem", "name", "origin", "layer",
];

#[test]
fn the_manual_names_the_fields_that_there_are_and_no_others() {
    let mut plan = data::summary("plan", data::plan(), None);
    plan.discovery =
        Discovery::of(vec![LedTo { table: "t".into(), through: "u.c".into() }], vec!["v".into()]);
    plan.inspection = Some(data::inspection(false));
    plan.plan.followed = data::followed();
    let mut run = data::eventful();
    run.timeline.push(Interval::default());
    let run = data::summary("resume", data::plan(), Some(run));
    let (plan, run) = (rendered(&plan).json, rendered(&run).json);
    let [verification, undoing] =
        [rendered(&data::verification()).json, rendered(&data::undoing()).json];
    let runs = rendered(&data::runs()).json;
    let traced = rendered(&traced("done")).json;
    documented("undo", &undoing);
    documented("runs", &runs);
    let kept = vec![("r2".to_owned(), "r1".to_owned())];
    let pruned = PrunedRuns::new("courses", Moment::from_us(0), Vec::new(), kept);
    let pruned = rendered(&pruned).json;
    documented("runs prune", &pruned);
    let (of, run_dir) = ("r1".to_owned(), PathBuf::from("r1"));
    let erased = ErasedRun { run: of, run_dir, groups: 1, lines: 2, reports: Vec::new() };
    let still = StillNamed { run: "r2".into(), host: None, run_dir: None };
    let forgotten =
        Forgotten { erased_in: vec![erased], still_in: vec![still], ..Forgotten::new("courses") };
    let forgotten = rendered(&forgotten).json;
    documented("forget", &forgotten);
    let at_work = AtWork { run: "r1".into(), host: "h1".into(), lease_s: 3 };
    let leased = rendered(&Leased::new("courses", at_work, 1)).json;
    let manual = manual();
    let documented: BTreeSet<&str> = manual
        .lines()
        .filter(|line| !line.starts_with("```"))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect();
    let mut known = BTreeSet::new();
    for json in [
        plan,
        run,
        verification,
        undoing,
        rendered(&lookup()).json,
        traced,
        runs,
        pruned,
        leased,
        forgotten,
    ] {
        let json: Value = serde_json::from_str(&json).unwrap();
        for field in json.as_object().unwrap().keys() {
            assert!(documented.contains(&**field), "{field} is not in the manual");
        }
        names(&json, &mut known);
    }
    let is_of_field = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_field =
        |word: &&str| word.starts_with(|c: char| c != '_') && word.chars().all(is_of_field);
    let is_known = |word: &str| known.contains(word) || NO_FIELDS.contains(&word);
    let unknown: Vec<_> =
        documented.into_iter().filter(is_field).filter(|word| !is_known(word)).collect();
    assert!(unknown.is_empty(), "there are no such fields: {unknown:?}");
}
