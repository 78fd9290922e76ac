//! Runs of which the register needs no more than who became whom, and the order in which their rows go.
//!
//! A run is ended by its own rows in `runs` and `windows`; an account of a run that has neither any more counts as merged,
//! for only runs that had ended are pruned. So a run is forgotten before its windows are: at every step between, and
//! after a crash at any of them, each account stands as it did.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use crate::model::TimestampUs;
use crate::storage::StorageError;

use super::{Run, RunState};

/// What rows can be taken from, by whoever holds the lease.
pub(crate) trait Prunable: Sync {
    fn known_runs(&self) -> BoxFuture<'_, Result<Vec<Run>, StorageError>>;

    /// The ids of all runs that have windows, known or not.
    fn windowed_runs(&self) -> BoxFuture<'_, Result<BTreeSet<String>, StorageError>>;

    /// Takes away what some runs did to accounts, as if it had never been.
    fn erase_entries<'a>(
        &'a self,
        runs: &'a BTreeSet<String>,
    ) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Forgets a run.
    fn erase_run<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Takes the windows of a run away.
    fn erase_windows<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>>;
}

/// What came of pruning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pruned {
    /// The runs that are gone, the first that began first.
    pub(crate) gone: Vec<String>,
    /// Runs that are as old and have ended, each with an earlier one for which it stays.
    pub(crate) kept: Vec<(String, String)>,
}

/// Prunes the runs whose last command ended before a moment.
///
/// # Errors
/// The register cannot be read or written, or the lease is lost; what is not pruned yet is by the next call.
pub(crate) async fn prune(
    register: &impl Prunable,
    before: TimestampUs,
) -> Result<Pruned, StorageError> {
    let runs = register.known_runs().await?;
    let (gone, kept) = choose(&runs, before);
    let moved_nobody = |run: &&&Run| matches!(run.state, RunState::Undone | RunState::Closed);
    let without_trace: BTreeSet<String> =
        gone.iter().filter(moved_nobody).map(|run| run.id.clone()).collect();
    if !without_trace.is_empty() {
        register.erase_entries(&without_trace).await?;
    }
    for run in &gone {
        register.erase_run(&run.id).await?;
    }
    // Also those of runs that were forgotten when this was stopped.
    let left: BTreeSet<&str> = runs.iter().map(|run| &*run.id).collect();
    let left: BTreeSet<&str> = &left - &gone.iter().map(|run| &*run.id).collect();
    for run in register.windowed_runs().await?.iter().filter(|run| !left.contains(&***run)) {
        register.erase_windows(run).await?;
    }
    let kept = kept.into_iter().map(|(run, by)| (run.id.clone(), by.id.clone())).collect();
    Ok(Pruned { gone: gone.into_iter().map(|run| run.id.clone()).collect(), kept })
}

/// The runs that may go, and those that would but for an earlier one that stays: that could not be undone any more if a
/// later one over the same tables could not be undone first.
fn choose(runs: &[Run], before: TimestampUs) -> (Vec<&Run>, Vec<(&Run, &Run)>) {
    let is_old = |run: &&Run| {
        let has_ended = matches!(run.state, RunState::Done | RunState::Undone | RunState::Closed);
        has_ended && run.ended.is_some_and(|ended| ended < before)
    };
    let (mut gone, staying): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(is_old);
    let can_be_undone =
        |run: &&Run| !matches!(run.state, RunState::Undone | RunState::Closed | RunState::Lost);
    let mut staying: Vec<&Run> = staying.into_iter().filter(can_be_undone).collect();
    let mut kept = Vec::new();
    // Whoever stays keeps others.
    while let Some(by) = staying.pop() {
        let (needed, rest) = gone.into_iter().partition(|run| is_needed_for(run, by));
        gone = rest;
        let needed: Vec<&Run> = needed;
        staying.extend(needed.iter().copied().filter(can_be_undone));
        kept.extend(needed.into_iter().map(|run| (run, by)));
    }
    kept.sort_by_key(|(run, _)| &run.id);
    (gone, kept)
}

