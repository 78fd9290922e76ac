//! A run while it goes on: what its operators see of it, and what they may ask of it.
//!
//! The run posts to a [`Status`] and knows nothing of who looks. Once a second a [`Ticker`] reads the status
//! and the counters and renders what is shown as one frame: a JSON text and a text for Prometheus. Whoever asks
//! gets the latest frame, so that neither many who look nor slow ones cost the run anything: [`Server`] hands it to
//! browsers and scrapers (`--listen`), [`Socket`] to `tributary control`. The way back is narrow: an [`Order`], carried
//! out by [`Control`] on the pace and on the switch that Ctrl-C uses too.
//!
//! Deliberately absent: a way to anything else of the run, waiting for a client, and a cache in the browser.
//!
//! May use `model`, `moment`, `secret`, `latency` and `pace`; may be used by `cli`.

mod control;
mod figures;
mod guard;
mod listen;
mod metrics;
mod page;
mod rate;
mod server;
mod socket;
mod status;
mod ticker;
mod under_way;

pub(crate) use control::{Control, Order};
pub(crate) use figures::{Ended, Phase, ReadFigures};
pub(crate) use listen::Listen;
pub(crate) use rate::Rate;
pub(crate) use server::Server;
pub(crate) use socket::{Reply, Socket, SocketError, ask};
pub(crate) use status::{Counters, Nodes, ScanCounters, Status};
pub(crate) use ticker::{Frame, Ticker};
#[cfg(test)]
pub(crate) use under_way::EXAMPLE;
pub(crate) use under_way::UnderWay;
