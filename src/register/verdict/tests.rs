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
        let known = |lineage: &Lineage| lineage.accounts().map(Cow::into_owned).collect();
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
        assert_eq!(lineage.moved(account).as_deref(), expected, "{account}");
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
    // Nor where it had merged anew, for which it took back what it had written before.
    let mut anew = Past::default();
    anew.step("r1", "a>b", Step::Merge, false).step("r1", "a>b", Step::Merge, false);
    MemoryRegister::lose(&anew.shared, "r1");
    anew.says("b>c", &["b busy r1 b"]);
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
