//! What `plan --inspect` has found, as sections of its page.

use std::time::Duration;

use super::sections::latency;
use super::{Block, Section, Table, Told, Tone};
use crate::estimate::Estimate;
use crate::report::text::{bytes, count, counted, duration, rate};
use crate::report::{ConflictExample, Deletes, InspectedTable, Inspection, Met};

/// From this share on, accounts without rows are warned about, in percent.
const MANY_ABSENT_PERCENT: u64 = 10;

/// The sections of an inspection.
pub(super) fn inspection(inspection: &Inspection) -> Vec<Section> {
    let mut sections = vec![rows(inspection)];
    sections.extend(conflicts(&inspection.conflicts));
    sections.push(accounts(inspection));
    let found = deletes("/inspection/deletes", &inspection.deletes, inspection.coverage.is_exact);
    if !found.is_empty() {
        let mut section = Section::new("Hottest partitions");
        section.blocks = found;
        sections.push(section);
    }
    sections.push(costs(inspection));
    sections.extend(latency("/inspection", &inspection.latency));
    sections
}

/// A total; where it is not known, with the ends of its interval.
fn estimate(estimate: Estimate, pointer: String) -> Told {
    match estimate.is_exact() {
        true => Told::count(estimate.value).at(pointer + "/value"),
        false => Told::number(estimate.value as f64, shown(estimate, count)),
    }
}

fn shown(estimate: Estimate, unit: fn(u64) -> String) -> String {
    match estimate.is_exact() {
        true => unit(estimate.value),
        false => {
            let [value, low, high] = [estimate.value, estimate.low, estimate.high].map(unit);
            format!("{value} ({low} to {high})")
        }
    }
}

fn rows(inspection: &Inspection) -> Section {
    let coverage = &inspection.coverage;
    let (groups, all) = (counted(coverage.groups, "group"), count(coverage.of_groups));
    let said = match coverage.is_exact {
        true => format!("All {groups} of the plan were read: what follows is exact, as of then."),
        false => format!(
            "{groups} of {all} were read: what follows is estimated, with 95 % confidence. {}.",
            coverage.method.trim_end_matches('.')
        ),
    };
    let columns = ["table", "rows of sources", "to copy", "to merge", "unchanged", "to delete"];
    let mut table = Table::new("", columns);
    let mut rules = Vec::new();
    for (place, facts) in inspection.tables.iter().enumerate() {
        let InspectedTable { source_rows, copied, merged, unchanged, deleted, .. } = facts;
        let numbers = [
            ("source_rows", source_rows),
            ("copied", copied),
            ("merged", merged),
            ("unchanged", unchanged),
            ("deleted", deleted),
        ];
        let numbers = numbers
            .map(|(field, total)| estimate(*total, format!("/inspection/tables/{place}/{field}")));
        table.rows.push([Told::code(&facts.table)].into_iter().chain(numbers).collect());
        rules.push(format!("Where a key of {} is held already: {}.", facts.table, facts.rule));
    }
    let mut section = Section::new("What a merge would do").saying(said);
    if inspection.unreadable > 0 {
        let said = format!(
            "{} could not be read and are left out.",
            counted(inspection.unreadable, "group")
        );
        section = section.with(Block::Note(Tone::Bad, said));
        let reasons = inspection.unreadable_reasons.iter();
        let reasons = reasons.map(|(reason, groups)| [Told::count(*groups), Told::words(reason)]);
        section = section.with(Table::new("", ["groups", "reason"]).with(reasons).into());
    }
    section = section.with(table.into());
    rules.into_iter().fold(section, |section, rule| section.with(Block::Text(rule)))
}

fn conflicts(examples: &[ConflictExample]) -> Option<Section> {
    let columns = [
        "line",
        "source",
        "survivor",
        "table",
        "key",
        "column",
        "survivor's",
        "source's",
        "afterwards",
    ];
    let mut table = Table::new("Examples", columns);
    for example in examples {
        for differs in &example.columns {
            let value = |value: &Option<String>| match value {
                Some(value) => Told::code(value),
                None => Told::words("null"),
            };
            table.push([
                Told::number(example.line as f64, example.line.to_string()),
                Told::code(&example.source),
                Told::code(&example.survivor),
                Told::code(&example.table),
                Told::code(&example.key),
                Told::code(&differs.column),
                value(&differs.survivor),
                value(&differs.source),
                value(&differs.result),
            ]);
        }
    }
    let section = Section::new("Conflicts").saying(
        "Keys that a source and its survivor both hold, with the columns in which they differ.",
    );
    (!table.rows.is_empty()).then(|| section.with(table.into()))
}

