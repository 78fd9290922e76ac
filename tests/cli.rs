//! What an operator sees of the command itself; no server is needed.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

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
    let expected =
        "tributary: cannot write to standard output: No space left on device (os error 28)\n";
    assert_eq!(text(&output.stderr), expected);
}

/// Before anything is connected to.
#[test]
fn what_is_not_an_applied_run_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    assert_done(
        &plan(folder.path(), "from,to\na,b\n").args(["--run-dir", "planned"]).output().unwrap(),
    );
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::create_dir(folder.path().join("foreign")).unwrap();
    fs::write(folder.path().join("foreign/run.json"), "{\"version\": 7}").unwrap();
    for (run, expected) in [
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
            assert!(message.contains(expected), "{message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
    let message = fails(&mut tributary(folder.path(), &["resume"]), 2);
    assert!(message.contains("<RUN>"), "{message}");
}

#[test]
fn there_is_no_record_where_nothing_was_applied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert_done(&plan(path, "from,to\na,b\n").args(["--run-dir", "planned"]).output().unwrap());
    let record = |run: &str| fails(&mut tributary(path, &["record", run, "a"]), 2);
    for (run, expected) in
        [("nowhere", "there is no run directory nowhere"), ("planned", "planned was only planned")]
    {
        let message = record(run);
        assert!(message.contains(expected), "{message}");
    }
    // As of a run whose journal is lost.
    let run = fs::read_to_string(path.join("planned/run.json")).unwrap();
    let applied = run.replace("\"command\": \"plan\"", "\"command\": \"apply\"");
    assert_ne!(run, applied);
    fs::write(path.join("planned/run.json"), applied).unwrap();
    let message = record("planned");
    assert!(
        message.contains("planned has no journal: it is not a run that was applied"),
        "{message}"
    );
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

/// A time that is over would end the run before it begins; two times are one too many.
#[test]
fn a_time_to_stop_is_checked_before_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let apply = |more: &[&str]| {
        let common = ["apply", "pairs.csv", "--keyspace", "k", "--topic", "t"];
        fails(&mut tributary(folder.path(), &[&common, more].concat()), 2)
    };
    let message = apply(&["--until", "2020-02-29T06:00:00+01:00"]);
    assert!(message.contains("--until: '2020-02-29T06:00:00+01:00' is over: it is"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let message = apply(&["--for", "4"]);
    assert!(message.contains("--for: '4' has no unit"), "{message}");
    let message = apply(&["--for", "4h", "--until", "06:00"]);
    assert!(message.contains("--for") && message.contains("cannot be used with"), "{message}");
}

#[test]
fn parts_are_refused_where_they_could_not_be_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pairs.csv"), "from,to\na,b\n").unwrap();
    let spec = "name = \"t\"\n[[table]]\nname = \"tickets\"\nmentions = [\"assignee\"]\n";
    fs::write(folder.path().join("t.toml"), spec).unwrap();
    for (more, why) in [
        (&["--follow"][..], "where --follow leads depends on the moment"),
        (&["--no-register"], "parts are kept apart by the register"),
        (&["--spec", "t.toml"], "tickets.assignee mentions accounts"),
    ] {
        let part = [
            "apply",
            "pairs.csv",
            "--hosts",
            "127.0.0.1:1",
            "--keyspace",
            "k",
            "--no-events",
            "--shard",
            "1/2",
        ];
        let arguments = [&part, more].concat();
        let error = fails(&mut tributary(folder.path(), &arguments), 2);
        assert!(error.contains("--shard: ") && error.contains(why), "{error}");
    }
}

/// Whatever starts processes would else try it again for ever.
#[test]
fn what_can_never_be_gone_on_with_is_unusable() {
    let folder = tempfile::tempdir().unwrap();
    assert_done(
        &plan(folder.path(), "from,to\na,b\n").args(["--run-dir", "planned"]).output().unwrap(),
    );
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::write(folder.path().join("other/notes.txt"), "x").unwrap();
    for (run_dir, why) in [("planned", "planned was only planned"), ("other", "other is not empty")]
    {
        let apply = [
            "apply",
            "pairs.csv",
            "--keyspace",
            "k",
            "--topic",
            "t",
            "--or-resume",
            "--run-dir",
            run_dir,
        ];
        let error = fails(&mut tributary(folder.path(), &apply), 2);
        assert!(error.contains(why), "{error}");
    }
}

/// The output of a command that ends well.
#[track_caller]
fn says(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_done(&output);
    text(&output.stdout).to_owned()
}

#[test]
fn the_version_names_the_commit_if_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let version = says(&mut tributary(folder.path(), &["--version"]));
    let number = concat!("tributary ", env!("CARGO_PKG_VERSION"));
    let rest = version.trim().strip_prefix(number).unwrap();
    if Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists() {
        let commit = rest.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')')).unwrap();
        assert!(
            commit.len() >= 10 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{version}"
        );
    } else {
        assert_eq!(rest, "");
    }
}

