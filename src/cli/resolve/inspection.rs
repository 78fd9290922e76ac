//! The settings of a plan that looks at the cluster.

use super::{cluster, pace};
use crate::cli::args::PlanArgs;
use crate::cli::layers::{Layers, SettingsError};
use crate::cli::settings::InspectSettings;
use crate::cli::values;

/// What is looked up in the cluster, if anything is.
pub(super) fn inspect(
    args: &PlanArgs,
    layers: &Layers<'_>,
) -> Result<Option<InspectSettings>, SettingsError> {
    let Some(inspect) = &args.inspect.inspect else {
        return refuse_connection(args, layers).map(|()| None);
    };
    let sample = values::inspect(inspect)
        .map_err(|wrong| SettingsError::new(format!("--inspect: '{inspect}' {wrong}")))?;
    Ok(Some(InspectSettings {
        cluster: cluster(&args.cluster, layers)?,
        sample,
        discover: layers
            .value("discover", args.inspect.discover.as_ref(), values::discover)?
            .unwrap_or_default(),
        pace: pace(args.pace.given(), layers)?,
    }))
}

/// Without --inspect no connection is opened, so that a flag of one was given by mistake. What comes from the
/// environment or the configuration file is there for other commands too.
fn refuse_connection(args: &PlanArgs, layers: &Layers<'_>) -> Result<(), SettingsError> {
    let given = [
        ("hosts", &args.cluster.hosts),
        ("keyspace", &args.cluster.keyspace),
        ("local_dc", &args.cluster.local_dc),
        ("tls_ca", &args.cluster.tls_ca),
        ("tls_cert", &args.cluster.tls_cert),
        ("tls_key", &args.cluster.tls_key),
        ("username", &args.cluster.username),
        ("consistency", &args.cluster.consistency),
        ("discover", &args.inspect.discover),
        ("in_flight", &args.pace.in_flight),
        ("rate", &args.pace.rate),
        ("max_latency", &args.pace.max_latency),
    ];
    match given.iter().find(|(setting, value)| layers.is_flag(setting, value.as_ref())) {
        None => Ok(()),
        Some((setting, _)) => Err(SettingsError::new(format!(
            "--{}: a plan opens no connection unless --inspect tells it to look at the cluster",
            setting.replace('_', "-")
        ))),
    }
}
