//! The lease as processes meet it, a request at a time: in any order, and with any of them standing still for longer
//! than it lasts. Runs here do what runs do around their writes, in the order that the register asks for.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use futures::FutureExt;

use super::*;

const KEYSPACE: &str = "k";
/// Orders of turns that are tried with each set of processes.
const SEEDS: u64 = 1_000;
/// Turns until the processes are left alone.
const TURNS: u32 = 20_000;

/// Something is asked or told, and somebody else may come first.
async fn request() {
    let mut has_waited = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A rule that is left out, to see that it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The row of the keyspace is written whoever has it.
    SharedRow,
    /// That of a part is.
    OwnRow,
    /// Who takes the keyspace from a plan does not look how far its parts have written.
    FloorsOfParts,
}

#[derive(Debug)]
struct Rows {
    rows: Mutex<BTreeMap<String, Lease>>,
    now: Mutex<TimestampUs>,
    without: Without,
}

impl Rows {
    /// Whether a row is written whoever has it.
    fn passes(&self, name: &str) -> bool {
        let row = if name == KEYSPACE { Without::SharedRow } else { Without::OwnRow };
        self.without == row
    }
}

impl LeaseReader for Rows {
    fn row<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Lease>, StorageError>> {
        let read = request().map(move |()| {
            let mut row = self.rows.lock().unwrap().get(name).cloned();
            if let Some(row) = row.as_mut()
                && self.without == Without::FloorsOfParts
                && name != KEYSPACE
            {
                row.floor = 0;
            }
            Ok(row)
        });
        read.boxed()
    }
}

impl LeaseRows for Rows {
    fn put<'a>(
        &'a self,
        name: &'a str,
        found: Option<&'a Lease>,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        let put = request().map(move |()| {
            let mut rows = self.rows.lock().unwrap();
            let is_same = rows.get(name) == found;
            let is_put = is_same || self.passes(name) && rows.contains_key(name);
            if is_put {
                rows.insert(name.to_owned(), lease.clone());
            }
            Ok(is_put)
        });
        put.boxed()
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        lease: &'a Lease,
    ) -> BoxFuture<'a, Result<bool, StorageError>> {
        let renew = request().map(move |()| {
            let mut rows = self.rows.lock().unwrap();
            let own = rows.get_mut(name);
            let own = own.filter(|own| own.epoch == lease.epoch || self.passes(name));
            Ok(own.map(|own| (own.floor, own.until) = (lease.floor, lease.until)).is_some())
        });
        renew.boxed()
    }

    fn now(&self) -> TimestampUs {
        *self.now.lock().unwrap()
    }

    fn lasts(&self) -> TimestampUs {
        LEASE_US
    }
}

/// What runs do to accounts, and what is wrong with that.
struct World {
    rows: Rows,
    /// By account and run: the processes whose windows have not ended.
    entries: RefCell<BTreeMap<(char, String), BTreeSet<usize>>>,
    /// Runs that may write to an account, and have not ended with it.
    at_work: RefCell<BTreeSet<(char, String)>>,
    /// By account: the highest time at which a run wrote, and who.
    written: RefCell<BTreeMap<char, BTreeMap<String, TimestampUs>>>,
    /// By run: the epoch of the last that has taken its lease.
    takers: RefCell<BTreeMap<String, i64>>,
    wrong: RefCell<Vec<String>>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done,
    KeptOut,
    Lost,
}

/// A process: its run, the part of a plan that the run is, and its accounts.
type Process = (&'static str, Option<(&'static str, &'static str)>, &'static str);

impl World {
    fn is_busy(&self, account: char, own: &str) -> bool {
        let entries = self.entries.borrow();
        entries.iter().any(|((of, run), open)| *of == account && run != own && !open.is_empty())
    }

    fn entry(&self, account: char, run: &str, see: impl FnOnce(&mut BTreeSet<usize>) -> bool) {
        see(self.entries.borrow_mut().entry((account, run.to_owned())).or_default());
    }

    /// What a run intends, as of a time, once it may write.
    fn intend(&self, account: char, run: &str, t: TimestampUs) {
        self.at_work.borrow_mut().insert((account, run.to_owned()));
        for (other, at) in self.written.borrow().get(&account).into_iter().flatten() {
            if other != run && *at + 10 > t {
                let wrong = format!("{run} writes {account} as of {t}, {other} did as of {at}");
                self.wrong.borrow_mut().push(wrong);
            }
        }
    }

