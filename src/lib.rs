//! placeholder, written last
pub mod account;
pub mod events;
pub mod latency;
pub mod moment;
pub mod plan;
pub mod report;
pub mod run;
pub mod secret;
