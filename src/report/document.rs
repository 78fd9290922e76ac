//! One description of an answer, which every format shows: labelled facts, tables, plots, and what to do next.
//!
//! A command says here what it has to say, once; how that looks in a terminal, in JSON or in a browser is up to
//! [`export`](super::export).

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::Equation;
use super::plot::{LatencyPlot, OverTime};
use super::words::{Figure, Text};
use crate::advice::Advice;

/// So many examples are named in a terminal.
pub(super) const EXAMPLES: usize = 3;

/// What a command has to say when it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// What it is about, as in `apply 20261123T041455Z-3f9a`.
    pub title: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What matters most.
    pub(crate) facts: Vec<Fact>,
    /// All the rest.
    pub(crate) sections: Vec<Section>,
    /// What to do next.
    pub next: Vec<Next>,
    /// What must add up.
    pub(crate) equations: Vec<Equation>,
    /// Where it is kept, if it is.
    pub kept: Option<Kept>,
}

/// How a command ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// How good that is.
    pub(crate) tone: Tone,
    /// In a word or a few.
    pub word: Text,
    /// How long it took, as in `in 12.3 s`.
    pub took: Text,
}

/// How good something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it should be.
    #[default]
    Good,
    /// Worth a look.
    Warning,
    /// It needs somebody.
    Bad,
}

/// Something to know, with a label.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fact {
    /// What it is about, in one word or two.
    pub(crate) label: &'static str,
    /// What is to be known. A page shows a number at the beginning large.
    pub text: Text,
    /// What else is.
    pub more: Vec<Text>,
    /// A few of those that it is about; the first of them are enough for a terminal.
    pub(crate) examples: Vec<Text>,
    /// Whether it is as it should be.
    pub(crate) tone: Tone,
}

/// What to do next.
#[derive(Clone, Debug)]
pub(crate) struct Next {
    /// What for, as in `To go on`.
    pub to: Text,
    /// The command.
    pub(crate) advice: Advice,
}

/// Where a report is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The run directory.
    pub run_dir: PathBuf,
    pub page: &'static str,
    /// The same figures for programs.
    pub json: &'static str,
}

/// A part of a report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Section {
    /// Its title on a page; there is only one section of that title.
    pub title: &'static str,
    /// How it is to be read; a page says it.
    pub(crate) about: &'static str,
    /// What there is to look at.
    pub(crate) blocks: Vec<Block>,
}

/// Something to look at.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    /// Something to know.
    Fact(Fact),
    Table(Table),
    /// Bars below each other, as long as the part of the first that they are; a page draws them.
    Bars(Vec<(Text, Figure, f64)>),
    /// A plot over time; a page draws it.
    OverTime(OverTime),
    /// A plot of latencies; a page draws it.
    Latencies(LatencyPlot),
}

/// A table. Columns of numbers stand at the right by themselves; where the last one is words, they are broken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// What it shows; may be empty.
    pub(crate) caption: Text,
    /// The heads of its columns.
    pub columns: Vec<String>,
    /// As many cells in each row as there are columns.
    pub rows: Vec<Vec<Text>>,
    /// So many rows are enough for a terminal.
    pub(crate) in_terminal: usize,
}

impl Report {
    /// Nothing is said yet of a command over a run.
    pub(crate) fn new(command: &str, run: &impl std::fmt::Display, kept: Kept) -> Self {
        Self { title: format!("{command} {run}"), kept: Some(kept), ..Self::default() }
    }

    /// Advises a command.
    pub(crate) fn advise(&mut self, to: Text, advice: Advice) {
        self.next.push(Next { to, advice });
    }

