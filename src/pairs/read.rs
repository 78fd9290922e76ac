//! Input → pairs, block by block: while one batch of blocks is parsed and its ids are numbered, the
//! next one is read. The input as a whole is never in memory.

use std::fmt;
use std::io::Read;
use std::mem;

use rayon::prelude::*;

use super::accounts::{Accounts, Interner, SHARDS};
use super::blocks::{BLOCK_BYTES, Blocks};
use super::followed::{Followed, Now};
use super::format::Layout;
use super::parse::{Parsed, parse};
use super::reason::Reason;
use super::rejects::Rejects;
use super::{Accepted, Format, PairsError, Seen};

/// Two accounts by number: the first is merged into the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// What the input holds: the pairs that passed the checks a line can pass on its own, and the rest
/// by reason.
#[derive(Default)]
pub struct PairList {
    pub(crate) accounts: Accounts,
    /// The pairs in the order of their lines.
    pub(crate) edges: Vec<Edge>,
    pub(crate) lines: Vec<u64>,
    pub(crate) rejects: Rejects,
    /// What was seen in the ids of the pairs.
    pub(crate) seen: Seen,
    /// What was let through.
    pub(crate) accepted: Accepted,
    pub(crate) records: u64,
    pub(crate) blank: u64,
    /// The targets of pairs that go elsewhere by now, in the order in which pairs named them.
    pub(crate) followed: Vec<Followed>,
}

impl fmt::Debug for PairList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_struct("PairList");
        list.field("pairs", &self.len()).field("rejects", &self.rejects.len());
        list.finish_non_exhaustive()
    }
}

impl PairList {
    /// How many pairs there are, repeated ones included.
    pub(crate) fn len(&self) -> usize {
        self.edges.len()
    }

    /// The lines that were rejected so far.
    pub(crate) fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    #[cfg(test)]
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}

/// Reads all pairs. The reader yields text: see [`open`](super::open) for compressed input.
pub fn read(reader: impl Read + Send, format: &Format) -> Result<PairList, PairsError> {
    read_followed(reader, format, &[])
}

/// Reads all pairs; what is paired with one of these targets goes to where that is now.
pub(crate) fn read_followed(
    reader: impl Read + Send,
    format: &Format,
    followed: &[Followed],
) -> Result<PairList, PairsError> {
    // Enough blocks to keep every core busy, few enough to bound what is in flight.
    let blocks_at_once = (2 * rayon::current_num_threads()).clamp(4, 16);
    read_all(reader, format, followed, (BLOCK_BYTES, blocks_at_once))
}

#[cfg(test)]
pub(crate) fn read_in_blocks(
    reader: impl Read + Send,
    format: &Format,
    block_bytes: usize,
    blocks_at_once: usize,
) -> Result<PairList, PairsError> {
    read_all(reader, format, &[], (block_bytes, blocks_at_once))
}

fn read_all(
    reader: impl Read + Send,
    format: &Format,
    followed: &[Followed],
    (block_bytes, blocks_at_once): (usize, usize),
) -> Result<PairList, PairsError> {
    let mut blocks = Blocks::new(reader, block_bytes);
    let (layout, first) = Layout::read(&mut blocks, format)?;
    let mut intake = Intake::new(layout);
    intake.now = Now::number(&mut intake.interners, followed)?;
    let mut batch = Vec::new();
    if !first.is_empty() {
        batch.push(first);
    }
    batch.extend(blocks.batch(blocks_at_once)?);
    while !batch.is_empty() {
        let now = mem::take(&mut batch);
        let (next, absorbed) = rayon::join(|| blocks.batch(blocks_at_once), || intake.absorb(&now));
        absorbed?;
        batch = next?;
    }
    intake.finish()
}

/// Where the blocks come together again, in order.
struct Intake {
    layout: Layout,
    interners: Vec<Interner>,
    /// Where targets are now.
    now: Now,
    list: PairList,
    /// The physical lines before the next block.
    physical_lines: u64,
    /// The beginning of a record that the blocks so far do not complete.
    carry: Vec<u8>,
    /// Why lines are rejected that stand below a header with the columns in another order.
    below: Option<Reason>,
}

impl Intake {
    fn new(layout: Layout) -> Self {
        let (records, accepted) = (layout.blank, layout.accept);
        let rejects = Rejects::of(layout.mend);
        let list = PairList { records, accepted, blank: records, rejects, ..PairList::default() };
        Self {
            physical_lines: layout.lines,
            interners: Interner::all(layout.accounts),
            now: Now::default(),
            layout,
            list,
            carry: Vec::new(),
            below: None,
        }
    }

