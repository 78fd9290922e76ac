//! What of a plan falls to one of several processes.

use fixedbitset::FixedBitSet;
use sha2::{Digest, Sha256};

use super::{Plan, resolve};
use crate::model::Part;
use crate::pairs::Rejects;

/// The digits of a plan's name: enough that no two plans have the same one.
const DIGITS: usize = 16;

impl Plan {
    /// What the parts of this plan have in common, if they merge it by a specification with this SHA-256: another list,
    /// read in another way, or other rules, and it is another plan.
    pub(crate) fn name_of_parts(&self, spec_sha256: &str) -> String {
        let hash = Sha256::digest(format!("{} {spec_sha256}", self.sha256()));
        format!("{hash:x}")[..DIGITS].to_owned()
    }

    /// The groups of a part. Each line is told by one part: that of a pair by the part that has its group; what is blank,
    /// repeated or rejected, and what is odd about the list, by the first. So what the parts count adds up to what a
    /// single run counts.
    pub(crate) fn of_part(mut self, part: Part) -> Self {
        let mut is_own = FixedBitSet::with_capacity(self.edges.len());
        for group in 0..self.len() {
            let (root, members) = self.members(group);
            if part.holds(&self.accounts.id(root)) {
                is_own.extend(members.iter().map(|member| *member as usize));
            }
        }
        let all = self.edges.len();
        resolve::keep(&mut self.edges, &mut self.lines, |index, _, _| is_own.contains(index));
        let others = match part.is_first() {
            true => (all - self.edges.len()) as u64,
            false => {
                self.rejects = Rejects::default();
                self.stats.findings.clear();
                (self.stats.blank, self.stats.duplicates) = (0, 0);
                self.stats.lines - self.edges.len() as u64
            }
        };
        self.stats.other_parts = others;
        self.regrouped()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::model::Part;
    use crate::pairs::{Format, Rule, read};
    use crate::plan::{Plan, Refusal, resolve};

    const CSV: &str = "from,to\na,b\nb,c\n\na,b\nd,e\nself,self\nf,g\nh,i\nx,y\nx,z\nj,k\nl,k\n";

    fn plan(csv: &str) -> Plan {
        resolve(read(csv.as_bytes(), &Format::default()).unwrap())
    }

    fn groups(plan: &Plan) -> BTreeMap<String, Vec<u64>> {
        let group = |group: crate::model::Group| {
            (group.survivor.to_string(), group.pairs.iter().map(|pair| pair.line).collect())
        };
        plan.groups().map(group).collect()
    }

    fn parts(of: u32) -> impl Iterator<Item = Part> {
        format!("1/{of}").parse::<Part>().unwrap().all()
    }

    #[test]
    fn parts_make_up_the_plan_and_each_line_is_told_once() {
        let whole = plan(CSV);
        for of in 1..8 {
            let (mut all, mut told) = (BTreeMap::new(), [0; 5]);
            for part in parts(of) {
                let own = plan(CSV).of_part(part);
                let stats = own.stats();
                assert!(stats.adds_up(), "{part}: {stats:?}");
                assert_eq!(stats.lines, whole.stats().lines);
                let counts = [
                    stats.blank,
                    stats.rejected_lines(),
                    stats.duplicates,
                    stats.pairs,
                    stats.groups,
                ];
                told.iter_mut().zip(counts).for_each(|(told, count)| *told += count);
                assert!(part.is_first() || own.rejects().is_empty());
                all.extend(groups(&own));
            }
            assert_eq!(all, groups(&whole), "{of}");
            assert_eq!(told, [1, 3, 1, 7, 5], "{of}");
        }
    }

    /// Where the lines stand does not matter, nor what else is in the list.
    #[test]
    fn a_group_stays_with_its_part() {
        let part_of = |csv: &str, survivor: &str| {
            parts(5).find(|part| groups(&plan(csv).of_part(*part)).contains_key(survivor))
        };
        let turned = "from,to\nl,k\nj,k\nq,r\nb,c\na,b\n";
        for survivor in ["c", "k"] {
            assert_eq!(part_of(CSV, survivor), part_of(turned, survivor), "{survivor}");
        }
    }

    /// What other runs stand in the way of leaves the rest of the group where it was, whoever survives there.
    #[test]
    fn what_is_left_of_a_group_stays_with_its_part() {
        let refusal = Refusal { line: 3, rule: Rule::Busy, words: String::new() };
        let part = parts(3).find(|part| groups(&plan(CSV).of_part(*part)).contains_key("c"));
        let left = plan(CSV).of_part(part.unwrap()).without(&[refusal]);
        assert_eq!(groups(&left)["b"], [2]);
        assert!(left.stats().adds_up() && left.stats().other_parts > 0);
    }

    #[test]
    fn parts_of_another_plan_have_another_name() {
        let name = |csv, spec| plan(csv).name_of_parts(spec);
        assert_eq!(name(CSV, "s"), name(CSV, "s"));
        assert_ne!(name(CSV, "s"), name(CSV, "t"));
        assert_ne!(name(CSV, "s"), name("from,to\na,b\n", "s"));
    }
}
