//! What is missing or worse, written again: journaled first, then written, then looked at once more.
//!
//! A repair is dated now, or just above what it has to win over if that is dated later. Nothing that was written
//! later than by the run is touched; a source's row is deleted again, as of the merge's own time, only if
//! all that is left of it is what the run copied, and only once the survivor's row is all right.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::failpoint;
use crate::journal::{Intent, Kind, State};
use crate::merge::{self, Entry, Slice, Write};
use crate::model::Collection;
use crate::model::{Change, ColumnIndex, Mutation, TimestampUs};
use crate::register::Step;
use crate::spec::Table;
use crate::storage::Writer;

use super::VerifyError;
use super::case::Case;
use super::expected::{Element, joined};
use super::group::Check;
use super::judge::{self, Finding, Value, Verdict};

/// One row to be written again.
struct Mend {
    t: TimestampUs,
    /// For the journal: what is there, and what is written.
    entry: Entry,
    changes: Vec<Change>,
}

impl<S: Writer> Check<'_, S> {
    /// Repairs what can be; each case is read and judged once more.
    pub(super) async fn mend(&mut self, mut cases: Vec<Case>) -> Result<Vec<Case>, VerifyError> {
        let now = self.window.as_of.now().max(self.window.as_of.start());
        let mut survivors = Vec::new();
        for case in &mut cases {
            survivors.extend(self.of_survivor(case, now));
            let undated = self.undated(case);
            case.rewritten.extend(undated.first().map(|_| None));
            survivors.extend(undated);
        }
        let mut cases = self.write_again(cases, survivors).await?;
        let mut sources = Vec::new();
        for case in &mut cases {
            let mends: Vec<Mend> = self.of_sources(case).collect();
            let deleted = mends.iter().flat_map(|mend| &mend.entry.sources);
            case.rewritten.extend(deleted.map(|(source, _)| Some(*source)));
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
        let before: Vec<Vec<Finding>> = cases.iter().map(|case| case.findings.clone()).collect();
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
            ..self.window.intent(self.group, (Kind::Repair, State::Done), t, body)
        };
        self.window.intend(intent).await?;
        Ok(self.window.begin(self.group, Step::After).await?)
    }

    /// What is to be written to the survivor's row.
    fn of_survivor(&self, case: &Case, now: TimestampUs) -> Option<Mend> {
        let spec = &self.window.spec;
        let table = &spec.tables[case.table];
        let expected = case.expected(spec, self.group)?;
        let source = case.first_source();
        let Some(found) = &case.survivor else {
            if !expected.is_copy {
                return None;
            }
            let row = expected.row(table);
            let mut copied = row.clone();
            copied.cells[table.account] = Some(self.group.pairs[source].from.cell().clone());
            let write = Write::Copy { set: Vec::new() };
            let entry =
                Entry { table: case.table, target: None, sources: vec![(source, copied)], write };
            let lists: Vec<_> = table.set_lists(&case.key, &row).collect();
            let changes = [Change::Insert { row }].into_iter().chain(lists).collect();
            return Some(Mend { t: now, entry, changes });
        };
        let Values { set, elements, t } = values(table, &case.findings, now);
        if set.is_empty() && elements.is_empty() {
            return None;
        }
        let key = || case.key.clone();
        let all = set.iter().chain(&elements).cloned().collect();
        let mut changes = Vec::new();
        let (lists, set): (Vec<_>, Vec<_>) =
            set.into_iter().partition(|(column, _)| table.columns[*column].cql_type.is_list());
        let set_list = |(column, value)| Change::set_list(key(), column, value);
        changes.extend(lists.into_iter().map(set_list));
        if !set.is_empty() {
            let set = set.into_iter().map(|(column, value)| (column, Some(value))).collect();
            changes.push(Change::Update { key: key(), set });
        }
        changes.extend(elements.into_iter().map(|(column, elements)| Change::AddElements {
            key: key(),
            column,
            elements,
        }));
        let mut target = found.row.clone();
        target.cells.truncate(table.slim_len);
        let write = Write::Update { set: all };
        let entry = Entry { table: case.table, target: Some(target), sources: Vec::new(), write };
        Some(Mend { t, entry, changes })
    }

    /// What is undated, at the times of the run: that cannot win over anything that was written later.
    fn undated(&self, case: &Case) -> Vec<Mend> {
        let table = &self.window.spec.tables[case.table];
        let Some(found) = &case.survivor else { return Vec::new() };
        let mut target = found.row.clone();
        target.cells.truncate(table.slim_len);
        let undated = case.findings.iter().filter(|finding| finding.verdict == Verdict::Undated);
        let mends = undated.filter_map(|finding| {
            let (column, t) = (finding.column?, finding.left_at?);
            let collection = table.columns[column].cql_type.collection()?;
            let Value::Element(value) = &finding.expected else { return None };
            let key = finding.element.clone()?;
            let elements = joined(collection, &[Element { key, value: value.clone(), t }]);
            let write = Write::Update { set: vec![(column, elements.clone())] };
            let (target, sources) = (Some(target.clone()), Vec::new());
            let key = case.key.clone();
            Some(Mend {
                t,
                entry: Entry { table: case.table, target, sources, write },
                changes: vec![Change::AddElements { key, column, elements }],
            })
        });
        mends.collect()
    }

    /// The sources' rows that are to be deleted again.
    fn of_sources<'c>(&self, case: &'c Case) -> impl Iterator<Item = Mend> + use<'c, S> {
        let (t, spec) = (self.t, std::sync::Arc::clone(&self.window.spec));
        let safe = case.is_safe();
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
            let entry = Entry {
                table: case.table,
                target: None,
                sources: vec![(*source, row.row.clone())],
                write: Write::Nothing,
            };
            Some(Mend { t, entry, changes: vec![Change::DeleteRow { key }] })
        })
    }
}

/// Values to be written again.
struct Values {
    /// Of columns that are written as a whole.
    set: Vec<(ColumnIndex, Bytes)>,
    /// Of maps and sets that are not frozen: what is added.
    elements: Vec<(ColumnIndex, Bytes)>,
    /// When they are dated.
    t: TimestampUs,
}

/// The values that are missing, worse or different in the survivor's row.
fn values(table: &Table, findings: &[Finding], now: TimestampUs) -> Values {
    let mut values = Values { set: Vec::new(), elements: Vec::new(), t: now };
    let mut single: Vec<(ColumnIndex, Collection, Vec<Element>)> = Vec::new();
    let differences = findings
        .iter()
        .filter(|finding| finding.verdict.is_difference() && finding.verdict != Verdict::Undated);
    for finding in differences.filter(|finding| finding.source.is_none()) {
        let Some(column) = finding.column else { continue };
        let collection = table.columns[column].cql_type.collection();
        match (&finding.expected, &finding.element, collection) {
            (Value::Cell(value), None, Some(_)) => values.elements.push((column, value.clone())),
            (Value::Cell(value), None, None) => values.set.push((column, value.clone())),
            (Value::Element(value), Some(key), Some(collection)) => {
                let element = Element { key: key.clone(), value: value.clone(), t: now };
                match single.iter_mut().find(|(known, ..)| *known == column) {
                    Some((.., elements)) => elements.push(element),
                    None => single.push((column, collection, vec![element])),
                }
            }
            // Something is there where the run left nothing; it is not ours to delete.
            _ => continue,
        }
        values.t = finding.found_at.map_or(values.t, |at| values.t.max(at + 1));
    }
    let joined = single
        .into_iter()
        .map(|(column, collection, elements)| (column, joined(collection, &elements)));
    values.elements.extend(joined);
    values
}