    fn absorb(&mut self, batch: &[Vec<u8>]) -> Result<(), PairsError> {
        let layout = &self.layout;
        let mut parsed: Vec<Parsed> =
            batch.par_iter().map(|block| parse(block, layout, false)).collect();
        for (block, parsed) in batch.iter().zip(&mut parsed) {
            if !self.carry.is_empty() {
                // The block began within a record, so that it was parsed from the wrong position.
                self.carry.extend_from_slice(block);
                *parsed = parse(&self.carry, &self.layout, false);
                self.carry.drain(..parsed.decided);
            } else {
                self.carry.extend_from_slice(&block[parsed.decided..]);
            }
        }
        self.take(&parsed)
    }

    fn finish(mut self) -> Result<PairList, PairsError> {
        if !self.carry.is_empty() {
            let parsed = parse(&self.carry, &self.layout, true);
            self.take(&[parsed])?;
        }
        self.list.rejects.sort();
        let Self { mut list, interners, now, .. } = self;
        list.accounts = Interner::finish(interners);
        list.followed = now.follow(&mut list.edges, &list.accounts);
        Ok(list)
    }

    /// Numbers the accounts of parsed blocks and adds their pairs, in order.
    fn take(&mut self, blocks: &[Parsed]) -> Result<(), PairsError> {
        let by_shard: Vec<Vec<Vec<u32>>> = self
            .interners
            .par_iter_mut()
            .map(|interner| blocks.iter().map(|block| number_all(interner, block)).collect())
            .collect::<Option<_>>()
            .ok_or(PairsError::TooMany)?;
        let numbers: Vec<Vec<u32>> = blocks
            .par_iter()
            .enumerate()
            .map(|(index, block)| gather(block, (0..SHARDS).map(|shard| &by_shard[shard][index])))
            .collect();
        for (block, numbers) in blocks.iter().zip(numbers) {
            let first_line = self.physical_lines + 1;
            let pairs = numbers.chunks_exact(2).map(|pair| Edge { from: pair[0], to: pair[1] });
            if block.headings.is_empty() && self.below.is_none() {
                self.list.edges.extend(pairs);
                let lines = block.lines.iter().map(|&line| first_line + u64::from(line));
                self.list.lines.extend(lines);
            } else {
                self.take_by_heading(block, pairs, first_line);
            }
            let list = &mut self.list;
            for &(line, reason) in &block.rejects {
                list.rejects.push(first_line + line, reason);
            }
            list.seen.append(&block.seen, self.physical_lines);
            list.records += block.records;
            list.blank += block.blank;
            self.physical_lines += block.physical_lines;
        }
        // The numbers of pairs have 32 bits as well.
        if self.list.edges.len() >= u32::MAX as usize {
            return Err(PairsError::TooMany);
        }
        Ok(())
    }
}

impl Intake {
    /// Adds the pairs of a block with headers in it, or below one: what the columns hold there is what the nearest
    /// header above says, and pairs that were read the other way round must not be merged.
    fn take_by_heading(
        &mut self,
        block: &Parsed,
        pairs: impl Iterator<Item = Edge>,
        first_line: u64,
    ) {
        let mut headings = block.headings.iter().peekable();
        for (edge, &line) in pairs.zip(&block.lines) {
            let line = u64::from(line);
            while let Some((at, turned)) = headings.next_if(|(at, _)| *at < line) {
                self.head(first_line + at, *turned);
            }
            match self.below {
                None => {
                    self.list.edges.push(edge);
                    self.list.lines.push(first_line + line);
                }
                Some(reason) => self.list.rejects.push(first_line + line, reason),
            }
        }
        for (at, turned) in headings {
            self.head(first_line + at, *turned);
        }
    }

    fn head(&mut self, line: u64, turned: bool) {
        self.below = turned.then(|| self.list.rejects.add_turned(line));
    }
}

/// The numbers of those ids of a block that belong to one shard.
fn number_all(interner: &mut Interner, block: &Parsed) -> Option<Vec<u32>> {
    let positions = block.of_shard(interner.index());
    positions
        .iter()
        .map(|&at| {
            let at = at as usize;
            interner.number(block.ids[at], block.hashes[at], &block.bytes)
        })
        .collect()
}

/// Puts the numbers of a block back into the order of its ids.
fn gather<'a>(block: &Parsed, by_shard: impl Iterator<Item = &'a Vec<u32>>) -> Vec<u32> {
    let mut numbers = vec![0; block.ids.len()];
    for (shard, found) in by_shard.enumerate() {
        for (&position, &number) in block.of_shard(shard).iter().zip(found) {
            numbers[position as usize] = number;
        }
    }
    numbers
}

#[cfg(test)]
mod tests;
