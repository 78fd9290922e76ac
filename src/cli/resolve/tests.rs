//! Which layer wins, and what is said when something is wrong.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

mod followed;
use super::*;
use crate::cli::args::command;
use crate::cli::given;
use crate::cluster::Consistency;
use crate::moment::Moment;
use crate::pace::{InFlight, PaceSettings};
use crate::pipeline::{Discover, ErrorLimit};
use crate::run::{InputRecord, RunDir, RunId, RunRecord, files};

/// Where events go, as it may be shown.
#[track_caller]
fn sink(events: &Option<EventSettings>) -> String {
    format!("{:?}", events.as_ref().expect("there are events"))
}

/// A configuration file of its own.
fn config_file(text: &str) -> PathBuf {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = env::temp_dir().join(format!("tributary-{}-{number}.toml", process::id()));
    fs::write(&file, text).unwrap();
    file
}

/// What a command is given over this configuration file and environment.
fn layers(
    words: &[&str],
    flags: &[&str],
    config: &str,
    environment: &[(&str, &str)],
) -> Result<Layers, SettingsError> {
    let file = config_file(config);
    let path = file.to_string_lossy().into_owned();
    let config = ["--config", &path];
    let words = ["tributary"].iter().chain(words).chain(flags).chain(&config);
    let matches = command().try_get_matches_from(words).unwrap();
    let variables = environment.iter().map(|(name, text)| (OsString::from(name), text.into()));
    let layers = given::layers(matches.subcommand().unwrap().1, variables);
    fs::remove_file(&file).unwrap();
    layers
}

/// Resolves `apply`.
fn resolve(
    flags: &[&str],
    config: &str,
    environment: &[(&str, &str)],
) -> Result<ApplySettings, SettingsError> {
    let layers = layers(&["apply", "pairs.csv"], flags, config, environment)?;
    apply(Some(Path::new("pairs.csv")), None, &layers)
}

/// The settings as run.json holds them.
fn recorded(settings: &ApplySettings) -> Value {
    with_accounts(settings.run.recorded.clone(), settings.input.format.accounts)
}

/// What was recorded of a run that was begun with these settings.
fn run_of(begun: &ApplySettings) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let id = RunId::new(Moment::now());
    let prepared = RunDir::prepare(Some(&folder.path().join("run")), &id).unwrap();
    prepared.write(files::SPEC, begun.run.spec.text.as_bytes()).unwrap();
    let run_dir = prepared.commit().unwrap();
    let input = InputRecord { path: "-".into(), file: None, sha256: "ab".into(), bytes: 1 };
    let record = RunRecord::new(id, "apply", Moment::now(), input, recorded(begun));
    Recorded::load(run_dir.path(), &record).unwrap()
}

/// Resolves a command on a run that was begun with these settings.
fn over_run<T>(
    begun: &ApplySettings,
    (command, flags): (&str, &[&str]),
    config: &str,
    environment: &[(&str, &str)],
    resolve: impl FnOnce(&Recorded, &Layers) -> Result<T, SettingsError>,
) -> Result<T, SettingsError> {
    let run = run_of(begun);
    let layers = layers(&[command, "run"], flags, config, environment)?;
    resolve(&run, &layers.over(run.given.clone()))
}

/// Resolves `resume`.
fn go_on(
    begun: &ApplySettings,
    flags: &[&str],
    config: &str,
    environment: &[(&str, &str)],
) -> Result<ResumeSettings, SettingsError> {
    over_run(begun, ("resume", flags), config, environment, resume)
}

fn verified(begun: &ApplySettings, flags: &[&str]) -> Result<VerifySettings, SettingsError> {
    over_run(begun, ("verify", flags), "", &[], verify)
}

fn undone(
    begun: &ApplySettings,
    flags: &[&str],
    config: &str,
) -> Result<UndoSettings, SettingsError> {
    over_run(begun, ("undo", flags), config, &[], undo)
}

fn message(flags: &[&str], config: &str) -> String {
    resolve(flags, config, &[]).unwrap_err().to_string()
}

fn pace(in_flight: InFlight, rate: Option<f64>) -> PaceSettings {
    PaceSettings { in_flight, rate, ..PaceSettings::default() }
}

