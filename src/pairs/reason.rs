//! Why a line of the input is not merged.

use std::fmt;

use super::format::Malformed;
use super::rules::{Consequence, Rule};
use crate::model::{AccountType, MAX_ACCOUNT_ID_BYTES};

/// What a line with names of columns says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heading {
    /// The same as the header.
    Again,
    /// The two columns the other way round, or at other positions.
    Turned,
    /// It stands below one that is turned; the number finds that one in [`Rejects`](super::Rejects).
    Below(u32),
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
    /// It holds a character that nobody sees.
    Invisible,
    /// It is no value of the type that accounts have.
    NotOfType(AccountType),
}

/// Why a line is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The line is not a record with two ids.
    Malformed(Malformed),
    /// One of the ids is not acceptable.
    InvalidId(Side, Flaw),
    /// The line is a header, or belongs to another one.
    Header(Heading),
    /// One of the ids is a word for nothing.
    Placeholder(Side),
    /// One of the ids is as a spreadsheet rewrites it.
    Spreadsheet(Side),
    /// Both ids are the same.
    SelfPair,
    /// Its `from` has different targets; the number finds them in [`Rejects`](super::Rejects).
    Ambiguous(u32),
    /// It is part of a cycle; the number finds the cycle in [`Rejects`](super::Rejects).
    Cycle(u32),
    /// Earlier runs stand in its way; the number finds the words in [`Rejects`](super::Rejects).
    Earlier(Rule, u32),
}

impl Reason {
    /// What reports, `--accept` and rejects.csv call it.
    pub fn rule(self) -> Rule {
        match self {
            Self::Malformed(_) => Rule::Malformed,
            Self::Header(_) => Rule::Header,
            Self::InvalidId(..) => Rule::InvalidId,
            Self::Placeholder(_) => Rule::Placeholder,
            Self::Spreadsheet(_) => Rule::Spreadsheet,
            Self::SelfPair => Rule::SelfPair,
            Self::Ambiguous(_) => Rule::Ambiguous,
            Self::Cycle(_) => Rule::Cycle,
            Self::Earlier(rule, _) => rule,
        }
    }

    /// Whether `--accept` with the rule's name lets the line through.
    pub(crate) fn can_be_accepted(self) -> bool {
        match self {
            Self::InvalidId(_, flaw) => flaw == Flaw::Invisible,
            other => other.rule().entry().consequence == Consequence::Held,
        }
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
            Self::Invisible => f.write_str("holds characters that nobody sees"),
            Self::NotOfType(of @ (AccountType::Text | AccountType::Ascii)) => {
                write!(f, "is not {of}")
            }
            Self::NotOfType(of @ AccountType::Int) => write!(f, "is not an {of}"),
            Self::NotOfType(of) => write!(f, "is not a {of}"),
        }
    }
}
