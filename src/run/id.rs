//! Names for runs.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use crate::model::Part;
use crate::moment::Moment;

/// The id of a run: its start in UTC, so that runs sort by time, and four random digits, so that two
/// that start in the same second differ; that of a part of a plan says which. As in `20261123T041455Z-3f9a` and
/// `20261123T041455Z-3f9a.2of3`.
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

    /// The same, of a run that is a part of a plan.
    pub(crate) fn of(self, part: Part) -> Self {
        Self(self.0 + &part.suffix())
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
        let name = match Part::of_run(name) {
            Some(part) => name.strip_suffix(&part.suffix()).unwrap_or(name),
            None => name,
        };
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
        let part = ids[0].clone().of("2/3".parse().unwrap());
        assert!(RunId::is_id(part.as_str()) && part.as_str().ends_with(".2of3"), "{part}");
        assert!(!RunId::is_id("my-run") && !RunId::is_id("20261123T041455Z-3f9"));
    }
}