#[test]
fn every_command_has_short_and_long_help_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let help = |arguments: &[&str]| says(&mut tributary(folder.path(), arguments));
    let overview = help(&["--help"]);
    for command in [
        "plan",
        "apply",
        "resume",
        "verify",
        "undo",
        "lookup",
        "forget",
        "runs",
        "spec",
        "record",
        "config",
        "completions",
        "man",
    ] {
        assert!(overview.contains(&format!("\n  {command}")), "{overview}");
        let (short, long) = (help(&[command, "-h"]), help(&[command, "--help"]));
        assert!(short.len() < long.len() && !short.contains("EXAMPLES"), "{short}");
        let example = format!("tributary {command}");
        let (_, examples) = long.split_once("EXAMPLES").unwrap();
        assert!(examples.contains(&example), "{long}");
        assert!(examples.lines().all(|line| line.chars().count() <= 100), "{long}");
    }
}

#[test]
fn mistyped_commands_flags_and_settings_are_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| fails(&mut tributary(folder.path(), arguments), 2);
    assert!(refused(&["aply"]).contains("'apply'"));
    assert!(refused(&["plan", "p.csv", "--run-dri", "x"]).contains("'--run-dir'"));
    fs::write(folder.path().join("t.toml"), "\n\nmax-errors = 3\n").unwrap();
    let expected =
        "tributary: t.toml, line 3: there is no setting 'max-errors'; did you mean max_errors?\n";
    assert_eq!(refused(&["config", "--config", "t.toml"]), expected);
}

#[test]
fn settings_are_shown_with_where_they_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = "hosts = ['db1']\nkeyspace = 'k'\nusername = 'u'\npassword = 'hunter2'\nrate = 3\n\
                [kafka]\nsasl.password = 'hunter3'\nlinger.ms = 1\n";
    fs::write(folder.path().join("t.toml"), file).unwrap();
    let config = |more: &[&str]| {
        let arguments = [&["config", "--config", "t.toml", "--in-flight", "9"], more].concat();
        let mut command = tributary(folder.path(), &arguments);
        command.env("TRIBUTARY_RATE", "5").env("TRIBUTARY_KAFKA_CLIENT_ID", "night");
        command
    };
    let output = config(&["-X", "linger.ms=7"]).output().unwrap();
    // What apply would say is said after the table.
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("tributary: --topic is missing: "));
    let table = text(&output.stdout);
    assert!(!table.contains("hunter"), "{table}");
    let line = |name: &str| {
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.find(|line| line[0] == name).unwrap()
    };
    assert_eq!(line("hosts"), ["hosts", "t.toml:1", "db1"]);
    assert_eq!(line("password"), ["password", "t.toml:4", "***"]);
    assert_eq!(line("rate"), ["rate", "TRIBUTARY_RATE", "5"]);
    assert_eq!(line("in_flight"), ["in_flight", "--in-flight", "9"]);
    assert_eq!(line("settle"), ["settle", "default", "2s"]);
    assert_eq!(line("topic"), ["topic", "default", "-"]);
    assert_eq!(line("kafka.sasl.password"), ["kafka.sasl.password", "t.toml:7", "***"]);
    assert_eq!(line("kafka.linger.ms"), ["kafka.linger.ms", "-X", "7"]);
    assert_eq!(line("kafka.client.id")[1], "TRIBUTARY_KAFKA_CLIENT_ID");

    let json: Value =
        serde_json::from_str(&says(&mut config(&["--topic", "t", "--json"]))).unwrap();
    assert_eq!((&json["version"], &json["command"]), (&1.into(), &"config".into()));
    assert_eq!((&json["usable"], &json["problem"]), (&true.into(), &Value::Null));
    let settings = json["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["name"] == "hosts").unwrap();
    assert_eq!(found["origin"], serde_json::json!({"layer": "file", "path": "t.toml", "line": 1}));
}

#[test]
fn shells_and_man_are_given_what_they_read() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = says(&mut tributary(folder.path(), &["completions", shell]));
        assert!(script.contains("apply") && script.contains("in-flight"), "{shell}: {script}");
        if shell == "bash" {
            fs::write(folder.path().join("c.bash"), script).unwrap();
            let checked = Command::new("bash").arg("-n").arg(folder.path().join("c.bash")).output();
            assert_done(&checked.unwrap());
        }
    }
    assert!(fails(&mut tributary(folder.path(), &["completions", "csh"]), 2).contains("bash"));

    assert!(says(&mut tributary(folder.path(), &["man"])).contains(".TH tributary 1"));
    assert_eq!(says(&mut tributary(folder.path(), &["man", "pages/man1"])), "");
    let page = fs::read_to_string(folder.path().join("pages/man1/tributary-apply.1")).unwrap();
    assert!(page.contains("EXAMPLES") && page.contains("in\\-flight"), "{page}");
    fs::write(folder.path().join("file"), "").unwrap();
    let message = fails(&mut tributary(folder.path(), &["man", "file"]), 1);
    assert!(message.contains("cannot write man pages to file: "), "{message}");
}

