//! `config`: the settings in effect, and where each of them comes from.

use anyhow::Context;

use super::args::ConfigArgs;
use super::catalogue::{KAFKA, SETTINGS};
use super::layers::{Layers, Origin, SettingsError};
use super::recorded::Recorded;
use super::{Exit, Failure, Terminal, resolve};
use crate::report::{Configuration, SettingFacts, SettingOrigin, config_json, config_text};
use crate::run::RunDir;
use crate::secret::redacted;

/// Runs `config`. What is wrong with the settings is told after they have been printed.
pub(super) fn run(
    args: &ConfigArgs,
    layers: Layers<'_>,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let recorded = match &args.run {
        Some(run) => Some(Recorded::look(run, &RunDir::record(run)?)?),
        None => None,
    };
    let layers = match &recorded {
        Some(recorded) => layers.over(recorded),
        None => layers,
    };
    let (settings, wrong_property) = in_effect(&layers, args);
    let problem = wrong_property.or_else(|| resolve::config(args, &layers).err());
    let configuration = Configuration {
        version: Configuration::VERSION,
        command: "config",
        run: args.run.clone(),
        usable: problem.is_none(),
        problem: problem.as_ref().map(ToString::to_string),
        settings,
    };
    let text = match layers.switch("json", args.output.json) {
        true => config_json(&configuration).map_err(Failure::failed)?,
        false => config_text(&configuration),
    };
    let printed = terminal.print(&text).context("cannot write to standard output");
    printed.map_err(Failure::failed)?;
    problem.map_or(Ok(Exit::Done), |problem| Err(problem.into()))
}

/// Every setting, then Kafka's properties; and what is wrong with the way in which those are written.
fn in_effect(layers: &Layers<'_>, args: &ConfigArgs) -> (Vec<SettingFacts>, Option<SettingsError>) {
    let mut settings: Vec<_> = SETTINGS
        .iter()
        .map(|setting| match layers.written(setting) {
            Some((value, origin)) => SettingFacts::new(setting.name, Some(value), shown(&origin)),
            None => {
                let default = Some(setting.default).filter(|default| !default.is_empty());
                SettingFacts::new(setting.name, default.map(str::to_owned), SettingOrigin::Default)
            }
        })
        .collect();
    let properties = match layers.written_properties(&args.events.properties) {
        Ok(properties) => properties,
        Err(wrong) => return (settings, Some(wrong)),
    };
    for (position, (key, value, origin)) in properties.iter().enumerate() {
        // Of several with one name, the last is in effect.
        if !properties[position + 1..].iter().any(|(other, ..)| other == key) {
            let value = redacted(key, value).to_owned();
            let name = format!("{KAFKA}.{key}");
            settings.push(SettingFacts::new(&name, Some(value), shown(origin)));
        }
    }
    (settings, None)
}

fn shown(origin: &Origin) -> SettingOrigin {
    match origin.clone() {
        Origin::Flag(name) => SettingOrigin::Flag { name },
        Origin::Environment(name) => SettingOrigin::Environment { name },
        Origin::File(path, _, line) => SettingOrigin::File { path, line },
        Origin::Run(path, _) => SettingOrigin::Run { path },
    }
}
