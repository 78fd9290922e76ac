//! A history: what the application and the operators do, one after the other and at the same time, over three accounts; and
//! how it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tributary::journal::State;
use tributary::model::Change;
use tributary::storage::memory::MemoryStorage;

use super::oracle::{Excuses, Oracle};
use super::process::{Fate, Landing, WRITING};
use super::rules::Rule;
use super::runs::{Command, Runs, Share, block_on};
use super::tables::{
    self, ACCOUNTS, KEPT_US, PROGRESS, Place, SEATS, Seen, Values, key_of, now, row, seen,
};

pub const PLACES: [Place; 3] = [(PROGRESS, "k1"), (PROGRESS, "k2"), (SEATS, "r")];

/// What the application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It writes a note, and a status that is higher or lower than all before, or neither.
    Writes(&'static str, Place, Option<bool>),
    Deletes(&'static str, Place),
    /// It deletes a row and begins it anew.
    Renews(&'static str, Place, Option<bool>),
}

/// What the application does while a command is at a request.
pub type During = Option<(usize, Act)>;

/// The pairs of a run.
pub type Pairs = &'static [(&'static str, &'static str)];

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Step {
    Does(Act),
    /// A new run of some pairs, or of the first group of them.
    Applies(Pairs, Share, Fate, During),
    /// A new run of the first or the second of two groups, as a part of their plan.
    Part(usize, [(&'static str, &'static str); 2], Fate, During),
    /// A command on one of the runs so far.
    Goes(usize, Command, Fate, During),
    /// A run is declared lost.
    Loses(usize),
    /// So long nothing happens that tombstones are forgotten, and what has not arrived by then never does.
    Rests,
    /// Whoever stands still goes on.
    GoesOn,
    /// What is late arrives.
    Arrives,
}

use Step::{Applies, Arrives, Does, Goes, GoesOn, Loses, Part, Rests};

/// How a history is played.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub is_registered: bool,
    pub slice_bytes: usize,
    /// Rows that each account has before the others: where there are many, they are read in pages.
    pub rows_before: usize,
    /// Whether the clock of the machine is ahead of those of the nodes.
    pub is_ahead: bool,
    /// Whether the application counts what it writes.
    pub is_counted: bool,
}

impl Setting {
    /// The usual one.
    pub const fn new(is_registered: bool, slice_bytes: usize) -> Self {
        Self { is_registered, slice_bytes, rows_before: 0, is_ahead: false, is_counted: false }
    }
}

/// The application and the oracle that follows it.
struct Application {
    cluster: Arc<MemoryStorage>,
    oracle: Oracle,
    writes: i32,
    /// What stood before each of its acts.
    stood: Vec<Seen>,
    /// Whether it counts what it writes.
    counts: bool,
}

impl Application {
    fn act(&mut self, act: Act) {
        tables::pass(1_000);
        self.stood.push(seen(&self.cluster));
        match act {
            Act::Writes(account, place, status) => self.write(account, place, status),
            Act::Deletes(account, place) => self.delete(account, place),
            Act::Renews(account, place, status) => {
                self.delete(account, place);
                tables::pass(1_000);
                self.write(account, place, status);
            }
        }
        tables::pass(1_000);
    }

    fn write(&mut self, account: &'static str, place: Place, status: Option<bool>) {
        let before = seen(&self.cluster);
        self.writes += 1;
        let writes = self.writes;
        let status = status.filter(|_| place.0 == PROGRESS);
        let status = status.map(|is_higher| if is_higher { writes } else { -writes });
        let once = (self.counts && place.0 == PROGRESS).then(|| tables::once(writes));
        // Every third write leaves it as it is.
        let zone = (place.0 == PROGRESS && writes % 3 > 0).then(|| format!("z{writes}"));
        // So does every fourth.
        let zoom = (place.0 == PROGRESS && writes % 4 > 0).then(|| format!("m{writes}"));
        let values = Values { status, views: once, zone, zoom, note: Some(format!("n{writes}")) };
        let (number, is_new) = self.oracle.row_of(&before, account, place);
        let so_far = before.get(&(account.to_owned(), place)).and_then(|row| row.views);
        let total = once.map(|once| once + so_far.unwrap_or_default());
        let full = row(place, account, &Values { views: total, ..values.clone() }, is_new);
        let key = key_of(place, account);
        let change = match is_new {
            true => Change::Insert { row: full },
            false => {
                let cells = full.cells.into_iter().enumerate().skip(key.len());
                let set = cells.filter(|(_, cell)| cell.is_some()).collect();
                Change::update(key, set)
            }
        };
        self.cluster.apply(place.0, now(), &change);
        let after = seen(&self.cluster);
        self.oracle.wrote((account, place), number, &values, [&before, &after], now());
    }

    fn delete(&mut self, account: &'static str, place: Place) {
        let before = seen(&self.cluster);
        let change = Change::DeleteRow { key: key_of(place, account) };
        self.cluster.apply(place.0, now(), &change);
        self.oracle.deleted((account, place), [&before, &seen(&self.cluster)], now());
    }
}

/// What is wrong in the end.
pub fn play(setting: Setting, steps: &[Step], rule: Option<Rule>) -> Vec<String> {
    block_on(async {
        let mut played = Played::new(setting, rule);
        for step in steps {
            played.step(step).await;
        }
        played.end().await
    })
}

pub struct Played {
    pub runs: Runs,
    application: Arc<Mutex<Application>>,
    /// When the earliest of those that stand still began, in the middle of their work.
    stands_since: Vec<(usize, i64)>,
    /// When the first undo of a run began.
    undone_since: BTreeMap<usize, i64>,
    /// When each run began.
    begun: Vec<i64>,
}

impl Played {
    /// Nothing has happened yet; with a rule of before, if one is tried.
    pub fn new(setting: Setting, rule: Option<Rule>) -> Self {
        tables::begin();
        let runs = Runs::new(setting, rule);
        let cluster = Arc::clone(&runs.cluster);
        tables::fill(&cluster, setting.rows_before);
        let (oracle, writes, stood) = (Oracle::default(), 0, Vec::new());
        let counts = setting.is_counted;
        let application = Application { cluster, oracle, writes, stood, counts };
        let application = Arc::new(Mutex::new(application));
        Self {
            runs,
            application,
            stands_since: Vec::new(),
            undone_since: BTreeMap::new(),
            begun: Vec::new(),
        }
    }

    pub async fn step(&mut self, step: &Step) {
        match step {
            Does(act) => {
                let mut application = self.application.lock().unwrap();
                application.oracle.is_at_work = !self.stands_since.is_empty();
                application.act(*act);
                application.oracle.is_at_work = false;
            }
            Applies(pairs, share, fate, during) => {
                let run = self.runs.plan(pairs);
                self.begins(run);
                self.command(run, Command::Apply(*share), *fate, *during).await;
            }
            Part(index, pairs, fate, during) if self.runs.is_registered() => {
                let run = self.runs.plan_part(*pairs, *index);
                self.begins(run);
                self.command(run, Command::Apply(Share::All), *fate, *during).await;
            }
            Goes(run, command, fate, during) if !self.runs.runs.is_empty() => {
                let run = run % self.runs.runs.len();
                self.command(run, *command, *fate, *during).await;
            }
            Loses(run) if !self.runs.runs.is_empty() => self.runs.lose(run % self.runs.runs.len()),
            // Parts are known by the register alone.
            Goes(..) | Loses(..) | Part(..) => {}
            GoesOn => {
                for (run, since) in std::mem::take(&mut self.stands_since) {
                    self.runs.go_on(run).await;
                    self.came_back(run, since);
                }
            }
            Arrives => self.arrive(),
            Rests => {
                tables::pass(2 * KEPT_US);
                self.runs.late.lock().unwrap().clear();
                self.runs.cluster.compact();
            }
        }
    }

    fn begins(&mut self, run: usize) {
        debug_assert_eq!(run, self.begun.len());
        self.begun.push(now());
    }

    /// What it has not begun is merged now.
    fn merges(&self, run: usize) {
        let groups = self.runs.runs[run].plan.groups().zip(self.runs.states(run));
        let not_begun = groups.filter(|(_, state)| state.is_none());
        let oracle = &mut self.application.lock().unwrap().oracle;
        for (group, _) in not_begun {
            oracle.merges(run, group.sources().map(ToString::to_string), now());
        }
    }

    /// What stands now.
    pub fn seen(&self) -> Seen {
        seen(&self.runs.cluster)
    }

    /// What stood before the last act of the application, and how many there were.
    pub fn stood(&self) -> (Seen, usize) {
        let application = self.application.lock().unwrap();
        (application.stood.last().cloned().unwrap_or_default(), application.stood.len())
    }

    fn came_back(&self, run: usize, since: i64) {
        let seen = seen(&self.runs.cluster);
        let oracle = &mut self.application.lock().unwrap().oracle;
        oracle.came_back(&seen, since, self.begun[run]);
        if self.undone_since.contains_key(&run) {
            oracle.was_given_back(&seen, self.begun[run]);
            for (group, state) in self.runs.runs[run].plan.groups().zip(self.runs.states(run)) {
                if state == Some(State::Undone) {
                    oracle.has_no_copies(&seen, &group.survivor.to_string());
                }
            }
        }
    }

    async fn command(&mut self, run: usize, command: Command, fate: Fate, during: During) {
        let application = Arc::clone(&self.application);
        let meanwhile = during.map(|(at, act)| {
            let act = move || {
                let mut application = application.lock().unwrap();
                application.oracle.is_at_work = true;
                application.act(act);
                application.oracle.is_at_work = false;
            };
            (at, Box::new(act) as Box<dyn FnOnce() + Send>)
        });
        let since = now();
        // A run that was declared lost is undone and nothing else.
        let is_undone = matches!(command, Command::Undo(_));
        let is_refused = self.runs.runs[run].is_lost && !is_undone;
        if is_refused || self.runs.is_standing(run) || self.is_out_of_order(run, command) {
            return;
        }
        // An undo is as of the moment at which it was decided.
        let since = match command {
            Command::Undo(_) => *self.undone_since.entry(run).or_insert(since),
            _ => since,
        };
        // Two that do not know of each other are kept apart by nobody.
        let is_alone = !self.runs.is_registered() && matches!(fate, Fate::Stopped(_));
        let fate = if is_alone { Fate::Ends } else { fate };
        if matches!(command, Command::Apply(_) | Command::Resume) {
            self.merges(run);
        }
        self.runs.carry_out(run, command, fate, meanwhile).await;
        self.application.lock().unwrap().oracle.has_merged(run, now());
        self.trace(run, command, fate);
        match self.runs.is_standing(run) {
            true => self.stands_since.push((run, since)),
            false => self.came_back(run, since),
        }
    }

    /// With `TRIBUTARY_TRACE`, how everything stands after a command.
    #[expect(clippy::print_stdout, reason = "for whoever looks for the cause of a failure")]
    fn trace(&self, run: usize, command: Command, fate: Fate) {
        if std::env::var_os("TRIBUTARY_TRACE").is_none() {
            return;
        }
        let (merge, states) = (&self.runs.runs[run], self.runs.states(run));
        let listed = merge.listed.lock().unwrap();
        println!("{} {command:?} {fate:?}: {states:?} {listed:?}", merge.id);
        for table in [PROGRESS, SEATS] {
            for timed in self.runs.cluster.dump_timed(table) {
                println!("    {timed:?}");
            }
        }
    }

    /// Runs that do not know of each other are undone in the right order by their operators, and an earlier one is not gone
    /// on with while a later one stands half merged, or rows are lost.
    fn is_out_of_order(&self, run: usize, command: Command) -> bool {
        if self.runs.is_registered() {
            return false;
        }
        let is_half = |run: usize| {
            let is_half = |(group, state): (usize, &Option<State>)| match state {
                Some(State::Intended | State::Sweeping) => true,
                Some(State::Failed) => !self.runs.runs[run].has_no_intent(group),
                _ => false,
            };
            self.runs.states(run).iter().enumerate().any(is_half)
        };
        let has_begun = |run: usize| {
            let states = self.runs.states(run);
            states.iter().any(|state| !matches!(state, None | Some(State::Undone)))
        };
        let mut later = run + 1..self.runs.runs.len();
        match command {
            // Else it was begun before them.
            Command::Undo(_) => !self.undone_since.contains_key(&run) && later.any(has_begun),
            Command::Resume => later.any(is_half),
            _ => false,
        }
    }

    /// What was sent long ago arrives. Before its run has looked again to its end, what it brings stands rightly.
    fn arrive(&mut self) {
        let late = std::mem::take(&mut *self.runs.late.lock().unwrap());
        for sent in late {
            let (run, command) = sent.by;
            self.runs.cluster.apply(sent.mutation.table, sent.mutation.t, &sent.mutation.change);
            if self.runs.runs[run].ended <= command {
                self.came_back(run, 0);
            }
        }
    }

    /// Everything is ended as it is advised; what is wrong then.
    pub async fn end(&mut self) -> Vec<String> {
        let (mut is_anew, mut is_counted_on, mut has_stayed) = (false, false, false);
        // What one source got back stays with the survivor as well then, whose row holds another's.
        let kept = |why: &String| why == "deleted while it was undone";
        let mut is_kept = false;
        // It stays with a source, until another run takes it for what that has.
        let stays = |why: &String| why.contains("something that is added up");
        // The rest of a total is with the application then, and both numbers are in the list.
        let counted_on = |why: &String| why.contains("the sum of all accounts");
        for round in 0..4 {
            self.step(&GoesOn).await;
            if round == 1 {
                self.arrive();
            }
            if round == 0 {
                for run in &self.runs.runs {
                    let listed = std::mem::take(&mut *run.listed.lock().unwrap());
                    is_anew |= listed.iter().any(|why| why.contains("begun anew"));
                    is_counted_on |= listed.iter().any(counted_on);
                    has_stayed |= listed.iter().any(stays);
                    is_kept |= listed.iter().any(kept);
                }
            }
            let all = 0..self.runs.runs.len();
            for run in all.clone().rev() {
                let has_begun = self.runs.states(run).iter().any(Option::is_some);
                let is_lost = self.runs.runs[run].is_lost && has_begun;
                let taken_back = self.runs.runs[run].taken_back;
                if let Some(share) = if is_lost { Some(Share::All) } else { taken_back } {
                    self.command(run, Command::Undo(share), Fate::Ends, None).await;
                }
            }
            for run in all {
                let has_begun = self.runs.states(run).iter().any(Option::is_some);
                if has_begun && self.runs.runs[run].taken_back != Some(Share::All) {
                    self.command(run, Command::Resume, Fate::Ends, None).await;
                }
            }
        }
        let seen = seen(&self.runs.cluster);
        let listed: Vec<String> =
            self.runs.runs.iter().flat_map(|run| run.listed.lock().unwrap().clone()).collect();
        let application = self.application.lock().unwrap();
        // Of runs that do not know of each other two may have copied the same row.
        let are_strangers = !self.runs.is_registered() && self.runs.runs.len() > 1;
        // Whoever accepts that a run is lost accepts what it left half merged.
        let is_any_lost = self.runs.runs.iter().any(|run| run.is_lost);
        is_kept &= !self.runs.is_registered();
        let may_double = !listed.is_empty() || are_strangers || is_any_lost || is_kept;
        // A computed value that the application has overtaken in a row begun anew is left as that wrote it, and listed.
        is_anew |= listed.iter().any(|why| why.contains("begun anew"));
        is_counted_on |= listed.iter().any(counted_on);
        has_stayed |= listed.iter().any(stays);
        // What a lost run has not looked at once more is in the list of what was changed while it was undone.
        is_anew |= is_any_lost && listed.iter().any(|why| why == "disputed");
        // Nobody knows then who has deleted it.
        let may_stay = !self.runs.is_registered() && !self.undone_since.is_empty();
        let is_hidden = |why: &String| {
            why.contains("by somebody or by another run") || why.contains("keeps tombstones")
        };
        let is_left = !self.runs.is_registered() && listed.iter().any(is_hidden);
        let excuses = Excuses {
            may_double,
            is_any_lost,
            is_anew,
            is_counted_on,
            has_stayed,
            may_stay,
            is_left,
        };
        let mut wrong = application.oracle.judge(&seen, self.persons(), excuses);
        for (number, run) in self.runs.runs.iter().enumerate() {
            let states = self.runs.states(number);
            let is_over = |(group, state): (usize, &Option<State>)| match state {
                None | Some(State::Done | State::Undone | State::Disputed) => true,
                // It was rejected, and nothing of it was ever intended.
                Some(State::Failed) => run.has_no_intent(group),
                Some(_) => false,
            };
            if !run.is_lost && !states.iter().enumerate().all(is_over) {
                wrong.push(format!(
                    "{} has no end: {states:?}, {:?}",
                    run.id,
                    run.listed.lock().unwrap()
                ));
            }
        }
        if !wrong.is_empty() {
            wrong.push(format!("rows: {seen:?}"));
            wrong.push(format!("listed: {listed:?}"));
        }
        wrong
    }

    /// Who an account belongs to, by the groups that are not taken back.
    fn persons(&self) -> impl Fn(&str) -> usize + use<> {
        let accounts = ACCOUNTS;
        let mut of = [0, 1, 2, 3];
        for (number, run) in self.runs.runs.iter().enumerate() {
            let states = self.runs.states(number);
            for (group, state) in run.plan.groups().zip(states) {
                if matches!(state, None | Some(State::Undone)) {
                    continue;
                }
                let members: Vec<usize> = group
                    .accounts()
                    .filter_map(|member| accounts.iter().position(|a| *a == member.to_string()))
                    .map(|at| of[at])
                    .collect();
                for person in &mut of {
                    if members.contains(person) {
                        *person = members[0];
                    }
                }
            }
        }
        move |account| accounts.iter().position(|known| *known == account).map_or(9, |at| of[at])
    }
}

fn account() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "a", "b", "c", "d"])
}

