//! The only way in which a page is written: markup is ours (`&'static str`), everything else is escaped.

use std::fmt::{Display, Write};

use crate::report::escaped::Escaped;
use crate::report::plot::{LatencyPlot, OverTime};

/// HTML that is being written.
#[derive(Default)]
pub(super) struct Markup {
    html: String,
}

impl Markup {
    /// Markup of our own, as it stands in the source.
    pub(super) fn raw(&mut self, html: &'static str) {
        self.html.push_str(html);
    }

    /// Text, whatever it holds.
    pub(super) fn text(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.html, "{}", Escaped(text));
    }

    /// Begins an element with these attributes.
    pub(super) fn open(&mut self, name: &'static str, attributes: &[(&'static str, &dyn Display)]) {
        let _ = write!(self.html, "<{name}");
        for (attribute, value) in attributes {
            let _ = write!(self.html, " {attribute}=\"{}\"", Escaped(&value.to_string()));
        }
        self.html.push('>');
    }

    /// Ends an element.
    pub(super) fn close(&mut self, name: &'static str) {
        let _ = writeln!(self.html, "</{name}>");
    }

    /// An element with nothing but text.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &[(&'static str, &dyn Display)],
        text: &str,
    ) {
        self.open(name, attributes);
        self.text(text);
        // Without a line feed: what follows may be punctuation.
        let _ = write!(self.html, "</{name}>");
    }

    /// A plot; it escapes for itself.
    pub(super) fn over_time(&mut self, plot: &OverTime) {
        self.html.push_str(&plot.svg());
    }

    /// A plot; it escapes for itself.
    pub(super) fn latencies(&mut self, plot: &LatencyPlot) {
        self.html.push_str(&plot.svg());
    }

    pub(super) fn finish(self) -> String {
        self.html
    }
}
