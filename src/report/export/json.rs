//! An answer as JSON: its own fields, what is said of them, what must add up, and what to do next. A number that is said and
//! has no field of the answer is a field of `figures`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<String, Value>,
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

/// The numbers that are said and have no field of the answer, by their names; of an estimate, the whole and both ends.
fn named(report: &Report) -> BTreeMap<String, Value> {
    let mut named: BTreeMap<String, Value> = BTreeMap::new();
    for (figure, _) in report.figures() {
        for (number, name) in figure.names() {
            match name.split_once('/') {
                None => _ = named.insert(name, number.json()),
                Some((name, part)) => {
                    named.entry(name.to_owned()).or_insert_with(|| json!({}))[part] = number.json();
                }
            }
        }
    }
    named
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
    let (facts, figures) = (facts.collect(), named(report));
    let document = Document { answer, checked, facts, figures, advice: &report.next };
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}