fn place() -> impl Strategy<Value = Place> {
    prop::sample::select(PLACES.to_vec())
}

/// Boxed, as others below: what is made of many of these is else too large for a thread's stack.
fn act() -> BoxedStrategy<Act> {
    let written = || (account(), place(), any::<Option<bool>>());
    prop_oneof![
        6 => written().prop_map(|(a, p, s)| Act::Writes(a, p, s)),
        2 => (account(), place()).prop_map(|(a, p)| Act::Deletes(a, p)),
        1 => written().prop_map(|(a, p, s)| Act::Renews(a, p, s)),
    ]
    .boxed()
}

/// One of a command's requests: any, or one of those from its first write on, which are few.
fn request() -> impl Strategy<Value = usize> {
    prop_oneof![2 => 0..24_usize, 1 => WRITING..WRITING + 6]
}

fn during() -> impl Strategy<Value = During> {
    prop::option::weighted(0.25, (request(), act()))
}

fn fate() -> BoxedStrategy<Fate> {
    prop_oneof![3 => Just(Fate::Ends), 6 => interrupted(), 1 => stopped()].boxed()
}

fn interrupted() -> BoxedStrategy<Fate> {
    let landing = || prop::sample::select(vec![Landing::Done, Landing::Lost, Landing::Late]);
    prop_oneof![
        2 => (request(), landing()).prop_map(|(at, landing)| Fate::Killed(at, landing)),
        1 => (request(), landing()).prop_map(|(at, landing)| Fate::Refused(at, landing)),
    ]
    .boxed()
}

