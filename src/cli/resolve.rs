//! Raw → checked, once: the layers over each other, each value in its turn.
//!
//! Every error names where the value came from, so that nobody looks for a flag that was never given.

mod input;
mod inspection;
mod walks;

pub(super) use walks::{undo, verify};

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{self, PathBuf};
use std::time::Duration;

use crate::cluster::{ClusterSettings, TlsSettings};
use crate::events::EventSettings;
use crate::live::Listen;
use crate::model::AccountType;
use crate::pipeline::{ErrorLimit, Limits};
use crate::spec::RawSpec;

use super::args::{
    ApplyArgs, ClusterArgs, ConfigArgs, EventArgs, LiveArgs, OutputArgs, PlaceArgs, PlanArgs,
    ResumeArgs, SpecArgs, WorkArgs,
};
use super::bound::Bound;
use super::catalogue;
use super::layers::{Layers, SettingsError};
use super::recorded::Recorded;
use super::settings::{
    ApplySettings, LogFormat, MergeSettings, OutputSettings, PaceSettings, PlanSettings,
    ResumeSettings, WorkSettings,
};
use super::until::Until;
use super::values;

/// Failed groups that stop a run where nothing is said.
const MAX_ERRORS: u64 = 1_000;

/// How far before its first read a group is merged as of, where nothing is said.
const SETTLE: Duration = Duration::from_secs(2);

/// The settings of `plan`.
pub(super) fn plan(args: &PlanArgs, layers: &Layers<'_>) -> Result<PlanSettings, SettingsError> {
    let (spec, spec_path) = spec(&args.spec, layers)?;
    Ok(PlanSettings {
        input: input::input(&args.input, &spec, layers)?,
        spec,
        spec_path,
        inspect: inspection::inspect(args, layers)?,
        run_dir: run_dir(&args.place, layers)?,
        output: output(&args.output, layers)?,
    })
}

/// The settings of `apply`.
/// A run that is bound to a plan takes its pairs from there, if none are named.
pub(super) fn apply(
    args: &ApplyArgs,
    plan: Option<Bound>,
    layers: &Layers<'_>,
) -> Result<ApplySettings, SettingsError> {
    let (spec, spec_path) = spec(&args.work.spec, layers)?;
    Ok(ApplySettings {
        input: input::planned(&args.input, plan.as_ref(), &spec, layers)?,
        plan,
        merge: MergeSettings {
            cluster: cluster(&args.cluster, layers)?,
            events: events(&args.events, &spec, Silence::Refused, layers)?,
            spec,
            spec_path,
            work: work(&args.work, layers)?,
        },
        run_dir: run_dir(&args.place, layers)?,
        until: Until::of(&args.until)?,
        listen: listen(&args.live, layers)?,
        output: output(&args.output, layers)?,
        secret_flags: layers.secret_flags(&args.events.properties),
    })
}

/// The settings of `resume`; the layers lie over those of the run.
pub(super) fn resume(
    args: &ResumeArgs,
    run: &Recorded,
    layers: &Layers<'_>,
) -> Result<ResumeSettings, SettingsError> {
    let spec = recorded_spec(args.work.spec.spec.as_deref(), run, layers)?;
    Ok(ResumeSettings {
        format: run.format().clone(),
        merge: MergeSettings {
            cluster: cluster(&args.cluster, layers)?,
            events: events(&args.events, &spec, Silence::Refused, layers)?,
            spec,
            spec_path: run.spec_path().map(str::to_owned),
            work: work(&args.work, layers)?,
        },
        use_copy: args.use_copy,
        until: Until::of(&args.until)?,
        listen: listen(&args.live, layers)?,
        output: output(&args.output, layers)?,
        secret_flags: layers.secret_flags(&args.events.properties),
    })
}

fn cluster(args: &ClusterArgs, layers: &Layers<'_>) -> Result<ClusterSettings, SettingsError> {
    let any = |text: &str| Ok(text.to_owned());
    let username = layers.value("username", args.username.as_ref(), any)?;
    let password = layers.password()?;
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
        register: Some("tributary".to_owned()),
        tls: tls(args, layers)?,
        hosts: layers
            .value("hosts", args.hosts.as_ref(), values::hosts)?
            .unwrap_or_else(|| vec!["127.0.0.1:9042".to_owned()]),
        keyspace: layers
            .pinned("keyspace", args.keyspace.as_ref(), values::keyspace)?
            .ok_or_else(|| missing("keyspace", "the keyspace that holds the tables"))?,
        local_dc: layers.value("local_dc", args.local_dc.as_ref(), any)?,
        username,
        password,
        consistency: layers
            .value("consistency", args.consistency.as_ref(), values::consistency)?
            .unwrap_or_default(),
    })
}