#[test]
fn defaults_are_enough_but_for_keyspace_and_topic() {
    let settings = resolve(&["--keyspace", "k", "--topic", "t"], "", &[]).unwrap();
    assert_eq!(settings.run.cluster.hosts, ["127.0.0.1:9042"]);
    assert_eq!(settings.run.cluster.consistency, Consistency::LocalQuorum);
    assert!(sink(&settings.run.events).contains("brokers: \"127.0.0.1:9092\""));
    assert_eq!(settings.run.work.pace, pace(InFlight::Auto, None));
    assert_eq!(settings.run.work.settle.as_secs(), 2);
    let limits = settings.run.work.limits;
    assert_eq!((limits.groups, limits.errors), (usize::MAX, ErrorLimit::Groups(1_000)));
    assert_eq!(settings.run.spec.name, "course-batch");
    assert_eq!(settings.run.cluster.warnings(), [] as [&str; 0]);

    assert!(message(&["--topic", "t"], "").starts_with("--keyspace is missing: "));
    assert!(message(&["--keyspace", "k"], "").contains("--no-events"));
    let silent = resolve(&["--keyspace", "k", "--no-events"], "", &[]).unwrap();
    assert!(silent.run.events.is_none());
}

#[test]
fn tls_is_asked_for_by_any_of_its_files_and_can_be_switched_off() {
    let tls = |flags: &[&str], file: &str| {
        let required = ["--keyspace", "k", "--no-events"];
        resolve(&[&required, flags].concat(), file, &[]).map(|settings| settings.run.cluster.tls)
    };
    assert_eq!(tls(&[], "").unwrap(), None);
    let wrong = |flags: &[&str], file: &str| tls(flags, file).unwrap_err().to_string();
    // The file is looked at, so it is asked for.
    assert!(wrong(&["--tls-ca", "/nowhere"], "").contains("cannot read the file of CAs /nowhere"));
    let beside = wrong(&[], "tls_ca = 'nowhere'\n");
    let folder = env::temp_dir().join("nowhere");
    assert!(beside.contains(&folder.display().to_string()), "{beside}");
    assert_eq!(tls(&["--tls-ca", "/nowhere"], "tls = false\n").unwrap(), None);
    assert!(wrong(&["--tls-cert", "/x"], "").contains("no --tls-key"));
    assert!(wrong(&["--tls-key", "/x"], "").contains("no --tls-cert"));
    assert!(wrong(&["--tls-no-hostname-check"], "").contains("add --tls"));
}

#[test]
fn flags_win_over_the_file() {
    let file = "keyspace = 'f'\ntopic = 'f'\nin_flight = 7\nhosts = ['f']\nno_events = true\n";
    let settings = resolve(&["--keyspace", "g", "--in-flight", "9"], file, &[]).unwrap();
    assert_eq!(settings.run.cluster.keyspace, "g");
    assert_eq!(settings.run.work.pace.in_flight, InFlight::Fixed(9));
    assert_eq!(settings.run.cluster.hosts, ["f:9042"]);
    assert!(settings.run.events.is_none());
}

#[test]
fn wrong_values_are_shown_with_where_they_came_from() {
    let required = "keyspace = 'k'\ntopic = 't'\n";
    assert_eq!(
        message(&["--in-flight", "many"], required),
        "--in-flight: 'many' is neither auto nor a whole number from 1 to 65536"
    );
    let in_file = message(&[], &format!("{required}settle = 'soon'"));
    assert!(in_file.starts_with("settle in ") && in_file.contains(".toml:3: 'soon' is not a dur"));
    assert!(message(&["--delimiter", "ab"], required).starts_with("--delimiter: 'ab' is not"));
    let spec = |named| message(&["--spec", named], required);
    assert!(spec("/nowhere").starts_with("--spec: cannot read '/nowhere'"));
    assert!(spec("sunbird").ends_with("course-batch, sunbird-lern"));
    assert!(message(&["-X", "linger.ms"], required).contains("is not key=value"));
    assert!(message(&["-X", "acks=1"], required).contains("'acks': must be 'all'"));
}

#[test]
fn kafka_properties_are_laid_over_each_other() {
    let file = "keyspace = 'k'\ntopic = 't'\n[kafka]\nlinger.ms = 1\nclient.id = 'f'\n";
    let environment =
        [("TRIBUTARY_KAFKA_LINGER_MS", "2"), ("TRIBUTARY_KAFKA_SASL_PASSWORD", "hunter2")];
    let settings = resolve(&["-X", "linger.ms=3"], file, &environment).unwrap();
    let shown = sink(&settings.run.events);
    let properties = r#"{"client.id": "f", "linger.ms": "3", "sasl.password": "***"}"#;
    assert!(shown.contains(properties), "{shown}");
    let shown = format!("{settings:?} {}", recorded(&settings));
    assert!(!shown.contains("hunter2") && shown.contains("\"sasl.password\":\"***\""), "{shown}");
}