fn stopped() -> impl Strategy<Value = Fate> {
    request().prop_map(Fate::Stopped)
}

/// A run that has such a fate.
fn applied(fate: impl Strategy<Value = Fate>) -> impl Strategy<Value = Step> {
    const ONE: [Pairs; 9] = [
        &[("a", "b")],
        &[("b", "c")],
        &[("a", "c")],
        &[("b", "a")],
        &[("c", "a")],
        &[("c", "b")],
        &[("c", "d")],
        &[("d", "b")],
        &[("a", "c"), ("b", "c")],
    ];
    let runs = prop_oneof![
        4 => prop::sample::select(ONE.to_vec()).prop_map(|pairs| (pairs, Share::All)),
        1 => (prop::sample::select(TWO.to_vec()), share()),
    ];
    (runs, fate, during()).prop_map(|((p, share), f, d)| Applies(p, share, f, d))
}

/// Runs of two groups.
const TWO: [Pairs; 3] =
    [&[("a", "b"), ("c", "d")], &[("b", "a"), ("d", "c")], &[("a", "d"), ("c", "b")]];

fn share() -> impl Strategy<Value = Share> {
    prop::sample::select(vec![Share::All, Share::First])
}

/// A command on a run.
fn goes(
    run: impl Strategy<Value = usize>,
    fate: impl Strategy<Value = Fate>,
) -> impl Strategy<Value = Step> {
    let undo = |share| Just(Command::Undo(share));
    let command = prop_oneof![
        6 => Just(Command::Resume),
        3 => undo(Share::All),
        1 => undo(Share::First),
        1 => Just(Command::Repair),
    ];
    (run, command, fate, during())
        .prop_map(|(run, command, fate, during)| Goes(run, command, fate, during))
}

