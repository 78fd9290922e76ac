//! `keep-target`: the survivor's value stays, whatever the sources hold; null is a value like any other.

use bytes::Bytes;

use super::Policy;
use crate::model::{Cell, CqlType};

/// The survivor's value stays.
#[derive(Debug)]
pub(super) struct KeepTarget;

impl Policy for KeepTarget {
    fn name(&self) -> &str {
        "keep-target"
    }

    fn outcome(&self, column: &str) -> String {
        format!("its own {column}")
    }

    fn looks(&self) -> bool {
        false
    }

    fn wants(&self, _: &CqlType) -> Option<&'static str> {
        None
    }

    fn combine(&self, _: &CqlType, _: &Cell, _: &Cell) -> Option<Bytes> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, int};
    use super::*;

    #[test]
    fn nothing_takes_its_place() {
        check(&KeepTarget, &int(1), &[int(2), None], &int(1));
        check(&KeepTarget, &None, &[int(2)], &None);
        assert_eq!(KeepTarget.wants(&CqlType::Blob), None);
    }
}