#[test]
fn passwords_come_from_environment_or_file_and_are_not_shown() {
    let file = "keyspace = 'k'\nno_events = true\nusername = 'u'\npassword = 'from-file'\n";
    let exposed = |environment: &[(&str, &str)]| {
        let settings = resolve(&[], file, environment).unwrap();
        let shown = format!("{settings:?} {}", recorded(&settings));
        assert!(!shown.contains("from-"), "{shown}");
        settings.run.cluster.password.unwrap().expose().to_owned()
    };
    assert_eq!(exposed(&[]), "from-file");
    assert_eq!(exposed(&[("TRIBUTARY_PASSWORD", "from-env")]), "from-env");
    assert_eq!(exposed(&[("TRIBUTARY_PASSWORD", "")]), "from-file");
    let both = message(&[], &format!("{file}password_file = 'y'\n"));
    assert!(both.ends_with(".toml: give either password or password_file, not both"), "{both}");
    let named = "keyspace = 'k'\nno_events = true\nusername = 'u'\npassword_file = '/nowhere/x'\n";
    let missing = message(&[], named);
    assert!(missing.contains(".toml: cannot read the password_file /nowhere/x: No such file"));
    let no_password = "keyspace = 'k'\nno_events = true\nusername = 'u'\n";
    assert!(message(&[], no_password).starts_with("the password of 'u' is missing"));
}

#[test]
fn weak_consistency_is_warned_about() {
    let flags = ["--keyspace", "k", "--no-events", "--consistency", "one"];
    let settings = resolve(&flags, "", &[]).unwrap();
    let warnings = settings.run.cluster.warnings();
    assert!(warnings[0].contains("ONE"), "{warnings:?}");
}

#[test]
fn a_run_goes_on_with_its_own_settings_but_for_what_is_given_again() {
    let flags = ["--keyspace", "k", "--topic", "t", "--hosts", "a,b:1", "--limit", "9", "--trim"];
    let more = ["--settle", "50ms", "--max-errors", "5%", "--delimiter", "tab"];
    let begun = resolve(&[&flags[..], &more[..]].concat(), "", &[]).unwrap();
    let settings = go_on(&begun, &[], "", &[]).unwrap();
    assert_eq!(format!("{:?}", settings.format), format!("{:?}", begun.input.format));
    assert_eq!(settings.run.recorded, recorded(&begun));

    // What may change, changes: flags before the environment's, those before the file's.
    let file = "hosts = 'c'\nin_flight = 7\nlimit = 3\n";
    let flags = ["--limit", "all", "--consistency", "all", "--keyspace", "k"];
    let settings = go_on(&begun, &flags, file, &[]).unwrap();
    assert_eq!(settings.run.cluster.hosts, ["c:9042"]);
    assert_eq!(settings.run.cluster.consistency, Consistency::All);
    assert_eq!(settings.run.work.pace.in_flight, InFlight::Fixed(7));
    assert_eq!(settings.run.work.limits.groups, usize::MAX);
    assert_eq!(settings.run.work.limits.errors, ErrorLimit::Percent(5.0));
    // The format is that of the copy, whatever the file says of other pairs.
    let format = go_on(&begun, &[], "delimiter = ';'\n", &[]).unwrap().format;
    assert!(format!("{format:?}").contains("delimiter: 9"), "a tab: {format:?}");

    // What was found was found in one way.
    let flags = ["--keyspace", "k", "--topic", "t"];
    assert_eq!(begun.run.work.discover, Discover::Content);
    let scanning = resolve(&flags, "discover = 'scan'\n", &[]).unwrap();
    assert_eq!(go_on(&scanning, &[], "", &[]).unwrap().run.work.discover, Discover::Scan);
    let wrong = resolve(&flags, "discover = 'all'\n", &[]).unwrap_err().to_string();
    assert!(wrong.contains("'all' is not a way to find rows"), "{wrong}");

    // A run that was not swept when it was applied can be swept by resuming it.
    let flags = ["--keyspace", "k", "--topic", "t", "--no-sweep"];
    let begun = resolve(&flags, "", &[]).unwrap();
    let sweeps = |flags: &[&str]| go_on(&begun, flags, "", &[]).unwrap().run.work.sweep;
    assert!(!begun.run.work.sweep && sweeps(&[]) && !sweeps(&["--no-sweep"]));
}

