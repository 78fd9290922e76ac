//! The forms in which pairs may come.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::data::{self, Data};
use crate::model::{self, Line, Outcome};
use crate::process::{Call, rejects};
use crate::world::{World, to_csv};

/// A world with a few rows of `from`, `chain` and `to`, and what merging them leaves.
fn world(name: &str) -> (World, Vec<Line>, Outcome) {
    let world = World::new(name);
    let mut data = Data::new(5);
    for user in ["from", "chain", "ünï,cödé \"q\""] {
        data.study(user, "c1", "b1");
        data.study(user, user, "b2");
    }
    data.study("to", "c1", "b1");
    data.pair("from", "chain");
    data.pair("chain", "to");
    data.pair("ünï,cödé \"q\"", "to");
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    assert!(expected.events.len() >= 2);
    (world, data.lines, expected)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

#[test]
fn a_plain_file() {
    let (world, lines, expected) = world("plain");
    let pairs = world.file("pairs.csv", to_csv(&lines));
    world.apply(&pairs, &world.run_dir()).run().exits(0);
    world.assert_is(&expected);
}

#[test]
fn a_gzip_file_of_two_members() {
    let (world, lines, expected) = world("gzip");
    let csv = to_csv(&lines);
    let (first, second) = csv.split_at(csv.len() / 2);
    let pairs = world.file("pairs.csv.gz", [gzip(first), gzip(second)].concat());
    world.apply(&pairs, &world.run_dir()).run().exits(0);
    world.assert_is(&expected);
}

#[test]
fn standard_input() {
    let (world, lines, expected) = world("stdin");
    let call = world.apply("-".as_ref(), &world.run_dir()).stdin(to_csv(&lines));
    call.run().exits(0);
    world.assert_is(&expected);
}

#[test]
fn other_names_and_another_delimiter() {
    let (world, lines, expected) = world("header");
    let mut csv = "new;x;old account\n".to_owned();
    for line in &lines {
        let Line::Pair(from, to) = line else { panic!("only pairs here") };
        csv += &format!("\"{}\";;\"{}\"\n", to.replace('"', "\"\""), from.replace('"', "\"\""));
    }
    let pairs = world.file("pairs.csv", csv);
    let call = world.apply(&pairs, &world.run_dir());
    call.with("--from-column", "old account")
        .with("--to-column", "new")
        .with("--delimiter", ";")
        .run()
        .exits(0);
    world.assert_is(&expected);
}

#[test]
fn white_space_is_stripped_when_asked_to() {
    let (world, lines, expected) = world("trim");
    let mut csv = "from,to\n".to_owned();
    for line in &lines {
        let Line::Pair(from, to) = line else { panic!("only pairs here") };
        let quoted = |id: &str| id.replace('"', "\"\"");
        csv += &format!("\" {}\t\",\"{} \"\n", quoted(from), quoted(to));
    }
    let pairs = world.file("pairs.csv", csv);
    world.apply(&pairs, &world.run_dir()).run().exits(3);
    world.apply(&pairs, &world.run_dir()).flag("--trim").run().exits(0);
    world.assert_is(&expected);
}

/// What is let through is so for the whole run: `resume` reads its copy of the pairs in the same way, `undo` the pairs
/// that it is given.
#[test]
fn what_is_accepted_is_merged_resumed_and_taken_back() {
    let world = World::new("accepted");
    let mut data = Data::new(5);
    for user in ["NULL", "'007", "ann"] {
        data.study(user, "c1", "b1");
    }
    data.pair("NULL", "nobody");
    data.pair("'007", "bond");
    data.pair("ann", "anna");
    world.load(&data.tables);
    let before = world.dump();
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    let csv = [to_csv(&data.lines), b"from,to\n".to_vec()].concat();
    let pairs = world.file("pairs.csv", csv);
    let run = world.run_dir();
    let call = world.apply(&pairs, &run).with("--accept", "spreadsheet,placeholder");
    let finished = call.with("--limit", "1").run().exits(3);
    let report = finished.json();
    assert_eq!(report["plan"]["rejected"]["header"], 1, "{report:#}");
    let findings = report["plan"]["findings"].as_array().expect("a list");
    let accepted = findings.iter().filter(|finding| finding["outcome"] == "accepted");
    let accepted: Vec<_> = accepted
        .map(|finding| (finding["rule"].as_str(), finding["first_lines"][0].as_u64()))
        .collect();
    assert_eq!(accepted, [(Some("placeholder"), Some(2)), (Some("spreadsheet"), Some(3))]);
    world.resume(&run).with("--limit", "all").run().exits(3);
    world.assert_is(&expected);
    let undo = || {
        Call::new(&["undo", run.to_str().expect("the tests use UTF-8")])
            .with("--hosts", &world.addresses.hosts)
            .with("--pairs", world.file("some.csv", "from,to\nNULL,nobody\n'007,bond\nann,anna\n"))
    };
    undo().run().exits(0);
    world.assert_tables(&before);
}

#[test]
fn lines_that_cannot_be_read_are_rejected_and_the_rest_is_merged() {
    let (world, _, expected) = world("malformed");
    let csv = b"from,to\n\
        from,chain\n\
        only one\n\
        \n\
        bad \xff\xfe utf8,to\n\
        chain,to\n\
        \"\xc3\xbcn\xc3\xaf,c\xc3\xb6d\xc3\xa9 \"\"q\"\"\",to,,\n\
        from,chain,more,columns\n";
    let pairs = world.file("pairs.csv", csv);
    let run = world.run_dir();
    world.apply(&pairs, &run).run().exits(3);
    world.assert_is(&expected);
    let rejected = rejects(&run);
    let codes: Vec<_> = rejected.iter().map(|(line, r)| (*line, r.code.as_str())).collect();
    assert_eq!(codes, [(3, "malformed"), (5, "malformed"), (8, "malformed")]);
    assert_eq!(rejected[&3].original, "only one");
}
