//! Planning: no connection, no write, every line accounted for.

use std::path::Path;

use crate::data;
use crate::model::{self, Line, Plan};
use crate::process::{Call, Finished, read_json, rejects};
use crate::world::{assert_same, to_csv};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("the tests use UTF-8").to_owned()
}

/// Plans with everything else out of reach.
fn plan(pairs: &str, run: &str) -> Call {
    Call::new(&["plan", pairs])
        .with("--run-dir", run)
        .environment("TRIBUTARY_HOSTS", "127.0.0.1:1")
        .environment("TRIBUTARY_BROKERS", "127.0.0.1:1")
        .flag("--json")
}

#[track_caller]
fn assert_counts(finished: &Finished, run: &str, expected: &Plan, lines: &[Line]) {
    let json = finished.json();
    let count = |name: &str| {
        let count = json["plan"][name].as_u64();
        count.unwrap_or_else(|| panic!("no {name} in {json:#}"))
    };
    assert_eq!(count("lines"), lines.len() as u64);
    assert_eq!(count("blank"), expected.blank as u64);
    assert_eq!(count("duplicates"), expected.duplicates as u64);
    assert_eq!(count("pairs"), expected.pairs as u64);
    assert_eq!(count("groups"), expected.groups.len() as u64);
    let largest = expected.groups.iter().map(|group| group.sources.len()).max();
    assert_eq!(count("largest_group"), largest.unwrap_or_default() as u64);
    assert_eq!(rejects(Path::new(run)).len(), expected.rejected.len());
    for reason in ["malformed", "invalid-id", "self-pair", "ambiguous", "cycle"] {
        let rejected = expected.rejected.values().filter(|rejected| **rejected == reason).count();
        let seen = json["plan"]["rejected"][reason].as_u64();
        assert_eq!(seen, Some(rejected as u64), "{reason} in {json:#}");
    }
}

#[test]
fn a_plan_counts_every_line_and_opens_no_connection() {
    let folder = folder();
    let lines = data::awkward().lines;
    let expected = model::resolve(&lines);
    let pairs = path(&folder, "pairs.csv");
    std::fs::write(&pairs, to_csv(&lines)).expect("a file can be written");
    let run = path(&folder, "run");
    let finished = plan(&pairs, &run).run().exits(3);
    assert_counts(&finished, &run, &expected, &lines);
    assert_eq!(finished.json(), read_json(&Path::new(&run).join("report.json")));
}

#[test]
fn a_plan_for_people_names_its_numbers() {
    let folder = folder();
    let pairs = path(&folder, "pairs.csv");
    let text = "from,to\na,b\nb,c\nx,c\nx,c\nloop,loop\n";
    std::fs::write(&pairs, text).expect("a file can be written");
    let finished = plan(&pairs, &path(&folder, "run")).without("--json").run().exits(3);
    for word in ["pairs", "groups", "chain", "fan-in", "duplicate", "reject", "self-pair"] {
        assert!(finished.stdout.to_lowercase().contains(word), "no {word}: {finished}");
    }
}

#[test]
fn rejected_lines_can_be_fed_back() {
    let folder = folder();
    let pairs = path(&folder, "pairs.csv");
    let text = "from,to,note\n\
        a,b,good\n\
        \" c\",d,\"space, and a comma\"\n\
        e,e,self\n\
        f,g,first\n\
        f,h,second\n";
    std::fs::write(&pairs, text).expect("a file can be written");
    let run = path(&folder, "run");
    plan(&pairs, &run).run().exits(3);
    let first = rejects(Path::new(&run));
    let lines: Vec<_> = first.iter().map(|(line, r)| (*line, r.code.as_str())).collect();
    let expected = [(3, "invalid-id"), (4, "self-pair"), (5, "ambiguous"), (6, "ambiguous")];
    assert_eq!(lines, expected);
    assert_eq!(first[&3].original, "\" c\",d,\"space, and a comma\"");

    // As they are, they are rejected for the same reasons again.
    let rejected = Path::new(&run).join("rejects.csv").to_str().expect("UTF-8").to_owned();
    let second = path(&folder, "second");
    plan(&rejected, &second).run().exits(3);
    let reasons = |run: &str| -> Vec<String> {
        rejects(Path::new(run)).into_values().map(|reject| reject.code).collect()
    };
    assert_eq!(reasons(&second), reasons(&run));
    // With the white space stripped and one target struck out, what is good now is accepted.
    let text = std::fs::read_to_string(&rejected).expect("it is there");
    let repaired: String = text
        .lines()
        .filter(|line| !line.starts_with("f,h"))
        .map(|line| format!("{line}\n"))
        .collect();
    let repaired_file = path(&folder, "repaired.csv");
    std::fs::write(&repaired_file, repaired).expect("a file can be written");
    let third = path(&folder, "third");
    let finished = plan(&repaired_file, &third).flag("--trim").run().exits(3);
    let json = finished.json();
    assert_eq!(json["plan"]["pairs"], 2, "{finished}");
    assert_eq!(reasons(&third), ["self-pair"]);
}

#[test]
fn a_clean_plan_exits_with_success_and_an_empty_one_too() {
    let folder = folder();
    for (name, text, groups) in [("clean", "from,to\na,b\n", 1), ("empty", "from,to\n", 0)] {
        let pairs = path(&folder, &format!("{name}.csv"));
        std::fs::write(&pairs, text).expect("a file can be written");
        let run = path(&folder, name);
        let finished = plan(&pairs, &run).run().exits(0);
        let json = finished.json();
        assert_eq!(json["plan"]["groups"], groups, "{finished}");
        assert_eq!(rejects(Path::new(&run)).len(), 0);
    }
}

#[test]
fn random_pairs_are_resolved_as_the_model_does() {
    let folder = folder();
    for seed in 0..5 {
        let mut random = data::Random::new(seed);
        let mut lines = Vec::new();
        let accounts = 50 + 1_000 * seed;
        for _ in 0..3_000 {
            let (from, to) = (random.below(accounts), random.below(accounts));
            lines.push(Line::Pair(format!("a{from}"), format!("a{to}")));
        }
        let expected = model::resolve(&lines);
        let pairs = path(&folder, &format!("{seed}.csv"));
        std::fs::write(&pairs, to_csv(&lines)).expect("a file can be written");
        let run = path(&folder, &format!("run-{seed}"));
        let finished = plan(&pairs, &run).run().exits(3);
        assert_counts(&finished, &run, &expected, &lines);
        let seen = rejects(Path::new(&run)).into_iter().map(|(line, r)| (line, r.code)).collect();
        let expected = expected.rejected.into_iter();
        let expected = expected.map(|(at, reason)| (at as u64 + 2, reason.to_owned())).collect();
        assert_same(&format!("reject of seed {seed}, line"), &expected, &seen);
    }
}
