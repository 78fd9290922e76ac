//! Lists as people really have them: what is accepted, what is held back, and what is said. Nothing here needs a server.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::process::{Call, Finished, rejects};

/// A folder for lists and runs.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder can be made"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("the tests use UTF-8").to_owned()
    }

    fn plan(&self, csv: &[u8]) -> Call {
        let pairs = self.path("pairs.csv");
        std::fs::write(&pairs, csv).expect("a file can be written");
        let run = self.path("run");
        _ = std::fs::remove_dir_all(&run);
        Call::new(&["plan", &pairs]).with("--run-dir", run)
    }

    fn run(&self) -> std::path::PathBuf {
        Path::new(&self.path("run")).to_owned()
    }

    /// What a plan of this makes: its report, and the rule that rejects each rejected line.
    fn read(&self, csv: &[u8], accept: &str) -> (Value, BTreeMap<u64, String>) {
        let call = self.plan(csv).flag("--json");
        let call = if accept.is_empty() { call } else { call.with("--accept", accept) };
        let finished = call.run();
        let rejected = rejects(&self.run());
        let code = if rejected.is_empty() { 0 } else { 3 };
        let json = finished.exits(code).json();
        (json, rejected.into_iter().map(|(line, reject)| (line, reject.code)).collect())
    }

    /// The list is read, whichever way it is written: so many pairs are accepted, and these lines rejected.
    #[track_caller]
    fn check(&self, csv: &str, pairs: u64, rejected: &[(u64, &str)]) {
        for (form, bytes) in forms(csv) {
            let (json, seen) = self.read(&bytes, "");
            let seen: Vec<_> = seen.iter().map(|(line, rule)| (*line, rule.as_str())).collect();
            assert_eq!(seen, rejected, "{form}");
            assert_eq!(json["plan"]["pairs"], pairs, "{form}: {json:#}");
            // What is rejected is rejected again for the same reasons.
            let back = std::fs::read(self.run().join("rejects.csv")).expect("it is there");
            let again: Vec<_> = self.read(&back, "").1.into_values().collect();
            assert_eq!(again, rejected.iter().map(|(_, rule)| *rule).collect::<Vec<_>>(), "{form}");
        }
    }

    /// The rules that doubt lines, with the first of those and their number.
    fn doubted(&self, csv: &str) -> Vec<(String, u64, u64)> {
        let json = self.read(csv.as_bytes(), "").0;
        let findings = json["plan"]["findings"].as_array().expect("a list").clone();
        let doubted = findings.iter().filter(|finding| finding["outcome"] == "doubted");
        let number = |value: &Value| value.as_u64().expect("a number");
        doubted
            .map(|finding| {
                let rule = finding["rule"].as_str().expect("a name").to_owned();
                (rule, number(&finding["first_lines"][0]), number(&finding["lines"]))
            })
            .collect()
    }

    /// Nothing of it is read; the message says all this.
    #[track_caller]
    fn explains(&self, csv: &[u8], things: &[&str]) -> Finished {
        let mut finished = self.plan(csv).run().exits(2);
        for thing in things {
            finished = finished.names(thing);
        }
        assert_eq!(finished.stderr.trim().lines().count(), 1, "{finished}");
        finished
    }
}

/// The same list as programs write it. None of its fields holds a comma or a quote.
fn forms(csv: &str) -> Vec<(&'static str, Vec<u8>)> {
    let quoted: String = csv
        .lines()
        .map(|line| {
            let fields: Vec<_> = line.split(',').map(|field| format!("\"{field}\"")).collect();
            fields.join(",") + "\r\n"
        })
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(csv.as_bytes()).expect("memory can be written");
    let mut gzip = gzip.finish().expect("memory can be written");
    gzip.extend([0; 512]);
    vec![
        ("plain", csv.as_bytes().to_vec()),
        ("CRLF", csv.replace('\n', "\r\n").into_bytes()),
        ("without a last line end", csv.trim_end_matches('\n').into()),
        ("quoted", quoted.into_bytes()),
        ("in capitals", csv.replacen("from,to", "From,TO", 1).into_bytes()),
        ("gzip with padding", gzip),
    ]
}

