//! Whether a run is at work in one directory only.

use std::path::Path;

use super::super::exit::Failure;
use crate::cluster::ClusterRegister;
use crate::register::{Archive, Register, Run};
use crate::run;

/// Sees that no other process of this machine is at work on the run in another directory: one of the two is a copy, and
/// its journal does not know what the other writes. A process that has died leaves no lock, so it keeps out nobody.
///
/// # Errors
/// One is, or the register cannot be read.
pub(super) async fn check_alone(register: &ClusterRegister, own: &Path) -> Result<(), Failure> {
    let known = register.reader().known_run(register.run()).await.map_err(Failure::failed)?;
    match known.as_ref().map(Run::host_and_dir) {
        Some((host, dir)) if host == register.host() => Ok(run::check_alone(own, Path::new(dir))?),
        _ => Ok(()),
    }
}
