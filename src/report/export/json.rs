//! An answer as JSON: its own fields, what must add up, and what to do next.

use serde::Serialize;

use crate::report::document::{Next, Report};
use crate::report::{Answer, Equation};

#[derive(Serialize)]
struct Document<'a, A> {
    #[serde(flatten)]
    answer: &'a A,
    #[serde(flatten)]
    checked: Option<Checked<'a>>,
    advice: &'a [Next],
}

#[derive(Serialize)]
struct Checked<'a> {
    adds_up: bool,
    equations: &'a [Equation],
}

/// As JSON, with a line feed at its end.
pub(in crate::report) fn json(answer: &impl Answer, report: &Report) -> serde_json::Result<String> {
    let equations = report.equations.as_slice();
    let adds_up = equations.iter().all(Equation::holds);
    let checked = (!equations.is_empty()).then_some(Checked { adds_up, equations });
    let document = Document { answer, checked, advice: &report.next };
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}
