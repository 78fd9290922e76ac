//! What an operator may do next: the only place that knows how a command to run is written.
//!
//! Errors, reports and the live view hold an [`Advice`] and show it; what it is good for they say in their own words.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::secret::{REDACTED, is_secret};

/// A command to run next. [`Display`] gives the command line, as it can be pasted into a shell; what only the operator
/// knows stands there in capitals, and secrets as `***`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Look what merging these pairs would do.
    Inspect {
        /// The file.
        pairs: PathBuf,
    },
    /// Merge these pairs, as a new run.
    Apply {
        /// The file.
        pairs: PathBuf,
        /// How: flags with their values.
        with: Vec<String>,
    },
    /// Merge what was planned, and nothing else.
    ApplyPlan {
        /// The run directory of the plan.
        plan: PathBuf,
        /// What the plan does not know: flags with their values.
        with: Vec<String>,
    },
    /// Go on with a run, within the limits that it has.
    Resume {
        /// The run directory.
        run: PathBuf,
        /// Without a limit of groups.
        all: bool,
        /// Flags that have to be given again, because a run does not record secrets.
        secrets: Vec<String>,
    },
    /// Compare the cluster with a run.
    Verify {
        /// The run directory.
        run: PathBuf,
        /// Write again what is missing.
        repair: bool,
    },
    /// Take a run back.
    Undo {
        /// The run directory.
        run: PathBuf,
        /// Only the groups that an undo has begun with, and leave what was changed in them where it is.
        keep_changed: bool,
    },
    /// End a run of which nothing counts any more, where its directory cannot.
    Close {
        /// Its id.
        run: String,
        /// The contact points of the cluster.
        hosts: Vec<String>,
        keyspace: String,
        /// The keyspace of the register.
        register: String,
    },
    /// What this process was told to do, once more.
    Again(
        /// Its arguments, without secrets and without what holds for one call.
        Vec<String>,
    ),
    /// The same, without asking the register, which has lost what it knew.
    WithoutRegister(
        /// What would else be done.
        Box<Self>,
    ),
    /// Hold a specification that was drafted against the schema that it is drafted from.
    CheckSpec {
        /// The contact points of the cluster.
        hosts: Vec<String>,
        keyspace: String,
    },
    /// List all settings.
    Config,
    /// List the topics of the manual.
    Manual,
}

/// Flags that hold for one call: a time that may be over by then, and what would begin anew instead of going on.
const ONCE: [(&str, bool); 3] = [("--until", true), ("--for", true), ("--restart", false)];

impl Advice {
    /// To resume a run within its limits, by what it has recorded alone.
    pub(crate) fn resume(run: &Path) -> Self {
        Self::Resume { run: run.to_path_buf(), all: false, secrets: Vec::new() }
    }

    /// To take a whole run back.
    pub(crate) fn undo(run: &Path) -> Self {
        Self::Undo { run: run.to_path_buf(), keep_changed: false }
    }

    /// The same, without asking the register.
    pub(crate) fn without_register(self) -> Self {
        Self::WithoutRegister(Box::new(self))
    }

    /// The command line of a process, its name included, once more. Secrets have to be filled in.
    pub(crate) fn again(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut kept = Vec::new();
        let mut arguments = arguments.into_iter().skip(1);
        while let Some(argument) = arguments.next() {
            let once = ONCE.iter().find(|(flag, takes_value)| {
                let rest = argument.strip_prefix(flag);
                rest.is_some_and(|rest| rest.is_empty() || *takes_value && rest.starts_with('='))
            });
            match once {
                Some((flag, true)) if argument == *flag => drop(arguments.next()),
                Some(_) => {}
                None => kept.push(without_secret(&argument)),
            }
        }
        Self::Again(kept)
    }

    /// The words after the program's name.
    fn words(&self) -> Vec<String> {
        let with = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let of_run = |command: &str, run: &Path, flags: &[&str]| {
            [with(&[command]), vec![path(run)], with(flags)].concat()
        };
        match self {
            Self::Inspect { pairs } => of_run("plan", pairs, &["--inspect"]),
            Self::Apply { pairs, with: how } => [of_run("apply", pairs, &[]), how.clone()].concat(),
            Self::ApplyPlan { plan, with: how } => {
                [with(&["apply", "--plan"]), vec![path(plan)], how.clone()].concat()
            }
            Self::Resume { run, all, secrets } => {
                let limit: &[&str] = if *all { &["--limit", "all"] } else { &[] };
                [of_run("resume", run, limit), secrets.clone()].concat()
            }
            Self::Verify { run, repair } => {
                of_run("verify", run, if *repair { &["--repair"] } else { &[] })
            }
            Self::Undo { run, keep_changed } => {
                of_run("undo", run, if *keep_changed { &["--keep-changed"] } else { &[] })
            }
            Self::Close { run, hosts, keyspace, register } => {
                let cluster = ["--hosts", &hosts.join(","), "--keyspace", keyspace];
                let register = ["--register", register];
                [with(&["runs", "close", run]), with(&cluster), with(&register)].concat()
            }
            Self::Again(arguments) => arguments.clone(),
            Self::WithoutRegister(advice) => [advice.words(), with(&["--no-register"])].concat(),
            Self::CheckSpec { hosts, keyspace } => {
                let cluster = ["--hosts", &hosts.join(","), "--keyspace", keyspace];
                [with(&["spec", "check", "FILE"]), with(&cluster)].concat()
            }
            Self::Config => with(&["config"]),
            Self::Manual => with(&["help"]),
        }
    }
}

