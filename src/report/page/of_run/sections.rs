//! What stands below the figures in the page of `plan`, `apply` and `resume`.

use super::super::of_inspection::{deletes, inspection};
use super::super::sections::{equations, examples, failures, latency, over_time, settings};
use super::super::{Bar, Block, Section, Table, Told};
use crate::plan::Outcome;
use crate::report::text::{count, counted, percent};
use crate::report::{Applied, Fates, ScanFacts, Summary, SweepFacts};

pub(super) fn planned(summary: &Summary) -> Vec<Section> {
    let mut sections = vec![funnel(summary), equations(&summary.equations)];
    sections.extend(findings(summary));
    sections.extend(shape(summary));
    sections.extend(summary.inspection.iter().flat_map(inspection));
    if let Some(discovery) = &summary.discovery {
        let tables = discovery.tables.iter();
        let rows = tables.map(|led| [&led.table, &led.through].map(Told::code));
        let section = Section::new("Finding rows")
            .saying(format!("--discover content (the default): {}.", discovery.content_misses))
            .saying(format!("--discover scan: {}.", discovery.scan_costs));
        let table = Table::new("", ["table", "found through"]).with(rows);
        sections.push(section.with(table.into()));
    }
    sections.extend(settings(&summary.settings));
    sections
}

pub(super) fn done(summary: &Summary, applied: &Applied) -> Vec<Section> {
    let mut sections = vec![funnel(summary), equations(&summary.equations)];
    sections.extend(findings(summary));
    let after = "failures.csv has all pairs of these groups. resume tries them again; the file can also be fed back in.";
    sections.extend(failures(&applied.failures, after));
    sections.push(rows(applied));
    sections.extend(over_time(&applied.timeline, "Groups done"));
    sections.extend(latency("", &applied.latency));
    sections.extend(hottest(applied));
    sections.extend(looks(applied));
    sections.extend(settings(&summary.settings));
    sections
}

/// From the lines of the input to what is done.
fn funnel(summary: &Summary) -> Section {
    let plan = &summary.plan;
    let rejected = plan.rejected_lines();
    let filled = plan.lines.saturating_sub(plan.blank);
    let less = |n: u64, what: &str| match n {
        0 => String::new(),
        n => format!("without {} {what}", count(n)),
    };
    let mut steps = vec![
        (
            "Lines of the input",
            Told::count(plan.lines).at("/plan/lines"),
            plan.lines,
            String::new(),
        ),
        ("Not blank", Told::count(filled), filled, less(plan.blank, "blank")),
        (
            "Accepted",
            Told::count(filled.saturating_sub(rejected)),
            filled.saturating_sub(rejected),
            less(rejected, "rejected"),
        ),
        (
            "Pairs",
            Told::count(plan.pairs).at("/plan/pairs"),
            plan.pairs,
            less(plan.duplicates, "duplicates"),
        ),
    ];
    if let Some(applied) = &summary.applied {
        let Fates { done, failed, not_started, limited, taken_back, .. } = applied.pairs;
        let lost = [
            less(failed, "failed"),
            less(not_started, "not started"),
            less(limited, "left out by --limit"),
            less(taken_back, "taken back"),
        ];
        let lost: Vec<_> = lost.into_iter().filter(|lost| !lost.is_empty()).collect();
        steps.push(("Pairs done", Told::count(done).at("/pairs/done"), done, lost.join(", ")));
    }
    let part = |n: u64| if plan.lines == 0 { 0.0 } else { n as f64 / plan.lines as f64 };
    let bars = steps.into_iter().map(|(name, value, n, note)| {
        let note = [percent(part(n)), note];
        let note: Vec<_> = note.into_iter().filter(|note| !note.is_empty()).collect();
        Bar { name: name.to_owned(), value, part: part(n), note: note.join(", ") }
    });
    let groups = match &summary.applied {
        None => format!("The pairs make up {}.", counted(plan.groups, "group")),
        Some(applied) => format!(
            "The pairs make up {}, of which {} are done.",
            counted(plan.groups, "group"),
            count(applied.groups.done)
        ),
    };
    Section::new("From lines to done").with(Block::Bars(bars.collect())).with(Block::Text(groups))
}

/// Which lines were rejected, let through or doubted, by which rule.
fn findings(summary: &Summary) -> Vec<Section> {
    let section = |title: &str, said: &str, outcome: Outcome| {
        let mut table = Table::new("", ["rule", "lines", "which", "a line that", "what to do"]);
        for (place, finding) in summary.plan.findings.iter().enumerate() {
            if finding.outcome != outcome {
                continue;
            }
            let lines = Told::count(finding.lines).at(format!("/plan/findings/{place}/lines"));
            let which = finding.lines_text() + &finding.names_text(": ");
            let advice = match outcome == Outcome::Rejected && finding.can_be_accepted {
                true => format!("{}; or --accept {}", finding.advice, finding.rule),
                false => finding.advice.to_owned(),
            };
            let [what, advice] = [finding.what, &advice].map(Told::words);
            table.push([Told::words(finding.rule), lines, Told::code(which), what, advice]);
        }
        (!table.rows.is_empty()).then(|| Section::new(title).saying(said).with(table.into()))
    };
    let said = "rejects.csv has all of them, each with its reason; it can be fed straight back in.";
    let mut rejected = section("Rejected lines", said, Outcome::Rejected);
    if let Some(section) = &mut rejected {
        section.blocks.extend(examples("Examples", &summary.reject_examples));
    }
    let said = "They are merged, because --accept says so.";
    let accepted = section("Accepted lines", said, Outcome::Accepted);
    let said = "They are merged, and look as if something else were meant.";
    let doubted = section("Warnings", said, Outcome::Doubted);
    [rejected, accepted, doubted].into_iter().flatten().collect()
}

