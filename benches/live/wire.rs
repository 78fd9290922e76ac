//! The part of CQL's native protocol, version 4, that a recording needs, and the file that it is kept in.
//!
//! A recording is a sequence of entries: the moment in microseconds (8 bytes), the opcode (1), the length (4)
//! and the body. An EXECUTE or BATCH has the body of its frame; a PREPARE has the id that the server gave,
//! with its length before it (2 bytes), and the text.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, bail};
use bytes::{Buf, Bytes};

pub(crate) const HEADER: usize = 9;
pub(crate) const SUPPORTED: u8 = 0x06;
pub(crate) const RESULT: u8 = 0x08;
pub(crate) const PREPARE: u8 = 0x09;
pub(crate) const EXECUTE: u8 = 0x0A;
pub(crate) const BATCH: u8 = 0x0D;

/// The length of the body that follows a frame's header.
pub(crate) fn body_length(header: &[u8; HEADER]) -> usize {
    u32::from_be_bytes([header[5], header[6], header[7], header[8]]) as usize
}

/// The id that an answer to a PREPARE gives.
pub(crate) fn prepared_id(mut body: &[u8]) -> Option<&[u8]> {
    const PREPARED: i32 = 4;
    if body.len() < 6 || body.get_i32() != PREPARED {
        return None;
    }
    let length = usize::from(body.get_u16());
    body.get(..length)
}

/// The text that a PREPARE asks for.
pub(crate) fn prepared_text(body: &[u8]) -> &[u8] {
    body.get(4..).unwrap_or_default()
}

/// Appends an entry.
pub(crate) fn write_entry(
    out: &mut impl Write,
    at_us: u64,
    opcode: u8,
    body: &[&[u8]],
) -> io::Result<()> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    out.write_all(&at_us.to_be_bytes())?;
    out.write_all(&[opcode])?;
    out.write_all(&(length as u32).to_be_bytes())?;
    body.iter().try_for_each(|part| out.write_all(part))
}

/// What was recorded, in the order in which it was sent. Values share the memory of the file.
#[derive(Default)]
pub(crate) struct Recording {
    /// The texts of the statements.
    pub(crate) texts: Vec<String>,
    pub(crate) requests: Vec<Recorded>,
    /// Bytes of the bodies of all requests.
    pub(crate) bytes: u64,
}

/// A request, and when it was sent.
pub(crate) struct Recorded {
    pub(crate) at_us: u64,
    pub(crate) request: Request,
}

/// A request that reads or writes rows; statements are positions in [`Recording::texts`].
pub(crate) enum Request {
    Execute { statement: usize, values: Vec<Value>, page: Option<Page> },
    Batch(Vec<(usize, Vec<Value>)>),
}

/// How much of an answer is asked for.
pub(crate) struct Page {
    pub(crate) rows: i32,
    /// Where it starts, unless that is the beginning.
    pub(crate) after: Option<Bytes>,
}

/// A bound value.
#[derive(Debug)]
pub(crate) enum Value {
    Raw(Bytes),
    Null,
    Unset,
}

impl Recording {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut rest = Bytes::from(file);
        let mut recording = Self::default();
        let mut known: HashMap<Bytes, usize> = HashMap::new();
        while rest.has_remaining() {
            let (at_us, opcode) = (rest.get_u64(), rest.get_u8());
            let length = rest.get_u32() as usize;
            let mut body = Body(rest.split_to(length));
            if opcode == PREPARE {
                let id = body.short_bytes();
                let text = String::from_utf8(body.0.to_vec()).context("a statement is text")?;
                let texts = &mut recording.texts;
                // Every connection prepares every statement.
                known.entry(id).or_insert_with(|| {
                    texts.push(text);
                    texts.len() - 1
                });
                continue;
            }
            recording.bytes += length as u64;
            let request = match opcode {
                EXECUTE => body.execute(&known)?,
                BATCH => body.batch(&known)?,
                other => bail!("{} holds an entry {other:#x}", path.display()),
            };
            recording.requests.push(Recorded { at_us, request });
        }
        Ok(recording)
    }
}

/// What is left of a body.
struct Body(Bytes);

impl Body {
    fn short_bytes(&mut self) -> Bytes {
        let length = usize::from(self.0.get_u16());
        self.0.split_to(length)
    }

    fn values(&mut self) -> Vec<Value> {
        const UNSET: i32 = -2;
        (0..self.0.get_u16())
            .map(|_| match self.0.get_i32() {
                UNSET => Value::Unset,
                length => match usize::try_from(length) {
                    Ok(length) => Value::Raw(self.0.split_to(length)),
                    Err(_) => Value::Null,
                },
            })
            .collect()
    }

    fn statement(&mut self, known: &HashMap<Bytes, usize>) -> anyhow::Result<usize> {
        let id = self.short_bytes();
        known.get(&id).copied().context("a statement that was never prepared")
    }

    fn execute(&mut self, known: &HashMap<Bytes, usize>) -> anyhow::Result<Request> {
        const VALUES: u8 = 0x01;
        const PAGE_SIZE: u8 = 0x04;
        const PAGING_STATE: u8 = 0x08;
        let statement = self.statement(known)?;
        let (_consistency, flags) = (self.0.get_u16(), self.0.get_u8());
        let values = if flags & VALUES != 0 { self.values() } else { Vec::new() };
        let rows = (flags & PAGE_SIZE != 0).then(|| self.0.get_i32());
        let after = (flags & PAGING_STATE != 0).then(|| {
            let length = self.0.get_u32() as usize;
            self.0.split_to(length)
        });
        let page = rows.map(|rows| Page { rows, after });
        Ok(Request::Execute { statement, values, page })
    }

    fn batch(&mut self, known: &HashMap<Bytes, usize>) -> anyhow::Result<Request> {
        const PREPARED: u8 = 1;
        let (_kind, statements) = (self.0.get_u8(), self.0.get_u16());
        let statements = (0..statements).map(|_| {
            anyhow::ensure!(self.0.get_u8() == PREPARED, "a batch holds unprepared statements");
            Ok((self.statement(known)?, self.values()))
        });
        Ok(Request::Batch(statements.collect::<anyhow::Result<_>>()?))
    }
}
