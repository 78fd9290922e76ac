//! The runs that groups of another run wait for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::standing::end_of;
use crate::cluster::ClusterRegister;
use crate::pipeline::{Busy, Known};
use crate::register::{Archive, Run};
use crate::report::BusyRun;

/// The runs that groups wait for, each with how many, and where it is as far as the register knows that.
pub(in crate::cli) async fn busy(
    known: &Known,
    register: Option<&ClusterRegister>,
) -> Vec<BusyRun> {
    let mut by_run: BTreeMap<&str, u64> = BTreeMap::new();
    for Busy { run, .. } in known.barred().busy.values() {
        *by_run.entry(run).or_default() += 1;
    }
    let mut busy = Vec::with_capacity(by_run.len());
    for (run, groups) in by_run {
        let known = match register {
            // Its id is enough to find it.
            Some(register) => register.reader().known_run(run).await.ok().flatten(),
            None => None,
        };
        let at = known.as_ref().map(Run::host_and_dir);
        busy.push(BusyRun {
            run: run.to_owned(),
            groups,
            host: at.map(|(host, _)| host.to_owned()),
            run_dir: at.map(|(_, dir)| PathBuf::from(dir)),
            end: known.as_ref().and_then(end_of),
        });
    }
    busy
}
