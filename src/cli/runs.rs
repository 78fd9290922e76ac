//! `runs`: what the register knows of the runs of a keyspace; and what only people know of them, told to it.

use std::path::PathBuf;

use anyhow::{Context, anyhow};

use super::register::end_of;
use super::{Exit, Failure, Terminal};
use crate::advice::Advice;
use crate::cluster::{Cluster, ClusterSettings};
use crate::model::{Part, now_us};
use crate::moment::Moment;
use crate::register::{Archive, Run, RunState};
use crate::report::{ListedRun, Rendered, Runs};

/// Lists the runs.
pub(super) async fn list(
    settings: &ClusterSettings,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let cluster = Cluster::connect(settings.clone()).await?;
    let name = register(settings)?;
    let Some(reader) = cluster.sole_register_reader(name).await? else {
        return Err(Failure::failed(anyhow!(
            "there is no register of runs in keyspace {name}: no run has begun yet that keeps one"
        )));
    };
    let at_work = reader.at_work().await.map_err(Failure::failed)?;
    let at_work = at_work.iter().map(|lease| format!("{} on {}", lease.run, lease.host)).collect();
    let runs = reader.runs().await.map_err(Failure::failed)?;
    let is_there = |table: &String| cluster.schema().tables.contains_key(table);
    let listed = runs.into_iter().map(|run| {
        let end = end_of(&run).and_then(|end| match run.tables.iter().all(is_there) {
            true => Some(end),
            false => close(settings, &run.id),
        });
        listed(run, end)
    });
    let runs = Runs::new(&settings.keyspace, at_work, listed.collect());
    let report = Rendered::of(&runs).map_err(Failure::failed)?;
    terminal.report(&report, json)?;
    Ok(Exit::Done)
}

/// Tells the register what became of a run that nobody can ask any more.
pub(super) async fn mark(
    settings: &ClusterSettings,
    run: &str,
    state: RunState,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let follows = match state {
        RunState::Lost => {
            "accounts that it left half merged are rejected as lost-run; what it finished stands, and what its sources \
             get late is nobody's to sweep"
        }
        _ => "nothing that it did counts any more: its accounts are as if it had never been",
    };
    let cluster = Cluster::connect(settings.clone()).await?;
    let register = cluster.register(register(settings)?, (run, None)).await?;
    let Some(known) = register.reader().known_run(run).await.map_err(Failure::failed)? else {
        let keyspace = &settings.keyspace;
        return Err(Failure::failed(anyhow!(
            "the register knows no run {run} of keyspace {keyspace}"
        )));
    };
    let at_work = register.reader().at_work().await.map_err(Failure::failed)?;
    if let Some(lease) = at_work.into_iter().find(|lease| lease.run == run) {
        let seconds = lease.seconds_left(now_us());
        return Err(Failure::failed(anyhow!(
            "{lease} is at work: stop it there. If its process is gone, its lease ends in {seconds} s"
        )));
    }
    register.set_state(run, state, &known.groups).await.map_err(Failure::failed)?;
    let printed = terminal.print(&format!("run {run} is {}: {follows}\n", state.name()));
    printed.context("cannot write to standard output").map_err(Failure::failed)?;
    Ok(Exit::Done)
}

/// The command that ends a run when nothing else can, because tables of it are gone; `None` where no register knows it.
pub(super) fn close(settings: &ClusterSettings, run: &str) -> Option<Advice> {
    Some(Advice::Close {
        run: run.to_owned(),
        hosts: settings.hosts.clone(),
        keyspace: settings.keyspace.clone(),
        register: settings.register.clone()?,
    })
}

pub(super) fn register(settings: &ClusterSettings) -> Result<&str, Failure> {
    let none = || Failure::unusable(anyhow!("--no-register leaves nothing to be asked"));
    settings.register.as_deref().ok_or_else(none)
}

fn listed(run: Run, end: Option<Advice>) -> ListedRun {
    let (host, run_dir) = run.host_and_dir();
    let (host, run_dir) = (host.to_owned(), PathBuf::from(run_dir));
    let [input_sha256, spec_sha256] = run.hashes;
    ListedRun {
        part: Part::of_run(&run.id),
        host,
        run_dir,
        run: run.id,
        end,
        state: run.state.name(),
        stopped: false,
        user: run.user,
        tributary: run.version,
        began: Moment::from_us(run.began),
        ended: run.ended.map(Moment::from_us),
        input_sha256,
        spec_sha256,
        tables: run.tables.into_iter().collect(),
        groups: run.groups,
    }
}
