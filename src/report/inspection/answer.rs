//! What an inspection says: what happens to how many rows, and what that takes.

use super::accounts::accounts;
use super::deletes::deletes;
use super::surroundings::surroundings;
use super::{ConflictColumn, ConflictExample, Coverage, InspectedTable, Inspection};
use crate::report::common::{latency, tried_again};
use crate::report::document::{Block, Fact, Report, Section, Table, Tone};
use crate::report::figures::Number;
use crate::report::words::{code, count, counted, estimate, line, per_second, say, seconds};

/// Columns of a conflict that a terminal shows.
const DIFFERENCES: usize = 8;
/// Partitions that a terminal names.
const HOTTEST: usize = 5;

/// Adds what was found.
pub(in crate::report) fn add(inspection: &Inspection, report: &mut Report) {
    report.add(rows(inspection));
    report.add(Section::new("Conflicts").with_all(conflicts(inspection)));
    report.add(accounts(inspection));
    let (found, is_exact) = (&inspection.deletes, inspection.coverage.is_exact);
    let found = deletes("/inspection/deletes", found, is_exact, HOTTEST);
    report.add(Section::new("Hottest partitions").with_all(found));
    report.add(surroundings(inspection));
    report.add(costs(inspection));
    report.add(latency("/inspection", &inspection.latency));
}

fn rows(inspection: &Inspection) -> Section {
    let Coverage { is_exact, groups, of_groups, pairs, method, .. } = &inspection.coverage;
    let at =
        |n: u64, noun, field: &str| counted(n, noun).at(format!("/inspection/coverage/{field}"));
    let (keyspace, read) = (code(&inspection.keyspace), at(*groups, "group", "groups"));
    let sentence = match is_exact {
        true => say!(
            "{} with {} in keyspace {}, all of them: what follows is exact, as of now",
            read,
            at(*pairs, "pair", "pairs"),
            keyspace,
        ),
        false => say!(
            "{} of {} in keyspace {}: what follows is estimated, with 95 % confidence. {}",
            count(*groups).at("/inspection/coverage/groups"),
            at(*of_groups, "group", "of_groups"),
            keyspace,
            method,
        ),
    };
    let mut section = Section::new("What a merge would do").with(Fact::new("Inspected", sentence));
    if inspection.unreadable > 0 {
        let unreadable = counted(inspection.unreadable, "group").at("/inspection/unreadable");
        let sentence = say!("{} could not be read and are left out", unreadable);
        let reasons = inspection.unreadable_reasons.iter().enumerate();
        let reasons = reasons.map(|(index, (reason, groups))| {
            let at = format!("/inspection/unreadable_reasons/{index}/1");
            say!("{}: {}", count(*groups).at(at), reason)
        });
        let fact = Fact { more: reasons.collect(), ..Fact::new("Unreadable", sentence) };
        section = section.with(fact.toned(Tone::Warning));
    }
    let head = ["Rows of", "sources", "to copy", "to merge", "unchanged", "to delete"];
    let mut table = Table::new(head);
    for (index, facts) in inspection.tables.iter().enumerate() {
        let InspectedTable { source_rows, copied, merged, unchanged, deleted, .. } = facts;
        let numbers = [
            ("source_rows", source_rows),
            ("copied", copied),
            ("merged", merged),
            ("unchanged", unchanged),
            ("deleted", deleted),
        ];
        let numbers = numbers.map(|(field, total)| {
            estimate(*total, Number::Count).at(format!("/inspection/tables/{index}/{field}")).into()
        });
        table.push([code(&facts.table)].into_iter().chain(numbers));
    }
    section.with(table).with_all(immortal(inspection))
}

/// The tables in which what expires would last for ever.
fn immortal(inspection: &Inspection) -> Vec<Fact> {
    let tables = inspection.tables.iter().enumerate();
    let expiring = tables.filter(|(_, table)| table.immortal.value > 0);
    let facts = expiring.map(|(index, InspectedTable { table, immortal, .. })| {
        let cells = estimate(*immortal, Number::Count);
        let sentence = say!(
            "{} of {} that expire would last for ever where they are copied; with {} in the specification they expire when \
             they would have",
            say!("{} cells", cells.at(format!("/inspection/tables/{index}/immortal"))),
            code(table),
            code("ttl = \"carry\""),
        );
        Fact::new("Expiring", sentence).toned(Tone::Warning)
    });
    facts.collect()
}

