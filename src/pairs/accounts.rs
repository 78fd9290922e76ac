//! Every account once, by number.
//!
//! Ids are UUIDs more often than not, so that a UUID is held in 16 bytes; where ids are text, only
//! one in lower case is, because any other is another account. The rest is held as bytes of any
//! length. Accounts are spread over shards by their hash, and the shards are filled at the same
//! time. The hash has no random seed: the same input gives the same numbers.

mod hash;

use bytes::Bytes;
use fixedbitset::FixedBitSet;
use hashbrown::HashTable;

use crate::model::{AccountId, AccountType, format_uuid, parse_uuid};

pub(super) use hash::{hash_cell, hash_uuid};
use hash::{is_same_folded, is_text};

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
    Uuid([u8; 16]),
    /// Any other value, by where it stands in the bytes of its block.
    Bytes {
        start: u32,
        len: u32,
    },
}

/// The value of an id, on its way into a block.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Uuid([u8; 16]),
    /// The text of the id itself.
    Text,
    /// A number, as it is bound.
    Number(Vec<u8>),
}

impl Value {
    /// The value that an id stands for; `None` if the text is no value of this type.
    pub(super) fn parse(of: AccountType, id: &str) -> Option<Self> {
        use AccountType::{Ascii, BigInt, Int, Text, TimeUuid, Uuid, Varint};
        match of {
            Ascii if !id.is_ascii() => None,
            Text | Ascii => Some(parse_uuid(id.as_bytes()).map_or(Self::Text, Self::Uuid)),
            Uuid | TimeUuid => of.parse_uuid(id).map(Self::Uuid),
            Int | BigInt | Varint => Some(Self::Number(of.parse(id)?.into_owned())),
        }
    }
}

/// The 16 bytes in which a value of this type is held, if it is held so.
fn packed(of: AccountType, cell: &[u8]) -> Option<[u8; 16]> {
    use AccountType::{Ascii, BigInt, Int, Text, TimeUuid, Uuid, Varint};
    match of {
        Text | Ascii => parse_uuid(cell),
        Uuid | TimeUuid => cell.try_into().ok(),
        Int | BigInt | Varint => None,
    }
}

/// All accounts of an input. The numbers are below a bound, with a few gaps.
#[derive(Default)]
pub struct Accounts {
    pub(super) of: AccountType,
    shards: Vec<Shard>,
}

/// The accounts of one shard, numbered from 0.
#[derive(Default)]
struct Shard {
    /// A UUID each; or where a value begins in `bytes` (8 bytes) and its length (4 bytes).
    slots: Vec<[u8; 16]>,
    /// One bit for each slot: whether it points to bytes.
    is_pointer: Vec<u64>,
    bytes: Vec<u8>,
    /// Those that look like another one: they differ in case only, or in how letters with marks are written; of text alone.
    alike: Vec<u32>,
}

impl Accounts {
    /// The shard of an account, and its number there.
    #[inline]
    fn slot(&self, account: u32) -> (&Shard, usize) {
        (&self.shards[account as usize % SHARDS], (account >> SHARD_BITS) as usize)
    }

    pub(crate) fn id(&self, account: u32) -> AccountId {
        let (shard, local) = self.slot(account);
        let cell = match (shard.pointed_at(local), self.of) {
            (Some(bytes), _) => Bytes::copy_from_slice(bytes),
            (None, AccountType::Uuid | AccountType::TimeUuid) => {
                Bytes::copy_from_slice(&shard.slots[local])
            }
            (None, _) => Bytes::copy_from_slice(&format_uuid(&shard.slots[local])),
        };
        AccountId::from_cell(self.of, cell)
    }

