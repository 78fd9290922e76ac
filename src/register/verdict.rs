//! What the lineage of accounts says of a group that is to be merged, and of one that is to be undone.

use std::borrow::Cow;

use crate::model::{AccountId, Group, TimestampUs};

use super::{Lineage, Standing, Stay};

/// Why a pair is not merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// One of its accounts is half merged, or half undone, by another run.
    Busy {
        account: String,
        run: String,
        /// Whether that run's machine is gone.
        is_lost: bool,
    },
    /// Its target was merged into its source.
    Cycle { run: String },
    /// Its target was merged into another account.
    MergedEarlier {
        /// Where it is now.
        into: String,
        run: String,
    },
    /// Its source was merged into another account.
    AmbiguousEarlier {
        /// Where it is now.
        into: String,
        run: String,
    },
}

/// A run that did something to an account after another had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Later {
    /// When, in microseconds.
    pub t: TimestampUs,
    pub run: String,
}

impl Lineage {
    /// What is to be said of the pairs of a group before it is begun: nothing of those that may be merged. `None` stands
    /// for all of them, else it is the position of a pair.
    pub fn verdicts(&self, group: &Group) -> Vec<(Option<usize>, Obstacle)> {
        let survivor = &*group.survivor.text();
        if let Some(own) = self.busy(survivor, true) {
            let of = |source: &AccountId| self.busy(&source.text(), false);
            // What another run is busy with comes before what a lost one left.
            let pairs: Vec<_> = group.sources().map(of).collect();
            let is_at_work =
                |busy: &Obstacle| matches!(busy, Obstacle::Busy { is_lost: false, .. });
            if is_at_work(&own) || !pairs.iter().flatten().any(is_at_work) {
                return vec![(None, own)];
            }
            let of_pair = |(at, of)| {
                (Some(at), Option::filter(of, is_at_work).unwrap_or_else(|| own.clone()))
            };
            return pairs.into_iter().enumerate().map(of_pair).collect();
        }
        let (root, by) = self.root(survivor);
        let mut is_circle = false;
        let of_pair = |(at, source): (usize, &AccountId)| {
            let source = source.text();
            let verdict =
                self.busy(&source, false).or_else(|| self.elsewhere(&source, &root, by))?;
            is_circle |= matches!(verdict, Obstacle::Cycle { .. });
            // Where it went is merged with this group, too.
            let is_within = matches!(&verdict, Obstacle::AmbiguousEarlier { into, .. }
                if group.sources().any(|source| source.text() == **into));
            (!is_within).then_some((Some(at), verdict))
        };
        let mut verdicts: Vec<_> = group.sources().enumerate().filter_map(of_pair).collect();
        // Without the pair of a circle the others may be other groups, of which something else is to be said.
        if let Some(by) = by.filter(|_| root != survivor && !is_circle) {
            // The survivor itself is gone: what is not said to be busy goes nowhere from here.
            let judged: Vec<Option<usize>> = verdicts.iter().map(|(at, _)| *at).collect();
            let (into, run) = (root.into_owned(), by.to_owned());
            let gone = Obstacle::MergedEarlier { into, run };
            let rest = (0..group.pairs.len()).map(Some).filter(|at| !judged.contains(at));
            verdicts.extend(rest.map(|at| (at, gone.clone())));
        }
        verdicts
    }

    /// Where an account is now that was merged; nothing while a run is busy with it, which is said first.
    pub(crate) fn moved<'h>(&'h self, account: &'h str) -> Option<Cow<'h, str>> {
        let (root, by) = self.root(account);
        by.filter(|_| root != account && self.busy(account, false).is_none()).map(|_| root)
    }

    /// Whether anything is known of an account of a group.
    pub fn names(&self, group: &Group) -> bool {
        group.accounts().any(|account| self.stays(&account.text()).next().is_some())
    }

    /// What is to be said of a source whose group is merged into an account that is at `root` now.
    fn elsewhere(&self, source: &str, root: &str, by: Option<&str>) -> Option<Obstacle> {
        if let Some(run) = by.filter(|_| source == root) {
            return Some(Obstacle::Cycle { run: run.to_owned() });
        }
        let (into, run) = self.root(source);
        let run = run.filter(|_| into != root)?.to_owned();
        Some(Obstacle::AmbiguousEarlier { into: into.into_owned(), run })
    }

    /// Whether a run has not ended with an account that a group is merged out of, or into.
    fn busy(&self, account: &str, survives: bool) -> Option<Obstacle> {
        // What a lost run left may be accepted, what another is busy with may not. Nor what a lost run was taking back: the
        // survivor's row, which a merge would leave as it is, may be what its delete is still on its way to. Nor is a source
        // of a lost run one that survives: the delete of its own rows, to which others would give way, may be.
        let is_accepted = |stay: &Stay<'_>| {
            let is_source = stay.into.is_some();
            stay.standing == Standing::Lost && !stay.takes_back && !(survives && is_source)
        };
        let is_open = |stay: &Stay<'_>| matches!(stay.standing, Standing::Busy | Standing::Lost);
        let open = self.stays(account).filter(|stay| stay.overlaps).filter(is_open);
        let stay = open.min_by_key(|stay| (is_accepted(stay), stay.standing == Standing::Lost))?;
        Some(Obstacle::Busy {
            account: account.to_owned(),
            run: stay.run.to_owned(),
            is_lost: is_accepted(&stay),
        })
    }

    /// The runs that did something to an account of a group after a time, and have not been undone: the last one
    /// first, which is the order in which they can be. A lost run is as if the application had done it.
    pub fn later(&self, group: &Group, t: TimestampUs) -> Vec<Later> {
        let mut later =
            self.since(group, t, |standing| matches!(standing, Standing::Done | Standing::Busy));
        later.sort_by(|one, other| other.cmp(one));
        later
    }

    /// The runs that did anything to an account of a group after a time, undone since or not.
    pub(crate) fn named_since(&self, group: &Group, t: TimestampUs) -> Vec<Later> {
        self.since(group, t, |_| true)
    }

    /// Whether a run began anything with an account of a group after a time, its undo included.
    pub(crate) fn is_begun_since(&self, group: &Group, t: TimestampUs) -> bool {
        let mut accounts = group.accounts().map(|account| account.text());
        accounts.any(|account| self.stays(&account).any(|stay| stay.last > t && stay.overlaps))
    }

    fn since(
        &self,
        group: &Group,
        t: TimestampUs,
        counts: impl Fn(Standing) -> bool,
    ) -> Vec<Later> {
        let texts: Vec<_> = group.accounts().map(|account| account.text()).collect();
        let stays = texts.iter().flat_map(|account| self.stays(account));
        let later = stays.filter(|stay| stay.t > t && stay.overlaps && counts(stay.standing));
        let mut later: Vec<Later> =
            later.map(|stay| Later { t: stay.t, run: stay.run.to_owned() }).collect();
        later.sort();
        later.dedup_by(|one, other| one.run == other.run);
        later
    }
}

#[cfg(test)]
mod tests;
