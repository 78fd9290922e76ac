//! The events of repairs: one for each announced row of the survivor in whose scope one of its rows was repaired.
//!
//! Repairs are journaled in slices that complete nothing; once their events are acknowledged, a completing slice
//! without rows says so. What an earlier verify repaired and did not get to announce is announced with
//! the next repair, with the same ids.

use crate::journal::SliceKind;
use crate::merge::{self, Completion, Entry, Slice};
use crate::model::TimestampUs;
use crate::storage::Writer;

use super::VerifyError;
use super::group::Check;

impl<S: Writer> Check<'_, S> {
    /// Remembers what an earlier verify repaired and did not announce.
    pub(super) fn recall_unannounced(&mut self) -> Result<(), VerifyError> {
        let journal = &self.window.journal;
        let mut repairs = journal.slices(self.group.index)?;
        repairs.retain(|slice| slice.kind == SliceKind::Repair);
        let announced =
            repairs.iter().rposition(|slice| slice.completes).map_or(0, |last| last + 1);
        for repair in &repairs[announced..] {
            let slice = self.window.codec.decode(&journal.body(repair.id)?);
            self.note_changed(repair.t, &slice.map_err(VerifyError::Record)?.entries);
        }
        Ok(())
    }

    /// Remembers where rows of the survivor are repaired.
    pub(super) fn note_changed(&mut self, t: TimestampUs, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.is_written()) {
            let base = entry.base().map(|row| &row.cells[..]).unwrap_or_default();
            if let Some(scope) = self.window.led_to(entry.table, base) {
                self.changed.insert(scope.detached());
                self.changed_t.get_or_insert(t);
            }
        }
    }

    /// Announces what was repaired.
    pub(super) async fn announce(&mut self) -> Result<(), VerifyError> {
        let (window, survivor) = (self.window, &self.group.survivor);
        let (Some(t), Some(event)) = (self.changed_t, &window.spec.event) else { return Ok(()) };
        let changed = std::mem::take(&mut self.changed);
        let events = window.announced(survivor, changed, |_| None).await?;
        let rendered =
            events.iter().map(|one| merge::event(event, (survivor, None), one, t)).collect();
        window.deliver(rendered).await?;
        self.intend(
            t,
            Slice {
                entries: Vec::new(),
                completion: Some(Completion { deletes: Vec::new(), events }),
            },
        )
        .await
    }
}
