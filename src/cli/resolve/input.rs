//! Where the pairs are and how they are read.

use std::path::Path;

use crate::cli::args::{FormatArgs, InputArgs, PlannedInputArgs};
use crate::cli::bound::Bound;
use crate::cli::layers::{Layers, SettingsError};
use crate::cli::settings::{InputSettings, InputSource};
use crate::cli::values;
use crate::model::AccountType;
use crate::pairs::{Accepted, Format};
use crate::spec::RawSpec;

/// The pairs that are named, with accounts of the type that the specification says.
pub(super) fn input(
    args: &InputArgs,
    spec: &RawSpec,
    layers: &Layers<'_>,
) -> Result<InputSettings, SettingsError> {
    let source = source(&args.pairs)?;
    Ok(InputSettings { source, format: format(&args.format, spec.accounts(), layers)? })
}

/// The pairs that are named, or the plan's own copy of them; a plan has read them in its way.
pub(super) fn planned(
    args: &PlannedInputArgs,
    plan: Option<&Bound>,
    spec: &RawSpec,
    layers: &Layers<'_>,
) -> Result<InputSettings, SettingsError> {
    let format = match plan {
        None => format(&args.format, spec.accounts(), layers)?,
        Some(plan) => format_over(&args.format, plan.format().clone(), layers)?,
    };
    let source = match (&args.pairs, plan) {
        (Some(pairs), _) => source(pairs)?,
        (None, Some(plan)) => InputSource::File(plan.copy().to_path_buf()),
        (None, None) => {
            return Err(SettingsError::new("PAIRS is missing: the file with the pairs"));
        }
    };
    Ok(InputSettings { source, format })
}

fn source(pairs: &Path) -> Result<InputSource, SettingsError> {
    match pairs.as_os_str().to_str() {
        Some("-") => Ok(InputSource::Stdin),
        Some("") => Err(SettingsError::new("PAIRS: '' is not a file")),
        _ => Ok(InputSource::File(pairs.to_path_buf())),
    }
}

/// How pairs of such accounts are written.
pub(super) fn format(
    args: &FormatArgs,
    accounts: AccountType,
    layers: &Layers<'_>,
) -> Result<Format, SettingsError> {
    format_over(args, Format { accounts, ..Format::default() }, layers)
}

/// How pairs are written, where nothing is said as in `default`.
fn format_over(
    args: &FormatArgs,
    default: Format,
    layers: &Layers<'_>,
) -> Result<Format, SettingsError> {
    let name = |text: &str| {
        if text.trim().is_empty() { Err("is not a column".to_owned()) } else { Ok(text.to_owned()) }
    };
    let accept = (!args.accept.is_empty()).then(|| args.accept.join(","));
    let format = Format {
        from_column: layers
            .value("from_column", args.from_column.as_ref(), name)?
            .unwrap_or(default.from_column),
        to_column: layers
            .value("to_column", args.to_column.as_ref(), name)?
            .unwrap_or(default.to_column),
        delimiter: layers
            .value("delimiter", args.delimiter.as_ref(), values::delimiter)?
            .unwrap_or(default.delimiter),
        trim: layers.switch("trim", args.trim) || default.trim,
        accept: layers.value("accept", accept.as_ref(), Accepted::parse)?.unwrap_or(default.accept),
        accounts: default.accounts,
    };
    format.check().map_err(|error| SettingsError::new(error.to_string()))?;
    Ok(format)
}
