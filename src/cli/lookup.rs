//! `lookup`: where did this account go, in which run. It only reads, and no cluster is needed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::identity;
use super::recorded::{format_of, part_of};
use super::replan::replan;
use super::{Exit, Failure, Terminal};
use crate::journal::{Journal, SqliteJournal};
use crate::model::{AccountId, Group};
use crate::report::{AccountGroup, KnownGroup, Lookup, Rendered, Unreadable};
use crate::run::{RUNS, RunDir, RunError, RunRecord, copy_of_pairs, files};

/// Runs `lookup`.
pub(super) fn run(
    account: &str,
    path: Option<&Path>,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    check_account(account)?;
    let root = path.unwrap_or(Path::new(RUNS));
    let mut lookup = Lookup::new(account);
    for path in runs(root)? {
        match look_into(&path, account) {
            Ok(found) => found.into_iter().for_each(|found| lookup.add(found)),
            Err(Failure { error, .. }) => {
                let why = format!("{error:#}");
                terminal.complain(&format!("{} is left out: {why}", path.display()));
                lookup.unreadable.push(Unreadable { run_dir: path, why });
            }
        }
        lookup.runs += 1;
    }
    let report = Rendered::of(&lookup).map_err(Failure::failed)?;
    let text = match json {
        true => report.json,
        false if lookup.found.is_empty() => String::new(),
        false => report.text,
    };
    let printed = terminal.print(&text).context("cannot write to standard output");
    printed.map_err(Failure::failed)?;
    if lookup.found.is_empty() {
        return Err(Failure::failed(anyhow!(
            "'{}' is in none of the runs in {} ({} looked into)",
            account.escape_debug(),
            root.display(),
            lookup.runs
        )));
    }
    Ok(if lookup.unreadable.is_empty() { Exit::Done } else { Exit::Failed })
}

/// Refuses what nobody can be called.
pub(super) fn check_account(account: &str) -> Result<(), Failure> {
    match account {
        "" => Err(Failure::unusable(anyhow!("ACCOUNT: '' is not an account"))),
        _ => Ok(()),
    }
}

/// The runs below a path, oldest first: the one that it is, or those in it. Runs that only planned say
/// nothing of where an account went.
fn runs(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    if root.join(files::RUN).exists() {
        let record = RunDir::record(root)?;
        if record.is_plan() {
            return Err(record.only_planned(root).into());
        }
        return Ok(vec![root.to_path_buf()]);
    }
    let entries = fs::read_dir(root).map_err(|error| {
        Failure::failed(anyhow!(
            "cannot look for runs in {}: {error}; name a run directory or a folder of them",
            root.display()
        ))
    })?;
    let mut runs: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join(files::RUN).exists())
        .filter(|path| !RunDir::record(path).is_ok_and(|record| record.is_plan()))
        .collect();
    runs.sort();
    if runs.is_empty() {
        return Err(RunError::NotARun {
            path: root.to_path_buf(),
            what: "it has no run.json, and no run that was applied is in it",
        }
        .into());
    }
    Ok(runs)
}

/// What one run knows of the account: from its journal, or else, if not all groups have been begun,
/// from its pairs. An id may be spelt in any way of the run's type; what is none of that type is not in the run.
fn look_into(run: &Path, id: &str) -> Result<Option<AccountGroup>, Failure> {
    let record = RunDir::record(run)?;
    let journal = SqliteJournal::open_read_only(&run.join(files::JOURNAL))?;
    let Some(account) = AccountId::parse(journal.accounts(), id) else { return Ok(None) };
    // No account is in two groups.
    if let Some(group) = journal.groups_of(&account)?.first() {
        let known = KnownGroup {
            group: group.group,
            survivor: &group.survivor,
            pairs: &group.pairs,
            t: group.t,
            state: Some(group.state),
            reason: group.reason.as_deref(),
            changed_at_ms: Some(group.changed_at_ms),
        };
        return Ok(Some(AccountGroup::new(&account, record.id, run, &known)));
    }
    let known = journal.states()?.len();
    let groups = journal.meta(identity::GROUPS)?;
    match groups.is_some_and(|groups| groups == known.to_string()) {
        true => Ok(None),
        false => look_into_plan(run, &record, &account),
    }
}

