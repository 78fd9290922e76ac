//! What is said of an answer, in every format.

mod data;
mod everywhere;
mod page;
mod terminal;
mod verify;

use serde_json::Value;

use super::*;

/// Fields of every command's JSON that the README does not name yet.
const NOT_YET_IN_THE_README: &[&str] = &["advice"];

/// The README names every field at the top of a command's JSON.
#[track_caller]
pub(super) fn documented(command: &str, json: &str) {
    let json: Value = serde_json::from_str(json).unwrap();
    let row = format!("| `{command}` |");
    let readme = include_str!("../../../README.md");
    let line = readme.lines().find(|line| line.starts_with(&row)).unwrap();
    for field in json.as_object().unwrap().keys() {
        let is_named = line.contains(&format!("`{field}`"));
        assert!(is_named || NOT_YET_IN_THE_README.contains(&field.as_str()), "{command}: {field}");
    }
}

/// An answer in every format.
#[track_caller]
pub(super) fn rendered(answer: &impl Answer) -> Rendered {
    Rendered::of(answer).unwrap()
}
