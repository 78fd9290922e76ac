//! Runs as the commands make them: apply, resume (with its sweep), undo, repair.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tributary::events::EventSink;
use tributary::journal::memory::MemoryJournal;
use tributary::journal::{Journal, Note, State};
use tributary::latency::Recorder;
use tributary::model::{Clocks, Group};
use tributary::pace::Pace;
use tributary::pairs::{self, Format};
use tributary::pipeline::{
    self, AsOf, Context, ErrorLimit, GroupCounts, Known, Limits, Operations, Retry, others,
};
use tributary::plan::{self, Plan};
use tributary::register::memory::{MemoryRegister, Shared};
use tributary::register::{LEASE_US, Lineage, Obstacle, OfPlan, Run};
use tributary::storage::memory::MemoryStorage;
use tributary::undo::{self, Options};
use tributary::verify;

use super::client::Client;
use super::history::Setting;
use super::notebook::Notebook;
use super::process::{Fate, Late, Process};
use super::registrar::Registrar;
use super::rules::Rule;
use super::tables::{self, AHEAD_US, KEPT_US, now, spec};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Apply(Share),
    Resume,
    Undo(Share),
    /// What an undo has begun is ended, and what was changed stays where it is.
    KeepChanged,
    Repair,
}

/// Of which groups of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    First,
    All,
}

/// A run, with its directory.
pub struct Merge {
    pub id: String,
    pub plan: Arc<Plan>,
    /// The part of a plan that it is, if it is one.
    part: Option<OfPlan>,
    pub journal: Arc<MemoryJournal>,
    /// Of what undo was begun.
    pub taken_back: Option<Share>,
    /// Whether its last undo was refused, for a later run has to be undone before.
    is_refused: Arc<AtomicBool>,
    /// Whether it was declared lost.
    pub is_lost: bool,
    /// How many commands of it there were.
    pub commands: usize,
    /// Which of them was the last that came to its end.
    pub ended: usize,
    /// What it said that it left, in any command.
    pub listed: Arc<Mutex<Vec<String>>>,
    standing: Option<Standing>,
}

/// A process that stands still.
struct Standing {
    process: Arc<Process>,
    task: JoinHandle<()>,
}

impl Merge {
    /// Whether nothing of a group was ever intended.
    pub fn has_no_intent(&self, group: usize) -> bool {
        self.journal.group(group).unwrap().is_none_or(|record| record.t.is_none())
    }
}

/// All runs, and what they share.
pub struct Runs {
    pub cluster: Arc<MemoryStorage>,
    pub late: Late,
    register: Option<Arc<Mutex<Shared>>>,
    pub runs: Vec<Merge>,
    setting: Setting,
    rule: Option<Rule>,
}

/// What a command works in.
struct Desk {
    context: Arc<Context<Client>>,
    register: Option<(Registrar, MemoryRegister)>,
    plan: Arc<Plan>,
    id: String,
    taken_back: Option<Share>,
    /// The journal itself, whatever a process is made to see of it.
    journal: Arc<MemoryJournal>,
    process: Arc<Process>,
    listed: Arc<Mutex<Vec<String>>>,
    is_refused: Arc<AtomicBool>,
}

fn tables() -> BTreeSet<String> {
    spec().tables.iter().map(|table| table.name.clone()).collect()
}

fn never() -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    std::mem::forget(stop);
    stopped
}

impl Runs {
    pub fn new(setting: Setting, rule: Option<Rule>) -> Self {
        Self {
            cluster: Arc::new(MemoryStorage::new(spec())),
            late: Late::default(),
            register: setting.is_registered.then(Arc::default),
            runs: Vec::new(),
            setting,
            rule,
        }
    }

    /// A run of some pairs; nothing is done yet.
    pub fn plan(&mut self, pairs: &[(&'static str, &'static str)]) -> usize {
        let lines = pairs.iter().map(|(from, to)| format!("{from},{to}\n"));
        let csv = format!("from,to\n{}", lines.collect::<String>());
        let list = pairs::read(csv.as_bytes(), &Format::default()).unwrap();
        let number = self.runs.len();
        self.runs.push(Merge {
            id: format!("r{}", number + 1),
            plan: Arc::new(plan::resolve(list)),
            part: None,
            journal: Arc::default(),
            taken_back: None,
            is_refused: Arc::default(),
            is_lost: false,
            commands: 0,
            ended: 0,
            listed: Arc::default(),
            standing: None,
        });
        number
    }

