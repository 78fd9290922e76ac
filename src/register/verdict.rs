//! What the lineage of accounts says of a group that is to be merged, and of one that is to be undone.

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
                self.busy(&source, false).or_else(|| self.elsewhere(&source, root, by))?;
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
            let (into, run) = (root.to_owned(), by.to_owned());
            let gone = Obstacle::MergedEarlier { into, run };
            let rest = (0..group.pairs.len()).map(Some).filter(|at| !judged.contains(at));
            verdicts.extend(rest.map(|at| (at, gone.clone())));
        }
        verdicts
    }

    /// Where an account is now that was merged; nothing while a run is busy with it, which is said first.
    pub(crate) fn moved<'h>(&'h self, account: &'h str) -> Option<&'h str> {
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
        Some(Obstacle::AmbiguousEarlier { into: into.to_owned(), run })
    }

    /// Whether a run has not ended with an account that a group is merged out of, or into.
    fn busy(&self, account: &str, survives: bool) -> Option<Obstacle> {
        // What a lost run left may be accepted, what another is busy with may not. Nor what a lost run was undoing: the
        // survivor's row, which a merge would leave as it is, may be what its delete is still on its way to. Nor is a source
        // of a lost run one that survives: the delete of its own rows, to which others would give way, may be.
        let is_accepted = |stay: &Stay<'_>| {
            let is_source = stay.into.is_some();
            stay.standing == Standing::Lost && !stay.is_undo && !(survives && is_source)
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
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    use futures::executor::block_on;

    use super::*;
    use crate::model::{AccountId, Pair};
    use crate::register::memory::{MemoryRegister, Shared};
    use crate::register::{Claim, LEASE_US, Register, Run, Step, WindowEnd};

    /// A register in which runs are noted one after the other, each a second later.
    #[derive(Default)]
    struct Past {
        shared: Arc<Mutex<Shared>>,
        now: TimestampUs,
    }

    /// `a,x>b`: a and x are merged into b.
    fn group(text: &str) -> Group {
        let (sources, survivor) = text.split_once('>').unwrap();
        let pair = |(at, from): (usize, &str)| Pair {
            from: AccountId::new(from),
            into: AccountId::new(survivor),
            line: at as u64 + 2,
        };
        let pairs = sources.split(',').enumerate().map(pair).collect();
        Group { index: 0, survivor: AccountId::new(survivor), pairs }
    }

    impl Past {
        fn step(&mut self, run: &str, of: &str, step: Step, is_over: bool) -> &mut Self {
            self.now += 1_000_000;
            let known = Run { id: run.to_owned(), tables: tables("t"), ..Run::default() };
            let register = MemoryRegister::take(&self.shared, known, self.now).unwrap();
            let group = group(of);
            let entries: Vec<_> = Claim::of_group(run, &group, self.now, step).collect();
            block_on(register.begin(self.now, &entries)).unwrap();
            let open = if is_over { None } else { Some(group.survivor.to_string()) };
            let end = WindowEnd { t: self.now, open: open.into_iter().collect() };
            block_on(register.end(&[end])).unwrap();
            register.release();
            self
        }

        fn merged(&mut self, run: &str, of: &str) -> &mut Self {
            self.step(run, of, Step::Merge, true)
        }

        fn lineage(&self, of: &Group) -> Lineage {
            let run = Run { id: "asks".into(), ..Run::default() };
            let register = MemoryRegister::take(&self.shared, run, self.now + LEASE_US).unwrap();
            register.release();
            let accounts = of.accounts().map(ToString::to_string).collect::<Vec<_>>();
            let is_wanted = |account: &str| accounts.iter().any(|wanted| wanted == account);
            let lineage = |count| {
                let (asked, of) = (accounts.clone(), tables("t"));
                let many = Lineage::of_many(&register, count, &is_wanted, asked, &of, None);
                block_on(many).unwrap()
            };
            // Whether the register is asked for few accounts or read for many, it says the same.
            let (asked, read) = (lineage(accounts.len()), lineage(10_000_000));
            let known = |lineage: &Lineage| lineage.accounts().map(str::to_owned).collect();
            let (of_asked, of_read): (BTreeSet<String>, BTreeSet<String>) =
                (known(&asked), known(&read));
            assert_eq!(of_asked, of_read);
            for account in &of_asked {
                let stays = |of| Lineage::stays(of, account).collect::<Vec<_>>();
                assert_eq!(stays(&asked), stays(&read));
            }
            asked
        }

        /// What is said of a group: `code run into` of each pair that it is said of, `*` for all of them.
        #[track_caller]
        fn says(&self, of: &str, expected: &[&str]) -> &Self {
            let group = group(of);
            let judged = self.lineage(&group).verdicts(&group).into_iter().map(|(at, verdict)| {
                let at = at.map_or("*".to_owned(), |at| group.pairs[at].from.to_string());
                let (run, into) = match &verdict {
                    Obstacle::Busy { run, account, .. } => (run, &**account),
                    Obstacle::Cycle { run } => (run, ""),
                    Obstacle::MergedEarlier { run, into }
                    | Obstacle::AmbiguousEarlier { run, into } => (run, &**into),
                };
                format!("{at} {} {run} {into}", code(&verdict)).trim_end().to_owned()
            });
            let mut judged: Vec<String> = judged.collect();
            judged.sort();
            assert_eq!(judged, expected, "{of}");
            self
        }

        /// Where a target is followed to.
        #[track_caller]
        fn moves(&self, account: &str, expected: Option<&str>) -> &Self {
            let lineage = self.lineage(&group(&format!("x>{account}")));
            assert_eq!(lineage.moved(account), expected, "{account}");
            self
        }

        /// The runs that come before an undo of a group that was merged first of all.
        #[track_caller]
        fn first(&self, of: &str, expected: &[&str]) {
            let group = group(of);
            let later = self.lineage(&group).later(&group, 1_000_000);
            assert_eq!(later.iter().map(|later| &*later.run).collect::<Vec<_>>(), expected);
        }
    }

    fn code(verdict: &Obstacle) -> &'static str {
        match verdict {
            Obstacle::Busy { is_lost: false, .. } => "busy",
            Obstacle::Busy { is_lost: true, .. } => "lost-run",
            Obstacle::Cycle { .. } => "cycle",
            Obstacle::MergedEarlier { .. } => "merged-earlier",
            Obstacle::AmbiguousEarlier { .. } => "ambiguous-earlier",
        }
    }

    fn tables(name: &str) -> BTreeSet<String> {
        [name.to_owned()].into()
    }

    #[test]
    fn the_table_of_the_design() {
        let mut past = Past::default();
        past.merged("r1", "a>b");
        past.says("b>a", &["b cycle r1"])
            .says("x>a", &["x merged-earlier r1 b"])
            .says("a>b", &[])
            .says("a>c", &["a ambiguous-earlier r1 b"])
            .says("b>c", &[])
            // Where it went goes along.
            .says("a,b>c", &[])
            .says("x,y>z", &[]);
        past.merged("r2", "b>c");
        past.says("a>c", &[])
            .says("a>b", &["a merged-earlier r2 c"])
            .says("c>a", &["c cycle r1"])
            .says("c>b", &["c cycle r2"])
            .says("x>a", &["x merged-earlier r1 c"])
            .first("a>b", &["r2"]);
        // What is merged the other way round is another matter than the pairs beside it.
        past.says("c,x>a", &["c cycle r1"]).moves("a", Some("c")).moves("c", None);
        past.step("r2", "b>c", Step::Undo, true).moves("a", Some("b"));
        past.says("a>b", &[]).says("x>a", &["x merged-earlier r1 b"]).first("a>b", &[]);
    }

    #[test]
    fn what_is_not_over_is_busy_before_all_else() {
        let mut past = Past::default();
        past.step("r1", "a>b", Step::Merge, false);
        past.says("b>a", &["* busy r1 a"]).says("b,x>c", &["b busy r1 b"]).says("x>y", &[]);
        // Its next session ends it.
        past.merged("r1", "a>b").says("b,x>c", &[]);
        past.step("r1", "a>b", Step::Undo, false).says("b,x>c", &["b busy r1 b"]);
        past.moves("a", None);
        MemoryRegister::lose(&past.shared, "r1");
        past.says("b,x>c", &["b busy r1 b"]);
        // Nor where another run that is lost left it half merged as well.
        let mut twice = Past::default();
        twice.step("r0", "b>z", Step::Merge, false).merged("r1", "a>b");
        twice.step("r1", "a>b", Step::Undo, false);
        for run in ["r0", "r1"] {
            MemoryRegister::lose(&twice.shared, run);
        }
        twice.says("b,x>c", &["b busy r1 b"]);
        past.step("r1", "a>b", Step::Undo, true).says("a>c", &[]).says("b>a", &[]);
    }

    #[test]
    fn a_run_at_work_comes_before_one_that_is_lost() {
        let mut past = Past::default();
        past.step("r1", "a>b", Step::Merge, false);
        MemoryRegister::lose(&past.shared, "r1");
        past.step("r2", "a>c", Step::Merge, false).step("r3", "x>y", Step::Merge, false);
        past.says("a>z", &["a busy r2 a"]);
        past.says("x,y>b", &["x busy r3 x", "y busy r3 y"]).says("w>b", &["* lost-run r1 b"]);
        past.says("w,x>b", &["w lost-run r1 b", "x busy r3 x"]);
    }

    /// The delete of what a lost run has merged out of an account may be under way: nothing may give way to that.
    #[test]
    fn a_source_of_a_lost_run_does_not_survive_another() {
        let mut past = Past::default();
        past.step("r1", "a>b", Step::Merge, false).merged("r2", "x>y");
        past.step("r2", "x>y", Step::After, false);
        for run in ["r1", "r2"] {
            MemoryRegister::lose(&past.shared, run);
        }
        past.says("b>a", &["* busy r1 a"]).says("c>a", &["* busy r1 a"]);
        past.says("y>x", &["* busy r2 x"]).says("x>y", &["* lost-run r2 y"]);
        past.says("a>b", &["* lost-run r1 b"]).says("a>c", &["a lost-run r1 a"]);
    }

    /// E17: that an account came back and went again is not forgotten when the second run is undone.
    #[test]
    fn the_first_merge_stands_when_the_second_is_taken_back() {
        let mut past = Past::default();
        past.merged("r1", "a>b").merged("r3", "a>b").step("r3", "a>b", Step::Undo, true);
        past.says("a>c", &["a ambiguous-earlier r1 b"]).says("a>b", &[]);
    }

    #[test]
    fn runs_over_other_tables_keep_nobody_busy_and_say_who_is_who() {
        let mut past = Past::default();
        past.step("r1", "a>b", Step::Merge, false).merged("r2", "c>d");
        let group = group("a,c>x");
        let accounts = ["a", "c", "x"].map(str::to_owned);
        let run = Run { id: "asks".into(), ..Run::default() };
        let register = MemoryRegister::take(&past.shared, run, past.now + LEASE_US).unwrap();
        let lineage = block_on(Lineage::of(&register, accounts, &tables("other"), None)).unwrap();
        let codes: Vec<_> =
            lineage.verdicts(&group).iter().map(|(at, verdict)| (*at, code(verdict))).collect();
        assert_eq!(codes, [(Some(1), "ambiguous-earlier")]);
    }

    #[test]
    fn one_at_a_time_and_whoever_lost_the_lease_writes_nothing() {
        let shared = Arc::default();
        let run = |id: &str| Run { id: id.into(), ..Run::default() };
        let first = MemoryRegister::take(&shared, run("r1"), 0).unwrap();
        assert_eq!(MemoryRegister::take(&shared, run("r2"), 1).unwrap_err().run, "r1");
        block_on(first.hold(500)).unwrap();
        // Its own again after a crash; the first is a stranger from then on.
        let again = MemoryRegister::take(&shared, run("r1"), 2).unwrap();
        assert!(block_on(first.hold(0)).is_err() && block_on(first.look()).is_err());
        let second = MemoryRegister::take(&shared, run("r2"), 3 + LEASE_US).unwrap();
        assert_eq!(second.floor(), 500);
        assert!(block_on(again.look()).is_err());
        block_on(second.look()).unwrap();
    }
}
