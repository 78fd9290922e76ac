//! Hashes of accounts, in which those are the same that look like each other, so that they meet.

use unicode_normalization::UnicodeNormalization;

use crate::model::{AccountType, parse_uuid_of_any_case};

const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xc2b2_ae3d_27d4_eb4f;

pub(in crate::pairs) fn hash_uuid(uuid: [u8; 16]) -> u64 {
    // UUIDs may be sequential, so that both halves have to reach every bit.
    let value = u128::from_le_bytes(uuid);
    let first = folded(value as u64 ^ A, (value >> 64) as u64 ^ B);
    folded(first ^ B, A)
}

/// The hash of a value that is not held as a UUID: that of a text depends neither on the case of its letters nor on how those
/// with marks are written.
pub(in crate::pairs) fn hash_cell(of: AccountType, cell: &[u8]) -> u64 {
    if !is_text(of) {
        hash_bytes(cell)
    } else if !cell.is_ascii() {
        hash_letters(in_one_form(cell).as_bytes())
    } else {
        parse_uuid_of_any_case(cell).map_or_else(|| hash_letters(cell), hash_uuid)
    }
}

/// A hash in which letters of ASCII are the same in both cases, and so are a few marks, which does no harm.
fn hash_letters(bytes: &[u8]) -> u64 {
    const CASE: u64 = u64::from_le_bytes([0x20; 8]);
    let add = |hash: u64, word: &[u8; 8]| folded(hash ^ (u64::from_le_bytes(*word) | CASE), A);
    let mut hash = bytes.len() as u64 ^ B;
    match bytes.last_chunk::<8>() {
        // The last word overlaps the one before: that costs less than what is left over.
        Some(last) => {
            hash = bytes[..bytes.len() - 1].as_chunks::<8>().0.iter().fold(hash, add);
            hash = add(hash, last);
        }
        None => {
            let word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
            hash = add(hash, &word.to_le_bytes());
        }
    }
    folded(hash ^ B, A)
}

pub(super) fn is_same_folded(one: &[u8], other: &[u8]) -> bool {
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    !one.is_ascii() && !other.is_ascii() && in_one_form(one) == in_one_form(other)
}

/// In small letters, of which those with marks are one character each (Unicode's NFC): an "é" may be two as well.
fn in_one_form(text: &[u8]) -> String {
    String::from_utf8_lossy(text).to_lowercase().nfc().collect()
}

pub(super) fn is_text(of: AccountType) -> bool {
    matches!(of, AccountType::Text | AccountType::Ascii)
}

fn hash_bytes(bytes: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::quality::FixedState::with_seed(0).build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}
