//! Accounts: ids by the type of the column that holds them, pairs, and groups.
//!
//! An id is what its column's type makes of it, so that `4AA7…`, `{4aa7…}` and `4aa7…` are one account where
//! accounts are UUIDs, and three where they are text. It is held as it is bound, and written out in one way only.

use std::borrow::Cow;
use std::fmt;
use std::str::{self, FromStr};

use bytes::Bytes;
use num_bigint::BigInt;
use uuid::Uuid;

use super::cql::CqlType;

/// The longest account id that is accepted, in bytes. Longer ids are rejected line by line.
pub(crate) const MAX_ACCOUNT_ID_BYTES: usize = 1_024;

/// The type of the columns that hold accounts.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::Display,
    strum::EnumString,
    strum::VariantArray,
    strum::VariantNames,
)]
#[strum(serialize_all = "lowercase", parse_err_fn = unknown_type, parse_err_ty = String)]
pub enum AccountType {
    /// UTF-8 text.
    #[default]
    Text,
    /// Text of US-ASCII characters alone.
    Ascii,
    /// Any UUID.
    Uuid,
    /// A UUID of version 1.
    TimeUuid,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    BigInt,
    /// An integer of any size.
    Varint,
}

impl AccountType {
    /// The type of a column that can hold accounts; `None` for one that cannot.
    pub fn of(cql_type: &CqlType) -> Option<Self> {
        Some(match cql_type {
            CqlType::Text => Self::Text,
            CqlType::Ascii => Self::Ascii,
            CqlType::Uuid => Self::Uuid,
            CqlType::TimeUuid => Self::TimeUuid,
            CqlType::Int => Self::Int,
            CqlType::BigInt => Self::BigInt,
            CqlType::Varint => Self::Varint,
            _ => return None,
        })
    }

    /// The value that an id stands for, as it is bound; `None` if the text is no value of this type.
    pub fn parse(self, id: &str) -> Option<Cow<'_, [u8]>> {
        Some(match self {
            Self::Text => Cow::Borrowed(id.as_bytes()),
            Self::Ascii => Cow::Borrowed(id.is_ascii().then_some(id.as_bytes())?),
            Self::Uuid | Self::TimeUuid => Cow::Owned(self.parse_uuid(id)?.to_vec()),
            Self::Int => Cow::Owned(digits(id)?.parse::<i32>().ok()?.to_be_bytes().to_vec()),
            Self::BigInt => Cow::Owned(digits(id)?.parse::<i64>().ok()?.to_be_bytes().to_vec()),
            Self::Varint => Cow::Owned(BigInt::from_str(digits(id)?).ok()?.to_signed_bytes_be()),
        })
    }

    /// The UUID that an id stands for; `None` if it is none, or accounts are no UUIDs. There are millions to be read,
    /// and this allocates nothing.
    pub(crate) fn parse_uuid(self, id: &str) -> Option<[u8; 16]> {
        let uuid = Uuid::try_parse(id).ok()?;
        let is_one = match self {
            Self::Uuid => true,
            Self::TimeUuid => uuid.get_version_num() == 1,
            _ => false,
        };
        is_one.then(|| uuid.into_bytes())
    }

    /// A value as it is written out. One that is not of this type is shown in hexadecimal.
    pub fn text(self, value: &[u8]) -> Cow<'_, str> {
        let text = match self {
            Self::Text | Self::Ascii => str::from_utf8(value).ok().map(Cow::Borrowed),
            Self::Uuid | Self::TimeUuid => {
                Uuid::from_slice(value).ok().map(|uuid| uuid.hyphenated().to_string().into())
            }
            Self::Int => value.try_into().ok().map(|n| i32::from_be_bytes(n).to_string().into()),
            Self::BigInt => value.try_into().ok().map(|n| i64::from_be_bytes(n).to_string().into()),
            Self::Varint => Some(BigInt::from_signed_bytes_be(value).to_string().into()),
        };
        text.unwrap_or_else(|| super::cql::hex(value).into())
    }
}

/// A decimal number: digits, perhaps behind a minus. (`parse` alone would also take a plus.)
fn digits(id: &str) -> Option<&str> {
    let digits = id.strip_prefix('-').unwrap_or(id);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

fn unknown_type(name: &str) -> String {
    format!("'{name}' is not a type of accounts")
}

/// The id of an account: a value of the type of the columns that hold accounts.
///
/// It is held as shared bytes, so that a clone costs a reference count and the same allocation is
/// bound to every statement that names the account.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId {
    cell: Bytes,
    of: AccountType,
}

