//! The page of `undo`.

use std::time::Duration;

use super::sections::{equations, examples, failures, latency, moment, over_time, settings};
use super::{Figure, Outcome, Page, Section, Table, Told, Tone};
use crate::advice::Advice;
use crate::report::text::{count, counted, duration};
use crate::report::{Undoing, UndoneGroups, UndoneTable};
use crate::run::files;

/// The page of an undo.
pub fn undo_page(undoing: &Undoing) -> Page {
    let mut sections = vec![tables(undoing)];
    sections.extend(conflicts(undoing));
    let after = "They were given up; undo takes them up again.";
    sections.extend(failures(&undoing.failures, after));
    sections.push(equations(&undoing.equations()));
    sections.extend(over_time(&undoing.timeline, "Groups taken back"));
    sections.extend(latency("", &undoing.latency));
    sections.extend(settings(&undoing.settings));
    Page {
        title: format!("undo {}", undoing.run),
        outcome: outcome(undoing),
        facts: facts(undoing),
        figures: figures(undoing),
        next: next(undoing),
        sections,
        json_file: files::UNDO.to_owned(),
    }
}

fn outcome(undoing: &Undoing) -> Outcome {
    let UndoneGroups { selected, undone, disputed, failed, not_started, .. } = undoing.groups;
    let took = duration(Duration::from_secs_f64(undoing.elapsed_s));
    let (tone, word) = match &undoing.stopped {
        _ if !undoing.adds_up() => (Tone::Bad, "The counters do not add up"),
        Some(_) => (Tone::Warning, "Stopped"),
        None if failed > 0 => (Tone::Bad, "Finished, with failures"),
        None if disputed > 0 => (Tone::Warning, "Taken back, but for what was changed since"),
        None => (Tone::Good, "Taken back"),
    };
    let mut sentence = format!("in {took}: {} of {}", count(undone), counted(selected, "group"));
    let others = [(disputed, "with conflicts"), (failed, "failed"), (not_started, "not started")];
    for (groups, what) in others.into_iter().filter(|(groups, _)| *groups > 0) {
        sentence += &format!(", {} {what}", count(groups));
    }
    if let Some(why) = &undoing.stopped {
        sentence += &format!("; {why}");
    }
    Outcome { tone, word: word.to_owned(), sentence: sentence + "." }
}

fn facts(undoing: &Undoing) -> Vec<(String, Told)> {
    let mut facts = vec![
        ("Run", Told::code(undoing.run_dir.to_string_lossy())),
        ("Started", Told::words(moment(undoing.started_at))),
        ("Finished", Told::words(moment(undoing.finished_at))),
    ];
    if let Some(pairs) = &undoing.pairs_file {
        facts.push(("Pairs of", Told::code(pairs.to_string_lossy())));
    }
    let force = if undoing.force { "--force: taken back as well" } else { "left alone" };
    facts.push(("Changed since", Told::words(force)));
    facts.extend(undoing.events.topic.as_ref().map(|topic| ("Topic", Told::code(topic))));
    facts.push(("Exit code", Told::count(undoing.exit_code.into()).at("/exit_code")));
    facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn figures(undoing: &Undoing) -> Vec<Figure> {
    let figure = |name: &str, value: Told, note: String| Figure {
        name: name.to_owned(),
        value,
        note,
        tone: Tone::Good,
    };
    let sum = |of: fn(&UndoneTable) -> u64| undoing.tables.iter().map(of).sum::<u64>();
    let worry = |n: u64, tone: Tone| if n == 0 { Tone::Good } else { tone };
    let UndoneGroups { selected, undone, disputed, failed, .. } = undoing.groups;
    vec![
        figure(
            "Groups taken back",
            Told::count(undone).at("/groups/undone"),
            format!("of {}", count(selected)),
        ),
        Figure {
            tone: worry(disputed, Tone::Warning),
            ..figure(
                "With conflicts",
                Told::count(disputed).at("/groups/disputed"),
                "groups, taken back but for them".to_owned(),
            )
        },
        Figure {
            tone: worry(failed, Tone::Bad),
            ..figure("Failed", Told::count(failed).at("/groups/failed"), "groups".to_owned())
        },
        figure(
            "Rows given back",
            Told::count(sum(|table| table.given_back)),
            format!(
                "{} removed",
                counted(sum(|table| table.removed), "copy").replace("copys", "copies")
            ),
        ),
        figure(
            "Events",
            Told::count(undoing.events.acknowledged).at("/events/acknowledged"),
            format!("of {} produced", count(undoing.events.produced)),
        ),
        figure("Tried again", Told::count(undoing.retries).at("/retries"), "requests".to_owned()),
    ]
}

fn next(undoing: &Undoing) -> Vec<(String, Advice)> {
    let mut next = Vec::new();
    if let Some(again) = &undoing.again {
        next.push(("To do what is left".to_owned(), again.clone()));
    }
    if undoing.conflicts > 0 {
        let what = "To lose what was changed since and take all back".to_owned();
        next.push((what, Advice::Undo { run: undoing.run_dir.clone(), force: true }));
    }
    next
}

fn tables(undoing: &Undoing) -> Section {
    let columns =
        ["table", "rows given back", "copies removed", "rows set back", "keys left alone"];
    let mut table = Table::new("", columns);
    for (place, rows) in undoing.tables.iter().enumerate() {
        let numbers = [
            ("given_back", rows.given_back),
            ("removed", rows.removed),
            ("set_back", rows.set_back),
            ("left_alone", rows.left_alone),
        ];
        let numbers =
            numbers.map(|(field, n)| Told::count(n).at(format!("/tables/{place}/{field}")));
        table.rows.push([Told::code(&rows.table)].into_iter().chain(numbers).collect());
    }
    let UndoneGroups { undone_before, untouched, .. } = undoing.groups;
    let mut section = Section::new("Rows by table");
    let beside = [
        (undone_before, "were taken back before"),
        (untouched, "had failed before anything was written: there is nothing to take back"),
    ];
    for (groups, what) in beside.into_iter().filter(|(groups, _)| *groups > 0) {
        section = section.saying(format!("Beside them, {} {what}.", counted(groups, "group")));
    }
    section.with(table.into())
}

fn conflicts(undoing: &Undoing) -> Option<Section> {
    let table = examples("Examples", &undoing.examples)?;
    let said = format!(
        "{} changed since the run, so their rows were left alone, and the others of their groups were taken back. \
         conflicts.csv has all of them.",
        counted(undoing.conflicts, "cell")
    );
    Some(Section::new("Conflicts").saying(said).with(table))
}
