//! Plots as SVG: plain data in, text out, with nothing to load and nothing to run.
//!
//! A plot stands by itself as a file or inside a page. It has its own ground, and its colours follow
//! `prefers-color-scheme`, so that it can be read wherever it is shown, light or dark; on a narrow screen the
//! letters grow and what is not needed goes. Text of others is escaped.

mod axis;
mod latency;
mod over_time;
#[cfg(test)]
mod tests;

use std::fmt::{Display, Write};

use super::escaped::Escaped;

pub use latency::{Latencies, LatencyPlot};
pub use over_time::{OverTime, Series};

/// The width of every plot, in units of its own; it is scaled to where it is shown.
const WIDTH: f64 = 720.0;
/// What stays free at the left and right.
const MARGIN: f64 = 24.0;
/// How many colours there are for series; further ones begin again.
const COLOURS: usize = 4;

/// One scheme for all plots: text, rules and ground in the greys of the page, and a few colours of equal weight
/// that are told apart by those who see colours differently, too.
const STYLE: &str = "\
.plot{--ground:#fff;--edge:#d8dee4;--ink:#1f2328;--dim:#59636e;--rule:#e4e8ec;\
--c0:#1f6feb;--c1:#bc4c00;--c2:#1a7f37;--c3:#8250df}\
@media(prefers-color-scheme:dark){.plot{--ground:#0d1117;--edge:#30363d;--ink:#e6edf3;--dim:#9198a1;\
--rule:#262c34;--c0:#58a6ff;--c1:#f0883e;--c2:#3fb950;--c3:#bc8cff}}\
.plot text{font:14px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:var(--ink);\
font-variant-numeric:tabular-nums}\
.plot .title{font-size:17px;font-weight:600}\
.plot .name{font-weight:600}\
.plot .dim{fill:var(--dim);font-size:12.5px}\
.plot .end{text-anchor:end}.plot .middle{text-anchor:middle}\
.plot .ground{fill:var(--ground);stroke:var(--edge)}\
.plot .rule{stroke:var(--rule)}.plot .faint{stroke:var(--rule);stroke-opacity:.5}\
.plot .base{stroke:var(--dim);stroke-opacity:.6}\
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
.plot .area{stroke:none;fill-opacity:.14}\
@media(max-width:520px){.plot text{font-size:19px}.plot .title{font-size:22px}.plot .dim{font-size:18px}\
.plot .wide{display:none}}";

/// An SVG that is being drawn.
struct Canvas {
    svg: String,
}

impl Canvas {
    /// An empty plot with its title, and what it shows in a line for those who cannot see it.
    fn new(height: f64, title: &str, description: &str) -> Self {
        let (title, description) = (Escaped(title), Escaped(description));
        let svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" role=\"img\" \
             viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             style=\"max-width:100%;height:auto\">\n\
             <title>{title}</title>\n<desc>{description}</desc>\n<style>{STYLE}</style>\n",
            width = Number(WIDTH),
            height = Number(height),
        );
        let mut canvas = Self { svg };
        let (wide, high) = (Number(WIDTH - 1.0), Number(height - 1.0));
        canvas.draw(format_args!(
            "<rect class=\"ground\" x=\"0.5\" y=\"0.5\" width=\"{wide}\" height=\"{high}\" rx=\"8\"/>"
        ));
        canvas.text(MARGIN, 34.0, "title", title.0);
        canvas
    }

    fn draw(&mut self, element: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.svg, "{element}");
    }

    fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let (x, y, text) = (Number(x), Number(y), Escaped(text));
        self.draw(format_args!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"));
    }

    fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(Number);
        self.draw(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    /// A line through points.
    fn path(&mut self, colour: usize, points: &[(f64, f64)]) {
        let (path, colour) = (Path(points), colour % COLOURS);
        self.draw(format_args!(
            "<path class=\"line\" style=\"stroke:var(--c{colour})\" d=\"{path}\"/>"
        ));
    }

    /// What lies between points and a base line.
    fn area(&mut self, colour: usize, points: &[(f64, f64)], base: f64) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let (path, colour, base) = (Path(points), colour % COLOURS, Number(base));
        let (left, right) = (Number(first.0), Number(last.0));
        self.draw(format_args!(
            "<path class=\"area\" style=\"fill:var(--c{colour})\" \
             d=\"{path}L{right} {base}L{left} {base}Z\"/>"
        ));
    }

    /// A dot; a hollow one is a ring.
    fn dot(&mut self, colour: usize, (x, y): (f64, f64), radius: f64, hollow: bool) {
        let [x, y, radius] = [x, y, radius].map(Number);
        let colour = format!("var(--c{})", colour % COLOURS);
        let fill = if hollow { "var(--ground)" } else { colour.as_str() };
        self.draw(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" \
             style=\"fill:{fill};stroke:{colour};stroke-width:1.5\"/>"
        ));
    }

    fn finish(self) -> String {
        self.svg + "</svg>\n"
    }
}

/// A coordinate: a tenth of a unit is finer than a screen.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tenths = (self.0 * 10.0).round();
        // What is not a number must not reach the text, whatever it came from.
        let tenths = if tenths.is_finite() { tenths as i64 } else { 0 };
        let sign = if tenths < 0 { "-" } else { "" };
        match (tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10) {
            (whole, 0) => write!(f, "{sign}{whole}"),
            (whole, tenth) => write!(f, "{sign}{whole}.{tenth}"),
        }
    }
}

/// Points as the steps of a path.
struct Path<'a>(&'a [(f64, f64)]);

impl Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().enumerate().try_for_each(|(at, (x, y))| {
            let step = if at == 0 { 'M' } else { 'L' };
            write!(f, "{step}{} {}", Number(*x), Number(*y))
        })
    }
}
