//! A specification with one column of each kind, and slices of it.
