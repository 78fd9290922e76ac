//! What there is, held against what the run left: one row at a time, by its values.
//!
//! A missing row is a difference, for a delete has no time that could be read; so is a value that the policies
//! rank below what the run left, whenever it was written. Any other value that was written later than the
//! run's own has changed since, and is nobody's fault. Where the server does not tell when a map's or set's elements were
//! written, one that is not as the run left it is *undated*, until it is known to hide what the run wrote.

use bytes::Bytes;

use crate::model::{Cell, ColumnIndex, CqlType, Row, TimedRow, TimestampUs, WriteTimes};
use crate::model::{Collection, Elements};
use crate::spec::{Standing, Survivorship, Table};

use super::expected::{Element, Expected, Kept};

/// What is said of a row or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The survivor's row is not there.
    RowMissing,
    /// A value that the run left is not there.
    ValueMissing,
    /// The policies rank the value below what the run left.
    ValueWorse,
    /// It is another value than the run left, and was not written later.
    ValueDiffers,
    /// A source still owns what the run deleted.
    SourceNotEmptied,
    /// It is not as the run left it, and the server does not tell whether it was written later.
    Undated,
    /// It was written later than by the run: no difference.
    ChangedSince,
    /// It was a difference, and has been written again.
    Repaired,
}

impl Verdict {
    /// Whether it means that the tables are not as the run left them.
    pub(crate) fn is_difference(self) -> bool {
        !matches!(self, Self::ChangedSince | Self::Repaired)
    }
}

/// What is said of one row or value, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    /// The source whose row it is, by its index in the group; `None` is the survivor.
    pub(super) source: Option<usize>,
    /// The column; `None` is the whole row.
    pub(super) column: Option<ColumnIndex>,
    /// The element of the column, if it is about one.
    pub(super) element: Option<Bytes>,
    pub(super) expected: Value,
    pub(super) found: Value,
    /// When what was found was written.
    pub(super) found_at: Option<TimestampUs>,
}

/// What is expected or found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Nothing,
    Row(Row),
    /// A row of the survivor's own, of which the run knows only what the policies look at.
    OwnRow,
    /// A row with nothing but its key.
    BareRow,
    /// The value of a column.
    Cell(Bytes),
    /// The value of a map's key; of a set's element, that it is there.
    Element(Cell),
}

impl From<Cell> for Value {
    fn from(cell: Cell) -> Self {
        cell.map_or(Self::Nothing, Self::Cell)
    }
}

/// Judges the survivor's row.
pub(super) fn survivor(
    table: &Table,
    expected: &Expected,
    found: Option<&TimedRow>,
) -> Vec<Judgement> {
    let Some(found) = found else {
        if expected.may_be_gone {
            return Vec::new();
        }
        // Somebody has deleted it: a run deletes no row that mentions an account.
        let verdict = match table.is_mention() {
            true => Verdict::ChangedSince,
            false => Verdict::RowMissing,
        };
        let known = expected.is_copy.then(|| Value::Row(expected.row(table)));
        let expected = known.unwrap_or(Value::OwnRow);
        return vec![finding(verdict, None, (expected, Value::Nothing), None)];
    };
    let mut findings = Vec::new();
    for (column, kept) in &expected.columns {
        let (cell, times) = (&found.row.cells[*column], &found.times[*column]);
        let of = (*column, &table.columns[*column].cql_type);
        match kept {
            Kept::Null(t) | Kept::Deleted(t) => {
                findings.extend(value(of, None, *t, cell, times));
            }
            Kept::Expired(t) => {
                // Whatever has another time somebody else wrote.
                let found = value(of, None, *t, cell, times);
                findings.extend(found.filter(|finding| finding.found_at == Some(*t)));
            }
            Kept::Value(kept, t) => findings.extend(value(of, Some(kept), *t, cell, times)),
            Kept::AtLeast(rule, kept, t) => findings.extend(ranked(rule, kept, *t, cell, times)),
            Kept::Elements(collection, kept) => {
                findings.extend(elements(of, *collection, kept, cell, times));
            }
        }
    }
    findings
}

/// Whether the survivor's row is exactly as the run left it, by its values alone: then its write times have nothing to
/// say.
pub(super) fn is_as_left(table: &Table, expected: &Expected, found: Row) -> bool {
    let is_same = expected.columns.iter().all(|(column, kept)| {
        let cell = &found.cells[*column];
        match kept {
            Kept::Expired(_) => cell.is_none(),
            Kept::AtLeast(rule, kept, _) => {
                rule.policy.check(&rule.cql_type, kept, cell) == Standing::AsLeft
            }
            Kept::Null(_) | Kept::Deleted(_) | Kept::Value(..) | Kept::Elements(..) => true,
        }
    });
    let times = vec![WriteTimes::Unknown; found.cells.len()];
    is_same && survivor(table, expected, Some(&TimedRow { row: found, times })).is_empty()
}