#[test]
fn logs_may_be_json() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = plan(folder.path(), "from,to\na,b\n");
    assert_done(
        &command.args(["--log-format", "json", "-v", "--run-dir", "run"]).output().unwrap(),
    );
    fs::write(
        folder.path().join("t.toml"),
        "log_format = 'json'\nkeyspace = 'k'\nno_events = true\n",
    )
    .unwrap();
    let arguments = ["apply", "pairs.csv", "--config", "t.toml", "--hosts", "127.0.0.1:1"];
    let mut command =
        tributary(folder.path(), &[&arguments[..], &["--consistency", "one"]].concat());
    let printed = fails(&mut command, 1);
    let lines: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let reported: Vec<_> = lines.iter().map(|line| line["level"].as_str().unwrap()).collect();
    assert_eq!(reported, ["WARN", "ERROR"], "{printed}");
    assert!(lines[0]["message"].as_str().unwrap().contains("ONE"), "{printed}");
    assert!(lines[1]["message"].as_str().unwrap().contains("layer TCP"), "{printed}");
    assert!(lines.iter().all(|line| line["timestamp"].is_string()), "{printed}");
    let early = ["apply", "pairs.csv", "--log-format", "json"];
    let early: Value =
        serde_json::from_str(&fails(&mut tributary(folder.path(), &early), 2)).unwrap();
    assert!(early["message"].as_str().unwrap().starts_with("--keyspace is missing"), "{early}");
    let wrong =
        fails(&mut tributary(folder.path(), &["plan", "pairs.csv", "--log-format", "xml"]), 2);
    assert!(wrong.contains("--log-format: 'xml' is not a format"), "{wrong}");
}

/// On a terminal, which util-linux's `script` provides.
#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pairs.csv"), "from,to\na,b\n").unwrap();
    let warns = format!(
        "'{}' apply pairs.csv --keyspace k --no-events --hosts 127.0.0.1:1 --consistency one",
        env!("CARGO_BIN_EXE_tributary")
    );
    let coloured = |environment: &[(&str, &str)]| {
        let mut script = Command::new("script");
        script.args(["-qec", &warns, "/dev/null"]).current_dir(folder.path());
        script.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("CLICOLOR");
        let output =
            script.envs(environment.iter().copied()).stdin(Stdio::null()).output().unwrap();
        let shown = text(&output.stdout);
        assert!(shown.contains("WARN") && shown.contains("layer TCP"), "{shown}");
        shown.contains("\u{1b}[3")
    };
    assert!(coloured(&[]));
    assert!(!coloured(&[("NO_COLOR", "1")]));
    assert!(!coloured(&[("CLICOLOR", "0")]));
    assert!(!coloured(&[("TERM", "dumb")]));
}

/// Whatever the pairs of the house are called, the lists of this tool can be fed back as they are.
#[test]
fn rejects_can_be_fed_back_under_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let names = "from_column = 'old'\nto_column = 'new'\ndelimiter = ';'\n";
    fs::write(folder.path().join("t.toml"), names).unwrap();
    let arguments = ["--config", "t.toml", "--json", "--run-dir"];
    let mut first = plan(folder.path(), "old;x;new\na;1;a\nb;2;c\nc;3;b\nd;4;e\n");
    let first = first.args(arguments).arg("first").output().unwrap();
    assert_eq!(first.status.code(), Some(3), "{}", text(&first.stderr));
    let report: Value = serde_json::from_str(text(&first.stdout)).unwrap();
    assert_eq!(report["plan"]["rejected"]["cycle"], 2, "{report:#}");
    let again = [&["plan", "first/rejects.csv"], &arguments[..], &["second"]].concat();
    let second = tributary(folder.path(), &again).output().unwrap();
    assert_eq!(second.status.code(), Some(3), "{}", text(&second.stderr));
    let report: Value = serde_json::from_str(text(&second.stdout)).unwrap();
    assert_eq!(report["plan"]["rejected"]["cycle"], 2, "{report:#}");
    assert_eq!(report["plan"]["rejected"]["self-pair"], 1, "{report:#}");
}

