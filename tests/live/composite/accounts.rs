//! Accounts that are UUIDs or numbers: an id is the value that it stands for, however it is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::random::{Data, spelled};
use super::shape::{SMALL, Shape, WORLD};
use super::{Kind, Scene, spec};
use crate::frames::{INVALID, Request};
use crate::model::Line;
use crate::process::{Call, rejects};
use crate::proxy::{Fate, Proxy};

/// The table of which the account is the whole partition key.
const OWN: &str = SMALL[0].name;

/// Lines as CSV, each id in one of the ways to write it.
fn spelled_csv(kind: Kind, lines: &[Line]) -> String {
    let mut text = "from,to\n".to_owned();
    for (n, line) in lines.iter().enumerate() {
        let Line::Pair(from, to) = line else { panic!("{line:?}") };
        let [from, to] =
            [spelled(kind, from, n), spelled(kind, to, n / 3)].map(|id| crate::world::quoted(&id));
        text += &format!("{from},{to}\n");
    }
    text
}

/// Merges a world of such accounts, checks it and undoes it.
fn whole(name: &str, kind: Kind, seed: u64, shapes: &'static [Shape], groups: u64) -> Scene {
    let mut data = Data::groups(kind, seed, shapes, groups);
    let scene = Scene::new(name, shapes, &data);
    let expected = scene.expected();
    // Behind the pairs: what is no account, and an account that is itself in two spellings.
    let (odd, to) = (data.account("odd"), data.account("to"));
    let mut csv = spelled_csv(kind, &data.lines);
    let (first, bad) = (2 + data.lines.len() as u64, bad_ids(kind));
    for id in bad {
        csv += &format!("{id},{to}\n");
    }
    csv += &format!("{},{}\n", spelled(kind, &odd, 0), spelled(kind, &odd, 4));
    let self_pair = first + bad.len() as u64;
    std::fs::write(&scene.pairs, csv).expect("it is ours");

    let finished = scene.apply().run().exits(3);
    scene.assert_tables(&expected.tables);
    let report = finished.json();
    scene.assert_report(&report, &expected);
    assert_eq!(report["plan"]["duplicates"], scene.plan.duplicates, "{report:#}");
    let rejected = rejects(&scene.run);
    let seen: BTreeMap<u64, &str> =
        rejected.iter().map(|(n, reject)| (*n, &*reject.code)).collect();
    let invalid = (first..self_pair).map(|line| (line, "invalid-id"));
    assert_eq!(seen, invalid.chain([(self_pair, "self-pair")]).collect());
    for (at, id) in bad.iter().enumerate() {
        assert_eq!(rejected[&(first + at as u64)].original, format!("{id},{to}"));
    }

    scene.walk("verify").run().exits(0);
    scene.assert_tables(&expected.tables);
    for group in scene.plan.groups.iter().take(3) {
        for account in group.sources.iter().chain([&group.survivor]) {
            for n in 0..5 {
                assert_found(&scene.run, &spelled(kind, account, n), account, &group.survivor);
            }
        }
    }
    scene.walk("undo").run().exits(0);
    scene.assert_tables(&scene.before);
    scene
}

/// What is no account of this type.
fn bad_ids(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Text => &[" x"],
        Kind::Ascii => &["ünï"],
        Kind::Uuid => &["4aa7", "4aa7f1c0-0000-4000-8000-00000000abcg", "17"],
        Kind::TimeUuid => &["4aa7", "4aa7f1c0-0000-4000-8000-00000000abcd"], // of another version
        Kind::Int => &["2147483648", "+1", "x", "1.0"],
        Kind::BigInt => &["9223372036854775808", "+1", "x", "1e3"],
        Kind::Varint => &["--1", "x", "0x1"],
    }
}

/// `lookup` knows an account by any spelling, and shows it in one.
#[track_caller]
fn assert_found(run: &Path, spelling: &str, account: &str, survivor: &str) {
    let run = run.to_str().expect("the tests use UTF-8");
    let call = Call::new(&["lookup"]).flag("--json").flag("--").flag(spelling).flag(run);
    let found = call.run().exits(0).json();
    assert_eq!(found["account"], account, "{found:#}");
    let chain = found["found"][0]["chain"].as_array().expect("it is found").clone();
    assert_eq!((chain.first(), chain.last()), (Some(&json!(account)), Some(&json!(survivor))));
}

#[test]
fn a_composite_world_of_uuids() {
    whole("composite_uuid", Kind::Uuid, 11, &WORLD, 40);
}

#[test]
fn a_composite_world_of_big_numbers() {
    whole("composite_bigint", Kind::BigInt, 12, &WORLD, 40);
}

#[test]
fn every_other_type_of_accounts() {
    for kind in [Kind::Ascii, Kind::TimeUuid, Kind::Int, Kind::Varint] {
        whole(&format!("small_{}", kind.name()), kind, 13, &SMALL, 15);
    }
}

