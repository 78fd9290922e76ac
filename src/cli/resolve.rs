//! Raw → checked, once: the layers over each other, each value in its turn.
//!
//! Every error names where the value came from, so that nobody looks for a flag that was never given.

mod parts;

use std::path::{self, Path};

use serde_json::Value;

use super::bound::{Bound, of_cluster};
use super::catalogue::calls::{FORCE, INSPECT, KEEP_CHANGED, PAIRS, REPAIR, RESTART, USE_COPY};
use super::catalogue::cluster::{HOSTS, KEYSPACE, NO_REGISTER};
use super::catalogue::output::{CONFIG, LISTEN, RUN_DIR};
use super::catalogue::work::{DISCOVER, FOLLOW, PACE, SETTLE, SPEC};
use super::recorded::{Recorded, record, record_of, with_accounts, with_only, with_spec};
use super::settings::{
    ApplySettings, InputSettings, InputSource, InspectSettings, MergeSettings, PlanSettings,
    ResumeSettings, UndoSettings, VerifySettings,
};
use super::until::Until;
use crate::cluster::ClusterSettings;
use crate::events::{EventSettings, Silence};
use crate::model::AccountType;
use crate::pairs::{CSV, Format};
use crate::run::LACKS;
use crate::setting::{Command, Described, Given, Layers, Origin, SettingsError};
use crate::spec::RawSpec;
use parts::{pace, recorded_spec, secret_flags, source, work};

pub(super) use parts::{cluster, log_format, named_cluster, output, spec};

/// The settings of `plan`.
pub(super) fn plan(pairs: &Path, layers: &Layers) -> Result<PlanSettings, SettingsError> {
    let (spec, spec_path) = spec(layers)?;
    let format = Format::of(layers, spec.accounts())?;
    let inspect = inspect(layers)?;
    let mut recorded =
        with_spec(record_of(layers, CSV.iter().copied())?, &spec, spec_path.as_deref());
    recorded[LACKS] = lacks(&spec, layers).into();
    recorded["inspected"] = match &inspect {
        None => Value::Null,
        Some(InspectSettings { cluster, sample, .. }) => {
            let inspected = record_of(layers, of_inspection())?;
            let mut inspected = with_only(inspected, [("tls", cluster.tls.is_some())]);
            inspected["sample"] = (*sample).into();
            inspected
        }
    };
    Ok(PlanSettings {
        input: InputSettings { source: source(pairs)?, format },
        spec,
        inspect,
        run_dir: layers.find(&RUN_DIR)?,
        recorded,
        output: output(layers)?,
    })
}

/// What is looked up in the cluster, if anything is.
fn inspect(layers: &Layers) -> Result<Option<InspectSettings>, SettingsError> {
    let Some(sample) = layers.find(&INSPECT)? else {
        return refuse_connection(layers).map(|()| None);
    };
    let cluster = cluster(layers)?;
    Ok(Some(InspectSettings {
        follow: follow(&cluster, layers)?,
        cluster,
        sample,
        discover: layers.get(&DISCOVER)?,
        pace: pace(layers)?,
    }))
}

/// The settings that concern an inspection alone.
fn of_inspection() -> impl Iterator<Item = &'static dyn Described> {
    of_cluster().chain(PACE.iter().copied())
}

/// What merging a plan takes that it does not know: flags with their values, in capitals where only the operator knows
/// them.
fn lacks(spec: &RawSpec, layers: &Layers) -> Vec<String> {
    let mut flags = Vec::new();
    if let Some(Given { text, origin: Origin::Flag(flag), .. }) = layers.written(CONFIG.row()) {
        // It is read where the command is pasted, which may be elsewhere.
        let file = path::absolute(text).unwrap_or_else(|_| text.into());
        flags.extend([flag.clone(), file.display().to_string()]);
    }
    let keyspace = KEYSPACE.row();
    if layers.written(keyspace).is_none() {
        flags.extend([keyspace.flag(), keyspace.name.to_uppercase()]);
    }
    if spec.event.is_some() {
        flags.extend(EventSettings::lacks(layers));
    }
    flags
}

