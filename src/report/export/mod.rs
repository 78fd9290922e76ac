//! A report in the formats that there are: data in, bytes out.

mod html;
mod json;
mod text;

pub(super) use html::html;
pub(super) use json::json;
pub(super) use text::{pad_end, printable, text, whole, width};

use super::words::Figure;

/// A number with what is said around it; of an estimate, its interval as well.
fn shown(figure: &Figure) -> String {
    let [before, after] = figure.around;
    let numbers: Vec<_> = figure.numbers().into_iter().map(|(number, _)| number.shown()).collect();
    let interval = match numbers.as_slice() {
        [_, low, high] => format!(" ({low} to {high})"),
        _ => String::new(),
    };
    format!("{before}{}{after}{interval}{}", figure.number.shown(), figure.unit())
}
