//! What a scan has found, compactly: there may be tens of millions of enrolments, so each is two numbers.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::account::TableIndex;

/// In which partitions the sources of which groups own rows.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    /// By table of the specification; nothing where nothing was scanned.
    tables: Vec<Found>,
}

/// What was found in one table.
#[derive(Debug, Default)]
struct Found {
    /// The keys of the partitions, one behind the other.
    keys: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// Groups, each with the number of a partition; sorted once all are there.
    places: Vec<(u32, u32)>,
}

impl Discovered {
    /// Nothing yet, in so many tables.
    pub(super) fn new(tables: usize) -> Self {
        Self { tables: (0..tables).map(|_| Found::default()).collect() }
    }

    /// Adds a partition and the groups that own rows in it. A partition is in one range only, so it comes once.
    pub(super) fn add(&mut self, table: TableIndex, partition: &[u8], groups: &[u32]) {
        let found = &mut self.tables[table];
        let number = found.ends.len() as u32;
        found.keys.extend_from_slice(partition);
        found.ends.push(found.keys.len());
        found.places.extend(groups.iter().map(|group| (*group, number)));
    }

    /// All that will be added is there.
    pub(super) fn finish(mut self) -> Self {
        for found in &mut self.tables {
            found.places.sort_unstable();
            found.places.shrink_to_fit();
        }
        self
    }

    /// The partitions in which sources of a group own rows.
    pub(super) fn partitions(
        &self,
        table: TableIndex,
        group: usize,
    ) -> impl Iterator<Item = Bytes> + '_ {
        let found = self.tables.get(table).into_iter();
        found.flat_map(move |found| {
            let first = found.places.partition_point(|(of, _)| (*of as usize) < group);
            let own = found.places[first..].iter().take_while(move |(of, _)| *of as usize == group);
            own.map(|(_, partition)| found.key(*partition as usize))
        })
    }

    /// The groups of which anything was found.
    pub(super) fn groups(&self) -> BTreeSet<usize> {
        let places = self.tables.iter().flat_map(|found| &found.places);
        places.map(|(group, _)| *group as usize).collect()
    }
}

impl Found {
    fn key(&self, partition: usize) -> Bytes {
        let start = partition.checked_sub(1).map_or(0, |before| self.ends[before]);
        Bytes::copy_from_slice(&self.keys[start..self.ends[partition]])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_its_own_partitions() {
        let mut found = Discovered::new(3);
        found.add(1, b"b1", &[0, 7]);
        found.add(1, b"", &[7]);
        found.add(2, b"b1", &[3]);
        found.add(1, b"b2", &[1, 7]);
        let found = found.finish();
        let of = |table, group| found.partitions(table, group).collect::<Vec<_>>();
        assert_eq!(of(1, 0), ["b1"]);
        assert_eq!(of(1, 1), ["b2"]);
        assert_eq!(of(1, 7), ["b1", "", "b2"]);
        assert_eq!(of(2, 3), ["b1"]);
        assert!(of(0, 0).is_empty() && of(1, 2).is_empty() && of(2, 7).is_empty());
        assert_eq!(found.groups(), [0, 1, 3, 7].into());
        assert!(Discovered::default().partitions(1, 0).next().is_none());
    }
}