impl Display for Advice {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("tributary")?;
        self.words().iter().try_for_each(|word| write!(f, " {}", shell_word(word)))
    }
}

impl Serialize for Advice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A path; one that begins with a dash would be taken for a flag.
fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') { format!("./{text}") } else { text.into_owned() }
}

fn without_secret(argument: &str) -> String {
    match argument.split_once('=') {
        Some((key, _)) if is_secret(key) => format!("{key}={REDACTED}"),
        _ => argument.to_owned(),
    }
}

/// A word of a command, quoted where a shell would read it as something else. What is not printable
/// is escaped as bash and zsh understand it.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let shown = |c: char| matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1;
    if word.chars().all(shown) {
        return format!("'{}'", word.replace('\'', r"'\''"));
    }
    let mut quoted = "$'".to_owned();
    for c in word.chars() {
        match c {
            '\'' | '\\' => quoted.extend(['\\', c]),
            '"' => quoted.push(c),
            c if shown(c) => quoted.push(c),
            c => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    quoted.push_str(&format!("\\x{byte:02x}"));
                }
            }
        }
    }
    quoted + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(advice: &Advice, command: &str) {
        assert_eq!(advice.to_string(), format!("tributary {command}"));
    }

    #[test]
    fn every_advice_is_a_command_that_can_be_pasted() {
        let run = || PathBuf::from("my runs/r1");
        check(&Advice::Inspect { pairs: "p.csv".into() }, "plan p.csv --inspect");
        let with = || ["--spec", "my runs/r1/spec.toml"].map(str::to_owned).to_vec();
        let apply = Advice::Apply { pairs: "-".into(), with: with() };
        check(&apply, "apply ./- --spec 'my runs/r1/spec.toml'");
        let plan = Advice::ApplyPlan {
            plan: run(),
            with: ["--topic", "TOPIC"].map(str::to_owned).to_vec(),
        };
        check(&plan, "apply --plan 'my runs/r1' --topic TOPIC");
        check(&Advice::resume(&run()), "resume 'my runs/r1'");
        let secrets = ["-X", "sasl.password=***"].map(str::to_owned).to_vec();
        check(
            &Advice::Resume { run: "-r".into(), all: true, secrets },
            "resume ./-r --limit all -X 'sasl.password=***'",
        );
        check(&Advice::Verify { run: "r".into(), repair: false }, "verify r");
        check(&Advice::Verify { run: "r".into(), repair: true }, "verify r --repair");
        check(&Advice::undo(Path::new("r")), "undo r");
        check(&Advice::undo(Path::new("r")).without_register(), "undo r --no-register");
        check(&Advice::Undo { run: "r".into(), keep_changed: true }, "undo r --keep-changed");
        let (hosts, keyspace) = (vec!["a:1".to_owned()], "k".to_owned());
        check(&Advice::CheckSpec { hosts, keyspace }, "spec check FILE --hosts a:1 --keyspace k");
        let (hosts, keyspace) = (vec!["a:1".to_owned(), "b:1".to_owned()], "k".to_owned());
        let close = Advice::Close { run: "2026".into(), hosts, keyspace, register: "r".into() };
        check(&close, "runs close 2026 --hosts a:1,b:1 --keyspace k --register r");
        check(&Advice::Config, "config");
    }

    #[test]
    fn a_command_given_again_holds_no_secret_and_nothing_that_is_over() {
        let arguments = [
            "/usr/bin/tributary",
            "resume",
            "my runs/r1",
            "--limit=all",
            "-X",
            "sasl.password=hunter2",
            "-Xssl.key.pem=hunter2",
            "--restart",
            "-X",
            "linger.ms=5",
            "--until",
            "06:00",
            "--for=4h",
            "--format",
        ];
        check(
            &Advice::again(arguments.map(str::to_owned)),
            "resume 'my runs/r1' --limit=all -X 'sasl.password=***' '-Xssl.key.pem=***' \
             -X linger.ms=5 --format",
        );
    }

    #[test]
    fn words_of_others_cannot_steer_a_shell_or_a_terminal() {
        for (word, quoted) in [
            ("/data/pairs-1.csv", "/data/pairs-1.csv"),
            ("", "''"),
            ("my pairs.csv", "'my pairs.csv'"),
            ("é$(x)", "'é$(x)'"),
            ("it's", r"'it'\''s'"),
            ("a\nb's \u{1b}[2J\\\u{85}", r"$'a\x0ab\'s \x1b[2J\\\xc2\x85'"),
        ] {
            assert_eq!(shell_word(word), quoted);
        }
    }
}