#[test]
fn a_run_does_not_become_another_one() {
    let begun = resolve(&["--keyspace", "k", "--topic", "t"], "", &[]).unwrap();
    let refused =
        |flags: &[&str], file: &str| go_on(&begun, flags, file, &[]).unwrap_err().to_string();
    let keyspace = refused(&["--keyspace", "other"], "");
    assert!(
        keyspace
            .starts_with("--keyspace is 'other', but this run goes on with 'k' only (keyspace in ")
    );
    assert!(keyspace.contains("run.json)"), "{keyspace}");
    let topic = refused(&[], "topic = 'u'\n");
    assert!(topic.starts_with("topic in ") && topic.contains("'t' only (topic in "), "{topic}");
    let silent = refused(&["--no-events"], "");
    assert!(
        silent.starts_with("--no-events: this run announces its changes to the topic 't'"),
        "{silent}"
    );
    let scan = refused(&[], "discover = 'scan'\n");
    assert!(scan.contains("'scan', but this run goes on with 'content' only"), "{scan}");
    // A run of an earlier version does not say it, and knew that way alone.
    let mut earlier = resolve(&["--keyspace", "k", "--topic", "t"], "", &[]).unwrap();
    earlier.run.recorded.as_object_mut().unwrap().remove("discover").unwrap();
    let scan = go_on(&earlier, &["--discover", "scan"], "", &[]).unwrap_err().to_string();
    assert!(scan.contains("'content' only (discover in "), "{scan}");
    let spec = config_file(&begun.run.spec.text.replace("\"max\"", "\"min\""));
    let path = spec.to_str().unwrap();
    let other = refused(&["--spec", path], "");
    assert!(other.contains(path) && other.contains("'course-batch', built in"), "{other}");
    fs::write(&spec, &begun.run.spec.text).unwrap();
    go_on(&begun, &["--spec", path, "--topic", "t"], "keyspace = 'k'\n", &[]).unwrap();
    fs::remove_file(&spec).unwrap();

    let begun = resolve(&["--keyspace", "k", "--no-events"], "topic = 't'\n", &[]).unwrap();
    assert!(go_on(&begun, &[], "topic = 't'\n", &[]).unwrap().run.events.is_none());
    let loud = go_on(&begun, &["--topic", "t"], "", &[]).unwrap_err().to_string();
    assert!(loud.starts_with("--topic: this run was begun without events (events in "), "{loud}");
}

