//! `config`: the settings in effect, and where each of them comes from.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::catalogue::{self, output::JSON};
use super::exit::{Exit, Failure};
use super::recorded::Recorded;
use super::resolve;
use super::terminal::Terminal;
use crate::report::{Configuration, SettingFacts, SettingOrigin, config_json, config_text};
use crate::run::RunDir;
use crate::secret::{REDACTED, redacted_address};
use crate::setting::{Described, Layer, Layers, Origin, ValueKind};

/// Runs `config`. What is wrong with the settings is told after they have been printed.
pub(super) fn run(
    run: Option<PathBuf>,
    layers: Layers,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let load = |run: &Path| Recorded::load(run, &RunDir::record(run)?);
    let recorded = run.as_deref().map(load).transpose()?;
    let layers = layers.over(recorded.iter().flat_map(|run| run.given.clone()));
    let problem = resolve::config(recorded.as_ref(), &layers).err();
    let configuration = Configuration {
        version: Configuration::VERSION,
        command: "config",
        run,
        usable: problem.is_none(),
        problem: problem.as_ref().map(ToString::to_string),
        settings: in_effect(&layers),
    };
    let text = match layers.get(&JSON)? {
        true => config_json(&configuration).map_err(Failure::failed)?,
        false => config_text(&configuration),
    };
    let printed = terminal.print(&text).context("cannot write to standard output");
    printed.map_err(Failure::failed)?;
    problem.map_or(Ok(Exit::Done), |problem| Err(problem.into()))
}

/// Every setting, then the properties of tables.
fn in_effect(layers: &Layers) -> Vec<SettingFacts> {
    let rows = catalogue::all().map(Described::row).filter(|row| row.is_in(Layer::File));
    let (tables, rows): (Vec<_>, Vec<_>) = rows.partition(|row| row.kind == ValueKind::Table);
    let settings = rows.into_iter().map(|row| match layers.written(row) {
        None => {
            let default = Some(row.default).filter(|default| !default.is_empty());
            SettingFacts::new(row.name, default.map(str::to_owned), SettingOrigin::Default)
        }
        Some(given) => {
            let text = match row.kind {
                ValueKind::Secret => REDACTED.to_owned(),
                _ => redacted_address(&given.text),
            };
            SettingFacts::new(row.name, Some(text), shown(&given.origin))
        }
    });
    let properties = tables.into_iter().flat_map(|row| layers.table(row)).map(|given| {
        let (_, text) = given.shown();
        SettingFacts::new(&given.key, Some(text.to_owned()), shown(&given.origin))
    });
    settings.chain(properties).collect()
}

fn shown(origin: &Origin) -> SettingOrigin {
    match origin.clone() {
        Origin::Flag(name) => SettingOrigin::Flag { name },
        Origin::Environment(name) => SettingOrigin::Environment { name },
        Origin::File(path, _, line) => SettingOrigin::File { path, line },
        Origin::Run(path, _) => SettingOrigin::Run { path },
    }
}
