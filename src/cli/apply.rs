//! `apply`: merge the accounts and announce what changed.

use anyhow::anyhow;

use super::{ApplySettings, Console, Exit, Failure};

/// Runs `apply`.
pub fn run(_settings: &ApplySettings, _console: &Console) -> Result<Exit, Failure> {
    Err(Failure::failed(anyhow!("not wired")))
}
