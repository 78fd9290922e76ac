//! The settings as run.json keeps them: what a run went by, so that it can go on in the same way.
//!
//! Where each stands there, and in which form, is in its row. Nothing secret is among them: the password is left out,
//! and properties are redacted by name.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::catalogue::{
    self,
    work::{SHARD, SPEC},
};
use crate::advice::Advice;
use crate::model::AccountType;
use crate::pairs::{self, Format};
use crate::register::OfPlan;
use crate::run::{RunError, RunRecord, copy_of_pairs, files};
use crate::secret::REDACTED;
use crate::setting::{Command, Described, Given, Layers, Origin, SettingsError, ValueKind, recall};
use crate::spec::RawSpec;

/// What ids are read as.
const ACCOUNTS: &str = "account_type";
/// What the parts of a plan have in common.
const PLAN_OF: &str = "part_of";

/// The values in effect of the settings that a command takes and a run records; null for those of TLS or of events
/// where there are none.
///
/// # Errors
/// One of them is none.
pub(super) fn record(
    command: Command,
    has_tls: bool,
    has_events: bool,
    layers: &Layers,
) -> Result<Value, SettingsError> {
    let taken = catalogue::all().filter(|setting| setting.row().is_taken_by(command));
    Ok(with_only(record_of(layers, taken)?, [("tls", has_tls), ("events", has_events)]))
}

/// What is not there at all is null.
pub(super) fn with_only<const N: usize>(mut record: Value, parts: [(&str, bool); N]) -> Value {
    for (name, _) in parts.into_iter().filter(|(_, is_there)| !is_there) {
        record[name] = Value::Null;
    }
    record
}

/// As [`record`], of these settings.
pub(super) fn record_of(
    layers: &Layers,
    settings: impl Iterator<Item = &'static dyn Described>,
) -> Result<Value, SettingsError> {
    let mut record = json!({});
    for setting in settings {
        let at = setting.row().recorded.map(|recorded| recorded.at);
        if let (Some(at), Some(kept)) = (at, setting.kept(layers)?) {
            let mut entry = &mut record;
            for name in at.split('/') {
                entry = &mut entry[name];
            }
            *entry = kept;
        }
    }
    Ok(record)
}

/// Adds the specification: its text is in spec.toml.
pub(super) fn with_spec(mut record: Value, spec: &RawSpec, path: Option<&str>) -> Value {
    record["spec"] = spec.name.clone().into();
    record["spec_path"] = path.into();
    record["spec_sha256"] = spec.sha256().into();
    record
}

/// Adds which plan a part is part of; which part it is stands there as the setting.
pub(super) fn with_plan_of(mut record: Value, part: Option<&OfPlan>) -> Value {
    if let Some(OfPlan { plan, .. }) = part {
        record[PLAN_OF] = plan.clone().into();
    }
    record
}

/// The part that a run is, if it is not all of its plan.
///
/// # Errors
/// run.json is not what the run wrote.
pub(super) fn part_of(run: &Path, record: &RunRecord) -> Result<Option<OfPlan>, RunError> {
    let name = SHARD.row().name;
    let Some(text) = record.settings[name].as_str() else { return Ok(None) };
    let part = text.parse().map_err(|wrong| format!("{name} '{text}' {wrong}"));
    let plan = record.settings[PLAN_OF].as_str().ok_or_else(|| format!("it has no {PLAN_OF}"));
    match (part, plan) {
        (Ok(part), Ok(plan)) => Ok(Some(OfPlan { plan: plan.to_owned(), part })),
        (Err(what), _) | (_, Err(what)) => {
            Err(RunError::Unusable { path: run.join(files::RUN), what })
        }
    }
}

/// Adds what ids were read as in the end.
pub(super) fn with_accounts(mut record: Value, accounts: AccountType) -> Value {
    record[ACCOUNTS] = accounts.to_string().into();
    record
}

/// What settings in the run.json of `run` say of these rows, as it could be given.
pub(super) fn recalled(
    run: &Path,
    recorded_settings: &Value,
    settings: impl Iterator<Item = &'static dyn Described>,
) -> Vec<Given> {
    let mut found = Vec::new();
    let mut add = |key: String, at: &str, text: String| {
        let origin = Origin::Run(run.join(files::RUN), at.to_owned());
        found.push(Given { key, text, origin });
    };
    for row in settings.map(Described::row) {
        let Some(recorded) = row.recorded else { continue };
        let name = recorded.at.rsplit('/').next().unwrap_or_default();
        let Some(kept) = recorded_settings.pointer(&format!("/{}", recorded.at)) else {
            // A run of an earlier version, which had no choice yet.
            if row.pinned && !row.default.is_empty() {
                add(row.name.to_owned(), name, row.default.to_owned());
            }
            continue;
        };
        if row.kind == ValueKind::Table {
            for (name, value) in kept.as_object().into_iter().flatten() {
                let key = format!("{}.{name}", row.name);
                add(key.clone(), &key, recall(value).unwrap_or_default());
            }
        } else if let Some(text) = (recorded.recall)(kept) {
            add(row.name.to_owned(), name, text);
        }
    }
    found
}

