//! A slice: the part of a group's rows in one table that is merged and written together.
//!
//! Most groups are one slice per table; a group that is too large to hold is cut between keys, so that
//! every slice is complete in itself.

use bytes::Bytes;

use crate::account::{AccountId, Cell, Change, Mutation, Row, TableIndex, TableTally, TimestampUs};
use crate::spec::Table;

use super::findings::Findings;
use super::fold::{Effect, Fold};
use super::join::Matched;

/// Mutations of the survivor's partition, with what they came from.
#[derive(Debug, Default)]
pub struct Slice {
    /// What has to be written.
    pub mutations: Vec<Mutation>,
    /// The bytes that they hold.
    pub size_bytes: usize,
    /// What was done, in rows.
    pub tally: TableTally,
}

/// What stays the same for all slices of a group in one table.
#[derive(Clone, Copy, Debug)]
pub struct SliceContext<'a> {
    /// The table's position.
    pub index: TableIndex,
    /// The table.
    pub table: &'a Table,
    /// The surviving account.
    pub survivor: &'a AccountId,
    /// The group's write time.
    pub t: TimestampUs,
}

impl Slice {
    /// Merges the rows of one key into the slice.
    pub fn merge(&mut self, context: SliceContext<'_>, matched: Matched, findings: &mut Findings) {
        let SliceContext { index, table, survivor, t } = context;
        self.tally.target_rows += u64::from(matched.target.is_some());
        let seen = matched.sources.first().map(|(_, row)| row).or(matched.target.as_ref());
        let trail = seen.map(|row| findings.trail(index, row, !matched.sources.is_empty()));
        let mut fold = Fold::new(table, matched.target);
        for (source, row) in matched.sources {
            findings.mark_owner(index, source);
            self.tally.count(fold.add(row));
        }
        if let Some(change) = fold.finish(survivor) {
            if let Some(trail) = trail {
                findings.mark_changed(&trail);
            }
            let mutation = Mutation { table: index, t, change };
            self.size_bytes += mutation.size_bytes();
            self.mutations.push(mutation);
        }
    }
}

impl TableTally {
    /// Counts one source row by its effect.
    pub(super) fn count(&mut self, effect: Effect) {
        self.source_rows += 1;
        match effect {
            Effect::Copied => self.copied += 1,
            Effect::Merged => self.merged += 1,
            Effect::Unchanged => self.unchanged += 1,
        }
    }
}

/// The rows of one partition of a table in which the account is a clustering column: the survivor's and
/// the sources'.
///
/// Rows are added in merge order, in as many parts as they are read in; only the row that stays is held.
#[derive(Debug)]
pub struct Enrolment<'a> {
    context: SliceContext<'a>,
    fold: Fold<'a>,
    /// Whether the first source's row was copied: its delete shares the copy's batch.
    copied: bool,
    /// Sources that own a row, in merge order, with their positions in the group.
    sources: Vec<(usize, AccountId)>,
    tally: TableTally,
}

/// What became of an [`Enrolment`].
#[derive(Debug)]
pub struct Enrolled {
    /// The change of the survivor's row, if any, and the deletes of the sources' rows. The first
    /// `inseparable` of them have to go in one batch.
    pub mutations: Vec<Mutation>,
    /// How many mutations at the front must not be separated.
    pub inseparable: usize,
    /// Whether the survivor has a row afterwards.
    pub present: bool,
    /// Whether its row changed.
    pub changed: bool,
    /// The columns that the event quotes, in the event's order, where the survivor has a row.
    pub quoted: Vec<Cell>,
    /// The positions of the sources that owned rows.
    pub owners: Vec<usize>,
    /// What was done, in rows.
    pub tally: TableTally,
}

impl<'a> Enrolment<'a> {
    /// Starts with the survivor's row, if it has one.
    pub fn new(context: SliceContext<'a>, target: Option<Row>) -> Self {
        let tally =
            TableTally { target_rows: u64::from(target.is_some()), ..TableTally::default() };
        let fold = Fold::new(context.table, target);
        Self { context, fold, copied: false, sources: Vec::new(), tally }
    }

    /// Adds the row of the next source that has one; `position` is its place in the group.
    pub fn add(&mut self, position: usize, source: &AccountId, row: Row) {
        let effect = self.fold.add(row);
        self.copied |= effect == Effect::Copied;
        self.sources.push((position, source.clone()));
        self.tally.count(effect);
    }

    /// What has to be written in the partition `key`; `quoted` are the columns that the event quotes.
    pub fn finish(self, key: &Bytes, quoted: &[usize]) -> Enrolled {
        let SliceContext { index, table, survivor, t } = self.context;
        let present = self.fold.is_present();
        // Copied out of their page, which would otherwise live until the group ends.
        let own = |cell: &Cell| cell.as_deref().map(Bytes::copy_from_slice);
        let quoted = quoted.iter().filter_map(|c| self.fold.cell(*c).map(own)).collect();
        let mut tally = self.tally;
        let mut mutations = Vec::new();
        let change = self.fold.finish(survivor);
        let changed = change.is_some();
        mutations.extend(change.map(|change| Mutation { table: index, t, change }));
        let mut inseparable = mutations.len();
        if table.delete_source {
            tally.deleted += self.sources.len() as u64;
            // The copied row is the first that was added, so its delete follows the copy at once.
            inseparable += usize::from(self.copied);
            mutations.extend(self.sources.iter().map(|(_, source)| Mutation {
                table: index,
                t,
                change: Change::DeleteRow { key: vec![key.clone(), source.cell().clone()] },
            }));
        }
        let owners = self.sources.into_iter().map(|(position, _)| position).collect();
        Enrolled { mutations, inseparable, present, changed, quoted, owners, tally }
    }
}
