//! Every account once, by number.
//!
//! Ids are UUIDs more often than not, so that a lower-case UUID is held in 16 bytes; any other id
//! as text. Accounts are spread over shards by their hash, and the shards are filled at the same
//! time. The hash has no random seed: the same input gives the same numbers.

use hashbrown::HashTable;

use crate::model::AccountId;

const SHARD_BITS: u32 = 6;

/// The number of shards.
pub(super) const SHARDS: usize = 1 << SHARD_BITS;

/// No number of an account: it marks a missing entry.
pub(crate) const NO_ACCOUNT: u32 = u32::MAX;

/// The most accounts that a shard can hold; the last number of all is [`NO_ACCOUNT`].
const MAX_SHARD_LEN: usize = (u32::MAX >> SHARD_BITS) as usize;

/// An id as a block holds it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Id {
    /// A UUID in its usual form, in lower case.
    Uuid([u8; 16]),
    /// Any other text, at a place in the text of its block.
    Text { start: u32, len: u32 },
}

/// All accounts of an input. The numbers are below a bound, with a few gaps.
#[derive(Default)]
pub struct Accounts {
    shards: Vec<Shard>,
}

/// The accounts of one shard, numbered from 0.
#[derive(Default)]
struct Shard {
    /// A UUID each; or where a text begins in `text` (8 bytes) and its length (4 bytes).
    slots: Vec<[u8; 16]>,
    /// One bit for each slot: whether it points to text.
    is_text: Vec<u64>,
    text: Vec<u8>,
}

impl Accounts {
    /// The id of an account.
    pub fn id(&self, account: u32) -> AccountId {
        let shard = &self.shards[account as usize % SHARDS];
        let local = (account >> SHARD_BITS) as usize;
        AccountId::new(match shard.text(local) {
            Some(text) => String::from_utf8_lossy(text).into_owned(),
            None => format_uuid(&shard.slots[local]),
        })
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A number above that of every account.
    pub(crate) fn bound(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.len()).max().unwrap_or(0) << SHARD_BITS
    }
}

/// An id that is looked for among accounts.
pub(crate) struct Wanted<'a> {
    text: &'a [u8],
    uuid: Option<[u8; 16]>,
    /// The hash of the account, should there be one.
    pub(crate) hash: u64,
}

impl<'a> Wanted<'a> {
    /// Looks for this id.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        let uuid = parse_uuid(text);
        Self { text, uuid, hash: uuid.map_or_else(|| hash_text(text), hash_uuid) }
    }
}

impl Accounts {
    /// The hash of an account.
    pub(crate) fn hash(&self, account: u32) -> u64 {
        self.shards[account as usize % SHARDS].hash((account >> SHARD_BITS) as usize)
    }

    /// Whether an account has this id.
    pub(crate) fn is(&self, account: u32, wanted: &Wanted<'_>) -> bool {
        let shard = &self.shards[account as usize % SHARDS];
        let local = (account >> SHARD_BITS) as usize;
        match shard.text(local) {
            Some(text) => text == wanted.text,
            None => wanted.uuid == Some(shard.slots[local]),
        }
    }
}

impl Shard {
    fn text(&self, local: usize) -> Option<&[u8]> {
        if self.is_text.get(local / 64).is_some_and(|bits| bits >> (local % 64) & 1 == 1) {
            let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = self.slots[local];
            let start = u64::from_le_bytes([a, b, c, d, e, f, g, h]) as usize;
            let len = u32::from_le_bytes([i, j, k, l]) as usize;
            Some(&self.text[start..start + len])
        } else {
            None
        }
    }

    fn push_text(&mut self, text: &[u8]) {
        let local = self.slots.len();
        let mut slot = [0; 16];
        slot[..8].copy_from_slice(&(self.text.len() as u64).to_le_bytes());
        slot[8..12].copy_from_slice(&(text.len() as u32).to_le_bytes());
        self.slots.push(slot);
        self.text.extend_from_slice(text);
        if self.is_text.len() <= local / 64 {
            self.is_text.resize(local / 64 + 1, 0);
        }
        self.is_text[local / 64] |= 1 << (local % 64);
    }

    fn hash(&self, local: usize) -> u64 {
        match self.text(local) {
            Some(text) => hash_text(text),
            None => hash_uuid(self.slots[local]),
        }
    }
}

/// A shard that is being filled: it finds the accounts that it knows.
#[derive(Default)]
pub(super) struct Interner {
    index: usize,
    table: HashTable<u32>,
    shard: Shard,
}

impl Interner {
    /// All shards, empty.
    pub(super) fn all() -> Vec<Self> {
        (0..SHARDS).map(|index| Self { index, ..Self::default() }).collect()
    }