#[test]
fn c1_words_for_nothing_are_placeholders() {
    let desk = Desk::new();
    let csv = "from,to\nu1,NULL\nu2,NULL\nNULL,u9\nu4,undefined\nu5,\\N\nu6,u7\nnone,u8\nu9,n/a\nx,(null)\n-,y\n";
    let lines = [2, 3, 4, 5, 6, 8, 9, 10, 11].map(|line| (line, "placeholder"));
    desk.check(csv, 1, &lines);
    let (json, seen) = desk.read(csv.as_bytes(), "placeholder");
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(json["plan"]["pairs"], 10);
}

#[test]
fn c2_numbers_of_spreadsheets_are_held_back() {
    let desk = Desk::new();
    let csv = "from,to\nu1,9.91214E+15\nu2,9.91214E+15\n'007,u5\n12E45,u6\nu7,1e+12\n007,u8\n";
    let lines = [2, 3, 4, 6].map(|line| (line, "spreadsheet"));
    desk.check(csv, 2, &lines);
}

#[test]
fn c3_what_nobody_sees_is_shown_by_its_number() {
    let desk = Desk::new();
    let csv = "from,to\na,b\n\u{feff}c,d\ne\u{200b},f\ng,h\u{ad}\ni\0,j\nk\u{202e},l\nm,n\n";
    let lines = [3, 4, 5, 6, 7].map(|line| (line, "invalid-id"));
    desk.check(csv, 2, &lines);
    desk.plan(csv.as_bytes()).run().exits(3);
    let report = std::fs::read_to_string(desk.run().join("rejects.csv")).expect("it is there");
    for shown in
        ["('\\u{feff}c')", "('e\\u{200b}')", "('h\\u{ad}')", "('i\\u{0}')", "('k\\u{202e}')"]
    {
        assert!(report.contains(shown), "{report}");
    }
}

#[test]
fn c4_headers_in_the_middle_are_no_pairs_and_nothing_is_read_the_other_way_round() {
    let desk = Desk::new();
    let csv = "from,to\na,b\nfrom,to\nc,d\nTo,From\ne,f\n\u{feff}from,to\ng,h\n";
    desk.check(csv, 3, &[(3, "header"), (5, "header"), (6, "header"), (7, "header")]);
    let other = "note,from,to\n1,a,b\nfrom,to,note\nc,d,2\n";
    desk.check(other, 1, &[(3, "header"), (4, "header")]);
}

#[test]
fn c5_spellings_of_uuids_are_doubted_where_accounts_are_text() {
    let desk = Desk::new();
    let uuid = "4aa7f1c0-0000-4000-8000-00000000abc";
    let upper = format!("{uuid}1").to_uppercase();
    let csv = format!("from,to\n{uuid}0,{uuid}a\n{upper},{uuid}b\n{{{uuid}2}},{uuid}c\n");
    assert_eq!(desk.doubted(&csv), [("uuid-spelling".to_owned(), 3, 2)]);
    let nobody = "from,to\n00000000-0000-0000-0000-000000000000,u1\n";
    desk.check(nobody, 0, &[(2, "placeholder")]);
}

#[test]
fn c6_what_is_no_csv_is_named_with_the_way_to_one() {
    let desk = Desk::new();
    let name = desk.path("pairs.csv");
    for (bytes, what, way) in [
        (&b"PK\x03\x04\x14\0\0\0pairs.csv"[..], "a zip archive", "unzip -p"),
        (b"PK\x03\x04\x14\0\x06\0[Content_Types].xml", "an Excel workbook", "save it as CSV"),
        (b"\x28\xb5\x2f\xfd\0\n", "zstd", "zstd -dc"),
        (b"PAR1\0\0\n", "Parquet", "duckdb"),
        (b"<html><body>Log in</body></html>\n", "a web page", "login"),
        (b"version https://git-lfs.github.com/spec/v1\noid\n", "Git LFS", "git lfs pull"),
        (b"\xff\xfef\0r\0o\0m\0,\0t\0o\0\n\0", "UTF-16", "iconv -f UTF-16"),
        (b"{\"from\": \"a\", \"to\": \"b\"}\n", "JSON", "jq"),
    ] {
        desk.explains(bytes, &[&name, what, way]);
    }
}

