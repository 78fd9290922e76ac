//! The page of `plan`, `apply` and `resume`.

mod sections;

use super::sections::moment;
use super::{Figure, Outcome, Page, Told, Tone};
use crate::advice::Advice;
use crate::report::terminal::to_merge;
use crate::report::text::{bytes, count, counted, cut_end, duration, rate};
use crate::report::{Applied, Fates, Summary};
use crate::run::files;
use sections::{done, planned};

/// The exit code of a command that was interrupted.
const INTERRUPTED: u8 = 130;
/// The exit code of a command that failed.
const FAILED: u8 = 1;

/// The page of a plan or of a session of a run.
pub fn summary_page(summary: &Summary) -> Page {
    let (figures, sections) = match &summary.applied {
        None => (planned_figures(summary), planned(summary)),
        Some(applied) => (applied_figures(summary, applied), done(summary, applied)),
    };
    Page {
        title: format!("{} {}", summary.command, summary.run),
        outcome: outcome(summary),
        facts: facts(summary),
        figures,
        next: next(summary),
        sections,
        json_file: files::REPORT.to_owned(),
    }
}

fn outcome(summary: &Summary) -> Outcome {
    let took = duration(summary.elapsed());
    let rejected = summary.plan.rejected_lines();
    let mut parts = Vec::new();
    match &summary.applied {
        None => parts.push(format!(
            "{} in {}",
            counted(summary.plan.pairs, "pair"),
            counted(summary.plan.groups, "group")
        )),
        Some(applied) => {
            let Fates { planned, done, failed, not_started, limited, taken_back } = applied.groups;
            parts.push(format!("{} of {} done", count(done), counted(planned, "group")));
            let others = [
                (failed, "failed"),
                (not_started, "not started"),
                (limited, "left out by --limit"),
                (taken_back, "taken back"),
            ];
            let others = others.into_iter().filter(|(groups, _)| *groups > 0);
            parts.extend(others.map(|(groups, what)| format!("{} {what}", count(groups))));
            if let Some(left) = applied.swept.map(|swept| swept.left).filter(|left| *left > 0) {
                parts.push(format!("{} left by the sweep", counted(left, "row")));
            }
        }
    }
    if rejected > 0 {
        parts.push(format!("{} rejected", counted(rejected, "line")));
    }
    let stopped = summary.applied.as_ref().and_then(|applied| applied.stopped.as_deref());
    let (tone, word) = match summary.exit_code {
        _ if !summary.adds_up => (Tone::Bad, "The counters do not add up"),
        0 if summary.applied.is_none() => (Tone::Good, "Planned"),
        0 => (Tone::Good, "Finished"),
        INTERRUPTED => (Tone::Warning, "Interrupted"),
        FAILED => (Tone::Bad, "Failed"),
        _ if summary.applied.is_none() => (Tone::Warning, "Planned, with rejected lines"),
        _ => (Tone::Warning, "Finished, with something left"),
    };
    let why = stopped.map_or_else(String::new, |why| format!("; {why}"));
    let sentence = format!("in {took}: {}{why}.", parts.join(", "));
    Outcome { tone, word: word.to_owned(), sentence }
}

