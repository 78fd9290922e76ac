//! The command line as it is written: every flag, its help and its environment variable.
//!
//! Nothing is checked here and nothing has a default: values are text until they have been laid over
//! the configuration file and checked, once, by [`resolve`](super::resolve).

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Args, Command as Clap, Error, Parser, Subcommand};

const AFTER_HELP: &str = "\
EXIT CODES
  0    all done
  1    failed: host, schema, broker, run directory, or stopped by --max-errors
  2    unusable arguments, configuration or input; nothing was tried
  3    finished, but lines were rejected or groups failed
  130  interrupted

Settings are taken from flags, then from the environment (TRIBUTARY_IN_FLIGHT for
--in-flight), then from the file named by --config, then from the defaults.";

const PLAN_EXAMPLES: &str = "\
EXAMPLES
  Look at a file before anything is changed (no cluster is needed):
    tributary plan pairs.csv

  Columns of other names, semicolons, compressed, from standard input:
    tributary plan --from-column old --to-column new --delimiter ';' - < pairs.csv.gz

  Only the numbers, for a script:
    tributary plan pairs.csv --json | jq .plan.rejected";

const APPLY_EXAMPLES: &str = "\
EXAMPLES
  Try the first hundred groups on a cluster, then all of them:
    tributary apply pairs.csv --hosts db1:9042,db2:9042 --keyspace sunbird_courses \\
      --brokers kafka1:9092 --topic course.batch.job.request --limit 100
    tributary apply pairs.csv --config tributary.toml

  With a login and an encrypted Kafka (secrets are not for the command line):
    export TRIBUTARY_PASSWORD=… TRIBUTARY_KAFKA_SASL_PASSWORD=…
    tributary apply pairs.csv --config tributary.toml --username merger \\
      -X security.protocol=SASL_SSL -X sasl.mechanism=SCRAM-SHA-512 -X sasl.username=merger

  What failed, once more:
    tributary apply runs/20261123T041455Z-3f9a/failures.csv --config tributary.toml

CONFIGURATION FILE
  The long names of the flags with _ for -, and a table for Kafka's properties:
    hosts = [\"db1:9042\", \"db2:9042\"]
    keyspace = \"sunbird_courses\"
    username = \"merger\"
    password_file = \"/run/secrets/cassandra\"
    topic = \"course.batch.job.request\"
    in_flight = 512

    [kafka]
    security.protocol = \"SASL_SSL\"
    sasl.username = \"merger\"";

/// Merges duplicate accounts in Apache Cassandra and announces each changed enrolment on Kafka.
///
/// The input is a CSV of pairs: everything that belongs to the account `from` moves under the account
/// `to`, nothing is lost, and `from` is empty afterwards.
#[derive(Debug, Parser)]
#[command(version, after_long_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check and resolve the pairs. Opens no connection and changes nothing.
    ///
    /// Says how many groups the pairs make, which lines are rejected and why, and writes
    /// rejects.csv and report.json into a run directory.
    #[command(after_long_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Merge the accounts and announce what changed.
    ///
    /// Plans first, as `plan` does; then merges group by group: rows are copied before they are
    /// deleted, and events are sent when all is written. Merging is idempotent: what was
    /// interrupted or has failed is simply applied again.
    #[command(after_long_help = APPLY_EXAMPLES)]
    Apply(Box<ApplyArgs>),
}

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Where the pairs are.
    #[command(flatten)]
    pub input: InputArgs,
    /// Where to report.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The arguments of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Where the pairs are.
    #[command(flatten)]
    pub input: InputArgs,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// The events.
    #[command(flatten)]
    pub events: EventArgs,
    /// How to merge.
    #[command(flatten)]
    pub work: WorkArgs,
    /// Where to report.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Where the pairs are and how they are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// The pairs: a CSV with a header, plain or gzip; `-` is standard input
    #[arg(value_name = "PAIRS")]
    pub pairs: PathBuf,

    /// The column with the account that is emptied [default: from]
    #[arg(long, value_name = "NAME", env = "TRIBUTARY_FROM_COLUMN", hide_env = true)]
    pub from_column: Option<String>,

    /// The column with the account that receives everything [default: to]
    #[arg(long, value_name = "NAME", env = "TRIBUTARY_TO_COLUMN", hide_env = true)]
    pub to_column: Option<String>,

    /// What separates the columns: one character, or `tab` [default: ,]
    #[arg(long, value_name = "CHAR", env = "TRIBUTARY_DELIMITER", hide_env = true)]
    pub delimiter: Option<String>,

    /// Strip white space around ids, instead of rejecting such lines
    #[arg(long, env = "TRIBUTARY_TRIM", hide_env = true, value_parser = SwitchParser)]
    pub trim: bool,
}

/// How a cluster is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cassandra")]
pub struct ClusterArgs {
    /// Contact points, as host:port,… [default: 127.0.0.1:9042]
    #[arg(long, value_name = "HOSTS", env = "TRIBUTARY_HOSTS", hide_env = true)]
    pub hosts: Option<String>,

