//! The table of settings, row by row.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::*;
use crate::cli::args::command;
use crate::cli::{given, recorded};
use crate::moment::Moment;
use crate::run::{InputRecord, RunId, RunRecord};
use crate::setting::Command::{
    Apply, Config, ControlStatus, Forget, Lookup, Plan, Resume, Runs, RunsPrune, SpecCheck,
    SpecInit, SpecShow, Undo, Verify,
};
use crate::setting::{Command, Layers, ValueKind};

const COMMANDS: [(Command, &[&str]); 14] = [
    (Plan, &["plan", "p.csv"]),
    (Apply, &["apply", "p.csv"]),
    (Resume, &["resume", "run"]),
    (Verify, &["verify", "run"]),
    (Undo, &["undo", "run"]),
    (Lookup, &["lookup", "a"]),
    (Forget, &["forget", "a"]),
    (ControlStatus, &["control", "run", "status"]),
    (Runs, &["runs"]),
    (RunsPrune, &["runs", "prune"]),
    (SpecShow, &["spec", "show"]),
    (SpecCheck, &["spec", "check", "s.toml"]),
    (SpecInit, &["spec", "init"]),
    (Config, &["config"]),
];

fn rows() -> impl Iterator<Item = &'static SettingRow> {
    all().map(Described::row)
}

#[test]
fn no_name_is_given_twice_and_every_row_is_taken_by_a_command() {
    let names: BTreeSet<_> = rows().map(|row| row.name).collect();
    assert_eq!(names.len(), rows().count());
    for row in rows() {
        let taken = COMMANDS.iter().filter(|(command, _)| row.is_taken_by(*command));
        assert!(taken.count() > 0, "{}", row.name);
    }
}

/// A summary is a line that begins with a capital and has no full stop, as clap has them; paragraphs are sentences.
#[test]
fn every_row_says_what_it_is_for() {
    for row in rows() {
        let help = row.help();
        let (summary, more) = help.split_first().unwrap();
        assert!(summary.starts_with(char::is_uppercase), "{}: {summary}", row.name);
        assert!(summary.split(' ').count() >= 3 && !summary.ends_with('.'), "{}", row.name);
        for paragraph in more {
            assert!(paragraph.ends_with(['.', '>']), "{}: {paragraph}", row.name);
        }
    }
}

#[test]
fn secrets_are_not_for_the_command_line_and_are_not_recorded() {
    let secrets: Vec<_> = rows().filter(|row| row.secret).collect();
    for row in &secrets {
        assert!(!row.is_in(Layer::Flag) && row.recorded.is_none(), "{}", row.name);
    }
    let has = |name| secrets.iter().any(|row| row.name == name);
    assert!(has("password") && has("password_file"));
}

#[test]
fn whoever_has_a_default_or_an_example_can_have_it() {
    for setting in all().filter(|setting| setting.row().kind != ValueKind::Table) {
        let row = setting.row();
        assert!(!(row.default.is_empty() && row.example.is_empty()), "{}", row.name);
        for text in [row.default, row.example].into_iter().filter(|text| !text.is_empty()) {
            assert_eq!(setting.check(text), Ok(()), "{} = {text}", row.name);
        }
    }
}

/// A text that a setting may have and that is not its default.
fn sample(row: &SettingRow) -> &'static str {
    match row.kind {
        ValueKind::Switch => "true",
        ValueKind::Count => "1",
        _ if !row.example.is_empty() => row.example,
        _ => row.default,
    }
}

/// What a command is given.
fn given_to(words: &[&str], flags: &[&str], environment: &[(&str, &str)]) -> Layers {
    let matches = command().try_get_matches_from(["tributary"].iter().chain(words).chain(flags));
    let matches = matches.unwrap();
    let mut own = &matches;
    while let Some((_, below)) = own.subcommand() {
        own = below;
    }
    let variables = environment.iter().map(|(name, text)| (OsString::from(name), text.into()));
    given::layers(own, variables).unwrap()
}

/// The setting alone, in every way in which it can be given to the first command that takes it.
fn in_every_way(row: &SettingRow, text: &str) -> Vec<Layers> {
    let (_, words) = COMMANDS.iter().find(|(command, _)| row.is_taken_by(*command)).unwrap();
    let is_bare = matches!(row.kind, ValueKind::Switch | ValueKind::Count);
    let (flag, variable, folder) = (row.flag(), row.variable(), tempfile::tempdir().unwrap());
    let mut ways = Vec::new();
    if row.is_in(Layer::Flag) {
        let flags = [&flag, text];
        ways.push(given_to(words, if is_bare { &flags[..1] } else { &flags }, &[]));
    }
    if row.is_in(Layer::Environment) {
        ways.push(given_to(words, &[], &[(&variable, text)]));
    }
    if row.is_in(Layer::File) {
        let quote = if is_bare { "" } else { "'" };
        let file = folder.path().join("t.toml");
        fs::write(&file, format!("{} = {quote}{text}{quote}\n", row.name)).unwrap();
        let config = ("TRIBUTARY_CONFIG", file.to_str().unwrap());
        // Not all commands have a configuration file.
        ways.push(given_to(&["plan", "p.csv"], &[], &[config]));
    }
    ways
}

/// However it is given, a setting has the same value; and what a run records of it gives that value back.
#[test]
fn flag_variable_file_and_run_say_the_same() {
    let mut recalled = 0;
    // The configuration file is read at once.
    let read_later = |row: &SettingRow| row.kind != ValueKind::Table && row.name != "config";
    for setting in all().filter(|setting| read_later(setting.row())) {
        let (row, text) = (setting.row(), sample(setting.row()));
        let ways = in_every_way(row, text);
        assert_eq!(ways.len(), row.layers.len(), "{}", row.name);
        let kept = setting.kept(&ways[0]).unwrap();
        for layers in &ways {
            let written = layers.written(row).unwrap_or_else(|| panic!("no {}", row.name));
            assert_eq!(written.text, text, "{}", row.name);
            assert_eq!(setting.kept(layers).unwrap(), kept, "{}", row.name);
        }
        assert!(row.recorded.is_some() || kept.is_none(), "{}", row.name);
        let settings = recorded::record_of(&ways[0], [setting].into_iter()).unwrap();
        let input = InputRecord { path: "-".into(), file: None, sha256: "ab".into(), bytes: 1 };
        let id = RunId::from_text("r");
        let record = RunRecord::new(id, "apply", Moment::now(), input, settings);
        let given = recorded::recalled(Path::new("run"), &record.settings, [setting].into_iter());
        // What each session is told anew is recorded and not given back.
        if kept.is_some() && row.name != "no_sweep" {
            recalled += 1;
            assert_eq!(given.len(), 1, "{}", row.name);
            let layers = Layers::default().over(given);
            assert_eq!(setting.kept(&layers).unwrap(), kept, "{}", row.name);
        } else {
            assert_eq!(given.len(), 0, "{}", row.name);
        }
    }
    assert!(recalled > 15, "{recalled}");
}

#[test]
fn the_nearest_name_is_suggested_if_it_is_near() {
    for (wrong, meant) in [
        ("in_fligth", Some("in_flight")),
        ("keyspaces", Some("keyspace")),
        ("in-flight", Some("in_flight")),
        ("HOSTS", Some("hosts")),
        ("Kafka", Some("kafka")),
        ("max_error", Some("max_errors")),
        ("tls_hostname_check", Some("tls_no_hostname_check")),
        ("colour", None),
    ] {
        assert_eq!(nearest(wrong), meant, "{wrong}");
    }
}
