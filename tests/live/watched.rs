//! Runs that are watched and held while they go on: by HTTP, and from another terminal.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::process::{Call, Finished, Running, read_json};
use crate::stops::{self, groups, wait_until};
use crate::world::to_csv;

/// Longer than anything that is asked for takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A run that goes on so slowly that it does not end before it is told to.
pub(crate) struct Watched {
    pub(crate) running: Running,
    /// The address of the page, with its token.
    pub(crate) page: String,
    authority: String,
    token: String,
}

impl Watched {
    /// Starts a call with a server, and waits until it can be asked.
    pub(crate) fn start(call: Call, run: &Path) -> Self {
        let running = call.with("--rate", "2").with("--listen", "0").start();
        wait_until("groups are merged", || status(run)["phase"] == "merging");
        let page = status(run)["live_page"].as_str().expect("it has a page").to_owned();
        let (url, token) = page.split_once("/#token=").expect("the token is in the fragment");
        let authority = url.strip_prefix("http://").expect("it is HTTP").to_owned();
        let (authority, token) = (authority, token.to_owned());
        Self { running, page, authority, token }
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        request(&self.authority, &format!("GET {path}"), &[("Host", &self.authority)])
    }

    fn order(&self, order: &str) -> (u16, String) {
        let token = format!("Bearer {}", self.token);
        let headers = [("Host", self.authority.as_str()), ("Authorization", token.as_str())];
        request(&self.authority, &format!("POST /control/{order}"), &headers)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = (String, Value)> {
        events(&self.authority)
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").1).expect("the status is JSON")
    }
}

/// One request by hand, as no client of good manners would send it; the status and the whole answer.
fn request(authority: &str, line: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(authority).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let headers: String =
        headers.iter().map(|(name, text)| format!("{name}: {text}\r\n")).collect();
    let request = format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("an answer has a status"), body.to_owned())
}

/// Server-sent events, as they come: their names and what they say.
fn events(authority: &str) -> impl Iterator<Item = (String, Value)> {
    let mut stream = TcpStream::connect(authority).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let request = format!("GET /events HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut name = String::new();
    BufReader::new(stream).lines().map_while(Result::ok).filter_map(move |line| {
        if let Some(named) = line.strip_prefix("event: ") {
            named.clone_into(&mut name);
        }
        let data = line.strip_prefix("data: ")?;
        Some((name.clone(), serde_json::from_str(data).expect("events are JSON")))
    })
}

fn control(run: &Path, order: &[&str]) -> Finished {
    let run = run.to_str().expect("the tests use UTF-8");
    Call::new(&[&["control", run], order].concat()).run()
}

/// The figures of a run, once its process can be asked.
fn status(run: &Path) -> Value {
    let mut status = Value::Null;
    wait_until("the run can be asked", || {
        let asked = control(run, &["status", "--json"]);
        let can_be = asked.has_exited(0);
        if can_be {
            status = asked.json();
        }
        can_be
    });
    status
}

/// The samples of a scrape, by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let value = value.replace("+Inf", "inf").parse().expect("which is a number");
        (series.to_owned(), value)
    };
    lines.map(sample).collect()
}

