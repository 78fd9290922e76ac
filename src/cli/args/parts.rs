//! The groups of flags that commands are made of.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Args, Command as Clap, Error};

/// Where the pairs are and how they are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct InputArgs {
    /// The pairs: a CSV with a header, plain or gzip; `-` is standard input
    #[arg(value_name = "PAIRS")]
    pub pairs: PathBuf,

    /// How they are written.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// How pairs are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub struct FormatArgs {
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

    /// Merge lines that a rule holds back: header, invalid-id, placeholder, spreadsheet; several by commas
    ///
    /// Their ids are taken as they stand. The report says which rule holds what back, and how many lines it let
    /// through. An id that is empty, too long, surrounded by white space or no value of the accounts' type is never
    /// let through.
    #[arg(long, value_name = "RULE", env = "TRIBUTARY_ACCEPT", hide_env = true)]
    pub accept: Vec<String>,
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

    /// Encrypt the connections; so does any of the next three
    #[arg(long, env = "TRIBUTARY_TLS", hide_env = true, value_parser = SwitchParser)]
    pub tls: bool,

    /// The CAs that may sign the nodes' certificates (PEM) [default: those that this machine trusts]
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_TLS_CA", hide_env = true)]
    pub tls_ca: Option<String>,

    /// The certificate that we show, with those that lead to its CA (PEM)
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_TLS_CERT", hide_env = true)]
    pub tls_cert: Option<String>,

    /// Its private key (PEM, not encrypted)
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_TLS_KEY", hide_env = true)]
    pub tls_key: Option<String>,

    /// Accept a node's certificate whomever it is for, if a trusted CA signed it
    ///
    /// Otherwise it has to be for the address of the node, or for one of the names in --hosts. Without this
    /// check, everybody who owns any certificate of that CA can pass for a node.
    #[arg(
        long,
        env = "TRIBUTARY_TLS_NO_HOSTNAME_CHECK",
        hide_env = true,
        value_parser = SwitchParser
    )]
    pub tls_no_hostname_check: bool,

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

/// What is merged.
#[derive(Debug, Args)]
#[command(next_help_heading = "Merging")]
pub struct SpecArgs {
    /// A merge specification [default: the built-in course-batch]
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_SPEC", hide_env = true)]
    pub spec: Option<String>,
}

/// What is merged, how fast, and when to stop.
#[derive(Debug, Args)]
#[command(next_help_heading = "Merging")]
pub struct WorkArgs {
    /// What is merged.
    #[command(flatten)]
    pub spec: SpecArgs,

    /// How enrolments are found: content or scan [default: content]
    ///
    /// `content` looks in the batches that the content rows of the sources name; an enrolment in a batch for
    /// which a source has no content row is not seen. `scan` reads every key of the table once before the first
    /// group is merged, and once more at the end, and sees them all. A run keeps to what it began with.
    #[arg(long, value_name = "WAY", env = "TRIBUTARY_DISCOVER", hide_env = true)]
    pub discover: Option<String>,

    /// Requests to the cluster at once: a number, or auto [default: auto]
    ///
    /// A request reads or writes for many groups. `auto` takes the fewest that bring nine tenths of what is within
    /// reach, from 4 to 256.
    #[arg(long, value_name = "N", env = "TRIBUTARY_IN_FLIGHT", hide_env = true)]
    pub in_flight: Option<String>,

    /// Groups per second, at most, or none [default: as many as the cluster can take]
    #[arg(long, value_name = "N", env = "TRIBUTARY_RATE", hide_env = true)]
    pub rate: Option<String>,

    /// Fewer requests at once while reads take longer than this: 20ms, or none [default: none]
    ///
    /// A small read of a merged account is made a hundred times a second; all but one in a hundred should take no
    /// longer. --in-flight is then the most that is taken.
    #[arg(long, value_name = "DURATION", env = "TRIBUTARY_MAX_LATENCY", hide_env = true)]
    pub max_latency: Option<String>,

    /// How far before its first read a group is merged as of: 2s, 500ms, 1m [default: 2s]
    ///
    /// Writes of the application that are stamped before that instant must have arrived by the time
    /// a group is read. The run waits that long once, at its start.
    #[arg(long, value_name = "DURATION", env = "TRIBUTARY_SETTLE", hide_env = true)]
    pub settle: Option<String>,

    /// Only the first N groups of the plan; `all` lifts a limit that was set elsewhere
    #[arg(long, value_name = "N|all", env = "TRIBUTARY_LIMIT", hide_env = true)]
    pub limit: Option<String>,

    /// Stop when more groups than this have failed: a number, or a share such as 5% [default: 1000]
    #[arg(long, value_name = "N|N%", env = "TRIBUTARY_MAX_ERRORS", hide_env = true)]
    pub max_errors: Option<String>,

    /// Do not look at the sources again at the end
    ///
    /// What the application writes to a source while it is merged then stays under the source, until a
    /// `resume` without this flag.
    #[arg(
        long,
        env = "TRIBUTARY_NO_SWEEP",
        hide_env = true,
        value_parser = SwitchParser
    )]
    pub no_sweep: bool,
}

/// Where a new run is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct PlaceArgs {
    /// The run directory, which must be missing or empty [default: a new one under runs/]
    #[arg(long, value_name = "DIR", env = "TRIBUTARY_RUN_DIR", hide_env = true)]
    pub run_dir: Option<String>,
}

/// How a run can be watched while it goes on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct LiveArgs {
    /// Serve a live page and metrics there: a port of this machine, or host:port; 0 takes a free port
    ///
    /// The address is printed with a token, without which the page shows the run but cannot control it. Whoever
    /// can reach the address can look, so name a host only where that may be. /metrics is for Prometheus, /status
    /// is JSON, /healthz says that the process is there.
    #[arg(long, value_name = "ADDR", env = "TRIBUTARY_LISTEN", hide_env = true)]
    pub listen: Option<String>,
}

/// How to report.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
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

    /// How log lines are written, on standard error and in run.log: text or json [default: text]
    ///
    /// With json there is no progress bar, and errors are JSON lines, too.
    #[arg(long, value_name = "FORMAT", env = "TRIBUTARY_LOG_FORMAT", hide_env = true)]
    pub log_format: Option<String>,

    /// Say more on standard error and in run.log; twice: much more
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// A file with settings (TOML)
    #[arg(long, value_name = "FILE", env = "TRIBUTARY_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
}

/// The value of a switch, which only the environment can give. An empty one is let pass:
/// `resolve` takes it for unset.
#[derive(Clone, Debug)]
pub(super) struct SwitchParser;

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
