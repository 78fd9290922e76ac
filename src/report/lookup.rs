//! Where an account went: what the runs know of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::document::{Fact, Outcome, Report, Section};
use super::words::{Text, code, count, counted, line, path, say};
use super::{Answer, ExamplePair};
use crate::advice::Advice;
use crate::journal::State;
use crate::model::{AccountId, Pair, TimestampUs};
use crate::moment::Moment;
use crate::run::RunId;

/// The version of the JSON. It changes when a field is renamed or changes its meaning.
const VERSION: u32 = 1;

/// Accounts of a chain, and pairs, that are shown; the JSON has all of them.
const SHOWN: usize = 8;

/// What the runs know of an account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lookup {
    /// The version of this format.
    pub version: u32,
    /// The account as the last run that has it writes it; as it was asked for if none has it.
    pub account: String,
    /// What was asked: run directories.
    pub by: &'static str,
    /// How many runs were looked into.
    pub runs: u64,
    /// The groups that it is in, by run.
    pub found: Vec<AccountGroup>,
    /// The runs that could not be read.
    pub unreadable: Vec<Unreadable>,
}

/// A group with the part that somebody plays in it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct AccountGroup {
    pub run: RunId,
    /// Its directory.
    pub run_dir: PathBuf,
    /// The group's number in the run's plan.
    pub group: usize,
    /// The part that the account plays in it.
    pub role: Role,
    /// The account that holds everything afterwards.
    pub survivor: String,
    /// The pair that merges the account away; none if it is the survivor.
    pub pair: Option<ExamplePair>,
    /// From the account over every target to the survivor.
    pub chain: Vec<String>,
    /// The pairs that name the account as their target.
    pub received: Vec<ExamplePair>,
    /// The write time of the merge, in microseconds since the Unix epoch; none before it began.
    pub(crate) t_us: Option<TimestampUs>,
    /// The same as a moment.
    pub as_of: Option<Moment>,
    /// `planned`, or where the group stands in the journal.
    pub state: String,
    /// Why, where it failed or is disputed.
    pub reason: Option<String>,
    /// When it came into that state.
    pub(crate) changed_at: Option<Moment>,
}

/// The part that an account plays in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// It is merged away.
    Source,
    /// It is merged away, and others are merged into it.
    Intermediate,
    /// It holds everything afterwards.
    Survivor,
}

/// A run that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Unreadable {
    /// Its directory.
    pub run_dir: PathBuf,
    pub why: String,
}

/// A group as its run knows it.
#[derive(Clone, Debug)]
pub(crate) struct KnownGroup<'a> {
    /// The group's number in the plan.
    pub group: usize,
    /// The surviving account.
    pub survivor: &'a AccountId,
    pub pairs: &'a [Pair],
    /// The merge's write time, if it has begun.
    pub t: Option<TimestampUs>,
    /// Where it stands; none if it is only planned.
    pub state: Option<State>,
    /// Why.
    pub reason: Option<&'a str>,
    /// When it came into that state, in milliseconds since the Unix epoch.
    pub(crate) changed_at_ms: Option<i64>,
}

impl KnownGroup<'_> {
    pub(crate) fn holds(&self, account: &AccountId) -> bool {
        self.survivor == account || self.pairs.iter().any(|pair| pair.from == *account)
    }
}

impl Lookup {
    /// Nothing found yet.
    pub(crate) fn new(account: &str) -> Self {
        let account = account.to_owned();
        let (found, unreadable) = (Vec::new(), Vec::new());
        Self { version: VERSION, account, by: "run directories", runs: 0, found, unreadable }
    }

    /// Adds what a run knows.
    pub(crate) fn add(&mut self, found: AccountGroup) {
        if let Some(account) = found.chain.first() {
            self.account.clone_from(account);
        }
        self.found.push(found);
    }
}

