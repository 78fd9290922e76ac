//! placeholder, written last
pub mod account;
pub mod plan;
