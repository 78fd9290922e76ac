//! Which group an account is a source of: for a scan, which meets accounts in no order.

use hashbrown::HashTable;

use super::Plan;
use crate::pairs::Wanted;

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
    /// The group that an account is a source of, if it is one.
    pub fn group_of(&self, id: &[u8]) -> Option<u32> {
        let Plan { accounts, edges, order, starts, .. } = self.plan;
        let wanted = Wanted::new(id);
        let is_wanted =
            |&position: &u32| accounts.is(edges[order[position as usize] as usize].from, &wanted);
        let position = *self.table.find(wanted.hash, is_wanted)?;
        Some(starts.partition_point(|start| *start <= position) as u32 - 1)
    }
}

#[cfg(test)]
mod tests {
    use crate::pairs::{Format, read};
    use crate::plan::resolve;

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
