//! A page as HTML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::markup::Markup;
use super::{Bar, Block, Figure, Kind, Page, Section, Table, Told, Tone};
use crate::report::text::{count, latency};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("sort.js");

impl Page {
    /// The page as HTML that stands alone.
    pub fn html(&self) -> String {
        let mut out = Markup::default();
        out.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
        out.open("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &policy())]);
        out.raw(
            "\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <link rel=\"icon\" href=\"data:,\">\n",
        );
        out.element("title", &[], &format!("{} · {}", self.title, self.outcome.word));
        out.raw("\n<style>\n");
        out.raw(STYLE);
        out.raw("</style>\n</head>\n<body>\n<main>\n");
        self.head(&mut out);
        for section in &self.sections {
            section.write(&mut out);
        }
        self.foot(&mut out);
        out.raw("</main>\n<script>");
        out.raw(SCRIPT);
        out.raw("</script>\n</body>\n</html>\n");
        out.finish()
    }

    fn head(&self, out: &mut Markup) {
        out.raw("<header>\n<p class=\"brand\">tributary</p>\n");
        out.element("h1", &[], &self.title);
        out.open("p", &[("class", &format!("outcome {}", self.outcome.tone.class()))]);
        out.element("strong", &[("id", &"outcome")], &self.outcome.word);
        out.text(" ");
        out.element("span", &[], &self.outcome.sentence);
        out.close("p");
        out.raw("<dl class=\"facts\">\n");
        for (name, value) in &self.facts {
            out.raw("<div>");
            out.element("dt", &[], name);
            value.write(out, "dd");
            out.close("div");
        }
        out.raw("</dl>\n</header>\n");
        if !self.figures.is_empty() {
            out.raw("<ul class=\"figures\">\n");
            self.figures.iter().for_each(|figure| figure.write(out));
            out.raw("</ul>\n");
        }
        if !self.next.is_empty() {
            out.raw(
                "<section class=\"next\" id=\"what-to-do-next\">\n<h2>What to do next</h2>\n<dl>\n",
            );
            for (what, command) in &self.next {
                out.element("dt", &[], what);
                out.raw("<dd>");
                out.element(
                    "code",
                    &[("class", &"command"), ("tabindex", &"0")],
                    &command.to_string(),
                );
                out.close("dd");
            }
            out.raw("</dl>\n</section>\n");
        }
        if self.sections.len() > 2 {
            out.raw("<nav aria-label=\"Sections\">\n");
            for section in &self.sections {
                out.element("a", &[("href", &format!("#{}", section.id()))], &section.title);
                out.raw("\n");
            }
            out.raw("</nav>\n");
        }
    }

    fn foot(&self, out: &mut Markup) {
        out.raw("<footer>\n<p>");
        out.text(concat!("Written by tributary ", env!("CARGO_PKG_VERSION"), ". "));
        out.element("code", &[], &self.json_file);
        out.text(" beside this page has the same figures for programs. Times are in UTC.");
        out.raw("</p>\n</footer>\n");
    }
}

/// What a browser may do with the page: show it, and run the script that is in it, recognised by its hash.
fn policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(SCRIPT));
    format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; img-src data:; \
         base-uri 'none'; form-action 'none'"
    )
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

impl Figure {
    fn write(&self, out: &mut Markup) {
        out.open("li", &[("class", &self.tone.class())]);
        out.element("span", &[("class", &"name")], &self.name);
        self.value.write(out, "b");
        out.element("span", &[("class", &"note")], &self.note);
        out.close("li");
    }
}

impl Section {
    /// What links name it by.
    fn id(&self) -> String {
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        self.title.chars().map(letter).collect()
    }

