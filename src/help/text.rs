//! A topic for a terminal, or for whatever reads a pipe.

use unicode_width::UnicodeWidthStr;

use super::markdown::{Block, pieces};
use crate::wrap::filled;

/// What stands before everything but headings.
const INDENT: usize = 2;
/// What stands between two columns of a table.
const GAP: usize = 2;
/// The least that is left to a column.
const NARROW: usize = 6;

/// Blocks as text of lines of at most `width` columns; only code may be wider.
pub fn text(blocks: &[Block], width: usize) -> String {
    let mut out = String::new();
    let mut before = None;
    for block in blocks {
        let is_item = |block: &Block| matches!(block, Block::Item(..));
        let goes_on = is_item(block) && before.is_some_and(is_item);
        let is_first = matches!(before, None | Some(Block::Heading(..)));
        out += if goes_on || is_first { "" } else { "\n" };
        let lines = match block {
            Block::Heading(1, title) => vec![plain(title).to_uppercase(), String::new()],
            Block::Heading(_, title) => vec![plain(title)],
            Block::Paragraph(text) => wrapped(&plain(text), width.saturating_sub(INDENT)),
            Block::Item(mark, text) => {
                let hang = mark.width() + 1;
                let lines = wrapped(&plain(text), width.saturating_sub(INDENT + hang));
                let before = |n| if n == 0 { format!("{mark} ") } else { " ".repeat(hang) };
                lines.iter().enumerate().map(|(n, line)| before(n) + line).collect()
            }
            Block::Table(rows) => table(rows, width.saturating_sub(INDENT)),
            Block::Code(_, lines) => lines.iter().map(|line| format!("  {line}")).collect(),
        };
        let indent = if matches!(block, Block::Heading(..)) { 0 } else { INDENT };
        for line in lines {
            let line = format!("{}{line}", " ".repeat(indent));
            out += &format!("{}\n", line.trim_end());
        }
        before = Some(block);
    }
    out
}

/// A text without marks.
fn plain(text: &str) -> String {
    pieces(text).into_iter().map(|(_, piece)| piece).collect()
}

/// A table whose columns begin below each other.
pub(super) fn table(rows: &[Vec<String>], width: usize) -> Vec<String> {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.width()).max()
    };
    let mut widths: Vec<usize> = (0..columns).filter_map(widest).collect();
    let room = width.saturating_sub(GAP * columns.saturating_sub(1));
    while widths.iter().sum::<usize>() > room
        && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > NARROW)
    {
        *widest -= 1;
    }
    let mut lines = Vec::new();
    let are_tall = rows.iter().flatten().any(|cell| cell.width() > room);
    for (n, row) in rows.iter().enumerate() {
        let cells: Vec<Vec<String>> =
            row.iter().zip(&widths).map(|(cell, width)| wrapped(cell, *width)).collect();
        if are_tall && n > 1 {
            lines.push(String::new());
        }
        for at in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
            let parts = cells.iter().zip(&widths).map(|(cell, width)| {
                let part = cell.get(at).map_or("", String::as_str);
                format!("{part}{}", " ".repeat(width.saturating_sub(part.width()) + GAP))
            });
            lines.push(parts.collect::<String>().trim_end().to_owned());
        }
        if n == 0 {
            let rules = widths.iter().map(|width| "-".repeat(*width));
            lines.push(rules.collect::<Vec<_>>().join(&" ".repeat(GAP)));
        }
    }
    lines
}

/// A text in lines of a width; a word that is longer is broken.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    filled(text.split_whitespace().flat_map(|word| broken(word, width)), width, width)
}

/// A word in parts of at most a width.
fn broken(word: &str, width: usize) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    for (at, c) in word.char_indices() {
        if at > begin && word[begin..at + c.len_utf8()].width() > width {
            parts.push(&word[begin..at]);
            begin = at;
        }
    }
    parts.push(&word[begin..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::super::markdown::blocks;
    use super::*;

    #[test]
    fn tables_are_aligned_and_nothing_but_code_is_wide() {
        let shown = text(
            &blocks(
                "# A b\n\none `two` three\n\n- four five six seven\n\n| a | b |\n|-|-|\n| cccccccc | d e f g h |\n\n```sh\nas it   is, however wide\n```\n",
            ),
            16,
        );
        let expected = "\
A B

  one two three

  - four five
    six seven

  a       b
  ------  ------
  cccccc  d e f
  cc      g h

    as it   is, however wide
";
        assert_eq!(shown, expected);
    }
}
