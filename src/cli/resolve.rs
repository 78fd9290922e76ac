//! Raw → checked, once: the layers over each other, each value in its turn.
//!
//! Every error names where the value came from, so that nobody looks for a flag that was never given.

mod parts;

use std::path::{self, Path};

use serde_json::Value;

use super::bound::{Bound, of_cluster};
use super::catalogue::calls::{INSPECT, OR_RESUME, PAIRS, USE_COPY};
use super::catalogue::output::{CONFIG, LISTEN, RUN_DIR};
use super::catalogue::work::{FOLLOW, SHARD, SPEC, of_groups};
use super::recorded::{Recorded, record, record_of, with_accounts, with_only, with_spec};
use super::settings::{
    ApplySettings, InputSettings, InputSource, InspectSettings, PlanSettings, ResumeSettings,
    RunSettings, UndoSettings, VerifySettings,
};
use super::until::Until;
use crate::cluster::{ClusterSettings, HOSTS, KEYSPACE, NO_REGISTER};
use crate::events::{self, EventSettings, Silence};
use crate::model::{AccountType, Part};
use crate::pace::PACE;
use crate::pairs::{self, Format};
use crate::pipeline::WorkSettings;
use crate::run::LACKS;
use crate::setting::{Command, Described, Given, Layers, Origin, SettingsError};
use crate::spec::RawSpec;
use crate::{undo, verify};
use parts::{recorded_spec, secret_flags, source};

pub(super) use parts::{log_format, named_cluster, output, spec};