/// At which request something is written to the source of which pair, and where.
fn amid() -> impl Strategy<Value = (usize, usize, Place)> {
    (request(), any::<usize>(), place())
}

/// A few steps that make sense together: two runs, the second of which merges on what the first has merged, or is merging;
/// and what an application does in between. Runs are counted from the newest.
fn chain() -> BoxedStrategy<Vec<Step>> {
    const CHAINS: [[Pairs; 2]; 8] = [
        [&[("a", "b")], &[("b", "c")]],
        [&[("a", "c")], &[("c", "b")]],
        [&[("b", "a")], &[("a", "c")]],
        [&[("b", "c")], &[("c", "a")]],
        [&[("a", "b")], &[("b", "a")]],
        [&[("a", "c")], &[("c", "a")]],
        [&[("a", "b")], &[("a", "c")]],
        [&[("a", "b")], &[("c", "b")]],
    ];
    let acts = || prop::collection::vec(act().prop_map(Does), 0..3);
    let second = || prop_oneof![2 => Just(Fate::Ends), 1 => fate()];
    let ends = || Just(Fate::Ends);
    let pairs = || prop::sample::select(CHAINS.to_vec());
    // Often what the first has merged is merged on, and often both accounts share a partition.
    let on = || prop_oneof![1 => Just(CHAINS[0]), 1 => pairs()];
    let seat = || prop_oneof![1 => Just((SEATS, "r")), 2 => place()];
    prop_oneof![
        // One stands still while it merges rows of both accounts, is declared lost perhaps, and goes on behind the other.
        8 => (pairs(), stopped(), place(), prop::bool::weighted(0.7), acts(), second()).prop_map(
            |([first, then], stops, place, is_lost, acts, ends)| {
                let written = |account| Does(Act::Writes(account, place, None));
                let begins = first.iter().flat_map(|(from, to)| [written(from), written(to)]);
                let lost = if is_lost { Some(Loses(0)) } else { None };
                let then = [Applies(then, Share::All, ends, None), GoesOn];
                let first = begins.chain([Applies(first, Share::All, stops, None)]);
                first.chain(lost).chain(acts).chain(then).collect()
            }
        ),
        // A status is written to one account after the other while the run merges both.
        3 => (pairs(), place(), any::<[bool; 2]>(), 0..6_usize, fate()).prop_map(
            |([first, _], place, [own, other], at, ends)| {
                let (source, survivor) = first[0];
                let begins = Does(Act::Writes(source, place, Some(own)));
                let written = Act::Writes(survivor, place, Some(other));
                vec![begins, Applies(first, Share::All, ends, Some((at, written)))]
            }
        ),
        // One is interrupted, and gone on with after the other.
        3 => (pairs(), fate(), acts(), second(), goes(Just(1), ends())).prop_map(
            |([first, then], stops, acts, ends, goes)| {
                let first = Applies(first, Share::All, stops, None);
                let then = [Applies(then, Share::All, ends, None), goes];
                [first].into_iter().chain(acts).chain(then).collect()
            }
        ),
        // One is over, and gone on with after what its source got late, at once or after the other.
        6 => (on(), seat(), acts(), any::<bool>(), second(), goes(0..2_usize, fate())).prop_map(
            |([first, then], place, acts, is_then, ends, goes)| {
                let written = || Does(Act::Writes(first[0].0, place, None));
                let begins = [written(), Applies(first, Share::All, Fate::Ends, None), written()];
                let then = if is_then { Some(Applies(then, Share::All, ends, None)) } else { None };
                begins.into_iter().chain(acts).chain(then).chain([goes]).collect()
            }
        ),
        // One is undone, out of its order.
        2 => (pairs(), acts(), acts(), ends()).prop_map(|([first, then], before, acts, ends)| {
            let applies = |pairs| Applies(pairs, Share::All, ends, None);
            let undone = Goes(1, Command::Undo(Share::All), ends, None);
            let begins = [applies(first)].into_iter().chain(before);
            begins.chain([applies(then)]).chain(acts).chain([undone]).collect()
        }),
        // A run of two groups, the first of which is interrupted, while an application writes to what is merged.
        2 => (prop::sample::select(TWO.to_vec()), share(), fate(), amid(), acts(), goes(Just(0), fate()))
            .prop_map(|(pairs, share, fate, (at, of, place), acts, goes)| {
                let written = Act::Writes(pairs[of % pairs.len()].0, place, None);
                let first = Applies(pairs, share, fate, Some((at, written)));
                [first].into_iter().chain(acts).chain([goes]).collect()
            }),
        // The first of two groups alone is begun and interrupted, and its source written to; then the run goes on with both.
        3 => (prop::sample::select(TWO.to_vec()), interrupted(), [place(), place()], acts(), fate())
            .prop_map(|(pairs, stops, [first, other], acts, ends)| {
                let written = |of: usize, place| Does(Act::Writes(pairs[of].0, place, None));
                let begins = [written(0, first), written(1, other)];
                let applies = [Applies(pairs, Share::First, stops, None), written(0, first)];
                let goes = Goes(0, Command::Resume, ends, None);
                begins.into_iter().chain(applies).chain(acts).chain([goes]).collect()
            }),
        // The two parts of a plan, the first of which stands still, or is interrupted.
        2 => (prop::sample::select(TWO.to_vec()), prop_oneof![stopped(), fate()], amid(), acts(), fate(), goes(0..2_usize, fate()))
            .prop_map(|(pairs, stops, (at, of, place), acts, ends, goes)| {
                let pairs = [pairs[0], pairs[1]];
                let written = Act::Writes(pairs[of % 2].0, place, None);
                let first = Part(0, pairs, stops, Some((at, written)));
                let then = [Part(1, pairs, ends, None), GoesOn, goes];
                [first].into_iter().chain(acts).chain(then).collect()
            }),
        // A copy is under way when its source is deleted, and arrives at the end.
        3 => (pairs(), 5..15_usize, place(), acts(), goes(Just(0), ends())).prop_map(
            |([first, _], at, place, acts, goes)| {
                let source = first[0].0;
                let first = Applies(first, Share::All, Fate::Killed(at, Landing::Late), None);
                let written = Does(Act::Writes(source, place, None));
                let steps = [written, first, Does(Act::Deletes(source, place))];
                steps.into_iter().chain(acts).chain([goes, Arrives]).collect()
            }
        ),
    ]
    .boxed()
}

