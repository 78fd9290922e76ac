//! One block of input → ids, rejects and counts. Blocks are parsed at the same time, each on the
//! assumption that it begins at the start of a record; the reader checks that afterwards.

use std::borrow::Cow;

use super::accounts::{Id, SHARDS, Value, hash_cell, hash_uuid, shard_of};
use super::findings::Seen;
use super::format::{Content, Layout};
use super::reason::{Flaw, Heading, Reason, Side};
use super::rules::Rule;
use super::signs::Signs;
use crate::model::{AccountType, MAX_ACCOUNT_ID_BYTES};

/// What the checks that a line passes or fails on its own say about a record.
pub(crate) enum ParsedRecord<'a> {
    /// Nothing stands there.
    Blank,
    /// A pair of different accounts.
    Pair(Named<'a>, Named<'a>),
    /// Not acceptable; with the ids as far as they can be told.
    Reject(Reason, Cow<'a, str>, Cow<'a, str>),
}

/// An account as a record names it.
pub(super) struct Named<'a> {
    /// The id as it stands there.
    pub(super) id: Cow<'a, str>,
    value: Value,
    /// What is to be seen in it.
    signs: Signs,
}

impl Named<'_> {
    fn is(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Uuid(one), Value::Uuid(other)) => one == other,
            (Value::Number(one), Value::Number(other)) => one == other,
            (Value::Text, Value::Text) => self.id == other.id,
            _ => false,
        }
    }
}

/// Checks what stands in a record.
pub(super) fn judge<'a>(content: Content<'a>, layout: &Layout) -> ParsedRecord<'a> {
    let [from, to] = match content {
        Content::Blank => return ParsedRecord::Blank,
        Content::Malformed(why, [from, to]) => {
            return ParsedRecord::Reject(Reason::Malformed(why), from, to);
        }
        Content::Ids(ids) => ids,
    };
    let (from, to) = if layout.trim { (trimmed(from), trimmed(to)) } else { (from, to) };
    let (one, other) = (known(layout, Side::From, &from), known(layout, Side::To, &to));
    // Most ids are UUIDs, and no header is.
    let is_uuid = |known: &Result<(Value, Signs), Reason>| {
        matches!(known, Ok((Value::Uuid(_) | Value::Number(_), _)))
    };
    let heading = match is_uuid(&one) || is_uuid(&other) {
        true => None,
        false => layout.form.heading([&from, &to]),
    };
    let is_let_through = layout.accept.has(Rule::Header);
    if let Some(heading) = heading.filter(|_| !is_let_through) {
        return ParsedRecord::Reject(Reason::Header(heading), from, to);
    }
    let (reason, from, to) = match (one, other) {
        (Err(reason), _) | (_, Err(reason)) => (reason, from, to),
        (Ok((one, signs)), Ok((other, others))) => {
            let signs = if heading.is_some() { signs.with(Rule::Header) } else { signs };
            let from = Named { id: from, value: one, signs };
            let to = Named { id: to, value: other, signs: others };
            if !from.is(&to) {
                return ParsedRecord::Pair(from, to);
            }
            (Reason::SelfPair, from.id, to.id)
        }
    };
    ParsedRecord::Reject(reason, from, to)
}

fn trimmed(id: Cow<'_, str>) -> Cow<'_, str> {
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(id.trim()),
        Cow::Owned(id) => Cow::Owned(id.trim().to_owned()),
    }
}

/// Whether white space is around an id. Most begin and end with a byte that is none, and begins no character that is.
fn is_padded(id: &str) -> bool {
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    match id.as_bytes() {
        [one] if is_visible(*one) => false,
        [first, .., last] if is_visible(*first) && is_visible(*last) => false,
        _ => id.trim().len() != id.len(),
    }
}

/// The value of an id that passes the checks, and what is to be seen in it.
fn known(layout: &Layout, side: Side, id: &str) -> Result<(Value, Signs), Reason> {
    let of = layout.accounts;
    let flaw = if id.is_empty() {
        Some(Flaw::Empty)
    } else if id.len() > MAX_ACCOUNT_ID_BYTES {
        Some(Flaw::TooLong)
    } else if is_padded(id) {
        Some(Flaw::WhiteSpace)
    } else {
        None
    };
    if let Some(flaw) = flaw {
        return Err(Reason::InvalidId(side, flaw));
    }
    let value = Value::parse(of, id);
    let signs = match &value {
        Some(Value::Uuid(uuid)) => Signs::of_uuid(uuid),
        Some(Value::Number(_)) => Signs::of_number(id),
        Some(Value::Text) | None => Signs::of_text(of, id),
    };
    let refused = layout.accept.refuse(signs.rules());
    if refused & Rule::InvalidId.bit() != 0 {
        Err(Reason::InvalidId(side, Flaw::Invisible))
    } else if refused & Rule::Placeholder.bit() != 0 {
        Err(Reason::Placeholder(side))
    } else if refused != 0 {
        Err(Reason::Spreadsheet(side))
    } else {
        // What is not as it seems was told first: its type would be the lesser reason.
        let value = value.ok_or(Reason::InvalidId(side, Flaw::NotOfType(of)))?;
        Ok((value, signs))
    }
}

