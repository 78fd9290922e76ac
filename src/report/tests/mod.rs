//! What is said of an answer, in every format.

mod data;
mod everywhere;
mod layout;
mod listed;
mod page;
mod terminal;
mod traced;
mod verify;

use serde_json::Value;

use super::words::NAMED;
use super::*;
use crate::help::Topic;

/// The topic of the manual about reports.
fn manual() -> String {
    Topic::find("reports").unwrap().markdown()
}

/// The manual names every field at the top of a command's JSON; what all of them may have it says once.
#[track_caller]
pub(super) fn documented(command: &str, json: &str) {
    let json: Value = serde_json::from_str(json).unwrap();
    let row = format!("| `{command}` |");
    let manual = manual();
    let line = manual.lines().find(|line| line.starts_with(&row)).unwrap();
    for field in json.as_object().unwrap().keys().filter(|field| *field != NAMED) {
        assert!(line.contains(&format!("`{field}`")), "{command}: {field}");
    }
}

/// An answer in every format.
#[track_caller]
pub(super) fn rendered(answer: &impl Answer) -> Rendered {
    Rendered::of(answer).unwrap()
}
