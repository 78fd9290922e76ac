//! A process as the cluster meets it: each of its requests may be its last, may be refused, may find it standing still for
//! an hour; and what it wrote last may arrive much later.

use std::cmp;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tributary::model::Mutation;
use tributary::storage::StorageError;

use super::notebook::Unsynced;
use super::rules::Rule;
use super::tables;

/// What became of a request's writes when its answer did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    Done,
    Lost,
    /// They arrive later.
    Late,
}

/// From its first write on, the requests of a process have a second number, which is counted from here: so what happens
/// between its writes can be meant, however much it reads before.
pub const WRITING: usize = 1_000;

/// What happens to a process at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Ends,
    Killed(usize, Landing),
    /// It is told that this write failed, and goes on with the rest.
    Refused(usize, Landing),
    /// It stands still, and goes on when it is let.
    Stopped(usize),
}

/// Something that somebody else does while a process is at a request.
pub type Meanwhile = Mutex<Option<(usize, Box<dyn FnOnce() + Send>)>>;

/// What was sent and has not arrived.
pub type Late = Arc<Mutex<Vec<Sent>>>;

/// A write that has not arrived.
pub struct Sent {
    /// Its run, and which of its commands sent it.
    pub by: (usize, usize),
    pub mutation: Mutation,
}

pub struct Process {
    /// Its run, and which of its commands it is.
    pub by: (usize, usize),
    pub fate: Fate,
    pub meanwhile: Meanwhile,
    requests: AtomicUsize,
    /// Which of them was its first write.
    first_write: AtomicUsize,
    is_dead: AtomicBool,
    has_stood: AtomicBool,
    /// It is dead, or stands still.
    pub stands: Notify,
    pub goes_on: Notify,
    late: Late,
    /// The rule of before that it keeps to, if one is tried.
    rule: Option<Rule>,
    /// That it has lost its lease, by [`Rule::NoSecondLook`].
    pub lost: Mutex<Option<StorageError>>,
    /// What it takes with it.
    pub unsynced: Unsynced,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("by", &self.by).finish_non_exhaustive()
    }
}

impl Process {
    pub fn new(by: (usize, usize), fate: Fate, late: &Late, rule: Option<Rule>) -> Arc<Self> {
        Arc::new(Self {
            by,
            fate,
            rule,
            lost: Mutex::default(),
            unsynced: Unsynced::default(),
            meanwhile: Mutex::default(),
            requests: AtomicUsize::new(0),
            first_write: AtomicUsize::new(usize::MAX),
            is_dead: AtomicBool::new(false),
            has_stood: AtomicBool::new(false),
            stands: Notify::new(),
            goes_on: Notify::new(),
            late: Arc::clone(late),
        })
    }

    /// Whether it keeps to this rule of before.
    pub fn keeps(&self, rule: Rule) -> bool {
        self.rule == Some(rule)
    }

    /// What was sent and has not arrived.
    pub fn late(&self) -> &Late {
        &self.late
    }

    pub fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    /// The next request is a write.
    pub fn writes(&self) {
        self.first_write.fetch_min(self.requests.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// How a request compares with the one that is meant by a number.
    fn compare(&self, request: usize, at: usize) -> Option<cmp::Ordering> {
        match at.checked_sub(WRITING) {
            None => Some(request.cmp(&at)),
            Some(at) => {
                let first = self.first_write.load(Ordering::Relaxed);
                request.checked_sub(first).map(|request| request.cmp(&at))
            }
        }
    }

    /// What somebody else does at a request.
    fn let_others(&self, request: usize) {
        let is_due = |at: usize| self.compare(request, at).is_some_and(cmp::Ordering::is_ge);
        let act = self.meanwhile.lock().unwrap().take_if(|(at, _)| is_due(*at));
        if let Some((_, act)) = act {
            act();
        }
    }

    pub async fn die(&self) -> ! {
        self.is_dead.store(true, Ordering::Relaxed);
        self.stands.notify_one();
        pending().await
    }

    /// One more request; what is to become of its writes if it is told that it failed, or cannot be told any more.
    pub async fn ask(&self) -> Option<(Landing, bool)> {
        if self.is_dead() {
            self.die().await;
        }
        tables::pass(20_000);
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        self.let_others(request);
        let is_now = |at: usize| self.compare(request, at).is_some_and(cmp::Ordering::is_eq);
        match self.fate {
            Fate::Killed(at, landing) if is_now(at) => Some((landing, true)),
            Fate::Refused(at, landing) if is_now(at) => Some((landing, false)),
            _ => None,
        }
    }

    /// Stands still, if that is its fate at this request.
    pub async fn stand(&self) {
        let last = self.requests.load(Ordering::Relaxed).saturating_sub(1);
        let is_due = |at: usize| self.compare(last, at).is_some_and(cmp::Ordering::is_ge);
        if matches!(self.fate, Fate::Stopped(at) if is_due(at))
            && !self.has_stood.swap(true, Ordering::Relaxed)
        {
            self.stands.notify_one();
            self.goes_on.notified().await;
        }
    }

    /// A request that writes nothing.
    pub async fn read(&self) -> Result<(), StorageError> {
        if let Some((_, true)) = self.ask().await {
            self.die().await;
        }
        self.stand().await;
        Ok(())
    }
}
