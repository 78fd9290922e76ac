//! Which layer wins, and what is said when something is wrong.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::cli::args::{Cli, Command};
use crate::cluster::Consistency;

/// Resolves `apply` over this configuration file and environment.
fn resolve(
    flags: &[&str],
    config: &str,
    environment: &[(&str, &str)],
) -> Result<ApplySettings, SettingsError> {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = env::temp_dir().join(format!("tributary-{}-{number}.toml", process::id()));
    fs::write(&file, config).unwrap();
    let args = ["tributary", "apply", "pairs.csv"].iter().chain(flags);
    let matches = Cli::command().try_get_matches_from(args).unwrap();
    let Command::Apply(args) = Cli::from_arg_matches(&matches).unwrap().command else {
        unreachable!()
    };
    let (_, matches) = matches.subcommand().unwrap();
    let environment =
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let settings =
        Layers::new(matches, Some(&file), environment).and_then(|layers| apply(&args, &layers));
    fs::remove_file(&file).unwrap();
    settings
}

fn message(flags: &[&str], config: &str) -> String {
    resolve(flags, config, &[]).unwrap_err().to_string()
}

#[test]
fn defaults_are_enough_but_for_keyspace_and_topic() {
    let settings = resolve(&["--keyspace", "k", "--topic", "t"], "", &[]).unwrap();
    assert_eq!(settings.cluster.hosts, ["127.0.0.1:9042"]);
    assert_eq!(settings.cluster.consistency, Consistency::LocalQuorum);
    assert_eq!(settings.events.as_ref().unwrap().brokers, "127.0.0.1:9092");
    assert_eq!(settings.work.in_flight, 256);
    assert_eq!(settings.work.settle.as_secs(), 2);
    assert_eq!(settings.work.limits.groups, usize::MAX);
    assert_eq!(settings.work.limits.errors, ErrorLimit::Groups(1_000));
    assert_eq!(settings.spec.name, "course-batch");
    assert_eq!(settings.warnings(), [] as [&str; 0]);

    assert!(message(&["--topic", "t"], "").starts_with("--keyspace is missing: "));
    assert!(message(&["--keyspace", "k"], "").contains("--no-events"));
    let silent = resolve(&["--keyspace", "k", "--no-events"], "", &[]).unwrap();
    assert!(silent.events.is_none());
}

#[test]
fn flags_win_over_the_file() {
    let file = "keyspace = 'f'\ntopic = 'f'\nin_flight = 7\nhosts = ['f']\nno_events = true\n";
    let settings = resolve(&["--keyspace", "g", "--in-flight", "9"], file, &[]).unwrap();
    assert_eq!(settings.cluster.keyspace, "g");
    assert_eq!(settings.work.in_flight, 9);
    assert_eq!(settings.cluster.hosts, ["f:9042"]);
    assert!(settings.events.is_none());
}

#[test]
fn wrong_values_are_shown_with_where_they_came_from() {
    let required = "keyspace = 'k'\ntopic = 't'\n";
    assert_eq!(
        message(&["--in-flight", "many"], required),
        "--in-flight: 'many' is not a whole number from 1 to 65536"
    );
    let in_file = message(&[], &format!("{required}settle = 'soon'"));
    assert!(in_file.starts_with("settle in ") && in_file.contains(".toml: 'soon' is not a dur"));
    assert!(message(&["--delimiter", "ab"], required).starts_with("--delimiter: 'ab' is not"));
    assert!(
        message(&["--spec", "/nowhere"], required).starts_with("--spec: cannot read '/nowhere'")
    );
    assert!(message(&["-X", "linger.ms"], required).contains("is not key=value"));
    assert!(message(&["-X", "acks=1"], required).contains("'acks': must be 'all'"));
}

#[test]
fn kafka_properties_are_laid_over_each_other() {
    let file = "keyspace = 'k'\ntopic = 't'\n[kafka]\nlinger.ms = 1\nclient.id = 'f'\n";
    let environment =
        [("TRIBUTARY_KAFKA_LINGER_MS", "2"), ("TRIBUTARY_KAFKA_SASL_PASSWORD", "hunter2")];
    let settings = resolve(&["-X", "linger.ms=3"], file, &environment).unwrap();
    let events = settings.events.as_ref().unwrap();
    let last = |key: &str| {
        let found = events.properties.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(last("linger.ms"), Some("3"));
    assert_eq!(last("client.id"), Some("f"));
    assert_eq!(last("sasl.password"), Some("hunter2"));
    let shown = format!("{settings:?} {}", settings.redacted());
    assert!(!shown.contains("hunter2") && shown.contains("\"sasl.password\":\"***\""), "{shown}");
}

#[test]
fn passwords_come_from_environment_or_file_and_are_not_shown() {
    let file = "keyspace = 'k'\nno_events = true\nusername = 'u'\npassword = 'from-file'\n";
    let exposed = |environment: &[(&str, &str)]| {
        let settings = resolve(&[], file, environment).unwrap();
        let shown = format!("{settings:?} {}", settings.redacted());
        assert!(!shown.contains("from-"), "{shown}");
        settings.cluster.password.unwrap().expose().to_owned()
    };
    assert_eq!(exposed(&[]), "from-file");
    assert_eq!(exposed(&[("TRIBUTARY_PASSWORD", "from-env")]), "from-env");
    assert_eq!(exposed(&[("TRIBUTARY_PASSWORD", "")]), "from-file");
    let no_password = "keyspace = 'k'\nno_events = true\nusername = 'u'\n";
    assert!(message(&[], no_password).starts_with("the password of 'u' is missing"));
}

#[test]
fn weak_consistency_is_warned_about() {
    let flags = ["--keyspace", "k", "--no-events", "--consistency", "one"];
    let settings = resolve(&flags, "", &[]).unwrap();
    assert!(settings.warnings()[0].contains("ONE"), "{:?}", settings.warnings());
}
