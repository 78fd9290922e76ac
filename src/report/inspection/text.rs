//! An inspection as text for people: what happens to how many rows, then what to look at first.

use std::time::Duration;

use crate::estimate::Estimate;
use crate::report::text::{
    COLUMNS, bytes, count, counted, cut_end, duration, labelled, printable, rate, table,
};

use super::{
    AbsentAccounts, ConflictColumn, ConflictExample, Coverage, Deletes, HotPartition,
    InspectedTable, Inspection,
};

/// From this share on, accounts without rows are warned about, in percent.
const MANY_ABSENT_PERCENT: u64 = 10;
/// Accounts that are named on one line; report.json has more.
const NAMED: usize = 3;
/// Columns that are shown of a conflict.
const DIFFERENCES: usize = 3;
/// How long an id may be.
const ID: usize = 36;

/// An inspection as text.
pub(in crate::report) fn inspection_text(inspection: &Inspection) -> String {
    let mut text = coverage(inspection);
    text += &rows(&inspection.tables);
    text += "\n";
    text += &conflicts(inspection);
    text += &absent(&inspection.absent_sources, "sources");
    text += &absent(&inspection.absent_survivors, "survivors");
    text += &both_lists(inspection);
    text += &missed(inspection);
    text += &largest(inspection);
    text += &hot_partitions(&inspection.deletes, inspection.coverage.is_exact);
    text += "\n";
    text += &labelled("Events", &format!("{} (none with --no-events)", shown(inspection.events)));
    text += &labelled("Journal", &about(inspection.journal_bytes, bytes));
    text + &took(inspection)
}

fn coverage(inspection: &Inspection) -> String {
    let Coverage { is_exact, groups, of_groups, pairs, method, .. } = &inspection.coverage;
    let keyspace = printable(&inspection.keyspace);
    let said = match is_exact {
        true => format!(
            "{} with {} in keyspace {keyspace}, all of them: what follows is exact, as of now",
            counted(*groups, "group"),
            counted(*pairs, "pair"),
        ),
        false => format!(
            "{} of {} in keyspace {keyspace}: what follows is estimated, with 95 % confidence. \
             {method}",
            count(*groups),
            counted(*of_groups, "group"),
        ),
    };
    let mut text = labelled("Inspected", &said);
    if inspection.unreadable > 0 {
        let said = format!(
            "{} could not be read and are left out",
            counted(inspection.unreadable, "group")
        );
        text += &labelled("WARNING", &said);
        for (reason, groups) in &inspection.unreadable_reasons {
            text += &labelled("", &format!("{}: {}", count(*groups), printable(reason)));
        }
    }
    text
}

