//! What an operator sees of the command itself; no server is needed.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output};

/// `plan` of this input, in a folder of its own.
fn plan(folder: &Path, pairs: &str) -> Command {
    fs::write(folder.join("pairs.csv"), pairs).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRIBUTARY_")) {
        command.env_remove(name);
    }
    command.args(["plan", "pairs.csv"]).current_dir(folder);
    command
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
