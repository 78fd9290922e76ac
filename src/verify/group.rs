//! One group: every key that its sources had is read and judged, table by table, as its histories go by.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use crate::history::{Histories, History, row_bytes};
use crate::model::{AccountId, Cell, Group, Row, Scope, TableIndex, TimedRow, TimestampUs};
use crate::pipeline::{READS, Window};
use crate::spec::Spec;
use crate::storage::{StorageError, Writer};

use super::case::Case;
use super::diff;
use super::expected::Expected;
use super::judge;
use super::lines::{Lines, Shared};
use super::streams::Streams;
use super::{Counts, VerifyError};

/// Differences that are held before they are read again.
const MOST_SUSPECTS: usize = 500;

/// How often a difference is read again before it is believed; the pause before doubles each time.
const AGAIN: u32 = 2;

/// What came of a group.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) counts: Counts,
    pub(super) lines: Lines,
}

/// One group in the works.
pub(super) struct Check<'a, S> {
    pub(super) window: &'a Window<S>,
    pub(super) group: &'a Group,
    /// The merge's write time.
    pub(super) t: TimestampUs,
    shared: &'a Shared,
    lines: Lines,
    counts: Counts,
    /// Keys at which something is different.
    suspects: Vec<Case>,
    /// Whether they are repaired.
    repair: bool,
    /// Scopes of the announced table in which a row of the survivor was repaired.
    pub(super) changed: BTreeSet<Scope>,
    /// The time of the first of these repairs.
    pub(super) changed_t: Option<TimestampUs>,
}

/// Compares one group.
pub(super) async fn check<S: Writer>(
    window: &Window<S>,
    shared: &Shared,
    number: usize,
    repair: bool,
) -> Result<Checked, VerifyError> {
    let missing = || VerifyError::Record(format!("there is no group {number}"));
    let record = window.journal.group(number)?.ok_or_else(missing)?;
    let group = Group { index: number, survivor: record.survivor, pairs: record.pairs };
    let t = record.t.ok_or_else(missing)?;
    let counts = Counts::new(window.spec.tables.len());
    let mut check = Check {
        window,
        group: &group,
        t,
        shared,
        lines: Lines::default(),
        counts,
        suspects: Vec::new(),
        repair,
        changed: BTreeSet::new(),
        changed_t: None,
    };
    if repair {
        check.recall_unannounced()?;
    }
    check.walk().await?;
    if repair {
        check.announce().await?;
    }
    window.over(&group);
    check.counts.groups = 1;
    Ok(Checked { counts: check.counts, lines: check.lines })
}

impl<'a, S: Writer> Check<'a, S> {
    async fn walk(&mut self) -> Result<(), VerifyError> {
        let window = self.window;
        let spec = &window.spec;
        let (journal, now) = (&*window.journal, window.as_of.now());
        let mut walk = Histories::open(journal, &window.codec, spec, self.group.index, now)?;
        let mut unseen = self.scopes()?;
        let mut open: Option<Streams<'a, S>> = None;
        while let Some(histories) = walk.next_chunk()? {
            for (table, scope, histories) in by_scope(spec, histories) {
                let is_first = unseen.remove(&(table, scope.clone()));
                let is_open =
                    open.as_ref().is_some_and(|open| (open.table, &open.scope) == (table, &scope));
                if !is_open {
                    self.close(open.take()).await?;
                }
                let is_merged = histories.iter().all(|history| history.entry.is_some());
                let shape = &spec.tables[table];
                let is_streamed = is_merged && !shape.has_point_rows() && !shape.is_mention();
                if is_streamed && is_first {
                    let row_bytes = row_bytes(&histories);
                    let streams =
                        Streams::open(window, self.group, table, scope, row_bytes).await?;
                    let is_as_left = self.is_as_left(&streams, &histories).await?;
                    open = Some(streams);
                    if is_as_left {
                        self.counts.tables[table].rows += histories.len() as u64;
                        continue;
                    }
                }
                match &mut open {
                    Some(open) => self.stream(open, histories).await?,
                    None => self.points(histories).await?,
                }
                self.settle().await?;
            }
        }
        self.close(open).await?;
        self.unseen(unseen).await?;
        self.settle().await
    }

