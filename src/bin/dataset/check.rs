//! Is the outcome of a run what it must be? Both tables and the events against the plain model.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value};

use super::model::{self, Columns, Line, Outcome, Tables};
use super::rows::{ContentConsumption, TableRow, UserCourse};

/// What was there before, and what is there now.
#[derive(Args)]
pub(crate) struct Options {
    /// The directory of the data set that was loaded.
    #[arg(long)]
    dir: PathBuf,
    /// The directory of the dump after the run.
    #[arg(long)]
    after: PathBuf,
    /// The file with the events of the run.
    #[arg(long)]
    events: PathBuf,
    /// How the run found enrolments.
    #[arg(long, value_parser = ["content", "scan"], default_value = "content")]
    discover: String,
}

/// Compares, says so in a few lines, and fails if anything differs.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let lines = lines(&read(&options.dir.join("pairs.csv"))?);
    let before = tables(&options.dir)?;
    let after = tables(&options.after)?;
    let expected = match options.discover.as_str() {
        "scan" => model::apply_by_scan(&lines, &before),
        _ => model::apply(&lines, &before),
    };
    let (events, twice, repeated) = events(&read(&options.events)?)?;

    let mut report = Report { out: String::new(), differences: 0 };
    let plan = &expected.plan;
    report.row("", &["before", "expected", "now", "wrong"].map(str::to_owned));
    report.compare(
        "enrolments",
        &before.user_courses,
        &expected.tables.user_courses,
        &after.user_courses,
    );
    report.compare(
        "content rows",
        &before.content_consumption,
        &expected.tables.content_consumption,
        &after.content_consumption,
    );
    let of_sources =
        [&before, &expected.tables, &after].map(|tables| of_sources(tables, &expected));
    report.counts("content rows of sources", of_sources);
    report.compare("events", &BTreeMap::new(), &expected.events, &events);
    report.counts("events with two ids", [0, 0, twice]);
    if repeated > 0 {
        report.out += &format!("{repeated} events came again with the id that they had\n");
    }
    let what = format!(
        "{} pairs in {} groups, {} lines rejected, {} repeated",
        plan.pairs,
        plan.groups.len(),
        plan.rejected.len(),
        plan.duplicates
    );
    writeln!(io::stdout(), "{}{what}", report.out)?;
    if report.differences > 0 {
        bail!("{} differences", report.differences);
    }
    Ok(())
}

struct Report {
    out: String,
    differences: usize,
}

impl Report {
    fn row(&mut self, what: &str, [before, expected, now, wrong]: &[String; 4]) {
        self.out += &format!("{what:<24}{before:>10}{expected:>10}{now:>10}{wrong:>8}\n");
    }

    fn compare<K: Ord, V: PartialEq>(
        &mut self,
        what: &str,
        before: &BTreeMap<K, V>,
        expected: &BTreeMap<K, V>,
        now: &BTreeMap<K, V>,
    ) {
        let missing = expected.iter().filter(|(key, value)| now.get(key) != Some(value)).count();
        let extra = now.keys().filter(|key| !expected.contains_key(key)).count();
        self.differences += missing + extra;
        let counts = [before.len(), expected.len(), now.len(), missing + extra];
        self.row(what, &counts.map(|count| count.to_string()));
    }

    fn counts(&mut self, what: &str, [before, expected, now]: [usize; 3]) {
        let wrong = expected.abs_diff(now);
        self.differences += wrong;
        self.row(what, &[before, expected, now, wrong].map(|count| count.to_string()));
    }
}

/// Rows of content that belong to accounts that must be empty after the run.
fn of_sources(tables: &Tables, outcome: &Outcome) -> usize {
    let groups = outcome.plan.groups.iter();
    let sources: BTreeSet<&String> = groups.flat_map(|group| &group.sources).collect();
    tables.content_consumption.keys().filter(|(user, ..)| sources.contains(user)).count()
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The records of pairs.csv; no id of a data set holds a line feed, so a line is a record.
fn lines(text: &[u8]) -> Vec<Line> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n').skip(1).map(line).collect()
}

