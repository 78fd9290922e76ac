//! Numbers, values and rows as bodies hold them.
//!
//! A number is a varint (seven bits a byte, the lowest first), one that may be negative is folded first (zigzag). A
//! value stands behind its length, so that null, which is not there at all, is never mistaken for an empty value. A row
//! is two bitmaps, with a bit for each column, and the values that neither makes needless: which cells are not null,
//! and which of those are the same as in the row of that kind before. What most rows of an account repeat (its id, the
//! course, the batch) is so neither compressed nor read again.
//!
//! Whatever is read is checked first, and what a damaged body says of lengths is not believed: nothing is allocated
//! for more than is there.

use std::ops::Range;

use bytes::Bytes;

use crate::model::Cell;

/// Items of a list for which there is room at once.
const ROOM: usize = 64;

/// A body in the making.
#[derive(Debug, Default)]
pub(super) struct Out<'a> {
    bytes: Vec<u8>,
    /// The rows before, by kind.
    before: Vec<&'a [Cell]>,
}

impl<'a> Out<'a> {
    /// A body with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), before: Vec::new() }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn number(&mut self, number: usize) {
        self.varint(number as u64);
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.varint(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(super) fn value(&mut self, value: &[u8]) {
        self.number(value.len());
        self.bytes.extend_from_slice(value);
    }

    pub(super) fn flag(&mut self, is: bool) {
        self.bytes.push(u8::from(is));
    }

    /// What may be absent.
    pub(super) fn option<T>(&mut self, item: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(item.is_some());
        if let Some(item) = item {
            write(self, item);
        }
    }

    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        let items = items.into_iter();
        self.number(items.len());
        items.for_each(|item| write(self, item));
    }

    /// A row of a kind; all rows of a kind are of one table.
    pub(super) fn row(&mut self, kind: usize, cells: &'a [Cell]) {
        let (present, bitmap) = (self.bytes.len(), cells.len().div_ceil(8));
        self.bytes.resize(present + 2 * bitmap, 0);
        let before = self.before(kind);
        for (column, cell) in cells.iter().enumerate() {
            let Some(value) = cell else { continue };
            let (byte, bit) = (present + column / 8, 1 << (column % 8));
            self.bytes[byte] |= bit;
            if before.get(column) == Some(cell) {
                self.bytes[byte + bitmap] |= bit;
            } else {
                self.value(value);
            }
        }
        self.before[kind] = cells;
    }

    fn before(&mut self, kind: usize) -> &'a [Cell] {
        if self.before.len() <= kind {
            self.before.resize(kind + 1, &[]);
        }
        self.before[kind]
    }
}

/// What comes of reading.
pub(super) type Read<T> = Result<T, String>;

/// A body as far as it is read. Values are parts of it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    body: &'a Bytes,
    at: usize,
    /// Where the values of the rows before are, by kind.
    before: Vec<Vec<Option<Range<usize>>>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a Bytes) -> Self {
        Self { body, at: 0, before: Vec::new() }
    }

    /// Nothing is left.
    pub(super) fn end(&self) -> Read<()> {
        match self.body.len() - self.at {
            0 => Ok(()),
            more => Err(format!("{more} bytes too many")),
        }
    }

    fn bytes(&mut self, length: usize) -> Read<Range<usize>> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.body.len());
        let end = end.ok_or_else(|| format!("it ends early, at byte {}", self.body.len()))?;
        let range = self.at..end;
        self.at = end;
        Ok(range)
    }

    fn byte(&mut self) -> Read<u8> {
        let at = self.bytes(1)?.start;
        Ok(self.body[at])
    }

    fn varint(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(format!("there is no number at byte {}", self.at))
    }

    pub(super) fn number(&mut self) -> Read<usize> {
        let number = self.varint()?;
        usize::try_from(number).map_err(|_| format!("{number} is too much"))
    }

    pub(super) fn signed(&mut self) -> Read<i64> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn range(&mut self) -> Read<Range<usize>> {
        let length = self.number()?;
        self.bytes(length)
    }

    pub(super) fn value(&mut self) -> Read<Bytes> {
        let range = self.range()?;
        Ok(self.body.slice(range))
    }

    pub(super) fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{other} stands for yes or no at byte {}", self.at - 1)),
        }
    }

    pub(super) fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = self.number()?;
        let mut items = Vec::with_capacity(count.min(ROOM));
        // An item is at least a byte: the end comes before there are too many.
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// A row of a kind, of so many columns: `take` is given what is not null, by column.
    pub(super) fn row(
        &mut self,
        kind: usize,
        columns: usize,
        mut take: impl FnMut(usize, Bytes) -> Read<()>,
    ) -> Read<()> {
        let bitmap = columns.div_ceil(8);
        let present = self.bytes(bitmap)?.start;
        let repeated = self.bytes(bitmap)?.start;
        if self.before.len() <= kind {
            self.before.resize(kind + 1, Vec::new());
        }
        let mut before = std::mem::take(&mut self.before[kind]);
        before.resize(columns, None);
        for (column, known) in before.iter_mut().enumerate() {
            let (byte, bit) = (column / 8, 1 << (column % 8));
            if self.body[present + byte] & bit == 0 {
                *known = None;
                continue;
            }
            let range = match self.body[repeated + byte] & bit {
                0 => self.range()?,
                _ => known.clone().ok_or_else(|| format!("column {column} repeats nothing"))?,
            };
            take(column, self.body.slice(range.clone()))?;
            *known = Some(range);
        }
        self.before[kind] = before;
        Ok(())
    }
}