    /// The scopes in which the group may own rows: those that its rows led to, also in sweeps, and those to which none
    /// has to lead.
    fn scopes(&self) -> Result<BTreeSet<(TableIndex, Scope)>, VerifyError> {
        let spec = &self.window.spec;
        let own = spec.in_order();
        let own = own.filter_map(|(index, table)| Some((index, table.locator.constant()?)));
        let mut scopes: BTreeSet<_> = own.collect();
        for slice in self.window.journal.slices(self.group.index)? {
            let led_to = self.window.codec.decode_scopes(&slice.scopes);
            scopes.extend(led_to.map_err(VerifyError::Record)?);
        }
        Ok(scopes)
    }

    /// Whether sources own nothing, and the survivor's rows are exactly as the run left them. That is seen without write
    /// times, which cost as much as all values; what is anything else is read with them.
    async fn is_as_left(
        &self,
        streams: &Streams<'a, S>,
        histories: &[History],
    ) -> Result<bool, StorageError> {
        if streams.has_sources() {
            return Ok(false);
        }
        let Some(rows) = streams.values().await? else { return Ok(false) };
        let shape = &self.window.spec.tables[streams.table];
        let mut rows: HashMap<_, _> =
            rows.into_iter().map(|row| (shape.key_of(&row), row)).collect();
        Ok(histories.iter().all(|history| {
            let expected = Expected::of(shape, history, &self.group.survivor);
            let row = rows.remove(&expected.key);
            row.is_some_and(|row| judge::is_as_left(shape, &expected, row))
        }))
    }

    /// Keys of a scope in which accounts may own many rows, in clustering order.
    async fn stream(
        &mut self,
        streams: &mut Streams<'a, S>,
        histories: Vec<History>,
    ) -> Result<(), VerifyError> {
        for history in histories {
            let mut case = Case::new(&self.window.spec, self.group, history);
            let key = Row::new(case.key.iter().cloned().map(Cell::Some).collect());
            while let Some(passed) = streams.passed(Some(&key)).await? {
                self.unknown(streams.table, passed).await?;
            }
            let met = streams.at(&key).await?;
            (case.survivor, case.sources) = (met.survivor, met.sources);
            self.take_up(case)?;
            self.relieve().await?;
        }
        Ok(())
    }

    /// A scope is over: what sources own beyond is nothing that the run knows of.
    async fn close(&mut self, streams: Option<Streams<'a, S>>) -> Result<(), VerifyError> {
        let Some(mut streams) = streams.filter(Streams::has_sources) else { return Ok(()) };
        while let Some(passed) = streams.passed(None).await? {
            self.unknown(streams.table, passed).await?;
        }
        self.settle().await
    }

    /// Keys that are read one by one: those of a scope in which each account owns one row, and those that only sweeps
    /// came across.
    async fn points(&mut self, histories: Vec<History>) -> Result<(), VerifyError> {
        let (window, group) = (self.window, self.group);
        let mut accounts: Vec<AccountId> = vec![group.survivor.clone()];
        accounts.extend(group.sources().cloned());
        let accounts = &accounts;
        let reads = histories.into_iter().map(|history| async move {
            let mut case = Case::new(&window.spec, group, history);
            let table = &window.spec.tables[case.table];
            if table.has_point_rows() {
                let scope = table.scope_of_key(&case.key);
                let mut rows = window.rows_of(case.table, &scope, accounts).await?.into_iter();
                if let (Some(Some(row)), true) = (rows.next(), rows.all(|row| row.is_none()))
                    && let Some(expected) = case.expected(&window.spec, group)
                    && judge::is_as_left(table, &expected, row)
                {
                    case.is_as_left = true;
                    return Ok(case);
                }
                for (owner, row) in window.timed_rows_of(case.table, &scope, accounts).await? {
                    match owner.checked_sub(1) {
                        None => case.survivor = Some(row),
                        Some(source) => case.sources.push((source, row)),
                    }
                }
            } else {
                // Its sources' rows come by with their scopes.
                case.survivor = window.timed_row(case.table, &case.key).await?;
            }
            Ok::<_, StorageError>(case)
        });
        let mut cases = stream::iter(reads).buffered(READS);
        while let Some(case) = cases.try_next().await? {
            self.take_up(case)?;
            self.relieve().await?;
        }
        Ok(())
    }

