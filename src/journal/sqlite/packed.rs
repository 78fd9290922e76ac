//! Intents and bodies in the form in which they are stored.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::io::Read;
use std::mem;

use flate2::read::ZlibDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::journal::body::json;
use crate::journal::{Intent, Scan, SliceKind, State};
use crate::model::{
    AccountId, AccountType, Counts, Pair, TableTally, Tally, TimestampUs, TokenRange,
};

/// A block is full with so many bytes: what slices have in common is said once in it, and a slice is read with it.
const BLOCK_BYTES: usize = 128 * 1024;

/// Intents, packed by the task that has them, so that the one thread that writes has less to do.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) slices: Vec<Packed>,
    pub(super) body: Vec<u8>,
    pub(super) body_bytes: usize,
}

impl Block {
    /// Packs intents in blocks.
    pub(super) fn all(intents: Vec<Intent>, changed_at_ms: i64) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for mut intent in intents {
            let body = mem::take(&mut intent.body);
            let bytes = body.len();
            let start = match blocks.last_mut() {
                Some(block) if block.body.len() + bytes <= BLOCK_BYTES => {
                    let start = block.body.len();
                    block.body.extend_from_slice(&body);
                    start
                }
                _ => {
                    blocks.push(Self { slices: Vec::new(), body, body_bytes: 0 });
                    0
                }
            };
            let slice = Packed { start, bytes, ..Packed::new(intent, changed_at_ms) };
            if let Some(block) = blocks.last_mut() {
                block.slices.push(slice);
            }
        }
        for block in &mut blocks {
            block.body_bytes = block.body.len();
            block.body = compress(mem::take(&mut block.body), &[]);
        }
        blocks
    }
}

/// An intent but for its body.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) group: usize,
    pub(super) state: State,
    pub(super) survivor: AccountId,
    pub(super) pairs: String,
    pub(super) kind: SliceKind,
    pub(super) t: TimestampUs,
    pub(super) completes: bool,
    pub(super) tally: Option<String>,
    pub(super) scopes: Option<Vec<u8>>,
    /// Where its body is in its block.
    pub(super) start: usize,
    pub(super) bytes: usize,
    pub(super) changed_at_ms: i64,
}

impl Packed {
    fn new(intent: Intent, changed_at_ms: i64) -> Self {
        Self {
            group: intent.group,
            state: intent.state,
            survivor: intent.survivor,
            pairs: pairs(&intent.pairs),
            kind: intent.kind,
            t: intent.t,
            completes: intent.completes,
            tally: tally(&intent.tally),
            scopes: Some(intent.scopes).filter(|scopes| !scopes.is_empty()),
            start: 0,
            bytes: 0,
            changed_at_ms,
        }
    }
}

/// A range that has been scanned, packed in the same way.
#[derive(Debug)]
pub(super) struct PackedScan {
    pub(super) table: String,
    pub(super) range: TokenRange,
    pub(super) rows: u64,
    pub(super) clustered_rows: u64,
    pub(super) found: Vec<u8>,
    pub(super) found_bytes: usize,
}

impl PackedScan {
    pub(super) fn new(scan: Scan) -> Self {
        let Scan { table, range, rows, clustered_rows, found } = scan;
        let found_bytes = found.len();
        Self { table, range, rows, clustered_rows, found: compress(found, &[]), found_bytes }
    }
}

/// What a slice takes beside its own columns, in bytes: numbers, headers, its entry in the index, and its part of
/// pages that are not full.
const SLICE_BYTES: usize = 96;
/// The same of a group.
const GROUP_BYTES: usize = 40;

thread_local! {
    /// The body that was weighed last.
    static BEFORE: RefCell<Vec<u8>> = RefCell::default();
}

/// About what an intent takes in the file, in bytes; the group itself is counted with its last slice. Its body is
/// taken for one that comes behind that of the last one in a block.
pub(crate) fn stored_bytes(mut intent: Intent) -> u64 {
    let body = mem::take(&mut intent.body);
    let before = BEFORE.replace(body.clone());
    let body = compress(body, &before).len();
    let packed = Packed::new(intent, 0);
    let tally = packed.tally.as_ref().map_or(0, String::len);
    let slice = body + tally + packed.scopes.as_ref().map_or(0, Vec::len) + SLICE_BYTES;
    let group = packed.survivor.text().len() + packed.pairs.len() + GROUP_BYTES;
    (slice + if packed.completes { group } else { 0 }) as u64
}