fn conflicts(inspection: &Inspection) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (index, facts) in inspection.tables.iter().enumerate() {
        let InspectedTable { table, source_rows, merged, unchanged, rule, .. } = facts;
        let held = merged.value + unchanged.value;
        if held == 0 {
            continue;
        }
        let at = |field: &str| format!("/inspection/tables/{index}/{field}/value");
        let sentence = say!(
            "{} of {} of {} have a key that is held already: {}",
            count(held),
            counted(source_rows.value, "row").at(at("source_rows")),
            code(table),
            rule,
        );
        let change = || {
            let (change, same) = (count(merged.value), count(unchanged.value));
            say!(" ({} change, {} do not)", change.at(at("merged")), same.at(at("unchanged")))
        };
        blocks.push(Fact::new("Conflicts", sentence.and_if(merged.value > 0, change)).into());
        // One of each kind is enough for a terminal.
        for is_merged in [true, false] {
            let own = inspection.conflicts.iter();
            let own = own.filter(|own| own.table == *table && own.is_merged == is_merged);
            blocks.extend(own.enumerate().map(|(n, own)| conflict(own, n == 0).into()));
        }
    }
    blocks
}

fn conflict(example: &ConflictExample, in_terminal: bool) -> Table {
    let ConflictExample { line: number, source, survivor, key, columns, .. } = example;
    let (source, survivor) = (code(source), code(survivor));
    let number = line(*number);
    let caption = match columns.is_empty() {
        true => {
            say!("line {}: {} → {}, {}: both are the same", number, source, survivor, code(key))
        }
        false => say!("line {}: {} → {}, {}", number, source, survivor, code(key)),
    };
    let value = |value: &Option<String>| match value {
        Some(value) => code(value),
        None => say!("null"),
    };
    let row = |differs: &ConflictColumn| {
        let ConflictColumn { column, survivor, source, result, .. } = differs;
        // What wins is named: there is no room for it twice.
        let wins = match result {
            result if result == survivor => say!("survivor's"),
            result if result == source => say!("source's"),
            result => value(result),
        };
        [code(column), value(survivor), value(source), wins]
    };
    Table::new(["column", "survivor", "source", "afterwards"])
        .caption(caption)
        .in_terminal(if in_terminal { DIFFERENCES } else { 0 })
        .with(columns.iter().map(row))
}

/// What a merge costs.
fn costs(inspection: &Inspection) -> Section {
    let number =
        |total, unit, field: &str| estimate(total, unit).at(format!("/inspection/{field}"));
    let events = match inspection.events {
        Some(events) => {
            say!("{} (none with --no-events)", number(events, Number::Count, "events"))
        }
        None => say!("none: the specification announces nothing"),
    };
    let journal = number(inspection.journal_bytes, Number::Bytes, "journal_bytes");
    let batches = number(inspection.batches, Number::Count, "batches");
    let took = match &inspection.duration {
        Some(estimate) => {
            let range = say!(
                "{} to {}",
                seconds(estimate.low_s).at("/inspection/duration/low_s"),
                seconds(estimate.high_s).at("/inspection/duration/high_s"),
            );
            Fact::new("Duration", range)
                .with(say!("reads as fast as in this inspection"))
                .with(say!(
                    "{} batch statements, each from next to no time up to that of one and a half reads",
                    batches
                ))
        }
        None => Fact::new("Duration", say!("not estimated: too little was read to measure by")),
    };
    let speed = &inspection.speed;
    let at = |rate: f64, field: &str| per_second(rate).at(format!("/inspection/speed/{field}"));
    let read = say!(
        "read in {}: {} groups/s, {} requests/s; {}",
        seconds(speed.seconds).at("/inspection/speed/seconds"),
        at(speed.groups_per_s, "groups_per_s"),
        at(speed.requests_per_s, "requests_per_s"),
        tried_again(speed.retries, "/inspection/speed/retries"),
    );
    Section::new("What it takes")
        .with(Fact::new("Events", events))
        .with(Fact::new("Journal", journal))
        .with(took)
        .with(Fact::new("Speed", read))
}