#[test]
fn planning_can_be_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tributary(folder.path(), &["plan", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It waits for pairs for as long as this is open.
    let stdin = child.stdin.take();
    // It listens for signals before it begins to prepare its run directory.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !folder.path().join("runs").exists() {
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let signalled = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(signalled.unwrap().success());
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{message}");
    assert!(
        message.contains("interrupted while reading the pairs; nothing was changed"),
        "{message}"
    );
    assert!(!folder.path().join("runs").exists(), "something is left behind");
}

#[test]
fn help_shows_topics_and_commands() {
    let help = |word: &str| tributary(Path::new("."), &["help", word]);
    for (word, shown) in [("safety", "SAFETY\n"), ("verify", "Compare the cluster")] {
        assert!(text(&help(word).output().unwrap().stdout).starts_with(shown), "{word}");
    }
    assert!(fails(&mut help("safty"), 2).contains("the nearest is safety"));
}

/// The faults of a file are said all at once, by whoever reads it.
#[test]
fn all_that_is_wrong_with_a_specification_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let spec = "name = 's'\n\n[[table]]\nname = 't'\nfind = 'index'\non_conflict = { status = 'biggest' }\n\n[[table]]\n\
                name = 'u'\naccount = 'user'\nfind = { partitions_from = 'v.x' }\ncoulmns = {}\n";
    fs::write(folder.path().join("s.toml"), spec).unwrap();
    fs::write(folder.path().join("pairs.csv"), "from,to\na,b\n").unwrap();
    let message = fails(&mut tributary(folder.path(), &["spec", "check", "s.toml"]), 2);
    let mut lines = message.lines();
    assert_eq!(lines.next(), Some("tributary: 5 things are wrong with s.toml:"), "{message}");
    let numbers: Vec<_> = lines.map(|line| line.split(':').next().unwrap().trim()).collect();
    assert_eq!(numbers, ["line 3", "line 5", "line 6", "line 11", "line 12"], "{message}");
    for what in ["no account", "\"index\"", "\"biggest\"", "v.x", "\"coulmns\""] {
        assert!(message.contains(what), "{what}: {message}");
    }
    for others in [
        &["plan", "pairs.csv", "--spec", "s.toml"][..],
        &["apply", "pairs.csv", "--spec", "s.toml", "--keyspace", "k", "--topic", "t"],
        &["spec", "show", "--spec", "s.toml"],
    ] {
        assert_eq!(fails(&mut tributary(folder.path(), others), 2), message, "{others:?}");
    }
    let message = fails(&mut tributary(folder.path(), &["spec", "check", "none.toml"]), 2);
    assert!(message.contains("cannot read 'none.toml': No such file"), "{message}");
    // A cluster that is not there hides nothing of it.
    let hosts = ["spec", "check", "s.toml", "--hosts", "127.0.0.1:1", "--keyspace", "k"];
    let message = fails(&mut tributary(folder.path(), &hosts), 1);
    assert!(message.contains("5 things") && message.contains("layer TCP"), "{message}");
    let message = fails(&mut tributary(folder.path(), &hosts[..5]), 2);
    assert!(message.contains("--keyspace is missing"), "{message}");
    let message = fails(&mut tributary(folder.path(), &["spec", "init", "--keyspace", "k"]), 2);
    assert!(message.contains("--account is missing: the columns that hold accounts"), "{message}");
}

#[test]
fn a_specification_is_shown_with_comments_and_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let shown = says(&mut tributary(folder.path(), &["spec", "show"]));
    assert!(
        shown.contains("# Found by other rows: in the partitions that content_consumption.batchid"),
        "{shown}"
    );
    fs::write(folder.path().join("s.toml"), &shown).unwrap();
    let checked = says(&mut tributary(folder.path(), &["spec", "check", "s.toml"]));
    assert!(
        checked.starts_with("s.toml: nothing is wrong with it, as far as the text alone tells"),
        "{checked}"
    );
    let arguments = ["spec", "show", "--spec", "s.toml"];
    assert_eq!(says(&mut tributary(folder.path(), &arguments)), shown, "it says so already");
}

/// The command may be pasted in another folder than the one in which it was planned.
#[test]
fn what_a_plan_advises_names_its_configuration_wherever_it_is_pasted() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pairs.csv"), "from,to\na,b\n").unwrap();
    fs::write(folder.path().join("own.toml"), "keyspace = 'k'\ntopic = 't'\n").unwrap();
    let arguments = ["plan", "pairs.csv", "--config", "own.toml", "--run-dir", "run", "--json"];
    let report: Value =
        serde_json::from_str(&says(&mut tributary(folder.path(), &arguments))).unwrap();
    let (run, file) = (folder.path().join("run"), folder.path().join("own.toml"));
    let expected = format!("tributary apply --plan {} --config {}", run.display(), file.display());
    assert_eq!(report["advice"][0]["command"], expected);
    let refused = fails(&mut tributary(&run, &["resume", "."]), 1);
    assert!(refused.contains(&format!("--config {}", file.display())), "{refused}");
}
