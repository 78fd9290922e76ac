//! The core: rows of a slice become mutations and events. No async, no clock, no I/O.
//!
//! [`Join`] brings the rows of one key together, [`Slice`] and [`Enrolment`] fold them by the policies
//! into mutations, [`Findings`] remembers what they lead to, and [`event`] renders what has to be
//! announced.

mod announce;
mod batch;
mod findings;
mod fold;
mod join;
mod slice;

pub use announce::event;
pub use batch::cut;
pub use findings::{Announced, Findings};
pub use fold::{Effect, Fold};
pub use join::{Join, Matched, OutOfOrder};
pub use slice::{Enrolled, Enrolment, Slice, SliceContext};
