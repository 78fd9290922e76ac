//! Survivorship policies: which value a column keeps where both accounts hold the same key.
//!
//! A policy is one file with its tests and a line of [`ALL`]. What it says is pure: a merge asks it to combine values,
//! a sweep what becomes of a late one, a check what a value that is found there means, an undo whether it may
//! be put back. Each has a default in terms of [`combine`](Policy::combine), which is right for a policy that picks one
//! of the two values.

mod dates;
mod each;
mod first;
mod keep_source;
mod keep_target;
mod latest;
mod max;
mod min;
mod sum;
mod union;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::{Cell, Collection, CqlType, TimestampUs};

/// Every policy that a name alone says.
static ALL: [fn() -> Arc<dyn Policy>; 8] = [
    || Arc::new(keep_target::KeepTarget),
    || Arc::new(max::Max),
    || Arc::new(min::Min),
    || Arc::new(first::First),
    || Arc::new(keep_source::KeepSource),
    || Arc::new(latest::Latest),
    || Arc::new(sum::Sum),
    || Arc::new(union::Union),
];

/// Which value a column keeps.
pub(crate) trait Policy: fmt::Debug + Send + Sync {
    /// Its name, by which it can be told from others: in a specification, where it needs no more.
    fn name(&self) -> &str;

    /// What the survivor's row gets in a column, as in "the higher status".
    fn outcome(&self, column: &str) -> String;

    /// Whether it has to know the survivor's value. Without, that one stays unseen.
    fn looks(&self) -> bool {
        true
    }

    /// Whether what it leaves is made of the values of both accounts. Without, it is one account's, whatever the other one's
    /// is, null as well.
    fn is_computed(&self) -> bool {
        true
    }

    /// Whether it is the write times that decide, as [`late`](Self::late) says, also in a merge: values are read with these.
    fn goes_by_time(&self) -> bool {
        false
    }

    /// Whether a value that is offered twice counts twice. Such a value is offered once, and what came of it is compared
    /// exactly.
    fn adds(&self) -> bool {
        false
    }

    /// Whether what it makes of two values is more, or less, than a column of this type can hold, and was made to fit.
    fn is_capped(&self, _of: &CqlType, _kept: &Cell, _offered: &Cell) -> bool {
        false
    }

    /// Whether it is about the elements of a map or set one by one, and not about the value as a whole.
    fn joins_elements(&self) -> bool {
        false
    }

    /// The policy of a map's entries, where it is about those one by one.
    fn of_entries(&self) -> Option<&dyn Policy> {
        None
    }

    /// What a column's type has to be for it; `None` if this one will do.
    fn wants(&self, of: &CqlType) -> Option<&'static str>;

    /// What is written over `kept`, the survivor's value so far, when a source offers another one; `None` if it
    /// stays.
    fn combine(&self, of: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes>;

    /// A source's value was written after the merge, when the survivor held `own`: the write time with which it takes
    /// that one's place, if it does. It has to win over what is there, however late that was written.
    fn late(&self, of: &CqlType, own: Dated<'_>, late: Dated<'_>) -> Option<TimestampUs> {
        self.combine(of, own.value, late.value)?;
        let t = late.t?;
        Some(own.t.map_or(t, |known| t.max(known + 1)))
    }

    /// The same of an element that was written late, at `t`, where it takes values as a whole: the survivor held `own`, and
    /// an element of the same key from `known`, as far as that is told.
    fn late_element(
        &self,
        own: &Cell,
        _known: Option<TimestampUs>,
        t: TimestampUs,
    ) -> Option<TimestampUs> {
        own.is_none().then_some(t)
    }

    /// What it means that a value is found where the merge has left another.
    fn check(&self, of: &CqlType, left: &Cell, found: &Cell) -> Standing {
        if self.combine(of, found, left).is_some() {
            Standing::Worse
        } else if self.combine(of, left, found).is_some() {
            Standing::Better
        } else {
            Standing::AsLeft
        }
    }

    /// Whether a value may be put back to what it was before the merge: it is what the merge has left, or has been put
    /// back already. `same` compares two values of the column.
    fn may_undo(&self, values: &Undone<'_>, same: &dyn Fn(&Cell, &Cell) -> bool) -> bool {
        same(values.found, values.left) || same(values.found, values.before)
    }
}

/// A value and when it was written; no time where there is no value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dated<'a> {
    pub value: &'a Cell,
    /// Its write time; the latest of its elements.
    pub t: Option<TimestampUs>,
}

/// What an undo knows of a column of the survivor's own row.
#[derive(Clone, Copy, Debug)]
pub struct Undone<'a> {
    /// What it held before the merge.
    pub before: &'a Cell,
    /// What the merge left there.
    pub left: &'a Cell,
    pub found: &'a Cell,
}

/// How a value stands to the one that a merge has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the same, or as good.
    AsLeft,
    /// The policy would write what the merge has left over it.
    Worse,
    /// The policy would write it over what the merge has left.
    Better,
}

/// The policy of a name.
///
/// # Errors
/// There is none; the message names those that are.
pub(crate) fn parse(name: &str) -> Result<Arc<dyn Policy>, String> {
    let known = ALL.iter().map(|policy| policy()).find(|policy| policy.name() == name);
    known.ok_or_else(|| {
        let names: Vec<String> = ALL.iter().map(|policy| policy().name().to_owned()).collect();
        let names = match names.split_last() {
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        };
        format!("\"{name}\" is not a policy: use {names}")
    })
}