    /// A run of one group of two, as a part of their plan; nothing is done yet.
    pub fn plan_part(&mut self, of: [(&'static str, &'static str); 2], index: usize) -> usize {
        let number = self.plan(&of[index..=index]);
        let part = format!("{}/2", index + 1).parse().unwrap();
        self.runs[number].part = Some(OfPlan { plan: format!("{of:?}"), part });
        number
    }

    /// Carries out a command, as far as its fate lets it; `meanwhile` happens at one of its requests.
    pub async fn carry_out(
        &mut self,
        run: usize,
        command: Command,
        fate: Fate,
        meanwhile: Option<(usize, Box<dyn FnOnce() + Send>)>,
    ) {
        if self.runs[run].standing.is_some() {
            return; // a run directory belongs to one process at a time
        }
        tables::pass(1_000_000);
        // A repair does not look at what is not done.
        let commands = self.runs[run].commands + usize::from(command != Command::Repair);
        let process = Process::new((run, commands), fate, &self.late, self.rule);
        *process.meanwhile.lock().unwrap() = meanwhile;
        let Some(desk) = self.desk(run, &process) else { return };
        let ended = self.runs[run].ended;
        self.runs[run].commands = commands;
        if let Command::Undo(share) = command {
            let taken_back = &mut self.runs[run].taken_back;
            *taken_back = (*taken_back).max(Some(share));
        }
        let task = tokio::task::spawn_local(desk.work(command));
        self.follow(run, process, task).await;
        // Nothing of it is undone, and it goes on as if nobody had asked for that.
        let is_begun = |state: &Option<State>| {
            matches!(state, Some(State::Undoing | State::Undone | State::Disputed))
        };
        let is_refused = self.runs[run].is_refused.swap(false, Ordering::Relaxed);
        if is_refused && !self.states(run).iter().any(is_begun) {
            (self.runs[run].taken_back, self.runs[run].ended) = (None, ended);
        }
    }

    /// Until the process ends, dies, or stands still.
    async fn follow(&mut self, run: usize, process: Arc<Process>, mut task: JoinHandle<()>) {
        let stands = process.stands.notified();
        tokio::select! {
            biased;
            ended = &mut task => {
                ended.unwrap();
                self.runs[run].ended = process.by.1;
                return;
            }
            () = stands => {}
        }
        // Its lease ends by itself, unless another part is at work beside it.
        if process.is_dead() || self.runs[run].part.is_none() {
            tables::pass(2 * LEASE_US);
        }
        if process.is_dead() {
            task.abort();
            drop(task.await);
            if process.keeps(Rule::NotDurable) {
                process.unsynced.forget(&self.runs[run].journal).await;
            }
        } else {
            self.runs[run].standing = Some(Standing { process, task });
        }
    }

    /// Lets a process go on that stands still.
    pub async fn go_on(&mut self, run: usize) {
        let Some(Standing { process, task }) = self.runs[run].standing.take() else { return };
        process.goes_on.notify_one();
        self.follow(run, process, task).await;
    }

    /// Declares a run lost, unless it is at work.
    pub fn lose(&mut self, run: usize) {
        if let Some(register) = &self.register {
            self.runs[run].is_lost = true;
            MemoryRegister::lose(register, &self.runs[run].id);
        }
    }

    /// Whether runs know each other.
    pub fn is_registered(&self) -> bool {
        self.register.is_some()
    }

    /// Whether a process of a run stands still.
    pub fn is_standing(&self, run: usize) -> bool {
        self.runs[run].standing.is_some()
    }