pub(super) fn plan(pairs: &Path, layers: &Layers) -> Result<PlanSettings, SettingsError> {
    let (spec, spec_path) = spec(layers)?;
    let format = Format::of(layers, spec.accounts())?;
    let inspect = inspect(&spec, layers)?;
    let mut recorded =
        with_spec(record_of(layers, pairs::settings())?, &spec, spec_path.as_deref());
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
fn inspect(spec: &RawSpec, layers: &Layers) -> Result<Option<InspectSettings>, SettingsError> {
    let Some(sample) = layers.find(&INSPECT)? else {
        return refuse_connection(layers).map(|()| None);
    };
    let cluster = ClusterSettings::of(layers)?;
    // What apply would refuse is not planned either.
    may_add_up(spec, &cluster)?;
    Ok(Some(InspectSettings {
        follow: follow(&cluster, layers)?,
        cluster,
        sample,
        work: WorkSettings::of_inspection(layers)?,
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
        flags.extend(events::lacks(layers));
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

/// The part of the plan that is merged.
fn part(
    RunSettings { cluster, spec, .. }: &RunSettings,
    follow: bool,
    layers: &Layers,
) -> Result<Option<Part>, SettingsError> {
    let part = layers.find(&SHARD)?;
    if let (Some(_), Some(column)) = (&part, spec.mentions()) {
        return Err(SettingsError::new(format!(
            "--shard: {column} mentions accounts, and a row that one part copies may name an account of another part, which \
             has looked for its mentions by then: merge the list as one run"
        )));
    }
    match part {
        Some(_) if cluster.register.is_none() => Err(SettingsError::new(
            "--shard: parts are kept apart by the register, and --no-register leaves nothing to be asked: leave out one \
             of them",
        )),
        Some(_) if follow => Err(SettingsError::new(
            "--shard: where --follow leads depends on the moment at which a part begins, so that a pair could be in two \
             parts, or in none. Merge what is followed as one run, or give the pairs with the targets that lookup says",
        )),
        part => Ok(part),
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

/// The settings of `apply`. A run that is bound to a plan takes its pairs from there, if none are named, and reads them as
/// the plan did.
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
    let mut run = of_run(Command::Apply, spec, layers)?;
    run.recorded = with_spec(run.recorded, &run.spec, spec_path.as_deref());
    let (run_dir, or_resume) = (layers.find(&RUN_DIR)?, layers.get(&OR_RESUME)?);
    if or_resume && run_dir.is_none() {
        return Err(SettingsError::new(
            "--or-resume goes on with the run that --run-dir holds: name the directory, the same each time",
        ));
    }
    if or_resume && source == InputSource::Stdin {
        return Err(SettingsError::new(
            "--or-resume compares the pairs with those of the run that it goes on with, and standard input is gone then: \
             give a file",
        ));
    }
    let follow = follow(&run.cluster, layers)?;
    Ok(ApplySettings {
        input: InputSettings { source, format },
        plan,
        follow,
        part: part(&run, follow, layers)?,
        run_dir,
        or_resume,
        run,
    })
}

/// The settings of `resume`; the layers lie over those of the run.
pub(super) fn resume(begun: &Recorded, layers: &Layers) -> Result<ResumeSettings, SettingsError> {
    let mut run = of_run(Command::Resume, recorded_spec(begun, layers)?, layers)?;
    let mut recorded = with_spec(run.recorded, &run.spec, begun.spec_path.as_deref());
    // Groups are built: what they were built by stays as it was.
    let of_begun = record_of(&Layers::default().over(begun.given.clone()), of_groups())?;
    for (name, value) in of_begun.as_object().into_iter().flatten() {
        recorded[name] = value.clone();
    }
    run.recorded = with_accounts(recorded, begun.format.accounts);
    Ok(ResumeSettings { run, format: begun.format.clone(), use_copy: layers.get(&USE_COPY)? })
}

/// The settings of `verify`; the layers lie over those of the run.
pub(super) fn verify(begun: &Recorded, layers: &Layers) -> Result<VerifySettings, SettingsError> {
    let run = of_run(Command::Verify, recorded_spec(begun, layers)?, layers)?;
    Ok(VerifySettings { run, options: verify::Options::of(layers)? })
}

/// The settings of `undo`; the layers lie over those of the run.
pub(super) fn undo(begun: &Recorded, layers: &Layers) -> Result<UndoSettings, SettingsError> {
    let run = of_run(Command::Undo, recorded_spec(begun, layers)?, layers)?;
    let options = undo::Options::of(layers)?;
    let pairs = match layers.find(&PAIRS)? {
        None => None,
        // The file may be written in another way than the run's input, but its accounts are the run's.
        Some(path) => Some((path, Format::of(layers, begun.format.accounts)?)),
    };
    Ok(UndoSettings { run, pairs, options })
}

/// What is added up is counted once only where it is known what other runs have counted.
fn may_add_up(spec: &RawSpec, cluster: &ClusterSettings) -> Result<(), SettingsError> {
    match (&cluster.register, spec.sum()) {
        (None, Some(column)) => Err(SettingsError::new(format!(
            "--no-register: {column} is added up, and what another run has counted already only the register tells: leave \
             it out, or use another policy"
        ))),
        _ => Ok(()),
    }
}

/// What every command over a run works with.
fn of_run(command: Command, spec: RawSpec, layers: &Layers) -> Result<RunSettings, SettingsError> {
    let cluster = ClusterSettings::of(layers)?;
    let (events, work) = match command {
        Command::Verify if !verify::Options::of(layers)?.repair => {
            (None, WorkSettings::of_verification(layers)?)
        }
        Command::Verify => {
            (events(&spec, Silence::Allowed, layers)?, WorkSettings::of_verification(layers)?)
        }
        Command::Undo => (events(&spec, Silence::Allowed, layers)?, WorkSettings::of_undo(layers)?),
        _ => {
            may_add_up(&spec, &cluster)?;
            (events(&spec, Silence::Refused, layers)?, WorkSettings::of(layers)?)
        }
    };
    Ok(RunSettings {
        recorded: record(command, cluster.tls.is_some(), events.is_some(), layers)?,
        cluster,
        events,
        spec,
        work,
        until: Until::of(layers)?,
        listen: layers.find(&LISTEN)?,
        output: output(layers)?,
        secret_flags: secret_flags(layers),
    })
}

fn events(
    spec: &RawSpec,
    silence: Silence,
    layers: &Layers,
) -> Result<Option<EventSettings>, SettingsError> {
    match spec.event {
        None => Ok(None),
        Some(_) => events::of(layers, silence),
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
        Some(_) if path.is_none() && !layers.get(&NO_REGISTER)? => {
            ClusterSettings::of(layers).map(Some)
        }
        _ => Ok(None),
    }
}

/// Checks the settings that `config` shows as `apply` or, of a run, `resume` would.
pub(super) fn config(run: Option<&Recorded>, layers: &Layers) -> Result<(), SettingsError> {
    Format::of(layers, AccountType::default())?;
    let (command, spec) = match run {
        Some(run) => (Command::Resume, recorded_spec(run, layers)?),
        None => (Command::Apply, spec(layers)?.0),
    };
    layers.find(&RUN_DIR)?;
    of_run(command, spec, layers).map(drop)
}

#[cfg(test)]
mod tests;