/// Pairs as JSON.
pub(super) fn pairs(pairs: &[Pair]) -> String {
    let mut out = Vec::new();
    json::list(&mut out, pairs, |out, pair| {
        out.push(b'[');
        json::text(out, &pair.from.text());
        out.push(b',');
        json::text(out, &pair.into.text());
        out.push(b',');
        out.extend_from_slice(pair.line.to_string().as_bytes());
        out.push(b']');
    });
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) fn read_pairs(of: AccountType, text: &str) -> Result<Vec<Pair>, serde_json::Error> {
    let pairs: Vec<(String, String, u64)> = serde_json::from_str(text)?;
    let account = |id: &str| read_account(of, id);
    let pairs = pairs.iter().map(|(from, into, line)| {
        Ok(Pair { from: account(from)?, into: account(into)?, line: *line })
    });
    pairs.collect()
}

pub(super) fn read_account(of: AccountType, id: &str) -> Result<AccountId, serde_json::Error> {
    let no_account = || serde_json::Error::custom(format!("the account '{id}' is no {of}"));
    AccountId::parse(of, id).ok_or_else(no_account)
}

/// A tally as JSON: its counts in the order of their rows, without their names, because there is one with every slice; before
/// them those by table, likewise.
fn tally(tally: &Tally) -> Option<String> {
    if *tally == Tally::default() {
        return None;
    }
    let mut text = "[[".to_owned();
    for (at, table) in tally.tables.iter().enumerate() {
        text.push_str(if at == 0 { "[" } else { ",[" });
        push_amounts(&mut text, table);
        text.push(']');
    }
    text.push_str("],");
    push_amounts(&mut text, tally);
    text.push(']');
    Some(text)
}

fn push_amounts(text: &mut String, of: &impl Counts) {
    for (at, amount) in of.amounts().into_iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // A text takes all that is written to it.
        _ = write!(text, "{comma}{}", amount.unwrap_or_default());
    }
}

/// A tally from its JSON. Counts that it lacks are newer than it, and 0; those that are not known here are passed over.
pub(super) fn read_tally(text: Option<&str>) -> Result<Tally, serde_json::Error> {
    let Some(text) = text else { return Ok(Tally::default()) };
    let Journaled { tables, amounts } = serde_json::from_str(text)?;
    let tables = tables.into_iter().map(TableTally::of).collect();
    Ok(Tally { tables, ..Tally::of(amounts) })
}

/// The counts of a slice as they stand in its JSON: a list of lists, and numbers.
#[derive(Default)]
struct Journaled {
    tables: Vec<Vec<u64>>,
    amounts: Vec<u64>,
}

impl<'de> Deserialize<'de> for Journaled {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for Journaled {
    type Value = Self;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("counts by table, and counts")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self, A::Error> {
        self.tables = seq.next_element()?.unwrap_or_default();
        while let Some(amount) = seq.next_element()? {
            self.amounts.push(amount);
        }
        Ok(self)
    }
}

thread_local! {
    /// Its tables take more memory than most bodies; made anew for each, they would cost the most.
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), true));
}

/// A body in zlib's format, or as it is if that is no shorter. What is `known` already need not be said again.
pub(super) fn compress(body: Vec<u8>, known: &[u8]) -> Vec<u8> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        if !known.is_empty() && compress.set_dictionary(known).is_err() {
            compress.reset();
        }
        // It need not fit: then it is no shorter.
        let mut packed = Vec::with_capacity(body.len());
        match compress.compress_vec(&body, &mut packed, FlushCompress::Finish) {
            Ok(Status::StreamEnd) if packed.len() < body.len() => packed,
            _ => body,
        }
    })
}

/// A body as it was before [`compress`].
pub(super) fn uncompress(packed: Vec<u8>, body_bytes: usize) -> Result<Vec<u8>, String> {
    if packed.len() == body_bytes {
        return Ok(packed);
    }
    // What a damaged file says is not believed at once.
    let mut body = Vec::with_capacity(body_bytes.min(1024 * 1024));
    let read = ZlibDecoder::new(&packed[..]).take(body_bytes as u64 + 1).read_to_end(&mut body);
    match read {
        Ok(bytes) if bytes == body_bytes => Ok(body),
        Ok(_) => Err(format!("a body is not {body_bytes} bytes long")),
        Err(error) => Err(format!("a body cannot be uncompressed: {error}")),
    }
}
