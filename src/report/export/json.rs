//! An answer as JSON: its own fields, what is said of them, what must add up, and what to do next.

use serde::Serialize;

use super::whole;
use crate::report::document::{Fact, Next, Report};
use crate::report::{Answer, Equation};

#[derive(Serialize)]
struct Document<'a, A> {
    #[serde(flatten)]
    answer: &'a A,
    #[serde(flatten)]
    checked: Option<Checked<'a>>,
    facts: Vec<Sentence>,
    advice: &'a [Next],
}

/// A sentence of the report, as text.
#[derive(Serialize)]
struct Sentence {
    label: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<String>,
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
    let facts = report.all_facts().map(|Fact { label, text, more, .. }| Sentence {
        label,
        text: whole(text),
        more: more.iter().map(whole).collect(),
    });
    let document = Document { answer, checked, facts: facts.collect(), advice: &report.next };
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}
