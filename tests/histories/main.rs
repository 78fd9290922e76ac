//! Histories of runs over the same accounts: applied, killed at any request, stopped and gone on with, written late,
//! resumed, swept and taken back, while an application writes and deletes. They drive the pipeline itself over a store
//! that keeps Cassandra's cells, tombstones and write times; what must stand is said by an [`oracle`] that knows nothing of
//! how it works.
//!
//! `TRIBUTARY_HISTORIES` says how many are drawn.

#![allow(unreachable_pub)]

mod cases;
mod client;
mod history;
mod notebook;
mod oracle;
mod process;
mod registrar;
mod rules;
mod runs;
mod tables;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// How many histories are drawn unless it is said otherwise.
const DRAWN: u32 = 300;

#[test]
fn every_history_ends_well() {
    all_end_well(|setting| setting);
}

/// What is added up counts once, or is listed. Runs have to know each other for that.
#[test]
fn every_history_ends_well_in_which_is_counted() {
    all_end_well(|setting| history::Setting { is_counted: true, is_registered: true, ..setting });
}

fn all_end_well(as_played: fn(history::Setting) -> history::Setting) {
    let drawn = std::env::var("TRIBUTARY_HISTORIES").ok().and_then(|drawn| drawn.parse().ok());
    let config =
        Config { cases: drawn.unwrap_or(DRAWN), failure_persistence: None, ..Config::default() };
    // The ordinary suite draws the same ones each time.
    let mut runner = match drawn {
        Some(_) => TestRunner::new(config),
        None => TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha)),
    };
    let played = runner.run(&history::history(), |(setting, steps)| {
        let wrong = history::play(as_played(setting), &steps, None);
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(TestCaseError::fail(wrong.join("\n"))),
        }
    });
    match played {
        Ok(()) => {}
        Err(TestError::Fail(why, (setting, steps))) => {
            let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
            panic!("{setting:?}\n{}\n{why}", steps.join("\n"));
        }
        Err(aborted) => panic!("{aborted}"),
    }
}
