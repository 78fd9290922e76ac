//! The command line as it is written: commands, what they are about, and examples.
//!
//! The flags are made of the rows of the catalogue. Nothing is checked here: values are text until they have been laid
//! over the configuration file and checked, once, by [`resolve`](super::resolve).

mod examples;

use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use super::catalogue::{self, calls::PLAN};
use crate::setting::{self, Described, Layer, ValueKind};

/// Merges duplicate accounts in Apache Cassandra and announces what changed.
///
/// The input is a list of pairs: everything that belongs to the account `from` moves under the account
/// `to`, nothing is lost, and `from` is empty afterwards.
#[derive(Debug, Parser)]
#[command(
    version = env!("TRIBUTARY_VERSION"),
    after_long_help = examples::AFTER_HELP,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check and resolve the pairs, and say what a merge would do. Changes nothing.
    ///
    /// Says how many groups the pairs make, which lines are rejected and why, and writes
    /// rejects.csv and report.json into a run directory. Without --inspect it opens no connection; with it, it
    /// reads the cluster, and cannot write to it.
    #[command(after_long_help = examples::PLAN_EXAMPLES)]
    Plan {
        /// The pairs: a list as of topic input, such as a CSV with a header, plain or gzip; `-` is standard input
        #[arg(id = "PAIRS", help_heading = "Input")]
        pairs: PathBuf,
    },
    /// Merge the accounts and announce what changed.
    ///
    /// Plans first, as `plan` does; then merges group by group: what is about to be changed is
    /// journaled first, rows are copied before they are deleted, and events are sent when all is
    /// written. Whatever stops it, `resume` goes on.
    #[command(after_long_help = examples::APPLY_EXAMPLES)]
    Apply {
        /// The pairs: a list as of topic input, such as a CSV with a header, plain or gzip; `-` is standard input
        #[arg(id = "PAIRS", help_heading = "Input", required_unless_present = PLAN.row().name)]
        pairs: Option<PathBuf>,
    },
    /// Go on with a run that was stopped, or in which groups failed.
    ///
    /// Groups that are done are not touched. What was half done is done again from the journal,
    /// with the same values and the same times; failed groups and those that were never begun have
    /// their turn. Settings that are not given are those of the run.
    #[command(after_long_help = examples::RESUME_EXAMPLES)]
    Resume {
        /// The run directory
        #[arg(id = "RUN")]
        run: PathBuf,
    },
    /// Compare the cluster with what a run should have left there.
    ///
    /// Looks at every group that is done: each row that was copied or merged must be there, no value
    /// may be worse than before, and the sources must be empty. Changes nothing without --repair.
    #[command(after_long_help = examples::VERIFY_EXAMPLES)]
    Verify {
        /// The run directory
        #[arg(id = "RUN")]
        run: PathBuf,
    },
    /// Take a run back, or the groups of some of its pairs.
    ///
    /// From the before-images in the journal, sources get their rows again, overwritten values are put
    /// back, and copies go away; what came back is announced. What was changed since the
    /// run is left alone, unless told otherwise.
    #[command(after_long_help = examples::UNDO_EXAMPLES)]
    Undo {
        /// The run directory
        #[arg(id = "RUN")]
        run: PathBuf,
    },
    /// Ask a run that goes on to pause, go on, change its rate, or stop; or how far it is.
    ///
    /// Works from any terminal of the user who owns the run directory, with or without --listen.
    #[command(after_long_help = examples::CONTROL_EXAMPLES)]
    Control {
        /// The run directory
        #[arg(id = "RUN")]
        run: PathBuf,

        /// What is asked.
        #[command(subcommand)]
        ask: Ask,
    },
    /// Say where an account went, in which run.
    ///
    /// With hosts, asks the register that runs keep in the database, wherever they ran, and says who the account is now.
    /// Without, or with PATH, looks into the journals of runs, and for groups that were not begun yet into their pairs.
    /// Changes nothing, and may be asked while a run goes on.
    #[command(after_long_help = examples::LOOKUP_EXAMPLES)]
    Lookup {
        /// The account
        #[arg(id = "ACCOUNT")]
        account: String,

        /// A run directory, or a folder of them [default: runs/]
        #[arg(id = "PATH")]
        path: Option<PathBuf>,
    },
    /// Erase what is kept of an account: in the register, and in the directories of runs.
    ///
    /// For where the law asks for it. In each directory that is named, the account's groups are erased from the journal,
    /// lines that name it from all other files, and reports that do as a whole; so these groups cannot be undone any
    /// more. Refused while a run is busy with the account. The merged tables are not touched.
    #[command(after_long_help = examples::FORGET_EXAMPLES)]
    Forget {
        /// The account
        #[arg(id = "ACCOUNT")]
        account: String,

        /// Run directories that may name it
        #[arg(id = "RUN")]
        runs: Vec<PathBuf>,
    },
    /// List the runs of a keyspace, and say how to end those that are not over.
    ///
    /// Reads the register that runs keep in the database, wherever they ran.
    #[command(after_long_help = examples::RUNS_EXAMPLES)]
    Runs {
        /// What becomes of them.
        #[command(subcommand)]
        what: Option<OfRun>,
    },
    /// Show, check or draft a merge specification.
    ///
    /// What a merge does with the tables is said by a specification: the built-in one, or a file of your own. Nothing
    /// is read of a cluster but its schema.
    #[command(after_long_help = examples::SPEC_EXAMPLES)]
    Spec {
        /// What is done with it.
        #[command(subcommand)]
        what: OfSpec,
    },
    /// Print what a run recorded for the group of an account, as JSON.
    ///
    /// Rows as they were before, what was written over them, deletes and events, slice by slice, as the
    /// journal has them. Changes nothing, needs no cluster, and may be asked while a run goes on.
    #[command(after_long_help = examples::RECORD_EXAMPLES)]
    Record {
        /// The run directory
        #[arg(id = "RUN")]
        run: PathBuf,

        /// An account of the group: its survivor or one of its sources
        #[arg(id = "ACCOUNT")]
        account: String,
    },
    /// Print the settings in effect, and where each comes from.
    ///
    /// Takes the flags of `apply` (or, with RUN, those of `resume`) and changes nothing. Secrets are not
    /// shown.
    #[command(after_long_help = examples::CONFIG_EXAMPLES)]
    Config {
        /// A run directory: show what `resume` would go by
        #[arg(id = "RUN")]
        run: Option<PathBuf>,
    },
    /// Print a script that completes commands and flags in a shell.
    #[command(after_long_help = examples::COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        #[arg(id = "SHELL")]
        shell: Shell,
    },
    /// List the topics of the manual, or show one of them, or the help of a command.
    #[command(after_long_help = examples::HELP_EXAMPLES)]
    Help {
        /// A topic, or the words of a command
        #[arg(id = "TOPIC")]
        words: Vec<String>,
    },
    /// Print the man page, or write one for each command and each topic of the manual.
    #[command(after_long_help = examples::MAN_EXAMPLES)]
    Man {
        /// A directory that gets a page for each command and topic; without it, one page goes to standard output
        #[arg(id = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// What is asked of a run.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Ask {
    /// Begin no group any more; those in flight go on to their end
    Pause,
    /// Begin groups again
    Resume,
    /// Begin so many groups per second, at most
    Rate {
        /// Groups per second, or none for as many as the cluster can take
        #[arg(value_name = "N|none")]
        rate: String,
    },
    /// Finish the groups in flight and end, as Ctrl-C does
    Stop,
    /// Say how far it is
    Status,
}

