//! A set of small numbers, one bit each.

/// A set of numbers below a bound.
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// The empty set of numbers below `bound`.
    pub(crate) fn new(bound: usize) -> Self {
        Self(vec![0; bound.div_ceil(64)])
    }

    pub(crate) fn contains(&self, number: u32) -> bool {
        let number = number as usize;
        self.0[number / 64] >> (number % 64) & 1 == 1
    }

    /// Adds a number and says whether it is new.
    pub(crate) fn insert(&mut self, number: u32) -> bool {
        let number = number as usize;
        let (word, bit) = (&mut self.0[number / 64], 1 << (number % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let number = number as usize;
        self.0[number / 64] &= !(1 << (number % 64));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let mut bits = Bits::new(130);
        assert!(bits.is_empty());
        assert!(bits.insert(0) && bits.insert(63) && bits.insert(64) && bits.insert(129));
        assert!(!bits.insert(64));
        assert!(bits.contains(129) && !bits.contains(128));
        bits.remove(129);
        assert!(!bits.contains(129) && !bits.is_empty());
    }
}