fn shape(summary: &Summary) -> Option<Section> {
    let plan = &summary.plan;
    if plan.pairs == 0 {
        return None;
    }
    let rows = [
        ("groups", plan.groups, "groups"),
        ("accounts in them, survivors included", plan.accounts, "accounts"),
        ("sources in the largest group", plan.largest_group, "largest_group"),
        ("groups with a chain (A into B, B into C)", plan.chains, "chains"),
        ("pairs in the longest chain", plan.longest_chain, "longest_chain"),
        ("accounts that several sources name", plan.fan_ins, "fan_ins"),
        ("sources of the account that most name", plan.largest_fan_in, "largest_fan_in"),
    ];
    let rows = rows
        .map(|(what, n, field)| [Told::words(what), Told::count(n).at(format!("/plan/{field}"))]);
    let table = Table::new("", ["what", "number"]).with(rows);
    let mut section = Section::new("Groups").with(table.into());
    if !plan.largest.is_empty() {
        let largest = plan.largest.iter().enumerate().map(|(place, group)| {
            let of = |field: &str| format!("/plan/largest/{place}/{field}");
            let sources = Told::count(group.sources).at(of("sources"));
            [Told::code(&group.survivor), sources, Told::count(group.line).at(of("line"))]
        });
        let table =
            Table::new("Survivors with the most sources", ["survivor", "sources", "first line"]);
        section = section.with(table.with(largest).into());
    }
    Some(section)
}

fn rows(applied: &Applied) -> Section {
    let columns = [
        "table",
        "rows of sources",
        "copied",
        "merged",
        "unchanged",
        "deleted",
        "rows of survivors",
    ];
    let mut table = Table::new("", columns);
    for (place, facts) in applied.tables.iter().enumerate() {
        let rows = &facts.rows;
        let numbers = [
            ("source_rows", rows.source_rows),
            ("copied", rows.copied),
            ("merged", rows.merged),
            ("unchanged", rows.unchanged),
            ("deleted", rows.deleted),
            ("target_rows", rows.target_rows),
        ];
        let numbers =
            numbers.map(|(field, n)| Told::count(n).at(format!("/tables/{place}/{field}")));
        table.rows.push([Told::code(&facts.table)].into_iter().chain(numbers).collect());
    }
    let absent = format!(
        "Of the groups that are done. {} of {} and {} of {} have no rows: many of them mean mistyped ids or the wrong \
         keyspace. {} in {}.",
        count(applied.absent_sources),
        counted(applied.pairs.done, "source"),
        count(applied.absent_survivors),
        counted(applied.groups.done, "survivor"),
        counted(applied.batches, "batch statement"),
        counted(applied.slices, "slice"),
    );
    Section::new("Rows by table").saying(absent).with(table.into())
}

fn hottest(applied: &Applied) -> Option<Section> {
    if applied.hottest.is_empty() && applied.deletes.hottest.is_empty() {
        return None;
    }
    let mut table = Table::new("Most groups, of the whole run", ["table", "partition", "groups"]);
    for (place, hot) in applied.hottest.iter().enumerate() {
        let groups = match hot.groups == hot.groups_at_most {
            true => Told::count(hot.groups),
            false => {
                let shown = format!("{} to {}", count(hot.groups), count(hot.groups_at_most));
                Told::number(hot.groups as f64, shown)
            }
        };
        let groups = groups.at(format!("/hottest/{place}/groups"));
        table.push([Told::code(&hot.table), Told::code(&hot.partition), groups]);
    }
    let section = Section::new("Hottest partitions").saying(
        "Those to which most groups led, counted from the journal; and those in which this session has deleted most.",
    );
    let mut section = section.with(table.into());
    section.blocks.extend(deletes("/deletes", &applied.deletes, true));
    Some(section)
}

/// The scan and the sweep.
fn looks(applied: &Applied) -> Option<Section> {
    let mut table = Table::new("", ["what", "number"]);
    let mut push = |what: &str, n: u64, pointer: &str| {
        table.push([Told::words(what), Told::count(n).at(pointer)]);
    };
    if let Some(ScanFacts { ranges, ranges_before, ranges_now, rows, enrolments, .. }) =
        applied.scanned
    {
        push("token ranges to be scanned", ranges, "/scanned/ranges");
        push("scanned before", ranges_before, "/scanned/ranges_before");
        push("scanned in this session", ranges_now, "/scanned/ranges_now");
        push("rows looked at", rows, "/scanned/rows");
        push("of sources among them", enrolments, "/scanned/enrolments");
    }
    if let Some(SweepFacts { sources, scanned, rows, events, left, failed, .. }) = applied.swept {
        push("sources that the sweep looked at again", sources, "/swept/sources");
        if let Some(scanned) = scanned {
            push("rows scanned for that", scanned, "/swept/scanned");
        }
        push("later rows taken to their new place", rows, "/swept/rows");
        push("events for them", events, "/swept/events");
        push("rows left where they are", left, "/swept/left");
        push("groups whose sweep failed", failed, "/swept/failed");
    }
    if table.rows.is_empty() {
        return None;
    }
    let mut section = Section::new("Scan and sweep").with(table.into());
    section.blocks.extend(examples("Rows that were left (sweep.csv)", &applied.sweep_examples));
    Some(section)
}