    /// The position of the shard.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The number of an account that belongs to this shard; `None` if there are too many.
    pub(super) fn number(&mut self, id: Id, hash: u64, text: &[u8]) -> Option<u32> {
        let shard = &self.shard;
        let found = match id {
            Id::Uuid(uuid) => self.table.find(hash, |&local| {
                let local = local as usize;
                shard.slots[local] == uuid && shard.text(local).is_none()
            }),
            Id::Text { start, len } => {
                let wanted = &text[start as usize..][..len as usize];
                self.table.find(hash, |&local| shard.text(local as usize) == Some(wanted))
            }
        };
        let local = match found {
            Some(&local) => local,
            None => self.insert(id, hash, text)?,
        };
        Some(local << SHARD_BITS | self.index as u32)
    }

    fn insert(&mut self, id: Id, hash: u64, text: &[u8]) -> Option<u32> {
        let local = self.shard.slots.len();
        if local >= MAX_SHARD_LEN {
            return None;
        }
        match id {
            Id::Uuid(uuid) => self.shard.slots.push(uuid),
            Id::Text { start, len } => {
                self.shard.push_text(&text[start as usize..][..len as usize]);
            }
        }
        let shard = &self.shard;
        let local = local as u32;
        self.table.insert_unique(hash, local, |&other| shard.hash(other as usize));
        Some(local)
    }

    /// The accounts alone; what finds them is given back.
    pub(super) fn finish(interners: Vec<Self>) -> Accounts {
        Accounts { shards: interners.into_iter().map(|interner| interner.shard).collect() }
    }
}

/// The shard of a hash. The table uses the low bits and the highest seven; these are neither.
pub(super) fn shard_of(hash: u64) -> usize {
    (hash >> 44) as usize % SHARDS
}

pub(super) fn hash_uuid(uuid: [u8; 16]) -> u64 {
    // UUIDs may be sequential, so that both halves have to reach every bit.
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xc2b2_ae3d_27d4_eb4f;
    let value = u128::from_le_bytes(uuid);
    let first = folded(value as u64 ^ A, (value >> 64) as u64 ^ B);
    folded(first ^ B, A)
}

pub(super) fn hash_text(text: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(text);
    hasher.finish()
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Reads a UUID in its usual form, in lower case; nothing else gives the same text back.
pub(super) fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.try_into().ok()?;
    if [text[8], text[13], text[18], text[23]] != [b'-'; 4] {
        return None;
    }
    let mut uuid = [0; 16];
    let mut bad = 0;
    for (byte, at) in uuid.iter_mut().zip(UUID_DIGITS) {
        let (high, low) = (DIGITS[text[at] as usize], DIGITS[text[at + 1] as usize]);
        bad |= high | low;
        *byte = high << 4 | low;
    }
    (bad & NOT_A_DIGIT == 0).then_some(uuid)
}

fn format_uuid(uuid: &[u8; 16]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = ['-'; 36];
    for (byte, at) in uuid.iter().zip(UUID_DIGITS) {
        text[at] = char::from(HEX[usize::from(byte >> 4)]);
        text[at + 1] = char::from(HEX[usize::from(byte & 15)]);
    }
    text.iter().collect()
}

/// Where the bytes of a UUID stand in its text.
const UUID_DIGITS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
const NOT_A_DIGIT: u8 = 0x80;
const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut table = [NOT_A_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        table[digit as usize] = value;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lower_case_uuid_is_taken_apart() {
        let text = "0123abcd-4567-89ef-0123-456789abcdef";
        let uuid = parse_uuid(text.as_bytes()).unwrap();
        assert_eq!(format_uuid(&uuid), text);
        for other in [
            "0123ABCD-4567-89ef-0123-456789abcdef",
            "0123abcd-4567-89ef-0123-456789abcdeg",
            "0123abcd04567-89ef-0123-456789abcdef",
            "0123abcd-4567-89ef-0123-456789abcde",
            "0123abcd456789ef0123456789abcdef",
        ] {
            assert_eq!(parse_uuid(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn an_account_has_one_number() {
        let mut interners = Interner::all();
        let text = b"abcabcxyz";
        let ids = [
            Id::Text { start: 0, len: 3 },
            Id::Text { start: 3, len: 3 },
            Id::Text { start: 6, len: 3 },
            Id::Uuid([7; 16]),
            Id::Uuid([7; 16]),
        ];
        let numbers: Vec<u32> = ids
            .into_iter()
            .map(|id| {
                let hash = match id {
                    Id::Uuid(uuid) => hash_uuid(uuid),
                    Id::Text { start, len } => hash_text(&text[start as usize..][..len as usize]),
                };
                interners[shard_of(hash)].number(id, hash, text).unwrap()
            })
            .collect();
        let accounts = Interner::finish(interners);
        let names: Vec<String> = numbers.iter().map(|&n| accounts.id(n).to_string()).collect();
        let uuid = "07070707-0707-0707-0707-070707070707";
        assert_eq!(names, ["abc", "abc", "xyz", uuid, uuid]);
        assert_eq!(numbers[0], numbers[1]);
        assert_eq!(numbers[3], numbers[4]);
        assert_eq!(accounts.len(), 3);
        assert!(numbers.iter().all(|&number| (number as usize) < accounts.bound()));
    }
}