    /// Everything to know, in the order of a page.
    pub(super) fn all_facts(&self) -> impl Iterator<Item = &Fact> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        self.facts.iter().chain(blocks.filter_map(|block| match block {
            Block::Fact(fact) => Some(fact),
            _ => None,
        }))
    }

    /// All its numbers, each with whether a terminal has room for it.
    pub(super) fn figures(&self) -> Vec<(&Figure, bool)> {
        let mut texts = vec![(&self.outcome.word, true), (&self.outcome.took, true)];
        let mut all = Vec::new();
        for Fact { text, more, examples, .. } in self.all_facts() {
            texts.extend([text].into_iter().chain(more).map(|text| (text, true)));
            texts.extend(examples.iter().enumerate().map(|(n, text)| (text, n < EXAMPLES)));
        }
        for block in self.sections.iter().flat_map(|section| &section.blocks) {
            match block {
                Block::Table(Table { caption, rows, in_terminal, .. }) => {
                    texts.push((caption, *in_terminal > 0));
                    for (n, row) in rows.iter().enumerate() {
                        texts.extend(row.iter().map(|cell| (cell, n < *in_terminal)));
                    }
                }
                Block::Bars(bars) => all.extend(bars.iter().map(|(_, figure, _)| (figure, false))),
                Block::Fact(_) | Block::OverTime(_) | Block::Latencies(_) => {}
            }
        }
        texts.extend(self.next.iter().map(|next| (&next.to, true)));
        for (text, in_terminal) in texts {
            all.extend(text.figures().map(|figure| (figure, in_terminal)));
        }
        all
    }

    /// Adds a section, unless there is nothing in it.
    pub(crate) fn add(&mut self, section: impl Into<Option<Section>>) {
        self.sections.extend(section.into().filter(|section| !section.blocks.is_empty()));
    }
}

impl Kept {
    /// In these files of a run directory.
    pub(crate) fn new(run_dir: &Path, page: &'static str, json: &'static str) -> Self {
        Self { run_dir: run_dir.to_path_buf(), page, json }
    }
}

impl Fact {
    /// Something to know.
    pub(crate) fn new(label: &'static str, text: impl Into<Text>) -> Self {
        Self { label, text: text.into(), ..Self::default() }
    }

    /// How good that is.
    pub(crate) fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// With something else to know.
    pub(crate) fn with(mut self, more: Text) -> Self {
        self.more.push(more);
        self
    }
}

impl Section {
    /// A section with nothing in it yet.
    pub(crate) fn new(title: &'static str) -> Self {
        Self { title, ..Self::default() }
    }

    /// With how it is to be read.
    pub(crate) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// With something to look at; a table without rows is nothing.
    pub(crate) fn with(mut self, block: impl Into<Block>) -> Self {
        let block = block.into();
        if !matches!(&block, Block::Table(table) if table.rows.is_empty()) {
            self.blocks.push(block);
        }
        self
    }

    /// With all of these.
    pub(crate) fn with_all(self, blocks: impl IntoIterator<Item = impl Into<Block>>) -> Self {
        blocks.into_iter().fold(self, Self::with)
    }
}

impl Table {
    /// A table without rows yet, all of which are for a terminal.
    pub(crate) fn new<const N: usize>(columns: [&str; N]) -> Self {
        let columns = columns.map(str::to_owned).to_vec();
        Self { columns, in_terminal: usize::MAX, ..Self::default() }
    }

    /// With what it shows.
    pub(crate) fn caption(self, caption: impl Into<Text>) -> Self {
        Self { caption: caption.into(), ..self }
    }

    /// With so many rows in a terminal.
    pub(crate) fn in_terminal(self, in_terminal: usize) -> Self {
        Self { in_terminal, ..self }
    }

    pub(super) fn is_number(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.any(|cell| cell.figure().is_some())
    }

    /// Whether the last column is of paths.
    pub(super) fn ends_with_paths(&self) -> bool {
        self.rows.iter().any(|row| row.last().is_some_and(Text::is_path))
    }

    /// Adds a row.
    pub(crate) fn push<T: Into<Text>>(&mut self, row: impl IntoIterator<Item = T>) {
        self.rows.push(row.into_iter().map(Into::into).collect());
    }

    /// With these rows.
    pub(crate) fn with<const N: usize>(
        mut self,
        rows: impl IntoIterator<Item = [Text; N]>,
    ) -> Self {
        rows.into_iter().for_each(|row| self.push(row));
        self
    }
}

impl From<Fact> for Block {
    fn from(fact: Fact) -> Self {
        Self::Fact(fact)
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl Serialize for Next {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Next", 2)?;
        fields.serialize_field("to", &super::export::whole(&self.to))?;
        fields.serialize_field("command", &self.advice)?;
        fields.end()
    }
}