/// Whether something that a run did may have to be undone before another one can be.
fn is_needed_for(run: &Run, other: &Run) -> bool {
    let shares_tables =
        run.tables.is_empty() || other.tables.is_empty() || !run.tables.is_disjoint(&other.tables);
    run.state != RunState::Closed
        && shares_tables
        && run.ended.is_none_or(|ended| other.began <= ended)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use futures::FutureExt;
    use futures::executor::block_on;
    use futures::future::ready;

    use super::*;
    use crate::model::{AccountId, Group, Pair};
    use crate::register::memory::{MemoryRegister, Shared};
    use crate::register::{Claim, LEASE_US, Lineage, Register, Step, WindowEnd};
    use crate::storage::Fault;

    const DAY: TimestampUs = 86_400_000_000;

    fn run(id: &str, days: [TimestampUs; 2], state: RunState) -> Run {
        let [began, ended] = days.map(|day| day * DAY);
        let (id, tables) = (id.to_owned(), ["t".to_owned()].into());
        Run { id, began, ended: Some(ended), state, tables, ..Run::default() }
    }

    /// The runs that go, and the others with those for which they stay.
    #[track_caller]
    fn chooses(runs: &[Run], gone: &[&str], kept: &[(&str, &str)]) {
        let (going, staying) = choose(runs, 90 * DAY);
        assert_eq!(going.iter().map(|run| &*run.id).collect::<Vec<_>>(), gone);
        let staying: Vec<_> = staying.iter().map(|(run, by)| (&*run.id, &*by.id)).collect();
        assert_eq!(staying, kept);
    }

    #[test]
    fn runs_go_that_have_ended_and_before_which_nothing_stays() {
        use RunState::{Closed, Done, Lost, Partial, Running, Undone};
        let new = run("r9", [91, 91], Done);
        chooses(
            &[run("r1", [1, 2], Done), run("r2", [3, 4], Undone), new.clone()],
            &["r1", "r2"],
            &[],
        );
        // What has not ended stays, and with it what came after; what came before goes.
        for state in [Partial, Running] {
            let runs = [
                run("r1", [1, 2], Done),
                run("r2", [3, 4], state),
                run("r3", [5, 6], Done),
                new.clone(),
            ];
            chooses(&runs, &["r1"], &[("r3", "r2")]);
        }
        // Its last command ended lately: what ran meanwhile comes first if it is undone, and so on.
        let runs = [
            run("r1", [1, 2], Done),
            run("r2", [3, 95], Done),
            run("r3", [5, 6], Done),
            run("r4", [6, 7], Undone),
        ];
        chooses(&runs, &["r1"], &[("r3", "r2"), ("r4", "r2")]);
        // Nobody undoes what is lost, undone or closed already.
        for state in [Lost, Undone, Closed] {
            chooses(&[run("r1", [1, 99], state), run("r2", [5, 6], Done)], &["r2"], &[]);
        }
        chooses(&[run("r1", [1, 2], Lost)], &[], &[]);
        chooses(&[run("r1", [1, 99], Partial), run("r2", [5, 6], Closed)], &["r2"], &[]);
        let others = Run { tables: ["u".to_owned()].into(), ..run("r2", [5, 6], Done) };
        chooses(&[run("r1", [1, 99], Partial), others], &["r2"], &[]);
    }

    fn group(source: &str, survivor: &str) -> Group {
        let [from, into] = [source, survivor].map(AccountId::new);
        Group { index: 0, survivor: into.clone(), pairs: vec![Pair { from, into, line: 2 }] }
    }

    /// A register in which runs did these steps, a day each.
    fn past(steps: &[(&str, &str, &str, Step, RunState)]) -> Arc<Mutex<Shared>> {
        let shared: Arc<Mutex<Shared>> = Arc::default();
        for (day, (id, source, survivor, step, state)) in (1..).zip(steps) {
            let t = day * DAY;
            let known = run(id, [day, day], *state);
            let register = MemoryRegister::take(&shared, known.clone(), t).unwrap();
            let group = group(source, survivor);
            let entries: Vec<_> = Claim::of_group(id, &group, t, *step).collect();
            block_on(register.begin(t, &entries)).unwrap();
            block_on(register.end(&[WindowEnd { t, open: BTreeSet::new() }])).unwrap();
            register.know(known);
            register.release();
        }
        shared
    }

    fn asks(shared: &Arc<Mutex<Shared>>) -> MemoryRegister {
        MemoryRegister::take(shared, run("asks", [99, 99], RunState::Done), 99 * DAY + LEASE_US)
            .unwrap()
    }

    /// What is said of each pair of accounts, and who each of them is now.
    fn answers(shared: &Arc<Mutex<Shared>>) -> Vec<String> {
        let accounts = ["a", "b", "c", "d", "e", "f"];
        let register = asks(shared);
        register.release();
        let names = accounts.map(str::to_owned);
        let tables = ["t".to_owned()].into();
        let lineage = block_on(Lineage::of(&register, names, &tables, None)).unwrap();
        let mut answers: Vec<String> = accounts
            .iter()
            .map(|account| format!("{account} is {}", lineage.root(account).0))
            .collect();
        for (from, to) in accounts.iter().flat_map(|from| accounts.map(|to| (*from, to))) {
            if from != to {
                let group = group(from, to);
                let (verdicts, later) = (lineage.verdicts(&group), lineage.later(&group, 0));
                answers.push(format!("{from} into {to}: {verdicts:?}, undone after {later:?}"));
            }
        }
        answers
    }

    /// A register that can be written so often.
    struct Stopped(MemoryRegister, AtomicUsize);

    impl Stopped {
        fn step<'a>(
            &'a self,
            then: BoxFuture<'a, Result<(), StorageError>>,
        ) -> BoxFuture<'a, Result<(), StorageError>> {
            let left =
                self.1.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            let stopped = || StorageError {
                class: String::new(),
                message: String::new(),
                kind: Fault::Fatal,
            };
            if left.is_ok() { then } else { ready(Err(stopped())).boxed() }
        }
    }

    impl Prunable for Stopped {
        fn known_runs(&self) -> BoxFuture<'_, Result<Vec<Run>, StorageError>> {
            self.0.known_runs()
        }
        fn windowed_runs(&self) -> BoxFuture<'_, Result<BTreeSet<String>, StorageError>> {
            self.0.windowed_runs()
        }
        fn erase_entries<'a>(
            &'a self,
            runs: &'a BTreeSet<String>,
        ) -> BoxFuture<'a, Result<(), StorageError>> {
            self.step(self.0.erase_entries(runs))
        }
        fn erase_run<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
            self.step(self.0.erase_run(run))
        }
        fn erase_windows<'a>(&'a self, run: &'a str) -> BoxFuture<'a, Result<(), StorageError>> {
            self.step(self.0.erase_windows(run))
        }
    }

    /// Whether it was stopped after any step, or came to its end: every answer is what it was.
    #[test]
    fn who_became_whom_stays_wherever_pruning_was_stopped() {
        use RunState::{Closed, Done, Partial, Undone};
        let steps = [
            ("r1", "a", "b", Step::Merge, Done),
            ("r1", "a", "b", Step::After, Done),
            ("r2", "b", "c", Step::Merge, Done),
            ("r3", "d", "e", Step::Merge, Undone),
            ("r3", "d", "e", Step::Undo, Undone),
            ("r4", "e", "d", Step::Merge, Closed),
            ("r5", "c", "f", Step::Merge, Done),
            // Some pairs of a run that has ended otherwise.
            ("r6", "f", "d", Step::Merge, Done),
            ("r6", "f", "d", Step::Undo, Done),
            ("r7", "d", "a", Step::Merge, Partial),
        ];
        let before = answers(&past(&steps));
        assert!(before.contains(&"a is f".to_owned()) && before.contains(&"e is e".to_owned()));
        let mut stopped = 0;
        for most in 0.. {
            let shared = past(&steps);
            let holder = Stopped(asks(&shared), AtomicUsize::new(most));
            let pruned = block_on(prune(&holder, 90 * DAY));
            holder.0.release();
            assert_eq!(answers(&shared), before, "stopped after {most} steps");
            if pruned.is_err() {
                stopped += 1;
                let again = asks(&shared);
                block_on(prune(&again, 90 * DAY)).unwrap();
                again.release();
                assert_eq!(answers(&shared), before, "stopped after {most} steps, and again");
            }
            let left = asks(&shared);
            let windows = block_on(left.windowed_runs()).unwrap();
            assert_eq!(windows, ["r7".to_owned()].into());
            if let Ok(pruned) = pruned {
                assert_eq!(pruned.gone, ["r1", "r2", "r3", "r4", "r5", "r6"]);
                break;
            }
        }
        assert!(stopped > 10, "{stopped}");
    }
}
