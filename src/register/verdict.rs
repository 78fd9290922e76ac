//! What the history of accounts says of a group that is to be merged, and of one that is to be taken back.

use crate::model::{Group, TimestampUs};

use super::{History, Standing, Stay};

/// Why a pair is not merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// One of its accounts is half merged, or half taken back, by another run.
    Busy {
        /// The account.
        account: String,
        /// The run.
        run: String,
        /// Whether that run's machine is gone.
        is_lost: bool,
    },
    /// Its target was merged into its source.
    Cycle {
        /// By this run.
        run: String,
    },
    /// Its target was merged into another account.
    MergedEarlier {
        /// Where it is now.
        into: String,
        /// By this run.
        run: String,
    },
    /// Its source was merged into another account.
    AmbiguousEarlier {
        /// Where it is now.
        into: String,
        /// By this run.
        run: String,
    },
}

impl Verdict {
    /// The codes of all verdicts, as rejects name them.
    pub const CODES: [&'static str; 5] =
        ["busy", "lost-run", "cycle", "merged-earlier", "ambiguous-earlier"];

    /// Its code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Busy { is_lost: false, .. } => Self::CODES[0],
            Self::Busy { is_lost: true, .. } => Self::CODES[1],
            Self::Cycle { .. } => Self::CODES[2],
            Self::MergedEarlier { .. } => Self::CODES[3],
            Self::AmbiguousEarlier { .. } => Self::CODES[4],
        }
    }
}

/// A run that did something to an account after another had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Later {
    /// When, in microseconds.
    pub t: TimestampUs,
    /// The run.
    pub run: String,
}

impl History {
    /// What is to be said of the pairs of a group before it is begun: nothing of those that may be merged. `None` stands
    /// for all of them, else it is the position of a pair.
    pub fn verdicts(&self, group: &Group) -> Vec<(Option<usize>, Verdict)> {
        let survivor = &*group.survivor.text();
        if let Some(busy) = self.busy(survivor) {
            return vec![(None, busy)];
        }
        let (root, by) = self.root(survivor);
        let of_pair = |(at, source): (usize, &crate::model::AccountId)| {
            let source = source.text();
            let verdict = self.busy(&source).or_else(|| self.elsewhere(&source, root, by))?;
            // Where it went is merged with this group, too.
            let is_within = matches!(&verdict, Verdict::AmbiguousEarlier { into, .. }
                if group.sources().any(|source| source.text() == **into));
            (!is_within).then_some((Some(at), verdict))
        };
        let mut verdicts: Vec<_> = group.sources().enumerate().filter_map(of_pair).collect();
        if let Some(by) = by.filter(|_| root != survivor) {
            // The survivor itself is gone: what is not said to be busy or a circle goes nowhere from here.
            let said: Vec<Option<usize>> = verdicts.iter().map(|(at, _)| *at).collect();
            let (into, run) = (root.to_owned(), by.to_owned());
            let gone = Verdict::MergedEarlier { into, run };
            let rest = (0..group.pairs.len()).map(Some).filter(|at| !said.contains(at));
            verdicts.extend(rest.map(|at| (at, gone.clone())));
        }
        verdicts
    }

    /// Whether anything is known of an account of a group.
    pub fn names(&self, group: &Group) -> bool {
        let mut accounts = [&group.survivor].into_iter().chain(group.sources());
        accounts.any(|account| !self.stays(&account.text()).is_empty())
    }

    /// What is to be said of a source whose group is merged into an account that is at `root` now.
    fn elsewhere(&self, source: &str, root: &str, by: Option<&str>) -> Option<Verdict> {
        if let Some(run) = by.filter(|_| source == root) {
            return Some(Verdict::Cycle { run: run.to_owned() });
        }
        let (into, run) = self.root(source);
        let run = run.filter(|_| into != root)?.to_owned();
        Some(Verdict::AmbiguousEarlier { into: into.to_owned(), run })
    }

    fn busy(&self, account: &str) -> Option<Verdict> {
        let is_busy = |stay: &&Stay| {
            stay.overlaps && matches!(stay.standing, Standing::Busy | Standing::Lost)
        };
        let stay = self.stays(account).iter().find(is_busy)?;
        Some(Verdict::Busy {
            account: account.to_owned(),
            run: stay.run.clone(),
            is_lost: stay.standing == Standing::Lost,
        })
    }

    /// The runs that did something to an account of a group after a time, and have not been taken back: the last one
    /// first, which is the order in which they can be. A lost run is as if the application had done it.
    pub fn later(&self, group: &Group, t: TimestampUs) -> Vec<Later> {
        let mut later =
            self.since(group, t, |standing| matches!(standing, Standing::Done | Standing::Busy));
        later.sort_by(|one, other| other.cmp(one));
        later
    }

    /// The runs that did anything to an account of a group after a time, taken back since or not.
    pub fn named_since(&self, group: &Group, t: TimestampUs) -> Vec<Later> {
        self.since(group, t, |_| true)
    }

    fn since(
        &self,
        group: &Group,
        t: TimestampUs,
        counts: impl Fn(Standing) -> bool,
    ) -> Vec<Later> {
        let accounts = [&group.survivor].into_iter().chain(group.sources());
        let texts: Vec<_> = accounts.map(|account| account.text()).collect();
        let stays = texts.iter().flat_map(|account| self.stays(account));
        let later = stays.filter(|stay| stay.t > t && stay.overlaps && counts(stay.standing));
        let mut later: Vec<Later> =
            later.map(|stay| Later { t: stay.t, run: stay.run.clone() }).collect();
        later.sort();
        later.dedup_by(|one, other| one.run == other.run);
        later
    }
}
