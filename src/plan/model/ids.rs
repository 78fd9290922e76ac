//! Ids of every type in several spellings, and which of them are one account.

use proptest::prelude::*;

use crate::model::AccountType;

const IDS: [&str; 21] = [
    "a",
    "b",
    "c",
    "d",
    "e",
    "f",
    "\u{e9},\"q\"",
    "two\nlines",
    "two\rlines",
    "0123abcd-4567-89ef-0123-456789abcdef",
    "0123ABCD-4567-89ef-0123-456789abcdef",
    "",
    " f",
    "NULL",
    "-",
    "9.91214E+15",
    "'007",
    "\u{feff}a",
    "from",
    "To",
    "note",
];

/// Text of several kinds, and what is no id.
pub(super) fn text() -> BoxedStrategy<String> {
    (0..60_usize).prop_map(|n| IDS[if n < 40 { n % 11 } else { n % 21 }].to_owned()).boxed()
}

/// A few UUIDs, each in several spellings, and what is none. One of them is of version 1.
pub(super) fn uuid() -> BoxedStrategy<String> {
    let spelt = |(n, style): (u8, u8)| {
        let usual = format!("0123abcd-4567-{}9ef-8123-456789abcde{n:x}", if n < 5 { 1 } else { 4 });
        match style {
            0..8 => usual,
            8..12 => usual.to_uppercase(),
            12..16 => format!("{{{usual}}}"),
            16..20 => usual.replace('-', ""),
            20..24 => usual.replace("abc", "aBC"),
            24 => usual[1..].to_owned(),
            25 => format!("{usual},\"x\""),
            26 => format!("{usual} "),
            _ => String::new(),
        }
    };
    (0..6_u8, 0..28_u8).prop_map(spelt).boxed()
}

/// A few numbers, each in several spellings, and what is none.
pub(super) fn number() -> BoxedStrategy<String> {
    let spelt = |(n, style): (i32, u8)| {
        let (sign, digits) = (if n < 0 { "-" } else { "" }, n.unsigned_abs());
        match style {
            0..8 => format!("{sign}{digits}"),
            8..12 => format!("{sign}0{digits}"),
            12..16 => format!("{sign}000{digits}"),
            16..20 => format!("{}{digits}", if n == 0 { "-" } else { sign }),
            20 => format!("+{digits}"),
            21 => format!("{digits}.0"),
            22 => format!(" {digits}"),
            23 => format!("{sign}9223372036854775807{digits}"),
            _ => String::new(),
        }
    };
    (-2..5_i32, 0..25_u8).prop_map(spelt).boxed()
}

/// The one spelling of an id, by nothing but its characters; `None` if it is not of the type.
pub(super) fn usual(of: AccountType, id: &str) -> Option<String> {
    match of {
        AccountType::Text => Some(id.to_owned()),
        AccountType::Ascii => id.chars().all(|c| (c as u32) < 128).then(|| id.to_owned()),
        AccountType::Uuid | AccountType::TimeUuid => {
            let digits: String = id.chars().filter(|c| !"{-}".contains(*c)).collect();
            let is_hex = digits.len() == 32 && digits.chars().all(|c| c.is_ascii_hexdigit());
            let is_one = is_hex && (of == AccountType::Uuid || &digits[12..13] == "1");
            let part = |from: usize, to: usize| digits[from..to].to_lowercase();
            is_one.then(|| {
                [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
            })
        }
        AccountType::Int | AccountType::BigInt | AccountType::Varint => {
            let digits = id.trim_start_matches('-');
            let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
            let digits = digits.trim_start_matches('0');
            // All numbers of many digits are beyond a bigint.
            if !is_number || (of != AccountType::Varint && digits.len() > 9) {
                return None;
            }
            let sign = if id.starts_with('-') && !digits.is_empty() { "-" } else { "" };
            Some(format!("{sign}{}", if digits.is_empty() { "0" } else { digits }))
        }
    }
}