fn rows(tables: &[InspectedTable]) -> String {
    let head = ["Rows of", "sources", "to copy", "to merge", "unchanged", "to delete"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    for facts in tables {
        let all = [facts.source_rows, facts.copied, facts.merged, facts.unchanged, facts.deleted];
        let mut line = |name: &str, value: fn(Estimate) -> u64| {
            let numbers = all.map(|estimate| count(value(estimate)));
            lines.push([name.to_owned()].into_iter().chain(numbers).collect());
        };
        line(&printable(&facts.table), |estimate| estimate.value);
        if all.iter().any(|estimate| !estimate.is_exact()) {
            line("  at least", |estimate| estimate.low);
            line("  at most", |estimate| estimate.high);
        }
    }
    format!("\n{}", table(&lines))
}

fn conflicts(inspection: &Inspection) -> String {
    let mut text = String::new();
    for facts in &inspection.tables {
        let (merged, unchanged) = (facts.merged.value, facts.unchanged.value);
        if merged + unchanged == 0 {
            continue;
        }
        let mut said = format!(
            "{} of {} rows of {} have a key that is held already: {}",
            count(merged + unchanged),
            count(facts.source_rows.value),
            printable(&facts.table),
            facts.rule,
        );
        if merged > 0 {
            said += &format!(" ({} change, {} do not)", count(merged), count(unchanged));
        }
        text += &labelled("Conflicts", &said);
        // One of each kind; report.json has more.
        for is_merged in [true, false] {
            let mut own =
                inspection.conflicts.iter().filter(|example| example.table == facts.table);
            let first = own.find(|example| example.is_merged == is_merged);
            text += &first.map_or_else(String::new, conflict);
        }
    }
    text
}

fn conflict(example: &ConflictExample) -> String {
    let id = |id: &str| cut_end(&printable(id), ID / 2 - 2);
    let ConflictExample { line, source, survivor, key, columns, .. } = example;
    let key = cut_end(&printable(key), COLUMNS);
    let mut text = labelled("", &format!("line {line}, {} → {}: {key}", id(source), id(survivor)));
    let mut lines =
        vec![["            ", "survivor", "source", "afterwards"].map(str::to_owned).to_vec()];
    for column in columns.iter().take(DIFFERENCES) {
        let value = |value: &Option<String>| {
            value.as_ref().map_or_else(|| "null".to_owned(), |value| cut_end(&printable(value), 16))
        };
        let ConflictColumn { column, survivor, source, result, .. } = column;
        lines.push(vec![
            format!("            {}", cut_end(&printable(column), 22)),
            value(survivor),
            value(source),
            value(result),
        ]);
    }
    if columns.is_empty() {
        return text + &labelled("", "both are the same");
    }
    text += &table(&lines);
    if columns.len() > DIFFERENCES {
        text += &labelled("", &format!("and {} more columns", columns.len() - DIFFERENCES));
    }
    text
}

fn absent(absent: &AbsentAccounts, who: &str) -> String {
    let AbsentAccounts { accounts, of, first } = absent;
    if accounts.high == 0 {
        return labelled("Absent", &format!("all {} {who} have rows", count(*of)));
    }
    let mut said = format!("{} of {} {who} have no rows", shown(*accounts), count(*of));
    let many = accounts.value > 0 && accounts.value * 100 >= of * MANY_ABSENT_PERCENT;
    if many {
        said += ": are these ids typed right, and from this keyspace?";
    }
    let mut text = labelled(if many { "WARNING" } else { "Absent" }, &said);
    for named in first.iter().take(NAMED) {
        let account = cut_end(&printable(&named.account), ID);
        text += &labelled("", &format!("line {}: {account}", count(named.line)));
    }
    if first.len() > NAMED {
        text += &labelled("", "… (report.json names more)");
    }
    text
}

fn both_lists(inspection: &Inspection) -> String {
    let lists = &inspection.both_lists;
    if lists.accounts == 0 {
        return labelled("Both lists", "no account is a `from` on one line and a `to` on another");
    }
    let (are, they) = match lists.accounts {
        1 => ("1 account is".to_owned(), "it"),
        n => (format!("{} accounts are", count(n)), "them"),
    };
    let said = format!(
        "{are} a `from` on one line and a `to` on another, so that what goes into {they} goes on from \
         there; with both lines:"
    );
    let mut text = labelled("Both lists", &said);
    for named in lists.first.iter().take(NAMED) {
        let account = cut_end(&printable(&named.account), ID);
        let (from, to) = (count(named.from_line), count(named.to_line));
        text += &labelled("", &format!("{account}: {from} and {to}"));
    }
    if lists.accounts > NAMED as u64 {
        text += &labelled("", "… (report.json names more)");
    }
    text
}

fn missed(inspection: &Inspection) -> String {
    let said = match (inspection.missed.enrolments, inspection.missed.scanned_rows) {
        (Some(missed), scanned) => format!(
            "{} found by the scan only, and missed by --discover content ({} scanned)",
            match missed.value {
                1 if missed.is_exact() => "1 row of sources is".to_owned(),
                _ => format!("{} rows of sources are", shown(missed)),
            },
            counted(scanned.unwrap_or_default(), "row"),
        ),
        (None, _) => {
            "rows of sources to which no content leads are not counted, and --discover content \
                      leaves them: to count them, inspect with --discover scan"
                .to_owned()
        }
    };
    labelled("Discovery", &said)
}

fn largest(inspection: &Inspection) -> String {
    if inspection.largest.is_empty() {
        return String::new();
    }
    let mut lines = vec![["Largest accounts", "line", "role", "rows"].map(str::to_owned).to_vec()];
    for account in inspection.largest.iter().take(NAMED) {
        lines.push(vec![
            cut_end(&printable(&account.account), ID),
            count(account.line),
            if account.is_survivor { "survivor" } else { "source" }.to_owned(),
            count(account.rows),
        ]);
    }
    format!("\n{}", table(&lines))
}

/// The partitions with the most deletes, what they mean for the server, and what to do.
pub(in crate::report) fn hot_partitions(deletes: &Deletes, is_exact: bool) -> String {
    if deletes.hottest.is_empty() {
        return String::new();
    }
    let is_traced = deletes.hottest.iter().any(|hot| hot.there.is_some());
    let mut head = vec!["Hottest partitions".to_owned(), "deletes".to_owned()];
    if is_traced {
        head.extend(["there already", "rows there"].map(str::to_owned));
    }
    let mut lines = vec![head];
    for hot in deletes.hottest.iter().take(2 * NAMED - 1) {
        let approximately = if is_exact { "" } else { "~" };
        let mut line = vec![
            cut_end(&format!("{} of {}", printable(&hot.partition), printable(&hot.table)), ID),
            format!("{approximately}{}", count(hot.deletes)),
        ];
        if is_traced {
            line.extend(met(hot));
        }
        lines.push(line);
    }
    format!("\n{}{}", table(&lines), advice(deletes))
}

/// What was met: tombstones, and rows.
fn met(hot: &HotPartition) -> [String; 2] {
    let Some(there) = hot.there else { return ["?".to_owned(), "?".to_owned()] };
    let more = if there.is_whole { "" } else { "+" };
    match there.tombstones {
        Some(tombstones) => [count(tombstones) + more, count(there.rows) + more],
        None => ["too many".to_owned(), "?".to_owned()],
    }
}

fn advice(deletes: &Deletes) -> String {
    let Deletes { warn, fail, is_told, over_warn, over_fail, hottest } = deletes;
    let origin = if *is_told {
        "this server's"
    } else {
        "Cassandra's defaults; this one does not tell its own"
    };
    let limits = format!(
        "a read is warned of from {} on and fails from {} on ({origin})",
        count(*warn),
        count(*fail)
    );
    let mut text = labelled("Tombstones", &limits);
    let worst = hottest.iter().map(HotPartition::tombstones).max().unwrap_or_default();
    let fails_already =
        hottest.iter().any(|hot| hot.there.is_some_and(|there| there.tombstones.is_none()));
    if fails_already {
        text += &labelled(
            "WARNING",
            "a batch cannot be read in whole even now: compact it before anything is deleted there",
        );
    }
    if worst >= *fail {
        let said = format!(
            "{} over {}: the application cannot read such a batch in whole until its tombstones are dropped, \
             gc_grace_seconds later (10 days by default) and by a compaction. Before the merge: lower \
             gc_grace_seconds of the table, or raise tombstone_failure_threshold on the servers; or merge \
             the pairs in several runs, with a compaction between them",
            batches(*over_fail),
            count(*fail),
        );
        text += &labelled("WARNING", &said);
    } else if worst >= *warn {
        let said = format!(
            "{} over {}: reads of a whole batch become slower and are logged as a warning by the server, until \
             a compaction after gc_grace_seconds; single rows are read as before",
            batches(*over_warn),
            count(*warn),
        );
        text += &labelled("Advice", &said);
    }
    text
}

fn batches(n: u64) -> String {
    match n {
        0 => "With what is there already, some batches are".to_owned(),
        1 => "1 batch is".to_owned(),
        n => format!("{} batches are", count(n)),
    }
}

fn took(inspection: &Inspection) -> String {
    let speed = &inspection.speed;
    let measured = format!(
        "{} groups/s and {} requests/s were read in {}; {} tried again",
        rate(speed.groups_per_s),
        rate(speed.requests_per_s),
        duration(Duration::from_secs_f64(speed.seconds)),
        counted(speed.retries, "request"),
    );
    let mut text = match &inspection.duration {
        Some(estimate) => {
            let [low, high] = [estimate.low_s, estimate.high_s]
                .map(|seconds| duration(Duration::from_secs_f64(seconds.max(0.0))));
            let said = format!(
                "{low} to {high}: reads at the pace of this inspection, and {} batches, each taken to \
                 cost from next to nothing to one and a half reads",
                shown(inspection.batches)
            );
            labelled("Duration", &said)
        }
        None => labelled("Duration", "not estimated: too little was read to measure by"),
    };
    text += &labelled("Speed", &measured);
    text
}

/// `1,234`, or `1,234 (1,100 to 1,300)`.
fn shown(estimate: Estimate) -> String {
    about(estimate, count)
}

fn about(estimate: Estimate, show: fn(u64) -> String) -> String {
    let Estimate { value, low, high } = estimate;
    match estimate.is_exact() {
        true => show(value),
        false => format!("{} ({} to {})", show(value), show(low), show(high)),
    }
}
