//! The rules of before, each of which loses something: the test that says so of none of them would be worth nothing.
//!
//! They are put back at the seams (what a process hears of the cluster, of its journal and of the register, and what these
//! hear of it), so that the product has no switch for them. Neither the histories nor the oracle know of them.

use std::panic::AssertUnwindSafe;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use strum::VariantArray;

use super::history::{self, Setting, Step};

/// A rule of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::VariantArray)]
pub enum Rule {
    /// The lease is taken, and never looked at again.
    NoLease,
    /// It is not looked at before the deletes of partitions.
    NoSecondLook,
    /// Accounts are in the register when their copies are written, not before.
    RegisteredLate,
    /// Nobody asks the register before a run is begun, or gone on with.
    Unasked,
    /// Nobody asks it before an undo.
    UndoneInAnyOrder,
    /// An intent is finished although the register never had it.
    UnwrittenIsFinished,
    /// An intent may be lost with its process although it was written.
    NotDurable,
    /// Whoever resumes a group dates it anew.
    FreshT,
    /// The deletes of partitions are dated when they are sent, where a run is resumed.
    DeletedAsOfNow,
    /// One delete for groups of several times.
    JoinedDeletes,
    /// A copy and the delete of its source's row are one batch, however much time has passed.
    OneBatch,
    /// What was written is taken to stand.
    NoReadBack,
    /// What is left on a source is not written again.
    NoPins,
    /// What is given up is not voided.
    NoVoids,
    /// Computed cells are not looked at once more.
    ComputedOnce,
    /// A late cell is placed over whatever is there.
    LateByValue,
}

/// How many histories are enough to find a rule of before.
const ENOUGH: usize = 5_000;
/// And how many show one in one of the seeds at least.
const FEW: usize = 200;

const SEEDS: std::ops::RangeInclusive<u8> = 1..=10;

/// The first of so many histories of a seed of which the oracle says that it is wrong, with the rule of before if there is
/// one; and that history, as short as it can be told if that is wanted.
fn found_after(
    rule: Option<Rule>,
    (seed, histories): (u8, usize),
    is_shortened: bool,
) -> Option<(usize, String)> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let drawn = history::history();
    (1..=histories).find_map(|number| {
        let mut tree = drawn.new_tree(&mut runner).unwrap();
        wrong(&tree.current(), rule)?;
        if is_shortened {
            while tree.simplify() {
                while wrong(&tree.current(), rule).is_none() && tree.complicate() {}
            }
        }
        let history = tree.current();
        let why = wrong(&history, rule)?.join("\n");
        let steps: Vec<String> = history.1.iter().map(|step| format!("{step:?}")).collect();
        Some((number, format!("{:?}\n{}\n{why}", history.0, steps.join("\n"))))
    })
}

/// What the oracle says of a history that is wrong. Only that counts.
fn wrong((setting, steps): &(Setting, Vec<Step>), rule: Option<Rule>) -> Option<Vec<String>> {
    let play = AssertUnwindSafe(|| history::play(*setting, steps, rule));
    std::panic::catch_unwind(play).ok().filter(|wrong| !wrong.is_empty())
}

/// Those that few histories show.
const SOON: [Rule; 4] = [Rule::NoLease, Rule::RegisteredLate, Rule::Unasked, Rule::FreshT];

#[test]
fn some_are_found_soon() {
    for rule in SOON {
        let is_found =
            SEEDS.clone().any(|seed| found_after(Some(rule), (seed, FEW), false).is_some());
        assert!(is_found, "{rule:?}");
    }
}

/// `TRIBUTARY_RULE` is one of them alone, or `None`; `TRIBUTARY_HISTORIES` says how many are enough, `TRIBUTARY_SEED` is
/// one seed alone, of which what shows a rule of before is told, too: else that is no news.
#[test]
#[ignore = "minutes; with --full"]
#[expect(clippy::print_stdout, reason = "how long each took is what is asked for")]
fn each_is_found_in_nine_of_ten_seeds() {
    let only = std::env::var("TRIBUTARY_RULE").ok();
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<usize>().ok());
    let enough = number("TRIBUTARY_HISTORIES").unwrap_or(ENOUGH);
    let alone = number("TRIBUTARY_SEED").and_then(|seed| u8::try_from(seed).ok());
    let seeds = alone.map_or(SEEDS, |seed| seed..=seed);
    let mut missed = Vec::new();
    for rule in Rule::VARIANTS.iter().copied().map(Some).chain([None]) {
        let name = rule.map_or("None".to_owned(), |rule| format!("{rule:?}"));
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let (mut otherwise, allowed) = (0, usize::from(rule.is_some()));
        for seed in seeds.clone() {
            let is_told = rule.is_none() || alone.is_some();
            let found = found_after(rule, (seed, enough), is_told);
            otherwise += usize::from(found.is_some() != rule.is_some());
            println!("{name}, seed {seed}: {:?}", found.as_ref().map(|(number, _)| number));
            if let (true, Some((_, history))) = (is_told, found) {
                println!("{history}");
            }
            if otherwise > allowed {
                missed.push(name);
                break;
            }
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}
