//! What a scan has found, compactly: there may be tens of millions of clustered rows, so each is two numbers.

use std::collections::BTreeSet;

use bytes::{Buf, Bytes};

use crate::model::{Scope, TableIndex};

/// In which scopes the sources of which groups own rows.
#[derive(Debug, Default)]
pub(super) struct Discovered {
    /// By table of the specification; nothing where nothing was scanned.
    tables: Vec<Found>,
}

/// What was found in one table.
#[derive(Debug, Default)]
struct Found {
    /// The values of the scopes, each behind its length, one behind the other.
    keys: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// Groups, each with the number of a scope; sorted once all are there.
    owners: Vec<(u32, u32)>,
}

impl Discovered {
    /// Nothing yet, in so many tables.
    pub(super) fn new(tables: usize) -> Self {
        Self { tables: (0..tables).map(|_| Found::default()).collect() }
    }

    /// Adds a scope and the groups that own rows in it. It may come several times, with others.
    pub(super) fn add(&mut self, table: TableIndex, scope: &Scope, groups: &[u32]) {
        let found = &mut self.tables[table];
        let number = found.ends.len() as u32;
        for value in scope.values() {
            found.keys.extend_from_slice(&(value.len() as u32).to_be_bytes());
            found.keys.extend_from_slice(value);
        }
        found.ends.push(found.keys.len());
        found.owners.extend(groups.iter().map(|group| (*group, number)));
    }

    /// All that will be added is there.
    pub(super) fn finish(mut self) -> Self {
        for found in &mut self.tables {
            found.owners.sort_unstable();
            found.owners.shrink_to_fit();
        }
        self
    }

    /// The scopes in which sources of a group own rows.
    pub(super) fn scopes(
        &self,
        table: TableIndex,
        group: usize,
    ) -> impl Iterator<Item = Scope> + '_ {
        let found = self.tables.get(table).into_iter();
        found.flat_map(move |found| {
            let first = found.owners.partition_point(|(of, _)| (*of as usize) < group);
            let own = found.owners[first..].iter().take_while(move |(of, _)| *of as usize == group);
            own.map(|(_, scope)| found.scope(*scope as usize))
        })
    }

    /// The groups of which anything was found.
    pub(super) fn groups(&self) -> BTreeSet<usize> {
        let owners = self.tables.iter().flat_map(|found| &found.owners);
        owners.map(|(group, _)| *group as usize).collect()
    }
}

impl Found {
    fn scope(&self, number: usize) -> Scope {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let mut rest = Bytes::copy_from_slice(&self.keys[start..self.ends[number]]);
        let mut values = Vec::new();
        while let Ok(length) = rest.try_get_u32() {
            values.push(rest.split_to(rest.len().min(length as usize)));
        }
        Scope::new(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_has_its_own_scopes() {
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let scope = |value: &'static str| Scope::from(text(value));
        let mut found = Discovered::new(3);
        found.add(1, &scope("b1"), &[0, 7]);
        found.add(1, &scope(""), &[7]);
        found.add(2, &Scope::new([text("a"), text("bc")]), &[3]);
        found.add(1, &scope("b2"), &[1, 7]);
        let found = found.finish();
        let of = |table, group| found.scopes(table, group).collect::<Vec<_>>();
        assert_eq!(of(1, 0), ["b1"].map(scope));
        assert_eq!(of(1, 1), ["b2"].map(scope));
        assert_eq!(of(1, 7), ["b1", "", "b2"].map(scope));
        assert_eq!(of(2, 3), [Scope::new([text("a"), text("bc")])]);
        assert!(of(0, 0).is_empty() && of(1, 2).is_empty() && of(2, 7).is_empty());
        assert_eq!(found.groups(), [0, 1, 3, 7].into());
        assert!(Discovered::default().scopes(1, 0).next().is_none());
    }
}
