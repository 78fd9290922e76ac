//! The k-way merge-join: page streams of one table, each in clustering order, become keys with all
//! their rows.
//!
//! It holds at most what it was fed, so an account with a million rows, or a group of hundreds of
//! sources, is merged in the memory of a page per stream. Stream 0 is the survivor, stream `n` the
//! n-th source.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;
use thiserror::Error;

use crate::model::{Cell, Row};
use crate::spec::Table;

/// A stream did not arrive in clustering order: joining it would lose rows, so the group fails.
#[derive(Debug, Error)]
#[error("rows of table {table} did not arrive in clustering order; the group was left as it is")]
pub struct OutOfOrder {
    table: String,
}

/// All rows of one key.
#[derive(Debug, Default)]
pub struct Matched {
    /// The survivor's row.
    pub target: Option<Row>,
    /// The sources' rows in merge order, each with the position of its source (from 0).
    pub sources: Vec<(usize, Row)>,
}

/// The state of a merge-join over page streams.
#[derive(Debug)]
pub struct Join<'a> {
    table: &'a Table,
    streams: Vec<Stream>,
    /// The first row of every stream that has one.
    heads: BinaryHeap<Head<'a>>,
    /// Open streams without a head; nothing can be joined until they are fed.
    starved: usize,
}

#[derive(Debug)]
struct Stream {
    rows: VecDeque<Row>,
    /// The key of the last row that was fed, to hold the next page against.
    last_fed: Option<Row>,
    open: bool,
    has_head: bool,
}

#[derive(Debug)]
struct Head<'a> {
    table: &'a Table,
    stream: usize,
    row: Row,
}

impl Ord for Head<'_> {
    /// Reversed: the heap's greatest is the smallest key, of the first stream.
    fn cmp(&self, other: &Self) -> Ordering {
        self.table.compare(&other.row, &self.row).then(other.stream.cmp(&self.stream))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}

impl<'a> Join<'a> {
    /// A join of the survivor's stream and those of `sources` sources.
    pub fn new(table: &'a Table, sources: usize) -> Self {
        let streams = (0..=sources)
            .map(|_| Stream { rows: VecDeque::new(), last_fed: None, open: true, has_head: false })
            .collect();
        Self { table, streams, heads: BinaryHeap::new(), starved: sources + 1 }
    }

    /// Feeds the next page of a stream; `last` closes it.
    ///
    /// # Errors
    /// The page is not in clustering order.
    pub fn feed(&mut self, stream: usize, rows: Vec<Row>, last: bool) -> Result<(), OutOfOrder> {
        let table = self.table;
        let state = &mut self.streams[stream];
        if !ascending(table, state.last_fed.as_ref(), &rows) {
            return Err(OutOfOrder { table: table.name.clone() });
        }
        if let Some(row) = rows.last().filter(|_| !last) {
            // Copied out of its page, which is not to live until the next one comes.
            let own = |cell: &Cell| cell.as_deref().map(Bytes::copy_from_slice);
            let key = row.cells.iter().take(table.key_len).map(own).collect();
            state.last_fed = Some(Row::new(key));
        }
        state.rows.extend(rows);
        state.open = !last;
        if !state.has_head {
            self.starved -= 1;
            self.refill(stream);
        }
        Ok(())
    }

    /// Whether every stream has ended and every row was given out.
    pub fn is_finished(&self) -> bool {
        self.starved == 0 && self.heads.is_empty()
    }

    /// Open streams that hold fewer than `rows` rows: the ones to fetch for while a page is awaited
    /// anyway. Includes every stream that [`next`](Self::next) is waiting for, unless `rows` is 0.
    pub fn hungry(&self, rows: usize) -> Vec<usize> {
        self.streams
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.open && stream.rows.len() < rows)
            .map(|(index, _)| index)
            .collect()
    }

    /// How many streams are still open.
    pub(crate) fn open_streams(&self) -> usize {
        self.streams.iter().filter(|stream| stream.open).count()
    }

    /// Takes the rows of the smallest key; `None` until every open stream is fed, or at the end.
    pub fn next_key(&mut self) -> Option<Matched> {
        if self.starved > 0 {
            return None;
        }
        let mut matched = Matched::default();
        let first = self.heads.pop()?;
        let (table, first_stream) = (self.table, first.stream);
        while let Some(head) = self.heads.peek() {
            if table.compare(&head.row, &first.row).is_ne() {
                break;
            }
            if let Some(head) = self.heads.pop() {
                matched.sources.push((head.stream - 1, head.row));
                self.refill(head.stream);
            }
        }
        match first_stream {
            0 => matched.target = Some(first.row),
            source => matched.sources.insert(0, (source - 1, first.row)),
        }
        self.refill(first_stream);
        Some(matched)
    }

    /// Moves the next row of a stream to the heap, or marks the stream as starved.
    fn refill(&mut self, stream: usize) {
        let state = &mut self.streams[stream];
        match state.rows.pop_front() {
            Some(row) => {
                state.has_head = true;
                self.heads.push(Head { table: self.table, stream, row });
            }
            None => {
                state.has_head = false;
                self.starved += usize::from(state.open);
            }
        }
    }
}

/// Whether `rows` follow `before` and each other in strictly ascending clustering order.
fn ascending(table: &Table, before: Option<&Row>, rows: &[Row]) -> bool {
    let follows = |a: &Row, b: &Row| table.compare(a, b).is_lt();
    before.zip(rows.first()).is_none_or(|(a, b)| follows(a, b))
        && rows.windows(2).all(|pair| follows(&pair[0], &pair[1]))
}