/// What a run says of how its pairs are written.
pub(super) fn of_pairs(run: &Path, record: &RunRecord) -> Vec<Given> {
    recalled(run, &record.settings, pairs::settings())
}

/// How the pairs of a run are written.
///
/// # Errors
/// run.json is not what the run wrote.
pub(super) fn format_of(run: &Path, record: &RunRecord) -> Result<Format, RunError> {
    // A run of an earlier version does not say it, and read ids as text.
    let accounts = record.settings[ACCOUNTS].as_str().map_or(Ok(AccountType::Text), str::parse);
    let layers = Layers::default().over(of_pairs(run, record));
    let format = accounts
        .and_then(|accounts| Format::of(&layers, accounts).map_err(|error| error.to_string()));
    format.map_err(|what| RunError::Unusable { path: run.join(files::RUN), what })
}

/// The settings of a run that is resumed, and its own copy of the specification.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    /// All that its run.json says.
    pub(super) given: Vec<Given>,
    /// How the pairs are written.
    pub(super) format: Format,
    /// The specification.
    pub(super) spec: RawSpec,
    /// Where the specification was read; none for the built-in one.
    pub(super) spec_path: Option<String>,
}

impl Recorded {
    /// Reads what a run recorded.
    ///
    /// # Errors
    /// run.json or spec.toml is not what the run wrote.
    pub(super) fn load(run: &Path, record: &RunRecord) -> Result<Self, RunError> {
        let (spec, spec_path) = spec_of(run, record)?;
        Ok(Self {
            given: recalled(run, &record.settings, catalogue::all()),
            format: format_of(run, record)?,
            spec,
            spec_path,
        })
    }
}

/// The specification that a run or plan keeps, and where it was read; `None` for the built-in one.
///
/// # Errors
/// run.json or spec.toml is not what was written.
pub(super) fn spec_of(
    run: &Path,
    record: &RunRecord,
) -> Result<(RawSpec, Option<String>), RunError> {
    let wrong = |path: &PathBuf, what: String| RunError::Unusable { path: path.clone(), what };
    let setting = |name: &str| record.settings[name].as_str();
    let Some(sha256) = setting("spec_sha256") else {
        let what = "its settings are not understood (no spec_sha256)".to_owned();
        return Err(wrong(&run.join(files::RUN), what));
    };
    let spec_path = run.join(files::SPEC);
    let text =
        fs::read_to_string(&spec_path).map_err(|error| wrong(&spec_path, error.to_string()))?;
    let spec = RawSpec::parse(&text, &spec_path.display().to_string())
        .map_err(|error| wrong(&spec_path, error.to_string()))?;
    if spec.sha256() != sha256 {
        let what = "it is not the specification that the run began with (its SHA-256 differs from \
                    the one in run.json); put the original back";
        return Err(wrong(&spec_path, what.to_owned()));
    }
    Ok((spec, setting("spec_path").map(str::to_owned)))
}

/// To merge the pairs of a run once more, as a new run by the same settings. What is so anyway is left out, and so are
/// secrets.
///
/// # Errors
/// A file of the run is not what it wrote.
pub(super) fn anew(run: &Path, record: &RunRecord) -> Result<Advice, RunError> {
    let Recorded { given, spec_path, .. } = Recorded::load(run, record)?;
    let taken = catalogue::all().filter(|setting| setting.row().is_taken_by(Command::Apply));
    let mut with = as_flags(&given, taken);
    if spec_path.is_some() {
        with.extend([SPEC.row().flag(), run.join(files::SPEC).display().to_string()]);
    }
    Ok(Advice::Apply { pairs: copy_of_pairs(run)?, with })
}

/// As flags of a command.
fn as_flags(
    given: &[Given],
    settings: impl Iterator<Item = &'static dyn Described>,
) -> Vec<String> {
    let mut flags = Vec::new();
    for row in settings.map(Described::row) {
        if row.kind == ValueKind::Table {
            let prefix = format!("{}.", row.name);
            for given in given.iter().filter(|given| given.text != REDACTED) {
                if let Some(name) = given.key.strip_prefix(&prefix) {
                    flags.extend([row.flag(), format!("{name}={}", given.text)]);
                }
            }
            continue;
        }
        let Some(given) = given.iter().find(|given| given.key == row.name) else { continue };
        match row.kind {
            ValueKind::Switch if given.text == "true" => flags.push(row.flag()),
            ValueKind::Switch => {}
            _ if given.text == row.default => {}
            _ => flags.extend([row.flag(), given.text.clone()]),
        }
    }
    flags
}
