//! What there is to know of a setting but the type of its values.

use serde_json::Value;

/// A command that takes settings; its text is what is typed after the name of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumIter, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Command {
    Plan,
    Apply,
    Resume,
    Verify,
    Undo,
    #[strum(to_string = "runs", serialize = "runs lost", serialize = "runs close")]
    Runs,
    #[strum(to_string = "runs prune")]
    RunsPrune,
    #[strum(to_string = "spec show")]
    SpecShow,
    #[strum(to_string = "spec check")]
    SpecCheck,
    #[strum(to_string = "spec init")]
    SpecInit,
    Lookup,
    Forget,
    #[strum(to_string = "control status")]
    ControlStatus,
    Config,
}

/// How a setting may be written in the configuration file and on the command line; in the file, all but switches,
/// secrets and tables also as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Text,
    /// A number or a word.
    Number,
    /// Texts, which are joined by commas; the flag may be repeated.
    List,
    /// True or false; a flag without a value.
    Switch,
    /// How often the flag is given.
    Count,
    /// A flag that may stand alone, and then has this value.
    Optional(&'static str),
    /// The path of a file, in the configuration file from its folder.
    Path,
    /// Text that is never shown.
    Secret,
    /// Properties by name, which are settings of something else: `[kafka]`.
    Table,
}

/// Where a setting can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    Flag,
    Environment,
    File,
}

/// What there is to know of a setting but the type of its values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettingRow {
    /// The key in the configuration file; flag and variable are made of it.
    pub(crate) name: &'static str,
    /// How it may be written.
    pub(crate) kind: ValueKind,
    /// What stands for the value in the help.
    pub(crate) value_name: &'static str,
    /// The short flag.
    pub(crate) short: Option<char>,
    /// The text of its value where nothing is said; empty if it is nothing then.
    pub(crate) default: &'static str,
    /// A value that it could have, where the default is none.
    pub(crate) example: &'static str,
    /// Where it can be given.
    pub(crate) layers: &'static [Layer],
    /// Where it stands in the help; empty for the common options.
    pub(crate) heading: &'static str,
    /// Which commands take it; `config` takes whatever can be in the configuration file.
    pub(crate) commands: &'static [Command],
    /// Whether it is a secret, or names a file that holds one.
    pub(crate) secret: bool,
    pub(crate) recorded: Option<Recorded>,
    /// Whether a run that goes on must keep to what it recorded.
    pub(crate) pinned: bool,
    /// What it is, for those who must give it and have not.
    pub(super) missing: &'static str,
    /// What it is for, as it stands above the row: a summary, and paragraphs behind empty lines.
    pub(super) help: &'static str,
}

/// Where and how the settings in a run.json hold one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    /// A JSON pointer without its leading `/`.
    pub(crate) at: &'static str,
    /// The text of what is there, as it could be given; nothing if it says nothing.
    pub(crate) recall: fn(&Value) -> Option<String>,
}

impl SettingRow {
    /// Whether it can be given there.
    pub(crate) fn is_in(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }

    /// Whether a command takes it.
    pub(crate) fn is_taken_by(&self, command: Command) -> bool {
        self.commands.contains(&command) || command == Command::Config && self.is_in(Layer::File)
    }

    /// The long flag, or the short one where there is no long one.
    pub(crate) fn flag(&self) -> String {
        match (self.kind, self.short) {
            (ValueKind::Table | ValueKind::Count, Some(short)) => format!("-{short}"),
            _ => format!("--{}", self.name.replace('_', "-")),
        }
    }

    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("TRIBUTARY_{}", self.name.to_uppercase())
    }

    /// The paragraphs of its help, the summary first and with the default.
    pub(crate) fn help(&self) -> Vec<String> {
        let paragraphs = self.help.split("\n\n").map(|paragraph| {
            paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
        });
        let mut paragraphs: Vec<_> = paragraphs.collect();
        let shows_default = self.default.is_empty()
            || matches!(self.kind, ValueKind::Switch | ValueKind::Count)
            || self.help.contains("[default:");
        if let (Some(summary), false) = (paragraphs.first_mut(), shows_default) {
            *summary += &format!(" [default: {}]", self.default);
        }
        paragraphs
    }
}
