//! A report as one page for a browser: nothing to load, light or dark, on a screen, a phone or paper.
//!
//! A [`Page`] is a value made of [`Section`]s, and those of text, tables and plots, so a command that has something
//! of its own to tell adds a section and no markup. What is told is escaped where it is written ([`markup`]), and
//! nothing else can write; the page's policy lets a browser run the one script that is in it, and load nothing.
//!
//! Every number that is in the JSON as well names its place there (`data-figure`, a JSON pointer): the tests hold the
//! two against each other.

mod document;
mod markup;
mod of_inspection;
mod of_run;
mod of_undo;
mod of_verify;
mod sections;
#[cfg(test)]
mod tests;

pub use of_run::summary_page;
pub use of_undo::undo_page;
pub use of_verify::verify_page;

use super::plot::{LatencyPlot, OverTime};
use crate::advice::Advice;

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What it is about, as in `apply 20261123T041455Z-3f9a`.
    pub title: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What it was: names and values, in a few words each.
    pub facts: Vec<(String, Told)>,
    /// The numbers that matter most.
    pub figures: Vec<Figure>,
    /// What to do next, in words and as a command that can be copied.
    pub next: Vec<(String, Advice)>,
    /// All the rest.
    pub sections: Vec<Section>,
    /// The file that has the same figures.
    pub json_file: String,
}

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// How good that is.
    pub tone: Tone,
    /// In a word or two.
    pub word: String,
    /// In a sentence.
    pub sentence: String,
}

/// How good something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    #[default]
    Good,
    /// Worth a look.
    Warning,
    /// It needs somebody.
    Bad,
}

/// A number that matters.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it counts.
    pub name: String,
    /// The number.
    pub value: Told,
    /// What to know about it.
    pub note: String,
    /// Whether it is as it should be.
    pub tone: Tone,
}

/// A part of a page, with a title of its own.
#[derive(Clone, Debug, Default)]
pub struct Section {
    /// The title; there is only one section of that title.
    pub title: String,
    /// What to know before looking.
    pub prose: Vec<String>,
    /// What there is to look at.
    pub blocks: Vec<Block>,
}

/// Something to look at.
#[derive(Clone, Debug)]
pub enum Block {
    /// A paragraph.
    Text(String),
    /// A paragraph that stands out.
    Note(Tone, String),
    /// A table; its columns can be sorted by.
    Table(Table),
    /// Bars below each other, as long as the part of the first that they are.
    Bars(Vec<Bar>),
    /// A plot over time.
    OverTime(OverTime),
    /// A plot of latencies.
    Latencies(LatencyPlot),
}

/// A bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What is counted.
    pub name: String,
    /// The number.
    pub value: Told,
    /// How long the bar is, from 0 to 1.
    pub part: f64,
    /// What to know about it.
    pub note: String,
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What it shows; may be empty.
    pub caption: String,
    /// The heads of its columns. Columns of numbers stand at the right by themselves.
    pub columns: Vec<String>,
    /// As many cells in each row as there are columns.
    pub rows: Vec<Vec<Told>>,
}

/// A value that is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    kind: Kind,
    /// Its place in the JSON, as a JSON pointer.
    figure: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// Words.
    Words(String),
    /// An id, a path, a value: text of others.
    Code(String),
    /// A number of things.
    Count(u64),
    /// A duration in microseconds, as it was measured.
    Latency(u64),
    /// A number of another kind, and how it is shown.
    Number(f64, String),
    /// Whether something is as it should be, and how that is said.
    Verdict(Tone, String),
}

impl Told {
    /// Words of our own.
    pub fn words(text: impl Into<String>) -> Self {
        Kind::Words(text.into()).into()
    }

    /// An id, a path, a value: text of others.
    pub fn code(text: impl Into<String>) -> Self {
        Kind::Code(text.into()).into()
    }

    /// A number of things.
    pub fn count(n: u64) -> Self {
        Kind::Count(n).into()
    }

    /// A latency in microseconds.
    pub fn latency(us: u64) -> Self {
        Kind::Latency(us).into()
    }

    /// A number and how it is shown.
    pub fn number(value: f64, shown: impl Into<String>) -> Self {
        Kind::Number(value, shown.into()).into()
    }

    /// Whether something is as it should be, and how that is said.
    pub fn verdict(tone: Tone, said: impl Into<String>) -> Self {
        Kind::Verdict(tone, said.into()).into()
    }

    /// Names its place in the JSON, as in `/groups/done`.
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.figure = Some(pointer.into());
        self
    }

    fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Count(_) | Kind::Latency(_) | Kind::Number(..))
    }
}

impl From<Kind> for Told {
    fn from(kind: Kind) -> Self {
        Self { kind, figure: None }
    }
}

impl Section {
    /// A section with nothing in it yet.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), ..Self::default() }
    }

    /// With a paragraph before what there is to look at.
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.prose.push(text.into());
        self
    }

    /// With something to look at.
    pub fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }
}

impl Table {
    /// A table without rows yet.
    pub fn new<const N: usize>(caption: &str, columns: [&str; N]) -> Self {
        let columns = columns.map(str::to_owned).to_vec();
        Self { caption: caption.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: impl Into<Vec<Told>>) {
        self.rows.push(row.into());
    }

    /// With these rows.
    pub fn with<const N: usize>(mut self, rows: impl IntoIterator<Item = [Told; N]>) -> Self {
        self.rows.extend(rows.into_iter().map(Vec::from));
        self
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}
