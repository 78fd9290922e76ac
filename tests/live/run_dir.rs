//! What a run leaves in its directory, and what it must not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::data::{self, Data};
use crate::model;
use crate::process::read_json;
use crate::world::{World, to_csv};

/// Asserts that no file of a run holds `secret`.
#[track_caller]
pub(crate) fn assert_absent(run: &Path, secret: &str) {
    let files: Vec<_> = std::fs::read_dir(run)
        .expect("there is a run directory")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).expect("a file can be read");
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{secret:?} is in {}", file.display());
    }
}

fn world(name: &str) -> (World, std::path::PathBuf, model::Outcome) {
    let world = World::new(name);
    let mut data = Data::new(19);
    for n in 0..20 {
        data.study(&format!("from-{n}"), "c", "b");
        data.pair(&format!("from-{n}"), &format!("to-{n}"));
    }
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    (world, pairs, expected)
}

#[test]
fn a_run_directory_is_complete_and_private() {
    let (world, pairs, expected) = world("run_dir");
    let run = world.run_dir();
    world.apply(&pairs, &run).run().exits(0);
    let mode =
        |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&run), 0o700);
    for name in
        ["run.json", "rejects.csv", "failures.csv", "report.json", "run.log", "latency.hlog"]
    {
        let path = run.join(name);
        assert!(path.is_file(), "no {name}");
        if !["rejects.csv", "failures.csv"].contains(&name) {
            assert_ne!(std::fs::metadata(&path).expect("it is there").len(), 0, "{name} is empty");
        }
    }
    let settings = read_json(&run.join("run.json")).to_string();
    assert!(settings.contains(&world.keyspace) && settings.contains(&world.topic), "{settings}");
    let log = std::fs::read_to_string(run.join("latency.hlog")).expect("it is text");
    assert!(log.lines().any(|line| line.starts_with("Tag=")), "no interval in {log}");
    let beside: Vec<_> = std::fs::read_dir(run.parent().expect("it has one"))
        .expect("it can be listed")
        .map(|entry| entry.expect("it can be listed").file_name().into_string().expect("UTF-8"))
        .collect();
    assert!(beside.iter().all(|name| name == "pairs.csv" || name == "run-0"), "{beside:?}");
    world.assert_is(&expected);
}

#[test]
fn the_latency_of_every_kind_of_request_is_reported() {
    let (world, pairs, _) = world("latencies");
    let finished = world.apply(&pairs, &world.run_dir()).run().exits(0);
    let report = finished.json();
    let latency = report["latency"].as_array();
    let latency = latency.unwrap_or_else(|| panic!("no latency in {report:#}"));
    let names: Vec<_> = latency.iter().filter_map(|operation| operation["lane"].as_str()).collect();
    for part in ["content_consumption", "user_courses", "event", "group"] {
        assert!(names.iter().any(|name| name.contains(part)), "no {part} in {names:?}");
    }
    for operation in latency {
        let of = |name: &str| {
            operation[name].as_u64().unwrap_or_else(|| panic!("no {name} in {operation:#}"))
        };
        assert!(of("count") > 0, "{operation:#}");
        let quantiles = ["p50_us", "p90_us", "p99_us", "p999_us", "max_us"].map(of);
        assert!(quantiles.is_sorted(), "{operation:#}");
    }
    let whole = latency.iter().find(|operation| operation["lane"] == "whole group");
    assert_eq!(whole.map(|operation| &operation["count"]), Some(&20.into()));
}

#[test]
fn the_summary_for_people_has_the_counts_and_the_latencies() {
    let (world, pairs, expected) = world("summary");
    let finished = world.apply(&pairs, &world.run_dir()).without("--json").run().exits(0);
    for part in ["content_consumption", "user_courses", "p99", "20"] {
        assert!(finished.stdout.contains(part), "no {part}: {finished}");
    }
    assert!(serde_json::from_str::<Value>(&finished.stdout).is_err(), "{finished}");
    world.assert_is(&expected);
}

#[test]
fn without_a_name_a_run_gets_one_under_runs() {
    let (world, pairs, expected) = world("runs");
    let call = world.apply(&pairs, "unused".as_ref()).without("--run-dir");
    call.in_folder(&world.path("")).run().exits(0);
    let runs: Vec<_> = std::fs::read_dir(world.path("runs")).expect("there is one").collect();
    assert_eq!(runs.len(), 1);
    let run = runs[0].as_ref().expect("it can be listed").path();
    assert!(run.join("report.json").is_file());
    world.assert_is(&expected);
}

/// Secrets may come by the environment, a file or a property of the Kafka client.
#[test]
fn secrets_are_written_nowhere() {
    let (world, pairs, expected) = world("secrets");
    let config = format!(
        "keyspace = {:?}\nusername = \"someone\"\npassword = \"hush-by-file\"\n",
        world.keyspace
    );
    let config = world.file("tributary.toml", config);
    let run = world.run_dir();
    // This server asks nobody to log in; the client library only keeps what it is given.
    let call = world.apply(&pairs, &run).with("--config", config);
    let finished = call
        .environment("TRIBUTARY_PASSWORD", "hush-by-environment")
        .with("-X", "sasl.password=hush-by-property")
        .flag("-vv")
        .run()
        .exits(0);
    assert!(!finished.stderr.contains("hush-") && !finished.stdout.contains("hush-"), "{finished}");
    assert_absent(&run, "hush-");
    world.assert_is(&expected);
}
