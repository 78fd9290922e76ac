//! What is said of counts, as their rows say it.

use super::document::{Fact, Table, Tone};
use super::words::{Text, code, count, counted, own, say, seconds};
use crate::model::{Count, Counts, Shown, Timed};

/// The counts that stand alone, of all or of a table; `root` is where the JSON has them.
pub(super) fn facts<T: Counts>(tally: &T, root: &str, of: Option<&str>) -> Vec<Fact> {
    let fact = |(row, n): (&Count, Option<u64>)| {
        let Shown::Fact { words: [label, noun, words], is_warning } = row.shown else {
            return None;
        };
        let tone = if is_warning { Tone::Warning } else { Tone::Good };
        let n = n.filter(|n| *n > 0)?;
        let number = counted(n, noun).at(format!("{root}/{}", row.name));
        let sentence = match of {
            Some(table) => say!("{} of {} {}", number, code(table), own(words)),
            None => say!("{} {}", number, own(words)),
        };
        Some(Fact::new(label, sentence).toned(tone))
    };
    tally.counted().filter_map(fact).collect()
}

/// What a walk went over, how long that took, and what it found, or that there was `none`.
pub(super) fn walk<T: Counts>(
    label: &'static str,
    root: &str,
    walked: &Timed<T>,
    none: &'static str,
) -> Fact {
    let (mut over, mut found) = (Vec::new(), Vec::new());
    for (row, n) in walked.tally.counted() {
        let (parts, [noun, words], n) = match (row.shown, n) {
            (Shown::WentOver(words), Some(n)) => (&mut over, words, n),
            (Shown::Found(words), Some(n)) if n > 0 => (&mut found, words, n),
            _ => continue,
        };
        let number = counted(n, noun).at(format!("{root}/{}", row.name));
        parts.push(say!("{} {}", number, own(words)));
    }
    let took = seconds(walked.seconds).at(format!("{root}/seconds"));
    let found = if found.is_empty() { own(none) } else { Text::join(found, ", ") };
    Fact::new(label, say!("{} in {}: {}", Text::join(over, ", "), took, found))
}

/// The counts of tables that are columns, a row for each table by its name.
pub(super) fn rows_of<'a, T: Counts + 'a>(
    tables: impl IntoIterator<Item = (&'a String, &'a T)>,
) -> Table {
    let head = |row: &Count| match row.shown {
        Shown::Column(head) => Some(head.to_owned()),
        _ => None,
    };
    let mut shown = Table::new(["Rows of"]);
    shown.columns.extend(T::ROWS.iter().filter_map(head));
    for (index, (table, tally)) in tables.into_iter().enumerate() {
        let counted = tally.counted().filter(|(row, _)| head(row).is_some());
        let numbers = counted.filter_map(|(row, n)| {
            Some(count(n?).at(format!("/tables/{index}/{}", row.name)).into())
        });
        shown.push([code(table)].into_iter().chain(numbers));
    }
    shown
}