#[test]
fn secrets_are_given_again() {
    let flags = ["--keyspace", "k", "--topic", "t", "-X", "sasl.password=x", "-X", "linger.ms=3"];
    let begun = resolve(&flags, "username = 'u'\npassword = 'p'\n", &[]).unwrap();
    assert_eq!(begun.run.secret_flags[..1], ["--config"]);
    assert_eq!(begun.run.secret_flags[2..], ["-X", "sasl.password=***"]);
    let password = ("TRIBUTARY_PASSWORD", "p");
    let missing =
        |environment: &[(&str, &str)]| go_on(&begun, &[], "", environment).unwrap_err().to_string();
    assert!(missing(&[]).starts_with("the password of 'u' is missing"), "{}", missing(&[]));
    let kafka = missing(&[password]);
    assert!(
        kafka.contains("sasl.password") && kafka.contains("TRIBUTARY_KAFKA_SASL_PASSWORD"),
        "{kafka}"
    );
    let settings =
        go_on(&begun, &[], "", &[password, ("TRIBUTARY_KAFKA_SASL_PASSWORD", "y")]).unwrap();
    let shown = sink(&settings.run.events);
    assert!(shown.contains(r#"{"linger.ms": "3", "sasl.password": "***"}"#), "{shown}");
    let none = resolve(&["--keyspace", "k", "--topic", "t", "-X", "linger.ms=3"], "", &[]).unwrap();
    assert!(none.run.secret_flags.is_empty(), "{:?}", none.run.secret_flags);
}

#[test]
fn verify_goes_by_the_run() {
    let begun = resolve(&["--keyspace", "k", "--no-events", "--in-flight", "7"], "", &[]).unwrap();
    let settings = verified(&begun, &[]).unwrap();
    assert_eq!((settings.run.cluster.keyspace.as_str(), settings.options.repair), ("k", false));
    assert_eq!(settings.run.work.pace, pace(InFlight::Fixed(7), None));
    let flags = ["--rate", "0.5", "--repair", "--restart", "--in-flight", "3"];
    let settings = verified(&begun, &flags).unwrap();
    assert!(settings.options.repair && settings.options.restart);
    assert_eq!(settings.run.work.pace, pace(InFlight::Fixed(3), Some(0.5)));
    assert!(settings.run.events.is_none(), "the run had none");
    let begun = resolve(&["--keyspace", "k", "--topic", "t"], "", &[]).unwrap();
    assert!(verified(&begun, &[]).unwrap().run.events.is_none(), "nothing is announced");
    let repaired = verified(&begun, &["--repair"]).unwrap();
    assert!(sink(&repaired.run.events).contains("topic: \"t\""));
    let other = verified(&begun, &["--keyspace", "other"]).unwrap_err().to_string();
    assert!(other.contains("'other'") && other.contains("'k' only"), "{other}");
}

#[test]
fn undo_goes_by_the_run_but_need_not_announce() {
    let flags = ["--keyspace", "k", "--topic", "t", "--from-column", "old"];
    let begun = resolve(&flags, "", &[]).unwrap();
    let settings = undone(&begun, &[], "rate = 9\n").unwrap();
    assert!(sink(&settings.run.events).contains("topic: \"t\""));
    assert_eq!((settings.run.work.pace.rate, settings.options.force), (Some(9.0), false));
    assert!(settings.pairs.is_none());
    let flags = ["--no-events", "--pairs", "p.csv", "--to-column", "new", "--force"];
    let settings = undone(&begun, &flags, "").unwrap();
    assert!(settings.run.events.is_none() && settings.options.force);
    let (path, format) = settings.pairs.unwrap();
    assert_eq!(path, PathBuf::from("p.csv"));
    assert_eq!((format.from_column.as_str(), format.to_column.as_str()), ("old", "new"));
    let mut of_numbers = begun;
    of_numbers.input.format.accounts = AccountType::BigInt;
    let settings = undone(&of_numbers, &["--pairs", "p.csv"], "").unwrap();
    assert_eq!(settings.pairs.unwrap().1.accounts, AccountType::BigInt, "those of the run");
    assert_eq!(go_on(&of_numbers, &[], "", &[]).unwrap().format.accounts, AccountType::BigInt);
    let begun = resolve(&["--keyspace", "k", "--topic", "t"], "", &[]).unwrap();
    assert_eq!(begun.input.format.accounts, AccountType::Text, "as the preset says");
    assert!(undone(&begun, &["--topic", "u"], "").unwrap_err().to_string().contains("'u'"));
}

#[test]
fn the_address_to_listen_at_comes_from_every_layer() {
    let base = "keyspace = \"k\"\nno_events = true\n";
    let listen = |flags: &[&str], config: &str, environment: &[(&str, &str)]| {
        let settings = resolve(flags, &format!("{base}{config}"), environment);
        settings.map(|settings| settings.run.listen.map(|listen| listen.to_string()))
    };
    assert_eq!(listen(&[], "", &[]).unwrap(), None);
    assert_eq!(listen(&[], "listen = 8088", &[]).unwrap().unwrap(), "127.0.0.1:8088");
    let given = listen(&["--listen", "opsbox:1"], "listen = 8088", &[]).unwrap();
    assert_eq!(given.unwrap(), "opsbox:1");
    let wrong = listen(&["--listen", "opsbox"], "", &[]).unwrap_err().to_string();
    assert!(wrong.contains("--listen") && wrong.contains("host:port"), "{wrong}");
}

#[test]
fn the_register_is_beside_what_is_merged() {
    let register = |flags: &[&str]| {
        let flags = [&["--keyspace", "k", "--no-events"], flags].concat();
        resolve(&flags, "", &[]).map(|settings| settings.run.cluster.register)
    };
    assert_eq!(register(&[]).unwrap().as_deref(), Some("tributary"));
    assert_eq!(register(&["--register", "r"]).unwrap().as_deref(), Some("r"));
    assert_eq!(register(&["--register", "k", "--no-register"]).unwrap(), None);
    let error = register(&["--register", "k"]).unwrap_err().to_string();
    assert!(error.starts_with("--register: 'k' is the keyspace that is merged"), "{error}");
}
