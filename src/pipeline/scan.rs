//! The scan: in which scopes sources own rows of a table that has no index by account.
//!
//! A merge finds the clustered rows of a source through its other rows ([`Discover::Content`]). Those that nothing
//! leads to are found by reading every key of the table ([`Discover::Scan`]): the ring in ranges, several at
//! once, page by page, keys alone. What a range holds of the plan's sources is journaled with it, so that a
//! run that was stopped scans only the rest. The sweep scans once more, for what was written since. Tables to which nothing
//! leads are found in no other way, whatever the others are found by.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::watch;

use crate::failpoint;
use crate::journal::{Scan, ScanRecord, body};
use crate::model::{ScanTally, Scope, TableIndex, TokenRange};
use crate::plan::{Plan, Sources};
use crate::storage::{Reader, StorageError, ring};

use super::discovered::Discovered;
use super::drain::unless_stopped;
use super::pages::Sort;
use super::request_limits::RequestKind;
use super::{Context, GroupError};

/// Ranges in all, at least: so that little is lost when a run is stopped, and a small ring has enough of them.
const RANGES: usize = 256;
/// Ranges under way at once. Each asks a replica for one page after the other, so that a cluster has to serve a
/// few large reads, not hundreds.
const RANGES_AT_ONCE: usize = 16;
/// Rows of a page: keys take some 80 bytes each.
const PAGE_ROWS: usize = 5_000;

/// How the partitions of a table in which the account is a clustering column are found.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase")]
pub enum Discover {
    /// Through the rows of another table: those to which no row of a source leads are not seen.
    #[default]
    Content,
    /// By reading every key of the table.
    Scan,
}

impl<S> Context<S> {
    /// The tables of which every key is read.
    pub(super) fn scanned(&self) -> Vec<TableIndex> {
        let is_asked_for = self.work.discover == Discover::Scan;
        let tables = self.spec.discovered();
        let tables = tables.filter(|(_, table)| is_asked_for || table.locator.is_scanned);
        tables.map(|(table, _)| table).collect()
    }

    /// Whether there are such tables.
    pub(crate) fn scans(&self) -> bool {
        !self.scanned().is_empty()
    }
}

/// Counters that can be watched while a scan goes on.
#[derive(Debug, Default)]
pub struct ScanProgress {
    /// Ranges in all; 0 before the first scan.
    pub total: AtomicU64,
    /// Ranges that are over, those of earlier sessions among them.
    pub ranges: AtomicU64,
    /// Rows that were looked at, by this scan.
    pub rows: AtomicU64,
    /// Rows of sources, of all ranges that are over.
    pub clustered_rows: AtomicU64,
}

/// Scans what the journal does not know as scanned; when all of it is known, groups find their partitions with
/// what was found.
///
/// # Errors
/// A range cannot be read, or the journal failed; what was scanned until then is not scanned again.
pub async fn scan<S: Reader>(
    context: &Context<S>,
    plan: &Plan,
    stop: &watch::Receiver<bool>,
) -> Result<ScanTally, GroupError> {
    let spec = &context.spec;
    let tables = context.scanned();
    let Some(whole) = unless_stopped(stop, ring_of(context, tables.first().copied())).await else {
        return Ok(ScanTally { interrupted: true, ..ScanTally::default() });
    };
    let whole = whole?;
    let known = context.journal.scans()?;
    let mut haul = Haul::new(spec.tables.len());
    let mut left = Vec::new();
    for table in tables {
        let label = spec.tables[table].label();
        let own: Vec<&ScanRecord> = known.iter().filter(|scan| scan.table == label).collect();
        let done: Vec<TokenRange> = own.iter().map(|scan| scan.range).collect();
        left.extend(ring::left_of(&whole, &done).into_iter().map(|range| (table, range)));
        for ScanRecord { id, rows, clustered_rows, .. } in own {
            let found = context.codec.decode_found(&context.journal.found(*id)?);
            let (table, found) = found.map_err(GroupError::Record)?;
            haul.take(table, &Held { rows: *rows, clustered_rows: *clustered_rows, found });
            haul.scanned.ranges_before += 1;
        }
    }
    let sources = plan.sources();
    let scanner = Scanner { context, sources: &sources, is_wanted: &|_| true, keeps: true };
    scanner.walk(left, &mut haul, stop).await?;
    let Haul { discovered, scanned } = haul;
    if !scanned.interrupted {
        // What this session knows already, it knows from the same ranges.
        context.discovered.get_or_init(|| discovered.finish());
    }
    Ok(scanned)
}

