//! The settings of the commands that go through a run that is over.

use super::{
    IN_FLIGHT, MAX_IN_FLIGHT, SETTLE, Silence, cluster, events, format, output, recorded_spec,
};
use crate::cli::args::{PaceArgs, UndoArgs, VerifyArgs};
use crate::cli::layers::{Layers, SettingsError};
use crate::cli::recorded::Recorded;
use crate::cli::settings::{PaceSettings, UndoSettings, VerifySettings};
use crate::cli::values;

/// The settings of `verify`; the layers lie over those of the run.
pub(in crate::cli) fn verify(
    args: &VerifyArgs,
    run: &Recorded,
    layers: &Layers<'_>,
) -> Result<VerifySettings, SettingsError> {
    let spec = recorded_spec(None, run, layers)?;
    let events = match args.repair {
        true => events(&args.events, &spec, Silence::Allowed, layers)?,
        false => None,
    };
    Ok(VerifySettings {
        cluster: cluster(&args.cluster, layers)?,
        events,
        spec,
        repair: args.repair,
        restart: args.restart,
        pace: pace(&args.pace, layers)?,
        output: output(&args.output, layers),
        secret_flags: layers.secret_flags(&args.events.properties),
    })
}

/// The settings of `undo`; the layers lie over those of the run.
pub(in crate::cli) fn undo(
    args: &UndoArgs,
    run: &Recorded,
    layers: &Layers<'_>,
) -> Result<UndoSettings, SettingsError> {
    let spec = recorded_spec(None, run, layers)?;
    let pairs = match &args.pairs {
        None => None,
        Some(path) => Some((path.clone(), format(&args.format, layers)?)),
    };
    Ok(UndoSettings {
        cluster: cluster(&args.cluster, layers)?,
        events: events(&args.events, &spec, Silence::Allowed, layers)?,
        spec,
        pairs,
        force: args.force,
        settle: layers.value("settle", None, values::settle)?.unwrap_or(SETTLE),
        pace: pace(&args.pace, layers)?,
        output: output(&args.output, layers),
        secret_flags: layers.secret_flags(&args.events.properties),
    })
}

fn pace(args: &PaceArgs, layers: &Layers<'_>) -> Result<PaceSettings, SettingsError> {
    let in_flight = |text: &str| values::count(text, 1, MAX_IN_FLIGHT);
    Ok(PaceSettings {
        in_flight: layers
            .value("in_flight", args.in_flight.as_ref(), in_flight)?
            .unwrap_or(IN_FLIGHT),
        rate: layers.value("rate", args.rate.as_ref(), values::rate)?,
    })
}