#[test]
fn metrics_never_fall_and_end_as_the_report() {
    let (world, lines, expected) = stops::world("metrics", 40);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let watched = Watched::start(call, &run);
    let done = "tributary_groups_total{state=\"done\"}";
    let mut before = BTreeMap::<String, f64>::new();
    let mut scrapes = 0;
    wait_until("a few groups are done", || {
        let (status, text) = watched.get("/metrics");
        assert_eq!(status, 200);
        let now = samples(&text);
        for (series, value) in &before {
            let name = series.split('{').next().unwrap_or_default();
            let grows =
                ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
            assert!(!grows || now[series] >= *value, "{series} fell from {value}");
        }
        before = now;
        scrapes += 1;
        before[done] >= 3.0 && scrapes > 2
    });
    assert_eq!(before["tributary_groups_planned"], 40.0);
    assert_eq!(before["tributary_groups_per_second_limit"], 2.0);
    assert_eq!(before["tributary_phase{phase=\"merging\"}"], 1.0);
    assert_eq!(watched.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(watched.get("/nothing").0, 404);
    assert_eq!(watched.order("rate/none").0, 200);
    let report = watched.running.wait().exits(0).json();
    world.assert_is(&expected);

    let text = std::fs::read_to_string(run.join("metrics.prom")).expect("the last ones are kept");
    let last = samples(&text);
    for (series, value) in [
        (done, &report["groups"]["done"]),
        ("tributary_groups_total{state=\"failed\"}", &report["groups"]["failed"]),
        ("tributary_events_produced_total", &report["events"]["produced"]),
        ("tributary_events_acknowledged_total", &report["events"]["acknowledged"]),
        ("tributary_retries_total", &report["retries"]),
    ] {
        assert_eq!(Some(last[series]), value.as_f64(), "{series}");
        assert!(last[series] >= before[series], "{series}");
    }
    for operation in report["latency"].as_array().expect("a report has latencies") {
        let name = operation["lane"].as_str().expect("it has a name");
        let series = match name {
            "whole group" => "tributary_group_duration_seconds_count".to_owned(),
            "journal commit" => "tributary_journal_commits_total".to_owned(),
            "event delivery" => "tributary_event_delivery_duration_seconds_count".to_owned(),
            name => {
                // What is asked of the register is of no table that is merged.
                let (operation, table) = name.split_once(' ').unwrap_or((name, ""));
                let labels = format!("operation=\"{operation}\",table=\"{table}\"");
                format!("tributary_request_duration_seconds_count{{{labels}}}")
            }
        };
        assert_eq!(Some(last[&series]), operation["count"].as_f64(), "{series}");
    }
    assert_eq!(last["tributary_phase{phase=\"ended\"}"], 1.0);
}

#[test]
fn a_pause_holds_until_it_is_lifted() {
    let (world, lines, expected) = stops::world("pause", 40);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let watched = Watched::start(call, &run);
    let mut events = watched.events().map(|(name, shown)| {
        let count = |of: &str, name: &str| shown[of][name].as_u64().expect("they are counted");
        (name, count("groups", "done"), count("requests", "in_flight"), shown)
    });
    events.find(|(_, done, ..)| *done > 0).expect("groups are done");
    assert_eq!(watched.order("pause").0, 200);
    let held = |(_, _, in_flight, shown): &(String, u64, u64, Value)| {
        // A group whose events are on their way has no request in flight, and ends all the same.
        shown["paused"] == true && *in_flight == 0 && shown["under_way"]["groups"] == 0
    };
    let (_, done, ..) = events.find(held).expect("what is in flight ends");
    // At two groups per second, three seconds would show.
    for (name, now, in_flight, shown) in events.by_ref().take(3) {
        assert_eq!((name.as_str(), now, in_flight), ("figures", done, 0), "{shown}");
        assert_eq!(shown["seconds_left"], Value::Null, "{shown}");
    }
    assert!(done < 40);
    assert_eq!(samples(&watched.get("/metrics").1)["tributary_paused"], 1.0);
    assert_eq!(watched.order("rate/none").0, 200);
    assert_eq!(watched.order("resume").0, 200);
    // The last event has the end, and nothing comes after it.
    let rest: Vec<_> = events.collect();
    let (name, done, in_flight, shown) = rest.last().expect("there is a last event");
    assert_eq!((name.as_str(), *done, *in_flight), ("ended", 40, 0), "{shown}");
    assert_eq!((&shown["phase"], &shown["ended"]["exit_code"]), (&"ended".into(), &0.into()));
    assert_eq!(rest.iter().filter(|(name, ..)| name == "ended").count(), 1);
    watched.running.wait().exits(0).names("'pause' from the live page");
    world.assert_is(&expected);
    let log = std::fs::read_to_string(run.join("run.log")).expect("there is a log");
    for printed in ["listening on", "'pause' from", "'rate none' from", "'resume' from"] {
        assert!(log.contains(printed), "no {printed} in {log}");
    }
}

#[test]
fn only_its_own_page_with_the_token_gives_orders() {
    let (world, lines, _) = stops::world("orders", 40);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let watched = Watched::start(call, &run);
    let (own, token) = (watched.authority.as_str(), watched.token.as_str());
    let right = format!("Bearer {token}");
    let wrong = format!("Bearer {}", token.replace(|c: char| c.is_ascii_digit(), "f"));
    let pause = "POST /control/pause";
    let with_token = ("Authorization", right.as_str());
    let host = ("Host", own);
    let foreign = format!("http://{own}.evil.example");
    for (line, headers, expected) in [
        (pause, vec![host], 401),
        (pause, vec![host, ("Authorization", &wrong)], 401),
        (pause, vec![host, ("Authorization", token)], 401),
        (&format!("POST /control/pause?token={token}"), vec![host], 401),
        (pause, vec![host, with_token, ("Origin", "http://evil.example")], 403),
        (pause, vec![host, with_token, ("Origin", &foreign)], 403),
        (pause, vec![host, with_token, ("Origin", "null")], 403),
        (pause, vec![host, with_token, ("Sec-Fetch-Site", "cross-site")], 403),
        (pause, vec![("Host", "evil.example"), with_token], 421),
        ("GET /status", vec![("Host", "evil.example:8088")], 421),
        ("GET /status", vec![host, ("Authorization", &wrong)], 401),
        ("GET /status", vec![host, with_token, ("Origin", "http://evil.example")], 403),
        ("GET /control/pause", vec![host, with_token], 405),
        ("OPTIONS /control/pause", vec![host, ("Origin", "http://evil.example")], 403),
        ("POST /control/halt", vec![host, with_token], 404),
        ("POST /control/rate/fast", vec![host, with_token], 400),
    ] {
        let (status, printed) = request(own, line, &headers);
        assert_eq!(status, expected, "{line} {headers:?}: {printed}");
    }
    let status = watched.status();
    assert_eq!((&status["paused"], &status["rate_limit"]), (&false.into(), &2.0.into()));
    let origin = format!("http://{own}");
    let (status, printed) = request(own, pause, &[host, with_token, ("Origin", &origin)]);
    assert_eq!(status, 200, "{printed}");
    assert_eq!(status_of(&run)["paused"], true);
    assert_eq!(watched.order("stop").0, 200);
    assert!([200, 409].contains(&watched.order("stop").0), "twice is no harm");
    let token = token.to_owned();
    let finished = watched.running.wait().exits(130);
    assert!(finished.stdout.contains("tributary resume"), "{finished}");
    assert!(finished.stderr.contains(&token), "the operator is told the token");
    for entry in std::fs::read_dir(&run).expect("the run can be listed") {
        let path = entry.expect("the run can be listed").path();
        let bytes = std::fs::read(&path).expect("its files can be read");
        let is_in = bytes.windows(token.len()).any(|part| part == token.as_bytes());
        assert!(!is_in, "the token is in {}", path.display());
    }
}

fn status_of(run: &Path) -> Value {
    control(run, &["status", "--json"]).exits(0).json()
}

#[test]
fn a_run_is_controlled_from_another_terminal() {
    let (world, lines, expected) = stops::world("control", 40);
    let run = world.run_dir();
    let nobody = |finished: Finished| finished.exits(1).names("no process");
    control(&run, &["pause"]).exits(1).names("no run directory");
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let mut running = call.with("--rate", "2").start();
    assert_eq!(status(&run)["live_page"], Value::Null);
    wait_until("groups are merged", || status(&run)["phase"] == "merging");
    control(&run, &["pause"]).exits(0);
    assert_eq!(status_of(&run)["paused"], true);
    let reported = control(&run, &["status"]).exits(0);
    assert!(reported.stdout.contains("paused"), "{reported}");
    control(&run, &["resume"]).exits(0);
    control(&run, &["rate", "3.5"]).exits(0);
    wait_until("the rate is shown", || status_of(&run)["rate_limit"] == 3.5);
    for wrong in [vec!["rate", "0"], vec!["rate", "fast"], vec!["halt"], vec![], vec!["rate"]] {
        control(&run, &wrong).exits(2);
    }
    // A killed process leaves its socket; the next one takes its place.
    running.kill();
    running.wait().was_killed();
    assert!(run.join("control.sock").exists());
    nobody(control(&run, &["pause"])).names("was killed").names("tributary resume");
    let running = world.resume(&run).start();
    assert_eq!(status(&run)["command"], "resume");
    wait_until("groups are merged", || status(&run)["phase"] == "merging");
    assert_eq!(status_of(&run)["rate_limit"], 2.0, "the run's own settings are as they were");
    control(&run, &["stop"]).exits(0);
    let finished = running.wait().exits(130).names("'stop' by the command control");
    let left = groups(&finished.json());
    assert!(left.left > 0 && left.failed == 0, "{finished}");
    assert!(!run.join("control.sock").exists());
    let ended = nobody(control(&run, &["status"]));
    ended.names("resume ended at").names(", interrupted. To go on:");
    assert_eq!(read_json(&run.join("run.json"))["settings"]["rate"], 2.0);

    // Verifications and undos can be held as well.
    let rest = world.resume(&run).with("--rate", "1000").run().exits(0);
    assert_eq!(groups(&rest.json()).done, 40);
    // What was in flight at the kill may be announced twice.
    world.assert_tables(&expected.tables);
    let verify = Call::new(&["verify", run.to_str().expect("the tests use UTF-8")]);
    let verify = verify.with("--hosts", &world.addresses.hosts).with("--rate", "2").start();
    wait_until("groups are compared", || status(&run)["phase"] == "verifying");
    control(&run, &["rate", "none"]).exits(0);
    verify.wait().exits(0);
}

#[test]
fn a_port_in_use_is_told_before_anything_is_done() {
    let (world, lines, _) = stops::world("port", 3);
    let before = world.dump();
    let taken = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = taken.local_addr().expect("it has an address").to_string();
    let run = world.run_dir();
    let pairs = world.file("pairs.csv", to_csv(&lines));
    for listen in [address.as_str(), address.rsplit(':').next().unwrap_or_default()] {
        let call = world.apply(&pairs, &run).with("--listen", listen);
        call.run().exits(1).names(&address).names("in use");
    }
    world.apply(&pairs, &run).with("--listen", "no port").run().exits(2).names("--listen");
    assert!(!run.exists());
    world.assert_tables(&before);
}

#[test]
fn clients_that_hang_hold_nothing_up() {
    let (world, lines, expected) = stops::world("hang", 40);
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let watched = Watched::start(call, &run);
    let connect = |text: &str| {
        let mut stream = TcpStream::connect(&watched.authority).expect("the server listens");
        stream.write_all(text.as_bytes()).expect("the server reads, or not yet");
        stream
    };
    let head = format!("GET /events HTTP/1.1\r\nHost: {}\r\n", watched.authority);
    // Some never read what they asked for, some never finish asking; more than the server lets in.
    let streams: Vec<_> = (0..20).map(|_| connect(&format!("{head}\r\n"))).collect();
    let halves: Vec<_> = (0..80).map(|_| connect(&head)).collect();
    control(&run, &["rate", "none"]).exits(0);
    watched.running.wait().exits(0);
    world.assert_is(&expected);
    drop((streams, halves));
}
