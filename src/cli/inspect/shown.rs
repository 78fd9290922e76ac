//! What an inspection has found, as the report has it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{InspectSettings, Measured, Reading};
use crate::estimate::{Estimate, Moments};
use crate::model::{Cell, Row, ScanTally};
use crate::pipeline::{Absent, Conflict, Context, Discover, Figures, Selection};
use crate::plan::Plan;
use crate::readable;
use crate::report::{
    AbsentAccounts, ConflictColumn, ConflictExample, Coverage, Deletes, DurationEstimate,
    HotPartition, InspectedTable, Inspection, LargestAccount, LeftOut, Missed, NamedAccount, Speed,
};
use crate::spec::Table;

/// Accounts on both lists that are named.
const NAMED: usize = 10;
/// Fewer requests than this say too little of a cluster's speed.
const FEWEST_REQUESTS: u64 = 500;
/// The same of a time.
const SHORTEST: Duration = Duration::from_millis(500);
/// What a batch costs, in reads: next to nothing where it is written together with others, at the most where it goes
/// to more replicas than a read asks.
const BATCH_COSTS: [f64; 2] = [0.0, 1.5];
/// A value is cut beyond this many characters.
const LONGEST_VALUE: usize = 200;

impl Reading {
    /// The report of an inspection.
    pub(super) fn shown(
        &self,
        settings: &InspectSettings,
        plan: &Plan,
        selection: Selection,
        measured: &Measured,
    ) -> Inspection {
        let Measured { inspected, .. } = measured;
        let (figures, whole) = (&inspected.figures, plan.stats().groups);
        let total = |moments: &Moments| moments.total(whole);
        let absent = |moments: &Moments, of: u64, first: &[Absent]| {
            let Estimate { value, low, high } = total(moments);
            let accounts = Estimate { value: value.min(of), low: low.min(of), high: high.min(of) };
            AbsentAccounts { accounts, of, first: first.iter().map(named).collect() }
        };
        let mut latency = self.context.recorder.totals();
        let speed = self.speed(measured, &latency);
        latency.retain(|operation| operation.count > 0);
        Inspection {
            keyspace: settings.cluster.keyspace.clone(),
            discover: settings.work.discover.to_string(),
            coverage: coverage(measured, whole, selection),
            tables: self.tables(figures, whole),
            surroundings: self.surroundings.clone(),
            left_out: self.left_out.iter().map(left_out).collect(),
            conflicts: inspected.conflicts.iter().map(|conflict| self.conflict(conflict)).collect(),
            absent_sources: absent(
                &figures.absent_sources,
                plan.stats().pairs,
                &inspected.absent_sources,
            ),
            absent_survivors: absent(&figures.absent_survivors, whole, &inspected.absent_survivors),
            chained: plan.chained(NAMED),
            missed: self.missed(settings.work.discover, total(&figures.missed), inspected.scanned),
            largest: inspected
                .largest
                .iter()
                .map(|large| LargestAccount {
                    account: large.account.to_string(),
                    line: large.line,
                    is_survivor: large.is_survivor,
                    rows: large.rows,
                })
                .collect(),
            deletes: self.deletes(measured),
            events: self.context.spec.event.is_some().then(|| total(&figures.events)),
            batches: total(&figures.batches),
            journal_bytes: total(&figures.journal_bytes),
            duration: self.duration(measured, whole, &speed),
            speed,
            latency,
            unreadable: inspected.unreadable,
            unreadable_reasons: inspected.reasons.clone().into_iter().collect(),
        }
    }

    fn tables(&self, figures: &Figures, whole: u64) -> Vec<InspectedTable> {
        let tables = self.context.spec.tables.iter().zip(&figures.tables);
        tables
            .filter(|(table, _)| !table.is_mention())
            .map(|(table, rows)| InspectedTable {
                table: table.name.clone(),
                source_rows: rows.source_rows.total(whole),
                copied: rows.copied.total(whole),
                merged: rows.merged.total(whole),
                unchanged: rows.unchanged.total(whole),
                deleted: rows.deleted.total(whole),
                written_bytes: rows.written_bytes.total(whole),
                tombstones: rows.tombstones.total(whole),
                immortal: rows.immortal.total(whole),
                rule: table.rule(),
            })
            .collect()
    }

    fn conflict(&self, conflict: &Conflict) -> ConflictExample {
        let table = &self.context.spec.tables[conflict.table];
        let (target, source) = conflict
            .timed
            .as_ref()
            .map_or((&conflict.target, &conflict.row), |(target, source)| {
                (&target.row, &source.row)
            });
        let known = target.cells.len().min(source.cells.len());
        let ruled: BTreeSet<usize> = table.survivorship.iter().map(|rule| rule.column).collect();
        let differs = |column: &usize| target.cells[*column] != source.cells[*column];
        let columns = (table.key_len..known).filter(differs);
        // What a rule has decided comes first.
        let (mut columns, others): (Vec<_>, Vec<_>) =
            columns.partition(|column| ruled.contains(column));
        columns.extend(others);
        let shown = |column: usize, cell: &Cell| {
            let value = cell.as_ref()?;
            let value = readable::cell(&table.columns[column].cql_type, value);
            Some(match value.char_indices().nth(LONGEST_VALUE) {
                Some((end, _)) => format!("{}…", &value[..end]),
                None => value,
            })
        };
        let column = |column: usize| {
            let written = conflict.written.iter().find(|(written, _)| *written == column);
            let result = match written {
                Some((_, value)) => shown(column, value),
                None => shown(column, &target.cells[column]),
            };
            let at = |is_target: bool| {
                let (target, source) = conflict.timed.as_ref()?;
                let row = if is_target { target } else { source };
                row.times.get(column)?.latest().map(readable::write_time)
            };
            ConflictColumn {
                column: table.columns[column].name.clone(),
                survivor: shown(column, &target.cells[column]),
                survivor_written_at: at(true),
                source: shown(column, &source.cells[column]),
                source_written_at: at(false),
                result,
            }
        };
        ConflictExample {
            table: table.name.clone(),
            line: conflict.line,
            survivor: conflict.survivor.to_string(),
            source: conflict.source.to_string(),
            key: readable::key(table, &conflict.key),
            is_merged: !conflict.written.is_empty(),
            columns: columns.into_iter().map(column).collect(),
            is_complete: is_complete(table, target),
        }
    }

