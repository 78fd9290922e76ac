//! run.json: what ran, on what, with which settings.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::moment::Moment;

use super::{RunError, RunId};

/// The version of this format.
const VERSION: u32 = 2;

/// The command that only plans.
const PLAN: &str = "plan";

/// The input of a run, so that it can be recognised later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputRecord {
    /// The path as it was given; `-` is standard input.
    pub(crate) path: String,
    /// The same, absolute; none for standard input.
    pub(crate) file: Option<String>,
    /// The SHA-256 of its bytes (compressed, if they came so), in hexadecimal.
    pub(crate) sha256: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// What is known about a run before it does anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// The version of this format.
    pub(crate) version: u32,
    /// The run's id.
    pub(crate) id: RunId,
    /// The subcommand.
    pub(crate) command: String,
    pub(crate) started_at: Moment,
    /// Programs and libraries by name.
    pub(crate) versions: BTreeMap<String, String>,
    /// The pairs.
    pub(crate) input: InputRecord,
    /// The settings in effect; whatever is secret in them has been redacted.
    pub(crate) settings: Value,
}

impl RunRecord {
    /// A record of a run that starts now. `settings` must be redacted already.
    pub(crate) fn new(
        id: RunId,
        command: &str,
        started_at: Moment,
        input: InputRecord,
        settings: Value,
    ) -> Self {
        let ours = ("tributary".to_owned(), env!("TRIBUTARY_VERSION").to_owned());
        let versions = BTreeMap::from([ours]);
        let command = command.to_owned();
        Self { version: VERSION, id, command, started_at, versions, input, settings }
    }

    /// What says that the run only planned.
    pub(crate) fn only_planned(&self, path: &Path) -> RunError {
        RunError::OnlyPlanned { path: path.to_path_buf(), lacks: plan_lacks(&self.settings) }
    }

    /// Whether the run only planned.
    pub(crate) fn is_plan(&self) -> bool {
        self.command == PLAN
    }

    /// Reads what was written as JSON; the error says what is wrong with it.
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let wrong = |error| format!("it is not what this program writes ({error})");
        let value: Value = serde_json::from_slice(text).map_err(wrong)?;
        match value["version"].as_u64() {
            Some(version) if version != u64::from(VERSION) => Err(format!(
                "it was written by another version of tributary (format {version}; this one is \
                 {VERSION})"
            )),
            _ => serde_json::from_value(value).map_err(wrong),
        }
    }
}

/// Where the settings of a plan say what else it takes to merge it.
pub(crate) const LACKS: &str = "lacks";

/// What else it takes to merge a plan with these settings: flags with their values.
pub(crate) fn plan_lacks(settings: &Value) -> Vec<String> {
    let lacks = settings[LACKS].as_array().into_iter().flatten();
    lacks.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}
