//! Ids that differ in upper and lower case only.
//!
//! There may be twenty million ids, and a second table of them would be as large as the first. One of two such ids has
//! a capital, and lists without any are left alone. Those that have one are put into a set of bits by the hash of
//! their small letters, the others are looked up there; what meets somebody is looked at closely, a bounded number at
//! a time.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::Bits;
use super::accounts::{Accounts, hash_bytes};

/// Bits for each id with a capital: an eighth of those that meet nobody are looked at closely.
const BITS_EACH: usize = 8;
/// The length of a UUID in its usual form, which is held in another way and has no capitals.
const UUID_LEN: usize = 36;
/// Ids that are looked at closely at a time.
const AT_ONCE: u64 = if cfg!(test) { 16 } else { 1 << 20 };

/// All accounts whose id differs from another one's in case only, if there are any. Accounts are text.
pub(super) fn alike(accounts: &Accounts) -> Option<Bits> {
    let capitals = accounts.par_ids(false, |(all, like_uuids): &mut (usize, usize), _, id| {
        let has_capital = has_capital(id);
        *all += usize::from(has_capital);
        *like_uuids += usize::from(has_capital && id.len() == UUID_LEN);
    });
    let (capitals, like_uuids) =
        capitals.reduce(<(usize, usize)>::default, |one, other| (one.0 + other.0, one.1 + other.1));
    if capitals == 0 {
        return None;
    }
    let with_uuids = like_uuids > 0;
    let size = (capitals * BITS_EACH).next_power_of_two().max(64);
    let (once, twice) = (AtomicBits::new(size), AtomicBits::new(size));
    let with_capital = accounts.par_ids(false, |(): &mut (), _, id| {
        if has_capital(id) {
            let hash = folded(id);
            if once.set(hash) {
                twice.set(hash);
            }
        }
    });
    with_capital.collect::<()>();
    let without = accounts.par_ids(with_uuids, |(): &mut (), _, id| {
        if !has_capital(id) {
            let hash = folded(id);
            if once.has(hash) {
                twice.set(hash);
            }
        }
    });
    without.collect::<()>();
    let suspects = accounts.par_ids(with_uuids, |suspects: &mut u64, _, id| {
        *suspects += u64::from(twice.has(folded(id)));
    });
    let turns = suspects.sum::<u64>().div_ceil(AT_ONCE);
    let mut alike = Bits::new(accounts.bound());
    for turn in 0..turns {
        let wanted = |hash: u64| (twice.has(hash) && (hash >> 8) % turns == turn).then_some(hash);
        let suspects = accounts.par_ids(with_uuids, |suspects: &mut Vec<_>, account, id| {
            suspects.extend(wanted(folded(id)).map(|hash| (hash, account)));
        });
        mark(accounts, suspects.flatten().collect(), &mut alike);
    }
    (!alike.is_empty()).then_some(alike)
}

/// Marks those suspects that are really alike.
fn mark(accounts: &Accounts, mut suspects: Vec<(u64, u32)>, alike: &mut Bits) {
    suspects.par_sort_unstable();
    let small = |(_, account): &(u64, u32)| accounts.id(*account).text().to_lowercase();
    for same in suspects.chunk_by(|one, other| one.0 == other.0).filter(|same| same.len() > 1) {
        let texts: Vec<String> = same.iter().map(small).collect();
        let is_alike = |text: &String| texts.iter().filter(|other| *other == text).count() > 1;
        for ((_, account), _) in same.iter().zip(&texts).filter(|(_, text)| is_alike(text)) {
            alike.insert(*account);
        }
    }
}

fn has_capital(id: &[u8]) -> bool {
    id.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii())
}

/// The hash of an id in small letters.
fn folded(id: &[u8]) -> u64 {
    const SHORT: usize = 64;
    if id.is_ascii() && id.len() <= SHORT {
        let mut small = [0; SHORT];
        let small = &mut small[..id.len()];
        small.copy_from_slice(id);
        small.make_ascii_lowercase();
        hash_bytes(small)
    } else {
        hash_bytes(String::from_utf8_lossy(id).to_lowercase().as_bytes())
    }
}

/// Bits that are set from several threads.
struct AtomicBits(Vec<AtomicU64>);

impl AtomicBits {
    /// A power of two of them.
    fn new(size: usize) -> Self {
        Self((0..size.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    fn place(&self, hash: u64) -> (&AtomicU64, u64) {
        let at = (hash >> 20) as usize & (self.0.len() * 64 - 1);
        (&self.0[at / 64], 1 << (at % 64))
    }

    /// Sets the bit of a hash and says whether it was set before.
    fn set(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        word.fetch_or(bit, Ordering::Relaxed) & bit != 0
    }

    fn has(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        word.load(Ordering::Relaxed) & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::pairs::{Accepted, Format, read};

    /// The ids that are alike, by the sets and by comparing each with each.
    fn both(ids: &[String]) -> (Vec<String>, Vec<String>) {
        let csv = ids.iter().fold("from,to\n".to_owned(), |csv, id| csv + id + ",zz\n");
        let format = Format { accept: Accepted::all(), ..Format::default() };
        let list = read(csv.as_bytes(), &format).unwrap();
        let found = alike(list.accounts());
        let mut all = BTreeMap::new();
        for edge in &list.edges {
            all.insert(list.accounts.id(edge.from).to_string(), edge.from);
            all.insert(list.accounts.id(edge.to).to_string(), edge.to);
        }
        let is_found = |account: &u32| found.as_ref().is_some_and(|found| found.contains(*account));
        let found = all.iter().filter(|(_, account)| is_found(account));
        let found = found.map(|(id, _)| id.clone()).collect();
        let same =
            |id: &String| all.keys().filter(|o| o.to_lowercase() == id.to_lowercase()).count();
        (found, all.keys().filter(|id| same(id) > 1).cloned().collect())
    }

    #[test]
    fn uuids_and_letters_of_other_languages_have_cases_as_well() {
        let uuid = "0123abcd-4567-49ef-8123-456789abcdef".to_owned();
        let ids = [uuid.to_uppercase(), uuid, "\u{c9}VA".into(), "\u{e9}va".into(), "b".into()];
        let (found, expected) = both(&ids);
        assert_eq!(found, expected);
        assert_eq!(found.len(), 4);
        assert_eq!(both(&["a".into(), "b".into()]).0, [""; 0]);
        assert_eq!(both(&["A".into(), "b".into()]).0, [""; 0]);
    }

    #[test]
    fn many_are_found_in_several_turns() {
        let ids: Vec<String> =
            (0..100).flat_map(|n| [format!("User{n}"), format!("uSER{}", n * 2)]).collect();
        let (found, expected) = both(&ids);
        assert_eq!(found, expected);
        assert_eq!(found.len(), 100);
    }

    proptest! {
        #[test]
        fn the_sets_agree_with_a_comparison_of_all(
            ids in prop::collection::vec("[abAB\u{e9}\u{c9}]{1,3}", 1..40),
        ) {
            let (found, expected) = both(&ids);
            prop_assert_eq!(found, expected);
        }
    }
}
