//! The flags of a plan that looks at the cluster, and of a run that is bound to a plan.

use std::path::PathBuf;

use clap::Args;

use super::FormatArgs;
use crate::advice::Advice;
use crate::cli::values;

/// What a plan looks up in the cluster.
#[derive(Debug, Args)]
#[command(next_help_heading = "Inspection")]
pub struct InspectArgs {
    /// Read the cluster, and say what a merge would do there: of all groups, or of a sample of N
    ///
    /// `all` (the default) is exact, and reads what a merge reads. `sample=N` reads N groups, drawn at random, and
    /// gives 95 % confidence intervals. Nothing is written.
    #[arg(
        long,
        value_name = "all|sample=N",
        num_args = 0..=1,
        default_missing_value = "all",
        value_parser = not_the_pairs
    )]
    pub inspect: Option<String>,

    /// How enrolments are found: content or scan [default: content]
    ///
    /// With `scan`, the inspection reads every key of the table, as `apply --discover scan` would, and says how many
    /// enrolments `content` would miss.
    #[arg(long, value_name = "WAY", env = "TRIBUTARY_DISCOVER", hide_env = true)]
    pub discover: Option<String>,
}

/// Where the pairs of a run are, and which plan it is bound to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct PlannedInputArgs {
    /// The pairs: a CSV with a header, plain or gzip; `-` is standard input
    #[arg(value_name = "PAIRS", required_unless_present = "plan")]
    pub pairs: Option<PathBuf>,

    /// Merge what this plan says, and refuse anything else: the run directory of a `plan`
    ///
    /// The pairs (by SHA-256), the specification and the groups must be those of the plan, and, if it has inspected
    /// a cluster, the keyspace and --discover. Without PAIRS, the plan's own copy is merged.
    #[arg(long, value_name = "RUN")]
    pub plan: Option<PathBuf>,

    /// How they are written.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// `--inspect` may stand alone, so that whatever follows is taken for its value: what is none is told here, with
/// what was probably meant.
fn not_the_pairs(text: &str) -> Result<String, String> {
    values::inspect(text).map(|_| text.to_owned()).map_err(|wrong| {
        format!(
            "it {wrong}. If these are the pairs, they come first: {}",
            Advice::Inspect { pairs: text.into() }
        )
    })
}