    /// Puts down what tells an account from all others of its type: the bytes in which it is held, behind how many they
    /// are; a length that none has stands before a UUID, because a text of 16 bytes is another account.
    pub(crate) fn describe(&self, account: u32, out: &mut Vec<u8>) {
        let (shard, local) = self.slot(account);
        let (len, bytes) = match shard.pointed_at(local) {
            Some(bytes) => (bytes.len() as u32, bytes),
            None => (u32::MAX, &shard.slots[local][..]),
        };
        out.extend(len.to_le_bytes());
        out.extend(bytes);
    }

    /// All of them, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.numbers().map(|account| self.id(account))
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let of_shard = |(index, shard): (usize, &Shard)| {
            (0..shard.slots.len()).map(move |local| (local << SHARD_BITS | index) as u32)
        };
        self.shards.iter().enumerate().flat_map(of_shard)
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.len()).sum()
    }

    /// A number above that of every account.
    pub(crate) fn bound(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.len()).max().unwrap_or(0) << SHARD_BITS
    }
}

impl Accounts {
    /// The accounts whose id looks like another one's, but for the case of its letters, if there are any.
    pub(crate) fn alike(&self) -> Option<FixedBitSet> {
        if self.shards.iter().all(|shard| shard.alike.is_empty()) {
            return None;
        }
        let mut alike = FixedBitSet::with_capacity(self.bound());
        for (index, shard) in self.shards.iter().enumerate() {
            for local in &shard.alike {
                alike.insert((local << SHARD_BITS) as usize | index);
            }
        }
        Some(alike)
    }
}

/// An id that is looked for among accounts.
pub(crate) struct Wanted<'a> {
    cell: &'a [u8],
    uuid: Option<[u8; 16]>,
    /// The hash of the account, should there be one.
    pub(crate) hash: u64,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(of: AccountType, cell: &'a [u8]) -> Self {
        let uuid = packed(of, cell);
        let hash = uuid.map_or_else(|| hash_cell(of, cell), hash_uuid);
        Self { cell, uuid, hash }
    }
}

impl Accounts {
    /// Looks for the account that a cell names.
    pub(crate) fn wanted<'a>(&self, cell: &'a [u8]) -> Wanted<'a> {
        Wanted::new(self.of, cell)
    }

    pub(crate) fn hash(&self, account: u32) -> u64 {
        let (shard, local) = self.slot(account);
        shard.hash(self.of, local)
    }

    /// Whether an account has this id.
    pub(crate) fn is(&self, account: u32, wanted: &Wanted<'_>) -> bool {
        let (shard, local) = self.slot(account);
        match shard.pointed_at(local) {
            Some(bytes) => bytes == wanted.cell,
            None => wanted.uuid == Some(shard.slots[local]),
        }
    }
}

impl Shard {
    #[inline]
    fn pointed_at(&self, local: usize) -> Option<&[u8]> {
        if self.is_pointer.get(local / 64).is_some_and(|bits| bits >> (local % 64) & 1 == 1) {
            let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = self.slots[local];
            let start = u64::from_le_bytes([a, b, c, d, e, f, g, h]) as usize;
            let len = u32::from_le_bytes([i, j, k, l]) as usize;
            Some(&self.bytes[start..start + len])
        } else {
            None
        }
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        let local = self.slots.len();
        let mut slot = [0; 16];
        slot[..8].copy_from_slice(&(self.bytes.len() as u64).to_le_bytes());
        slot[8..12].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.slots.push(slot);
        self.bytes.extend_from_slice(bytes);
        if self.is_pointer.len() <= local / 64 {
            self.is_pointer.resize(local / 64 + 1, 0);
        }
        self.is_pointer[local / 64] |= 1 << (local % 64);
    }

    fn hash(&self, of: AccountType, local: usize) -> u64 {
        match self.pointed_at(local) {
            Some(bytes) => hash_cell(of, bytes),
            None => hash_uuid(self.slots[local]),
        }
    }