impl AccountGroup {
    /// What a group says of an account in it.
    pub(crate) fn new(
        account: &AccountId,
        run: RunId,
        run_dir: &Path,
        group: &KnownGroup<'_>,
    ) -> Self {
        let targets: HashMap<&AccountId, &Pair> =
            group.pairs.iter().map(|pair| (&pair.from, pair)).collect();
        let mut chain = vec![account];
        // A chain is no longer than its group, whatever a damaged journal may say.
        while let Some(pair) = chain.last().and_then(|last| targets.get(last))
            && chain.len() <= group.pairs.len()
        {
            chain.push(&pair.into);
        }
        let pair = targets.get(account);
        let received: Vec<_> = group.pairs.iter().filter(|pair| pair.into == *account).collect();
        let role = match pair {
            None => Role::Survivor,
            Some(_) if received.is_empty() => Role::Source,
            Some(_) => Role::Intermediate,
        };
        Self {
            run,
            run_dir: run_dir.to_path_buf(),
            group: group.group,
            role,
            survivor: group.survivor.to_string(),
            pair: pair.map(|pair| ExamplePair::from(*pair)),
            chain: chain.into_iter().map(AccountId::to_string).collect(),
            received: received.into_iter().map(ExamplePair::from).collect(),
            t_us: group.t,
            as_of: group.t.map(Moment::from_us),
            state: group.state.map_or("planned".to_owned(), |state| state.to_string()),
            reason: group.reason.map(str::to_owned),
            changed_at: group.changed_at_ms.map(|ms| Moment::from_us(ms.saturating_mul(1_000))),
        }
    }

    /// What is told of it; `at` is where the JSON has it.
    fn facts(&self, at: &str) -> Vec<Fact> {
        let mut facts =
            vec![Fact::new("Run", say!("{} in {}", self.run.to_string(), path(&self.run_dir)))];
        if let Some(pair) = &self.pair {
            let number = line(pair.line).at(format!("{at}/pair/line"));
            let sentence = say!(
                "into {}: line {} pairs it with {}",
                code(&self.survivor),
                number,
                code(&pair.to)
            );
            facts.push(Fact::new("Merged", sentence));
            facts.push(Fact::new("Chain", self.chain()));
        }
        if !self.received.is_empty() {
            facts.push(Fact::new("Received", self.received(at)));
        }
        facts.extend(self.as_of.map(|as_of| Fact::new("As of", as_of.to_string())));
        let since = |moment: Moment| say!(" (since {})", moment.to_string());
        let state = self.state_in_words().and(self.changed_at.map(since).unwrap_or_default());
        facts.push(Fact::new("State", state));
        facts
    }

    fn chain(&self) -> Text {
        let mut shown: Vec<_> = self.chain.iter().take(SHOWN).map(code).collect();
        if let Some(last) = self.chain.get(SHOWN..).and_then(<[String]>::last) {
            if self.chain.len() > SHOWN + 1 {
                shown.push(say!("({} more)", count((self.chain.len() - SHOWN - 1) as u64)));
            }
            shown.push(code(last));
        }
        Text::join(shown, " → ")
    }

    fn received(&self, at: &str) -> Text {
        let shown = self.received.iter().take(SHOWN).enumerate();
        let shown = shown.map(|(index, pair)| {
            let number = line(pair.line).at(format!("{at}/received/{index}/line"));
            say!("{} (line {})", code(&pair.from), number)
        });
        let more = self.received.len().saturating_sub(SHOWN);
        say!("what belonged to {}", Text::join(shown, ", "))
            .and_if(more > 0, || say!(", and {} more", count(more as u64)))
    }

    /// Whether something is left to be done of it.
    fn is_left(&self) -> bool {
        let left = [State::Intended, State::Written, State::Sweeping, State::Failed];
        self.state.parse().map_or(true, |state| left.contains(&state))
    }

    fn state_in_words(&self) -> Text {
        let reason = || self.reason.as_deref().unwrap_or("for a reason that was not kept");
        match self.state.parse::<State>() {
            Err(_) => say!("planned: nothing was done yet"),
            Ok(State::Intended) => say!("begun, not finished"),
            Ok(State::Written) => say!("merged, not announced yet"),
            Ok(State::Done) => say!("done"),
            Ok(State::Sweeping) => say!("done, but for what was written to its sources meanwhile"),
            Ok(State::Failed) => say!("failed: {}", reason()),
            Ok(State::Rejected) => say!("rejected: {}", reason()),
            Ok(State::Undoing) => say!("being taken back"),
            Ok(State::Undone) => say!("taken back"),
            Ok(State::Erased) => say!("erased"),
            Ok(State::Disputed) => say!("taken back, with conflicts: {}", reason()),
        }
    }
}

