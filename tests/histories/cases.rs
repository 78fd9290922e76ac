//! Short histories that were found by reasoning, each of one kind.
