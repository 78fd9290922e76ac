//! What `apply` and `resume` say of what they did.

use super::{Applied, BusyPartition, BusyRun, Fates, Summary, TableFacts, aftercare};
use crate::advice::Advice;
use crate::report::common::{
    absent, emptied, events, examples, failures, gone, latency, over_time, sum, tried_again,
};
use crate::report::counts;
use crate::report::document::{Fact, Report, Section, Table};
use crate::report::inspection::deletes;
use crate::report::words::{Text, code, count, counted, path_on, per_second, say};
use crate::run::files;

/// Partitions that a terminal names.
const HOTTEST: usize = 5;

/// Adds what was done.
pub(super) fn add(summary: &Summary, applied: &Applied, report: &mut Report) {
    let facts = &mut report.facts;
    facts.extend(applied.stopped.as_ref().map(|why| Fact::new("Stopped", why)));
    facts.push(Fact::new("Groups", fates("groups", &applied.groups)));
    facts.push(Fact::new("Pairs", fates("pairs", &applied.pairs)));
    facts.extend(applied.busy.iter().enumerate().map(busy));
    facts.extend(rejected(applied));
    facts.extend(resumed(applied));
    let scanned = applied.scanned.as_ref();
    facts.extend(scanned.map(|scan| counts::walk("Scan", "/scanned", scan, "no row of a source")));
    let none = say!("none, as asked for by --no-events or the specification");
    facts.push(events(&applied.events, none));
    let listed = |fact: Fact, is_partial: bool| match is_partial {
        true => fact.with(say!("{} has what was left", files::SWEEP)),
        false => fact,
    };
    facts.extend(applied.swept.as_ref().map(|swept| {
        let fact = counts::walk("Sweep", "/swept", swept, "nothing was left on them");
        listed(fact, swept.tally.is_partial())
    }));
    facts.extend(applied.mentions.as_ref().map(|mentions| {
        let fact = counts::walk("Mentions", "/mentions", mentions, "none of them names a source");
        listed(fact, mentions.tally.is_partial())
    }));
    facts.extend(applied.unsupported.as_ref().map(|what| Fact::new("Not told", what)));
    facts.push(speed(applied));
    facts.extend(gone(&applied.gone));
    facts.extend(emptied(&applied.truncated));
    let (sources, survivors) = (applied.tally.absent_sources, applied.tally.absent_survivors);
    let found = [
        (sources, "/absent_sources", applied.pairs.done, "source"),
        (survivors, "/absent_survivors", applied.groups.done, "survivor"),
    ];
    let found = found.into_iter().filter(|(n, ..)| *n > 0);
    facts.extend(found.map(|(n, at, of, who)| absent(count(n).at(at), n, of, who)));
    facts.extend(counts::facts(&applied.tally, "", None));
    for (index, TableFacts { table, rows }) in applied.tables.iter().enumerate() {
        facts.extend(counts::facts(rows, &format!("/tables/{index}"), Some(table)));
    }

    report.add(rows(applied));
    report.add(hottest(applied));
    report.add(over_time(&applied.timeline, "Groups done"));
    report.add(latency("", &applied.latency));
    report.add(failures(
        &applied.failures,
        "failures.csv has all pairs of these groups; resume tries them again. Until then their accounts are busy for other runs.",
    ));
    report.add(Section::new("Rows that were left").with(examples(&applied.sweep_examples)));
    report.add(applied.aftercare.as_ref().map(aftercare::section));

    if !applied.gone.is_empty() {
        if let Some(end) = &applied.again {
            report.advise(say!("To end it, if the table does not come back"), end.clone());
        }
        return;
    }
    // Nothing was begun that could be checked, gone on with or taken back.
    if applied.groups.planned == 0 {
        return;
    }
    if let Some(end @ Advice::Undo { .. }) = &applied.again {
        report.advise(
            say!("It was declared lost. To give back what it left half merged"),
            end.clone(),
        );
        return;
    }
    let run = || summary.run_dir.clone();
    match &applied.again {
        Some(again) if applied.groups.failed > 0 => {
            let to = say!("To go on ({} has the pairs that failed)", files::FAILURES);
            report.advise(to, again.clone());
        }
        Some(again) if applied.stopped.is_some() => report.advise(say!("To go on"), again.clone()),
        Some(again) => report.advise(say!("To merge the rest as well"), again.clone()),
        None => {}
    }
    // Nothing of it stands any more that could be checked or taken back.
    if applied.groups.undone > 0
        && applied.groups.undone + applied.groups.rejected == applied.groups.planned
    {
        return;
    }
    report.advise(say!("To check it"), Advice::Verify { run: run(), repair: false });
    for BusyRun { run, end, .. } in &applied.busy {
        if let Some(end) = end {
            report.advise(say!("To end run {}", code(run)), end.clone());
        }
    }
    if applied.again.is_none() {
        let to = match applied.groups.busy {
            0 => say!("To look once more for later rows"),
            _ => say!("To merge what waits, once that has ended"),
        };
        report.advise(to, Advice::resume(&run()));
    }
    report.advise(say!("To take it back"), Advice::undo(&run()));
}

