//! placeholder, written last
pub mod account;
pub mod cluster;
pub mod events;
pub mod latency;
pub mod merge;
pub mod pace;
pub mod pipeline;
pub mod pairs;
pub mod plan;
pub mod spec;
pub mod storage;
