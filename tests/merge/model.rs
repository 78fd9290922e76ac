//! The seven steps of a merge, one row at a time, on plain maps: slow, sequential, and easy to hold
//! against the text of the specification. It shares no code with the crate.

use std::collections::{BTreeMap, BTreeSet};

/// Column → value; a column that is absent is null.
pub type Columns = BTreeMap<String, String>;

/// (userid, contentid, batchid, courseid) → columns.
pub type Content = BTreeMap<(String, String, String, String), Columns>;

/// (batchid, userid) → columns.
pub type Enrolments = BTreeMap<(String, String), Columns>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    pub content: Content,
    pub enrolments: Enrolments,
}

/// (survivor, batch) → courseid.
pub type Events = BTreeMap<(String, String), Option<String>>;

fn status(columns: &Columns) -> i32 {
    columns.get("status").map_or(i32::MIN, |status| status.parse().unwrap())
}

impl World {
    /// Merges `sources`, in order, into `to`; enrolments are found in the batches of the sources' content.
    pub fn merge(&mut self, to: &str, sources: &[String]) -> Events {
        self.merge_in(to, sources, BTreeSet::new())
    }

    /// As `merge`, but in every batch in which a source is enrolled as well.
    pub fn merge_by_scan(&mut self, to: &str, sources: &[String]) -> Events {
        let own = self.enrolments.keys().filter(|(_, user)| sources.contains(user));
        let batches = own.map(|(batch, _)| batch.clone()).collect();
        self.merge_in(to, sources, batches)
    }

    fn merge_in(&mut self, to: &str, sources: &[String], mut batches: BTreeSet<String>) -> Events {
        let mut changed = BTreeSet::new();
        for source in sources {
            let rows: Vec<_> =
                self.content.iter().filter(|(key, _)| key.0 == *source).map(own).collect();
            for ((_, content, batch, course), columns) in rows {
                batches.insert(batch.clone());
                let key = (to.to_owned(), content.clone(), batch.clone(), course.clone());
                match self.content.get_mut(&key) {
                    Some(target) => {
                        if status(&columns) > status(target) {
                            target.insert("status".into(), columns["status"].clone());
                            changed.insert(batch.clone());
                        }
                    }
                    None => {
                        self.content.insert(key, columns);
                        changed.insert(batch.clone());
                    }
                }
                self.content.remove(&(source.clone(), content, batch, course));
            }
        }
        for batch in &batches {
            for source in sources {
                let Some(columns) = self.enrolments.remove(&(batch.clone(), source.clone())) else {
                    continue;
                };
                let key = (batch.clone(), to.to_owned());
                if let std::collections::btree_map::Entry::Vacant(free) = self.enrolments.entry(key)
                {
                    free.insert(columns);
                    changed.insert(batch.clone());
                }
            }
        }
        self.events(to, changed)
    }

    pub fn events(&self, to: &str, changed: BTreeSet<String>) -> Events {
        let mut events = Events::new();
        for batch in changed {
            if let Some(columns) = self.enrolments.get(&(batch.clone(), to.to_owned())) {
                let smallest = self
                    .content
                    .keys()
                    .filter(|(user, _, of, _)| user == to && *of == batch)
                    .map(|(.., course)| course.clone())
                    .min();
                let course = columns.get("courseid").cloned().or(smallest);
                events.insert((to.to_owned(), batch), course);
            }
        }
        events
    }
}

fn own<K: Clone, V: Clone>((key, value): (&K, &V)) -> (K, V) {
    (key.clone(), value.clone())
}
