//! The catalogue of settings: what each is called in the configuration file, how it is written there, and
//! what it is where nothing is said.
//!
//! The flag of a setting has `-` for `_`, its environment variable is in capitals behind `TRIBUTARY_`.

/// A setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it is where nothing is said; empty if it is nothing then.
    pub(super) default: &'static str,
}

/// How a setting may be written in the configuration file; what is no switch and no secret also as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// Texts, which are joined by commas.
    List,
    /// True or false.
    Switch,
    /// The path of a file, from the folder of the configuration file.
    Path,
    /// Text that is never shown.
    Secret,
}

const fn text(name: &'static str, default: &'static str) -> Setting {
    Setting { name, kind: Kind::Text, default }
}

const fn number(name: &'static str, default: &'static str) -> Setting {
    Setting { name, kind: Kind::Number, default }
}

const fn switch(name: &'static str) -> Setting {
    Setting { name, kind: Kind::Switch, default: "false" }
}

const fn path(name: &'static str) -> Setting {
    Setting { name, kind: Kind::Path, default: "" }
}

/// All settings but Kafka's properties, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    text("from_column", "from"),
    text("to_column", "to"),
    text("delimiter", ","),
    switch("trim"),
    Setting { name: "accept", kind: Kind::List, default: "" },
    Setting { name: "hosts", kind: Kind::List, default: "127.0.0.1:9042" },
    text("keyspace", ""),
    text("local_dc", ""),
    switch("tls"),
    path("tls_ca"),
    path("tls_cert"),
    path("tls_key"),
    switch("tls_no_hostname_check"),
    text("username", ""),
    Setting { name: "password", kind: Kind::Secret, default: "" },
    path("password_file"),
    text("consistency", "LOCAL_QUORUM"),
    Setting { name: "brokers", kind: Kind::List, default: "127.0.0.1:9092" },
    text("topic", ""),
    switch("no_events"),
    text("spec", ""),
    text("discover", "content"),
    number("in_flight", "auto"),
    number("rate", "none"),
    number("max_latency", "none"),
    number("settle", "2s"),
    number("limit", "all"),
    number("max_errors", "1000"),
    switch("no_sweep"),
    text("run_dir", ""),
    number("listen", ""),
    switch("json"),
    switch("quiet"),
    text("log_format", "text"),
    number("verbose", "0"),
];

/// The table of Kafka's properties.
pub(super) const KAFKA: &str = "kafka";

/// A setting by its name.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The name that somebody may have meant.
pub(super) fn nearest(wrong: &str) -> Option<&'static str> {
    // From there on the two have more in common than not.
    const LIKE: f64 = 0.8;
    let wrong = wrong.to_lowercase().replace('-', "_");
    let names = SETTINGS.iter().map(|setting| setting.name).chain([KAFKA]);
    let rated = names.map(|name| (strsim::jaro_winkler(name, &wrong), name));
    let best = rated.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness >= LIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::Cli;

    /// What can be set by the environment can be set in the file, and the other way round.
    #[test]
    fn the_file_knows_every_setting() {
        let cli = Cli::command();
        let flags: BTreeSet<String> = cli
            .get_subcommands()
            .flat_map(|command| command.get_arguments())
            .filter_map(|argument| argument.get_env()?.to_str()?.strip_prefix("TRIBUTARY_"))
            .map(str::to_lowercase)
            .filter(|name| name != "config")
            .collect();
        // Not for the command line, or not by the environment.
        let others = ["password", "password_file", "verbose"];
        let known = SETTINGS.iter().map(|setting| setting.name);
        let known: BTreeSet<String> =
            known.filter(|name| !others.contains(name)).map(str::to_owned).collect();
        assert_eq!(flags, known);
    }

    #[test]
    fn the_nearest_name_is_suggested_if_it_is_near() {
        for (wrong, meant) in [
            ("in_fligth", Some("in_flight")),
            ("keyspaces", Some("keyspace")),
            ("in-flight", Some("in_flight")),
            ("HOSTS", Some("hosts")),
            ("Kafka", Some("kafka")),
            ("max_error", Some("max_errors")),
            ("tls_hostname_check", Some("tls_no_hostname_check")),
            ("colour", None),
        ] {
            assert_eq!(nearest(wrong), meant, "{wrong}");
        }
    }
}