impl AccountId {
    /// Takes an id from text that has been checked already.
    pub fn new(id: impl Into<String>) -> Self {
        Self::from_cell(AccountType::Text, Bytes::from(id.into()))
    }

    /// Takes an id from the value of a column of this type.
    pub(crate) fn from_cell(of: AccountType, cell: Bytes) -> Self {
        Self { cell, of }
    }

    /// Reads an id; `None` if the text is no value of this type.
    pub fn parse(of: AccountType, id: &str) -> Option<Self> {
        let cell = of.parse(id)?.into_owned();
        Some(Self::from_cell(of, cell.into()))
    }

    /// The id as it is bound.
    pub fn cell(&self) -> &Bytes {
        &self.cell
    }

    /// The id as it is written out.
    pub fn text(&self) -> Cow<'_, str> {
        self.of.text(&self.cell)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}

/// An accepted pair: `from` is merged into `into`, as said on `line` of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The account that is emptied.
    pub from: AccountId,
    /// The account that the pair names as its target. In a chain this is not yet the survivor.
    pub into: AccountId,
    /// The line of the input on which the pair first appeared, counted from 1 (the header included).
    pub line: u64,
}

/// One surviving account and the accounts that are merged into it. No account is in two groups, so
/// groups may run in any order and at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The position of the group in its plan, from 0.
    pub index: usize,
    /// The account that holds everything afterwards.
    pub survivor: AccountId,
    /// The pairs of the group; their `from`s are the sources, in the order in which conflicts are
    /// resolved: depth first, nearest to the survivor first, siblings by line.
    pub pairs: Vec<Pair>,
}

impl Group {
    /// All its accounts: the survivor, then the sources.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountId> {
        [&self.survivor].into_iter().chain(self.sources())
    }

    /// The sources in the order in which they are merged.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = &AccountId> {
        self.pairs.iter().map(|pair| &pair.from)
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;

    /// Other ways to write the id that is written as the first.
    #[track_caller]
    fn check_same(of: AccountType, ways: &[&str]) {
        for way in ways {
            let id = AccountId::parse(of, way).unwrap_or_else(|| panic!("{way} is a {of}"));
            assert_eq!(id.to_string(), ways[0]);
            assert_eq!(id, AccountId::parse(of, ways[0]).unwrap());
        }
    }

    #[track_caller]
    fn check_refused(of: AccountType, ids: &[&str]) {
        for id in ids {
            assert_eq!(AccountId::parse(of, id), None, "{id} is no {of}");
        }
    }

    #[test]
    fn an_account_is_what_its_type_makes_of_its_id() {
        let uuid = [
            "4aa7f1c0-0000-4000-8000-00000000abcd",
            "4AA7F1C0-0000-4000-8000-00000000ABCD",
            "{4aa7f1c0-0000-4000-8000-00000000abcd}",
            "4aa7f1c0000040008000 00000000abcd".replace(' ', "").leak(),
        ];
        check_same(AccountType::Uuid, &uuid);
        check_same(AccountType::TimeUuid, &["4aa7f1c0-0000-1000-8000-00000000abcd"]);
        check_same(AccountType::Int, &["7", "007"]);
        check_same(AccountType::BigInt, &["-9223372036854775808"]);
        check_same(AccountType::Varint, &["-170141183460469231731687303715884105729"]);
        for id in uuid {
            check_same(AccountType::Text, &[id]);
        }
        check_same(AccountType::Text, &["\u{e9}"]);
    }

    #[test]
    fn what_is_no_value_of_the_type_is_no_account() {
        check_refused(AccountType::Uuid, &["4aa7", "", "4aa7f1c0-0000-4000-8000-00000000abcg"]);
        check_refused(AccountType::TimeUuid, &["4aa7f1c0-0000-4000-8000-00000000abcd"]);
        check_refused(AccountType::Int, &["2147483648", "1.0", "+1", "-", "", "0x1", "1e3"]);
        check_refused(AccountType::BigInt, &["9223372036854775808", "a"]);
        check_refused(AccountType::Varint, &["", "--1", "1_000"]);
        check_refused(AccountType::Ascii, &["\u{e9}"]);
    }

    #[test]
    fn names_are_those_of_cql() {
        for of in AccountType::VARIANTS {
            let name = of.to_string();
            assert_eq!(name.parse(), Ok(*of));
            assert_eq!(AccountType::of(&CqlType::parse(&name)), Some(*of));
        }
        assert_eq!(AccountType::of(&CqlType::parse("blob")), None);
    }
}