    fn write(&self, out: &mut Markup) {
        out.open("section", &[("id", &self.id())]);
        out.element("h2", &[], &self.title);
        out.raw("\n");
        for text in &self.prose {
            out.element("p", &[("class", &"prose")], text);
            out.raw("\n");
        }
        for block in &self.blocks {
            match block {
                Block::Text(text) => out.element("p", &[("class", &"prose")], text),
                Block::Note(tone, text) => {
                    let class = format!("callout {}", tone.class());
                    out.element("p", &[("class", &class)], text);
                }
                Block::Table(table) => table.write(out),
                Block::Bars(bars) => {
                    out.raw("<ol class=\"bars\">\n");
                    bars.iter().for_each(|bar| bar.write(out));
                    out.close("ol");
                }
                Block::OverTime(plot) => {
                    out.raw("<figure>");
                    out.over_time(plot);
                    out.close("figure");
                }
                Block::Latencies(plot) => {
                    out.raw("<figure>");
                    out.latencies(plot);
                    out.close("figure");
                }
            }
        }
        out.close("section");
    }
}

impl Bar {
    fn write(&self, out: &mut Markup) {
        let part = if self.part.is_finite() { self.part.clamp(0.0, 1.0) } else { 0.0 };
        out.raw("<li>");
        out.element("span", &[("class", &"name")], &self.name);
        self.value.write(out, "b");
        out.raw("<span class=\"track\">");
        let width = format!("width:{:.2}%", part * 100.0);
        out.element("span", &[("class", &"bar"), ("style", &width)], "");
        out.raw("</span>");
        out.element("span", &[("class", &"note")], &self.note);
        out.close("li");
    }
}

impl Table {
    fn write(&self, out: &mut Markup) {
        let is_number = |column: usize| {
            self.rows.first().and_then(|row| row.get(column)).is_some_and(Told::is_number)
        };
        // It can be scrolled by keys as well.
        out.open("div", &[("class", &"scroll"), ("tabindex", &"0"), ("role", &"group")]);
        out.raw("<table>\n");
        if !self.caption.is_empty() {
            out.element("caption", &[], &self.caption);
        }
        out.raw("\n<thead><tr>");
        for (place, column) in self.columns.iter().enumerate() {
            let class = if is_number(place) { "number" } else { "" };
            out.open("th", &[("class", &class), ("scope", &"col")]);
            out.element("button", &[("type", &"button")], column);
            out.close("th");
        }
        out.raw("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            out.raw("<tr>");
            row.iter().for_each(|cell| cell.write(out, "td"));
            out.close("tr");
        }
        out.raw("</tbody>\n</table></div>\n");
    }
}

impl Told {
    /// Writes it as an element of this name.
    fn write(&self, out: &mut Markup, name: &'static str) {
        let (class, shown, sort) = match &self.kind {
            Kind::Words(text) => {
                let class = match text.chars().count() {
                    ..=24 => "",
                    25..=60 => "words",
                    _ => "long",
                };
                (class, text.clone(), None)
            }
            // What is as short as a UUID stays on its line.
            Kind::Code(text) if text.chars().count() <= 40 => ("code short", text.clone(), None),
            Kind::Code(text) => ("code", text.clone(), None),
            Kind::Count(n) => ("number", count(*n), Some(n.to_string())),
            Kind::Latency(us) => {
                ("number", latency(*us).trim_end().to_owned(), Some(us.to_string()))
            }
            Kind::Number(value, shown) => ("number", shown.clone(), Some(value.to_string())),
            Kind::Verdict(tone, said) => {
                let class = match tone {
                    Tone::Good => "verdict good",
                    Tone::Warning => "verdict warning",
                    Tone::Bad => "verdict bad",
                };
                (class, said.clone(), None)
            }
        };
        let mut attributes: Vec<(&'static str, &dyn std::fmt::Display)> = Vec::new();
        if !class.is_empty() {
            attributes.push(("class", &class));
        }
        if let Some(sort) = &sort {
            attributes.push(("data-value", sort));
        }
        if let Some(figure) = &self.figure {
            attributes.push(("data-figure", figure));
        }
        out.element(name, &attributes, &shown);
    }
}