    /// Scopes in which the run came across no row of a source: none should have one now.
    async fn unseen(&mut self, scopes: BTreeSet<(TableIndex, Scope)>) -> Result<(), VerifyError> {
        let (window, group) = (self.window, self.group);
        let sources: Vec<AccountId> = group.sources().cloned().collect();
        let sources = &sources;
        let deleted = |(table, _): &(TableIndex, _)| window.spec.tables[*table].delete_source;
        let (points, streams): (Vec<_>, Vec<_>) = scopes
            .into_iter()
            .filter(deleted)
            .partition(|(table, _)| window.spec.tables[*table].has_point_rows());
        for (table, scope) in streams {
            let streams = Streams::open(window, group, table, scope, 0).await?;
            self.close(Some(streams)).await?;
        }
        let reads = points.into_iter().map(|(table, scope)| async move {
            Ok::<_, StorageError>((table, window.timed_rows_of(table, &scope, sources).await?))
        });
        let mut found = stream::iter(reads).buffered(READS);
        while let Some((table, rows)) = found.try_next().await? {
            for row in rows {
                self.unknown(table, row).await?;
            }
        }
        Ok(())
    }

    async fn unknown(
        &mut self,
        table: TableIndex,
        source: (usize, TimedRow),
    ) -> Result<(), VerifyError> {
        let case = Case::unknown(&self.window.spec, self.group, table, source);
        self.take_up(case)?;
        self.relieve().await
    }

    /// Judges a case: what merely changed is said at once, what differs is read again first.
    fn take_up(&mut self, mut case: Case) -> Result<(), VerifyError> {
        self.counts.tables[case.table].rows += u64::from(case.history.is_some());
        if case.is_as_left {
            return Ok(());
        }
        case.judge(&self.window.spec, self.group, self.t);
        if case.differs() {
            self.suspects.push(case);
            return Ok(());
        }
        self.say(&case)
    }

    /// Keeps what is held within bounds.
    async fn relieve(&mut self) -> Result<(), VerifyError> {
        if self.suspects.len() < MOST_SUSPECTS { Ok(()) } else { self.settle().await }
    }

    /// Reads what differs again; what still does is repaired if that is asked for, and said.
    async fn settle(&mut self) -> Result<(), VerifyError> {
        let mut suspects = std::mem::take(&mut self.suspects);
        let mut pause = self.window.retry.first_pause;
        for _ in 0..AGAIN {
            if suspects.is_empty() {
                return Ok(());
            }
            pause *= 2;
            suspects = self.again(suspects, pause).await?;
            let (different, settled): (Vec<_>, _) = suspects.into_iter().partition(Case::differs);
            for case in settled {
                self.say(&case)?;
            }
            suspects = different;
        }
        if self.repair {
            suspects = self.mend(suspects).await?;
        }
        for case in suspects {
            self.say(&case)?;
        }
        Ok(())
    }

    /// Reads the rows of cases once more, after a pause, and judges them.
    pub(super) async fn again(
        &self,
        cases: Vec<Case>,
        pause: Duration,
    ) -> Result<Vec<Case>, StorageError> {
        let (window, group, t) = (self.window, self.group, self.t);
        tokio::time::sleep(pause).await;
        let reads = cases.into_iter().map(|mut case| async move {
            if case.history.is_some() {
                case.survivor = window.timed_row(case.table, &case.key).await?;
            }
            let mut sources = Vec::new();
            for (source, _) in &case.sources {
                let key = case.key_of_source(&window.spec, group, *source);
                let row = window.timed_row(case.table, &key).await?;
                sources.extend(row.map(|row| (*source, row)));
            }
            case.sources = sources;
            case.judge(&window.spec, group, t);
            Ok(case)
        });
        stream::iter(reads).buffered(READS).try_collect().await
    }

    /// Counts what is said of a case, and writes it down.
    fn say(&mut self, case: &Case) -> Result<(), VerifyError> {
        for finding in &case.findings {
            self.counts.say(case.table, finding.verdict, finding.source.is_some());
            let first = case.first_source();
            let key = (case.table, &case.key[..]);
            diff::line(&mut self.lines.held, &self.window.spec, self.group, key, finding, first);
        }
        Ok(self.shared.relieve(&mut self.lines)?)
    }
}

/// Histories of one scope after another.
fn by_scope(spec: &Spec, histories: Vec<History>) -> Vec<(TableIndex, Scope, Vec<History>)> {
    let mut scopes: Vec<(TableIndex, Scope, Vec<History>)> = Vec::new();
    for history in histories {
        let (table, scope) = (history.table, history.scope(&spec.tables[history.table]));
        let last = scopes.last_mut().filter(|last| (last.0, &last.1) == (table, &scope));
        match last {
            Some((.., of_scope)) => of_scope.push(history),
            None => scopes.push((table, scope, vec![history])),
        }
    }
    scopes
}
