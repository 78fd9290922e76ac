//! Every account has one number, and those that are alike are known.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::pairs::{Accepted, Format, read};

/// What is read is found again by its cell, and by no other type's.
#[test]
fn accounts_are_found_by_their_cells() {
    let uuid = "0123abcd-4567-19ef-8123-456789abcdef";
    let upper = uuid.to_uppercase();
    for (of, id, other) in [
        (AccountType::Text, uuid, upper.as_str()),
        (AccountType::Text, &*upper, uuid),
        (AccountType::Ascii, "a", "A"),
        (AccountType::Uuid, &*upper, "0123abcd-4567-19ef-8123-456789abcdee"),
        (AccountType::TimeUuid, uuid, "0123abcd-4567-19ef-8123-456789abcdee"),
        (AccountType::Int, "007", "70"),
        (AccountType::BigInt, "-1", "1"),
        (AccountType::Varint, "170141183460469231731687303715884105728", "-1"),
    ] {
        let value = Value::parse(of, id).unwrap();
        let bytes = match &value {
            Value::Number(number) => number.clone(),
            _ => id.as_bytes().to_vec(),
        };
        let (held, hash) = match value {
            Value::Uuid(uuid) => (Id::Uuid(uuid), hash_uuid(uuid)),
            _ => (Id::Bytes { start: 0, len: bytes.len() as u32 }, hash_cell(of, &bytes)),
        };
        let mut interners = Interner::all(of);
        let number = interners[shard_of(hash)].number(held, hash, &bytes).unwrap();
        let accounts = Interner::finish(interners);
        let account = AccountId::parse(of, id).unwrap();
        assert_eq!(accounts.id(number), account);
        let wanted = accounts.wanted(account.cell());
        assert!(wanted.hash == accounts.hash(number) && accounts.is(number, &wanted), "{id}");
        for other in [AccountId::parse(of, other).unwrap(), AccountId::new("x")] {
            assert!(!accounts.is(number, &accounts.wanted(other.cell())), "{other}");
        }
    }
}

#[test]
fn an_account_has_one_number() {
    let mut interners = Interner::all(AccountType::Text);
    let text = b"abcabcxyz";
    let ids = [
        Id::Bytes { start: 0, len: 3 },
        Id::Bytes { start: 3, len: 3 },
        Id::Bytes { start: 6, len: 3 },
        Id::Uuid([7; 16]),
        Id::Uuid([7; 16]),
    ];
    let numbers: Vec<u32> = ids
        .into_iter()
        .map(|id| {
            let hash = match id {
                Id::Uuid(uuid) => hash_uuid(uuid),
                Id::Bytes { start, len } => {
                    hash_cell(AccountType::Text, &text[start as usize..][..len as usize])
                }
            };
            interners[shard_of(hash)].number(id, hash, text).unwrap()
        })
        .collect();
    let accounts = Interner::finish(interners);
    let names: Vec<String> = numbers.iter().map(|&n| accounts.id(n).to_string()).collect();
    let uuid = "07070707-0707-0707-0707-070707070707";
    assert_eq!(names, ["abc", "abc", "xyz", uuid, uuid]);
    assert_eq!(numbers[0], numbers[1]);
    assert_eq!(numbers[3], numbers[4]);
    assert_eq!(accounts.len(), 3);
    assert!(numbers.iter().all(|&number| (number as usize) < accounts.bound()));
}

/// The ids that are alike, as they met and by comparing each with each.
fn both(ids: &[String]) -> (Vec<String>, Vec<String>) {
    let csv = ids.iter().fold("from,to\n".to_owned(), |csv, id| csv + id + ",zz\n");
    let format = Format { accept: Accepted::all(), ..Format::default() };
    let list = read(csv.as_bytes(), &format).unwrap();
    let found = list.accounts().alike();
    let mut all = BTreeMap::new();
    for edge in &list.edges {
        all.insert(list.accounts.id(edge.from).to_string(), edge.from);
        all.insert(list.accounts.id(edge.to).to_string(), edge.to);
    }
    let is_found =
        |account: &u32| found.as_ref().is_some_and(|found| found.contains(*account as usize));
    let found = all.iter().filter(|(_, account)| is_found(account));
    let found = found.map(|(id, _)| id.clone()).collect();
    let form = |id: &String| id.to_lowercase().replace("e\u{301}", "\u{e9}");
    let same = |id: &String| all.keys().filter(|o| form(o) == form(id)).count();
    (found, all.keys().filter(|id| same(id) > 1).cloned().collect())
}

#[test]
fn uuids_and_letters_of_other_languages_have_cases_as_well() {
    let uuid = "0123abcd-4567-49ef-8123-456789abcdef".to_owned();
    let ids = [
        uuid.to_uppercase(),
        uuid,
        "\u{c9}VA".into(),
        "\u{e9}va".into(),
        "b".into(),
        "Zoe\u{301}".into(),
        "Zo\u{e9}".into(),
        "zoe".into(),
    ];
    let (found, expected) = both(&ids);
    assert_eq!(found, expected);
    assert_eq!(found.len(), 6);
    assert_eq!(both(&["a".into(), "b".into()]).0, [""; 0]);
    assert_eq!(both(&["A".into(), "b".into()]).0, [""; 0]);
}

#[test]
fn many_are_found() {
    let ids: Vec<String> =
        (0..100).flat_map(|n| [format!("User{n}"), format!("uSER{}", n * 2)]).collect();
    let (found, expected) = both(&ids);
    assert_eq!(found, expected);
    assert_eq!(found.len(), 100);
}

proptest! {
    #[test]
    fn those_that_meet_are_all_that_are_alike(
        ids in prop::collection::vec("[abeEAB\u{e9}\u{c9}\u{301}]{1,4}", 1..40),
    ) {
        let (found, expected) = both(&ids);
        prop_assert_eq!(found, expected);
    }
}
