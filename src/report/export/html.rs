//! A report as one page for a browser: nothing to load, light or dark, on a screen, a phone or paper.
//!
//! Whatever is told is escaped where it is written ([`Escaped`]); the page's policy lets a browser run the one script
//! that is in it, and load nothing. Every number that is in the JSON as well names its path there (`data-figure`, a JSON
//! pointer): the tests hold the two against each other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use sha2::{Digest, Sha256};

use super::whole;
use crate::report::document::{Block, Fact, Outcome, Report, Section, Table, Tone};
use crate::report::escaped::Escaped;
use crate::report::figures::Number;
use crate::report::words::{Figure, Piece, Text};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("sort.js");

/// A report as HTML that stands alone.
pub(in crate::report) fn html(report: &Report) -> String {
    let (large, facts): (Vec<_>, Vec<_>) =
        report.facts.iter().partition(|fact| fact.text.figure().is_some());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                link rel="icon" href="data:,";
                title { (Escaped(&report.title)) " · " (capitalised(&whole(&report.outcome.word))) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        p.brand { "tributary" }
                        h1 { (Escaped(&report.title)) }
                        p class={ "outcome " (report.outcome.tone.class()) } {
                            strong #outcome { (word(&report.outcome)) } " "
                            span { (report.outcome.took) }
                        }
                        dl.facts {
                            @if let Some(kept) = &report.kept {
                                div { dt { "Run" } dd.code { (Escaped(&kept.run_dir.to_string_lossy())) } }
                            }
                            @for fact in facts { (fact) }
                        }
                    }
                    @if !large.is_empty() { ul.figures { @for fact in large { (Large(fact)) } } }
                    (next(report))
                    @if report.sections.len() > 2 {
                        nav aria-label="Sections" {
                            @for section in &report.sections {
                                a href={ "#" (section.id()) } { (section.title) } " "
                            }
                        }
                    }
                    @for section in &report.sections { (section) }
                    footer { p {
                        (concat!("Written by tributary ", env!("CARGO_PKG_VERSION"), ". "))
                        @if let Some(kept) = &report.kept {
                            code { (kept.json) } " beside this page has the same figures for programs. "
                        }
                        "Times are in UTC."
                    } }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// What a browser may do with the page: show it, and run the script that is in it, recognised by its hash.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
}

/// How it ended, where it stands alone.
fn word(outcome: &Outcome) -> Markup {
    match outcome.word.0.split_first() {
        Some((Piece::Own(first), rest)) => html! { (capitalised(first)) (pieces(rest)) },
        _ => outcome.word.render(),
    }
}

fn capitalised(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

fn next(report: &Report) -> Markup {
    html! {
        @if !report.next.is_empty() {
            section.next #what-to-do-next {
                h2 { "What to do next" }
                dl {
                    @for next in &report.next {
                        dt { (next.to) }
                        dd { code.command tabindex="0" { (Escaped(&next.advice.to_string())) } }
                    }
                }
            }
        }
    }
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

/// A fact that begins with a number, which stands out.
struct Large<'a>(&'a Fact);

impl Render for Large<'_> {
    fn render(&self) -> Markup {
        let (number, rest) = self.0.text.0.split_at(1);
        // What follows the number stands below it.
        let (between, rest) = match rest.split_first() {
            Some((Piece::Own(words), rest)) => (words.trim_start_matches([',', ':', ' ']), rest),
            _ => ("", rest),
        };
        html! {
            li class=(self.0.tone.class()) {
                span.name { (self.0.label) }
                b { (pieces(number)) }
                span.note { (between) (pieces(rest)) }
                @for more in self.0.more.iter().chain(&self.0.examples) { span.note { (more) } }
            }
        }
    }
}

impl Render for Fact {
    fn render(&self) -> Markup {
        html! {
            div class=[(self.tone != Tone::Good).then(|| self.tone.class())] {
                dt { (self.label) }
                dd {
                    (self.text)
                    @for more in self.more.iter().chain(&self.examples) { br; (more) }
                }
            }
        }
    }
}

impl Section {
    /// What links name it by.
    fn id(&self) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        self.title.chars().map(letter).collect()
    }
}

