//! Mutations of one partition become batches, cut by bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{Batch, Change, Mutation, TableIndex};
use crate::spec::Spec;

/// The bytes of values that a batch holds at most, unless one mutation (or an inseparable few) is larger
/// by itself. A single-partition batch has no limit of its own in Cassandra
/// (`batch_size_fail_threshold` looks at batches of several partitions), but it has to stay well below
/// a commit log segment, and a coordinator works better with pieces. Each mutation counts
/// at least 48 bytes, so the protocol's limit of 65,535 statements is never reached.
pub const BATCH_BYTES: usize = 64 * 1024;

/// Puts mutations into batches, those of a partition together; each batch is a sequence of its own. A list stays with the
/// mutation that it follows, which is that of the rest of its row.
pub(crate) fn by_partition(
    spec: &Spec,
    mutations: impl IntoIterator<Item = Mutation>,
) -> Vec<Vec<Batch>> {
    let mut partitions: BTreeMap<(TableIndex, Vec<Bytes>), Vec<Vec<Mutation>>> = BTreeMap::new();
    for mutation in mutations {
        let columns = spec.tables[mutation.table].partition_len;
        let key = mutation.change.partition_key(columns).unwrap_or_default();
        let units = partitions.entry((mutation.table, key)).or_default();
        match (&mutation.change, units.last_mut()) {
            (Change::SetList { .. }, Some(unit)) => unit.push(mutation),
            _ => units.push(vec![mutation]),
        }
    }
    let batches = partitions.into_values().flat_map(cut_units);
    batches.map(|batch| vec![batch]).collect()
}

/// Cuts units of mutations of one partition into batches, in order. Those of a unit stay together: a row must not be
/// deleted before its own copy is acknowledged.
pub(super) fn cut_units(units: impl IntoIterator<Item = Vec<Mutation>>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut size_bytes = 0;
    for unit in units {
        let Some(table) = unit.first().map(|mutation| mutation.table) else { continue };
        let more_bytes = unit.iter().map(Mutation::size_bytes).sum::<usize>();
        match batches.last_mut() {
            Some(batch) if size_bytes + more_bytes <= BATCH_BYTES => {
                size_bytes += more_bytes;
                batch.mutations.extend(unit);
            }
            _ => {
                size_bytes = more_bytes;
                batches.push(Batch { table, mutations: unit });
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Row;

    fn insert(bytes: usize) -> Mutation {
        let row = Row::new(vec![Some(Bytes::from(vec![0; bytes]))]);
        Mutation { table: 0, t: 1, change: Change::Insert { row } }
    }

    #[track_caller]
    fn check_cut(units: &[&[usize]], expected: &[usize]) {
        let units = units.iter().map(|unit| unit.iter().map(|bytes| insert(*bytes)).collect());
        let batches = cut_units(units);
        let lengths: Vec<usize> = batches.iter().map(|batch| batch.mutations.len()).collect();
        assert_eq!(lengths, expected);
    }

    #[test]
    fn batches_are_cut_by_bytes() {
        check_cut(&[], &[]);
        check_cut(&[&[10], &[10], &[10]], &[3]);
        check_cut(&[&[40_000], &[40_000], &[10]], &[1, 2]);
        check_cut(&[&[1_000_000], &[10], &[1_000_000]], &[1, 1, 1]);
    }

    #[test]
    fn a_copy_and_its_delete_stay_together() {
        check_cut(&[&[1_000_000, 10], &[10]], &[2, 1]);
        check_cut(&[&[60_000, 60_000], &[60_000]], &[2, 1]);
        check_cut(&[&[10, 10], &[60_000, 10_000], &[10]], &[2, 2, 1]);
    }
}
