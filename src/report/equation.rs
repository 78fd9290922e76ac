//! What must add up: a total, and the parts that it is the sum of.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::figures::count;
use super::summary::EventFacts;

/// A total and the parts that it must be the sum of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Equation {
    what: String,
    total: u64,
    parts: Vec<(String, u64)>,
}

impl Equation {
    pub(super) fn new(what: &str, total: u64, parts: &[(&str, u64)]) -> Self {
        let parts = parts.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
        Self { what: what.to_owned(), total, parts }
    }

    /// What is added up.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The total, as it was counted.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The sum of the parts.
    pub(crate) fn sum(&self) -> u64 {
        self.parts.iter().map(|(_, n)| n).sum()
    }

    /// Whether the parts make up the total.
    pub(crate) fn holds(&self) -> bool {
        self.total == self.sum()
    }

    /// The equation with its values, as in `20,000 = 3 blank + 19,997 pairs`.
    pub(crate) fn text(&self) -> String {
        let sign = if self.holds() { "=" } else { "≠" };
        format!("{} {sign} {}", count(self.total), self.parts_text())
    }

    /// Its right side, as in `3 blank + 19,997 pairs`.
    pub(super) fn parts_text(&self) -> String {
        let parts: Vec<_> =
            self.parts.iter().map(|(name, n)| format!("{} {name}", count(*n))).collect();
        parts.join(" + ")
    }
}

impl Serialize for Equation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Equation", 5)?;
        fields.serialize_field("what", &self.what)?;
        fields.serialize_field("total", &self.total)?;
        fields.serialize_field("sum", &self.sum())?;
        fields.serialize_field("equation", &self.text())?;
        fields.serialize_field("holds", &self.holds())?;
        fields.end()
    }
}

impl EventFacts {
    /// Each event that was produced is acknowledged, or left because the session was stopped.
    pub(super) fn equation(&self) -> Equation {
        let parts = [("acknowledged", self.acknowledged), ("left", self.left)];
        let known = if self.left > 0 { 2 } else { 1 };
        Equation::new("events produced", self.produced, &parts[..known])
    }
}
