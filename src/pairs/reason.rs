//! Why a line of the input is not merged.

use std::fmt;

use crate::model::{AccountType, MAX_ACCOUNT_ID_BYTES};

/// The reason codes, in the order in which the checks are made.
pub const REASON_CODES: [&str; 9] = [
    "malformed",
    "invalid-id",
    "self-pair",
    "ambiguous",
    "cycle",
    "busy",
    "lost-run",
    "merged-earlier",
    "ambiguous-earlier",
];

/// Why a line is not a record with two ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It ends before the columns that are needed.
    MissingColumn,
    /// A quote within a field that does not begin with one.
    BareQuote,
    /// Text between a closing quote and the next delimiter.
    TextAfterQuote,
    /// A quoted field that is not closed, neither on its line nor properly on a later one.
    UnclosedQuote,
    /// A quoted field that is not closed within a mebibyte.
    QuotedTooLong,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// A carriage return outside quotes that does not end the line.
    BareReturn,
}

/// Which of the two ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The account that is emptied.
    From,
    /// The account that receives.
    To,
}

/// What is wrong with an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It has no characters.
    Empty,
    /// It is longer than [`MAX_ACCOUNT_ID_BYTES`](crate::model::MAX_ACCOUNT_ID_BYTES).
    TooLong,
    /// It begins or ends with white space.
    WhiteSpace,
    /// It is no value of the type that accounts have.
    NotOfType(AccountType),
}

/// What earlier runs did, so that a pair is not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// One of its accounts is half merged, or half taken back.
    Busy,
    /// As busy, by a run that is lost.
    LostRun,
    /// Its target was merged into its source.
    Cycle,
    /// Its target was merged into another account.
    Merged,
    /// Its source was merged into another account.
    Ambiguous,
}

impl Earlier {
    /// Every kind with its code.
    pub const NAMES: [(&'static str, Self); 5] = [
        (REASON_CODES[5], Self::Busy),
        (REASON_CODES[6], Self::LostRun),
        (REASON_CODES[4], Self::Cycle),
        (REASON_CODES[7], Self::Merged),
        (REASON_CODES[8], Self::Ambiguous),
    ];

    /// The kind of a code.
    pub fn of(code: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(name, _)| *name == code).map(|(_, kind)| *kind)
    }

    /// The code.
    pub fn code(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// Why a line is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The line is not a record with two ids.
    Malformed(Malformed),
    /// One of the ids is not acceptable.
    InvalidId(Side, Flaw),
    /// Both ids are the same.
    SelfPair,
    /// Its `from` has different targets; the number finds them in [`Rejects`](super::Rejects).
    Ambiguous(u32),
    /// It is part of a cycle; the number finds the cycle in [`Rejects`](super::Rejects).
    Cycle(u32),
    /// Earlier runs stand in its way; the number finds the words in [`Rejects`](super::Rejects).
    Earlier(Earlier, u32),
}

impl Reason {
    /// The code that stands before the colon.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed(_) => REASON_CODES[0],
            Self::InvalidId(..) => REASON_CODES[1],
            Self::SelfPair => REASON_CODES[2],
            Self::Ambiguous(_) => REASON_CODES[3],
            Self::Cycle(_) => REASON_CODES[4],
            Self::Earlier(kind, _) => kind.code(),
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingColumn => "the line has too few columns",
            Self::BareQuote => "a quote inside a field that is not quoted",
            Self::TextAfterQuote => "text after a closing quote",
            Self::UnclosedQuote => "a quoted field that is not closed",
            Self::QuotedTooLong => "a quoted field that is not closed within 1 MiB",
            Self::InvalidUtf8 => "bytes that are not UTF-8",
            Self::BareReturn => "a carriage return inside a line",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::From => "from",
            Self::To => "to",
        })
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => {
                write!(f, "is longer than {} bytes", MAX_ACCOUNT_ID_BYTES)
            }
            Self::WhiteSpace => f.write_str("has white space around it"),
            Self::NotOfType(of @ (AccountType::Text | AccountType::Ascii)) => {
                write!(f, "is not {of}")
            }
            Self::NotOfType(of @ AccountType::Int) => write!(f, "is not an {of}"),
            Self::NotOfType(of) => write!(f, "is not a {of}"),
        }
    }
}
