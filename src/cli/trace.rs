//! `lookup` with a cluster: where did this account go, over all runs, by the register alone.

use std::borrow::Cow;
use std::collections::BTreeSet;

use anyhow::anyhow;
use strum::VariantArray;

use super::lookup::check_account;
use super::register::{end_of, whereabouts};
use super::{Exit, Failure, Terminal};
use crate::cluster::{Cluster, ClusterSettings};
use crate::model::AccountType;
use crate::moment::Moment;
use crate::register::{Lineage, Run, Standing, Stay};
use crate::report::{Rendered, Traced, TracedStay};

/// Runs `lookup` by the register.
pub(super) async fn run(
    account: &str,
    settings: &ClusterSettings,
    json: bool,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    check_account(account)?;
    let keyspace = &settings.keyspace;
    let unknown = || {
        let account = account.escape_debug();
        Failure::failed(anyhow!(
            "'{account}' is in no run of keyspace {keyspace}, by the register; without --hosts, run directories are \
             looked into"
        ))
    };
    let cluster = Cluster::connect(settings.clone()).await?;
    let reader = match &settings.register {
        Some(name) => cluster.sole_register_reader(name).await?,
        None => None,
    };
    let reader = reader.ok_or_else(unknown)?;
    let spellings = spellings(account);
    // Whether tables overlap does not matter to who an account is.
    let lineage = Lineage::of(&reader, spellings.clone(), &BTreeSet::new(), None).await;
    let lineage = lineage.map_err(Failure::failed)?;
    let known = spellings.iter().find(|account| lineage.stays(account).next().is_some());
    let account = known.ok_or_else(unknown)?;
    let path = lineage.path(account);
    let stays = path
        .iter()
        .flat_map(|at| lineage.stays(at).map(|stay| traced(at, &stay, lineage.run(stay.run))));
    let stays = stays.collect();
    let now = path.last().map_or(&**account, |last| &**last);
    let traced = Traced::new(account, now, keyspace, stays);
    let report = Rendered::of(&traced).map_err(Failure::failed)?;
    terminal.report(&report, json)?;
    Ok(Exit::Done)
}

/// An id as it was given, and as accounts of each type that it could be of are written out.
pub(super) fn spellings(account: &str) -> Vec<String> {
    let mut spellings = vec![account.to_owned()];
    for of in AccountType::VARIANTS {
        let usual = of.parse(account).map(|cell| of.text(&cell).into_owned());
        spellings.extend(usual.filter(|usual| !spellings.contains(usual)));
    }
    spellings
}

fn traced(account: &str, stay: &Stay<'_>, run: Option<&Run>) -> TracedStay {
    let (host, run_dir) = whereabouts(run);
    TracedStay {
        account: account.to_owned(),
        run: stay.run.to_owned(),
        host,
        run_dir,
        end: run.and_then(end_of),
        into: stay.into.clone().map(Cow::into_owned),
        t_us: stay.t,
        as_of: Moment::from_us(stay.t),
        standing: match stay.standing {
            Standing::Done => "done",
            Standing::Undone => "undone",
            Standing::Busy => "busy",
            Standing::Lost => "lost",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_looked_for_in_every_spelling_that_it_may_have() {
        assert_eq!(spellings("ann"), ["ann"]);
        assert_eq!(spellings("007"), ["007", "7"]);
        let upper = "4AA7F1C0-0000-4000-8000-00000000ABCD";
        assert_eq!(spellings(upper), [upper.to_owned(), upper.to_lowercase()]);
    }
}
