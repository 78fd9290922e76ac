//! Pairs become groups.

mod stats;

pub use stats::PlanStats;