    /// Whether the text of an account is this one in letters of another case, or with marks that are written otherwise.
    fn is_alike(&self, local: usize, id: Id, bytes: &[u8]) -> bool {
        let uuid = &self.slots[local];
        match (self.pointed_at(local), id) {
            (Some(own), Id::Bytes { start, len }) => {
                is_same_folded(own, &bytes[start as usize..][..len as usize])
            }
            (Some(own), Id::Uuid(other)) => is_same_folded(own, &format_uuid(&other)),
            (None, Id::Bytes { start, len }) => {
                is_same_folded(&format_uuid(uuid), &bytes[start as usize..][..len as usize])
            }
            (None, Id::Uuid(_)) => false,
        }
    }
}

/// A shard that is being filled: it finds the accounts that it knows.
#[derive(Default)]
pub(super) struct Interner {
    of: AccountType,
    index: usize,
    table: HashTable<u32>,
    shard: Shard,
}

impl Interner {
    /// All shards, empty.
    pub(super) fn all(of: AccountType) -> Vec<Self> {
        (0..SHARDS).map(|index| Self { of, index, ..Self::default() }).collect()
    }

    /// The position of the shard.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The number of an account that belongs to this shard; `None` if there are too many.
    pub(super) fn number(&mut self, id: Id, hash: u64, bytes: &[u8]) -> Option<u32> {
        let shard = &self.shard;
        let found = match id {
            Id::Uuid(uuid) => self.table.find(hash, |&local| {
                let local = local as usize;
                shard.slots[local] == uuid && shard.pointed_at(local).is_none()
            }),
            Id::Bytes { start, len } => {
                let wanted = &bytes[start as usize..][..len as usize];
                self.table.find(hash, |&local| shard.pointed_at(local as usize) == Some(wanted))
            }
        };
        let local = match found {
            Some(&local) => local,
            None => self.insert(id, hash, bytes)?,
        };
        Some(local << SHARD_BITS | self.index as u32)
    }

    /// The number of an account among all shards; `None` if there are too many.
    pub(super) fn number_of(interners: &mut [Self], id: &AccountId) -> Option<u32> {
        let Wanted { cell, uuid, hash } = Wanted::new(interners.first()?.of, id.cell());
        let id = uuid.map_or(Id::Bytes { start: 0, len: cell.len() as u32 }, Id::Uuid);
        interners.get_mut(shard_of(hash))?.number(id, hash, cell)
    }

    fn insert(&mut self, id: Id, hash: u64, bytes: &[u8]) -> Option<u32> {
        let local = self.shard.slots.len();
        if local >= MAX_SHARD_LEN {
            return None;
        }
        // Two UUIDs in their usual form are never alike.
        let may_meet = matches!(id, Id::Bytes { .. }) || !self.shard.bytes.is_empty();
        if may_meet && is_text(self.of) {
            // Ids that look like each other have the same hash, so that they meet here.
            let mut met = self.table.iter_hash(hash);
            if let Some(&other) = met.find(|&&other| self.shard.is_alike(other as usize, id, bytes))
            {
                self.shard.alike.extend([other, local as u32]);
            }
        }
        match id {
            Id::Uuid(uuid) => self.shard.slots.push(uuid),
            Id::Bytes { start, len } => {
                self.shard.push_bytes(&bytes[start as usize..][..len as usize]);
            }
        }
        let shard = &self.shard;
        let local = local as u32;
        self.table.insert_unique(hash, local, |&other| shard.hash(self.of, other as usize));
        Some(local)
    }

    /// The accounts alone; what finds them is given back.
    pub(super) fn finish(interners: Vec<Self>) -> Accounts {
        let of = interners.first().map(|interner| interner.of).unwrap_or_default();
        Accounts { of, shards: interners.into_iter().map(|interner| interner.shard).collect() }
    }
}

/// The shard of a hash. The table uses the low bits and the highest seven; these are neither.
pub(super) fn shard_of(hash: u64) -> usize {
    (hash >> 44) as usize % SHARDS
}

#[cfg(test)]
mod tests;
