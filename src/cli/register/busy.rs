//! The runs that groups of another run wait for.

use std::collections::BTreeMap;

use super::standing::{end_of, whereabouts};
use crate::cluster::ClusterRegister;
use crate::pipeline::{Busy, Known};
use crate::register::Archive;
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
        let (host, run_dir) = whereabouts(known.as_ref());
        busy.push(BusyRun {
            run: run.to_owned(),
            groups,
            host,
            run_dir,
            end: known.as_ref().and_then(end_of),
        });
    }
    busy
}
