//! Which group an account is a source of: for a scan, which meets accounts in no order.

use hashbrown::HashTable;

use super::Plan;

/// The sources of a plan, found by their ids. It adds five to ten bytes per source to the plan.
pub struct Sources<'a> {
    plan: &'a Plan,
    /// Positions in the plan's order.
    table: HashTable<u32>,
}

impl Plan {
    /// The sources of all groups, to be found by their ids.
    pub fn sources(&self) -> Sources<'_> {
        let mut table = HashTable::with_capacity(self.order.len());
        let account = |position: u32| self.edges[self.order[position as usize] as usize].from;
        for position in 0..self.order.len() as u32 {
            let hash = |&position: &u32| self.accounts.hash(account(position));
            table.insert_unique(hash(&position), position, hash);
        }
        Sources { plan: self, table }
    }
}

impl Sources<'_> {
    /// The group that the account of a cell is a source of, if it is one.
    pub fn group_of(&self, cell: &[u8]) -> Option<u32> {
        let Plan { accounts, edges, order, starts, .. } = self.plan;
        let wanted = accounts.wanted(cell);
        let is_wanted =
            |&position: &u32| accounts.is(edges[order[position as usize] as usize].from, &wanted);
        let position = *self.table.find(wanted.hash, is_wanted)?;
        Some(starts.partition_point(|start| *start <= position) as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use crate::model::AccountType;
    use crate::pairs::{Format, read};
    use crate::plan::resolve;

    #[test]
    fn sources_of_any_type_are_found_by_their_cells() {
        for (accounts, csv) in [
            (AccountType::Int, "from,to\n01,2\n2,-3\n4,5\n"),
            (AccountType::BigInt, "from,to\n01,2\n2,-3\n4,5\n"),
            (AccountType::Varint, "from,to\n99999999999999999999,2\n2,-3\n4,5\n"),
        ] {
            let format = Format { accounts, ..Format::default() };
            let plan = resolve(read(csv.as_bytes(), &format).unwrap());
            let sources = plan.sources();
            assert_eq!((plan.len(), plan.stats().pairs), (2, 3));
            for group in plan.groups() {
                for source in group.sources() {
                    let found = sources.group_of(source.cell());
                    assert_eq!(found, Some(group.index as u32), "{source}");
                }
                assert_eq!(sources.group_of(group.survivor.cell()), None);
            }
            assert_eq!(sources.group_of(b"2"), None);
        }
        let uuid = |n: u32| format!("0123ABCD-4567-89EF-0123-{n:012X}");
        let csv: String = (0..500).map(|n| format!("{{{}}},{}\n", uuid(n), uuid(1_000))).collect();
        let format = Format { accounts: AccountType::Uuid, ..Format::default() };
        let plan = resolve(read(format!("from,to\n{csv}").as_bytes(), &format).unwrap());
        let sources = plan.sources();
        assert!(plan.group(0).sources().all(|id| sources.group_of(id.cell()) == Some(0)));
        assert_eq!(sources.group_of(uuid(7).to_lowercase().as_bytes()), None, "text is no cell");
        assert_eq!(sources.group_of(&[0; 16]), None);
    }

    #[test]
    fn every_source_is_found_and_nothing_else() {
        let uuid = |n: u32| format!("0123abcd-4567-89ef-0123-{n:012x}");
        let mut csv = "from,to\nself,self\na,b\nb,c\n\"x,\",c\n".to_owned();
        for n in 0..500 {
            csv += &format!("{},{}\nt{n},{}\n", uuid(n), uuid(1_000 + n % 7), uuid(n));
        }
        let plan = resolve(read(csv.as_bytes(), &Format::default()).unwrap());
        let sources = plan.sources();
        for group in plan.groups() {
            for source in group.sources() {
                assert_eq!(sources.group_of(source.cell()), Some(group.index as u32), "{source}");
            }
            assert_eq!(sources.group_of(group.survivor.cell()), None);
        }
        assert_eq!(plan.groups().map(|group| group.pairs.len()).sum::<usize>(), 1_003);
        let upper = uuid(11).to_uppercase();
        for other in ["", "self", "A", "x", &upper, &uuid(600)] {
            assert_eq!(sources.group_of(other.as_bytes()), None, "{other}");
        }
        assert_eq!(sources.group_of(b"\xff"), None);
    }
}