/// What is done with a specification.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum OfSpec {
    /// Print it with comments: how the rows of each table are found, what that costs, and what becomes of two rows
    ///
    /// With --hosts and --keyspace it has to fit the live schema, and the comments say more.
    Show,
    /// Say all that is wrong with a file, each with its line and what to do
    ///
    /// With --hosts and --keyspace it is held against the live schema as well.
    Check {
        /// The specification
        #[arg(id = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Draft one from a live schema: every table with a column that is named like an account's
    ///
    /// Tables that cannot be merged as they are stand in it as comments, with the reason.
    Init,
}

/// What only people know of a run, or want of all of them.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum OfRun {
    /// Its machine, or its directory, is gone for good: nobody can go on with it or take it back
    Lost {
        /// The id of the run, as `runs` lists it
        #[arg(id = "RUN")]
        run: String,
    },
    /// Nothing of what it did is there any more: the keyspace was restored from before it
    Close {
        /// The id of the run, as `runs` lists it
        #[arg(id = "RUN")]
        run: String,
    },
    /// Forget runs that ended long ago; who became whom stays
    ///
    /// What is planned, looked up and undone goes on as before. A pruned run itself can still be verified, but neither
    /// resumed, repaired nor undone. Runs that have not ended stay, lost ones too, and so does whatever would have to be
    /// undone before a run that stays.
    Prune,
}