impl Answer for Lookup {
    fn report(&self) -> Report {
        let runs = counted(self.runs, "run").at("/runs");
        let found = counted(self.found.len() as u64, "group");
        let word = say!("in {} of the {} looked into (by run directories)", found, runs);
        let outcome = Outcome { word, ..Outcome::default() };
        let mut report = Report { title: self.account.clone(), outcome, ..Report::default() };
        for (index, found) in self.found.iter().enumerate() {
            let facts = found.facts(&format!("/found/{index}"));
            report.add(Section::new("Found").with_all(facts));
            if found.is_left() {
                let to = say!("To do what is left of run {}", found.run.to_string());
                report.advise(to, Advice::resume(&found.run_dir));
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{documented, rendered};

    fn printed(lookup: &Lookup) -> String {
        rendered(lookup).text
    }

    fn pair(from: &str, into: &str, line: u64) -> Pair {
        Pair { from: AccountId::new(from), into: AccountId::new(into), line }
    }

    fn found(account: &str, state: Option<State>) -> Lookup {
        let (survivor, account) = (AccountId::new("c"), AccountId::new(account));
        let pairs = [pair("b", "c", 3), pair("a", "b", 2), pair("x\u{1b}[2J", "c", 9)];
        let group = KnownGroup {
            group: 4,
            survivor: &survivor,
            pairs: &pairs,
            t: state.map(|_| 1_795_407_295_042_007),
            state,
            reason: state.map(|_| "no replica\nanswered"),
            changed_at_ms: state.map(|_| 1_795_407_296_000),
        };
        assert!(group.holds(&account) && !group.holds(&AccountId::new("z")));
        let run = RunId::from_text("20261123T041455Z-3f9a");
        let mut lookup = Lookup::new(&format!("{{{account}}}"));
        lookup.runs = 2;
        lookup.add(AccountGroup::new(&account, run, Path::new("runs/r1"), &group));
        lookup
    }

    #[test]
    fn every_part_in_a_chain_is_told() {
        let text = printed(&found("a", Some(State::Done)));
        assert_eq!(
            text,
            "a: in 1 group of the 2 runs looked into (by run directories)\n\
             \n\
             Run         20261123T041455Z-3f9a in runs/r1\n\
             Merged      into c: line 2 pairs it with b\n\
             Chain       a → b → c\n\
             As of       2026-11-23T04:14:55.042Z\n\
             State       done (since 2026-11-23T04:14:56.000Z)\n"
        );
        let text = printed(&found("b", Some(State::Failed)));
        assert!(
            text.contains("Chain       b → c\nReceived    what belonged to a (line 2)\n"),
            "{text}"
        );
        assert!(text.contains(r"failed: no replica\nanswered (since "), "{text}");
        let text = printed(&found("c", None));
        assert!(text.contains(r"what belonged to b (line 3), x\u{1b}[2J (line 9)"), "{text}");
        assert!(!text.contains("Merged") && !text.contains("As of"), "{text}");
        assert!(text.contains("\nState       planned: nothing was done yet\n"), "{text}");
    }

    #[test]
    fn the_json_says_the_same() {
        let json = |account, state| {
            let text = rendered(&found(account, state)).json;
            documented("lookup", &text);
            serde_json::from_str::<serde_json::Value>(&text).unwrap()["found"][0].clone()
        };
        let source = json("a", Some(State::Done));
        assert_eq!(source["role"], "source");
        assert_eq!(source["chain"], serde_json::json!(["a", "b", "c"]));
        assert_eq!(source["pair"], serde_json::json!({"from": "a", "to": "b", "line": 2}));
        assert_eq!(source["t_us"], 1_795_407_295_042_007_i64);
        assert_eq!(json("b", None)["role"], "intermediate");
        assert_eq!(json("b", None)["state"], "planned");
        let survivor = json("c", None);
        assert_eq!((&survivor["role"], &survivor["pair"]), (&"survivor".into(), &().into()));
    }

    #[test]
    fn a_long_chain_is_shortened() {
        let pairs: Vec<_> =
            (0..100).map(|n| pair(&format!("n{n}"), &format!("n{}", n + 1), n + 2)).collect();
        let survivor = AccountId::new("n100");
        let group = KnownGroup {
            group: 0,
            survivor: &survivor,
            pairs: &pairs,
            t: None,
            state: None,
            reason: None,
            changed_at_ms: None,
        };
        let run = RunId::from_text("r");
        let found = AccountGroup::new(&AccountId::new("n0"), run, Path::new("r"), &group);
        assert_eq!(found.chain.len(), 101);
        let lookup = Lookup { found: vec![found], ..Lookup::new("n0") };
        assert!(printed(&lookup).contains(" → n7 → (92 more) → n100\n"), "{}", printed(&lookup));
    }
}
