//! The settings of the commands that go through a run that is over.

use super::input::format;
use super::{SETTLE, Silence, cluster, events, listen, output, pace, recorded_spec};
use crate::cli::args::{UndoArgs, VerifyArgs};
use crate::cli::layers::{Layers, SettingsError};
use crate::cli::recorded::Recorded;
use crate::cli::settings::{UndoSettings, VerifySettings};
use crate::cli::until::Until;
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
        pace: pace(args.pace.given(), layers)?,
        until: Until::of(&args.until)?,
        listen: listen(&args.live, layers)?,
        output: output(&args.output, layers)?,
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
        // The file may be written in another way than the run's input, but its accounts are the run's.
        Some(path) => Some((path.clone(), format(&args.format, run.format().accounts, layers)?)),
    };
    Ok(UndoSettings {
        cluster: cluster(&args.cluster, layers)?,
        events: events(&args.events, &spec, Silence::Allowed, layers)?,
        spec,
        pairs,
        force: args.force,
        settle: layers.value("settle", None, values::settle)?.unwrap_or(SETTLE),
        pace: pace(args.pace.given(), layers)?,
        until: Until::of(&args.until)?,
        listen: listen(&args.live, layers)?,
        output: output(&args.output, layers)?,
        secret_flags: layers.secret_flags(&args.events.properties),
    })
}
