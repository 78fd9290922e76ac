//! A report for a terminal of 80 columns: what matters first, what to do next last. What others wrote can neither steer
//! the terminal nor break its lines.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::shown;
use crate::report::Tone;
use crate::report::document::{Block, EXAMPLES, Fact, Report, Table};
use crate::report::figures::Number;
use crate::report::words::{Figure, Piece, Text};
use crate::wrap::filled;

/// What everything is made to fit in.
const COLUMNS: usize = 80;
/// The width of the labels at the left.
const LABEL: usize = 12;
/// What stands between two columns of a table.
const GAP: usize = 2;
/// The least that is left to a column that is cut or broken.
const NARROW: usize = 8;
/// In a table a word of others is cut beyond this, because an id should leave room for what is said of it: the page and the
/// JSON have it whole. Elsewhere none is, so that it can be copied.
const LONGEST_WORD: usize = 40;
/// The words of others, all together, are cut beyond this.
const LONGEST: usize = 400;

pub(in crate::report) fn text(report: &Report) -> String {
    let mut out = head(report);
    let more = report.kept.as_ref().map_or("", |kept| kept.json);
    // Facts follow each other, tables stand alone; so do the parts of an answer that has nothing before them.
    let mut is_apart = true;
    let tell = |out: &mut String, fact: &Fact, is_apart: &mut bool| {
        *out += if std::mem::take(is_apart) { "\n" } else { "" };
        *out += &labelled(fact, more);
    };
    report.facts.iter().for_each(|fact| tell(&mut out, fact, &mut is_apart));
    for section in &report.sections {
        is_apart |= report.facts.is_empty();
        for block in &section.blocks {
            match block {
                Block::Fact(fact) => tell(&mut out, fact, &mut is_apart),
                Block::Table(shown) if shown.in_terminal > 0 => {
                    out += &format!("\n{}", table(shown, more));
                    is_apart = true;
                }
                Block::Table(_) | Block::Bars(_) | Block::OverTime(_) | Block::Latencies(_) => {}
            }
        }
    }
    out + &next(report)
}

fn head(report: &Report) -> String {
    let word = plain(&report.outcome.word);
    // Loud, because somebody has to do something.
    let word = if report.outcome.tone == Tone::Bad { word.to_uppercase() } else { word };
    let took = match plain(&report.outcome.took) {
        took if took.is_empty() => took,
        took if word.contains(',') => format!(", {took}"),
        took => format!(" {took}"),
    };
    wrapped("", "", &format!("{}: {word}{took}", words(&report.title, LONGEST)))
}

/// A label and what is to be known, broken between words and indented below itself.
fn labelled(fact: &Fact, more: &str) -> String {
    let label = if fact.tone == Tone::Good { fact.label } else { "WARNING" };
    let indent = " ".repeat(LABEL);
    // A longer one is not glued to its text.
    let label = pad_end(label, LABEL - 1) + " ";
    let mut out = wrapped(&label, &indent, &breakable(&fact.text));
    let examples = fact.examples.iter().take(EXAMPLES);
    for text in fact.more.iter().chain(examples) {
        out += &wrapped(&indent, &indent, &breakable(text));
    }
    if fact.examples.len() > EXAMPLES {
        out += &format!("{indent}… ({more} names more)\n");
    }
    out
}

fn next(report: &Report) -> String {
    let mut out = String::new();
    for next in &report.next {
        // Commands are not wrapped, so that they can be copied.
        out += &format!("{}  {}\n", wrapped("", "", &(breakable(&next.to) + ":")), next.advice);
    }
    if let Some(kept) = &report.kept {
        out += &format!("{} shows this and more in a browser.\n", kept.page);
        out += &format!("Run directory: {}\n", printable(&kept.run_dir.to_string_lossy()));
    }
    if out.is_empty() { out } else { format!("\n{out}") }
}

