//! placeholder, written last
pub mod account;
pub mod cluster;
pub mod merge;
pub mod plan;
pub mod spec;
pub mod storage;