    fn desk(&self, run: usize, process: &Arc<Process>) -> Option<Desk> {
        let merge = &self.runs[run];
        let register = match &self.register {
            None => None,
            Some(shared) => {
                let run = Run { id: merge.id.clone(), tables: tables(), ..Run::default() };
                let register = MemoryRegister::take_part(shared, run, merge.part.clone(), now());
                let register = register.ok()?;
                let (own, process) = (register.clone(), Arc::clone(process));
                Some((Registrar { register, process, kept_back: Arc::default() }, own))
            }
        };
        let floor = register.as_ref().map_or(0, |(_, register)| register.floor());
        let kept = Duration::from_micros(KEPT_US as u64);
        let as_of = AsOf::new(floor, Duration::ZERO).kept_for(kept);
        let as_of = match self.setting.is_ahead {
            true => {
                let (ours, behind) = (tables::ahead(), Duration::from_micros(AHEAD_US as u64));
                as_of.by(tables::ahead).beside(Clocks { ours, latest: ours, behind })
            }
            false => as_of.by(now),
        };
        let client = Client {
            cluster: Arc::clone(&self.cluster),
            process: Arc::clone(process),
            journal: Arc::clone(&merge.journal),
            is_resumed: merge.commands > 0,
            written: Mutex::default(),
        };
        // What it costs to make one is more than all else.
        static RECORDER: LazyLock<Arc<Recorder>> =
            LazyLock::new(|| Arc::new(Recorder::new(Operations::new(&spec()).names().to_vec())));
        let recorder = Arc::clone(&RECORDER);
        let journal = Arc::new(Notebook::new(&merge.journal, process));
        let mut context = Context::new(
            spec(),
            client,
            EventSink::Discard,
            journal,
            recorder,
            Pace::new(8),
            as_of,
        )
        .expect("in memory");
        context.retry = Retry {
            budget: Duration::from_secs(60),
            first_pause: Duration::ZERO,
            longest_pause: Duration::ZERO,
            replica_tries: 1,
        };
        context.slice_bytes = self.setting.slice_bytes;
        context.register = register.as_ref().map(|(registrar, _)| Arc::new(registrar.clone()) as _);
        Some(Desk {
            context: Arc::new(context),
            register,
            plan: Arc::clone(&merge.plan),
            id: merge.id.clone(),
            taken_back: merge.taken_back,
            journal: Arc::clone(&merge.journal),
            process: Arc::clone(process),
            listed: Arc::clone(&merge.listed),
            is_refused: Arc::clone(&merge.is_refused),
        })
    }

    /// Where the groups of a run stand.
    pub fn states(&self, run: usize) -> Vec<Option<State>> {
        let states = Known::new(self.runs[run].journal.states().unwrap());
        (0..self.runs[run].plan.len()).map(|group| states.state(group)).collect()
    }
}

impl Desk {
    async fn work(self, command: Command) {
        match command {
            Command::Apply(share) => self.merge(Some(share)).await,
            Command::Resume => self.merge(None).await,
            Command::Undo(share) => self.undo(share).await,
            Command::KeepChanged => self.keep_changed().await,
            Command::Repair => self.repair().await,
        }
        self.context.journal.flush().await.unwrap();
        let Some((registrar, register)) = &self.register else { return };
        drop(others::settle(registrar, register, &*self.context.journal).await);
        register.release();
    }

    fn list(&self, what: String) {
        self.listed.lock().unwrap().push(what);
    }

    async fn history(&self, register: &MemoryRegister) -> Lineage {
        let accounts = self.plan.participants().map(|account| account.to_string());
        let accounts = accounts.collect::<Vec<_>>();
        Lineage::of(register, accounts, &tables(), Some(&self.id)).await.unwrap()
    }

    /// A new run, or one that is gone on with.
    async fn merge(&self, begins: Option<Share>) {
        let journal = &self.journal;
        others::keep_registered(&**journal, self.register.is_some()).unwrap();
        self.forget_unwritten().await;
        let mut known = Known::new(journal.states().unwrap());
        if self.taken_back == Some(Share::All) && known.undone() > 0 {
            return; // refused
        }
        if let Some((_, register)) = &self.register
            && !self.process.keeps(Rule::Unasked)
        {
            let history = self.history(register).await;
            self.context.know_run_times(history.times().clone());
            let bars =
                |verdict: &Obstacle| !matches!(verdict, Obstacle::Busy { is_lost: true, .. });
            let is_barred = |group: Group| history.verdicts(&group).iter().any(|(_, v)| bars(v));
            if begins.is_some() && self.plan.groups().any(is_barred) {
                return; // rejected
            }
            if begins.is_none() {
                let say = |verdict: &Obstacle| format!("{verdict:?}");
                let barred = others::barred(&history, &self.plan, &known, &**journal, say);
                let barred = barred.unwrap();
                barred.groups().for_each(|(_, why)| self.list(why.to_owned()));
                known = known.with(barred);
            }
        }
        let groups = if begins == Some(Share::First) { 1 } else { usize::MAX };
        let limits = Limits { groups, errors: ErrorLimit::Groups(u64::MAX) };
        let progress = GroupCounts::default();
        let run = pipeline::run(
            &self.context,
            &self.plan,
            &known,
            limits,
            &progress,
            never(),
            |group, reason| {
                self.list(format!("{} failed: {}", group.survivor, reason.reason));
                Ok::<(), ()>(())
            },
        );
        let (outcome, written) = run.await;
        written.unwrap();
        if outcome.ended == pipeline::Ended::Finished {
            let kept = pipeline::kept(&*self.journal, &self.plan).unwrap();
            kept.iter().for_each(|left| self.list(left.why.clone()));
            let on_left = |left: &pipeline::Leftover| self.list(left.why.clone());
            let swept = pipeline::sweep(&self.context, &self.plan, &known, &never(), on_left).await;
            drop(swept);
            pipeline::reported(&*self.journal).unwrap();
        }
    }

