//! How many replicas acknowledge what is asked.

use scylla::statement::Consistency as Level;
use serde::Serialize;

/// How many replicas acknowledge a read or write.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE", ascii_case_insensitive)]
pub enum Consistency {
    /// One of any datacenter.
    One,
    /// One of the local datacenter.
    LocalOne,
    /// Two of any datacenter.
    Two,
    /// Three of any datacenter.
    Three,
    /// A majority of all datacenters together.
    Quorum,
    /// A majority of the local datacenter.
    #[default]
    LocalQuorum,
    /// A majority of each datacenter.
    EachQuorum,
    All,
}

impl From<Consistency> for Level {
    fn from(level: Consistency) -> Self {
        match level {
            Consistency::One => Self::One,
            Consistency::LocalOne => Self::LocalOne,
            Consistency::Two => Self::Two,
            Consistency::Three => Self::Three,
            Consistency::Quorum => Self::Quorum,
            Consistency::LocalQuorum => Self::LocalQuorum,
            Consistency::EachQuorum => Self::EachQuorum,
            Consistency::All => Self::All,
        }
    }
}
