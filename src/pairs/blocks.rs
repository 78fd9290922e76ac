//! The input in blocks of whole lines, so that blocks can be parsed at the same time.

use std::io::Read;
use std::mem;

use memchr::{memchr_iter, memrchr};

use super::PairsError;

/// The usual size of a block: large enough that cutting costs nothing, small enough that a few of
/// them are in memory at once.
pub(super) const BLOCK_BYTES: usize = 4 << 20;

/// The longest line that is held. Beyond it the input is not a list of pairs.
const MAX_LINE_BYTES: usize = 64 << 20;

/// Reads blocks that end with a line feed; only the last one may not.
pub(super) struct Blocks<R> {
    reader: R,
    block_bytes: usize,
    /// The beginning of a line that the last read cut.
    rest: Vec<u8>,
    /// Line feeds in all blocks returned so far.
    lines: u64,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(reader: R, block_bytes: usize) -> Self {
        Self { reader, block_bytes: block_bytes.max(1), rest: Vec::new(), lines: 0 }
    }

    /// The next block; `None` at the end of the input. A block is never empty.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, PairsError> {
        let mut block = mem::take(&mut self.rest);
        block.reserve(self.block_bytes);
        loop {
            let before = block.len();
            self.read_some(&mut block)?;
            if block.len() == before {
                return Ok((!block.is_empty()).then_some(block));
            }
            if let Some(cut) = memrchr(b'\n', &block[before..]) {
                self.rest = block.split_off(before + cut + 1);
                self.lines += memchr_iter(b'\n', &block).count() as u64;
                return Ok(Some(block));
            }
            if block.len() > MAX_LINE_BYTES {
                let error = PairsError::LineTooLong { line: self.lines + 1 };
                return Err(if self.lines == 0 { error.or_foreign(&block) } else { error });
            }
        }
    }

    /// As many blocks as asked for; fewer at the end of the input, then none.
    pub(super) fn batch(&mut self, blocks: usize) -> Result<Vec<Vec<u8>>, PairsError> {
        let mut batch = Vec::with_capacity(blocks);
        while batch.len() < blocks {
            match self.next()? {
                Some(block) => batch.push(block),
                None => break,
            }
        }
        Ok(batch)
    }

    fn read_some(&mut self, block: &mut Vec<u8>) -> Result<(), PairsError> {
        let mut piece = self.reader.by_ref().take(self.block_bytes as u64);
        piece.read_to_end(block).map_err(PairsError::from_read)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_with_whole_lines() {
        let text = b"one\ntwo\nthree is longer than a block\nfour";
        for block_bytes in 1..50 {
            let mut blocks = Blocks::new(&text[..], block_bytes);
            let mut all = Vec::new();
            while let Some(block) = blocks.next().unwrap() {
                all.extend_from_slice(&block);
                assert!(block.ends_with(b"\n") || all.len() == text.len());
            }
            assert_eq!(all, text);
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let reader = (&b"a,b\n"[..]).chain(std::io::repeat(b'x'));
        let mut blocks = Blocks::new(reader, BLOCK_BYTES);
        let error = loop {
            match blocks.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the input does not end"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, PairsError::LineTooLong { line: 2 }), "{error}");
    }
}
