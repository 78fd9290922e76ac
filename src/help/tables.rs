//! What the manual takes from the tables of the code, as Markdown.

use strum::IntoEnumIterator;

use super::{TOPICS, Topic};
use crate::pairs::{self, Consequence, RULES};
use crate::setting::{Command, Layer, Row};

/// The topics with what they are about.
pub(crate) fn topics() -> String {
    let row = |topic: &Topic| format!("| `{}` | {} |\n", topic.name, topic.about);
    format!(
        "\n| topic | what it is about |\n|---|---|\n{}",
        TOPICS.iter().map(row).collect::<String>()
    )
}

/// The settings of these rows, by their headings.
pub(crate) fn settings<'r>(rows: impl Iterator<Item = &'r Row>) -> String {
    let mut groups: Vec<(&str, String)> = Vec::new();
    for row in rows {
        let heading = if row.heading.is_empty() { "Of one command" } else { row.heading };
        let at = groups.iter().position(|(known, _)| *known == heading).unwrap_or_else(|| {
            groups.push((heading, String::new()));
            groups.len() - 1
        });
        groups[at].1 += &setting(row);
    }
    groups.iter().map(|(heading, items)| format!("\n## {heading}\n\n{items}")).collect()
}

/// A setting, as a point of a list.
fn setting(row: &Row) -> String {
    let name = match row.is_in(Layer::Flag) {
        true => format!("`{}`", format!("{} {}", row.flag(), row.value_name).trim()),
        false => format!("`{}`", row.name),
    };
    let mut notes = Vec::new();
    let taking = Command::iter().filter(|command| row.commands.contains(command));
    let taking: Vec<_> = taking.map(|command| command.to_string()).collect();
    notes.push(taking.join(", "));
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
    format!("- {name}: {summary}{more} ({})\n", notes.join("; "))
}

/// The formats of lists, and the rules by which lines are rejected, held back or doubted.
pub(crate) fn input() -> String {
    let formats: String = pairs::formats().map(|about| format!("- {about}.\n")).collect();
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