/// Whether targets are followed, by the register.
fn follow(cluster: &ClusterSettings, layers: &Layers) -> Result<bool, SettingsError> {
    match layers.get(&FOLLOW)? {
        true if cluster.register.is_none() => Err(SettingsError::new(
            "--follow asks the register where targets are now, and --no-register leaves nothing to be asked: leave out \
             one of them",
        )),
        follow => Ok(follow),
    }
}

/// Without --inspect no connection is opened, so that a flag of one was given by mistake. What comes from the
/// environment or the configuration file is there for other commands too.
fn refuse_connection(layers: &Layers) -> Result<(), SettingsError> {
    let mut given = of_inspection().filter_map(|setting| layers.given(setting.row()));
    match given.find(|given| matches!(given.origin, Origin::Flag(_))) {
        None => Ok(()),
        Some(given) => Err(SettingsError::new(format!(
            "{}: a plan opens no connection unless --inspect tells it to look at the cluster",
            given.origin
        ))),
    }
}

/// The settings of `apply`.
/// A run that is bound to a plan takes its pairs from there, if none are named, and reads them as the plan did.
pub(super) fn apply(
    pairs: Option<&Path>,
    plan: Option<Bound>,
    layers: &Layers,
) -> Result<ApplySettings, SettingsError> {
    let (spec, spec_path) = match &plan {
        Some(plan) if layers.written(SPEC.row()).is_none() => plan.spec(),
        _ => spec(layers)?,
    };
    let accounts = plan.as_ref().map_or(spec.accounts(), |plan| plan.format().accounts);
    let format = Format::of(layers, accounts)?;
    let source = match (pairs, &plan) {
        (Some(pairs), _) => source(pairs)?,
        (None, Some(plan)) => InputSource::File(plan.copy().to_path_buf()),
        (None, None) => {
            return Err(SettingsError::new("PAIRS is missing: the file with the pairs"));
        }
    };
    let merge = merge(spec, spec_path, layers)?;
    Ok(ApplySettings {
        input: InputSettings { source, format },
        plan,
        follow: follow(&merge.cluster, layers)?,
        recorded: recorded(Command::Apply, &merge, layers)?,
        merge,
        run_dir: layers.find(&RUN_DIR)?,
        until: Until::of(layers)?,
        listen: layers.find(&LISTEN)?,
        output: output(layers)?,
        secret_flags: secret_flags(layers),
    })
}

