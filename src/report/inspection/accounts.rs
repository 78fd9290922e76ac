//! Accounts that should be looked at before a merge.

use super::{AbsentAccounts, Inspection};
use crate::report::common;
use crate::report::discovery::scan_of;
use crate::report::document::{Fact, Section, Table};
use crate::report::figures::Number;
use crate::report::words::{Text, code, count, counted, estimate, line, say};

/// Of the largest, a terminal names so many.
const LARGEST: usize = 3;

pub(super) fn accounts(inspection: &Inspection) -> Section {
    let mut largest = Table::new(["Largest accounts", "line", "role", "rows"]).in_terminal(LARGEST);
    for (index, account) in inspection.largest.iter().enumerate() {
        let role = if account.is_survivor { "survivor" } else { "source" };
        let rows = count(account.rows).at(format!("/inspection/largest/{index}/rows"));
        let name = code(&account.account);
        largest.push([name, line(account.line).into(), role.into(), rows.into()]);
    }
    let section = Section::new("Accounts")
        .with(absent(&inspection.absent_sources, "/inspection/absent_sources", "source"))
        .with(absent(&inspection.absent_survivors, "/inspection/absent_survivors", "survivor"))
        .with(chained(inspection));
    let discovery =
        [missed(inspection), scanned(inspection), mentions(inspection)].into_iter().flatten();
    discovery.fold(section, Section::with).with(largest)
}

fn absent(absent: &AbsentAccounts, at: &str, who: &'static str) -> Fact {
    let AbsentAccounts { accounts, of, first } = absent;
    if accounts.high == 0 {
        return Fact::new(
            "Absent",
            say!("all {} have rows", counted(*of, who).at(format!("{at}/of"))),
        );
    }
    let number = estimate(*accounts, Number::Count).at(format!("{at}/accounts"));
    let fact = common::absent(number, accounts.value, *of, who);
    let examples =
        first.iter().map(|named| say!("line {}: {}", line(named.line), code(&named.account)));
    Fact { examples: examples.collect(), ..fact }
}

fn chained(inspection: &Inspection) -> Fact {
    let chained = &inspection.chained;
    let accounts = || counted(chained.accounts, "account").at("/inspection/chained/accounts");
    let sentence = match chained.accounts {
        0 => say!("no account is a `from` on one line and a `to` on another"),
        1 => say!(
            "{} is a `from` as well as a `to`: what goes into it goes on from there",
            accounts()
        ),
        _ => {
            say!(
                "{} are a `from` as well as a `to`: what goes into them goes on from there",
                accounts()
            )
        }
    };
    let examples = chained.first.iter().map(|one| {
        let (from, to) = (line(one.from_line), line(one.to_line));
        say!("{}: from on line {}, to on line {}", code(&one.account), from, to)
    });
    Fact { examples: examples.collect(), ..Fact::new("Chained", sentence) }
}

fn missed(inspection: &Inspection) -> Option<Fact> {
    if inspection.missed.tables.is_empty() {
        return None;
    }
    let Some(missed) = inspection.missed.clustered_rows else {
        let sentence = say!(
            "rows of sources to which no other row leads are not counted, and --discover content leaves them: to count \
             them, inspect with --discover scan"
        );
        return Some(Fact::new("Discovery", sentence));
    };
    let at = "/inspection/missed/clustered_rows";
    let sentence = say!(
        "rows of sources that only the scan finds, and --discover content misses: {}",
        estimate(missed, Number::Count).at(at)
    );
    Some(Fact::new("Discovery", sentence.and(scanned_rows(inspection).unwrap_or_default())))
}

/// What is found by a scan alone.
fn scanned(inspection: &Inspection) -> Option<Fact> {
    let tables = &inspection.missed.scanned;
    (!tables.is_empty()).then(|| {
        let sentence = say!("nothing leads to rows of sources: it {}", scan_of(tables));
        Fact::new("Scan", sentence.and(scanned_rows(inspection).unwrap_or_default()))
    })
}

/// What nobody has looked for.
fn mentions(inspection: &Inspection) -> Option<Fact> {
    let columns = &inspection.missed.mentions;
    (!columns.is_empty()).then(|| {
        let sentence = say!(
            "rows that name a source in {}: not counted, as a merge looks for them only when its groups are done; then they \
             name the survivor",
            Text::join(columns.iter().map(code), ", ")
        );
        Fact::new("Mentions", sentence)
    })
}

fn scanned_rows(inspection: &Inspection) -> Option<Text> {
    let rows = inspection.missed.scanned_rows?;
    Some(say!("; {} scanned", counted(rows, "row").at("/inspection/missed/scanned_rows")))
}
