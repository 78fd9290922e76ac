//! Words that stand where an account is missing.

use super::{CONTROL, DIGIT, LETTER, WIDE};

/// Words for nothing, whatever their letters' case and whatever brackets or quotes are around them.
const NOTHING: [&str; 24] = [
    "null",
    "none",
    "nil",
    "undefined",
    "nan",
    "-nan",
    "n/a",
    "n.a.",
    "nat",
    "dbnull",
    "\\n",
    "\\\\n",
    "#n/a",
    "#na",
    "#null!",
    "#ref!",
    "#value!",
    "#name?",
    "#num!",
    "#div/0!",
    "#error!",
    "#spill!",
    "object object",
    "system.dbnull",
];

/// Words that are one for nothing in brackets only: by themselves they may be a name.
const BRACKETED: [&str; 8] =
    ["na", "empty", "blank", "missing", "unknown", "no value", "not set", "unset"];

/// Words that often stand for nobody in particular, and may be an account.
const STAND_INS: [&str; 22] = [
    "na",
    "0",
    "-1",
    "true",
    "false",
    "anonymous",
    "anon",
    "guest",
    "unknown",
    "nobody",
    "deleted",
    "missing",
    "empty",
    "blank",
    "unassigned",
    "not_authenticated",
    "not-authenticated",
    "distinct_id",
    "test",
    "tbd",
    "id",
    "void",
];

const LONGEST: usize = 24;

/// Whether this is a word for nothing, or nothing but marks.
pub(super) fn is_nothing(id: &str, classes: u8) -> bool {
    if classes & (DIGIT | LETTER | WIDE | CONTROL) == 0 || matches!(id, "\u{2013}" | "\u{2014}") {
        return true;
    }
    // Only one of the words has a digit.
    if id.len() > LONGEST || classes & DIGIT != 0 && !id.starts_with('#') {
        return false;
    }
    let is_one_of = |words: &[&str], id: &str| words.iter().any(|w| w.eq_ignore_ascii_case(id));
    let inner = unwrapped(id, &[("(", ")"), ("<", ">"), ("[", "]"), ("{", "}")]);
    let unquoted = unwrapped(inner, &[("'", "'"), ("\"", "\""), ("`", "`")]);
    is_one_of(&NOTHING, unquoted) || inner.len() < id.len() && is_one_of(&BRACKETED, inner)
}

/// Whether this often stands for nobody in particular.
pub(super) fn is_stand_in(id: &str) -> bool {
    id.len() <= LONGEST && STAND_INS.iter().any(|word| word.eq_ignore_ascii_case(id))
}

fn unwrapped<'a>(id: &'a str, pairs: &[(&str, &str)]) -> &'a str {
    let inner = |(open, close): &(&str, &str)| id.strip_prefix(open)?.strip_suffix(close);
    pairs.iter().find_map(inner).unwrap_or(id)
}
