//! `forget`: erases what the register and the directories of runs say of an account, where the law asks for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::identity;
use super::lookup::check_account;
use super::recorded::format_of;
use super::register::{end_of, state_of, whereabouts};
use super::trace::spellings;
use super::{Exit, Failure, Lease, Terminal};
use crate::advice::Advice;
use crate::cluster::{Cluster, ClusterRegister, ClusterSettings};
use crate::journal::{Journal, SqliteJournal};
use crate::model::AccountId;
use crate::moment::Moment;
use crate::pairs::{self, Format};
use crate::register::{Archive, Lineage, RunState, Standing};
use crate::report::{ErasedRun, Forgotten, Rendered, StillNamed};
use crate::run::{RunDir, RunId, copy_of_pairs, files, names};

/// That an account of a run was forgotten, as its journal says it.
pub(super) const ERASED: &str = "erased";

/// A run that may name the account.
struct Opened {
    run_dir: RunDir,
    run: String,
    /// The groups of its journal that the account is in.
    groups: Vec<usize>,
    /// Its copy of the pairs, and how that is read.
    pairs: (PathBuf, Format),
}

/// Forgets an account.
pub(super) async fn run(
    account: &str,
    runs: &[PathBuf],
    settings: &ClusterSettings,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    check_account(account)?;
    let spellings = spellings(account);
    let opened = runs.iter().map(|run| open(run, settings, &spellings));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    let mut forgotten = Forgotten::new(&settings.keyspace);
    if let Some(name) = &settings.register {
        let cluster = Cluster::connect(settings.clone()).await?;
        let (lease, own) = (Lease::default(), format!("forget-{}", RunId::new(Moment::now())));
        let register = lease.take(&cluster, name, (&own, None, None)).await?;
        let erased = erase_in(&register, &spellings, &opened, &mut forgotten).await;
        lease.release().await;
        erased?;
    }
    for Opened { run_dir, run, groups, pairs } in opened {
        let journal = run_dir.file(files::JOURNAL);
        // First of all, so that nobody takes what is left for the whole run.
        SqliteJournal::open(&journal)?.set_meta(ERASED, "yes")?;
        SqliteJournal::erase(&journal, &groups)?;
        let mut erased = run_dir.erase(&spellings)?;
        erased.lines += erase_pairs(&run_dir, &pairs, &spellings)?;
        forgotten.erased_in.push(ErasedRun {
            run,
            run_dir: run_dir.path().to_path_buf(),
            groups: groups.len() as u64,
            lines: erased.lines,
            reports: erased.reports,
        });
    }
    let report = Rendered::of(&forgotten).map_err(Failure::failed)?;
    terminal.report(&report, json)?;
    Ok(Exit::Done)
}

/// Takes up a run that is over.
fn open(path: &Path, settings: &ClusterSettings, spellings: &[String]) -> Result<Opened, Failure> {
    let (run_dir, record) = RunDir::open(path)?;
    if record.settings["keyspace"] != *settings.keyspace {
        return Err(Failure::unusable(anyhow!(
            "{} is a run of keyspace {}, not of {}. Nothing was erased",
            path.display(),
            record.settings["keyspace"],
            settings.keyspace
        )));
    }
    let journal = SqliteJournal::open_read_only(&run_dir.file(files::JOURNAL))?;
    let state = state_of(&journal, &journal.states()?, identity::groups(&journal)?)?;
    if !matches!(state, RunState::Done | RunState::Undone) {
        return Err(Failure::failed(anyhow!(
            "run {} is not over, and could not be ended without what is to be erased: end it first. Nothing was erased. {}",
            record.id,
            Advice::resume(path)
        )));
    }
    let mut groups = BTreeSet::new();
    let accounts = spellings.iter().filter_map(|id| AccountId::parse(journal.accounts(), id));
    for account in accounts {
        groups.extend(journal.groups_of(&account)?.into_iter().map(|group| group.group));
    }
    let (copy, format) = (copy_of_pairs(path)?, format_of(path, &record)?);
    let groups = groups.into_iter().collect();
    Ok(Opened { run_dir, run: record.id.to_string(), groups, pairs: (copy, format) })
}

/// Takes the account out of the copy of the pairs; so many records named it.
fn erase_pairs(
    run_dir: &RunDir,
    (copy, format): &(PathBuf, Format),
    spellings: &[String],
) -> Result<u64, Failure> {
    let kept = pairs::without(copy, format, |text| names(text, spellings));
    let (kept, records) =
        kept.map_err(|error| Failure::failed(anyhow!(error).context(copy.display().to_string())))?;
    if records > 0 {
        run_dir.replace(&copy.file_name().unwrap_or_default().to_string_lossy(), &kept)?;
    }
    Ok(records)
}

/// Erases what the register says of the account, and notes which runs still do.
async fn erase_in(
    register: &ClusterRegister,
    spellings: &[String],
    opened: &[Opened],
    forgotten: &mut Forgotten,
) -> Result<(), Failure> {
    let reader = register.reader();
    let lineage = Lineage::of(reader, spellings.to_vec(), &BTreeSet::new(), None).await;
    let lineage = lineage.map_err(Failure::failed)?;
    let mut stays = spellings.iter().flat_map(|account| lineage.stays(account));
    if let Some(busy) = stays.find(|stay| stay.standing == Standing::Busy) {
        let end = lineage.run(busy.run).and_then(end_of);
        let end = end.map(|end| format!(": {end}")).unwrap_or_default();
        return Err(Failure::failed(anyhow!(
            "run {} has not ended with the account, and needs what is to be erased. Nothing was erased; end that first{end}",
            busy.run
        )));
    }
    let eraser = register.eraser().await?;
    let (rows, runs) = eraser.erase_account(spellings).await.map_err(Failure::failed)?;
    forgotten.register_rows = Some(rows);
    for run in runs.iter().filter(|run| !opened.iter().any(|opened| opened.run == **run)) {
        let known = reader.known_run(run).await.map_err(Failure::failed)?;
        let (host, run_dir) = whereabouts(known.as_ref());
        forgotten.still_in.push(StillNamed { run: run.clone(), host, run_dir });
    }
    Ok(())
}
