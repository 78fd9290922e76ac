//! What an operator sees of the command itself; no server is needed.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output};

/// The tool with these arguments, in a folder of its own.
fn tributary(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRIBUTARY_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(folder);
    command
}

/// `plan` of this input, in a folder of its own.
fn plan(folder: &Path, pairs: &str) -> Command {
    fs::write(folder.join("pairs.csv"), pairs).unwrap();
    tributary(folder, &["plan", "pairs.csv"])
}

/// The message with which a command fails.
#[track_caller]
fn fails(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert_eq!(text(&output.stdout), "", "{message}");
    message.to_owned()
}

fn text(output: &[u8]) -> &str {
    str::from_utf8(output).unwrap()
}

fn assert_done(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn an_empty_variable_leaves_a_switch_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.toml"), "trim = true\njson = true\n").unwrap();
    let with = |value: &str| {
        let mut command = plan(folder.path(), "from,to\n a,b\n");
        for name in ["TRIBUTARY_TRIM", "TRIBUTARY_JSON", "TRIBUTARY_QUIET"] {
            command.env(name, value);
        }
        command.args(["--config", "t.toml"]).output().unwrap()
    };
    let empty = with("");
    assert_done(&empty);
    assert!(text(&empty.stdout).starts_with('{'), "{}", text(&empty.stdout));
    // A variable that says no wins over the file: the id with a space is rejected.
    assert_eq!(with("no").status.code(), Some(3));
    assert_eq!(with("maybe").status.code(), Some(2));
}

#[test]
fn a_report_that_cannot_be_printed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = plan(folder.path(), "from,to\na,b\n");
    let output = command.arg("--json").stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said =
        "tributary: cannot write to standard output: No space left on device (os error 28)\n";
    assert_eq!(text(&output.stderr), said);
}

/// Before anything is connected to.
#[test]
fn what_is_not_an_applied_run_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    assert_done(
        &plan(folder.path(), "from,to\na,b\n").args(["--run-dir", "planned"]).output().unwrap(),
    );
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("foreign")).unwrap();
    fs::write(folder.path().join("foreign/run.json"), "{\"version\": 7}").unwrap();
    for (run, said) in [
        ("nowhere", "there is no run directory nowhere"),
        ("planned", "planned was only planned"),
        ("empty", "empty is not a run: it has no run.json"),
        ("pairs.csv", "pairs.csv is not a run: it is not a directory"),
        ("foreign", "foreign/run.json: it was written by another version of tributary (format 7"),
    ] {
        for command in ["resume", "lookup"] {
            // To a lookup, a folder is a place where runs may be.
            if command == "lookup" && !["planned", "foreign"].contains(&run) {
                continue;
            }
            let account = if command == "lookup" { &["a"][..] } else { &[] };
            let arguments = [&[command], account, &[run]].concat();
            let message = fails(&mut tributary(folder.path(), &arguments), 1);
            assert!(message.contains(said), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
    let message = fails(&mut tributary(folder.path(), &["resume"]), 2);
    assert!(message.contains("<RUN>"), "{message}");
}

#[test]
fn a_lookup_says_where_there_are_no_runs() {
    let folder = tempfile::tempdir().unwrap();
    let message = fails(&mut tributary(folder.path(), &["lookup", "a"]), 1);
    assert!(message.contains("cannot look for runs in runs: No such file"), "{message}");
    fs::create_dir(folder.path().join("runs")).unwrap();
    let message = fails(&mut tributary(folder.path(), &["lookup", "a"]), 1);
    assert!(message.contains("runs is not a run: "), "{message}");
    let message = fails(&mut tributary(folder.path(), &["lookup", ""]), 2);
    assert!(message.contains("'' is not an account"), "{message}");
}