    /// A write of a run, as of a time.
    fn write(&self, account: char, run: &str, t: TimestampUs) {
        let mut written = self.written.borrow_mut();
        let by_run = written.entry(account).or_default();
        for (_, other) in self.at_work.borrow().iter().filter(|(of, _)| *of == account) {
            if other != run {
                let wrong = format!("{run} and {other} are both at {account}");
                self.wrong.borrow_mut().push(wrong);
            }
        }
        let at = by_run.entry(run.to_owned()).or_default();
        *at = t.max(*at);
    }

    /// Merges each account of a run in a window of its own.
    async fn run(&self, number: usize, (run, part, accounts): Process) -> Ended {
        let part =
            part.map(|(plan, part)| OfPlan { plan: plan.to_owned(), part: part.parse().unwrap() });
        let holder = Holder { run: run.to_owned(), host: "h".to_owned(), part };
        let held = loop {
            match take(&self.rows, KEYSPACE, &holder).await.unwrap() {
                Taken::Held(held) => break held,
                Taken::Busy(_) => return Ended::KeptOut,
                Taken::Again => {}
            }
        };
        let epoch = held.own.1.epoch;
        let last = self.takers.borrow().get(run).copied().unwrap_or(0);
        self.takers.borrow_mut().insert(run.to_owned(), last.max(epoch));
        // It plans against the register once it holds the lease.
        request().await;
        let own: Vec<char> = accounts.chars().filter(|of| !self.is_busy(*of, run)).collect();
        for account in own {
            // Its clock is behind.
            let t = held.floor() + 1;
            request().await;
            self.entry(account, run, |open| open.insert(number));
            let was_taken = self.takers.borrow()[run] > epoch;
            if held.hold(&self.rows, t + 10).await.is_err() {
                request().await;
                // What this process intended was never written.
                self.entry(account, run, |open| open.remove(&number));
                return Ended::Lost;
            }
            if was_taken {
                self.wrong.borrow_mut().push(format!("{run} goes on elsewhere, and here"));
            }
            if self.takers.borrow()[run] == epoch {
                self.intend(account, run, t);
            }
            request().await;
            // One that was resumed elsewhere meanwhile writes what that has written or voided, as of the same time.
            if self.takers.borrow()[run] == epoch {
                self.write(account, run, t);
            }
            if held.look(&self.rows).await.is_err() {
                return Ended::Lost;
            }
            request().await;
            if self.takers.borrow()[run] == epoch {
                self.write(account, run, t);
            }
            request().await;
            // Its run has ended with the account, whichever of its processes began.
            self.entry(account, run, |open| !std::mem::take(open).is_empty());
            self.at_work.borrow_mut().remove(&(account, run.to_owned()));
        }
        held.release(&self.rows).await.unwrap();
        Ended::Done
    }
}

/// Lets processes take turns in an order that a seed says; with `sleeps` all of them may stand still together for longer
/// than a lease lasts, or one of them for as long as it likes. Returns how each ended, and what is wrong.
fn play(
    processes: &[Process],
    seed: u64,
    sleeps: bool,
    without: Without,
) -> (Vec<Ended>, Vec<String>) {
    let rows = Rows { rows: Mutex::default(), now: Mutex::new(LEASE_US), without };
    let world = World {
        rows,
        entries: RefCell::default(),
        at_work: RefCell::default(),
        written: RefCell::default(),
        takers: RefCell::default(),
        wrong: RefCell::default(),
    };
    let mut random = fastrand::Rng::with_seed(seed);
    let ended: Vec<Cell<Option<Ended>>> = processes.iter().map(|_| Cell::new(None)).collect();
    let mut running: Vec<Pin<Box<dyn Future<Output = Ended> + '_>>> = Vec::new();
    for (number, process) in processes.iter().enumerate() {
        running.push(Box::pin(world.run(number, *process)));
    }
    // Some come late, and some stand still for a while.
    let mut waits: Vec<u32> = processes.iter().map(|_| random.u32(..40)).collect();
    for _ in 0..TURNS {
        if ended.iter().all(|ended| ended.get().is_some()) {
            break;
        }
        let at = random.usize(..processes.len());
        if ended[at].get().is_some() {
            continue;
        }
        if waits[at] > 0 {
            waits[at] -= 1;
            continue;
        }
        if sleeps && random.u8(..16) == 0 {
            waits[at] = random.u32(..60);
        }
        if sleeps && random.u8(..24) == 0 {
            *world.rows.now.lock().unwrap() += LEASE_US + 1;
        }
        *world.rows.now.lock().unwrap() += 1;
        if let Poll::Ready(how) = running[at].as_mut().poll(&mut Context::from_waker(Waker::noop()))
        {
            ended[at].set(Some(how));
        }
    }
    drop(running);
    (ended.iter().filter_map(Cell::get).collect(), world.wrong.take())
}