/// The policy of a name, of dates that are text of this format.
///
/// # Errors
/// No policy of this name goes by a format, or the format is none.
pub(crate) fn of_dates(name: &str, format: &str) -> Result<Arc<dyn Policy>, String> {
    let extreme = match name {
        "max" => dates::Extreme::Later,
        "min" => dates::Extreme::Earlier,
        _ => return Err(format!("the policy \"{name}\" takes no format: only max and min do")),
    };
    Ok(Arc::new(dates::Dates::new(extreme, format)?))
}

/// A policy for each entry of a map.
///
/// # Errors
/// That policy is about whole columns.
pub(crate) fn each(of_entries: Arc<dyn Policy>) -> Result<Arc<dyn Policy>, String> {
    match of_entries.name() {
        "keep-target" | "keep-source" | "latest" | "sum" | "union" => Err(format!(
            "{} is no policy for each entry of a map: use max, min or first",
            of_entries.name()
        )),
        _ => Ok(Arc::new(each::Each::new(of_entries))),
    }
}

/// The policies that a column of this type can have, of those that a name alone says.
pub(super) fn fitting(of: &CqlType) -> impl Iterator<Item = Arc<dyn Policy>> {
    ALL.iter().map(|policy| policy()).filter(|policy| policy.wants(of).is_none())
}

/// The policy by which no element of a value of this type is lost; none where the value stays with the row that it is of, as
/// one of fields does, which mean something together.
pub(super) fn careful(of: &CqlType) -> Option<Arc<dyn Policy>> {
    of.collection().filter(|of| *of != Collection::Fields)?;
    fitting(of).find(|policy| policy.name() == "union")
}

/// What becomes of two rows with one key, in words that continue a sentence.
pub(crate) fn rule<'a>(columns: impl Iterator<Item = (&'a str, &'a dyn Policy)>) -> String {
    let looked_at = columns.filter(|(_, policy)| policy.looks());
    let outcomes: Vec<_> = looked_at.map(|(column, policy)| policy.outcome(column)).collect();
    match outcomes.as_slice() {
        [] => "the survivor's row stays as it is, and the source's is dropped".to_owned(),
        [one] => format!("the survivor's row stays and gets {one}"),
        several => format!("the survivor's row stays and gets: {}", several.join("; ")),
    }
}

/// The same where the source's row survives.
pub(crate) const SOURCE_ROW: &str = "the source's row takes the place of the survivor's";

/// The same where the row that ranks higher by these columns survives.
pub(crate) fn higher_row<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    let columns: Vec<&str> = columns.collect();
    format!("the row that ranks higher by {} survives whole", columns.join(", then "))
}

/// What the policies that go by an order want.
pub(super) const ORDERED: &str = "a type with an order, such as int, text or timestamp";

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn int(value: i32) -> Cell {
        Some(Bytes::copy_from_slice(&value.to_be_bytes()))
    }

    /// What the policy leaves of the survivor's value and those of sources, in every order of two: nothing of it may
    /// depend on whether a value is offered once or twice.
    #[track_caller]
    pub(super) fn check(policy: &dyn Policy, kept: &Cell, offered: &[Cell], expected: &Cell) {
        let fold = |offered: &[&Cell]| {
            offered.iter().fold(kept.clone(), |kept, offered| {
                policy.combine(&CqlType::Int, &kept, offered).map_or(kept, Some)
            })
        };
        let once: Vec<&Cell> = offered.iter().collect();
        assert_eq!(fold(&once), *expected);
        let twice: Vec<&Cell> = offered.iter().flat_map(|cell| [cell, cell]).collect();
        assert_eq!(fold(&twice), *expected, "once more");
        if policy.looks() {
            assert_eq!(policy.check(&CqlType::Int, expected, expected), Standing::AsLeft);
        }
    }

    #[test]
    fn every_policy_has_a_name_of_its_own() {
        for policy in ALL.map(|policy| policy()) {
            assert_eq!(parse(policy.name()).unwrap().name(), policy.name());
        }
        let error = parse("mix").unwrap_err();
        assert_eq!(
            error,
            "\"mix\" is not a policy: use keep-target, max, min, first, keep-source, latest, sum or union"
        );
    }

    #[test]
    fn a_late_value_wins_over_what_it_takes_the_place_of() {
        let late = |own: (&Cell, Option<i64>), late: (&Cell, i64)| {
            let own = Dated { value: own.0, t: own.1 };
            max::Max.late(&CqlType::Int, own, Dated { value: late.0, t: Some(late.1) })
        };
        assert_eq!(late((&int(1), Some(5)), (&int(2), 7)), Some(7));
        assert_eq!(late((&int(1), Some(9)), (&int(2), 7)), Some(10));
        assert_eq!(late((&None, None), (&int(2), 7)), Some(7));
        assert_eq!(late((&int(3), Some(5)), (&int(2), 7)), None);
    }

    #[test]
    fn what_was_left_or_put_back_may_be_undone() {
        let may = |before, left, found| {
            let (before, left, found) = (&int(before), &int(left), &int(found));
            max::Max.may_undo(&Undone { before, left, found }, &|a, b| a == b)
        };
        assert!(may(1, 2, 2) && may(1, 2, 1) && !may(1, 2, 3));
    }
}
