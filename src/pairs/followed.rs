//! Targets that are no longer what the input takes them for: what it pairs with them goes to where they are now.

use std::collections::HashMap;
use std::io::{Read, Write};

use super::accounts::Interner;
use super::read::Edge;
use super::{Accounts, PairsError};
use crate::model::{AccountId, AccountType};

/// A target that another run has merged, and the account that it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    /// The target as the input names it.
    pub account: AccountId,
    pub now: AccountId,
}

impl Followed {
    /// Writes targets as CSV with the columns `account,now`, to read the same input in the same way again.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn write(followed: &[Self], out: impl Write) -> Result<(), PairsError> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(["account", "now"])?;
        for Self { account, now } in followed {
            out.write_record([&*account.text(), &*now.text()])?;
        }
        out.flush().map_err(csv::Error::from)?;
        Ok(())
    }

    /// Reads what [`write`](Self::write) wrote; the error says what is wrong with it.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub(crate) fn read(from: impl Read, of: AccountType) -> Result<Vec<Self>, String> {
        let mut followed = Vec::new();
        for record in csv::Reader::from_reader(from).records() {
            let record = record.map_err(|error| error.to_string())?;
            let id = |column: usize| AccountId::parse(of, record.get(column)?);
            let one = id(0).zip(id(1)).map(|(account, now)| Self { account, now });
            followed.push(one.ok_or_else(|| format!("it has a line {record:?}"))?);
        }
        Ok(followed)
    }
}

/// The same by number.
#[derive(Default)]
pub(super) struct Now(HashMap<u32, u32>);

impl Now {
    /// Numbers the targets, and what they are now.
    pub(super) fn number(
        interners: &mut [Interner],
        followed: &[Followed],
    ) -> Result<Self, PairsError> {
        let mut number =
            |id: &AccountId| Interner::number_of(interners, id).ok_or(PairsError::TooMany);
        let numbered =
            followed.iter().map(|Followed { account, now }| Ok((number(account)?, number(now)?)));
        numbered.collect::<Result<_, PairsError>>().map(Self)
    }

    /// Pairs go to where their targets are now; returns the targets that any of them had, in the order of the pairs. One
    /// whose source is what its target is now stays as it is: it was merged the other way round.
    pub(super) fn follow(&self, edges: &mut [Edge], accounts: &Accounts) -> Vec<Followed> {
        let mut followed = Vec::new();
        if self.0.is_empty() {
            return followed;
        }
        let mut met = fixedbitset::FixedBitSet::with_capacity(accounts.bound());
        for edge in edges {
            let Some(now) = self.0.get(&edge.to).filter(|now| **now != edge.from) else { continue };
            if !met.put(edge.to as usize) {
                let [account, now] = [edge.to, *now].map(|number| accounts.id(number));
                followed.push(Followed { account, now });
            }
            edge.to = *now;
        }
        followed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::{Format, read_followed};
    use crate::plan::resolve;

    fn followed(of: AccountType, account: &str, now: &str) -> Followed {
        let [account, now] = [account, now].map(|id| AccountId::parse(of, id).unwrap());
        Followed { account, now }
    }

    /// The groups of an input as `survivor: source source …`, its rejects as `line code`, and the targets that were
    /// followed, as `account now`.
    #[track_caller]
    fn check(of: AccountType, moved: &[(&str, &str)], body: &str, expected: [&[&str]; 3]) {
        let moved: Vec<_> = moved.iter().map(|(a, now)| followed(of, a, now)).collect();
        let format = Format { accounts: of, ..Format::default() };
        let list = read_followed(format!("from,to\n{body}").as_bytes(), &format, &moved).unwrap();
        let plan = resolve(list);
        assert!(plan.stats().adds_up(), "{:?}", plan.stats());
        let groups = plan.groups().map(|group| {
            let sources: Vec<_> = group.sources().map(|id| id.text().into_owned()).collect();
            format!("{}: {}", group.survivor, sources.join(" "))
        });
        let rejects =
            plan.rejects().iter().map(|r| format!("{} {}", r.line, r.reason.rule().name()));
        let used = plan.stats().followed.first.iter();
        let used = used.map(|target| format!("{} {}", target.account, target.now));
        let seen: [Vec<String>; 3] = [groups.collect(), rejects.collect(), used.collect()];
        assert_eq!(seen, expected.map(|of| of.iter().map(ToString::to_string).collect::<Vec<_>>()));
    }

    #[test]
    fn pairs_go_to_where_their_targets_are_now() {
        let text = |moved: &[(&str, &str)], body: &str, expected: [&[&str]; 3]| {
            check(AccountType::Text, moved, body, expected);
        };
        // The account that it is now is not in the input, or is a source itself, or another target.
        text(&[("a", "b")], "x,a\ny,a\n", [&["b: x y"], &[], &["a b"]]);
        text(&[("a", "b"), ("q", "r")], "x,a\nb,c\n", [&["c: b x"], &[], &["a b"]]);
        text(&[("a", "c"), ("b", "c")], "x,a\ny,b\n", [&["c: x y"], &[], &["a c", "b c"]]);
        // Two targets are one by now; one is two.
        text(&[("a", "b")], "x,a\nx,b\n", [&["b: x"], &[], &["a b"]]);
        text(
            &[("a", "b"), ("c", "d")],
            "x,a\nx,c\n",
            [&[], &["2 ambiguous", "3 ambiguous"], &["a b", "c d"]],
        );
        text(&[("a", "b")], "x,a\nb,x\n", [&[], &["2 cycle", "3 cycle"], &["a b"]]);
        // What was merged the other way round is not followed.
        text(&[("a", "b")], "b,a\n", [&["a: b"], &[], &[]]);
        // What is only a source is no target.
        text(&[("a", "b")], "a,c\n", [&["c: a"], &[], &[]]);
    }

    #[test]
    fn accounts_of_any_type_are_followed() {
        check(AccountType::Int, &[("1", "2")], "9,01\n", [&["2: 9"], &[], &["1 2"]]);
        let uuid = |n: u32| format!("0123abcd-4567-89ef-0123-{n:012x}");
        let (a, b, x) = (uuid(10), uuid(11), uuid(12));
        for of in [AccountType::Uuid, AccountType::Text] {
            let body = format!(
                "{x},{}\n",
                if of == AccountType::Uuid { a.to_uppercase() } else { a.clone() }
            );
            let expected = (format!("{b}: {x}"), format!("{a} {b}"));
            check(of, &[(&a, &b)], &body, [&[&expected.0], &[], &[&expected.1]]);
        }
    }

    #[test]
    fn what_was_followed_is_read_as_it_was_written() {
        let of = AccountType::Text;
        let all = [followed(of, "a,\"b\"\nc", " d "), followed(of, "é", "f")];
        let mut written = Vec::new();
        Followed::write(&all, &mut written).unwrap();
        assert_eq!(Followed::read(&written[..], of), Ok(all.to_vec()));
        assert!(Followed::read(&written[..], AccountType::Int).is_err());
        assert!(Followed::read(&b"account,now\na\n"[..], of).is_err());
    }
}
