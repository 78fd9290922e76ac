//! Pairs that are not merged for a reason that is not in the input: what other runs did to their accounts.

use std::io::{Read, Write};

use super::Plan;
use super::resolve::{self, resolve as plan_of};
use crate::pairs::{Accepted, Outcome, PairList, Reason, Rule, Seen};

/// A pair that is not merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The line of the pair.
    pub line: u64,
    /// The rule by which it is rejected.
    pub rule: Rule,
    /// The reason in words.
    pub(crate) words: String,
}

impl Refusal {
    /// Writes refusals as CSV with the columns `line,rule,words`, to make the same plan again.
    ///
    /// # Errors
    /// They cannot be written.
    pub(crate) fn write(refusals: &[Self], out: impl Write) -> csv::Result<()> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record(["line", "rule", "words"])?;
        for Self { line, rule, words } in refusals {
            out.write_record([&*line.to_string(), rule.name(), words])?;
        }
        out.flush().map_err(csv::Error::from)
    }

    /// Reads what [`write`](Self::write) wrote; the error says what is wrong with it.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub(crate) fn read(from: impl Read) -> Result<Vec<Self>, String> {
        let mut refusals = Vec::new();
        for record in csv::Reader::from_reader(from).records() {
            let record = record.map_err(|error| error.to_string())?;
            let refusal = || {
                let line = record.get(0)?.parse().ok()?;
                let rule = Rule::of(record.get(1)?)?;
                Some(Self { line, rule, words: record.get(2)?.to_owned() })
            };
            refusals.push(refusal().ok_or_else(|| format!("it has a line {record:?}"))?);
        }
        Ok(refusals)
    }
}

impl Plan {
    /// The plan of the same input without some of its pairs. What is repeated of them stays a duplicate.
    pub(crate) fn without(mut self, refusals: &[Refusal]) -> Self {
        if refusals.is_empty() {
            return self;
        }
        let refused: std::collections::HashSet<u64> =
            refusals.iter().map(|refusal| refusal.line).collect();
        for Refusal { line, rule, words } in refusals {
            let reason = Reason::Earlier(*rule, self.rejects.add_words(words));
            self.rejects.push(*line, reason);
        }
        self.rejects.sort();
        resolve::keep(&mut self.edges, &mut self.lines, |_, _, line| !refused.contains(&line));
        self.regrouped()
    }

    /// The same, once pairs have been taken out of it.
    pub(super) fn regrouped(self) -> Self {
        let Self { stats, accounts, edges, lines, rejects, .. } = self;
        let (records, blank) = (stats.lines, stats.blank);
        let (seen, accepted) = (Seen::default(), Accepted::default());
        let list = PairList {
            accounts,
            edges,
            lines,
            rejects,
            seen,
            accepted,
            records,
            blank,
            followed: Vec::new(),
        };
        let mut plan = plan_of(list);
        plan.stats.duplicates += stats.duplicates;
        plan.stats.followed = stats.followed;
        plan.stats.other_parts = stats.other_parts;
        // What was seen in single lines is not seen again.
        let of_all = [Rule::LetterCase, Rule::FanIn].map(Rule::name);
        let of_lines = stats.findings.into_iter().filter(|finding| {
            finding.outcome != Outcome::Rejected && !of_all.contains(&finding.rule)
        });
        plan.stats.findings.extend(of_lines);
        plan.stats.findings.sort_by_key(|finding| (finding.outcome, finding.rule));
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::{Format, read};

    /// What is refused little by little when a run begins is refused at once when its plan is made again.
    #[test]
    fn refusals_add_up() {
        let csv = "from,to\na,b\nb,c\nx,c\na,b\nc,d\n";
        let plan = || plan_of(read(csv.as_bytes(), &Format::default()).unwrap());
        let refusal = |line| Refusal { line, rule: Rule::Busy, words: String::new() };
        for lines in [[3, 4], [4, 3], [2, 6], [6, 3]] {
            let [one, other] = lines.map(refusal);
            let at_once = plan().without(&[one.clone(), other.clone()]);
            let in_turn = plan().without(&[one]).without(&[other]);
            assert_eq!(at_once.sha256(), in_turn.sha256(), "{lines:?}");
            assert!(in_turn.stats().adds_up() && at_once.stats().adds_up());
            assert_eq!(at_once.stats().rejected, in_turn.stats().rejected);
        }
    }

    #[test]
    fn what_is_refused_is_rejected_and_the_rest_is_grouped_anew() {
        let csv = "from,to\na,b\na,b\nb,c\nx,c\n";
        let plan = plan_of(read(csv.as_bytes(), &Format::default()).unwrap());
        assert_eq!(plan.len(), 1);
        let words = "run r has not ended with 'b'".to_owned();
        let refusals = [Refusal { line: 4, rule: Rule::Busy, words }];
        let plan = plan.without(&refusals);
        let groups: Vec<_> = plan.groups().map(|group| group.survivor.to_string()).collect();
        assert_eq!(groups, ["b", "c"]);
        assert!(plan.stats().adds_up(), "{:?}", plan.stats());
        assert_eq!((plan.stats().duplicates, plan.stats().rejected["busy"]), (1, 1));
        let reject = plan.rejects().get(0).unwrap();
        let text = plan.rejects().explain(reject, ["b", "c"], plan.accounts());
        assert_eq!(text, "busy: run r has not ended with 'b'");
        let mut written = Vec::new();
        Refusal::write(&refusals, &mut written).unwrap();
        assert_eq!(Refusal::read(&written[..]), Ok(refusals.to_vec()));
        assert!(Refusal::read(&b"line,rule,words\n1,none,x\n"[..]).is_err());
    }
}
