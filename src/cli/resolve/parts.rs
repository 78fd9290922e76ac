//! What the settings of several commands are made of.

use std::fs;
use std::path::Path;

use crate::cli::catalogue;
use crate::cli::catalogue::cluster::{
    ADDRESS_MAP, CONSISTENCY, HOSTS, KEYSPACE, LOCAL_DC, NO_REGISTER, PASSWORD, PASSWORD_FILE,
    REGISTER, SINGLE_WRITER_DC, TLS, TLS_CA, TLS_CERT, TLS_KEY, TLS_NO_HOSTNAME_CHECK, USERNAME,
};
use crate::cli::catalogue::output::{JSON, LOG_FORMAT, LogFormat, QUIET, VERBOSE};
use crate::cli::catalogue::work::{
    DISCOVER, IN_FLIGHT, LIMIT, MAX_ERRORS, MAX_LATENCY, MIN_GC_GRACE, NO_SWEEP, RATE, SETTLE, SPEC,
};
use crate::cli::recorded::Recorded;
use crate::cli::settings::{InputSource, OutputSettings, PaceSettings, WorkSettings};
use crate::cluster::{ClusterSettings, TlsSettings};
use crate::pipeline::Limits;
use crate::secret::{REDACTED, Secret, is_secret};
use crate::setting::{Described, Given, Layers, Origin, SettingsError};
use crate::spec::RawSpec;

/// How the cluster is reached.
pub(in crate::cli) fn cluster(layers: &Layers) -> Result<ClusterSettings, SettingsError> {
    let (username, password) = (layers.find(&USERNAME)?, password(layers)?);
    match (&username, &password) {
        (Some(user), None) => {
            return Err(SettingsError::new(format!(
                "the password of '{user}' is missing: set TRIBUTARY_PASSWORD, or password or \
                 password_file in the configuration file"
            )));
        }
        (None, Some(_)) => {
            return Err(SettingsError::new("there is a password but no --username"));
        }
        _ => {}
    }
    Ok(ClusterSettings {
        register: register(layers)?,
        tls: tls(layers)?,
        hosts: layers.get(&HOSTS)?,
        address_map: layers.find(&ADDRESS_MAP)?.unwrap_or_default(),
        keyspace: layers.get(&KEYSPACE)?,
        local_dc: layers.find(&LOCAL_DC)?,
        single_writer_dc: layers.get(&SINGLE_WRITER_DC)?,
        username,
        password,
        consistency: layers.get(&CONSISTENCY)?,
    })
}

/// The cluster, where one is named: by its hosts, or by a keyspace.
pub(in crate::cli) fn named_cluster(
    layers: &Layers,
) -> Result<Option<ClusterSettings>, SettingsError> {
    let is_named = layers.given(HOSTS.row()).is_some() || layers.given(KEYSPACE.row()).is_some();
    is_named.then(|| cluster(layers)).transpose()
}

/// The keyspace of the register, if it is to be kept.
fn register(layers: &Layers) -> Result<Option<String>, SettingsError> {
    if layers.get(&NO_REGISTER)? {
        return Ok(None);
    }
    let register: String = layers.get(&REGISTER)?;
    match register == layers.get(&KEYSPACE)? {
        false => Ok(Some(register)),
        true => Err(SettingsError::new(format!(
            "--register: '{register}' is the keyspace that is merged, whose tables may have the names of the register's; \
             name another one"
        ))),
    }
}

/// The password, or what is in the file that is named instead.
fn password(layers: &Layers) -> Result<Option<Secret>, SettingsError> {
    let in_file = |given: &Given| match &given.origin {
        Origin::File(path, ..) => Some(path.display().to_string()),
        _ => None,
    };
    let wrong = |file: &str, why: String| SettingsError::new(format!("{file}: {why}"));
    let given = layers.written(PASSWORD.row()).map(in_file);
    match (given, layers.written(PASSWORD_FILE.row()).and_then(in_file)) {
        (Some(Some(file)), Some(_)) => {
            Err(wrong(&file, "give either password or password_file, not both".to_owned()))
        }
        (None, Some(file)) => {
            let Some(path) = layers.find(&PASSWORD_FILE)? else { return Ok(None) };
            let password = fs::read_to_string(&path).map_err(|error| {
                wrong(&file, format!("cannot read the password_file {}: {error}", path.display()))
            })?;
            Ok(Some(Secret::new(password.trim_end_matches(['\r', '\n']))))
        }
        _ => layers.find(&PASSWORD),
    }
}

/// How connections are encrypted. Naming a file of TLS asks for TLS, unless it is switched off by name.
fn tls(layers: &Layers) -> Result<Option<TlsSettings>, SettingsError> {
    let (ca, unchecked) = (layers.find(&TLS_CA)?, layers.get(&TLS_NO_HOSTNAME_CHECK)?);
    let (cert, key) = (layers.find(&TLS_CERT)?, layers.find(&TLS_KEY)?);
    let names_files = ca.is_some() || cert.is_some() || key.is_some();
    let is_named = layers.given(TLS.row()).is_some();
    if !(layers.get(&TLS)? || names_files && !is_named) {
        return match unchecked {
            true => {
                Err(SettingsError::new("--tls-no-hostname-check says how to do TLS: add --tls"))
            }
            false => Ok(None),
        };
    }
    let identity = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (Some(_), None) => {
            return Err(SettingsError::new("there is a --tls-cert but no --tls-key"));
        }
        (None, Some(_)) => {
            return Err(SettingsError::new("there is a --tls-key but no --tls-cert"));
        }
    };
    let tls = TlsSettings { ca, identity, hostname_check: !unchecked };
    tls.check().map_err(SettingsError::new)?;
    Ok(Some(tls))
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
    let text = fs::read_to_string(path)
        .map_err(|error| SettingsError::new(format!("{origin}: cannot read '{path}': {error}")))?;
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

/// How groups are merged.
pub(super) fn work(layers: &Layers) -> Result<WorkSettings, SettingsError> {
    Ok(WorkSettings {
        discover: layers.get(&DISCOVER)?,
        pace: pace(layers)?,
        settle: layers.get(&SETTLE)?,
        min_gc_grace: layers.get(&MIN_GC_GRACE)?,
        limits: Limits { groups: layers.get(&LIMIT)?, errors: layers.get(&MAX_ERRORS)? },
        sweep: !layers.get(&NO_SWEEP)?,
    })
}

/// How fast groups are worked on.
pub(super) fn pace(layers: &Layers) -> Result<PaceSettings, SettingsError> {
    Ok(PaceSettings {
        in_flight: layers.get(&IN_FLIGHT)?,
        rate: layers.get(&RATE)?,
        max_latency: layers.get(&MAX_LATENCY)?,
    })
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
        Some(row) => row.secret,
        None => is_secret(given.property()),
    };
    let (mut config, mut flags) = (Vec::new(), Vec::new());
    for given in layers.all().iter().filter(is_secret) {
        match &given.origin {
            Origin::File(path, ..) => {
                config = vec!["--config".to_owned(), path.display().to_string()];
            }
            Origin::Flag(flag) => {
                flags.extend([flag.clone(), format!("{}={REDACTED}", given.property())]);
            }
            Origin::Environment(_) | Origin::Run(..) => {}
        }
    }
    config.into_iter().chain(flags).collect()
}
