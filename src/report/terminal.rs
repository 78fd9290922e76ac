//! The summary as text for people: at most 80 columns, what matters first, what to do next last.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::advice::{Advice, Inspected};
use crate::run::files;

use super::inspection::{hot_partitions, inspection_text};
use super::text::{
    COLUMNS, NO_BREAK, bytes, count, counted, cut_end, cut_start, duration, labelled, latency,
    paragraph, printable, rate, shown_in_browser, table,
};
use super::{Applied, Discovery, Equation, Fates, ScanFacts, Summary, SweepFacts};

/// From this share on, accounts without rows are warned about, in percent.
const MANY_ABSENT_PERCENT: u64 = 10;

/// A reason is cut beyond this; failures.csv has all of it.
const LONGEST_REASON: usize = 400;

/// The summary of `plan`, `apply` or `resume` as text. Ids, paths and reasons come from elsewhere: they are
/// shown so that they can neither steer the terminal nor break its lines.
pub fn terminal(summary: &Summary) -> String {
    let mut text = format!("{}\n\n", head(summary));
    text += &input(summary);
    match &summary.applied {
        None => text += &planned(summary),
        Some(applied) => text += &done(applied),
    }
    text += &contradictions(summary);
    text += "\n";
    text += &next(summary);
    text
}

fn head(summary: &Summary) -> String {
    let what = match &summary.applied {
        None if summary.inspection.is_some() => "planned and inspected in",
        None => "planned in",
        Some(Applied { stopped: Some(_), .. }) => "stopped after",
        Some(Applied { groups, .. }) if groups.failed > 0 => "finished, with failures, in",
        Some(_) => "finished in",
    };
    format!("{} {}: {what} {}", summary.command, summary.run, duration(summary.elapsed()))
}

fn input(summary: &Summary) -> String {
    let size = bytes(summary.input.bytes);
    let name = match summary.input.path.as_str() {
        "-" => "standard input".to_owned(),
        path => cut_start(&printable(path), COLUMNS - 14 - size.len()),
    };
    let mut text = labelled("Input", &format!("{name}, {size}"));
    if let Some(lines) = summary.equations.first().filter(|lines| lines.holds()) {
        text += &labelled("", &format!("every line accounted for: {}", bound(&lines.text())));
    }
    let rejected: Vec<_> = summary
        .plan
        .rejected
        .iter()
        .filter(|(_, lines)| **lines > 0)
        .map(|(reason, lines)| format!("{} {reason}", count(*lines)))
        .collect();
    if !rejected.is_empty() {
        text += &labelled("Rejected", &rejected.join(", "));
    }
    text
}

/// An equation that is broken between lines at its plus signs only.
fn bound(equation: &str) -> String {
    let parts: Vec<_> = equation.split(" + ").map(|part| part.replace(' ', NO_BREAK)).collect();
    parts.join(&format!(" +{NO_BREAK}"))
}

fn planned(summary: &Summary) -> String {
    let plan = &summary.plan;
    if plan.pairs == 0 {
        return labelled("Groups", "none: there is nothing to merge");
    }
    let mut text = labelled(
        "Groups",
        &format!(
            "{} with {}, the largest with {}",
            count(plan.groups),
            counted(plan.accounts, "account"),
            counted(plan.largest_group, "source")
        ),
    );
    let chains = match plan.chains {
        0 => "none".to_owned(),
        chains => {
            format!("{}, the longest with {}", count(chains), counted(plan.longest_chain, "pair"))
        }
    };
    text += &labelled("Chains", &chains);
    let fan_ins = match plan.fan_ins {
        0 => "none".to_owned(),
        fan_ins => format!(
            "{} by several sources, at most by {}",
            if fan_ins == 1 {
                "1 account is named".to_owned()
            } else {
                format!("{} accounts are named", count(fan_ins))
            },
            count(plan.largest_fan_in)
        ),
    };
    text += &labelled("Fan-in", &fan_ins);
    match &summary.inspection {
        None => text + &discovery(summary.discovery.as_ref()),
        Some(inspection) => text + &inspection_text(inspection),
    }
}

fn discovery(discovery: Option<&Discovery>) -> String {
    let Some(Discovery { content_misses, scan_costs, .. }) = discovery else {
        return String::new();
    };
    let text =
        labelled("Discovery", &format!("--discover content (the default): {content_misses}"));
    text + &labelled("", &format!("--discover scan: {scan_costs}"))
}

