//! The page of `verify`.

use std::time::Duration;

use super::sections::{equations, examples, latency, moment, over_time, settings};
use super::{Block, Figure, Outcome, Page, Section, Table, Told, Tone};
use crate::advice::Advice;
use crate::report::text::{count, counted, duration};
use crate::report::{Verification, VerifiedTable};
use crate::run::files;
use crate::verify::{TableCounts, Verdict};

/// The page of a verification.
pub fn verify_page(verification: &Verification) -> Page {
    let equations = equations(&verification.equations());
    let mut sections = vec![tables(verification)];
    sections.extend(differences(verification));
    sections.push(equations);
    sections.extend(over_time(&verification.timeline, "Groups compared"));
    sections.extend(latency("", &verification.latency));
    sections.extend(settings(&verification.settings));
    Page {
        title: format!("verify {}", verification.run),
        outcome: outcome(verification),
        facts: facts(verification),
        figures: figures(verification),
        next: next(verification),
        sections,
        json_file: files::VERIFY.to_owned(),
    }
}

fn outcome(verification: &Verification) -> Outcome {
    let Verification { differences, stopped, groups, .. } = verification;
    let took = duration(Duration::from_secs_f64(verification.elapsed_s));
    let (tone, word) = match (differences, stopped) {
        _ if !verification.adds_up() => (Tone::Bad, "The counters do not add up".to_owned()),
        (1.., _) => (Tone::Bad, counted(*differences, "difference")),
        (0, Some(_)) => (Tone::Warning, "No difference so far".to_owned()),
        (0, None) if groups.failed > 0 => (Tone::Bad, "Not everything could be read".to_owned()),
        (0, None) if groups.compared < groups.total => {
            (Tone::Warning, "No difference in what is done".to_owned())
        }
        (0, None) => (Tone::Good, "No difference".to_owned()),
    };
    let mut sentence = format!(
        "in {took}: {} of {} compared",
        count(groups.compared),
        counted(groups.total, "group")
    );
    if let Some(why) = stopped {
        sentence += &format!("; {why}");
    }
    if let Some(reason) = &groups.reason {
        sentence += &format!("; {} not readable: {reason}", counted(groups.failed, "group"));
    }
    Outcome { tone, word, sentence: sentence + "." }
}

fn facts(verification: &Verification) -> Vec<(String, Told)> {
    let repair = if verification.repair { "differences were written again" } else { "no" };
    let facts = [
        ("Run", Told::code(verification.run_dir.to_string_lossy())),
        ("Started", Told::words(moment(verification.started_at))),
        ("Finished", Told::words(moment(verification.finished_at))),
        ("Repair", Told::words(repair)),
        ("Exit code", Told::count(verification.exit_code.into()).at("/exit_code")),
    ];
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn figures(verification: &Verification) -> Vec<Figure> {
    let sum = |of: fn(&VerifiedTable) -> u64| verification.tables.iter().map(of).sum::<u64>();
    let tone = if verification.differences == 0 { Tone::Good } else { Tone::Bad };
    let figure = |name: &str, value: Told, note: &str| Figure {
        name: name.to_owned(),
        value,
        note: note.to_owned(),
        tone: Tone::Good,
    };
    let differences = Told::count(verification.differences).at("/differences");
    vec![
        Figure { tone, ..figure("Differences", differences, "that are there now") },
        figure(
            "Groups compared",
            Told::count(verification.groups.compared).at("/groups/compared"),
            &format!("of {}", count(verification.groups.total)),
        ),
        figure("Rows compared", Told::count(sum(|table| table.counts.rows)), "of survivors"),
        figure(
            "Changed since",
            Told::count(sum(|table| table.counts.of(Verdict::ChangedSince))),
            "written later, which is no difference",
        ),
        figure("Repaired", Told::count(sum(|table| table.counts.repaired)), "written again"),
        figure("Tried again", Told::count(verification.retries).at("/retries"), "requests"),
    ]
}

fn next(verification: &Verification) -> Vec<(String, Advice)> {
    let run = || verification.run_dir.clone();
    let mut next = Vec::new();
    let mut add = |what: &str, command: Advice| next.push((what.to_owned(), command));
    if let Some(again) = &verification.again {
        add("To go on where it was stopped", again.clone());
    } else if verification.differences > 0 && !verification.repair {
        add("To write again what is missing or worse", Advice::Verify { run: run(), repair: true });
    }
    if verification.to_resume() > 0 {
        add("To do what is not done", Advice::resume(&run()));
    }
    add("To take the run back", Advice::Undo { run: run(), force: false });
    next
}

fn tables(verification: &Verification) -> Section {
    type Count = fn(&TableCounts) -> u64;
    // What was found, and the field of the JSON that has it, by table.
    let kinds: [(&str, &str, Count); 9] = [
        ("rows compared", "rows", |counts| counts.rows),
        ("rows that are not there", "row_missing", |counts| counts.row_missing),
        ("values that are not there", "value_missing", |counts| counts.value_missing),
        ("values worse than the run left them", "value_worse", |counts| counts.value_worse),
        ("other values, and not newer ones", "value_differs", |counts| counts.value_differs),
        ("rows of sources still there", "source_not_emptied", |counts| counts.source_not_emptied),
        ("values written later (no difference)", "changed_since", |counts| counts.changed_since),
        ("rows of sources written later (no difference)", "source_changed_since", |counts| {
            counts.source_changed_since
        }),
        ("differences repaired", "repaired", |counts| counts.repaired),
    ];
    let mut table = Table::new("", ["what"]);
    table.columns.extend(verification.tables.iter().map(|of| of.table.clone()));
    for (what, field, count) in kinds {
        let counts = verification.tables.iter().enumerate().map(|(place, of)| {
            Told::count(count(&of.counts)).at(format!("/tables/{place}/{field}"))
        });
        table.rows.push([Told::words(what)].into_iter().chain(counts).collect());
    }
    Section::new("What was found").with(table.into())
}

fn differences(verification: &Verification) -> Option<Section> {
    let table = examples("Examples", &verification.examples)?;
    let mut section = Section::new("Differences")
        .saying("diff.csv has all of them. Each was read again before it was told.");
    if verification.differences > 0 && verification.repair {
        let left = "What is left cannot be repaired from the journal: rows that were the survivor's own (it has only \
             what the policies look at), values where the run left none, and rows of sources that are not what the run \
             copied.";
        section = section.with(Block::Note(Tone::Warning, left.to_owned()));
    }
    Some(section.with(table))
}
