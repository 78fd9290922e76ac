//! What was found by the rules, to be told: how many lines, the first of them, and what they name.

use serde::Serialize;

use super::rules::{Accepted, RULES, Rule, RuleEntry};
use super::signs::{Shape, Signs, escaped};

/// How many lines a finding names.
const FIRST_LINES: usize = 3;
/// How much of an id a finding shows.
const SHOWN_CHARS: usize = 64;

/// What a rule has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// What became of the lines.
    pub outcome: Outcome,
    pub lines: u64,
    /// The first of them.
    pub(crate) first_lines: Vec<u64>,
    /// What was found there, such as an id; what nobody sees is written by its number.
    pub names: Vec<String>,
    /// What such a line looks like, as in "a line that …".
    pub what: &'static str,
    /// What to do about it.
    pub(crate) advice: &'static str,
    /// Whether `--accept` with the rule's name lets one of the lines through, or has.
    pub(crate) can_be_accepted: bool,
}

/// What became of the lines of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// They are not merged.
    Rejected,
    /// They are merged, because `--accept` says so.
    Accepted,
    /// They are merged, and should be looked at.
    Doubted,
}

impl Finding {
    pub(crate) fn new(rule: Rule, outcome: Outcome, sighted: Sightings) -> Self {
        let RuleEntry { name, what, advice, .. } = *rule.entry();
        let Sightings { lines, first, can_be_accepted } = sighted;
        let (first_lines, mut names): (Vec<_>, Vec<_>) = first.into_iter().unzip();
        names.retain(|name: &String| !name.is_empty());
        names.dedup();
        Self { rule: name, outcome, lines, first_lines, names, what, advice, can_be_accepted }
    }

    /// The first lines, as in `lines 2, 3, …`.
    pub(crate) fn lines_text(&self) -> String {
        let mut all: Vec<_> = self.first_lines.iter().map(u64::to_string).collect();
        if self.lines > self.first_lines.len() as u64 {
            all.push("…".to_owned());
        }
        format!("line{} {}", if self.lines == 1 { "" } else { "s" }, all.join(", "))
    }

    /// What is named, behind something that leads to it; nothing without a name.
    pub(crate) fn names_text(&self, lead: &str) -> String {
        let all: Vec<_> = self.names.iter().map(|name| format!("'{name}'")).collect();
        if all.is_empty() { String::new() } else { format!("{lead}{}", all.join(", ")) }
    }
}

/// Lines that have something in common: their number, and the first of them with what they name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sightings {
    lines: u64,
    first: Vec<(u64, String)>,
    /// Whether `--accept` lets one of them through, or has.
    can_be_accepted: bool,
}

impl Sightings {
    /// Adds a line behind all those before.
    pub(crate) fn add(&mut self, line: u64, name: impl FnOnce() -> String) {
        self.lines += 1;
        if self.first.len() < FIRST_LINES {
            self.first.push((line, name()));
        }
    }

    /// Notes that `--accept` lets one of them through, or has, if so.
    pub(crate) fn note_acceptable(&mut self, is_so: bool) {
        self.can_be_accepted |= is_so;
    }

    /// Adds several lines that belong together, by the first of them.
    pub(crate) fn add_all(&mut self, first: u64, lines: u64, name: impl FnOnce() -> String) {
        self.add(first, name);
        self.lines += lines.saturating_sub(1);
    }

    /// Adds those of a block, whose lines come after this many.
    fn append(&mut self, block: &Self, before: u64) {
        self.lines += block.lines;
        let room = FIRST_LINES - self.first.len();
        let first = block.first.iter().take(room);
        self.first.extend(first.map(|(line, name)| (before + line, name.clone())));
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Puts what was found in several turns together, by line.
    fn join(all: impl Iterator<Item = Self>) -> Self {
        let mut joined = all.fold(Self::default(), |mut joined, one| {
            joined.lines += one.lines;
            joined.first.extend(one.first);
            joined
        });
        joined.first.sort();
        joined.first.dedup_by_key(|(line, _)| *line);
        joined.first.truncate(FIRST_LINES);
        joined
    }
}

/// An id as a finding shows it.
pub(crate) fn shown(id: &str) -> String {
    let id = escaped(id);
    match id.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id,
    }
}