fn done(applied: &Applied) -> String {
    let mut text = String::new();
    if let Some(why) = &applied.stopped {
        text += &labelled("Stopped", &shortened(why));
    }
    text += &labelled("Groups", &fates(&applied.groups));
    text += &labelled("Pairs", &fates(&applied.pairs));
    if let Some(resumed) = &applied.resumed {
        let said = format!(
            "{} done before, since {}; events, speed and latencies are those of this session",
            counted(resumed.groups_done_before, "group"),
            resumed.run_started_at,
        );
        text += &labelled("Resumed", &said);
    }
    text += &scan(applied.scanned.as_ref());
    text += &labelled("Events", &events(applied));
    text += &sweep(applied.swept.as_ref());
    text += &labelled(
        "Speed",
        &format!(
            "{} pairs/s, {} rows/s; {} tried again",
            rate(applied.throughput.pairs_per_s),
            rate(applied.throughput.rows_per_s),
            counted(applied.retries, "request"),
        ),
    );
    text += &absent(applied);
    text += &rows(applied);
    if applied.deletes.over_warn > 0 {
        text += &hot_partitions(&applied.deletes, true);
    }
    text += &latencies(applied);
    text + &failures(applied)
}

fn fates(fates: &Fates) -> String {
    let mut text = format!("{} = {} done", count(fates.planned), count(fates.done));
    let others = [
        (fates.failed, "failed"),
        (fates.not_started, "not started"),
        (fates.limited, "left out by --limit"),
        (fates.taken_back, "taken back"),
    ];
    for (n, what) in others.into_iter().filter(|(n, _)| *n > 0) {
        // Writing to a string cannot fail.
        let _ = write!(text, " + {} {what}", count(n));
    }
    text
}

fn events(applied: &Applied) -> String {
    let events = &applied.events;
    match &events.topic {
        None => "none, as asked for by --no-events or the specification".to_owned(),
        Some(topic) => format!(
            "{} produced to '{topic}', {} acknowledged",
            count(events.produced),
            count(events.acknowledged)
        ),
    }
}

fn scan(scanned: Option<&ScanFacts>) -> String {
    let Some(scanned) = scanned else { return String::new() };
    let over = scanned.ranges_before + scanned.ranges_now;
    let mut said = match over == scanned.ranges {
        true => count(over),
        false => format!("{} of {}", count(over), count(scanned.ranges)),
    };
    said += &format!(
        " token ranges in {}: {} looked at, {} of sources found",
        duration(Duration::from_secs_f64(scanned.seconds)),
        counted(scanned.rows, "row"),
        counted(scanned.enrolments, "enrolment"),
    );
    if scanned.ranges_before > 0 {
        said += &format!("; {} scanned before", counted(scanned.ranges_before, "range"));
    }
    labelled("Scan", &said)
}

fn sweep(swept: Option<&SweepFacts>) -> String {
    let Some(swept) = swept else { return String::new() };
    let scanned = swept
        .scanned
        .map_or_else(String::new, |rows| format!(", {} scanned", counted(rows, "row")));
    let mut said = format!(
        "{} looked at again in {}{scanned}: ",
        counted(swept.sources, "source"),
        duration(Duration::from_secs_f64(swept.seconds)),
    );
    said += &match (swept.rows, swept.left) {
        (0, 0) => "nothing was left on them".to_owned(),
        (rows, 0) => format!("{} taken along", counted(rows, "later row")),
        (rows, left) => format!(
            "{} taken along, {} left where they are (see {})",
            counted(rows, "later row"),
            count(left),
            files::SWEEP
        ),
    };
    if swept.failed > 0 {
        said += &format!("; the sweep of {} failed", counted(swept.failed, "group"));
    }
    labelled("Sweep", &said)
}

fn absent(applied: &Applied) -> String {
    let mut text = String::new();
    for (absent, all, who) in [
        (applied.absent_sources, applied.pairs.done, "sources"),
        (applied.absent_survivors, applied.groups.done, "survivors"),
    ] {
        if absent == 0 {
            continue;
        }
        let said = format!("{} of {} {who} have no rows", count(absent), count(all));
        if absent * 100 >= all * MANY_ABSENT_PERCENT {
            let warning = format!("{said}: are these ids from this keyspace?");
            text += &labelled("WARNING", &warning);
        } else {
            text += &labelled("Absent", &said);
        }
    }
    text
}

