//! placeholder, written last
pub mod account;
pub mod events;
pub mod latency;
pub mod plan;
pub mod secret;