impl Render for Section {
    fn render(&self) -> Markup {
        html! {
            section id=(self.id()) {
                h2 { (self.title) }
                @if !self.about.is_empty() { p.prose { (self.about) } }
                @for block in &self.blocks {
                    @match block {
                        Block::Fact(fact) => dl.facts.wide { (fact) },
                        Block::Table(table) => (table),
                        Block::Bars(bars) => ol.bars { @for bar in bars { (Bar(bar)) } },
                        Block::OverTime(plot) => figure { (PreEscaped(plot.svg())) },
                        Block::Latencies(plot) => figure { (PreEscaped(plot.svg())) },
                    }
                }
            }
        }
    }
}

struct Bar<'a>(&'a (Text, Figure, f64));

impl Render for Bar<'_> {
    fn render(&self) -> Markup {
        let (name, value, part) = self.0;
        let part = if part.is_finite() { part.clamp(0.0, 1.0) } else { 0.0 };
        html! {
            li {
                span.name { (name) }
                b { (value) }
                span.track { span.bar style=(format!("width:{:.2}%", part * 100.0)) {} }
                span.note { (Number::Part(part).shown()) }
            }
        }
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        html! {
            // It can be scrolled by keys as well.
            div.scroll tabindex="0" role="group" {
                table {
                    @if !self.caption.is_empty() { caption { (self.caption) } }
                    thead { tr {
                        @for (index, column) in self.columns.iter().enumerate() {
                            th class=[self.is_number(index).then_some("number")] scope="col" {
                                button type="button" { (Escaped(column)) }
                            }
                        }
                    } }
                    tbody {
                        @for row in &self.rows {
                            tr { @for (index, cell) in row.iter().enumerate() { (Cell(cell, self.is_number(index))) } }
                        }
                    }
                }
            }
        }
    }
}

/// A cell, and whether its column has numbers.
struct Cell<'a>(&'a Text, bool);

impl Render for Cell<'_> {
    fn render(&self) -> Markup {
        let class = match self.0.0.as_slice() {
            _ if self.1 => "number",
            // What is as short as a UUID stays on its line.
            [Piece::Code(text)] if text.chars().count() <= 40 => "code short",
            [Piece::Code(_)] => "code",
            _ => match whole(self.0).chars().count() {
                ..=24 => "",
                25..=60 => "words",
                _ => "long",
            },
        };
        // What is not known comes last where the largest comes first.
        let value = self.0.figure().map_or(-1.0, |figure| figure.number.value());
        let value = self.1.then_some(value);
        html! {
            td class=[(!class.is_empty()).then_some(class)] data-value=[value] {
                @match self.0.0.as_slice() {
                    [Piece::Code(text)] => (Escaped(text)),
                    _ => (self.0),
                }
            }
        }
    }
}

impl Render for Text {
    fn render(&self) -> Markup {
        pieces(&self.0)
    }
}

fn pieces(pieces: &[Piece]) -> Markup {
    html! {
        @for piece in pieces {
            @match piece {
                Piece::Own(words) => (Escaped(words)),
                Piece::Words(words) => (Escaped(words)),
                Piece::Code(text) | Piece::Path(text) => code { (Escaped(text)) },
                Piece::Verdict(tone, word) => span class={ "verdict " (tone.class()) } { (word) },
                Piece::Figure(figure) => (figure),
            }
        }
    }
}

impl Render for Figure {
    fn render(&self) -> Markup {
        let number = |(number, at): &(Number, Option<String>)| {
            html! { span data-value=(number.value()) data-figure=[at.as_deref().map(Escaped)] { (Escaped(&number.shown())) } }
        };
        let [before, after] = self.around;
        let numbers = self.numbers();
        html! {
            (before) (number(&numbers[0])) (after)
            @if let [_, low, high] = numbers.as_slice() { " (" (number(low)) " to " (number(high)) ")" }
            (self.unit())
        }
    }
}

impl Render for Escaped<'_> {
    fn render_to(&self, html: &mut String) {
        use std::fmt::Write;
        // Writing to a string cannot fail.
        let _ = write!(html, "{self}");
    }
}
