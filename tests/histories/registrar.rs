//! The register, as a process talks to it.

use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use tributary::model::TimestampUs;
use tributary::register::memory::MemoryRegister;
use tributary::register::{Claim, Register, WindowEnd};
use tributary::storage::StorageError;

use super::process::Process;
use super::rules::Rule;

/// A window that has begun, with its entries.
type Begun = (TimestampUs, Vec<Claim>);

#[derive(Clone)]
pub struct Registrar {
    pub register: MemoryRegister,
    pub process: Arc<Process>,
    /// What it hears only when the copies are written, by [`Rule::RegisteredLate`].
    pub kept_back: Arc<Mutex<Vec<Begun>>>,
}

impl std::fmt::Debug for Registrar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.register.fmt(f)
    }
}

impl Registrar {
    async fn hand_over(&self) -> Result<(), StorageError> {
        let kept_back = std::mem::take(&mut *self.kept_back.lock().unwrap());
        for (t, entries) in kept_back {
            self.register.begin(t, &entries).await?;
        }
        Ok(())
    }
}

impl Register for Registrar {
    fn run(&self) -> &str {
        self.register.run()
    }

    fn begin<'a>(
        &'a self,
        t: TimestampUs,
        entries: &'a [Claim],
    ) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            if self.process.keeps(Rule::RegisteredLate) {
                self.kept_back.lock().unwrap().push((t, entries.to_vec()));
                return Ok(());
            }
            self.register.begin(t, entries).await
        }
        .boxed()
    }

    fn hold(&self, floor: TimestampUs) -> BoxFuture<'_, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            let held = self.register.hold(floor).await;
            if self.process.keeps(Rule::NoLease) { Ok(()) } else { held }
        }
        .boxed()
    }

    fn look(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            self.hand_over().await?;
            let looked = self.register.look().await;
            if self.process.keeps(Rule::NoLease) {
                return Ok(());
            }
            if let (true, Err(lost)) = (self.process.keeps(Rule::NoSecondLook), &looked) {
                // Whether it is for a batch or for a delete is seen when that is sent.
                *self.process.lost.lock().unwrap() = Some(lost.clone());
                return Ok(());
            }
            looked
        }
        .boxed()
    }

    fn end<'a>(&'a self, windows: &'a [WindowEnd]) -> BoxFuture<'a, Result<(), StorageError>> {
        async move {
            self.process.read().await?;
            self.hand_over().await?;
            self.register.end(windows).await
        }
        .boxed()
    }
}