/// Judges a row of a source, of which the run deleted what was written up to `t`; `before` is what it found.
pub(super) fn source(
    table: &Table,
    (source, before): (usize, Option<&Row>),
    t: TimestampUs,
    found: &TimedRow,
) -> Vec<Judgement> {
    let of = |verdict, found: Value, at| Judgement {
        source: Some(source),
        ..finding(verdict, None, (Value::Nothing, found), at)
    };
    let latest = |is_old: bool| {
        let times = found.times.iter().flat_map(all_times).copied();
        times.filter(|time| (*time <= t) == is_old).max()
    };
    let values = found.row.cells.iter().skip(table.key_len);
    if values.flatten().next().is_none() {
        return vec![of(Verdict::ChangedSince, Value::BareRow, None)];
    }
    let verdicts = [(Verdict::SourceNotEmptied, true), (Verdict::ChangedSince, false)];
    let mut findings: Vec<Judgement> = verdicts
        .into_iter()
        .filter_map(|(verdict, is_old)| {
            let at = latest(is_old)?;
            Some(of(verdict, Value::Row(part(found, t, is_old)), Some(at)))
        })
        .collect();
    let is_found = |verdict| findings.iter().any(|finding| finding.verdict == verdict);
    let unknown = undated(table, before, found);
    // What the run deleted may be there still; what it did not find was written later.
    let verdict = match unknown {
        Some(true) if !is_found(Verdict::SourceNotEmptied) => Some(Verdict::Undated),
        Some(false) if findings.is_empty() => Some(Verdict::ChangedSince),
        _ => None,
    };
    findings.extend(verdict.map(|verdict| of(verdict, Value::Row(found.row.clone()), None)));
    findings
}

/// Whether any of the elements that have no time is as the run found it; `None` if there is no such element.
fn undated(table: &Table, before: Option<&Row>, found: &TimedRow) -> Option<bool> {
    let columns = table.key_len..table.columns.len();
    let unknown = columns.filter(|column| found.times[*column] == WriteTimes::Unknown);
    let is_known = |column: ColumnIndex| {
        let both = before.and_then(|before| elements_of_both(table, column, before, found));
        both.is_some_and(|(known, now)| now.iter().any(|one| is_among(table, column, one, &known)))
    };
    unknown.map(is_known).reduce(|a, b| a || b)
}

/// Whether everything that a source's row holds from before `t` is what the run found there and copied: only
/// then may it be deleted again.
pub(super) fn is_known(table: &Table, t: TimestampUs, before: &Row, found: &TimedRow) -> bool {
    let cells = found.row.cells.iter().zip(&found.times).enumerate().skip(table.key_len);
    cells.into_iter().all(|(column, (cell, times))| match times {
        WriteTimes::None => cell.is_none(),
        WriteTimes::Cell(time) => *time > t || *cell == before.cells[column],
        WriteTimes::Elements(times) => {
            elements_of_both(table, column, before, found).is_some_and(|(known, now)| {
                now.len() == times.len()
                    && now
                        .iter()
                        .zip(times)
                        .all(|(one, time)| *time > t || is_among(table, column, one, &known))
            })
        }
        WriteTimes::Unknown => elements_of_both(table, column, before, found)
            .is_some_and(|(known, now)| now.iter().all(|one| is_among(table, column, one, &known))),
    })
}

/// Whether an element is one of those.
fn is_among(
    table: &Table,
    column: ColumnIndex,
    (key, value): &(Bytes, Cell),
    known: &Elements,
) -> bool {
    let of = &table.columns[column].cql_type;
    known.iter().any(|(other, known)| other == key && of.is_same_entry(known, value))
}

/// The elements that the run found in a column, and those that are there now.
fn elements_of_both(
    table: &Table,
    column: ColumnIndex,
    before: &Row,
    found: &TimedRow,
) -> Option<(Elements, Elements)> {
    let collection = table.columns[column].cql_type.collection()?;
    let of = |row: &Row| split(collection, &row.cells[column]);
    Some((of(before), of(&found.row)))
}

fn finding(
    verdict: Verdict,
    column: Option<ColumnIndex>,
    (expected, found): (Value, Value),
    found_at: Option<TimestampUs>,
) -> Judgement {
    let (source, element) = (None, None);
    Judgement { verdict, source, column, element, expected, found, found_at }
}

