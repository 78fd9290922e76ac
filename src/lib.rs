//! placeholder, written last
pub mod account;
pub mod latency;
pub mod plan;
