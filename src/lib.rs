//! placeholder, written last
pub mod account;
pub mod pairs;
pub mod plan;
