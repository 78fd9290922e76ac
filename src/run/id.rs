//! Names for runs.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

/// The id of a run: its start in UTC, so that runs sort by time, and four random digits, so that two
/// that start in the same second differ. As in `20261123T041455Z-3f9a`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RunId(String);

impl RunId {
    /// A new id for a run that starts now.
    pub(crate) fn new(start: Moment) -> Self {
        // The standard library's hash keys are random; nothing here needs to be unpredictable.
        let random = RandomState::new().hash_one(()) as u16;
        Self(format!("{}-{random:04x}", start.compact()))
    }

    /// Takes an id that was given earlier, from its text.
    #[cfg(test)]
    pub(crate) fn from_text(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name has the shape of an id.
    pub(super) fn is_id(name: &str) -> bool {
        const SHAPE: &str = "ddddddddTddddddZ-xxxx";
        name.len() == SHAPE.len()
            && name.bytes().zip(SHAPE.bytes()).all(|(byte, shape)| match shape {
                b'd' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_hexdigit(),
                shape => byte == shape,
            })
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_shape_and_differ() {
        let now = Moment::now();
        let ids: Vec<_> = (0..8).map(|_| RunId::new(now)).collect();
        assert!(ids.iter().all(|id| RunId::is_id(id.as_str())), "{ids:?}");
        assert!(ids.iter().any(|id| id != &ids[0]), "{ids:?}");
        assert!(!RunId::is_id("my-run") && !RunId::is_id("20261123T041455Z-3f9"));
    }
}
