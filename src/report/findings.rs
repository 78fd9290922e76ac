//! What the rules have found in the pairs: which lines were rejected, let through or doubted, and what to do about it.

use crate::plan::{Finding, LargeGroup, Outcome, PlanStats};
use crate::run::files;

use super::common::examples;
use super::document::{Fact, Section, Table, Tone};
use super::words::{Text, count, line, own, say};
use super::{Listing, words};

/// What matters most of it; with what to do about rejected lines, if nobody has been told before.
pub(super) fn facts(plan: &PlanStats, with_advice: bool) -> Vec<Fact> {
    let of_outcome = |outcome: Outcome| {
        let all = plan.findings.iter().enumerate();
        all.filter(move |(_, finding)| finding.outcome == outcome)
    };
    // What is doubted is named; rejects.csv has what is rejected.
    let named = |(at, finding): (usize, &Finding)| {
        let names = match finding.outcome {
            Outcome::Rejected => String::new(),
            _ => finding.names_text(": "),
        };
        let lines = count(finding.lines).at(format!("/plan/findings/{at}/lines"));
        say!("{} {} ({})", lines, finding.rule, finding.lines_text() + &names)
    };
    let together = |outcome| Text::join(of_outcome(outcome).map(named), ", ");
    let mut facts = Vec::new();
    let rejected = match of_outcome(Outcome::Rejected).count() {
        0 | 1 => together(Outcome::Rejected),
        // A page shows the first number large: that of all of them.
        _ => say!("{} lines: {}", count(plan.rejected_lines()), together(Outcome::Rejected)),
    };
    if !rejected.is_empty() {
        let file =
            say!("{} has them, each with its reason, and can be fed back in", files::REJECTS);
        let advised = of_outcome(Outcome::Rejected).filter(|_| with_advice);
        let more = advised.map(|(_, finding)| say!("{}: {}", finding.rule, advice(finding)));
        facts.push(more.fold(Fact::new("Rejected", rejected).with(file), Fact::with));
    }
    let accepted = together(Outcome::Accepted);
    if !accepted.is_empty() {
        facts.push(Fact::new("Accepted", accepted.and(say!(", because --accept says so"))));
    }
    facts.extend(of_outcome(Outcome::Doubted).map(|(at, finding)| {
        let sentence = say!(
            "{}: such a line {}; {}",
            named((at, finding)),
            own(finding.what),
            own(finding.advice)
        );
        Fact::new("Doubted", sentence).toned(Tone::Warning)
    }));
    facts
}

/// All of it, for a page.
pub(super) fn sections(plan: &PlanStats, rejects: &Listing) -> [Section; 3] {
    let section = |title, about, outcome: Outcome| {
        let columns = ["rule", "lines", "which", "a line that", "what to do"];
        let mut table = Table::new(columns).in_terminal(0);
        for (at, finding) in plan.findings.iter().enumerate() {
            if finding.outcome != outcome {
                continue;
            }
            let lines = count(finding.lines).at(format!("/plan/findings/{at}/lines"));
            let which = words::code(&(finding.lines_text() + &finding.names_text(": ")));
            let [rule, what] = [finding.rule, finding.what].map(own);
            table.push([rule, lines.into(), which, what, advice(finding)]);
        }
        Section::new(title).about(about).with(table)
    };
    let sentence =
        "rejects.csv has all of them, each with its reason; it can be fed straight back in.";
    let rejected = section("Rejected lines", sentence, Outcome::Rejected);
    let sentence = "They are merged, because --accept says so.";
    let accepted = section("Accepted lines", sentence, Outcome::Accepted);
    let sentence = "They are merged, and look as if something else were meant.";
    let doubted = section("Warnings", sentence, Outcome::Doubted);
    [rejected.with(examples(rejects)), accepted, doubted]
}

/// What to do about lines that a rule rejects or doubts.
fn advice(finding: &Finding) -> Text {
    let is_held = finding.outcome == Outcome::Rejected && finding.can_be_accepted;
    own(finding.advice).and_if(is_held, || {
        let flag = words::code(format!("--accept {}", finding.rule));
        say!("; {} merges what can be merged of them all the same", flag)
    })
}

/// The survivors with the most sources.
pub(super) fn largest(plan: &PlanStats) -> Text {
    let named = |(at, group): (usize, &LargeGroup)| {
        let of = |field: &str| format!("/plan/largest/{at}/{field}");
        let (sources, first) = (count(group.sources), line(group.line));
        let (sources, first) = (sources.at(of("sources")), first.at(of("line")));
        say!("'{}' with {} (line {})", words::code(&group.survivor), sources, first)
    };
    Text::join(plan.largest.iter().enumerate().map(named), ", ")
}