/// Scans for the groups that are wanted, and journals nothing: groups find their partitions with what was found.
pub(super) async fn search<S: Reader>(
    context: &Context<S>,
    plan: &Plan,
    is_wanted: &(dyn Fn(usize) -> bool + Sync),
    stop: &watch::Receiver<bool>,
) -> Result<ScanTally, GroupError> {
    let (found, scanned) = look_for(context, plan, context.scanned(), is_wanted, stop).await?;
    if !scanned.interrupted {
        context.discovered.get_or_init(|| found);
    }
    Ok(scanned)
}

/// Scans for rows of sources of groups that are done, which should own none. Nothing of it is journaled: what
/// comes of it is.
pub(super) async fn survey<S: Reader>(
    context: &Context<S>,
    plan: &Plan,
    is_done: &(dyn Fn(usize) -> bool + Sync),
    stop: &watch::Receiver<bool>,
) -> Result<(Discovered, ScanTally), GroupError> {
    let mut tables = context.scanned();
    tables.retain(|table| context.spec.tables[*table].delete_source);
    look_for(context, plan, tables, is_done, stop).await
}

/// Scans tables for rows of sources of those groups that are wanted.
pub(super) async fn look_for<S: Reader>(
    context: &Context<S>,
    plan: &Plan,
    tables: Vec<TableIndex>,
    is_wanted: &(dyn Fn(usize) -> bool + Sync),
    stop: &watch::Receiver<bool>,
) -> Result<(Discovered, ScanTally), GroupError> {
    let mut haul = Haul::new(context.spec.tables.len());
    let Some(whole) = unless_stopped(stop, ring_of(context, tables.first().copied())).await else {
        haul.scanned.interrupted = true;
        return Ok((haul.discovered.finish(), haul.scanned));
    };
    let whole = whole?;
    let all = tables.iter().flat_map(|table| whole.iter().map(|range| (*table, *range)));
    let sources = plan.sources();
    let scanner = Scanner { context, sources: &sources, is_wanted, keeps: false };
    scanner.walk(all.collect(), &mut haul, stop).await?;
    Ok((haul.discovered.finish(), haul.scanned))
}

/// The ring in ranges; none if there is no table to scan.
async fn ring_of<S: Reader>(
    context: &Context<S>,
    first: Option<TableIndex>,
) -> Result<Vec<TokenRange>, StorageError> {
    let Some(table) = first else { return Ok(Vec::new()) };
    let operation = context.operations.scan(table);
    context.carry_out(operation, || context.storage.token_ranges(RANGES)).await
}

/// What ranges hold, once they are over.
struct Haul {
    discovered: Discovered,
    scanned: ScanTally,
}

impl Haul {
    fn new(tables: usize) -> Self {
        Self { discovered: Discovered::new(tables), scanned: ScanTally::default() }
    }

    fn take(&mut self, table: TableIndex, held: &Held) {
        for (scope, groups) in &held.found {
            self.discovered.add(table, scope, groups);
        }
        self.scanned.rows += held.rows;
        self.scanned.clustered_rows += held.clustered_rows;
    }
}

/// What one range holds.
#[derive(Default)]
struct Held {
    rows: u64,
    clustered_rows: u64,
    found: Vec<body::FoundIn>,
}