/// What happens next: a step, or a few.
fn next() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![
        12 => act().prop_map(|act| vec![Does(act)]),
        6 => applied(fate()).prop_map(|step| vec![step]),
        8 => goes(0..4_usize, fate()).prop_map(|step| vec![step]),
        2 => Just(vec![GoesOn]),
        2 => Just(vec![Arrives]),
        1 => (0..4_usize).prop_map(|run| vec![Loses(run)]),
        1 => Just(vec![Rests]),
        6 => chain(),
    ]
}

/// Whether what one run has merged is all that another merges, into an account that the first does not know.
fn is_merged_on(first: Pairs, then: Pairs) -> bool {
    let [(source, into)] = then else { return false };
    let is_apart = |(from, to): &(&str, &str)| to == source && from != into;
    first.iter().all(is_apart)
}

/// A history, and how it is played.
pub fn history() -> impl Strategy<Value = (Setting, Vec<Step>)> {
    let is_registered = prop::sample::select(vec![true, true, false]);
    let setting = (is_registered, prop::sample::select(vec![1, 1_000_000]))
        .prop_map(|(is_registered, slice_bytes)| Setting::new(is_registered, slice_bytes));
    let first = prop::collection::vec((account(), place(), any::<Option<bool>>()), 1..6);
    let first = first.prop_map(|all| {
        let first = all.into_iter().map(|(a, place, s)| Does(Act::Writes(a, place, s)));
        first.collect::<Vec<_>>()
    });
    (setting, first, prop::collection::vec(next(), 1..8)).prop_map(|(setting, first, rest)| {
        let (mut runs, mut before, mut steps) = (0, None, first);
        for step in rest.into_iter().flatten() {
            // From the newest run to the oldest.
            let of = |run: usize| (runs.max(1) - 1) - run % runs.max(1);
            match step {
                // Of runs that do not know of each other nobody vouches for more than for one that merges on what the first
                // has merged.
                Applies(pairs, ..)
                    if !setting.is_registered
                        && (runs > 1
                            || before.is_some_and(|before| !is_merged_on(before, pairs))) => {}
                Applies(pairs, ..) => {
                    runs += 1;
                    before = Some(pairs);
                    steps.push(step);
                }
                Part(..) if !setting.is_registered => {}
                Part(..) => {
                    runs += 1;
                    steps.push(step);
                }
                Goes(run, command, fate, during) => {
                    steps.push(Goes(of(run), command, fate, during));
                }
                Loses(run) => steps.push(Loses(of(run))),
                step => steps.push(step),
            }
        }
        (setting, steps)
    })
}