/// How connections are encrypted. Naming a file of TLS asks for TLS, unless it is switched off by name.
fn tls(args: &ClusterArgs, layers: &Layers<'_>) -> Result<Option<TlsSettings>, SettingsError> {
    let file = |setting: &str, given: &Option<String>| {
        layers.value(setting, given.as_ref(), |text| match text {
            "" => Err("is not a file".to_owned()),
            text => path::absolute(text).map_err(|error| format!("is not a path: {error}")),
        })
    };
    let ca = file("tls_ca", &args.tls_ca)?;
    let (cert, key) = (file("tls_cert", &args.tls_cert)?, file("tls_key", &args.tls_key)?);
    let unchecked = layers.switch("tls_no_hostname_check", args.tls_no_hostname_check);
    let asked = ca.is_some() || cert.is_some() || key.is_some() || layers.switch("tls", args.tls);
    if !layers.said("tls", args.tls).unwrap_or(asked) {
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
    tls.check().map_err(|error| SettingsError::new(error.to_string()))?;
    Ok(Some(tls))
}

/// Whether --no-events may be said of a run that has events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    Allowed,
    Refused,
}

fn events(
    args: &EventArgs,
    spec: &RawSpec,
    silence: Silence,
    layers: &Layers<'_>,
) -> Result<Option<EventSettings>, SettingsError> {
    if spec.event.is_none() {
        return Ok(None);
    }
    match (layers.said("no_events", args.no_events), layers.recorded()) {
        // What a run announces, it announces to its end.
        (Some(true), Some(run)) if run.has_events() && silence == Silence::Refused => {
            let own = run.text("topic").unwrap_or_default();
            return Err(SettingsError::new(format!(
                "--no-events: this run announces its changes to the topic '{own}' ({}), and goes on to",
                run.origin("topic")
            )));
        }
        (_, Some(run)) if !run.has_events() => {
            if layers.is_flag("topic", args.topic.as_ref()) {
                return Err(SettingsError::new(format!(
                    "--topic: this run was begun without events ({}), and goes on without",
                    run.origin("events")
                )));
            }
            return Ok(None);
        }
        (Some(true), _) => return Ok(None),
        _ => {}
    }
    let settings = EventSettings {
        brokers: layers
            .value("brokers", args.brokers.as_ref(), values::brokers)?
            .unwrap_or_else(|| "127.0.0.1:9092".to_owned()),
        topic: layers
            .pinned("topic", args.topic.as_ref(), values::topic)?
            .ok_or_else(|| missing("topic", "the topic that gets the events (or --no-events)"))?,
        properties: layers.properties(&args.properties)?,
    };
    settings.check().map_err(|error| SettingsError::new(error.to_string()))?;
    Ok(Some(settings))
}

/// The specification and where it was read.
fn spec(args: &SpecArgs, layers: &Layers<'_>) -> Result<(RawSpec, Option<String>), SettingsError> {
    let wrong = |error: crate::spec::SpecError| SettingsError::new(error.to_string());
    let Some((path, origin)) = layers.text("spec", args.spec.as_deref()) else {
        return Ok((RawSpec::course_batch().map_err(wrong)?, None));
    };
    let text = fs::read_to_string(&path)
        .map_err(|error| SettingsError::new(format!("{origin}: cannot read '{path}': {error}")))?;
    Ok((RawSpec::parse(&text, &path).map_err(wrong)?, Some(path)))
}

/// The run's own copy of the specification. One that is given again must have the same text.
fn recorded_spec(
    given: Option<&str>,
    run: &Recorded,
    layers: &Layers<'_>,
) -> Result<RawSpec, SettingsError> {
    let own = run.spec();
    if let Some((path, origin)) = layers.text("spec", given) {
        let text = fs::read_to_string(&path).map_err(|error| {
            SettingsError::new(format!("{origin}: cannot read '{path}': {error}"))
        })?;
        if text != own.text {
            let from = run.spec_path().unwrap_or("built in");
            return Err(SettingsError::new(format!(
                "{origin}: '{path}' is not the merge specification that this run began with ('{}', \
                 {from}; its text is in the run's spec.toml); leave it out, or apply the pairs as a \
                 new run",
                own.name
            )));
        }
    }
    Ok(own.clone())
}