    async fn forget_unwritten(&self) {
        if let Some((_, register)) = &self.register
            && !self.process.keeps(Rule::UnwrittenIsFinished)
        {
            let (journal, tables) = (&*self.journal, tables());
            others::forget_unwritten(register, &self.id, journal, &tables).await.unwrap();
        }
    }

    async fn undo(&self, share: Share) {
        self.forget_unwritten().await;
        let journal = &self.journal;
        let mut selected = undo::select(&**journal, None).unwrap();
        selected.groups.retain(|group| share == Share::All || *group == 0);
        if let Some((_, register)) = &self.register
            && !self.process.keeps(Rule::UndoneInAnyOrder)
        {
            let groups = &selected.groups;
            let tables = tables();
            let later = others::not_yet(register, &self.id, &**journal, groups, &tables);
            let later = later.await.unwrap();
            selected.groups.retain(|group| !later.contains_key(group));
            self.is_refused.store(!later.is_empty(), Ordering::Relaxed);
        }
        let (undone, flushed) = undo::undo(
            &self.context,
            &selected.groups,
            Options::default(),
            never(),
            &GroupCounts::default(),
            |pairs, reason| self.list(format!("{pairs:?} failed: {}", reason.reason)),
        )
        .await;
        flushed.unwrap();
        if undone.disputed > 0 {
            self.list("disputed".to_owned());
        }
        if undone.rows.iter().any(|rows| rows.deleted_meanwhile > 0) {
            self.list("deleted while it was undone".to_owned());
        }
        if undone.rows.iter().any(|rows| rows.counted_meanwhile > 0) {
            self.list(
                "counted while it was undone, on from the sum of all accounts perhaps".to_owned(),
            );
        }
    }

    async fn keep_changed(&self) {
        let in_state = |of: &[State]| -> Vec<usize> {
            let states = self.journal.states().unwrap().into_iter();
            states.filter(|(_, state)| of.contains(state)).map(|(group, _)| group).collect()
        };
        let begun = in_state(&[State::Undoing, State::Disputed]);
        let progress = GroupCounts::default();
        let undoing = undo::undo(
            &self.context,
            &begun,
            Options::default(),
            never(),
            &progress,
            |pairs, reason| self.list(format!("{pairs:?} failed: {}", reason.reason)),
        );
        undoing.await.1.unwrap();
        for group in in_state(&[State::Disputed]) {
            let state = State::Undone;
            self.journal.note(Note { group, state, reason: None, known_as: None }).unwrap();
        }
    }

    async fn repair(&self) {
        let folder = tempfile::tempdir().unwrap();
        let repair = verify::Options { repair: true, ..Default::default() };
        let options = verify::Options { restart: true, ..repair };
        let journal = &self.context.journal;
        let mut merged_on = BTreeSet::new();
        if let Some((_, register)) = &self.register {
            let groups: Vec<usize> = (0..self.plan.len()).collect();
            let tables = tables();
            let later = others::not_yet(register, &self.id, &**journal, &groups, &tables);
            merged_on.extend(later.await.unwrap().into_keys());
        }
        let diff = folder.path().join("diff.csv");
        let progress = GroupCounts::default();
        let verified =
            verify::verify(&self.context, options, &merged_on, &diff, &progress, never());
        drop(verified.await);
    }
}

/// Runs what is asynchronous to its end, on this thread alone.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let future = pin!(future);
    local.block_on(&runtime, future)
}
