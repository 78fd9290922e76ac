//! Which accounts an input may have, in a few bits for each: what is read of something larger is held only if it may
//! matter.

use fixedbitset::FixedBitSet;

use crate::model::AccountType;

use super::accounts::{Accounts, Wanted};

/// Bits per account, at least; twice as many at most.
const BITS: usize = 16;

/// A Bloom filter over the accounts of an input, with two bits of each. Of accounts that it does not have, one in
/// seventy passes at most (Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970).
pub(crate) struct AccountFilter {
    of: AccountType,
    count: usize,
    bits: FixedBitSet,
}

impl Accounts {
    /// The filter over all of them.
    pub(crate) fn filter(&self) -> AccountFilter {
        let count = self.len();
        let bits = FixedBitSet::with_capacity((count * BITS).next_power_of_two().max(64));
        let mut filter = AccountFilter { of: self.of, count, bits };
        for account in self.numbers() {
            for bit in filter.bits_of(self.hash(account)) {
                filter.bits.insert(bit);
            }
        }
        filter
    }
}

impl AccountFilter {
    /// How many accounts the input has.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Whether the input may have an account of this id; if it has, this is never false.
    pub(crate) fn may_have(&self, id: &str) -> bool {
        let is_in = |hash| self.bits_of(hash).into_iter().all(|bit| self.bits.contains(bit));
        self.of.parse(id).is_some_and(|cell| is_in(Wanted::new(self.of, &cell).hash))
    }

    fn bits_of(&self, hash: u64) -> [usize; 2] {
        // A power of two, below 2^38: there are less than 2^32 accounts.
        let mask = self.bits.len() - 1;
        [hash as usize & mask, hash.rotate_left(32) as usize & mask]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::{Format, read};

    #[test]
    fn every_account_passes_and_few_others_do() {
        for (of, id) in [
            (AccountType::Text, (|n| format!("user-{n}")) as fn(u128) -> String),
            (AccountType::Uuid, |n| uuid::Uuid::from_u128(n << 64 | 7).to_string()),
            (AccountType::BigInt, |n| n.to_string()),
        ] {
            let lines = (0..2_000).map(|n| format!("{},{}\n", id(2 * n + 1), id(2 * n + 2)));
            let csv = "from,to\n".to_owned() + &lines.collect::<String>();
            let list = read(csv.as_bytes(), &Format { accounts: of, ..Format::default() }).unwrap();
            let filter = list.accounts.filter();
            assert_eq!(filter.len(), 4_000);
            assert!((1..=4_000).all(|n| filter.may_have(&id(n))), "{of}");
            let strangers = (10_000..20_000).filter(|n| filter.may_have(&id(*n))).count();
            assert!(strangers < 10_000 / 50, "{of}: {strangers}");
        }
    }

    #[test]
    fn without_accounts_nothing_passes() {
        let list = read("from,to\n".as_bytes(), &Format::default()).unwrap();
        assert!(!list.accounts.filter().may_have("a"));
    }
}