/// What was seen in the ids of accepted lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    rules: [Sightings; Rule::COUNT],
    shapes: [Sightings; Shape::ALL.len()],
}

impl Seen {
    /// Adds a pair, with what is to be seen in each of its ids.
    pub(super) fn add(&mut self, line: u64, [from, to]: [(&str, Signs); 2]) {
        let both = from.1.or(to.1);
        let name = |has: bool| shown(if has { from.0 } else { to.0 });
        let mut rules = both.rules();
        while rules != 0 {
            let entry = &RULES[rules.trailing_zeros() as usize];
            self.rules[entry.rule as usize].add(line, || name(from.1.has(entry.rule)));
            rules &= rules - 1;
        }
        let mut shapes = both.shapes();
        while shapes != 0 {
            let shape = Shape::ALL[shapes.trailing_zeros() as usize];
            self.shapes[shape as usize].add(line, || name(from.1.is(shape)));
            shapes &= shapes - 1;
        }
    }

    /// Adds what was seen in a block, whose lines come after this many.
    pub(super) fn append(&mut self, block: &Self, before: u64) {
        let of_rules = self.rules.iter_mut().zip(&block.rules);
        for (all, more) in of_rules.chain(self.shapes.iter_mut().zip(&block.shapes)) {
            all.append(more, before);
        }
    }

    /// What there is to be told.
    pub(crate) fn findings(mut self, accepted: Accepted) -> Vec<Finding> {
        self.rules[Rule::MixedShapes as usize] = self.odd_shapes();
        let [.., long, rounded] = &self.shapes;
        // By chance a number ends in zeros, too: it is odd where many do.
        if rounded.lines > 0 && rounded.lines.saturating_mul(4) >= long.lines {
            let known = std::mem::take(&mut self.rules[Rule::Reformatted as usize]);
            let all = [known, rounded.clone()].into_iter();
            self.rules[Rule::Reformatted as usize] = Sightings::join(all);
        }
        let found = RULES.iter().zip(self.rules).filter(|(_, sighted)| sighted.lines > 0);
        let finding = |(entry, mut sighted): (&RuleEntry, Sightings)| {
            let is_accepted = accepted.has(entry.rule);
            sighted.note_acceptable(is_accepted);
            let outcome = if is_accepted { Outcome::Accepted } else { Outcome::Doubted };
            Finding::new(entry.rule, outcome, sighted)
        };
        found.map(finding).collect()
    }

    /// The lines with ids of another shape than most have.
    fn odd_shapes(&self) -> Sightings {
        // Words, numbers and addresses go together where nearly all are of one kind only: a short hash may be all
        // digits. A UUID is none by chance.
        const NEARLY_ALL_PERCENT: u64 = 90;
        const FEW: u64 = 10;
        let [uuid, hex, number, mail, other, ..] = &self.shapes;
        let shapes = [uuid, hex, number, mail, other];
        let all: u64 = shapes.iter().map(|shape| shape.lines).sum();
        let Some(most) = shapes.into_iter().max_by_key(|shape| shape.lines) else {
            return Sightings::default();
        };
        let is_clear = most.lines * 100 >= all * NEARLY_ALL_PERCENT && all >= FEW;
        let odd: Vec<_> = shapes.into_iter().filter(|shape| !std::ptr::eq(*shape, most)).collect();
        if uuid.lines > 0 || is_clear && !std::ptr::eq(most, other) {
            Sightings::join(odd.into_iter().cloned())
        } else {
            Sightings::default()
        }
    }
}