fn look_into_plan(
    run: &Path,
    record: &RunRecord,
    account: &AccountId,
) -> Result<Option<AccountGroup>, Failure> {
    let group = planned(run, record, account)?;
    Ok(group.map(|group| AccountGroup::new(account, record.id.clone(), run, &of_plan(&group))))
}

/// The group of the plan that an account is part of, from the run's copy of its pairs.
pub(super) fn planned(
    run: &Path,
    record: &RunRecord,
    account: &AccountId,
) -> Result<Option<Group>, Failure> {
    let part = part_of(run, record)?.map(|of| of.part);
    let plan = replan(run, &copy_of_pairs(run)?, &format_of(run, record)?, part)?;
    Ok(plan.groups().find(|group| of_plan(group).holds(account)))
}

/// A group of which nothing but its pairs is known.
fn of_plan(group: &Group) -> KnownGroup<'_> {
    KnownGroup {
        group: group.index,
        survivor: &group.survivor,
        pairs: &group.pairs,
        t: None,
        state: None,
        reason: None,
        changed_at_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;
    use crate::journal::{Note, State};
    use crate::model::{AccountType, Pair};
    use crate::moment::Moment;
    use crate::run::{InputRecord, RunId};

    /// A run of two pairs, of which the journal knows the first.
    fn run(of: AccountType, ids: [&str; 4], folder: &Path) -> PathBuf {
        let path = folder.join(of.to_string());
        fs::create_dir(&path).unwrap();
        let [from, into, later, last] = ids;
        let csv = format!("from,to\n\"{from}\",\"{into}\"\n\"{later}\",\"{last}\"\n");
        fs::write(path.join(files::PAIRS), csv).unwrap();
        let settings = serde_json::json!({
            "from_column": "from", "to_column": "to", "delimiter": ",", "trim": false,
            "account_type": of.to_string(),
        });
        let input = InputRecord { path: "-".into(), file: None, sha256: "ab".into(), bytes: 8 };
        let id = RunId::from_text(of.to_string());
        let record = RunRecord::new(id, "apply", Moment::now(), input, settings);
        fs::write(path.join(files::RUN), serde_json::to_vec(&record).unwrap()).unwrap();
        SqliteJournal::create(&path.join(files::JOURNAL), of).unwrap();
        let journal = SqliteJournal::open(&path.join(files::JOURNAL)).unwrap();
        let [from, into] = [from, into].map(|id| AccountId::parse(of, id).unwrap());
        let known_as = Some((into.clone(), vec![Pair { from, into, line: 2 }]));
        journal.note(Note { group: 0, state: State::Failed, reason: None, known_as }).unwrap();
        block_on(journal.flush()).unwrap();
        path
    }

    #[track_caller]
    fn check(run: &Path, id: &str, chain: &[&str], state: &str) {
        let found = look_into(run, id).unwrap().unwrap_or_else(|| panic!("{id} is in the run"));
        assert_eq!((&*found.chain.join(" "), &*found.state), (&*chain.join(" "), state));
    }

    #[test]
    fn any_spelling_of_the_run_s_type_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let uuid = |n: u32| format!("4aa7f1c0-0000-4000-8000-{n:012x}");
        let ids = [10, 11, 12, 13].map(uuid);
        let [from, into, later, last] = ids.each_ref().map(String::as_str);
        let uuids = run(AccountType::Uuid, [from, into, later, last], folder.path());
        for spelt in [from.to_owned(), from.to_uppercase(), format!("{{{from}}}")] {
            check(&uuids, &spelt, &[from, into], "failed");
        }
        check(&uuids, &into.replace('-', ""), &[into], "failed");
        check(&uuids, &later.to_uppercase(), &[later, last], "planned");
        let text = run(AccountType::Text, [from, into, later, last], folder.path());
        check(&text, from, &[from, into], "failed");
        assert_eq!(look_into(&text, &from.to_uppercase()).unwrap(), None);

        let numbers = run(AccountType::Int, ["007", "8", "0009", "-1"], folder.path());
        check(&numbers, "0007", &["7", "8"], "failed");
        check(&numbers, "9", &["9", "-1"], "planned");
        check(&numbers, "-01", &["-1"], "planned");
        for other in ["ann", "7.0", "70", from, ""] {
            assert_eq!(look_into(&numbers, other).unwrap(), None, "{other}");
        }
    }
}
