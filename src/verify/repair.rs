//! What is missing or worse, written again: journaled first, then written, then looked at once more.
//!
//! A repair is dated as what it repairs was: it wins over nothing that somebody else wrote or deleted since, and what stays
//! hidden by that is reported and left as it is. So long after the run that tombstones may be gone nothing is written, for it
//! cannot be told any more whether somebody deleted it. A source's row is deleted again only if all that is left of it is
//! what the run copied, and only where the survivor's row stands as the run left it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::failpoint;
use crate::journal::{Intent, SliceKind, State};
use crate::merge::{self, Entry, Set, Slice, Write};
use crate::model::{Cell, Change, ColumnIndex, Expiries, Mutation, Row, TimestampUs};
use crate::register::Step;
use crate::spec::Table;
use crate::storage::Writer;

use super::VerifyError;
use super::case::Case;
use super::expected::{Expected, Kept, WrittenPart};
use super::group::Check;
use super::judge::{self, Judgement, Verdict};

/// One row to be written again.
struct Mend {
    t: TimestampUs,
    /// For the journal: what is there, and what is written.
    entry: Entry,
    changes: Vec<Change>,
}

/// A value that the run wrote, with its write time.
type Lost = (TimestampUs, ColumnIndex, WrittenPart);

impl<S: Writer> Check<'_, S> {
    /// Repairs what can be; each case is read and judged once more.
    pub(super) async fn mend(&mut self, mut cases: Vec<Case>) -> Result<Vec<Case>, VerifyError> {
        let mut survivors = Vec::new();
        for case in &mut cases {
            survivors.extend(self.of_survivor(case));
        }
        let mut cases = self.write_again(cases, survivors).await?;
        let mut sources = Vec::new();
        for case in &mut cases {
            let mends: Vec<Mend> = self.of_sources(case).collect();
            let deleted = mends.iter().flat_map(|mend| &mend.entry.sources);
            case.rewritten.extend(deleted.map(|(source, _)| (Some(*source), None)));
            sources.extend(mends);
        }
        self.write_again(cases, sources).await
    }

    /// Journals and writes, then reads the cases and judges them.
    async fn write_again(
        &mut self,
        cases: Vec<Case>,
        mends: Vec<Mend>,
    ) -> Result<Vec<Case>, VerifyError> {
        if mends.is_empty() {
            return Ok(cases);
        }
        let mut by_time: BTreeMap<TimestampUs, Vec<Mend>> = BTreeMap::new();
        for mend in mends {
            by_time.entry(mend.t).or_default().push(mend);
        }
        for (t, mends) in by_time {
            let (mut entries, mut mutations) = (Vec::new(), Vec::new());
            for Mend { entry, changes, .. } in mends {
                let table = entry.table;
                mutations.extend(changes.into_iter().map(|change| Mutation { table, t, change }));
                entries.push(entry);
            }
            let writes = merge::by_partition(&self.window.spec, mutations);
            self.note_changed(t, &entries);
            self.intend(t, Slice { entries, completion: None }).await?;
            self.window.write_all(writes).await?;
            failpoint::hit("repaired");
        }
        let before: Vec<Vec<Judgement>> = cases.iter().map(|case| case.findings.clone()).collect();
        // In order, so that each case meets what was said of it.
        let mut cases = self.again(cases, Duration::ZERO).await?;
        cases.iter_mut().zip(before).for_each(|(case, before)| case.mark_repaired(before));
        Ok(cases)
    }

    /// Journals a repair.
    pub(super) async fn intend(&self, t: TimestampUs, slice: Slice) -> Result<(), VerifyError> {
        let body = self.window.codec.encode(&slice);
        let intent = Intent {
            completes: slice.completion.is_some(),
            ..self.window.intent(self.group, (SliceKind::Repair, State::Done), t, body)
        };
        self.window.intend(intent).await?;
        Ok(self.window.begin(self.group, Step::After).await?)
    }

    /// What is to be written to the survivor's row, each part at the time that the run gave it.
    fn of_survivor(&self, case: &mut Case) -> Vec<Mend> {
        let spec = &self.window.spec;
        let table = &spec.tables[case.table];
        let Some(expected) = case.expected(spec, self.group) else { return Vec::new() };
        let is_missing = case.survivor.is_none();
        if is_missing && !expected.is_copy {
            return Vec::new();
        }
        case.leave_later(&expected);
        let mut by_time: BTreeMap<TimestampUs, Vec<(ColumnIndex, WrittenPart)>> = BTreeMap::new();
        let forgotten = self.window.as_of.forgotten();
        for (t, column, part) in lost(&expected, case).into_iter().filter(|(t, ..)| *t > forgotten)
        {
            case.rewritten.insert((None, Some(column)));
            by_time.entry(t).or_default().push((column, part));
        }
        let merged = case.history.as_ref().filter(|history| history.entry.is_some());
        let began = merged.map(|history| history.t).or_else(|| by_time.keys().next().copied());
        if is_missing && let Some(began) = began.filter(|began| *began > forgotten) {
            case.rewritten.insert((None, None));
            by_time.entry(began).or_default();
        }
        let mends = by_time.into_iter().map(|(t, parts)| {
            let begins = is_missing && Some(t) == began;
            self.mend_of(case, t, (whole(table, parts), &expected.expires), begins)
        });
        mends.collect()
    }

    /// What is written at one time; it may begin the row anew.
    fn mend_of(
        &self,
        case: &Case,
        t: TimestampUs,
        (Values { set, elements }, expires): (Values, &Expiries),
        begins: bool,
    ) -> Mend {
        let table = &self.window.spec.tables[case.table];
        let key = || case.key.clone();
        let mut bare: Vec<Cell> = key().into_iter().map(Some).collect();
        bare.resize(table.columns.len(), None);
        if begins {
            let mut row = Row::new(bare);
            for (column, value) in set.into_iter().chain(elements) {
                row.cells[column] = value;
                row.expires.set(column, expires.of(column));
            }
            let source = case.first_source();
            let mut copied = row.clone();
            copied.cells[table.account] = Some(self.group.pairs[source].from.cell().clone());
            let (sources, write) = (vec![(source, copied)], Write::Copy { set: Vec::new() });
            let entry = Entry { sources, write, ..Entry::new(case.table) };
            let lists: Vec<_> = table.set_lists(&case.key, &row).collect();
            let changes = [Change::Insert { row }].into_iter().chain(lists).collect();
            return Mend { t, entry, changes };
        }
        let all = set.iter().chain(&elements).cloned();
        let all = all.map(|(column, value)| Set { column, value, expires: expires.of(column) });
        let all = all.collect();
        let (lists, set): (Vec<_>, Vec<_>) =
            set.into_iter().partition(|(column, _)| table.columns[*column].cql_type.is_list());
        let set_list = |(column, value): (_, Cell)| Some(Change::set_list(key(), column, value?));
        let mut changes: Vec<Change> = lists.into_iter().filter_map(set_list).collect();
        if !set.is_empty() {
            changes.push(Change::update_until(key(), set, |column| expires.of(column)));
        }
        changes.extend(elements.into_iter().filter_map(|(column, elements)| {
            Some(Change::AddElements { key: key(), column, elements: elements? })
        }));
        let mut target = case.survivor.as_ref().map_or(Row::new(bare), |row| row.row.clone());
        target.truncate(table.slim_len);
        let write = Write::Update { set: all };
        let entry = Entry { target: Some(target), write, ..Entry::new(case.table) };
        Mend { t, entry, changes }
    }

    /// The sources' rows that are to be deleted again.
    fn of_sources<'c>(&self, case: &'c Case) -> impl Iterator<Item = Mend> + use<'c, S> {
        let (t, spec) = (self.t, std::sync::Arc::clone(&self.window.spec));
        let safe = case.is_safe() && t > self.window.as_of.forgotten();
        case.sources.iter().filter_map(move |(source, row)| {
            let table = &spec.tables[case.table];
            let is_old = case.findings.iter().any(|finding| {
                let is_left = [Verdict::SourceNotEmptied, Verdict::Undated];
                finding.source == Some(*source) && is_left.contains(&finding.verdict)
            });
            let is_known = case.before(*source).is_some_and(|b| judge::is_known(table, t, b, row));
            if !(safe && is_old && is_known) {
                return None;
            }
            let key = table.key_of(&row.row);
            let sources = vec![(*source, row.row.clone())];
            let entry = Entry { sources, ..Entry::new(case.table) };
            Some(Mend { t, entry, changes: vec![Change::DeleteRow { key }] })
        })
    }
}

