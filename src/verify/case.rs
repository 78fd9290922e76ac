//! One key of a table as a case: what the run says of it, what is there, and what is to be said of that.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::history::History;
use crate::model::{ColumnIndex, Group, Row, TableIndex, TimedRow, TimestampUs};
use crate::spec::Spec;

use super::expected::Expected;
use super::judge::{self, Judgement, Verdict};

/// One key of a table.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) table: TableIndex,
    /// The key of the survivor's row.
    pub(super) key: Vec<Bytes>,
    /// What the run did; `None` if it did not come across the key.
    pub(super) history: Option<History>,
    /// The survivor's row; not looked at where there is no history.
    pub(super) survivor: Option<TimedRow>,
    /// Rows of sources, with their indexes in the group.
    pub(super) sources: Vec<(usize, TimedRow)>,
    /// The rows need not be read with write times: all is as the run left it.
    pub(super) is_as_left: bool,
    /// What is to be said of it.
    pub(super) findings: Vec<Judgement>,
    /// Whose rows or columns have been written again, or deleted, at the run's own times: what is there now is later.
    pub(super) rewritten: BTreeSet<(Option<usize>, Option<ColumnIndex>)>,
    /// Whether something hides what was written again to the survivor's row.
    is_hidden: bool,
}

impl Case {
    /// A key that the run came across.
    pub(super) fn new(spec: &Spec, group: &Group, history: History) -> Self {
        let table = history.table;
        let key = history.key_of(&spec.tables[table], &group.survivor);
        Self { history: Some(history), ..Self::at(table, key) }
    }

    /// A row of a source at a key of which the run says nothing.
    pub(super) fn unknown(
        spec: &Spec,
        group: &Group,
        table: TableIndex,
        source: (usize, TimedRow),
    ) -> Self {
        let shape = &spec.tables[table];
        let mut key = shape.key_of(&source.1.row);
        shape.set_account(&mut key, &group.survivor);
        Self { sources: vec![source], ..Self::at(table, key) }
    }

    /// A key of which nothing is known yet.
    fn at(table: TableIndex, key: Vec<Bytes>) -> Self {
        Self {
            table,
            key,
            history: None,
            survivor: None,
            sources: Vec::new(),
            is_as_left: false,
            findings: Vec::new(),
            rewritten: BTreeSet::new(),
            is_hidden: false,
        }
    }

    /// The key of a source's row.
    pub(super) fn key_of_source(&self, spec: &Spec, group: &Group, source: usize) -> Vec<Bytes> {
        let mut key = self.key.clone();
        spec.tables[self.table].set_account(&mut key, &group.pairs[source].from);
        key
    }

    /// What the survivor's row has to hold, where the run says anything of it.
    pub(super) fn expected(&self, spec: &Spec, group: &Group) -> Option<Expected> {
        let table = &spec.tables[self.table];
        self.history.as_ref().map(|history| Expected::of(table, history, &group.survivor))
    }

    /// Says what there is to say. What the run deleted from sources is dated `t`.
    pub(super) fn judge(&mut self, spec: &Spec, group: &Group, t: TimestampUs) {
        let table = &spec.tables[self.table];
        self.findings = match self.expected(spec, group) {
            Some(expected) => judge::survivor(table, &expected, self.survivor.as_ref()),
            None => Vec::new(),
        };
        for (source, row) in self.sources.iter().filter(|_| table.delete_source) {
            let before = self.before(*source);
            self.findings.extend(judge::source(table, (*source, before), t, row));
        }
        let differences =
            self.findings.iter_mut().filter(|finding| finding.verdict.is_difference());
        let is_rewritten = |finding: &&mut Judgement| {
            (finding.source.is_none() || finding.verdict == Verdict::Undated)
                && self.rewritten.contains(&(finding.source, finding.column))
        };
        for finding in differences.filter(is_rewritten) {
            self.is_hidden |= finding.source.is_none();
            finding.verdict = Verdict::ChangedSince;
        }
    }

    /// Leaves what somebody wrote to the survivor's row later than the run: nothing of the run's own time wins over it.
    pub(super) fn leave_later(&mut self, expected: &Expected) {
        let left_at = |column: ColumnIndex| {
            let kept = expected.columns.iter().find(|(own, _)| *own == column);
            kept.and_then(|(_, kept)| kept.parts().into_iter().map(|(t, _)| t).max())
        };
        let of_survivor = self.findings.iter_mut().filter(|finding| finding.source.is_none());
        for finding in of_survivor.filter(|finding| finding.verdict.is_difference()) {
            let Some(column) = finding.column else { continue };
            if finding.found_at.is_some() && finding.found_at > left_at(column) {
                self.rewritten.insert((None, Some(column)));
                self.is_hidden = true;
                finding.verdict = Verdict::ChangedSince;
            }
        }
    }

    /// Whether anything is different.
    pub(super) fn differs(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict.is_difference())
    }

    /// Whether the survivor's row is all right, as far as it may be deleted from sources.
    pub(super) fn is_safe(&self) -> bool {
        let of_survivor = self.findings.iter().filter(|finding| finding.source.is_none());
        self.history.is_some()
            && !self.is_hidden
            && !of_survivor.into_iter().any(|f| f.verdict.is_difference())
    }

    /// The first source that had the key.
    pub(super) fn first_source(&self) -> usize {
        let merged = self.history.iter().filter_map(|history| history.entry.as_ref());
        let merged = merged.flat_map(|entry| &entry.sources).map(|(source, _)| *source).next();
        let swept = self.history.iter().flat_map(|history| &history.swept);
        merged.or_else(|| swept.map(|swept| swept.source).next()).unwrap_or_default()
    }

    /// What the merge found of a source.
    pub(super) fn before(&self, source: usize) -> Option<&Row> {
        let entry = self.history.as_ref()?.entry.as_ref()?;
        entry.sources.iter().find(|(known, _)| *known == source).map(|(_, row)| row)
    }

    /// What was different and is no longer becomes repaired; `earlier` is what was said before.
    pub(super) fn mark_repaired(&mut self, earlier: Vec<Judgement>) {
        let is_gone = |finding: &Judgement| {
            finding.verdict.is_difference()
                && !self.findings.iter().any(|now| {
                    (now.source, now.column, &now.element)
                        == (finding.source, finding.column, &finding.element)
                })
        };
        let is_repaired =
            |finding: &Judgement| finding.verdict == Verdict::Repaired || is_gone(finding);
        let repaired: Vec<Judgement> = earlier
            .into_iter()
            .filter(is_repaired)
            .map(|finding| Judgement { verdict: Verdict::Repaired, ..finding })
            .collect();
        self.findings.extend(repaired);
    }
}