fn work(args: &WorkArgs, layers: &Layers<'_>) -> Result<WorkSettings, SettingsError> {
    // What is known of a run's enrolments was found in one way.
    let known = |text: &str| values::discover(text).map(|way| way.to_string());
    let way = layers.pinned("discover", args.discover.as_ref(), known)?;
    Ok(WorkSettings {
        discover: way.and_then(|way| way.parse().ok()).unwrap_or_default(),
        pace: pace([&args.in_flight, &args.rate, &args.max_latency], layers)?,
        settle: layers.value("settle", args.settle.as_ref(), values::settle)?.unwrap_or(SETTLE),
        limits: Limits {
            groups: layers
                .value("limit", args.limit.as_ref(), values::limit)?
                .unwrap_or(usize::MAX),
            errors: layers
                .value("max_errors", args.max_errors.as_ref(), values::max_errors)?
                .unwrap_or(ErrorLimit::Groups(MAX_ERRORS)),
        },
        sweep: !layers.switch("no_sweep", args.no_sweep),
    })
}

/// How fast groups are worked on.
fn pace(given: [&Option<String>; 3], layers: &Layers<'_>) -> Result<PaceSettings, SettingsError> {
    let [in_flight, rate, max_latency] = given.map(Option::as_ref);
    Ok(PaceSettings {
        in_flight: layers.value("in_flight", in_flight, values::in_flight)?.unwrap_or_default(),
        rate: layers.value("rate", rate, values::rate)?.flatten(),
        max_latency: layers.value("max_latency", max_latency, values::max_latency)?.flatten(),
    })
}

fn run_dir(args: &PlaceArgs, layers: &Layers<'_>) -> Result<Option<PathBuf>, SettingsError> {
    layers.value("run_dir", args.run_dir.as_ref(), |text| match text {
        "" => Err("is not a directory".to_owned()),
        path => Ok(PathBuf::from(path)),
    })
}

fn listen(args: &LiveArgs, layers: &Layers<'_>) -> Result<Option<Listen>, SettingsError> {
    layers.value("listen", args.listen.as_ref(), |text| text.parse())
}

fn output(args: &OutputArgs, layers: &Layers<'_>) -> Result<OutputSettings, SettingsError> {
    let verbose = || layers.value("verbose", None, values::verbose);
    Ok(OutputSettings {
        json: layers.switch("json", args.json),
        quiet: layers.switch("quiet", args.quiet),
        verbose: if args.verbose > 0 { args.verbose } else { verbose()?.unwrap_or_default() },
        log_format: layers
            .value("log_format", args.log_format.as_ref(), values::log_format)?
            .unwrap_or_default(),
    })
}

/// How log lines are to be written, as far as that is understood.
pub(super) fn log_format(layers: &Layers<'_>) -> LogFormat {
    let written = catalogue::find("log_format").and_then(|setting| layers.written(setting));
    written.and_then(|(text, _)| values::log_format(&text).ok()).unwrap_or_default()
}

/// Checks the settings that `config` shows as `apply` or `resume` would.
pub(super) fn config(args: &ConfigArgs, layers: &Layers<'_>) -> Result<(), SettingsError> {
    let spec = match layers.recorded() {
        Some(run) => recorded_spec(args.work.spec.spec.as_deref(), run, layers)?,
        None => spec(&args.work.spec, layers)?.0,
    };
    input::format(&args.format, AccountType::default(), layers)?;
    work(&args.work, layers)?;
    run_dir(&args.place, layers)?;
    listen(&args.live, layers)?;
    cluster(&args.cluster, layers)?;
    events(&args.events, &spec, Silence::Refused, layers)?;
    output(&args.output, layers).map(drop)
}

fn missing(setting: &str, what: &str) -> SettingsError {
    let variable = setting.to_uppercase();
    let flag = setting.replace('_', "-");
    SettingsError::new(format!(
        "--{flag} is missing: {what}; also as TRIBUTARY_{variable} or {setting} in the \
         configuration file"
    ))
}

/// The environment of this process.
pub(super) fn environment() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os()
}

#[cfg(test)]
mod tests;
