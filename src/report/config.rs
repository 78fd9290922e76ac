//! What `config` shows: the settings in effect, and where each comes from.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::export::{pad_end, printable, width};

/// The settings in effect. Secrets have been redacted.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Configuration {
    /// The version of this format.
    pub version: u32,
    /// `config`.
    pub command: &'static str,
    /// The run that would be resumed; none if a new one would be begun.
    pub run: Option<PathBuf>,
    /// Whether the command would take these settings.
    pub(crate) usable: bool,
    /// Why not.
    pub(crate) problem: Option<String>,
    /// Every setting, in the order of the help.
    pub settings: Vec<SettingFacts>,
}

impl Configuration {
    /// The version that is written.
    pub(crate) const VERSION: u32 = 1;
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct SettingFacts {
    /// Its name, as in the configuration file.
    pub name: String,
    /// Its value, as it could be given; none if it is not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub(crate) origin: SettingOrigin,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "layer", rename_all = "lowercase")]
pub(crate) enum SettingOrigin {
    /// The command line.
    Flag {
        /// The flag.
        name: String,
    },
    Environment {
        /// The variable.
        name: String,
    },
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
    },
    /// The run's own settings.
    Run {
        /// Its run.json.
        path: PathBuf,
    },
    /// Nothing was said.
    Default,
}

impl SettingFacts {
    pub(crate) fn new(name: &str, value: Option<String>, origin: SettingOrigin) -> Self {
        Self { name: name.to_owned(), value, origin }
    }
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag { name } | Self::Environment { name } => f.write_str(name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Run { path } => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The settings as JSON, with a line feed at its end.
pub(crate) fn config_json(configuration: &Configuration) -> serde_json::Result<String> {
    serde_json::to_string_pretty(configuration).map(|json| json + "\n")
}

/// The settings as a table: name, origin, value. The value stands last because it may be long.
pub(crate) fn config_text(configuration: &Configuration) -> String {
    let rows: Vec<_> = configuration
        .settings
        .iter()
        .map(|setting| {
            let value = setting.value.as_ref().map_or("-".to_owned(), |value| printable(value));
            (setting.name.as_str(), printable(&setting.origin.to_string()), value)
        })
        .collect();
    let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or_default();
    let name_width = widest(&mut rows.iter().map(|(name, ..)| name.len()));
    let origin_width = widest(&mut rows.iter().map(|(_, origin, _)| width(origin)));
    rows.iter()
        .map(|(name, origin, value)| {
            let (name, origin) = (pad_end(name, name_width), pad_end(origin, origin_width));
            format!("{name}  {origin}  {value}\n")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_each_other_and_steer_no_terminal() {
        let file = SettingOrigin::File { path: "a.toml".into(), line: 3 };
        let configuration = Configuration {
            version: Configuration::VERSION,
            command: "config",
            run: None,
            usable: true,
            problem: None,
            settings: vec![
                SettingFacts::new("topic", None, SettingOrigin::Default),
                SettingFacts::new("run_dir", Some("\u{1b}[2J".into()), file),
            ],
        };
        assert_eq!(
            config_text(&configuration),
            "topic    default   -\nrun_dir  a.toml:3  \\u{1b}[2J\n"
        );
        let json = config_json(&configuration).unwrap();
        crate::report::tests::documented("config", &json);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["settings"][0]["origin"]["layer"], "default");
        assert_eq!(json["settings"][1]["origin"]["line"], 3);
    }
}