/// Accounts that should be looked at.
fn accounts(inspection: &Inspection) -> Section {
    let mut section = Section::new("Accounts");
    let mut named = Table::new("Examples", ["line", "account", "what"]);
    let line = |line: u64| Told::number(line as f64, line.to_string());
    for (absent, who) in
        [(&inspection.absent_sources, "source"), (&inspection.absent_survivors, "survivor")]
    {
        let total = absent.accounts;
        let are = format!("{} of {} have no rows", shown(total, count), counted(absent.of, who));
        section = match total.value > 0 && total.value * 100 >= absent.of * MANY_ABSENT_PERCENT {
            true => section.with(Block::Note(
                Tone::Warning,
                format!("{are}: are these ids typed right, and from this keyspace?"),
            )),
            false => section.with(Block::Text(format!("{are}."))),
        };
        for account in &absent.first {
            let what = Told::words(format!("a {who} without rows"));
            named.push([line(account.line), Told::code(&account.account), what]);
        }
    }
    let lists = &inspection.both_lists;
    let both = format!(
        "{} both a from on one line and a to on another, so that what goes into them goes on from there.",
        match lists.accounts {
            1 => "1 account is".to_owned(),
            n => format!("{} accounts are", count(n)),
        }
    );
    section = section.with(Block::Text(both));
    for both in &lists.first {
        let what = format!("also a to, on line {}", both.to_line);
        named.push([line(both.from_line), Told::code(&both.account), Told::words(what)]);
    }
    let missed = match inspection.missed.enrolments {
        Some(missed) => format!(
            "{} rows of sources are found by a scan only, and missed by --discover content.",
            shown(missed, count)
        ),
        None => "Rows of sources to which no content leads are not counted, and --discover content leaves them: to \
                 count them, inspect with --discover scan."
            .to_owned(),
    };
    section = section.with(Block::Text(missed));
    if !named.rows.is_empty() {
        section = section.with(named.into());
    }
    let mut largest = Table::new("Largest", ["line", "account", "role", "rows"]);
    for (place, account) in inspection.largest.iter().enumerate() {
        let role = if account.is_survivor { "survivor" } else { "source" };
        largest.push([
            line(account.line),
            Told::code(&account.account),
            Told::words(role),
            Told::count(account.rows).at(format!("/inspection/largest/{place}/rows")),
        ]);
    }
    if largest.rows.is_empty() { section } else { section.with(largest.into()) }
}

/// The partitions with the most deletes, and what the server makes of them; `root` is where the JSON has them.
pub(super) fn deletes(root: &str, deletes: &Deletes, is_exact: bool) -> Vec<Block> {
    let Deletes { warn, fail, is_told, over_warn, over_fail, hottest } = deletes;
    if hottest.is_empty() {
        return Vec::new();
    }
    let origin = if *is_told { "this server" } else { "Cassandra by default" };
    let limits = format!(
        "A read that meets {} tombstones is warned of by {origin}, one that meets {} fails. {} with as many deletes \
         as the first, {} as the second.",
        count(*warn),
        count(*fail),
        counted(*over_warn, "partition"),
        count(*over_fail),
    );
    let worst = hottest.iter().map(|hot| hot.tombstones()).max().unwrap_or_default();
    let unreadable =
        hottest.iter().any(|hot| hot.there.is_some_and(|met| met.tombstones.is_none()));
    let limits = match (unreadable || worst >= *fail, worst >= *warn) {
        (true, _) => Block::Note(Tone::Bad, limits),
        (false, true) => Block::Note(Tone::Warning, limits),
        (false, false) => Block::Text(limits),
    };
    let is_traced = hottest.iter().any(|hot| hot.there.is_some());
    let mut table = Table::new("Most deletes", ["table", "partition", "deletes"]);
    if is_traced {
        table.columns.extend(["tombstones there already", "rows there"].map(str::to_owned));
    }
    for (place, hot) in hottest.iter().enumerate() {
        let deletes = match is_exact {
            true => Told::count(hot.deletes).at(format!("{root}/hottest/{place}/deletes")),
            false => Told::number(hot.deletes as f64, format!("~{}", count(hot.deletes))),
        };
        let mut row = vec![Told::code(&hot.table), Told::code(&hot.partition), deletes];
        if is_traced {
            row.extend(met(hot.there));
        }
        table.rows.push(row);
    }
    vec![limits, table.into()]
}

/// Tombstones and rows that a read has met.
fn met(there: Option<Met>) -> [Told; 2] {
    // What is not known comes last where the largest comes first.
    let unknown = || Told::number(-1.0, "?");
    let Some(Met { rows, tombstones, is_whole }) = there else { return [unknown(), unknown()] };
    let more = if is_whole { "" } else { "+" };
    let number = |n: u64| Told::number(n as f64, format!("{}{more}", count(n)));
    match tombstones {
        Some(tombstones) => [number(tombstones), number(rows)],
        None => [Told::number(1e18, "too many to read"), unknown()],
    }
}

/// What a merge costs.
fn costs(inspection: &Inspection) -> Section {
    let speed = &inspection.speed;
    let took = match &inspection.duration {
        Some(estimate) => {
            let ends = [estimate.low_s, estimate.high_s];
            let [low, high] = ends.map(|s| duration(Duration::from_secs_f64(s.clamp(0.0, 1e9))));
            format!("{low} to {high}")
        }
        None => "not estimated: too little was read to measure by".to_owned(),
    };
    let read = format!(
        "{} groups/s, {} requests/s, in {}",
        rate(speed.groups_per_s),
        rate(speed.requests_per_s),
        duration(Duration::from_secs_f64(speed.seconds.clamp(0.0, 1e9))),
    );
    let rows = [
        ("events (none with --no-events)", shown(inspection.events, count)),
        ("batches to write", shown(inspection.batches, count)),
        ("journal", shown(inspection.journal_bytes, bytes)),
        ("duration", took),
        ("this inspection", read),
    ];
    let rows = rows.map(|(what, value)| [Told::words(what), Told::words(value)]);
    Section::new("What it takes").with(Table::new("", ["what", "how much"]).with(rows).into())
}