const P1: Process = ("p1", Some(("plan", "1/2")), "ab");
const P2: Process = ("p2", Some(("plan", "2/2")), "cd");
/// Part 1 once more, by another run.
const Q1: Process = ("q1", Some(("plan", "1/2")), "ab");
/// A part of another plan, over accounts of both.
const R1: Process = ("r1", Some(("other", "1/2")), "bc");
const WHOLE: Process = ("w", None, "abcd");
const AGAIN: Process = ("x", None, "dcba");

const SETS: [&[Process]; 7] = [
    &[P1, P2],
    &[P1, P2, WHOLE],
    &[P1, P1, P2, WHOLE],
    &[P1, Q1, P2],
    &[P1, P2, R1],
    &[P1, P2, WHOLE, AGAIN, R1],
    &[WHOLE, WHOLE, AGAIN, P2],
];

/// The first order of turns in which something is wrong, and what.
fn wrong(without: Without) -> Option<(usize, u64, Vec<String>)> {
    let plays = (0..SEEDS).flat_map(|seed| (0..SETS.len()).map(move |set| (set, seed)));
    plays
        .map(|(set, seed)| (set, seed, play(SETS[set], seed, true, without).1))
        .find(|(.., wrong)| !wrong.is_empty())
}

#[test]
fn nobody_is_where_somebody_else_is_and_nobody_writes_as_of_an_earlier_time() {
    assert_eq!(wrong(Without::Nothing), None);
}

#[test]
fn that_would_be_seen() {
    for without in [Without::SharedRow, Without::OwnRow, Without::FloorsOfParts] {
        assert!(wrong(without).is_some(), "{without:?}");
    }
}

/// Where nobody stands still.
#[test]
fn parts_of_one_plan_work_at_once_and_nobody_else_beside_them() {
    let mut kept_out = 0;
    for seed in 0..500 {
        assert_eq!(play(&[P1, P2], seed, false, Without::Nothing).0, [Ended::Done; 2], "{seed}");
        for stranger in [WHOLE, R1, Q1] {
            let (ended, _) = play(&[P1, P2, stranger], seed, false, Without::Nothing);
            assert!(!ended.contains(&Ended::Lost), "{seed}: {ended:?}");
            kept_out += usize::from(ended[2] == Ended::KeptOut);
        }
    }
    assert!(kept_out > 250, "{kept_out}");
}

#[test]
fn who_is_at_work_is_said_by_run_and_machine() {
    let rows = Rows { rows: Mutex::default(), now: Mutex::new(1), without: Without::Nothing };
    let now = |future: Pin<Box<dyn Future<Output = Result<Taken, StorageError>> + '_>>| {
        futures::executor::block_on(async move {
            let mut future = future;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                future.as_mut().poll(context)
            })
            .await
            .unwrap()
        })
    };
    let holder = |(run, part, _): Process| Holder {
        run: run.to_owned(),
        host: format!("host-of-{run}"),
        part: part.map(|(plan, part)| OfPlan { plan: plan.into(), part: part.parse().unwrap() }),
    };
    let [p1, p2, q1, whole] = [P1, P2, Q1, WHOLE].map(holder);
    let taken = |holder| now(Box::pin(take(&rows, KEYSPACE, holder)));
    assert!(matches!(taken(&p2), Taken::Held(_)) && matches!(taken(&p1), Taken::Held(_)));
    // A copy of its directory on another machine is somebody else.
    let copied = Holder { host: "elsewhere".to_owned(), ..p1.clone() };
    assert!(matches!(taken(&copied), Taken::Busy(_)) && matches!(taken(&p1), Taken::Held(_)));
    let Taken::Busy(lease) = taken(&q1) else { panic!("the part is taken") };
    assert_eq!(lease.to_string(), "run p1 on host-of-p1");
    let Taken::Busy(lease) = taken(&whole) else { panic!("the keyspace is taken") };
    assert!(["run p1 on host-of-p1", "run p2 on host-of-p2"].contains(&&*lease.to_string()));
    assert!(lease.is_live(LEASE_US) && !lease.is_live(LEASE_US + 1));
}
