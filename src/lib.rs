//! placeholder, written last
pub mod account;
