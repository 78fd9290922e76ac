//! run.json: what ran, on what, with which settings.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::moment::Moment;

use super::RunId;

/// The input of a run, so that it can be recognised later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InputRecord {
    /// The path as it was given; `-` is standard input.
    pub path: String,
    /// The SHA-256 of its bytes (compressed, if they came so), in hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
}

/// What is known about a run before it does anything.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRecord {
    /// The version of this format.
    pub version: u32,
    /// The run's id.
    pub id: RunId,
    /// The subcommand.
    pub command: &'static str,
    /// When it started.
    pub started_at: Moment,
    /// Programs and libraries by name.
    pub versions: BTreeMap<String, String>,
    /// The pairs.
    pub input: InputRecord,
    /// The settings in effect; whatever is secret in them has been redacted.
    pub settings: Value,
}

impl RunRecord {
    /// A record of a run that starts now. `settings` must be redacted already.
    pub fn new(
        id: RunId,
        command: &'static str,
        started_at: Moment,
        input: InputRecord,
        settings: Value,
    ) -> Self {
        let ours = ("tributary".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let versions = BTreeMap::from([ours]);
        Self { version: 1, id, command, started_at, versions, input, settings }
    }
}
