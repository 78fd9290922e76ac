//! The arguments of the commands that are about the tool itself.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use super::parts::{ClusterArgs, EventArgs, FormatArgs, LiveArgs, OutputArgs, PlaceArgs, WorkArgs};

pub(super) const CONFIG_EXAMPLES: &str = "\
EXAMPLES
  What would apply go by, and where does it come from?
    tributary config --config tributary.toml --rate 200

  What would resume go by?
    tributary config runs/20261123T041455Z-3f9a --config tributary.toml

  One value, for a script:
    tributary config --json | jq -r '.settings[] | select(.name == \"hosts\").value'

EXIT CODES
  0    apply (or resume) would take these settings
  2    something is missing or wrong; it is named, and whatever can be printed is";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
EXAMPLES
  For this shell only:
    source <(tributary completions bash)

  For good:
    tributary completions bash > /etc/bash_completion.d/tributary
    tributary completions zsh  > \"${fpath[1]}/_tributary\"
    tributary completions fish > ~/.config/fish/completions/tributary.fish";

pub(super) const MAN_EXAMPLES: &str = "\
EXAMPLES
  Read it at once:
    tributary man | man -l -

  Install the pages of all commands:
    tributary man /usr/local/share/man/man1 && man tributary-apply";

/// The arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// A run directory: show what `resume` would go by
    #[arg(value_name = "RUN")]
    pub run: Option<PathBuf>,

    /// How pairs are written.
    #[command(flatten)]
    pub format: FormatArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The events.
    #[command(flatten)]
    pub events: EventArgs,
    /// How to merge.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Where a run is kept.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// How to watch a run.
    #[command(flatten)]
    pub live: LiveArgs,
    /// How to report.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// The arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// A directory that gets a page for each command; without it, one page goes to standard output
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