/// The settings of `resume`; the layers lie over those of the run.
pub(super) fn resume(run: &Recorded, layers: &Layers) -> Result<ResumeSettings, SettingsError> {
    let merge = merge(recorded_spec(run, layers)?, run.spec_path.clone(), layers)?;
    let mut recorded = recorded(Command::Resume, &merge, layers)?;
    // Groups are built: what they were built by stays as it was.
    let built_by = CSV.iter().copied().chain([&FOLLOW as &'static dyn Described]);
    let of_run = record_of(&Layers::default().over(run.given.clone()), built_by)?;
    for (name, value) in of_run.as_object().into_iter().flatten() {
        recorded[name] = value.clone();
    }
    Ok(ResumeSettings {
        format: run.format.clone(),
        recorded: with_accounts(recorded, run.format.accounts),
        merge,
        use_copy: layers.get(&USE_COPY)?,
        until: Until::of(layers)?,
        listen: layers.find(&LISTEN)?,
        output: output(layers)?,
        secret_flags: secret_flags(layers),
    })
}

fn merge(
    spec: RawSpec,
    spec_path: Option<String>,
    layers: &Layers,
) -> Result<MergeSettings, SettingsError> {
    let cluster = cluster(layers)?;
    if let (None, Some(column)) = (&cluster.register, spec.sum()) {
        return Err(SettingsError::new(format!(
            "--no-register: {column} is added up, and what another run has counted already only the register tells: leave \
             it out, or use another policy"
        )));
    }
    Ok(MergeSettings {
        cluster,
        events: events(&spec, Silence::Refused, layers)?,
        spec,
        spec_path,
        work: work(layers)?,
    })
}

/// What run.json keeps of a merge.
fn recorded(
    command: Command,
    MergeSettings { cluster, events, spec, spec_path, .. }: &MergeSettings,
    layers: &Layers,
) -> Result<Value, SettingsError> {
    let record = record(command, cluster.tls.is_some(), events.is_some(), layers)?;
    Ok(with_spec(record, spec, spec_path.as_deref()))
}

/// The settings of `verify`; the layers lie over those of the run.
pub(super) fn verify(run: &Recorded, layers: &Layers) -> Result<VerifySettings, SettingsError> {
    let (spec, cluster) = (recorded_spec(run, layers)?, cluster(layers)?);
    let repair = layers.get(&REPAIR)?;
    let events = match repair {
        true => events(&spec, Silence::Allowed, layers)?,
        false => None,
    };
    Ok(VerifySettings {
        recorded: record(Command::Verify, cluster.tls.is_some(), events.is_some(), layers)?,
        cluster,
        events,
        spec,
        repair,
        restart: layers.get(&RESTART)?,
        pace: pace(layers)?,
        until: Until::of(layers)?,
        listen: layers.find(&LISTEN)?,
        output: output(layers)?,
    })
}

/// The settings of `undo`; the layers lie over those of the run.
pub(super) fn undo(run: &Recorded, layers: &Layers) -> Result<UndoSettings, SettingsError> {
    let (spec, cluster) = (recorded_spec(run, layers)?, cluster(layers)?);
    let events = events(&spec, Silence::Allowed, layers)?;
    let (force, keep_changed) = (layers.get(&FORCE)?, layers.get(&KEEP_CHANGED)?);
    if force && keep_changed {
        return Err(SettingsError::new(
            "--keep-changed leaves what was changed since, and --force takes it back: leave out one of them",
        ));
    }
    let pairs = match layers.find(&PAIRS)? {
        None => None,
        // The file may be written in another way than the run's input, but its accounts are the run's.
        Some(path) => Some((path, Format::of(layers, run.format.accounts)?)),
    };
    Ok(UndoSettings {
        recorded: record(Command::Undo, cluster.tls.is_some(), events.is_some(), layers)?,
        cluster,
        events,
        spec,
        pairs,
        force,
        keep_changed,
        settle: layers.get(&SETTLE)?,
        pace: pace(layers)?,
        until: Until::of(layers)?,
        listen: layers.find(&LISTEN)?,
        output: output(layers)?,
    })
}

fn events(
    spec: &RawSpec,
    silence: Silence,
    layers: &Layers,
) -> Result<Option<EventSettings>, SettingsError> {
    match spec.event {
        None => Ok(None),
        Some(_) => EventSettings::of(layers, silence),
    }
}

/// How the register is asked by `lookup`; it looks into run directories where one is named, or no host is.
pub(super) fn lookup(
    path: Option<&Path>,
    layers: &Layers,
) -> Result<Option<ClusterSettings>, SettingsError> {
    match layers.given(HOSTS.row()) {
        Some(given) if path.is_some() && matches!(given.origin, Origin::Flag(_)) => {
            Err(SettingsError::new(format!(
                "{} asks the register, and PATH names run directories: give one of them",
                given.origin
            )))
        }
        Some(_) if path.is_none() && !layers.get(&NO_REGISTER)? => cluster(layers).map(Some),
        _ => Ok(None),
    }
}

/// Checks the settings that `config` shows as `apply` or, of a run, `resume` would.
pub(super) fn config(run: Option<&Recorded>, layers: &Layers) -> Result<(), SettingsError> {
    Format::of(layers, AccountType::default())?;
    let (spec, spec_path) = match run {
        Some(run) => (recorded_spec(run, layers)?, run.spec_path.clone()),
        None => spec(layers)?,
    };
    layers.find(&RUN_DIR)?;
    layers.find(&LISTEN)?;
    merge(spec, spec_path, layers)?;
    output(layers).map(drop)
}

#[cfg(test)]
mod tests;