/// A table as wide as it has to be. Where that is too wide, a last column of paths stands below its rows, one of words is
/// broken, else the first is cut; what is then too much is cut from the widest.
fn table(table: &Table, more: &str) -> String {
    let mut rows = vec![table.columns.clone()];
    rows.extend(table.rows.iter().take(table.in_terminal).flat_map(|row| lines(row)));
    let mut widths: Vec<usize> = (0..table.columns.len())
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|c| width(c)).max())
        .map(Option::unwrap_or_default)
        .collect();
    let whole = |widths: &[usize]| widths.iter().map(|width| width + GAP).sum::<usize>() - GAP;
    let mut below = Vec::new();
    if table.ends_with_paths() && whole(&widths) > COLUMNS {
        widths.pop();
        below = rows.iter_mut().skip(1).filter_map(Vec::pop).collect();
        rows[0].pop();
    }
    let is_number: Vec<_> = (0..widths.len()).map(|column| table.is_number(column)).collect();
    let last = widths.len() - 1;
    let flexible = if is_number[last] { 0 } else { last };
    let over = whole(&widths).saturating_sub(COLUMNS);
    widths[flexible] = widths[flexible].min(widths[flexible].saturating_sub(over).max(NARROW));
    while whole(&widths) > COLUMNS {
        let words = (0..widths.len()).filter(|&column| !is_number[column]);
        let Some(widest) = words.max_by_key(|&column| widths[column]) else { break };
        if widths[widest] <= NARROW {
            break;
        }
        widths[widest] -= 1;
    }
    let mut out = match table.caption.is_empty() {
        true => String::new(),
        false => wrapped("", "", &breakable(&table.caption)),
    };
    for (at, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, &wide)) in row.iter().zip(&widths).enumerate() {
            line += if column > 0 { "  " } else { "" };
            line += &match column == last && last == flexible && last > 0 {
                true => {
                    let words = cell.split(' ').map(|word| cut_end(word, wide));
                    let cell = words.collect::<Vec<_>>().join(" ");
                    let broken = wrapped(&line, &" ".repeat(width(&line)), &cell);
                    // Of an empty cell nothing is left, and the gap before it neither.
                    broken.get(line.len()..).unwrap_or_default().to_owned()
                }
                false if is_number[column] => {
                    format!("{:1$}{cell}", "", wide.saturating_sub(width(cell)))
                }
                false => pad_end(&cut_end(cell, wide), wide),
            };
        }
        out += line.trim_end();
        out += "\n";
        let path = at.checked_sub(1).and_then(|at| below.get(at));
        out += &path.map(|path| wrapped("  ", "  ", path)).unwrap_or_default();
    }
    if table.rows.len() > table.in_terminal {
        out += &format!("… ({more} has more)\n");
    }
    out
}

/// A row of a table; numbers that are not exact have the ends of their interval below them.
fn lines(row: &[Text]) -> Vec<Vec<String>> {
    let is_exact = |cell: &Text| cell.figure().is_none_or(|figure| figure.numbers().len() == 1);
    if row.iter().all(is_exact) {
        return vec![row.iter().map(plain).collect()];
    }
    let line = |name: &str, index: usize| {
        let number = |(column, cell): (usize, &Text)| match (cell.figure(), index) {
            (Some(figure), _) => {
                let numbers = figure.numbers();
                numbers.get(index).or(numbers.first()).map(|(number, _)| number.shown())
            }
            (None, 0) => Some(plain(cell)),
            (None, _) => (column == 0).then(|| name.to_owned()),
        };
        row.iter().enumerate().map(|cell| number(cell).unwrap_or_default()).collect()
    };
    vec![line("", 0), line("  at least", 1), line("  at most", 2)]
}

/// A text as it is kept: nothing of it is for the eye.
pub(in crate::report) fn whole(text: &Text) -> String {
    spelled(text, LONGEST, shown).replace('\u{a0}', " ")
}

/// A text as it stands in a cell.
fn plain(text: &Text) -> String {
    spelled(text, LONGEST_WORD, shown)
}

/// A text to be broken into lines, but not between a number and its unit.
fn breakable(text: &Text) -> String {
    spelled(text, LONGEST, |figure| match figure.number {
        // What is counted may stand on the next line.
        Number::Count(_) => shown(figure),
        _ => shown(figure).replace(' ', "\u{a0}"),
    })
}

fn spelled(text: &Text, longest_word: usize, figure_as: impl Fn(&Figure) -> String) -> String {
    let pieces = text.0.iter().map(|piece| match piece {
        Piece::Own(words) | Piece::Verdict(_, words) => (*words).to_owned(),
        Piece::Words(text) => words(text, longest_word),
        Piece::Code(text) if text.starts_with("--") => unbroken(&printable(text)),
        Piece::Code(text) => cut_end(&printable(text), longest_word),
        Piece::Path(path) => unbroken(&printable(path)),
        Piece::Figure(figure) => figure_as(figure),
    });
    pieces.collect()
}

/// Words of others, none of them longer than that.
fn words(text: &str, longest_word: usize) -> String {
    let words: Vec<_> =
        text.split(' ').map(|word| cut_end(&printable(word), longest_word)).collect();
    cut_end(&words.join(" "), LONGEST)
}

/// A path or a flag, which stands on one line, so that it can be copied.
fn unbroken(path: &str) -> String {
    path.replace(' ', "\u{a0}")
}

/// Text of others as it may go to a terminal: what is not printable is escaped.
pub(in crate::report) fn printable(text: &str) -> String {
    let escaped = text.escape_debug().to_string();
    // Quotes do no harm, nor do a backslash, which is often part of what is written so already, and a space at which no
    // line is broken.
    let escaped = escaped.replace("\\'", "'").replace("\\\"", "\"");
    escaped.replace("\\u{a0}", "\u{a0}").replace("\\\\", "\\")
}

