//! What the settings of several commands are made of.

use std::fs;
use std::path::Path;

use crate::cli::catalogue;
use crate::cli::catalogue::output::{JSON, LOG_FORMAT, LogFormat, QUIET, VERBOSE};
use crate::cli::catalogue::work::SPEC;
use crate::cli::recorded::Recorded;
use crate::cli::settings::{InputSource, OutputSettings};
use crate::cluster::{ClusterSettings, HOSTS, KEYSPACE};
use crate::secret::{REDACTED, is_secret, redacted_address};
use crate::setting::{Described, Given, Layers, Origin, SettingsError};
use crate::spec::RawSpec;

/// The cluster, where one is named: by its hosts, or by a keyspace.
pub(in crate::cli) fn named_cluster(
    layers: &Layers,
) -> Result<Option<ClusterSettings>, SettingsError> {
    let is_named = layers.given(HOSTS.row()).is_some() || layers.given(KEYSPACE.row()).is_some();
    is_named.then(|| ClusterSettings::of(layers)).transpose()
}

/// Where pairs come from.
pub(super) fn source(pairs: &Path) -> Result<InputSource, SettingsError> {
    match pairs.as_os_str().to_str() {
        Some("-") => Ok(InputSource::Stdin),
        Some("") => Err(SettingsError::new("PAIRS: '' is not a file")),
        _ => Ok(InputSource::File(pairs.to_path_buf())),
    }
}

/// The specification and where it was read.
pub(in crate::cli) fn spec(layers: &Layers) -> Result<(RawSpec, Option<String>), SettingsError> {
    match spec_text(layers)? {
        None => Ok((RawSpec::course_batch().map_err(SettingsError::new)?, None)),
        Some((text, Given { text: path, .. })) => {
            let spec = RawSpec::parse(&text, path).map_err(SettingsError::new)?;
            Ok((spec, RawSpec::preset(path).is_none().then(|| path.clone())))
        }
    }
}

/// The text of the specification that is named, if one is: a built-in one by its name, else a file.
fn spec_text(layers: &Layers) -> Result<Option<(String, &Given)>, SettingsError> {
    let Some(given) = layers.written(SPEC.row()) else { return Ok(None) };
    let (path, origin) = (&given.text, &given.origin);
    if let Some(text) = RawSpec::preset(path) {
        return Ok(Some((text.to_owned(), given)));
    }
    let text = fs::read_to_string(path).map_err(|error| {
        let built_in: Vec<&str> = RawSpec::presets().collect();
        SettingsError::new(format!(
            "{origin}: cannot read '{path}': {error}. It is a file, or one that is built in: {}",
            built_in.join(", ")
        ))
    })?;
    Ok(Some((text, given)))
}

/// The run's own copy of the specification. One that is given again must have the same text.
pub(super) fn recorded_spec(run: &Recorded, layers: &Layers) -> Result<RawSpec, SettingsError> {
    let own = &run.spec;
    match spec_text(layers)? {
        Some((text, Given { text: path, origin, .. })) if text != own.text => {
            let from = run.spec_path.as_deref().unwrap_or("built in");
            Err(SettingsError::new(format!(
                "{origin}: '{path}' is not the merge specification that this run began with ('{}', \
                 {from}; its text is in the run's spec.toml); leave it out, or apply the pairs as a \
                 new run",
                own.name
            )))
        }
        _ => Ok(own.clone()),
    }
}

/// How is reported.
pub(in crate::cli) fn output(layers: &Layers) -> Result<OutputSettings, SettingsError> {
    Ok(OutputSettings {
        json: layers.get(&JSON)?,
        quiet: layers.get(&QUIET)?,
        verbose: layers.get(&VERBOSE)?,
        log_format: layers.get(&LOG_FORMAT)?,
    })
}

/// How log lines are to be written, as far as that is understood.
pub(in crate::cli) fn log_format(layers: &Layers) -> LogFormat {
    layers.get(&LOG_FORMAT).unwrap_or_default()
}

/// The flags that hold a secret or lead to one: a run records none, so they are needed again to go
/// on with it. What came by the environment is still there.
pub(super) fn secret_flags(layers: &Layers) -> Vec<String> {
    let is_secret = |given: &&Given| match catalogue::find(&given.key) {
        Some(row) => row.secret || redacted_address(&given.text) != given.text,
        None => is_secret(given.property()),
    };
    let (mut config, mut flags) = (Vec::new(), Vec::new());
    for given in layers.all().iter().filter(is_secret) {
        match &given.origin {
            Origin::File(path, ..) => {
                config = vec!["--config".to_owned(), path.display().to_string()];
            }
            Origin::Flag(flag) => {
                let value = match given.key.split_once('.') {
                    Some((_, property)) => format!("{property}={REDACTED}"),
                    None => REDACTED.to_owned(),
                };
                flags.extend([flag.clone(), value]);
            }
            Origin::Environment(_) | Origin::Run(..) => {}
        }
    }
    config.into_iter().chain(flags).collect()
}
