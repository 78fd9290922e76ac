//! `control`: ask the process that works on a run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::args::Ask;
use super::live::word;
use super::progress::clock;
use super::terminal::Terminal;
use super::{Exit, Failure};
use crate::advice::Advice;
use crate::live::{self, Order, Reply, SocketError};
use crate::pace::Held;
use crate::run::{RunDir, files};

/// Runs `control` of anything but the status.
pub(super) fn run(run: &Path, ask: &Ask, terminal: &Terminal) -> Result<Exit, Failure> {
    let order = match ask {
        Ask::Pause => Some(Order::Pause),
        Ask::Resume => Some(Order::Resume),
        Ask::Rate { rate } => {
            Some(format!("rate {rate}").parse::<Order>().map_err(Failure::unusable)?)
        }
        Ask::Stop => Some(Order::Stop),
        Ask::Status => None,
    };
    print(&asked(run, order)?.message, terminal)
}

/// Runs `control status`.
pub(super) fn status(run: &Path, json: bool, terminal: &Terminal) -> Result<Exit, Failure> {
    let answer = asked(run, None)?;
    let text = match json {
        true => serde_json::to_string_pretty(&with_address(answer)).map_err(Failure::failed)?,
        false => in_lines(&answer),
    };
    print(&text, terminal)
}

fn asked(run: &Path, order: Option<Order>) -> Result<Reply, Failure> {
    // A path that is no run is told as such.
    RunDir::record(run)?;
    let answer = live::ask(run, order).map_err(|error| match ended(run, &error) {
        Some(how) => Failure::failed(anyhow!("{error}: {how}")),
        None => Failure::failed(error),
    })?;
    if answer.ok { Ok(answer) } else { Err(Failure::failed(anyhow!(answer.message))) }
}

/// How the last command over a run ended, where no process works on it, and what can be done next.
fn ended(run: &Path, error: &SocketError) -> Option<String> {
    let SocketError::Nobody { was_killed, .. } = error else { return None };
    if *was_killed {
        let again = Advice::Resume { run: run.to_path_buf(), all: false, secrets: Vec::new() };
        return Some(format!(
            "the last one was killed, or its machine went down. A run that was being merged goes on with:\n  {again}"
        ));
    }
    let report = |name| serde_json::from_slice::<Value>(&fs::read(run.join(name)).ok()?).ok();
    let reports = [
        (files::REPORT, files::REPORT_PAGE),
        (files::VERIFY, files::VERIFY_PAGE),
        (files::UNDO, files::UNDO_PAGE),
    ];
    let reports = reports.into_iter().filter_map(|(name, page)| Some((report(name)?, page)));
    let at = |report: &Value| report["finished_at"].as_str().map(str::to_owned);
    let (last, page) = reports.max_by_key(|(report, _)| at(report))?;
    let text = |name: &str| last[name].as_str();
    let how = text("stopped").unwrap_or_else(|| {
        let code = last["exit_code"].as_u64().and_then(|code| u8::try_from(code).ok());
        word(code.map_or(Exit::Failed, Exit::from_code))
    });
    let next = match text("again") {
        Some(again) => format!("To go on:\n  {again}"),
        None => format!("{} says what it did", run.join(page).display()),
    };
    Some(format!("{} ended at {}, {how}. {next}", text("command")?, text("finished_at")?))
}

fn print(text: &str, terminal: &Terminal) -> Result<Exit, Failure> {
    let printed = terminal.print(&format!("{text}\n")).context("cannot write to standard output");
    printed.map_err(Failure::failed)?;
    Ok(Exit::Done)
}

/// The figures, and the address of the live page among them.
fn with_address(answer: Reply) -> Value {
    let Reply { address, mut status, .. } = answer;
    if let Some(fields) = status.as_object_mut() {
        fields.insert("live_page".to_owned(), address.map_or(Value::Null, Value::String));
    }
    status
}

/// The figures in a few lines.
fn in_lines(answer: &Reply) -> String {
    let shown = &answer.status;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let count = |name: &str| shown["groups"][name].as_u64().unwrap_or_default();
    let request = |name: &str| shown["requests"][name].as_u64().unwrap_or_default();
    let is = |name: &str| shown[name] == true;
    let state = [("paused", is("paused")), ("stopping", is("stopping"))];
    let state: String =
        state.iter().filter(|(_, is)| *is).map(|(name, _)| format!(", {name}")).collect();
    let mut lines = vec![format!(
        "{} {}: {}{state}",
        text(&shown["command"]),
        text(&shown["run"]),
        text(&shown["phase"])
    )];
    let total = count("total");
    if total > 0 {
        let (done, failed) = (count("done"), count("failed"));
        lines.push(format!(
            "groups:    {done} of {total} done, {failed} failed, {} requests in flight (limit {})",
            request("in_flight"),
            request("limit")
        ));
    }
    if let Some(rate) = shown["groups_per_s"].as_f64() {
        let left = shown["seconds_left"].as_f64().map(|left| clock(left.ceil() as u64));
        let left = left.map_or_else(String::new, |left| format!(", {left} left"));
        let limit = shown["rate_limit"].as_f64();
        let limit = limit.map_or_else(String::new, |limit| format!(" (at most {limit}/s)"));
        lines.push(format!("rate:      {rate:.1}/s{limit}{left}"));
    }
    if let (true, Some(us)) =
        (shown["reads"]["held_back"] == true, shown["reads"]["p99_us"].as_u64())
    {
        let held = Held { read: Duration::from_micros(us), is_least: false };
        lines.push(format!("           {held}"));
    }
    if let Some(until) = shown["until"].as_str() {
        lines.push(format!("until:     {until}"));
    }
    let sink = shown["events"]["sink"].as_str().unwrap_or("Events");
    for (server, name) in [("Cassandra", "cassandra"), (sink, "events")] {
        let shown = &shown[name];
        let error = shown["last_error"].as_str().filter(|_| shown["state"] == "waiting");
        let error = error.map_or_else(String::new, |error| format!(": {error}"));
        lines.push(format!("{:10} {}{error}", format!("{server}:"), text(&shown["state"])));
    }
    if let Some(address) = &answer.address {
        lines.push(format!("live page: {address}"));
    }
    lines.join("\n")
}
