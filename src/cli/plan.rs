//! `plan`: check and resolve the pairs.

use anyhow::anyhow;

use super::{Console, Exit, Failure, PlanSettings};

/// Runs `plan`.
pub fn run(_settings: &PlanSettings, _console: &Console) -> Result<Exit, Failure> {
    Err(Failure::failed(anyhow!("not wired")))
}
