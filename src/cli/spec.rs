//! `spec`: a merge specification shown, checked, or drafted. Of a cluster nothing is read but its schema.

use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};

use super::{Exit, Failure, Terminal};
use crate::advice::Advice;
use crate::cluster::{Cluster, ClusterSettings};
use crate::spec::{self, RawSpec};

/// Prints a specification with comments.
pub(super) async fn show(
    raw: &RawSpec,
    settings: Option<ClusterSettings>,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let fitting = match settings {
        None => None,
        Some(settings) => {
            let cluster = Cluster::connect(settings).await?;
            Some(raw.check(cluster.schema()).map_err(Failure::failed)?)
        }
    };
    print(&raw.shown(fitting.as_ref()), terminal)
}

/// Says all that is wrong with a file.
pub(super) async fn check(
    path: &Path,
    settings: Option<ClusterSettings>,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let origin = path.display().to_string();
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::unusable(anyhow!("cannot read '{origin}': {error}")))?;
    let (raw, mut faults) = RawSpec::read(&text, &origin);
    let exit = if faults.is_empty() { Exit::Failed } else { Exit::Unusable };
    let mut left_out = Vec::new();
    let looked_at = match settings {
        None => {
            "nothing is wrong with it, as far as the text alone tells; with --hosts and --keyspace it is held against a \
             live schema"
                .to_owned()
        }
        Some(settings) => {
            let keyspace = settings.keyspace.clone();
            match Cluster::connect(settings).await {
                Ok(cluster) => {
                    let fitting = raw.hold_against(cluster.schema(), &mut faults);
                    left_out = fitting.map_or_else(Vec::new, |spec| spec.left_out(cluster.schema()));
                }
                Err(error) => {
                    // What the text tells is worth knowing, whatever the cluster is.
                    if !faults.is_empty() {
                        terminal.complain(&faults.to_string());
                    }
                    return Err(error.into());
                }
            }
            format!("nothing is wrong with it: it fits keyspace {keyspace}")
        }
    };
    if !faults.is_empty() {
        return Err(Failure { exit, error: faults.into() });
    }
    let done = print(&format!("{origin}: {looked_at}\n"), terminal)?;
    for (table, columns) in left_out {
        terminal.tell(&format!(
            "it leaves out table {table}, whose {} may name accounts: what is there stays as it is",
            columns.join(" and ")
        ));
    }
    Ok(done)
}

/// Prints a specification that is drafted from a live schema.
pub(super) async fn init(
    settings: ClusterSettings,
    accounts: &[String],
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let cluster = Cluster::connect(settings.clone()).await?;
    let draft = spec::draft(cluster.schema(), accounts);
    let exit = print(&draft.map_err(|why| Failure::failed(anyhow!(why)))?, terminal)?;
    let ClusterSettings { hosts, keyspace, .. } = settings;
    let advice = Advice::CheckSpec { hosts, keyspace };
    terminal.tell(&format!("what is changed in it can be checked:\n  {advice}"));
    Ok(exit)
}

fn print(text: &str, terminal: &Terminal) -> Result<Exit, Failure> {
    let printed = terminal.print(text).context("cannot write to standard output");
    printed.map_err(Failure::failed)?;
    Ok(Exit::Done)
}
