//! The rules by which a line is rejected or doubted: one table, from which the reasons of rejects, `--accept`, the
//! reports and the manual follow.

use super::rules::Consequence::{Doubted, Held, Rejected};

/// A rule. What comes first in this order is said of a line that several rules concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    Malformed,
    Header,
    InvalidId,
    Placeholder,
    Spreadsheet,
    SelfPair,
    Ambiguous,
    Cycle,
    Busy,
    LostRun,
    MergedEarlier,
    AmbiguousEarlier,
    LetterCase,
    UuidSpelling,
    MixedShapes,
    StandIn,
    Reformatted,
    LookAlike,
    Quoted,
    FanIn,
}

/// What follows from a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// The line cannot be merged.
    Rejected,
    /// The line is not merged, unless `--accept` names the rule.
    Held,
    /// The line is merged, and doubted.
    Doubted,
}

/// What is to be known about a rule.
#[derive(Clone, Copy, Debug)]
pub struct RuleEntry {
    pub rule: Rule,
    /// Its name: the reason code, what `--accept` takes.
    pub name: &'static str,
    /// What follows from it.
    pub(crate) consequence: Consequence,
    /// What a line looks like that it concerns, as in "a line that …".
    pub what: &'static str,
    /// What to do about it.
    pub(crate) advice: &'static str,
}

/// All rules, in their order.
pub(crate) const RULES: [RuleEntry; Rule::COUNT] = [
    entry(
        Rule::Malformed,
        "malformed",
        Rejected,
        "is no record of its format: too few columns, or more than the header, broken quoting, a lone carriage return, bytes that are not UTF-8",
        "see what its format says of such lines",
    ),
    entry(
        Rule::Header,
        "header",
        Held,
        "repeats the header, names its columns in another order, or stands below one that does",
        "several lists were put together: give each by itself, or make their columns alike",
    ),
    entry(
        Rule::InvalidId,
        "invalid-id",
        Held,
        "has an id with characters that nobody sees (U+FEFF, U+200B, U+00AD, control characters, …); or one that is \
         empty, longer than 1,024 bytes, surrounded by white space, or no value of the accounts' type, which nothing \
         lets through",
        "clean the ids where they come from; --trim strips white space",
    ),
    entry(
        Rule::Placeholder,
        "placeholder",
        Held,
        "has a word for nothing as an id (NULL, None, undefined, NaN, \\N, #N/A, -)",
        "strangers would become one person: leave such lines out where the list is made",
    ),
    entry(
        Rule::Spreadsheet,
        "spreadsheet",
        Held,
        "has an id as a spreadsheet rewrites it (9.91214E+15, '007, =\"007\")",
        "different ids look the same once they are rounded: export them anew, as text, past the spreadsheet",
    ),
    entry(
        Rule::SelfPair,
        "self-pair",
        Rejected,
        "has the same account on both sides",
        "there is nothing to do, if that is meant",
    ),
    entry(
        Rule::Ambiguous,
        "ambiguous",
        Rejected,
        "has an account that other lines merge into somebody else",
        "decide which target is right, and leave the others out",
    ),
    entry(
        Rule::Cycle,
        "cycle",
        Rejected,
        "is part of a circle of accounts, so that none of them survives",
        "decide who survives, and leave out the line that merges that account away; if a run did, take that back first",
    ),
    entry(
        Rule::Busy,
        "busy",
        Rejected,
        "has an account that another run has begun with and not ended",
        "end that run first: resume or undo it",
    ),
    entry(
        Rule::LostRun,
        "lost-run",
        Rejected,
        "has an account that was left half merged by a run that is lost",
        "look what became of the account",
    ),
    entry(
        Rule::MergedEarlier,
        "merged-earlier",
        Rejected,
        "has a target that an earlier run has merged into another account",
        "merge into where it is now, which --follow does, or take that run back first",
    ),
    entry(
        Rule::AmbiguousEarlier,
        "ambiguous-earlier",
        Rejected,
        "has a source that an earlier run has merged into another account",
        "decide which target is right: merge it into where it is now, or take that run back first",
    ),
    entry(
        Rule::LetterCase,
        "letter-case",
        Doubted,
        "has an id that looks like another one: it differs in upper and lower case only, or in how letters with marks are \
         written (\u{e9} as one character or as two)",
        "they are two accounts here: look how the tables spell it",
    ),
    entry(
        Rule::UuidSpelling,
        "uuid-spelling",
        Doubted,
        "has a UUID in capitals, in braces or as a URN, which is another account than the usual spelling where accounts \
         are text",
        "look how the tables spell it; --inspect asks the cluster for the accounts' type",
    ),
    entry(
        Rule::MixedShapes,
        "mixed-shapes",
        Doubted,
        "has an id of another shape than most have",
        "look whether a column of something else has got among the ids",
    ),
    entry(
        Rule::StandIn,
        "stand-in",
        Doubted,
        "has an id that often stands for nobody in particular (0, guest, anonymous, unknown)",
        "look whether this is one person's account",
    ),
    entry(
        Rule::Reformatted,
        "reformatted",
        Doubted,
        "has an id as programs rewrite numbers (123.0, 1,234, 9.9E15, 1-Mar, or all zeros after 15 digits)",
        "compare it with the tables; ids travel safely as text only",
    ),
    entry(
        Rule::LookAlike,
        "look-alike",
        Doubted,
        "has an id with characters that look like others (no-break spaces, full-width forms, Latin letters mixed with Cyrillic or Greek)",
        "compare it with the tables",
    ),
    entry(
        Rule::Quoted,
        "quoted",
        Doubted,
        "has an id with quotes around it that belong to the id here",
        "look whether the list was quoted twice, or by another sign than \"",
    ),
    entry(
        Rule::FanIn,
        "fan-in",
        Doubted,
        "merges into a survivor with far more sources than the others have",
        "look whether it is one person's account, before all of these become it",
    ),
];

