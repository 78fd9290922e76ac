//! A history: what the application and the operators do, one after the other and at the same time, over three accounts; and
//! how it ends.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tributary::journal::State;
use tributary::model::Change;
use tributary::storage::memory::MemoryStorage;

use super::oracle::{Excuses, Oracle};
use super::process::{Fate, Landing};
use super::runs::{Command, Runs, block_on};
use super::tables::{self, PROGRESS, Place, SEATS, Seen, Values, key_of, now, row, seen};

pub const PLACES: [Place; 3] = [(PROGRESS, "k1"), (PROGRESS, "k2"), (SEATS, "r")];

/// What the application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It writes a note, and a status that is higher or lower than all before, or neither.
    Writes(&'static str, Place, Option<bool>),
    Deletes(&'static str, Place),
}

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Step {
    Does(Act),
    /// A new run of some pairs.
    Applies(&'static [(&'static str, &'static str)], Fate),
    /// A command on one of the runs so far; the application may do something at one of its requests.
    Goes(usize, Command, Fate, Option<(usize, Act)>),
    /// Whoever stands still goes on.
    GoesOn,
    /// What is late arrives.
    Arrives,
}

use Step::{Applies, Arrives, Does, Goes, GoesOn};

/// How a history is played.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub is_registered: bool,
    pub slice_bytes: usize,
}

/// The application and the oracle that follows it.
struct Application {
    cluster: Arc<MemoryStorage>,
    oracle: Oracle,
    writes: i32,
}

impl Application {
    fn act(&mut self, act: Act) {
        tables::pass(1_000);
        let t = now();
        let before = seen(&self.cluster);
        match act {
            Act::Writes(account, place, status) => {
                self.writes += 1;
                let writes = self.writes;
                let status = status.filter(|_| place.0 == PROGRESS);
                let status = status.map(|is_higher| if is_higher { writes } else { -writes });
                let values = Values { status, note: Some(format!("n{writes}")) };
                let (number, is_new) = self.oracle.row_of(&before, account, place);
                let full = row(place, account, &values);
                let key = key_of(place, account);
                let change = match is_new {
                    true => Change::Insert { row: full },
                    false => {
                        let cells = full.cells.into_iter().enumerate().skip(key.len());
                        let set = cells.filter(|(_, cell)| cell.is_some()).collect();
                        Change::Update { key, set }
                    }
                };
                self.cluster.apply(place.0, t, &change);
                let after = seen(&self.cluster);
                self.oracle.wrote((account, place), number, &values, [&before, &after], t);
            }
            Act::Deletes(account, place) => {
                let change = Change::DeleteRow { key: key_of(place, account) };
                self.cluster.apply(place.0, t, &change);
                self.oracle.deleted((account, place), [&before, &seen(&self.cluster)], t);
            }
        }
        tables::pass(1_000);
    }
}

/// What is wrong in the end.
pub fn play(setting: Setting, steps: &[Step]) -> Vec<String> {
    block_on(async {
        let mut played = Played::new(setting);
        for step in steps {
            played.step(step).await;
        }
        played.end().await
    })
}

pub struct Played {
    pub runs: Runs,
    application: Arc<Mutex<Application>>,
    /// When the earliest of those that stand still began.
    stands_since: Vec<(usize, i64)>,
    /// When the first undo of a run began.
    undone_since: BTreeMap<usize, i64>,
}

impl Played {
    pub fn new(setting: Setting) -> Self {
        tables::begin();
        let runs = Runs::new(setting.is_registered, setting.slice_bytes);
        let cluster = Arc::clone(&runs.cluster);
        let application = Application { cluster, oracle: Oracle::default(), writes: 0 };
        let application = Arc::new(Mutex::new(application));
        Self { runs, application, stands_since: Vec::new(), undone_since: BTreeMap::new() }
    }

    pub async fn step(&mut self, step: &Step) {
        match step {
            Does(act) => self.application.lock().unwrap().act(*act),
            Applies(pairs, fate) => {
                let run = self.runs.plan(pairs);
                let sources = pairs.iter().map(|(from, _)| *from);
                self.application.lock().unwrap().oracle.merges(sources, now());
                self.command(run, Command::Apply, *fate, None).await;
            }
            Goes(run, command, fate, meanwhile) if !self.runs.runs.is_empty() => {
                let run = run % self.runs.runs.len();
                self.command(run, *command, *fate, *meanwhile).await;
            }
            Goes(..) => {}
            GoesOn => {
                for (run, since) in std::mem::take(&mut self.stands_since) {
                    self.runs.go_on(run).await;
                    self.came_back(since);
                }
            }
            Arrives => self.arrive(),
        }
    }

    /// What stands now.
    pub fn seen(&self) -> Seen {
        seen(&self.runs.cluster)
    }

    fn came_back(&self, since: i64) {
        let seen = seen(&self.runs.cluster);
        self.application.lock().unwrap().oracle.came_back(&seen, since);
    }

    async fn command(
        &mut self,
        run: usize,
        command: Command,
        fate: Fate,
        meanwhile: Option<(usize, Act)>,
    ) {
        let application = Arc::clone(&self.application);
        let meanwhile = meanwhile.map(|(at, act)| {
            let act = move || application.lock().unwrap().act(act);
            (at, Box::new(act) as Box<dyn FnOnce() + Send>)
        });
        let since = now();
        if self.runs.is_standing(run) || self.is_out_of_order(run, command) {
            return;
        }
        // An undo is as of the moment at which it was decided.
        let since = match command {
            Command::Undo => *self.undone_since.entry(run).or_insert(since),
            _ => since,
        };
        // Two that do not know of each other are kept apart by nobody.
        let is_alone = !self.runs.is_registered() && matches!(fate, Fate::Stopped(_));
        let fate = if is_alone { Fate::Ends } else { fate };
        self.runs.carry_out(run, command, fate, meanwhile).await;
        self.trace(run, command, fate);
        match self.runs.is_standing(run) {
            true => self.stands_since.push((run, since)),
            false => self.came_back(since),
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

    /// Runs that do not know of each other are undone in the right order by their operators, or rows are lost.
    fn is_out_of_order(&self, run: usize, command: Command) -> bool {
        let has_begun = |run: usize| {
            let states = self.runs.states(run);
            states.iter().any(|state| !matches!(state, None | Some(State::Undone)))
        };
        if self.undone_since.contains_key(&run) {
            return false; // it was begun before them
        }
        let mut later = run + 1..self.runs.runs.len();
        command == Command::Undo && !self.runs.is_registered() && later.any(has_begun)
    }

    /// What was sent long ago arrives. Before its run looks again, what it brings stands rightly.
    fn arrive(&mut self) {
        let late = std::mem::take(&mut *self.runs.late.lock().unwrap());
        for sent in late {
            let (run, command) = sent.by;
            self.runs.cluster.apply(sent.mutation.table, sent.mutation.t, &sent.mutation.change);
            if self.runs.runs[run].commands == command {
                self.came_back(0);
            }
        }
    }

    /// Everything is ended as it is advised; what is wrong then.
    pub async fn end(&mut self) -> Vec<String> {
        let mut is_anew = false;
        for round in 0..4 {
            self.step(&GoesOn).await;
            if round == 1 {
                self.arrive();
            }
            if round == 0 {
                for run in &self.runs.runs {
                    let listed = std::mem::take(&mut *run.listed.lock().unwrap());
                    is_anew |= listed.iter().any(|why| why.contains("begun anew"));
                }
            }
            let all = 0..self.runs.runs.len();
            for run in all
                .clone()
                .rev()
                .filter(|run| self.runs.runs[*run].is_taken_back)
                .collect::<Vec<_>>()
            {
                self.command(run, Command::Undo, Fate::Ends, None).await;
            }
            for run in all {
                let has_begun = self.runs.states(run).iter().any(Option::is_some);
                if has_begun && !self.runs.runs[run].is_taken_back {
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
        let may_double = !listed.is_empty() || are_strangers;
        // A computed value that the application has overtaken in a row begun anew is left as that wrote it, and listed.
        is_anew |= listed.iter().any(|why| why.contains("begun anew"));
        // Nobody knows then who has deleted it.
        let may_stay = !self.runs.is_registered() && !self.undone_since.is_empty();
        let excuses = Excuses { may_double, is_anew, may_stay };
        let mut wrong = application.oracle.judge(&seen, self.persons(), excuses);
        for (number, run) in self.runs.runs.iter().enumerate() {
            let states = self.runs.states(number);
            let is_over = |(group, state): (usize, &Option<State>)| match state {
                None | Some(State::Done | State::Undone | State::Disputed) => true,
                // It was rejected, and nothing of it was ever intended.
                Some(State::Failed) => run.has_no_intent(group),
                Some(_) => false,
            };
            if !states.iter().enumerate().all(is_over) {
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
        let accounts = ["a", "b", "c"];
        let mut of = [0, 1, 2];
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
    prop::sample::select(vec!["a", "b", "c"])
}

fn act() -> impl Strategy<Value = Act> {
    let place = || prop::sample::select(PLACES.to_vec());
    prop_oneof![
        3 => (account(), place(), any::<Option<bool>>()).prop_map(|(a, p, s)| Act::Writes(a, p, s)),
        1 => (account(), place()).prop_map(|(a, p)| Act::Deletes(a, p)),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    let landing = || prop::sample::select(vec![Landing::Done, Landing::Lost, Landing::Late]);
    prop_oneof![
        3 => Just(Fate::Ends),
        4 => (0..24_usize, landing()).prop_map(|(at, landing)| Fate::Killed(at, landing)),
        2 => (0..24_usize, landing()).prop_map(|(at, landing)| Fate::Refused(at, landing)),
        1 => (0..24_usize).prop_map(Fate::Stopped),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    const PAIRS: [&[(&str, &str)]; 7] = [
        &[("a", "b")],
        &[("b", "c")],
        &[("a", "c")],
        &[("b", "a")],
        &[("c", "a")],
        &[("c", "b")],
        &[("a", "c"), ("b", "c")],
    ];
    let command = prop::sample::select(vec![Command::Resume, Command::Resume, Command::Undo]);
    prop_oneof![
        6 => act().prop_map(Does),
        4 => (prop::sample::select(PAIRS.to_vec()), fate()).prop_map(|(p, f)| Applies(p, f)),
        4 => (0..4_usize, command, fate(), prop::option::weighted(0.2, (0..16_usize, act())))
            .prop_map(|(run, command, fate, act)| Goes(run, command, fate, act)),
        1 => Just(GoesOn),
        1 => Just(Arrives),
    ]
}

/// A history, and how it is played.
pub fn history() -> impl Strategy<Value = (Setting, Vec<Step>)> {
    let setting = (any::<bool>(), prop::sample::select(vec![1, 1_000_000]))
        .prop_map(|(is_registered, slice_bytes)| Setting { is_registered, slice_bytes });
    let first = prop::collection::vec((account(), 0..3_usize, any::<Option<bool>>()), 1..6);
    let first = first.prop_map(|all| {
        let first = all.into_iter().map(|(a, place, s)| Does(Act::Writes(a, PLACES[place], s)));
        first.collect::<Vec<_>>()
    });
    (setting, first, prop::collection::vec(step(), 1..9)).prop_map(|(setting, mut steps, rest)| {
        steps.extend(rest);
        // Without a register no other run touches these accounts, or nobody vouches for what becomes of it.
        let mut runs = 0;
        steps.retain(|step| {
            runs += usize::from(matches!(step, Applies(..)));
            setting.is_registered || runs < 2 || !matches!(step, Applies(..))
        });
        (setting, steps)
    })
}