fn line(text: &[u8]) -> Line {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let Ok(mut rest) = std::str::from_utf8(text) else { return Line::Malformed };
    if rest.is_empty() {
        return Line::Blank;
    }
    let mut fields = Vec::new();
    loop {
        let Some((field, after)) = field(rest) else { return Line::Malformed };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return Line::Malformed,
        }
    }
    match fields.as_slice() {
        [from, to, ..] => Line::Pair(from.clone(), to.clone()),
        _ => Line::Malformed,
    }
}

/// The first field and what follows it.
fn field(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
        return (!field.contains(['"', '\r'])).then(|| (field.to_owned(), after));
    };
    let (mut field, mut rest) = (String::new(), quoted);
    loop {
        let (part, after) = rest.split_once('"')?;
        field += part;
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, after)),
        }
    }
}

fn tables(dir: &Path) -> anyhow::Result<Tables> {
    let mut tables = Tables::default();
    for mut row in rows::<UserCourse>(dir)? {
        let mut key = || text(row.remove("batchid")).zip(text(row.remove("userid")));
        let key = key().context("an enrolment without a key")?;
        tables.user_courses.insert(key, columns(row));
    }
    for mut row in rows::<ContentConsumption>(dir)? {
        let mut part = |name: &str| text(row.remove(name)).context("a content row without a key");
        let key = (part("userid")?, part("contentid")?, part("batchid")?, part("courseid")?);
        tables.content_consumption.insert(key, columns(row));
    }
    Ok(tables)
}

fn rows<R: TableRow>(dir: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let path = dir.join(format!("{}.jsonl", R::TABLE));
    json_lines(&read(&path)?).with_context(|| format!("{}", path.display()))
}

fn json_lines(text: &[u8]) -> anyhow::Result<Vec<Map<String, Value>>> {
    Ok(serde_json::Deserializer::from_slice(text).into_iter().collect::<Result<_, _>>()?)
}

fn text(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Null and an empty map are the same to Cassandra.
fn columns(row: Map<String, Value>) -> Columns {
    let is_set = |value: &Value| match value {
        Value::Null => false,
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    row.into_iter().filter(|(_, value)| is_set(value)).collect()
}

/// By survivor and batch; how many came with a second id; and how many were repeats of the same id, as
/// after a crash between sending and noting.
type Events = (BTreeMap<(String, String), Value>, usize, usize);

fn events(text: &[u8]) -> anyhow::Result<Events> {
    let (mut events, mut ids) = (BTreeMap::new(), BTreeMap::new());
    let (mut twice, mut repeated) = (0, 0);
    for mut message in json_lines(text)? {
        let mut payload = message.remove("payload").context("an event without a payload")?;
        let fields = payload.as_object_mut().context("an event that is not an object")?;
        fields.remove("ets").context("an event without ets")?;
        let id = fields.remove("mid").context("an event without mid")?;
        let of = |name: &str| payload["edata"][name].as_str().unwrap_or_default().to_owned();
        let object = (of("userId"), of("batchId"));
        match ids.insert(object.clone(), id.clone()) {
            Some(known) if known == id => repeated += 1,
            Some(_) => twice += 1,
            None => {}
        }
        events.insert(object, payload);
    }
    Ok((events, twice, repeated))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written() {
        let text = b"from,to\na,b\n\"a,\"\"x\",b,more\n\n\r\nlonely\n\"open,b\na\"b,c\n\"a\"b,c\nx\xff,y\na\rb,c\n,b\n";
        let pair = |from: &str, to: &str| Line::Pair(from.to_owned(), to.to_owned());
        let mut expected = vec![pair("a", "b"), pair("a,\"x", "b"), Line::Blank, Line::Blank];
        expected.extend([const { Line::Malformed }; 6]);
        expected.push(pair("", "b"));
        assert_eq!(lines(text), expected);
    }

    #[test]
    fn every_kind_of_difference_is_counted() {
        let mut report = Report { out: String::new(), differences: 0 };
        let expected = BTreeMap::from([(1, "same"), (2, "other"), (3, "missing")]);
        let now = BTreeMap::from([(1, "same"), (2, "changed"), (4, "extra")]);
        report.compare("rows", &BTreeMap::new(), &expected, &now);
        assert_eq!(report.differences, 3);
        report.counts("rows of sources", [9, 0, 2]);
        assert_eq!(report.differences, 5);
    }
}