const fn entry(
    rule: Rule,
    name: &'static str,
    consequence: Consequence,
    what: &'static str,
    advice: &'static str,
) -> RuleEntry {
    RuleEntry { rule, name, consequence, what, advice }
}

impl Rule {
    pub(crate) const COUNT: usize = Self::FanIn as usize + 1;

    /// What is to be known about it.
    pub(crate) fn entry(self) -> &'static RuleEntry {
        &RULES[self as usize]
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        RULES.iter().find(|entry| entry.name == name).map(|entry| entry.rule)
    }

    pub(crate) fn name(self) -> &'static str {
        self.entry().name
    }

    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The rules that reject lines, in the order in which they are checked.
pub(crate) fn rejecting() -> impl Iterator<Item = &'static RuleEntry> {
    RULES.iter().filter(|entry| entry.consequence != Doubted)
}

/// The rules whose lines are let through: what `--accept` names.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted(u32);

impl Accepted {
    /// All that can be accepted: how versions read that knew none of these rules.
    #[cfg(test)]
    pub(crate) fn all() -> Self {
        held().fold(Self::default(), |all, entry| all.with(entry.rule))
    }

    /// These, and one more.
    pub(crate) fn with(self, rule: Rule) -> Self {
        Self(self.0 | rule.bit())
    }

    /// Reads names, separated by commas.
    ///
    /// # Errors
    /// A name is none, or of a rule whose lines cannot be merged; said so that it can follow the value.
    pub(crate) fn parse(all: &str) -> Result<Self, String> {
        let mut names = all.split(',').map(str::trim).filter(|name| !name.is_empty());
        let add = |accepted: Self, name: &str| match held().find(|entry| entry.name == name) {
            Some(entry) => Ok(accepted.with(entry.rule)),
            None => {
                let known: Vec<_> = held().map(|entry| entry.name).collect();
                let wrong = match RULES.iter().find(|entry| entry.name == name) {
                    Some(RuleEntry { consequence: Doubted, .. }) => {
                        "is accepted anyway, with a warning"
                    }
                    Some(_) => "cannot be accepted",
                    None => "is not the name of a rule",
                };
                // Of several, the one that is meant.
                let which =
                    if all.contains(',') { format!("names {name}, which ") } else { String::new() };
                Err(format!("{which}{wrong}; those that can be accepted are {}", known.join(", ")))
            }
        };
        names.try_fold(Self::default(), add)
    }

    /// The names, in the order of the rules.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        held().filter(move |entry| self.has(entry.rule)).map(|entry| entry.name)
    }

    /// Whether lines are let through that this rule holds back.
    pub(crate) fn has(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }

    /// Those of these rules (a bit each) that hold a line back.
    pub(super) fn refuse(self, rules: u32) -> u32 {
        rules & HOLDING & !self.0
    }
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The rules that hold lines back, a bit each.
const HOLDING: u32 =
    Rule::Header.bit() | Rule::InvalidId.bit() | Rule::Placeholder.bit() | Rule::Spreadsheet.bit();

fn held() -> impl Iterator<Item = &'static RuleEntry> {
    RULES.iter().filter(|entry| entry.consequence == Held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_rules() {
        for (index, entry) in RULES.iter().enumerate() {
            assert_eq!(entry.rule as usize, index, "{}", entry.name);
            assert_eq!(
                HOLDING & entry.rule.bit() != 0,
                entry.consequence == Held,
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn names_are_accepted_alone_and_together() {
        let some = Accepted::parse("spreadsheet, placeholder,placeholder").unwrap();
        assert_eq!(some.names().collect::<Vec<_>>(), ["placeholder", "spreadsheet"]);
        assert_eq!(Accepted::parse("").unwrap(), Accepted::default());
        let all = Accepted::all().names().collect::<Vec<_>>();
        assert_eq!(all, ["header", "invalid-id", "placeholder", "spreadsheet"]);
        assert_eq!(Accepted::parse(&all.join(",")).unwrap(), Accepted::all());
    }

    #[test]
    fn another_name_is_refused_with_those_that_there_are() {
        for (name, wrong) in [
            ("null", "is not the name of a rule"),
            ("Placeholder", "is not the name of a rule"),
            ("placeholder,cycle", "names cycle, which cannot be accepted"),
            ("fan-in", "is accepted anyway"),
        ] {
            let error = Accepted::parse(name).unwrap_err();
            let known =
                "; those that can be accepted are header, invalid-id, placeholder, spreadsheet";
            assert!(error.starts_with(wrong) && error.ends_with(known), "{error}");
        }
    }
}
