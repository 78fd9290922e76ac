//! What the rules have found in the pairs, as text.

use crate::plan::{Finding, Outcome, PlanStats};

use super::text::{NO_BREAK, count, labelled};

/// Which lines were rejected, let through or doubted, by which rule, and what to do about it.
pub(super) fn findings_text(plan: &PlanStats) -> String {
    let [rejected, accepted, doubted] = plan.by_outcome();
    // What is doubted is named; rejects.csv has what is rejected.
    let named = |finding: &Finding| {
        let names = match finding.outcome {
            Outcome::Rejected => String::new(),
            _ => finding.names_text(": "),
        };
        let what = format!("{}{NO_BREAK}{}", count(finding.lines), finding.rule);
        format!("{what} ({}{names})", finding.lines_text())
    };
    let mut text = String::new();
    let together = |label: &str, findings: &[&Finding], end: &str| {
        let all: Vec<_> = findings.iter().map(|finding| named(finding)).collect();
        if all.is_empty() { String::new() } else { labelled(label, &(all.join(", ") + end)) }
    };
    text += &together("Rejected", &rejected, "");
    for finding in rejected.iter().filter(|finding| finding.is_of_the_list()) {
        let way = match finding.can_be_accepted {
            // To be copied: it stands on one line.
            true => format!("; --accept{NO_BREAK}{} merges such lines all the same", finding.rule),
            false => String::new(),
        };
        let said =
            format!("{}: such a line {}; {}{way}", finding.rule, finding.what, finding.advice);
        text += &labelled("", &said);
    }
    text += &together("Accepted", &accepted, ", because --accept says so");
    for finding in &doubted {
        let said = format!("{}: such a line {}; {}", named(finding), finding.what, finding.advice);
        text += &labelled("WARNING", &said);
    }
    text
}
