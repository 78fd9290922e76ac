//! The look: which sources of a window of groups own anything again. No values are read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use futures::future::join_all;

use crate::journal::{SliceKind, SliceRecord};
use crate::model::{AccountId, Scope, TableIndex};
use crate::plan::Plan;
use crate::storage::{Fault, Reader, StorageError};

use super::super::{Context, GroupError, Window};

/// The sources of a window of groups, and where their rows had been.
pub(super) struct Look {
    /// The tables whose sources are deleted, and to which no other leads, with their scopes.
    tables: Vec<(TableIndex, Scope)>,
    /// The sources, with their groups.
    sources: Vec<(AccountId, usize)>,
    /// Tables that have been scanned: there is nothing more to be asked of their scopes.
    scanned: Vec<TableIndex>,
    /// By table and scope: positions in `sources`.
    scopes: HashMap<(TableIndex, Scope), Vec<usize>>,
}

impl Look {
    /// Gathers what the journal says of the groups that are done.
    pub(super) fn at<S>(
        context: &Context<S>,
        plan: &Plan,
        window: Range<usize>,
        is_done: impl Fn(usize) -> bool,
    ) -> Result<Self, GroupError> {
        let spec = &context.spec;
        let tables = spec.in_order().filter(|(_, table)| table.delete_source);
        let mut look = Self {
            tables: tables
                .filter_map(|(at, table)| Some((at, table.locator.constant()?)))
                .collect(),
            sources: Vec::new(),
            scanned: context.scanned(),
            scopes: HashMap::new(),
        };
        let records = context.journal.slices_between(SliceKind::Merge, window.start, window.end)?;
        let mut of_groups = HashMap::new();
        for record in records.iter().filter(|record| record.completes && is_done(record.group)) {
            let first = look.sources.len();
            let group = plan.group(record.group);
            look.sources.extend(group.sources().map(|source| (source.clone(), record.group)));
            of_groups.insert(record.group, first..look.sources.len());
            look.add_scopes(context, record, first..look.sources.len())?;
        }
        // Earlier sweeps may have taken the rows that lead to a scope.
        for record in context.journal.slices_between(SliceKind::Sweep, window.start, window.end)? {
            if let Some(sources) = of_groups.get(&record.group) {
                look.add_scopes(context, &record, sources.clone())?;
            }
        }
        Ok(look)
    }

    fn add_scopes<S>(
        &mut self,
        context: &Context<S>,
        record: &SliceRecord,
        sources: Range<usize>,
    ) -> Result<(), GroupError> {
        let led_to = context.codec.decode_scopes(&record.scopes);
        for (table, scope) in led_to.map_err(GroupError::Record)? {
            if context.spec.tables[table].delete_source && !self.scanned.contains(&table) {
                let known = self.scopes.entry((table, scope)).or_default();
                if !known.contains(&sources.start) {
                    known.extend(sources.clone());
                }
            }
        }
        Ok(())
    }

    pub(super) fn sources(&self) -> u64 {
        self.sources.len() as u64
    }

    /// Looks. What one source meets is its group's alone.
    ///
    /// # Errors
    /// What every source would meet.
    pub(super) async fn find<S: Reader>(
        &self,
        context: &Arc<Context<S>>,
    ) -> Result<Owning, StorageError> {
        let all: Vec<usize> = (0..self.sources.len()).collect();
        let own = self.tables.iter().map(|(table, scope)| (*table, scope, &all));
        let led = self.scopes.iter().map(|((table, scope), sources)| (*table, scope, sources));
        let window = &Window::reading(context);
        let looks = own.chain(led).flat_map(|(table, scope, sources)| {
            sources.iter().map(move |source| async move {
                let (account, group) = &self.sources[*source];
                (*group, window.owns(table, scope, account).await)
            })
        });
        let mut found = Owning::default();
        for (group, owns) in window.alone(join_all(looks)).await {
            match owns {
                Ok(false) => {}
                Ok(true) => drop(found.owning.insert(group)),
                Err(error) if error.kind == Fault::Fatal => return Err(error),
                Err(error) => drop(found.failed.entry(group).or_insert(error)),
            }
        }
        found.owning.retain(|group| !found.failed.contains_key(group));
        Ok(found)
    }
}

#[derive(Debug, Default)]
pub(super) struct Owning {
    /// The groups of which a source owns something.
    pub(super) owning: BTreeSet<usize>,
    /// Those of which that is not known, and why.
    pub(super) failed: BTreeMap<usize, StorageError>,
}