/// The bytes that an account is bound as.
fn bytes(kind: Kind, id: &str) -> Vec<u8> {
    match kind {
        Kind::Uuid => {
            let digits = id.replace('-', "");
            let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
            (0..32).step_by(2).map(byte).collect()
        }
        Kind::BigInt => id.parse::<i64>().expect("a number").to_be_bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn binds(request: &Request, value: &[u8]) -> bool {
    let values = request.statements.iter().flat_map(|statement| &statement.values).flatten();
    values.into_iter().any(|bound| bound.windows(value.len()).any(|window| window == value))
}

fn records(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).expect("it is there");
    reader.deserialize().map(|record| record.expect("every record has all columns")).collect()
}

/// A group that fails is listed by its ids in one form, and so is what verify and undo say.
fn canonical_everywhere(name: &str, kind: Kind) {
    let data = Data::groups(kind, 14, &SMALL, 12);
    let scene = Scene::new(name, &SMALL, &data);
    let expected = scene.expected();
    std::fs::write(&scene.pairs, spelled_csv(kind, &data.lines)).expect("it is ours");
    let is_worth_it = |group: &&crate::model::Group| {
        let to = kind.literal(&group.survivor);
        let is_of = |(key, _): &(&super::cells::Key, &super::cells::Cells)| key[0] == to;
        expected.tables[OWN].iter().any(|row| is_of(&row))
            && !scene.before[OWN].iter().any(|row| is_of(&row))
    };
    let ill =
        scene.plan.groups.iter().find(is_worth_it).expect("some survivor gets its first rows");
    let survivor = bytes(kind, &ill.survivor);
    let proxy = Proxy::with(&scene.world.addresses.hosts, move |request, _| {
        let is_ill = request.writes() && binds(request, &survivor);
        if is_ill { Fate::Refuse(INVALID) } else { Fate::Pass }
    });
    let finished = scene.apply().with("--hosts", &proxy.hosts).run().exits(3);
    assert_eq!(finished.json()["groups"]["failed"], 1, "{finished}");
    drop(proxy);
    let failures = records(&scene.run.join("failures.csv"));
    let sources: Vec<_> = failures.iter().map(|record| record["from"].clone()).collect();
    assert_eq!(sources, ill.sources);
    assert!(failures.iter().any(|record| record["to"] == ill.survivor), "{failures:?}");
    assert_eq!(lookup_state(&scene.run, &spelled(kind, &ill.survivor, 0)), "failed");
    scene.resume().run().exits(0);
    scene.assert_tables(&expected.tables);

    // A row that somebody has deleted since: it stays so.
    let to = kind.literal(&ill.survivor);
    scene.cql(&format!("DELETE FROM {{}}{OWN} WHERE account = {to}"));
    scene.walk("verify").run().exits(4);
    let diff = records(&scene.run.join("diff.csv"));
    assert!(!diff.is_empty());
    for record in &diff {
        assert_eq!((&record["account"], &*record["verdict"]), (&ill.survivor, "row-missing"));
        assert!(ill.sources.contains(&record["from"]), "{record:?}");
    }
    scene.walk("verify").flag("--repair").run().exits(0);
    let repaired = records(&scene.run.join("diff.csv"));
    assert_eq!(repaired.len(), diff.len());
    assert!(repaired.iter().all(|record| record["verdict"] == "changed-since"), "{repaired:?}");

    // Pairs to undo are named in any spelling; what is in the way is listed in one.
    let lines: Vec<Line> = data
        .lines
        .iter()
        .filter(|line| matches!(line, Line::Pair(from, _) if ill.sources.contains(from)))
        .cloned()
        .collect();
    let some = scene.world.file("some.csv", spelled_csv(kind, &lines));
    scene.walk("undo").with("--pairs", &some).run().exits(4);
    let conflicts = records(&scene.run.join("conflicts.csv"));
    // Records are of rows, or name the pairs of the group, so that the list can be fed back.
    let froms: BTreeSet<_> = conflicts.iter().map(|record| record["from"].as_str()).collect();
    assert_eq!(froms, ill.sources.iter().map(String::as_str).collect(), "{conflicts:?}");
    let accounts = conflicts.iter().map(|record| record["account"].as_str());
    let accounts: BTreeSet<_> = accounts.filter(|account| !account.is_empty()).collect();
    assert_eq!(accounts, BTreeSet::from([ill.survivor.as_str()]), "{conflicts:?}");
    scene.walk("undo").flag("--force").run().exits(0);
    scene.assert_tables(&scene.before);
}

fn lookup_state(run: &Path, account: &str) -> Value {
    let run = run.to_str().expect("the tests use UTF-8");
    let call = Call::new(&["lookup"]).flag("--json").flag("--").flag(account).flag(run);
    call.run().exits(0).json()["found"][0]["state"].clone()
}

#[test]
fn uuids_are_written_in_one_way_everywhere() {
    canonical_everywhere("canonical_uuid", Kind::Uuid);
}

#[test]
fn numbers_are_written_in_one_way_everywhere() {
    canonical_everywhere("canonical_bigint", Kind::BigInt);
}

/// A plan needs no cluster; the specification may say what accounts are.
#[test]
fn a_specification_says_what_accounts_are() {
    let world = crate::world::World::empty("composite_types");
    let columns = "\n[table.columns]\naccount = \"uuid\"\n";
    let text = spec::spec(&SMALL).replacen("\n\n[[table]]", &format!("\n{columns}\n[[table]]"), 2);
    let text = text.replacen(columns, "", 1); // the first place is in front of all tables
    let spec = world.file("spec.toml", text);
    let id = "4aa7f1c0-0000-4000-8000-00000000abcd";
    let pairs = format!("from,to\n{id},{}\nx,{id}\n{{{id}}},{}\n", &id.replace('a', "b"), id);
    let pairs = world.file("pairs.csv", pairs);
    let run = world.run_dir();
    let plan = Call::new(&["plan", pairs.to_str().expect("the tests use UTF-8")]);
    let finished = plan.with("--spec", &spec).with("--run-dir", &run).flag("--json").run().exits(3);
    assert_eq!(finished.json()["plan"]["pairs"], 1, "{finished}");
    let codes: Vec<_> = rejects(&run).into_iter().map(|(n, reject)| (n, reject.code)).collect();
    assert_eq!(codes, [(3, "invalid-id".into()), (4, "self-pair".into())]);
}
