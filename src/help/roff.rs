//! A topic as a man page.

use std::io;

use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::Topic;
use super::markdown::{Block, Style, pieces};
use super::text::table;

/// What a table has room for: a page of 80 columns has margins.
const COLUMNS: usize = 72;

/// The page of a topic, made of these blocks: its name, and its text.
///
/// # Errors
/// None, but the writer's.
pub fn page(topic: &Topic, blocks: &[Block]) -> io::Result<(String, Vec<u8>)> {
    let name = format!("tributary-{}", topic.name);
    let mut roff = Roff::new();
    roff.control("TH", [&*name, "7", "", concat!("tributary ", env!("CARGO_PKG_VERSION"))]);
    roff.control("SH", ["NAME"]);
    roff.text([roman(format!("{name} - {}", topic.about))]);
    for block in blocks {
        match block {
            Block::Heading(1, title) => drop(roff.control("SH", [&*title.to_uppercase()])),
            Block::Heading(_, title) => drop(roff.control("SS", [&**title])),
            Block::Paragraph(text) => drop(roff.control("PP", []).text(inlines(text))),
            Block::Item(mark, text) => {
                roff.control("IP", [&**mark, "3"]).text(inlines(text));
            }
            Block::Table(rows) => as_it_is(&mut roff, &table(rows, COLUMNS)),
            Block::Code(_, lines) => as_it_is(&mut roff, lines),
        }
    }
    let mut page = Vec::new();
    roff.to_writer(&mut page)?;
    Ok((format!("{name}.7"), page))
}

fn as_it_is(roff: &mut Roff, lines: &[String]) {
    roff.control("PP", []).control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

fn inlines(text: &str) -> Vec<Inline> {
    let inline = |(style, piece): (Style, &str)| match style {
        Style::Plain => roman(piece),
        Style::Code | Style::Strong => bold(piece),
    };
    pieces(text).into_iter().map(inline).collect()
}