fn facts(summary: &Summary) -> Vec<(String, Told)> {
    let input = match summary.input.path.as_str() {
        "-" => "standard input",
        path => path,
    };
    let mut facts = vec![
        ("Run", Told::code(summary.run_dir.to_string_lossy())),
        ("Started", Told::words(moment(summary.started_at))),
        ("Finished", Told::words(moment(summary.finished_at))),
        ("Input", Told::code(format!("{input}, {}", bytes(summary.input.bytes)))),
        ("SHA-256", Told::code(cut_end(&summary.input.sha256, 24))),
    ];
    let setting = |name: &str| summary.settings[name].as_str().map(Told::code);
    facts.extend(setting("keyspace").map(|keyspace| ("Keyspace", keyspace)));
    if let Some(applied) = &summary.applied {
        facts.extend(applied.events.topic.as_ref().map(|topic| ("Topic", Told::code(topic))));
        if let Some(resumed) = &applied.resumed {
            let before = format!(
                "{}, with {} done before",
                moment(resumed.run_started_at),
                counted(resumed.groups_done_before, "group")
            );
            facts.push(("Run began", Told::words(before)));
        }
    }
    facts.push(("Exit code", Told::count(summary.exit_code.into()).at("/exit_code")));
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn figure(name: &str, value: Told, note: impl Into<String>) -> Figure {
    Figure { name: name.to_owned(), value, note: note.into(), tone: Tone::Good }
}

fn planned_figures(summary: &Summary) -> Vec<Figure> {
    let plan = &summary.plan;
    vec![
        figure("Pairs", Told::count(plan.pairs).at("/plan/pairs"), "to be merged"),
        figure("Groups", Told::count(plan.groups).at("/plan/groups"), "one surviving account each"),
        rejected_figure(summary),
        figure(
            "Duplicates",
            Told::count(plan.duplicates).at("/plan/duplicates"),
            "repeated lines, counted once",
        ),
        figure(
            "Largest group",
            Told::count(plan.largest_group).at("/plan/largest_group"),
            "sources under one survivor",
        ),
        figure(
            "Longest chain",
            Told::count(plan.longest_chain).at("/plan/longest_chain"),
            format!("pairs; {} in all", counted(plan.chains, "chain")),
        ),
    ]
}

fn rejected_figure(summary: &Summary) -> Figure {
    let rejected = summary.plan.rejected_lines();
    let tone = if rejected == 0 { Tone::Good } else { Tone::Warning };
    let note = format!("of {}", counted(summary.plan.lines, "line"));
    Figure { tone, ..figure("Rejected", Told::count(rejected), note) }
}

fn applied_figures(summary: &Summary, applied: &Applied) -> Vec<Figure> {
    let Applied { groups, pairs, events, throughput, .. } = applied;
    let failed = Told::count(groups.failed).at("/groups/failed");
    let (tone, tried_again) = match groups.failed {
        0 => (Tone::Good, String::new()),
        _ => (Tone::Bad, format!("{}, to be resumed", counted(pairs.failed, "pair"))),
    };
    let rows: u64 = applied.tables.iter().map(|table| table.rows.source_rows).sum();
    let deleted: u64 = applied.tables.iter().map(|table| table.rows.deleted).sum();
    let announced = match &events.topic {
        Some(_) => format!("of {} produced, in this session", count(events.produced)),
        None => "none are asked for".to_owned(),
    };
    let speed = Told::number(throughput.pairs_per_s, rate(throughput.pairs_per_s));
    let session = match applied.resumed {
        Some(_) => "in this session; ",
        None => "",
    };
    vec![
        figure(
            "Groups done",
            Told::count(groups.done).at("/groups/done"),
            format!("of {}", count(groups.planned)),
        ),
        figure(
            "Pairs done",
            Told::count(pairs.done).at("/pairs/done"),
            format!("of {}", count(pairs.planned)),
        ),
        Figure { tone, ..figure("Groups failed", failed, tried_again) },
        rejected_figure(summary),
        figure("Rows of sources", Told::count(rows), format!("{} deleted", count(deleted))),
        figure("Events", Told::count(events.acknowledged).at("/events/acknowledged"), announced),
        figure(
            "Pairs per second",
            speed,
            format!("{session}{} rows/s", rate(throughput.rows_per_s)),
        ),
        figure(
            "Tried again",
            Told::count(applied.retries).at("/retries"),
            "requests, in this session",
        ),
    ]
}

fn next(summary: &Summary) -> Vec<(String, Advice)> {
    let run = || summary.run_dir.clone();
    let mut next = Vec::new();
    let mut add = |what: &str, command: Advice| next.push((what.to_owned(), command));
    match &summary.applied {
        None if summary.plan.pairs == 0 => {}
        None => {
            add("To merge", to_merge(summary));
        }
        Some(applied) => {
            match &applied.again {
                Some(again) if applied.groups.limited > 0 && applied.stopped.is_none() => {
                    add("To merge the rest", again.clone());
                }
                Some(again) => add("To go on", again.clone()),
                None => add("To sweep once more", Advice::resume(&run())),
            }
            add("To check", Advice::Verify { run: run(), repair: false });
            add("To take it back", Advice::Undo { run: run(), force: false });
        }
    }
    next
}