fn fates(root: &str, fates: &Fates) -> Text {
    let at = |n: u64, field: &str| count(n).at(format!("/{root}/{field}"));
    let parts = fates.parts().map(|(field, what, n)| (at(n, field), what));
    sum(at(fates.planned, "planned"), parts)
}

fn busy((index, busy): (usize, &BusyRun)) -> Fact {
    let BusyRun { run, groups, host, run_dir, .. } = busy;
    let location = match (host, run_dir) {
        (Some(host), Some(dir)) => say!(" in {}", path_on(host, dir)),
        _ => Text::default(),
    };
    let groups = counted(*groups, "group").at(format!("/busy/{index}/groups"));
    let sentence = say!(
        "{} left as they are: run {}{} has not ended with their accounts, or has to be undone first",
        groups,
        code(run),
        location
    );
    Fact::new("Busy", sentence).with(say!("{} has their pairs", files::FAILURES))
}

fn rejected(applied: &Applied) -> Option<Fact> {
    let groups = counted(applied.groups.rejected, "group");
    let sentence = say!(
        "{} rejected: other runs have moved their accounts ({} has their pairs, and why)",
        groups,
        files::FAILURES
    );
    (applied.groups.rejected > 0).then(|| Fact::new("Since plan", sentence))
}

fn resumed(applied: &Applied) -> Option<Fact> {
    let resumed = applied.resumed.as_ref()?;
    let before = counted(resumed.groups_done_before, "group").at("/resumed/groups_done_before");
    let sentence = say!(
        "{} done before, since {}; events, speed and latencies are those of this session",
        before,
        resumed.run_started_at.to_string(),
    );
    Some(Fact::new("Resumed", sentence))
}

fn speed(applied: &Applied) -> Fact {
    let (speed, retries) = (&applied.throughput, tried_again(applied.retries, "/retries"));
    if applied.groups_done_now == 0 {
        return Fact::new("Speed", say!("nothing was merged in this session; {}", retries));
    }
    let sentence = say!(
        "{} pairs/s, {} rows/s; {}",
        per_second(speed.pairs_per_s).at("/throughput/pairs_per_s"),
        per_second(speed.rows_per_s).at("/throughput/rows_per_s"),
        retries,
    );
    let written = say!(
        "{} in {}",
        counted(applied.tally.batches, "batch statement").at("/batches"),
        counted(applied.tally.slices, "slice").at("/slices")
    );
    Fact::new("Speed", sentence).with(written)
}

fn rows(applied: &Applied) -> Section {
    let tables = applied.tables.iter().map(|TableFacts { table, rows }| (table, rows));
    let table = counts::rows_of(tables);
    Section::new("Rows by table").about("Of the groups that are done.").with(table)
}

fn hottest(applied: &Applied) -> Section {
    let mut led = Table::new(["Partition", "table", "groups"]).in_terminal(0);
    for (index, hot) in applied.hottest.iter().enumerate() {
        let BusyPartition { table, partition, groups, groups_at_most } = hot;
        let at = |n: u64, field: &str| count(n).at(format!("/hottest/{index}/{field}"));
        let most = || say!(" to {}", at(*groups_at_most, "groups_at_most"));
        let groups_led = Text::from(at(*groups, "groups")).and_if(groups != groups_at_most, most);
        led.push([code(partition), code(table), groups_led]);
    }
    let shown = if applied.deletes.over_warn > 0 { HOTTEST } else { 0 };
    Section::new("Hottest partitions")
        .about(
            "Those to which most groups led, counted from the journal; and those in which this session has deleted most.",
        )
        .with(led)
        .with_all(deletes("/deletes", &applied.deletes, true, shown))
}
