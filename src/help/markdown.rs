//! As much of Markdown as the manual is written in: headings, paragraphs, lists, tables and blocks of code.

/// A block of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A heading, with its level from 1 on.
    Heading(usize, String),
    Paragraph(String),
    /// A point of a list, with what stands before it.
    Item(String, String),
    /// A table by rows, the first of which is its head.
    Table(Vec<Vec<String>>),
    /// Code, in a language, as it is.
    Code(String, Vec<String>),
}

/// What a piece of text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Code,
    Strong,
}

const FENCE: &str = "```";

/// Reads a topic of the manual: the Markdown that the manual uses, no more.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix(FENCE) {
            let code = lines.by_ref().take_while(|line| !line.starts_with(FENCE));
            blocks.push(Block::Code(language.to_owned(), code.map(str::to_owned).collect()));
        } else if let Some(row) = line.strip_prefix('|') {
            let cells = row.trim_end().trim_end_matches('|').split('|');
            let cells: Vec<_> = cells.map(|cell| cell.trim().to_owned()).collect();
            let is_rule = cells.iter().all(|cell| cell.chars().all(|c| "-: ".contains(c)));
            match blocks.last_mut() {
                Some(Block::Table(rows)) if is_rule && rows.len() == 1 => {}
                Some(Block::Table(rows)) => rows.push(cells),
                _ => blocks.push(Block::Table(vec![cells])),
            }
        } else if line.starts_with('#') {
            let title = line.trim_start_matches('#');
            blocks.push(Block::Heading(line.len() - title.len(), title.trim().to_owned()));
        } else if let Some((mark, item)) = item(line) {
            blocks.push(Block::Item(mark.to_owned(), item.to_owned()));
        } else if !line.trim().is_empty() {
            blocks.push(Block::Paragraph(line.trim().to_owned()));
        }
    }
    blocks
}

/// A point of a list: its mark, and what it says.
fn item(line: &str) -> Option<(&str, &str)> {
    let (mark, item) = line.split_once(' ')?;
    let is_number = mark.strip_suffix('.').is_some_and(|n| n.parse::<u8>().is_ok());
    (mark == "-" || is_number).then_some((mark, item))
}

/// The pieces of a paragraph, each with how it is set.
pub(super) fn pieces(text: &str) -> Vec<(Style, &str)> {
    let mut pieces = Vec::new();
    // What stands between two marks is every other piece.
    for (n, piece) in text.split('`').enumerate() {
        if n % 2 == 1 {
            pieces.push((Style::Code, piece));
            continue;
        }
        for (n, piece) in piece.split("**").enumerate() {
            let style = if n % 2 == 1 { Style::Strong } else { Style::Plain };
            pieces.extend(piece.split('*').map(|piece| (style, piece)));
        }
    }
    pieces.retain(|(_, piece)| !piece.is_empty());
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_falls_into_its_blocks() {
        let text = "# A\n\nb *c* **d** `*e*`\n\n- f\n2. g\n\n| h | i |\n|---|---|\n| j | |\n```sh\n# k\n```\n";
        let own = str::to_owned;
        let row = |row: [&str; 2]| row.map(str::to_owned).to_vec();
        assert_eq!(
            blocks(text),
            [
                Block::Heading(1, own("A")),
                Block::Paragraph(own("b *c* **d** `*e*`")),
                Block::Item(own("-"), own("f")),
                Block::Item(own("2."), own("g")),
                Block::Table(vec![row(["h", "i"]), row(["j", ""])]),
                Block::Code(own("sh"), vec![own("# k")]),
            ]
        );
        assert_eq!(
            pieces("b *c* **d** `*e*`"),
            [
                (Style::Plain, "b "),
                (Style::Plain, "c"),
                (Style::Plain, " "),
                (Style::Strong, "d"),
                (Style::Plain, " "),
                (Style::Code, "*e*"),
            ]
        );
    }
}