/// What a block holds.
#[derive(Default)]
pub(super) struct Parsed {
    /// Two ids for each pair: `from`, then `to`.
    pub(super) ids: Vec<Id>,
    /// The hash of each id.
    pub(super) hashes: Vec<u64>,
    /// The values that are not UUIDs.
    pub(super) bytes: Vec<u8>,
    /// The line of each pair, from 0 for the first line of the block.
    pub(super) lines: Vec<u32>,
    /// Rejected lines, counted likewise.
    pub(super) rejects: Vec<(u64, Reason)>,
    /// Headers among them, with whether they are turned.
    pub(super) headings: Vec<(u64, bool)>,
    /// What was seen in the ids of pairs; lines are counted from 1.
    pub(super) seen: Seen,
    /// The positions in `ids`, shard by shard; within a shard in order.
    pub(super) by_shard: Vec<u32>,
    /// Where each shard begins in `by_shard`, and its end.
    pub(super) shard_starts: Vec<usize>,
    /// Records, blank ones included.
    pub(super) records: u64,
    /// Blank records.
    pub(super) blank: u64,
    /// Physical lines that the records cover.
    pub(super) physical_lines: u64,
    /// How much of the block is decided; the rest begins with a record that may go on beyond it.
    pub(super) decided: usize,
}

/// Parses a block that begins at the start of a record.
pub(super) fn parse(data: &[u8], layout: &Layout, eof: bool) -> Parsed {
    let mut parsed = Parsed::default();
    // The shortest pair takes four bytes; the usual one, two UUIDs.
    let expected = data.len() / 72;
    parsed.ids.reserve(2 * expected);
    parsed.hashes.reserve(2 * expected);
    parsed.lines.reserve(expected);
    let mut records = layout.form.records(data, eof);
    while let Some(record) = records.next() {
        parsed.records += 1;
        match judge(record.content, layout) {
            ParsedRecord::Blank => parsed.blank += 1,
            ParsedRecord::Reject(reason, _, _) => {
                if let Reason::Header(heading) = reason {
                    parsed.headings.push((record.line, heading == Heading::Turned));
                }
                parsed.rejects.push((record.line, reason));
            }
            ParsedRecord::Pair(from, to) => {
                // A block is far smaller than 4 GiB (see `blocks`), and so are its line numbers.
                parsed.lines.push(record.line as u32);
                parsed.seen.add(record.line + 1, [&from, &to].map(|n| (&*n.id, n.signs)));
                parsed.add(layout.accounts, &from);
                parsed.add(layout.accounts, &to);
            }
        }
    }
    parsed.physical_lines = records.lines();
    parsed.decided = records.position();
    parsed.sort_by_shard();
    parsed
}

impl Parsed {
    fn add(&mut self, of: AccountType, account: &Named<'_>) {
        let (id, hash) = match &account.value {
            Value::Uuid(uuid) => (Id::Uuid(*uuid), hash_uuid(*uuid)),
            Value::Text => self.add_bytes(of, account.id.as_bytes()),
            Value::Number(number) => self.add_bytes(of, number),
        };
        self.ids.push(id);
        self.hashes.push(hash);
    }

    fn add_bytes(&mut self, of: AccountType, value: &[u8]) -> (Id, u64) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(value);
        (Id::Bytes { start, len: value.len() as u32 }, hash_cell(of, value))
    }

    /// A counting sort of the ids by shard.
    fn sort_by_shard(&mut self) {
        let mut starts = vec![0_usize; SHARDS + 1];
        for &hash in &self.hashes {
            starts[shard_of(hash) + 1] += 1;
        }
        for shard in 0..SHARDS {
            starts[shard + 1] += starts[shard];
        }
        let mut next = starts.clone();
        self.by_shard.resize(self.hashes.len(), 0);
        for (position, &hash) in self.hashes.iter().enumerate() {
            let slot = &mut next[shard_of(hash)];
            self.by_shard[*slot] = position as u32;
            *slot += 1;
        }
        self.shard_starts = starts;
    }

    /// The positions in `ids` that belong to a shard.
    pub(super) fn of_shard(&self, shard: usize) -> &[u32] {
        &self.by_shard[self.shard_starts[shard]..self.shard_starts[shard + 1]]
    }
}