/// What is written to a row at one time.
struct Values {
    /// Of columns that are written as a whole.
    set: Vec<(ColumnIndex, Cell)>,
    /// Of maps and sets that are not frozen: what is added.
    elements: Vec<(ColumnIndex, Cell)>,
}

/// What the run wrote of a row and is not there: all of it, or the values that are missing, worse or different.
fn lost(expected: &Expected, case: &Case) -> Vec<Lost> {
    let parts_of = |(column, kept): &(ColumnIndex, Kept)| {
        let column = *column;
        kept.parts().into_iter().map(move |(t, part)| (t, column, part))
    };
    if case.survivor.is_none() {
        return expected.columns.iter().flat_map(parts_of).collect();
    }
    let differences = case.findings.iter().filter(|finding| finding.verdict.is_difference());
    let of_finding = differences.filter(|finding| finding.source.is_none()).flat_map(|finding| {
        let kept = expected.columns.iter().filter(|(column, _)| Some(*column) == finding.column);
        let parts = kept.flat_map(parts_of).filter(|(_, _, part)| match (part, &finding.element) {
            (WrittenPart::Element(key, _), Some(sought)) => key == sought,
            _ => true,
        });
        // Of two values of one time the server takes the one that is larger.
        parts.map(|(t, column, part)| {
            (finding.found_at.map_or(t, |at| t.max(at.saturating_add(1))), column, part)
        })
    });
    of_finding.collect()
}

/// The elements of each map or set as one value.
fn whole(table: &Table, parts: Vec<(ColumnIndex, WrittenPart)>) -> Values {
    let mut values = Values { set: Vec::new(), elements: Vec::new() };
    let mut single: BTreeMap<ColumnIndex, Vec<(Bytes, Cell)>> = BTreeMap::new();
    for (column, part) in parts {
        match part {
            WrittenPart::Cell(value) => values.set.push((column, value)),
            WrittenPart::Element(key, value) => {
                single.entry(column).or_default().push((key, value));
            }
        }
    }
    values.elements.extend(single.into_iter().filter_map(|(column, elements)| {
        let collection = table.columns[column].cql_type.collection()?;
        let elements = elements.iter().map(|(key, value)| (key, value.as_ref()));
        Some((column, Some(collection.join(elements))))
    }));
    values
}