/// The whole command line.
pub(super) fn command() -> clap::Command {
    with_flags(Cli::command(), "")
}

/// A command and those below it, with the flags of the settings that each takes.
fn with_flags(command: clap::Command, words: &str) -> clap::Command {
    let command = command.mut_subcommands(|below| {
        let words = format!("{words} {}", below.get_name());
        with_flags(below, words.trim())
    });
    let Ok(own) = words.parse::<setting::Command>() else { return command };
    let taken = catalogue::all().filter(|setting| setting.row().is_taken_by(own));
    let examples = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    command
        .args(taken.filter(|setting| setting.row().is_in(Layer::Flag)).map(flag))
        .after_long_help(format!("{}{examples}", examples::SETTINGS))
}

fn flag(setting: &'static dyn Described) -> Arg {
    let row = setting.row();
    // The topic of the manual has all of it: a page of help is to be looked over.
    let mut arg = Arg::new(row.name).help(row.help().into_iter().next().unwrap_or_default());
    if !row.heading.is_empty() {
        arg = arg.help_heading(row.heading);
    }
    if let Some(short) = row.short {
        arg = arg.short(short);
    }
    if row.kind != ValueKind::Table {
        arg = arg.long(row.name.replace('_', "-"));
    }
    let valued = |arg: Arg, action| arg.value_name(row.value_name).action(action);
    match row.kind {
        ValueKind::Switch => arg.action(ArgAction::SetTrue),
        ValueKind::Count => arg.action(ArgAction::Count),
        ValueKind::List | ValueKind::Table => valued(arg, ArgAction::Append),
        ValueKind::Path => valued(arg, ArgAction::Set).value_hint(ValueHint::AnyPath),
        ValueKind::Text | ValueKind::Number | ValueKind::Secret => valued(arg, ArgAction::Set),
        // Whatever follows is taken for its value, so that what is none is told at once.
        ValueKind::Optional(alone) => {
            let check = |text: &str| match setting.check(text) {
                Ok(()) => Ok(text.to_owned()),
                Err(wrong) => Err(format!("it {wrong}")),
            };
            let arg = valued(arg, ArgAction::Set).num_args(0..=1).default_missing_value(alone);
            arg.value_parser(ValueParser::new(check))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ArgMatches;

    use super::*;

    fn parsed(args: &[&str]) -> Result<ArgMatches, clap::Error> {
        let args = ["tributary", "plan"].iter().chain(args);
        let matches = command().try_get_matches_from(args)?;
        Ok(matches.subcommand().unwrap().1.clone())
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn what_is_inspected_is_all_or_a_sample() {
        let inspect = |args: &[&str]| parsed(args).unwrap().get_one::<String>("inspect").cloned();
        assert_eq!(inspect(&["p.csv"]), None);
        assert_eq!(inspect(&["p.csv", "--inspect"]).as_deref(), Some("all"));
        assert_eq!(inspect(&["--inspect", "sample=50", "p.csv"]).as_deref(), Some("sample=50"));
        let error = parsed(&["--inspect", "p.csv"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("tributary plan p.csv --inspect"), "{error}");
    }
}