fn rows(applied: &Applied) -> String {
    if applied.tables.is_empty() {
        return String::new();
    }
    let head = ["Rows of", "sources", "copied", "merged", "unchanged", "deleted"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for facts in &applied.tables {
        let rows = &facts.rows;
        let numbers = [rows.source_rows, rows.copied, rows.merged, rows.unchanged, rows.deleted];
        lines.push([facts.table.clone()].into_iter().chain(numbers.map(count)).collect());
    }
    format!("\n{}", table(&lines))
}

fn latencies(applied: &Applied) -> String {
    if applied.latency.iter().all(|lane| lane.count == 0) {
        return String::new();
    }
    let head = ["Latency", "count", "p50   ", "p90   ", "p99   ", "p99.9   ", "max   "];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for lane in applied.latency.iter().filter(|lane| lane.count > 0) {
        let times = [lane.p50_us, lane.p90_us, lane.p99_us, lane.p999_us, lane.max_us];
        lines.push(
            [lane.lane.clone(), count(lane.count)].into_iter().chain(times.map(latency)).collect(),
        );
    }
    format!("\n{}", table(&lines))
}

fn failures(applied: &Applied) -> String {
    if applied.failures.is_empty() {
        return String::new();
    }
    let mut text = "\nFailed groups by reason\n".to_owned();
    for failure in &applied.failures {
        text += &labelled(&format!("{:>10}", count(failure.groups)), &shortened(&failure.reason));
        if let Some(pair) = failure.examples.first() {
            let ids = (COLUMNS - 12 - 30) / 2;
            let example = format!(
                "(such as line {}: {} → {})",
                pair.line,
                cut_end(&printable(&pair.from), ids),
                cut_end(&printable(&pair.to), ids)
            );
            text += &labelled("", &example);
        }
    }
    text
}

/// Long words (ids) are cut first, so that they leave room for what is said about them.
fn shortened(reason: &str) -> String {
    let words: Vec<_> =
        reason.split(' ').map(|word| cut_end(&printable(word), COLUMNS / 2)).collect();
    cut_end(&words.join(" "), LONGEST_REASON)
}

/// Loud, because it means that this program has lost something.
fn contradictions(summary: &Summary) -> String {
    let wrong: Vec<&Equation> = summary.equations.iter().filter(|e| !e.holds()).collect();
    if wrong.is_empty() {
        return String::new();
    }
    let mut text = "\n".to_owned();
    text += &paragraph(
        "THE COUNTERS DO NOT ADD UP. This is a defect of this program: keep the run directory, \
         check the data by hand, and report it with these lines:",
    );
    for equation in wrong {
        text += &paragraph(&format!("{}: {}", equation.what(), bound(&equation.text())));
    }
    text
}

/// What merges what was planned.
pub(super) fn to_merge(summary: &Summary) -> Advice {
    let Some(inspection) = &summary.inspection else {
        let pairs = Some(summary.input.path.as_str()).filter(|path| *path != "-");
        return Advice::Apply { pairs: pairs.map(PathBuf::from) };
    };
    let hosts = summary.settings["inspected"]["hosts"].as_array().into_iter().flatten();
    let inspected = Some(Inspected {
        hosts: hosts.filter_map(|host| host.as_str().map(str::to_owned)).collect(),
        keyspace: inspection.keyspace.clone(),
        scan: inspection.discover == "scan",
    });
    Advice::ApplyPlan { plan: summary.run_dir.clone(), inspected }
}

fn next(summary: &Summary) -> String {
    let mut text = String::new();
    let rejected = summary.plan.rejected_lines();
    if rejected > 0 {
        let lines = if rejected == 1 { "the rejected line" } else { "the rejected lines" };
        text += &paragraph(&format!("{} has {lines}, each with its reason.", files::REJECTS));
    }
    if summary.applied.is_none() && summary.plan.pairs > 0 {
        let what = if summary.inspection.is_some() {
            "To merge this, and nothing else"
        } else {
            "To merge this"
        };
        let _ = writeln!(text, "{what}:\n  {}", to_merge(summary));
    }
    if let Some(applied) = &summary.applied {
        if applied.groups.failed > 0 {
            text += &paragraph(&format!(
                "{} has the pairs of the groups that failed, with the reasons; resume tries them again.",
                files::FAILURES
            ));
        }
        if let Some(command) = &applied.again {
            let is_limited = applied.stopped.is_none() && applied.groups.failed == 0;
            let what = if is_limited { "To merge the rest as well" } else { "To go on" };
            // Not wrapped, so that it can be copied.
            let _ = write!(text, "{what}:\n  {command}\n");
        }
    }
    text += &shown_in_browser(files::REPORT_PAGE);
    let _ = writeln!(text, "Run directory: {}", printable(&summary.run_dir.to_string_lossy()));
    text
}

#[cfg(test)]
mod tests;