    fn deletes(&self, measured: &Measured) -> Deletes {
        let limits = self.context.deletes.limits;
        let hottest = measured.hottest.iter().map(|(hot, met)| {
            let (table, scope) = &hot.key;
            let table = &self.context.spec.tables[*table];
            HotPartition {
                table: table.name.clone(),
                partition: readable::scope(table, scope),
                deletes: hot.at_least,
                there: *met,
            }
        });
        let reached = |limit| self.context.deletes.reached(limit);
        Deletes {
            warn: limits.warn,
            fail: limits.fail,
            is_reported: self.is_reported,
            over_warn: reached(limits.warn),
            over_fail: reached(limits.fail),
            hottest: hottest.collect(),
        }
    }

    /// What is found by rows of other tables, and what by a scan.
    fn missed(&self, by: Discover, rows: Estimate, scanned: Option<ScanTally>) -> Missed {
        let spec = &self.context.spec;
        let (tables, alone): (Vec<_>, Vec<_>) = spec
            .discovered()
            .map(|(_, table)| table)
            .partition(|table| table.locator.through.is_some());
        let names = |tables: Vec<&Table>| tables.iter().map(|table| table.name.clone()).collect();
        Missed {
            clustered_rows: (by == Discover::Scan && !tables.is_empty()).then_some(rows),
            tables: names(tables),
            scanned: names(alone),
            scanned_rows: scanned.map(|scanned| scanned.rows),
            mentions: spec.mentions().map(|(_, table)| table.label().into_owned()).collect(),
        }
    }

    fn speed(&self, measured: &Measured, latency: &[crate::latency::LatencySummary]) -> Speed {
        let Context { operations, spec, .. } = &*self.context;
        let scans = spec.discovered().map(|(table, _)| operations.scan(table).0);
        let others: BTreeSet<usize> = scans.chain([operations.group().0]).collect();
        let requests =
            latency.iter().enumerate().filter(|(operation, _)| !others.contains(operation));
        let requests = requests.map(|(_, operation)| operation.count).sum();
        let seconds = measured.took.as_secs_f64();
        let per_second = |n: u64| if seconds > 0.0 { n as f64 / seconds } else { 0.0 };
        Speed {
            seconds,
            groups_per_s: per_second(measured.inspected.groups),
            requests_per_s: per_second(requests),
            requests,
            retries: self.context.retries(),
        }
    }

    /// The reads of all groups at the pace of this inspection, and the batches by what they may cost. A scan is made
    /// before the first group, and once more in the sweep.
    fn duration(&self, measured: &Measured, whole: u64, speed: &Speed) -> Option<DurationEstimate> {
        let Measured { inspected, took, .. } = measured;
        if speed.requests < FEWEST_REQUESTS || *took < SHORTEST || inspected.groups == 0 {
            return None;
        }
        let reads = speed.requests as f64 * whole as f64 / inspected.groups as f64;
        let batches = inspected.figures.batches.total(whole);
        let [low, high] = BATCH_COSTS;
        let scans_s = 2.0 * inspected.scanning.as_secs_f64();
        Some(DurationEstimate {
            low_s: scans_s + (reads + batches.low as f64 * low) / speed.requests_per_s,
            high_s: scans_s + (reads + batches.high as f64 * high) / speed.requests_per_s,
        })
    }
}

fn coverage(measured: &Measured, whole: u64, selection: Selection) -> Coverage {
    let Measured { inspected, .. } = measured;
    let is_exact = inspected.groups == whole;
    let seed = match selection {
        Selection::Sample { seed, .. } if !is_exact => Some(seed),
        _ => None,
    };
    let method = match is_exact {
        true => "Every group was read",
        false => {
            "Groups were drawn at random, but for those of very many sources, which are all read; totals by \
             Student's t, or by Wilson's interval where all that were drawn say the same. A few accounts with \
             very many rows can be missed"
        }
    };
    Coverage {
        is_exact,
        groups: inspected.groups,
        of_groups: whole,
        pairs: inspected.pairs,
        seed,
        method: method.to_owned(),
    }
}

fn left_out((table, columns): &(String, Vec<String>)) -> LeftOut {
    LeftOut { table: table.clone(), columns: columns.clone() }
}

fn named(absent: &Absent) -> NamedAccount {
    NamedAccount { account: absent.account.to_string(), line: absent.line }
}

fn is_complete(table: &Table, row: &Row) -> bool {
    row.cells.len() == table.columns.len()
}