    /// The keyspace that holds the tables
    #[arg(long, value_name = "NAME", env = "TRIBUTARY_KEYSPACE", hide_env = true)]
    pub keyspace: Option<String>,

    /// The datacenter to work in, where there are several
    #[arg(long, value_name = "NAME", env = "TRIBUTARY_LOCAL_DC", hide_env = true)]
    pub local_dc: Option<String>,

    /// The user to log in as
    ///
    /// The password is taken from TRIBUTARY_PASSWORD, or from `password` or `password_file` in the
    /// configuration file; never from the command line, where other users could see it.
    #[arg(long, value_name = "NAME", env = "TRIBUTARY_USERNAME", hide_env = true)]
    pub username: Option<String>,

    /// The consistency level of every read and write [default: LOCAL_QUORUM]
    ///
    /// Below a majority, rows that were acknowledged elsewhere may be overlooked and then lost.
    #[arg(long, value_name = "LEVEL", env = "TRIBUTARY_CONSISTENCY", hide_env = true)]
    pub consistency: Option<String>,
}

/// Where events go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kafka")]
pub struct EventArgs {
    /// Brokers to begin with, as host:port,… [default: 127.0.0.1:9092]
    #[arg(long, value_name = "BROKERS", env = "TRIBUTARY_BROKERS", hide_env = true)]
    pub brokers: Option<String>,

    /// The topic that gets the events; one that the broker can create is fine
    #[arg(long, value_name = "TOPIC", env = "TRIBUTARY_TOPIC", hide_env = true)]
    pub topic: Option<String>,

    /// Merge without announcing it
    #[arg(
        long,
        env = "TRIBUTARY_NO_EVENTS",
        hide_env = true,
        value_parser = SwitchParser
    )]
    pub no_events: bool,

    /// A property for librdkafka (repeatable)
    ///
    /// Also by environment, as TRIBUTARY_KAFKA_SASL_PASSWORD for `sasl.password`, or in the table
    /// `[kafka]` of the configuration file; secrets belong there. All properties:
    /// <https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md>
    #[arg(short = 'X', value_name = "KEY=VALUE", action = ArgAction::Append)]
    pub properties: Vec<String>,
}

/// What is merged, how fast, and when to stop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Merging")]
pub struct WorkArgs {
    /// A merge specification [default: the built-in course-batch]
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_SPEC", hide_env = true)]
    pub spec: Option<String>,

    /// Groups that are merged at once, at most [default: 256]
    #[arg(long, value_name = "N", env = "TRIBUTARY_IN_FLIGHT", hide_env = true)]
    pub in_flight: Option<String>,

    /// How far before its first read a group is merged as of: 2s, 500ms, 1m [default: 2s]
    ///
    /// Writes of the application that are stamped before that instant must have arrived by the time
    /// a group is read. The run waits that long once, at its start.
    #[arg(long, value_name = "DURATION", env = "TRIBUTARY_SETTLE", hide_env = true)]
    pub settle: Option<String>,

    /// Only the first N groups
    #[arg(long, value_name = "N", env = "TRIBUTARY_LIMIT", hide_env = true)]
    pub limit: Option<String>,

    /// Stop when more groups than this have failed: a number, or a share such as 5% [default: 1000]
    #[arg(long, value_name = "N|N%", env = "TRIBUTARY_MAX_ERRORS", hide_env = true)]
    pub max_errors: Option<String>,
}

/// Where and how to report.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The run directory, which must be missing or empty [default: a new one under runs/]
    #[arg(long, value_name = "DIR", env = "TRIBUTARY_RUN_DIR", hide_env = true)]
    pub run_dir: Option<String>,

    /// Print the report as JSON
    #[arg(long, env = "TRIBUTARY_JSON", hide_env = true, value_parser = SwitchParser)]
    pub json: bool,

    /// No progress, and nothing but errors on standard error
    #[arg(
        short,
        long,
        env = "TRIBUTARY_QUIET",
        hide_env = true,
        value_parser = SwitchParser
    )]
    pub quiet: bool,

    /// Say more on standard error and in run.log; twice: much more
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// A file with settings (TOML)
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
}

/// The value of a switch, which only the environment can give. An empty one is let pass:
/// [`resolve`](super::resolve) takes it for unset.
#[derive(Clone, Debug)]
struct SwitchParser;

impl TypedValueParser for SwitchParser {
    type Value = bool;

    fn parse_ref(
        &self,
        command: &Clap,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Self::Value, Error> {
        match value.is_empty() {
            true => Ok(false),
            false => BoolishValueParser::new().parse_ref(command, arg, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn plan_takes_no_connection() {
        assert!(Cli::try_parse_from(["tributary", "plan", "p.csv"]).is_ok());
        let refused = Cli::try_parse_from(["tributary", "plan", "p.csv", "--hosts", "h:1"]);
        assert_eq!(refused.unwrap_err().exit_code(), 2);
    }
}
