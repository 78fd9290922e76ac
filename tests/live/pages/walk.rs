//! One page from its beginning to its end: each block of code is carried out as its language says.

use std::collections::BTreeSet;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tributary::help::Block;

use super::labels::assert_shown;
use super::shell::Job;
use super::{BEFORE, Ends, SETTINGS, UNUSUAL};
use crate::kafka;
use crate::stops::wait_until;
use crate::world::World;

/// The tests' own: no writes that would have to arrive first, and several windows of few groups.
const ENVIRONMENT: [(&str, &str); 2] = [("TRIBUTARY_SETTLE", "50ms"), ("TRIBUTARY_WINDOW", "4")];

/// So slow that a few lines can be run while it goes on; and so slow that it tells how far it is once.
const AT_WORK: &str = "0.2";
const TOLD: &str = "20";

/// A page that is carried out.
pub(super) struct Walk<'w> {
    page: &'static str,
    world: &'w World,
    /// What is printed, and what it stands for.
    mine: Vec<(&'static str, String)>,
    /// The runs so far, and the last of them.
    runs: BTreeSet<String>,
    run: String,
    /// What the last line has said.
    said: String,
    at_work: Option<Job>,
    /// Files that the page has shown and not yet used.
    unused: BTreeSet<String>,
    /// Rows of [`UNUSUAL`] that were met.
    met: BTreeSet<usize>,
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        page: &'static str,
        world: &'w World,
        mine: Vec<(&'static str, String)>,
    ) -> Self {
        let mut walk = Self {
            page,
            world,
            mine,
            runs: BTreeSet::new(),
            run: String::new(),
            said: String::new(),
            at_work: None,
            unused: BTreeSet::new(),
            met: BTreeSet::new(),
        };
        world.file("tributary.toml", walk.filled_in(SETTINGS));
        for (_, line) in BEFORE.iter().filter(|(of, _)| *of == page) {
            walk.line(line, &[]);
        }
        walk
    }

    /// Carries out a block of code.
    pub(super) fn block(&mut self, block: &Block) {
        let Block::Code(language, lines) = block else { panic!("{block:?} is no code") };
        match language.as_str() {
            "sh" => lines.iter().for_each(|line| self.line(line, &[])),
            "console" => self.console(lines),
            "text" => self.text(lines),
            "toml" => self.toml(lines),
            "json" => self.event(&lines.join("\n")),
            "sql" => self.sql(lines),
            "promql" => self.promql(lines),
            _ if matches!(self.unusual(&lines[0]), Some(Ends::Elsewhere(_))) => {}
            other => panic!("{}: nothing here can carry out {other}: {lines:?}", self.page),
        }
    }

    /// The page is over: nothing of it, and nothing about it, may be left.
    pub(super) fn end(mut self) {
        self.end_work();
        assert!(self.unused.is_empty(), "{}: no line uses {:?}", self.page, self.unused);
        let left = UNUSUAL
            .iter()
            .enumerate()
            .filter(|(n, row)| row.0 == self.page && !self.met.contains(n));
        let left: Vec<_> = left.map(|(_, row)| row).collect();
        assert!(left.is_empty(), "{} has no such line any more: {left:?}", self.page);
    }

    /// A line for a shell.
    fn line(&mut self, printed: &str, environment: &[(&str, &str)]) {
        let line = self.filled_in(printed);
        let unusual = self.unusual(printed);
        if let Some(Ends::Elsewhere(_)) = unusual {
            return;
        }
        let talks = line.starts_with("tributary control ");
        if !talks {
            self.end_work();
        }
        self.unused.retain(|file| !line.contains(file.as_str()));
        let folder = self.world.path("");
        let environment = [&ENVIRONMENT[..], environment].concat();
        if let Some(Ends::AtWork) = unusual {
            // Alone in its shell, so that it is what an interrupt reaches.
            let environment = [&environment[..], &[("TRIBUTARY_RATE", AT_WORK)]].concat();
            self.at_work = Some(Job::start(&folder, &format!("exec {line}"), &environment));
            wait_until("groups are merged", || {
                self.look_for_runs();
                let status = format!("tributary control runs/{} status", self.run);
                !self.run.is_empty()
                    && Job::start(&folder, &status, &[]).ends().1.contains(": merging")
            });
            return;
        }
        let code = if let Some(Ends::With(code)) = unusual { code } else { 0 };
        self.said = Job::start(&folder, &line, &environment).ends_with(code);
        self.look_for_runs();
        let command = line.split(" #").next().unwrap_or_default();
        if talks && command.trim_end().ends_with(" stop") {
            self.at_work.take().expect("it was stopped").ends_with(INTERRUPTED);
        }
    }

    /// What becomes of a printed line, if that is in the table.
    fn unusual(&mut self, printed: &str) -> Option<Ends> {
        let fits =
            |(_, row): &(usize, &(&str, &str, Ends))| row.0 == self.page && printed.contains(row.1);
        let (n, row) = UNUSUAL.iter().enumerate().find(fits)?;
        if let Ends::Elsewhere(why) = row.2 {
            assert!(!why.is_empty(), "{}: why is this not carried out: {printed}", self.page);
        }
        self.met.insert(n);
        Some(row.2)
    }

    /// A run that is at work is over when nobody talks to it any more.
    fn end_work(&mut self) {
        if let Some(job) = self.at_work.take() {
            job.interrupt();
            self.said = job.ends_with(INTERRUPTED);
        }
    }

    /// Sees whether there is a new run.
    fn look_for_runs(&mut self) {
        let Ok(runs) = std::fs::read_dir(self.world.path("runs")) else { return };
        for run in runs {
            let run = run.expect("runs can be listed").file_name();
            let run = run.to_str().expect("an id is ASCII").to_owned();
            if is_id(&run) && self.runs.insert(run.clone()) {
                self.run = run;
            }
        }
    }

    /// What a reader would type or see for what is printed.
    fn filled_in(&self, printed: &str) -> String {
        let mut text = printed.to_owned();
        for (shown, own) in &self.mine {
            text = text.replace(shown, own);
        }
        let parts = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let filled = parts.map(|part| {
            let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            if is_id(word) { part.replace(word, &self.run) } else { part.to_owned() }
        });
        filled.collect()
    }

    /// Lines of a terminal: a command after each `$`, and what it says.
    fn console(&mut self, lines: &[String]) {
        for lines in lines.chunk_by(|_, next| !next.starts_with("$ ")) {
            let command = lines[0].strip_prefix("$ ").expect("a transcript begins with a command");
            self.line(command, &[("TRIBUTARY_RATE", TOLD)]);
            self.text(&lines[1..]);
        }
    }

    /// What the last line says, or the one that is at work.
    fn text(&self, lines: &[String]) {
        let said = self.at_work.as_ref().map_or(self.said.clone(), Job::said);
        let shown: Vec<String> = lines.iter().map(|line| self.filled_in(line)).collect();
        assert_shown(shown.iter().map(String::as_str), &said);
    }

    /// A file that a later line uses; or settings, if it has no name.
    fn toml(&mut self, lines: &[String]) {
        let text = self.filled_in(&lines.join("\n"));
        let name = lines[0].strip_prefix("# ").filter(|name| name.ends_with(".toml"));
        self.world.file(name.unwrap_or("settings.toml"), &text);
        match name {
            Some(name) => _ = self.unused.insert(name.to_owned()),
            None => {
                let needed = [("TRIBUTARY_KEYSPACE", "k"), ("TRIBUTARY_TOPIC", "t")];
                self.line("tributary config --config settings.toml", &needed);
            }
        }
    }

    /// What stands in the topic is of this form.
    fn event(&self, printed: &str) {
        let shown: Value = serde_json::from_str(printed).expect("what is printed is JSON");
        let sent = kafka::consume(&self.world.addresses.brokers, &self.world.topic);
        assert_alike("", &shown, &sent.first().expect("something was sent").payload);
    }

    /// Asks the journal of the last run.
    fn sql(&self, lines: &[String]) {
        let journal = self.world.path("runs").join(&self.run).join("journal.sqlite");
        let journal = Connection::open_with_flags(journal, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let journal = journal.expect("the run has a journal");
        for line in lines {
            let asked =
                journal.prepare(line).and_then(|mut asked| asked.query([])?.next().map(drop));
            asked.unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    /// Every series and label that is asked for is among the metrics of the last run.
    fn promql(&mut self, lines: &[String]) {
        self.end_work();
        let metrics = self.world.path("runs").join(&self.run).join("metrics.prom");
        let metrics = std::fs::read_to_string(metrics).expect("it leaves metrics");
        let text = lines.join("\n");
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || "_{}=\"".contains(c);
        let series: Vec<_> =
            text.split(|c| !is_of_word(c)).filter(|word| word.starts_with("tributary_")).collect();
        assert!(!series.is_empty(), "{text}");
        for series in series {
            let is_it = |line: &str| line.starts_with(series);
            assert!(metrics.lines().any(is_it), "there is no {series} in:\n{metrics}");
        }
    }
}

/// How `apply` ends when it is stopped.
const INTERRUPTED: i32 = 130;

/// Whether this is the id of a run, as `20261129T005320Z-f8cf`.
fn is_id(word: &str) -> bool {
    let form = word.chars().map(|c| if c.is_ascii_hexdigit() { 'x' } else { c });
    form.eq("xxxxxxxxTxxxxxxZ-xxxx".chars())
}

/// The same fields of the same kinds; texts without figures are the same.
#[track_caller]
fn assert_alike(at: &str, shown: &Value, sent: &Value) {
    match (shown, sent) {
        (Value::Object(shown), Value::Object(sent)) => {
            assert!(shown.keys().eq(sent.keys()), "{at}: {:?} and {:?}", shown.keys(), sent.keys());
            shown.iter().zip(sent.values()).for_each(|((name, shown), sent)| {
                assert_alike(&format!("{at}/{name}"), shown, sent);
            });
        }
        (Value::Number(_), Value::Number(_)) => {}
        (Value::String(text), Value::String(_)) if text.contains(|c: char| c.is_ascii_digit()) => {}
        _ => assert_eq!(shown, sent, "{at}"),
    }
}
