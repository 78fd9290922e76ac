//! What the manual takes from the tables of the code, as Markdown.

use strum::IntoEnumIterator;

use super::{TOPICS, Topic};
use crate::events;
use crate::model::{
    Count, Counts, MentionTally, ScanTally, Shown, SweepTally, TableTally, Tally, UndoTally,
};
use crate::pairs::{self, Consequence, RULES};
use crate::setting::{Command, Layer, SettingRow};

/// The topics with what they are about.
pub(crate) fn topics() -> String {
    let row = |topic: &Topic| format!("| `{}` | {} |\n", topic.name, topic.about);
    format!(
        "\n| topic | what it is about |\n|---|---|\n{}",
        TOPICS.iter().map(row).collect::<String>()
    )
}

/// The settings of these rows, by their headings.
pub(crate) fn settings<'r>(rows: impl Iterator<Item = &'r SettingRow>) -> String {
    let mut groups: Vec<(&str, Vec<&SettingRow>)> = Vec::new();
    for row in rows {
        let heading = if row.heading.is_empty() { "Of one command" } else { row.heading };
        let at = groups.iter().position(|(known, _)| *known == heading).unwrap_or_else(|| {
            groups.push((heading, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(row);
    }
    let group = |(heading, rows): &(&str, Vec<&SettingRow>)| {
        let usual = usual(rows);
        let items: String = rows.iter().map(|row| setting(row, usual.as_deref())).collect();
        let usual = usual.map(|commands| format!("Where nothing else is said, of {commands}.\n\n"));
        format!("\n## {heading}\n\n{}{items}", usual.unwrap_or_default())
    };
    groups.iter().map(group).collect()
}

/// The commands that take a setting.
fn taking(row: &SettingRow) -> String {
    let taking = Command::iter().filter(|command| row.commands.contains(command));
    taking.map(|command| command.to_string()).collect::<Vec<_>>().join(", ")
}

/// The commands that take most settings of a group, if more than one setting has them: they are said once.
fn usual(rows: &[&SettingRow]) -> Option<String> {
    let lists: Vec<_> = rows.iter().map(|row| taking(row)).collect();
    let of = |list: &String| lists.iter().filter(|other| *other == list).count();
    lists.iter().max_by_key(|list| of(list)).filter(|list| of(list) > 1).cloned()
}

/// A setting, as a point of a list; of other commands than the `usual` ones it says which.
fn setting(row: &SettingRow, usual: Option<&str>) -> String {
    let name = match row.is_in(Layer::Flag) {
        true => format!("`{}`", format!("{} {}", row.flag(), row.value_name).trim()),
        false => format!("`{}`", row.name),
    };
    let mut notes = Vec::new();
    notes.extend(Some(taking(row)).filter(|taking| Some(taking.as_str()) != usual));
    let layers = [
        (Layer::Flag, "flag".to_owned()),
        (Layer::Environment, row.variable()),
        (Layer::File, "file".to_owned()),
    ];
    if row.layers.len() < layers.len() {
        let layers = layers.into_iter().filter(|(layer, _)| row.is_in(*layer));
        let layers: Vec<_> = layers.map(|(_, name)| name).collect();
        notes.push(format!("by {} only", layers.join(" or ")));
    }
    if row.pinned {
        notes.push("a run keeps to it".to_owned());
    }
    let help = row.help();
    let mut help = help.iter().map(|paragraph| paragraph.trim_end_matches('.').to_owned() + ".");
    let summary = help.next().unwrap_or_default();
    let more: String = help.map(|paragraph| format!(" {paragraph}")).collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    format!("- {name}: {summary}{more}{notes}\n")
}

/// The formats of lists, and the rules by which lines are rejected, held back or doubted.
pub(super) fn input() -> String {
    let formats: String = pairs::formats()
        .map(|[about, mend]| format!("- {about}. Where lines are no records of it: {mend}.\n"))
        .collect();
    let parts = [
        (Consequence::Rejected, "Rejected"),
        (Consequence::Held, "Held back, unless --accept names the rule"),
        (Consequence::Doubted, "Merged, and doubted in the report"),
    ];
    let part = |(consequence, heading): (Consequence, &str)| {
        let entries = RULES.iter().filter(|entry| entry.consequence == consequence);
        let items: String = entries
            .map(|entry| {
                format!(
                    "- `{}`: a line that {}. What to do: {}.\n",
                    entry.name, entry.what, entry.advice
                )
            })
            .collect();
        format!("\n## {heading}\n\n{items}")
    };
    format!("\n## Formats\n\n{formats}{}", parts.into_iter().map(part).collect::<String>())
}

/// Where events can go.
pub(super) fn events() -> String {
    events::kinds().map(|[name, manual]| format!("\n## {name}\n\n{manual}")).collect()
}

/// What reports count.
pub(super) fn counts() -> String {
    let parts = [
        ("By table, in `tables`", TableTally::ROWS),
        ("Of the groups that are done", Tally::ROWS),
        ("Of the scan, in `scanned`", ScanTally::ROWS),
        ("Of the sweep, in `swept`", SweepTally::ROWS),
        ("Of rows that mention sources, in `mentions`", MentionTally::ROWS),
        ("By table, in `tables` of `undo`", UndoTally::ROWS),
    ];
    let part = |(heading, rows): (&str, &[Count])| {
        let rows = rows.iter().filter(|row| row.shown != Shown::Nowhere);
        let items: String =
            rows.map(|Count { name, about, .. }| format!("- `{name}`:{about}\n")).collect();
        format!("\n{heading}:\n\n{items}")
    };
    format!("\n## What is counted\n{}", parts.map(part).concat())
}