impl Held {
    /// A row of a source; the rows of a partition come one behind the other.
    fn add(&mut self, scope: &Scope, group: u32) {
        self.clustered_rows += 1;
        match self.found.last_mut() {
            Some((last, groups)) if last == scope => groups.push(group),
            _ => self.found.push((scope.detached(), vec![group])),
        }
    }

    /// The range is over: a group of several sources is named once.
    fn finish(mut self) -> Self {
        for (_, groups) in &mut self.found {
            groups.sort_unstable();
            groups.dedup();
        }
        self
    }
}

/// Scans ranges for the sources of a plan.
struct Scanner<'a, S> {
    context: &'a Context<S>,
    sources: &'a Sources<'a>,
    /// Which groups are looked for.
    is_wanted: &'a (dyn Fn(usize) -> bool + Sync),
    /// Whether ranges that are over are journaled.
    keeps: bool,
}

impl<S: Reader> Scanner<'_, S> {
    /// Goes through ranges, several at once.
    async fn walk(
        &self,
        ranges: Vec<(TableIndex, TokenRange)>,
        haul: &mut Haul,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), GroupError> {
        let progress = &self.context.scanning;
        haul.scanned.ranges = haul.scanned.ranges_before + ranges.len() as u64;
        progress.begin(&haul.scanned);
        let scans = ranges.into_iter().map(|(table, range)| self.range(table, range));
        let scans: Vec<_> = scans.collect();
        let mut scans = stream::iter(scans).buffer_unordered(RANGES_AT_ONCE);
        let mut stop = stop.clone();
        loop {
            tokio::select! {
                biased;
                // Ranges under way are given up: they are only read.
                _ = stop.wait_for(|stop| *stop) => {
                    haul.scanned.interrupted = haul.scanned.is_partial();
                    return Ok(());
                }
                over = scans.try_next() => match over? {
                    Some((table, held)) => {
                        haul.take(table, &held);
                        haul.scanned.ranges_now += 1;
                        progress.ranges.fetch_add(1, Ordering::Relaxed);
                        progress.clustered_rows.fetch_add(held.clustered_rows, Ordering::Relaxed);
                    }
                    None => return Ok(()),
                },
            }
        }
    }

    /// Scans one range, and journals what it holds.
    async fn range(
        &self,
        table: TableIndex,
        range: TokenRange,
    ) -> Result<(TableIndex, Held), GroupError> {
        let held = self.pages(table, range).await?;
        if self.keeps {
            let scan = Scan {
                table: self.context.spec.tables[table].label().into_owned(),
                range,
                rows: held.rows,
                clustered_rows: held.clustered_rows,
                found: self.context.codec.encode_found(table, &held.found),
            };
            self.context.journal.keep_scan(scan).await?;
            failpoint::hit("scanned");
        }
        Ok((table, held))
    }

    async fn pages(&self, table: TableIndex, range: TokenRange) -> Result<Held, StorageError> {
        let context = self.context;
        let sort =
            Sort { kind: RequestKind::Keys, table, operation: context.operations.scan(table) };
        let mut held = Held::default();
        let mut next = None;
        loop {
            // Not in a pause.
            context.pace.begin(0).await;
            let read = |rows| context.storage.scan(table, range, rows, next.clone());
            let page = context.page_of(sort, PAGE_ROWS, 0, read).await?;
            held.rows += page.keys.len() as u64;
            context.scanning.rows.fetch_add(page.keys.len() as u64, Ordering::Relaxed);
            for (scope, account) in &page.keys {
                if let Some(group) = self.sources.group_of(account)
                    && (self.is_wanted)(group as usize)
                    && context.spec.tables[table].locator.admits(scope)
                {
                    held.add(scope, group);
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(held.finish());
            }
        }
    }
}

impl ScanProgress {
    /// A scan begins, part of which may have been done before.
    fn begin(&self, scanned: &ScanTally) {
        self.ranges.store(scanned.ranges_before, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
        self.clustered_rows.store(scanned.clustered_rows, Ordering::Relaxed);
        self.total.store(scanned.ranges, Ordering::Relaxed);
    }
}