/// Text after what stands in front of its first line and of the lines below. A word that does not fit has a line of its own.
fn wrapped(first: &str, indent: &str, text: &str) -> String {
    let [room_first, room] = [first, indent].map(|before| COLUMNS.saturating_sub(width(before)));
    let lines = filled(text.split(' '), room_first, room).into_iter().enumerate();
    let lines = lines.map(|(at, line)| {
        let line = format!("{}{line}", if at == 0 { first } else { indent });
        format!("{}\n", line.trim_end())
    });
    lines.collect::<String>().replace('\u{a0}', " ")
}

/// At most `wide` columns; what is cut is at the end.
fn cut_end(text: &str, wide: usize) -> String {
    if width(text) <= wide {
        return text.to_owned();
    }
    let mut left = wide.saturating_sub(1);
    let fits = |c: &char| match left.checked_sub(c.width().unwrap_or_default()) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// Text with spaces behind it, up to so many columns.
pub(in crate::report) fn pad_end(text: &str, wide: usize) -> String {
    format!("{text}{:1$}", "", wide.saturating_sub(width(text)))
}

/// The columns of a terminal that text takes: ideographs take two, combining marks none.
pub(in crate::report) fn width(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::words::{count, path, say};

    #[test]
    fn what_others_wrote_cannot_steer_a_terminal() {
        assert_eq!(
            printable("it's \"é\" \u{1b}[2J\r\n\u{202e}\\'"),
            r#"it's "é" \u{1b}[2J\r\n\u{202e}\'"#
        );
    }

    #[test]
    fn text_is_wrapped_and_cut() {
        let text =
            "1,000,000 = 3 blank + 12 rejected + 40 duplicates + 999,945 pairs and then some";
        let show = |label, text: &str| labelled(&Fact::new(label, text), "");
        assert_eq!(
            show("Input", text),
            "Input       1,000,000 = 3 blank + 12 rejected + 40 duplicates + 999,945 pairs\n\
             \x20           and then some\n"
        );
        let long = format!("{} of {}", "x".repeat(1_000), "y".repeat(90));
        // A word that is too long stands alone, whole, so that it can be copied.
        assert!(wrapped("", "", &long).lines().any(|line| line == "x".repeat(1_000)), "{long}");
        let id = "x".repeat(100);
        assert!(show("Why", &format!("of {id} here")).contains(&format!("\n            {id}\n")));
        let run_dir = format!("/var/{}/my runs/r1", "d".repeat(90));
        let said = labelled(&Fact::new("Run", path(std::path::Path::new(&run_dir))), "");
        assert_eq!(said, format!("Run         {run_dir}\n"));
        let mut listed = Table::new(["run", "where"]);
        listed.push([say!("r1"), path(std::path::Path::new(&run_dir))]);
        assert_eq!(table(&listed, ""), format!("run\nr1\n  {run_dir}\n"));
        assert_eq!(cut_end("a long reason", 7), "a long…");
        // Ideographs take two columns, combining marks none.
        assert_eq!(cut_end("漢字漢字", 6), "漢字…");
        assert_eq!(cut_end("e\u{301}e\u{301}", 2), "e\u{301}e\u{301}");
    }

    #[test]
    fn tables_fit_and_their_columns_are_aligned() {
        let wide = Table::new(["漢字", "字"]).with([[say!("abcd"), count(12).into()]]);
        assert_eq!(table(&wide, ""), "漢字  字\nabcd  12\n");
        let name = "x".repeat(90);
        let numbers = Table::new(["of", "number"]).with([[Text::from(&name), count(1_000).into()]]);
        for line in table(&numbers, "").lines() {
            assert_eq!(width(line), COLUMNS.min(48), "{line}");
        }
        let cells = ["c".repeat(30), "s".repeat(40), "t".repeat(40), "a".repeat(9)];
        let values = Table::new(["column", "survivor", "source", "afterwards"]);
        let values = table(&values.with([cells.each_ref().map(Text::from)]), "");
        assert!(values.lines().all(|line| width(line) <= COLUMNS), "{values}");
        let reasons = Table::new(["groups", "reason"]).in_terminal(1).with([
            [count(7).into(), Text::from("because ".repeat(12))],
            [count(8).into(), say!("-")],
        ]);
        let text = table(&reasons, "r.json");
        assert!(text.starts_with("groups  reason\n     7  because because"), "{text}");
        assert!(text.contains("because\n        because"), "{text}");
        assert!(text.ends_with("\n… (r.json has more)\n"), "{text}");
        assert!(text.lines().all(|line| width(line) <= COLUMNS), "{text}");
    }
}
