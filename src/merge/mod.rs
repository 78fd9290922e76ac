//! The core: rows of a group become before-images, mutations and events. No async, no clock, no I/O.
//!
//! [`Join`] brings the rows of one key together, [`Fold`] folds them by the policies into an [`Entry`],
//! [`Findings`] remembers what they lead to, a [`Slice`] is what is journaled and written together,
//! and [`event`] renders what has to be announced.
//!
//! May use `model` and `spec`; may be used by `journal`, `history`, `pipeline`, `verify` and `undo`.

mod announce;
mod batch;
mod entry;
mod findings;
mod fold;
mod join;
mod slice;
mod standing;
mod sweep_writes;
mod swept;
mod undated;

pub use announce::event;
pub use batch::BATCH_BYTES;
pub(crate) use batch::by_partition;
pub use entry::{Entry, Set, Write};
pub use findings::{Announced, Findings};
pub use fold::Fold;
pub use join::Join;
pub(crate) use join::{Matched, OutOfOrder};
pub use slice::{Completion, Draft, PartitionDelete, Slice};
pub use standing::up_to;
pub(crate) use sweep_writes::in_batches;
pub use swept::Swept;
pub(crate) use swept::{Horizon, SweepDecision, SweepSlice, SweptCell};