/// A column without a policy.
fn value(
    (column, cql_type): (ColumnIndex, &CqlType),
    kept: Option<&Bytes>,
    t: TimestampUs,
    cell: &Cell,
    times: &WriteTimes,
) -> Option<Judgement> {
    if cql_type.is_same_cell(cell, &kept.cloned()) {
        return None;
    }
    let at = times.latest();
    let verdict = match cell {
        None => Verdict::ValueMissing,
        Some(_) if at > Some(t) => Verdict::ChangedSince,
        Some(_) if *times == WriteTimes::Unknown => Verdict::Undated,
        Some(_) => Verdict::ValueDiffers,
    };
    let values = (Value::from(kept.cloned()), Value::from(cell.clone()));
    Some(finding(verdict, Some(column), values, at))
}

/// A column with a policy.
fn ranked(
    rule: &Survivorship,
    kept: &Cell,
    t: TimestampUs,
    cell: &Cell,
    times: &WriteTimes,
) -> Option<Judgement> {
    let at = times.latest();
    let verdict = match rule.policy.check(&rule.cql_type, kept, cell) {
        Standing::Worse if cell.is_none() => Verdict::ValueMissing,
        Standing::Worse => Verdict::ValueWorse,
        Standing::Better if at > Some(t) => Verdict::ChangedSince,
        Standing::Better | Standing::AsLeft => return None,
    };
    let values = (Value::from(kept.clone()), Value::from(cell.clone()));
    Some(finding(verdict, Some(rule.column), values, at))
}

/// A map or set that is not frozen: what the run left has to be there, other elements may be.
fn elements(
    (column, cql_type): (ColumnIndex, &CqlType),
    collection: Collection,
    kept: &[Element],
    cell: &Cell,
    times: &WriteTimes,
) -> Vec<Judgement> {
    let whole = |verdict| {
        let expected = Value::Cell(super::expected::joined(collection, kept));
        finding(verdict, Some(column), (expected, Value::from(cell.clone())), times.latest())
    };
    let found = split(collection, cell);
    if found.is_empty() {
        return vec![whole(Verdict::ValueMissing)];
    }
    let of_element = |verdict, element: &Element, value, at| Judgement {
        element: Some(element.key.clone()),
        ..finding(verdict, Some(column), (Value::Element(element.value.clone()), value), at)
    };
    if *times == WriteTimes::Unknown {
        let undated = kept.iter().filter_map(|element| {
            let found = found.iter().find(|(key, _)| *key == element.key).map(|(_, value)| value);
            if found.is_some_and(|found| cql_type.is_same_entry(found, &element.value)) {
                return None;
            }
            let value = found.map_or(Value::Nothing, |value| Value::Element(value.clone()));
            Some(of_element(Verdict::Undated, element, value, None))
        });
        return undated.collect();
    }
    let latest = times.latest();
    let is_missing = |element: &&Element| !found.iter().any(|(key, _)| *key == element.key);
    let missing: Vec<&Element> = kept.iter().filter(is_missing).collect();
    if missing.iter().any(|element| latest > Some(element.t)) {
        // Whoever replaces a whole map leaves no trace of what was in it.
        return vec![whole(Verdict::ChangedSince)];
    }
    let mut findings: Vec<Judgement> = missing
        .into_iter()
        .map(|element| of_element(Verdict::ValueMissing, element, Value::Nothing, None))
        .collect();
    for element in kept {
        let index = found.iter().position(|(key, _)| *key == element.key);
        let Some((index, value)) = index.map(|index| (index, &found[index].1)) else { continue };
        if cql_type.is_same_entry(value, &element.value) {
            continue;
        }
        let at = match times {
            WriteTimes::Elements(times) => times.get(index).copied(),
            times => times.latest(),
        };
        let is_later = at > Some(element.t);
        let verdict = if is_later { Verdict::ChangedSince } else { Verdict::ValueDiffers };
        findings.push(of_element(verdict, element, Value::Element(value.clone()), at));
    }
    findings
}

fn split(collection: Collection, cell: &Cell) -> Elements {
    cell.as_ref().and_then(|value| collection.split(value)).unwrap_or_default()
}

fn all_times(times: &WriteTimes) -> &[TimestampUs] {
    match times {
        WriteTimes::None | WriteTimes::Unknown => &[],
        WriteTimes::Cell(time) => std::slice::from_ref(time),
        WriteTimes::Elements(times) => times,
    }
}

/// The columns of a row that hold anything from before `t`, or anything from after it.
fn part(found: &TimedRow, t: TimestampUs, is_old: bool) -> Row {
    let cells = found.row.cells.iter().zip(&found.times);
    let part = cells.map(|(cell, times)| {
        let belongs = all_times(times).iter().any(|time| (*time <= t) == is_old);
        let is_untimed = matches!(times, WriteTimes::None | WriteTimes::Unknown);
        cell.clone().filter(|_| belongs || is_untimed)
    });
    Row::new(part.collect())
}

#[cfg(test)]
mod tests;