#[test]
fn c7_other_forms_are_read_or_explained() {
    let desk = Desk::new();
    let (json, seen) = desk.read(b"sep=;\r\nFrom;To\r\na;b\r\n\"c;d\";NULL\r\n", "");
    assert_eq!(json["plan"]["pairs"], 1, "{json:#}");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(4, "placeholder".to_owned())]);
    desk.explains(b"from,to\ra,b\rc,d\r", &["carriage returns", "tr '\\r' '\\n'"]);
    desk.explains(b"from;to\na;b\n", &["--delimiter ';'"]);
    desk.explains(b"u1,17\nu2,18\n", &["header missing"]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(b"from,to\na,b\n").expect("memory can be written");
    let gzip = gzip.finish().expect("memory can be written");
    desk.explains(&[&gzip[..], b"x9,y9\n"].concat(), &["'x9,y9\\n'", "gunzip"]);
}

#[test]
fn what_is_odd_is_doubted_with_its_lines() {
    let desk = Desk::new();
    assert_eq!(desk.doubted("from,to\nBob,x\ny,z\nbob,w\n"), [("letter-case".to_owned(), 2, 2)]);
    let uuid = "4aa7f1c0-0000-4000-8000-00000000abc";
    let mixed = format!("from,to\n{uuid}0,{uuid}1\n{uuid}2,bob\n");
    assert_eq!(desk.doubted(&mixed), [("mixed-shapes".to_owned(), 3, 1)]);
    let mut csv = "from,to\na,b\nc,d\n".to_owned();
    (0..12).for_each(|n| csv += &format!("s{n},drain\n"));
    assert_eq!(desk.doubted(&csv), [("fan-in".to_owned(), 4, 12)]);
    let printed = desk.plan(csv.as_bytes()).run().exits(0).stdout;
    assert!(printed.contains("'drain' with 12 (line 4)"), "{printed}");
    assert!(printed.contains("WARNING     12 fan-in (lines 4, …: 'drain')"), "{printed}");
    // Plain lists are plain.
    assert_eq!(desk.doubted("from,to\na,b\nx1,y2\n12,z\n"), []);
}

#[test]
fn every_rule_is_told_and_let_through_by_its_name() {
    let desk = Desk::new();
    let csv = "from,to\nu1,NULL\nu2,9.9E+15\nfrom,to\nu\u{200b}3,u4\nu5,u6\n";
    let printed = desk.plan(csv.as_bytes()).run().exits(3).stdout;
    let words = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    let rejected = "4 lines: 1 header (line 4), 1 invalid-id (line 5), 1 placeholder (line 2), 1 ";
    assert!(words.contains(rejected) && words.contains("--accept placeholder"), "{printed}");
    let page = std::fs::read_to_string(desk.run().join("report.html")).expect("it is there");
    assert!(page.contains("--accept spreadsheet"), "{page}");
    let all = "header,invalid-id,placeholder,spreadsheet";
    let printed = desk.plan(csv.as_bytes()).with("--accept", all).run().exits(0).stdout;
    assert!(printed.contains("Accepted    1 header (line 4: 'from')"), "{printed}");
    let page = std::fs::read_to_string(desk.run().join("report.html")).expect("it is there");
    assert!(page.contains("Accepted lines"), "{page}");
    let refused = desk.plan(csv.as_bytes()).with("--accept", "nulls").run().exits(2);
    refused
        .names("'nulls' is not the name of a rule")
        .names("header, invalid-id, placeholder, spreadsheet");
}
