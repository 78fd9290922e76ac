//! What the register is told of a window's groups: that they are worked on, before the first write of each, and at the
//! end which of them are over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::failpoint;
use crate::model::{Group, TimestampUs};
use crate::register::{Claim, LEASE_US, OWNED_US, Register, Step, WindowEnd};
use crate::storage::{Fault, StorageError};

use super::{Requests, Window};

/// The groups of a window of which the register knows.
#[derive(Debug, Default)]
pub(super) struct Begun {
    groups: Mutex<HashMap<usize, Standing>>,
    /// When the lease was last seen to be held.
    seen_at: AtomicI64,
}

/// How one of them stands.
#[derive(Debug)]
struct Standing {
    survivor: String,
    is_over: bool,
}

impl Begun {
    /// Notes that the lease was held at a time.
    fn saw(&self, at: TimestampUs) {
        self.seen_at.fetch_max(at, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Standing>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the lease is still held, asked once for all who want to know.
pub(super) type Look = Shared<BoxFuture<'static, Result<(), StorageError>>>;

impl<S: Send + Sync + 'static> Window<S> {
    /// Waits until the register has it that a group is worked on, and the lease is known to be held after that. What a
    /// group writes first comes behind its intent, and behind this.
    ///
    /// # Errors
    /// The register cannot be written, or the lease is lost: nothing of the group may be written then.
    pub(crate) async fn begin(&self, group: &Group, step: Step) -> Result<(), StorageError> {
        let Some(register) = &self.register else { return Ok(()) };
        if self.begun.lock().contains_key(&group.index) {
            return Ok(());
        }
        let entries: Vec<Claim> = Claim::of_group(register.run(), group, self.t, step).collect();
        self.asked.begins.ask((), entries).await?;
        let survivor = group.survivor.text().into_owned();
        self.begun.lock().insert(group.index, Standing { survivor, is_over: false });
        failpoint::hit("begun");
        Ok(())
    }

    /// Notes that nothing of a group is left to be done.
    pub fn over(&self, group: &Group) {
        if let Some(standing) = self.begun.lock().get_mut(&group.index) {
            standing.is_over = true;
        }
    }

    /// Tells the register which groups are over. What it cannot be told now is told at the end of the command; until then
    /// these accounts count as busy.
    pub(in super::super) async fn end(&self) {
        let Some(register) = self.register.clone() else { return };
        let open: Vec<(String, bool)> = {
            let begun = self.begun.lock();
            begun.values().map(|one| (one.survivor.clone(), one.is_over)).collect()
        };
        if open.is_empty() {
            return;
        }
        // What the register calls done must be done in the journal, too, whenever the machine dies.
        if let Err(error) = self.journal.flush().await {
            tracing::debug!("a window's end is not told: {error}");
            return;
        }
        let open = open.into_iter().filter(|(_, is_over)| !is_over).map(|(survivor, _)| survivor);
        let ended = [WindowEnd { t: self.t, open: open.collect() }];
        if let Err(error) =
            self.carry_out(self.operations.register(), || register.end(&ended)).await
        {
            tracing::warn!("the register does not know yet that a window is over: {error}");
        }
    }

    /// All groups that wait to be begun.
    pub(super) fn begins(self: &Arc<Self>) -> Requests {
        let mut requests = Requests::new();
        let Some(register) = &self.register else { return requests };
        for ((), waiting) in self.asked.begins.take() {
            let (window, register) = (Arc::clone(self), Arc::clone(register));
            let begin = async move {
                let (entries, waiting): (Vec<_>, Vec<_>) =
                    waiting.into_iter().map(super::gather::Waiting::apart).unzip();
                let entries: Vec<Claim> = entries.into_iter().flatten().collect();
                let begun = window.register_entries(&*register, &entries).await;
                waiting.into_iter().for_each(|waiting| waiting.answer(begun.clone()));
            };
            requests.push(begin.boxed());
        }
        requests
    }

    async fn register_entries(
        &self,
        register: &dyn Register,
        entries: &[Claim],
    ) -> Result<(), StorageError> {
        let operation = self.operations.register();
        self.reached.note(&*self.journal, self.t).map_err(|error| {
            let message = error.to_string();
            StorageError { class: message.clone(), message, kind: Fault::Fatal }
        })?;
        let begun = self.carry_out(operation, || register.begin(self.t, entries)).await;
        begun.map_err(for_all)?;
        failpoint::hit("registered");
        // Cells of the application may be dated until now, and what is swept just above them.
        let now = self.as_of.now();
        let floor = self.t.max(now) + OWNED_US;
        self.carry_out(operation, || register.hold(floor)).await.map_err(for_all)?;
        self.begun.saw(now);
        Ok(())
    }

    /// Whoever stood still looks at the lease before anything is written: it may have ended since it was seen last. It is no
    /// request that waits for its turn, for whoever asks has one.
    pub(super) async fn see_lease(&self) -> Result<(), StorageError> {
        let Some((register, now)) = self.unseen_lease() else { return Ok(()) };
        register.look().await?;
        self.begun.saw(now);
        Ok(())
    }

    /// The same before anything is intended: whoever stood still and is dated after that would else intend what others are
    /// at work on, and nothing that comes later would tell.
    pub(super) async fn see_lease_first(&self) -> Result<(), StorageError> {
        let Some((register, now)) = self.unseen_lease() else { return Ok(()) };
        self.carry_out(self.operations.register(), || register.look()).await?;
        self.begun.saw(now);
        Ok(())
    }

    /// The register, and the time, if the lease has not been seen for long.
    fn unseen_lease(&self) -> Option<(&Arc<dyn Register>, TimestampUs)> {
        let (register, now) = (self.register.as_ref()?, self.as_of.now());
        let is_seen = now - self.begun.seen_at.load(Ordering::Relaxed) < LEASE_US / 2;
        (!is_seen).then_some((register, now))
    }

    /// Looks at the lease once more, for all deletes that are sent together.
    pub(super) fn look(self: &Arc<Self>) -> Option<Look> {
        let register = Arc::clone(self.register.as_ref()?);
        let window = Arc::clone(self);
        let look = async move {
            let now = window.as_of.now();
            window.carry_out(window.operations.register(), || register.look()).await?;
            window.begun.saw(now);
            Ok(())
        };
        Some(look.boxed().shared())
    }
}

/// What the register refuses of one window it refuses of all.
fn for_all(error: StorageError) -> StorageError {
    match error.kind {
        Fault::Permanent => StorageError { kind: Fault::Fatal, ..error },
        _ => error,
    }
}
