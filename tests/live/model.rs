//! What a merge must leave behind: the job's seven steps, one after the other, on tables in memory.
//!
//! This is the reference that the tool is compared with. It shares no code with it and takes every
//! step in the plainest way: one group after the other, one source after the other, one row after
//! the other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The columns of a row that are not part of its key. A null column is absent; so is an empty map,
/// which is the same to Cassandra.
pub(crate) type Columns = BTreeMap<String, Value>;

/// `batchid, userid`
pub(crate) type EnrolmentKey = (String, String);

/// `userid, contentid, batchid, courseid`
pub(crate) type ContentKey = (String, String, String, String);

/// Both tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tables {
    pub(crate) user_courses: BTreeMap<EnrolmentKey, Columns>,
    pub(crate) content_consumption: BTreeMap<ContentKey, Columns>,
}

/// One record of the input after the header.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    Blank,
    /// Too few columns, or text that cannot be read.
    Malformed,
    Pair(String, String),
}

/// A survivor and its sources, in the order in which they are merged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) survivor: String,
    pub(crate) sources: Vec<String>,
}

/// What becomes of the input.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) groups: Vec<Group>,
    /// Reason by position in the input, from 0.
    pub(crate) rejected: BTreeMap<usize, &'static str>,
    pub(crate) blank: usize,
    pub(crate) duplicates: usize,
    pub(crate) pairs: usize,
}

/// Rows of one table: `source_rows = copied + merged + unchanged`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) source_rows: u64,
    pub(crate) copied: u64,
    pub(crate) merged: u64,
    pub(crate) unchanged: u64,
    pub(crate) deleted: u64,
}

/// Everything that a run must leave behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    pub(crate) tables: Tables,
    /// By survivor and batch; the payload without `ets` and `mid`.
    pub(crate) events: BTreeMap<(String, String), Value>,
    pub(crate) user_courses: Tally,
    pub(crate) content_consumption: Tally,
    /// Sources and survivors of which no row is found.
    pub(crate) absent_sources: u64,
    pub(crate) absent_survivors: u64,
}

/// Merges all pairs of the input; enrolments are found in the batches of the sources' content.
pub(crate) fn apply(lines: &[Line], tables: &Tables) -> Outcome {
    apply_to(lines, tables, &BTreeMap::new())
}

/// As [`apply`], but in every batch in which a source is enrolled as well.
pub(crate) fn apply_by_scan(lines: &[Line], tables: &Tables) -> Outcome {
    let mut enrolled = BTreeMap::<String, Vec<String>>::new();
    for (batch, user) in tables.user_courses.keys() {
        enrolled.entry(user.clone()).or_default().push(batch.clone());
    }
    apply_to(lines, tables, &enrolled)
}

fn apply_to(lines: &[Line], tables: &Tables, enrolled: &BTreeMap<String, Vec<String>>) -> Outcome {
    let plan = resolve(lines);
    let mut outcome = Outcome { tables: tables.clone(), ..Outcome::default() };
    for group in &plan.groups {
        merge(group, enrolled, &mut outcome);
    }
    outcome.plan = plan;
    outcome
}

/// Pairs become groups: the checks in their order, then the trees.
pub(crate) fn resolve(lines: &[Line]) -> Plan {
    let mut plan = Plan::default();
    let mut open: Vec<(usize, &str, &str)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        match line {
            Line::Blank => plan.blank += 1,
            Line::Malformed => _ = plan.rejected.insert(at, "malformed"),
            Line::Pair(from, to) if !is_valid_id(from) || !is_valid_id(to) => {
                plan.rejected.insert(at, "invalid-id");
            }
            Line::Pair(from, to) if from == to => _ = plan.rejected.insert(at, "self-pair"),
            Line::Pair(from, to) => open.push((at, from, to)),
        }
    }

    let mut targets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, from, to) in &open {
        targets.entry(from).or_default().insert(to);
    }
    for (at, from, _) in &open {
        if targets[from].len() > 1 {
            plan.rejected.insert(*at, "ambiguous");
        }
    }
    open.retain(|(at, ..)| !plan.rejected.contains_key(at));

    let target: BTreeMap<&str, &str> = open.iter().map(|(_, from, to)| (*from, *to)).collect();
    for (at, from, _) in &open {
        if is_on_cycle(from, &target) {
            plan.rejected.insert(*at, "cycle");
        }
    }
    open.retain(|(at, ..)| !plan.rejected.contains_key(at));

    // What is left is a forest. The children of an account, by the line of their first appearance.
    let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut sources: BTreeSet<&str> = BTreeSet::new();
    for (_, from, to) in &open {
        if sources.insert(from) {
            children.entry(to).or_default().push(from);
            plan.pairs += 1;
        } else {
            plan.duplicates += 1;
        }
    }
    for survivor in children.keys().filter(|account| !sources.contains(**account)) {
        let mut ordered = Vec::new();
        descend(survivor, &children, &mut ordered);
        plan.groups.push(Group { survivor: (*survivor).to_owned(), sources: ordered });
    }
    plan
}

fn is_valid_id(id: &str) -> bool {
    let is_seen = |c: char| !c.is_control() && !('\u{200b}'..='\u{200f}').contains(&c);
    !id.is_empty() && id.len() <= 1_024 && id.trim() == id && id.chars().all(is_seen)
}

fn is_on_cycle(start: &str, target: &BTreeMap<&str, &str>) -> bool {
    let mut seen = BTreeSet::new();
    let mut account = start;
    while let Some(next) = target.get(account) {
        if *next == start {
            return true;
        }
        if !seen.insert(*next) {
            return false; // leads into a cycle, but is not on it
        }
        account = next;
    }
    false
}

/// Depth first: an account before the accounts that were merged into it.
fn descend(account: &str, children: &BTreeMap<&str, Vec<&str>>, ordered: &mut Vec<String>) {
    for child in children.get(account).into_iter().flatten() {
        ordered.push((*child).to_owned());
        descend(child, children, ordered);
    }
}

/// The seven steps for one group; `enrolled` are batches by source that are looked at in any case.
fn merge(group: &Group, enrolled: &BTreeMap<String, Vec<String>>, outcome: &mut Outcome) {
    let to = &group.survivor;
    let mut changed: BTreeSet<String> = BTreeSet::new(); // batches in which a row of `to` changed
    let mut seen: BTreeSet<String> = BTreeSet::new(); // batches of all rows of step 1
    let mut absent: BTreeSet<&String> = group.sources.iter().collect();
    let mut to_is_absent = content_of(to, &outcome.tables).is_empty();

    for source in &group.sources {
        for (key, columns) in content_of(source, &outcome.tables) {
            let (_, content, batch, course) = key.clone();
            absent.remove(source);
            seen.insert(batch.clone());
            let tally = &mut outcome.content_consumption;
            tally.source_rows += 1;
            let new_key = (to.clone(), content, batch.clone(), course);
            match outcome.tables.content_consumption.get_mut(&new_key) {
                None => {
                    outcome.tables.content_consumption.insert(new_key, columns);
                    tally.copied += 1;
                    changed.insert(batch);
                }
                Some(row) if is_higher(columns.get("status"), row.get("status")) => {
                    row.insert("status".to_owned(), columns["status"].clone());
                    tally.merged += 1;
                    changed.insert(batch);
                }
                Some(_) => tally.unchanged += 1,
            }
            outcome.tables.content_consumption.remove(&key);
            outcome.content_consumption.deleted += 1;
        }
    }

    seen.extend(group.sources.iter().filter_map(|source| enrolled.get(source)).flatten().cloned());
    for batch in &seen {
        let to_key = (batch.clone(), to.clone());
        to_is_absent &= !outcome.tables.user_courses.contains_key(&to_key);
        for source in &group.sources {
            let Some(columns) =
                outcome.tables.user_courses.remove(&(batch.clone(), source.clone()))
            else {
                continue;
            };
            absent.remove(source);
            let tally = &mut outcome.user_courses;
            tally.source_rows += 1;
            tally.deleted += 1;
            if outcome.tables.user_courses.contains_key(&to_key) {
                tally.unchanged += 1;
            } else {
                outcome.tables.user_courses.insert(to_key.clone(), columns);
                tally.copied += 1;
                changed.insert(batch.clone());
            }
        }
    }

    for batch in changed {
        if let Some(enrolment) = outcome.tables.user_courses.get(&(batch.clone(), to.clone())) {
            let course = match enrolment.get("courseid") {
                Some(course) => course.clone(),
                None => smallest_course(to, &batch, &outcome.tables),
            };
            let event = event(to, &batch, &course);
            outcome.events.insert((to.clone(), batch), event);
        }
    }
    outcome.absent_sources += absent.len() as u64;
    outcome.absent_survivors += u64::from(to_is_absent);
}

fn content_of(account: &str, tables: &Tables) -> Vec<(ContentKey, Columns)> {
    let first = (account.to_owned(), String::new(), String::new(), String::new());
    tables
        .content_consumption
        .range(first..)
        .take_while(|(key, _)| key.0 == account)
        .map(|(key, columns)| (key.clone(), columns.clone()))
        .collect()
}

/// Null counts as lowest.
fn is_higher(status: Option<&Value>, than: Option<&Value>) -> bool {
    match (status, than) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(status), Some(than)) => status.as_i64() > than.as_i64(),
    }
}

pub(crate) fn smallest_course(account: &str, batch: &str, tables: &Tables) -> Value {
    let rows = content_of(account, tables);
    rows.into_iter().filter(|(key, _)| key.2 == batch).map(|(key, _)| key.3).min().into()
}

pub(crate) fn event(to: &str, batch: &str, course: &Value) -> Value {
    json!({
        "actor": {"id": "Course Batch Updater", "type": "System"},
        "eid": "BE_JOB_REQUEST",
        "edata": {
            "action": "batch-enrolment-sync",
            "iteration": 1,
            "batchId": batch,
            "userId": to,
            "courseId": course,
            "reset": ["completionPercentage", "status", "progress"],
        },
        "context": {"pdata": {"ver": "1.0", "id": "org.sunbird.platform"}},
        "object": {"id": format!("{batch}_{to}"), "type": "CourseBatchEnrolment"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<Line> {
        list.iter().map(|(from, to)| Line::Pair((*from).into(), (*to).into())).collect()
    }

    fn groups(list: &[(&str, &str)]) -> Vec<(String, String)> {
        resolve(&pairs(list))
            .groups
            .into_iter()
            .map(|group| (group.survivor, group.sources.join(" ")))
            .collect()
    }

    fn group(survivor: &str, sources: &str) -> (String, String) {
        (survivor.into(), sources.into())
    }

    fn rejected(list: &[(&str, &str)]) -> Vec<(usize, &'static str)> {
        resolve(&pairs(list)).rejected.into_iter().collect()
    }

    #[test]
    fn a_chain_is_ordered_from_the_survivor_outwards() {
        assert_eq!(groups(&[("A", "B"), ("B", "C")]), [group("C", "B A")]);
    }

    #[test]
    fn siblings_follow_their_first_line_and_their_own_sources_follow_them() {
        let tree = [("x", "r"), ("p", "r"), ("p2", "p"), ("x1", "x"), ("p1", "p"), ("x", "r")];
        assert_eq!(groups(&tree), [group("r", "x x1 p p2 p1")]);
        assert_eq!(resolve(&pairs(&tree)).duplicates, 1);
    }

    #[test]
    fn self_pairs_do_not_make_an_account_ambiguous() {
        assert_eq!(rejected(&[("a", "a"), ("a", "b")]), [(0, "self-pair")]);
        assert_eq!(groups(&[("a", "a"), ("a", "b")]), [group("b", "a")]);
    }

    #[test]
    fn every_line_of_an_ambiguous_account_is_rejected_and_what_leads_to_it_stays() {
        let input = [("a", "b"), ("x", "a"), ("a", "c"), ("a", "b")];
        assert_eq!(rejected(&input), [(0, "ambiguous"), (2, "ambiguous"), (3, "ambiguous")]);
        assert_eq!(groups(&input), [group("a", "x")]);
    }

    #[test]
    fn a_cycle_is_rejected_and_what_leads_into_it_stays() {
        let input = [("in", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("a", "b")];
        assert_eq!(rejected(&input), [(1, "cycle"), (2, "cycle"), (3, "cycle"), (4, "cycle")]);
        assert_eq!(groups(&input), [group("a", "in")]);
    }

    #[test]
    fn an_ambiguous_account_breaks_the_cycle_it_would_be_on() {
        let input = [("a", "b"), ("b", "a"), ("b", "c")];
        assert_eq!(rejected(&input), [(1, "ambiguous"), (2, "ambiguous")]);
        assert_eq!(groups(&input), [group("b", "a")]);
    }

    #[test]
    fn unusable_ids_are_rejected() {
        let long = "x".repeat(1_025);
        let input = [
            ("", "b"),
            ("a", " b"),
            ("a\t", "b"),
            (&long, "b"),
            ("a\u{200b}", "b"),
            ("a", "b\u{1}c"),
            ("a", &long[1..]),
        ];
        let expected: Vec<_> = (0..6).map(|at| (at, "invalid-id")).collect();
        assert_eq!(rejected(&input), expected);
    }

    fn columns(list: &[(&str, Value)]) -> Columns {
        list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn content(user: &str, content: &str, batch: &str, course: &str) -> ContentKey {
        (user.into(), content.into(), batch.into(), course.into())
    }

    #[test]
    fn a_group_of_two_sources_worked_out_by_hand() {
        let mut before = Tables::default();
        let mut add = |key: ContentKey, list: &[(&str, Value)]| {
            before.content_consumption.insert(key, columns(list));
        };
        add(content("to", "c1", "b1", "k1"), &[("status", json!(1)), ("grade", json!("to"))]);
        add(content("to", "c3", "b3", "k3"), &[]);
        add(content("B", "c1", "b1", "k1"), &[("status", json!(2)), ("grade", json!("B"))]);
        add(content("B", "c2", "b2", "k9"), &[("grade", json!("B"))]);
        add(content("A", "c1", "b1", "k1"), &[("status", json!(2))]);
        add(content("A", "c2", "b2", "k9"), &[("status", json!(0)), ("grade", json!("A"))]);
        add(content("A", "c5", "b2", "k2"), &[]);
        let mut add = |batch: &str, user: &str, list: &[(&str, Value)]| {
            before.user_courses.insert((batch.into(), user.into()), columns(list));
        };
        add("b1", "to", &[("courseid", json!("own")), ("progress", json!(1))]);
        add("b1", "A", &[("courseid", json!("k1")), ("progress", json!(9))]);
        add("b2", "A", &[("progress", json!(7))]);
        add("b4", "A", &[("progress", json!(4))]); // no content of A is in b4: stays

        let lines = pairs(&[("A", "B"), ("B", "to"), ("nobody", "to")]);
        let outcome = apply(&lines, &before);

        let expected_content = BTreeMap::from([
            (
                content("to", "c1", "b1", "k1"),
                columns(&[("status", json!(2)), ("grade", json!("to"))]),
            ),
            (
                content("to", "c2", "b2", "k9"),
                columns(&[("status", json!(0)), ("grade", json!("B"))]),
            ),
            (content("to", "c3", "b3", "k3"), columns(&[])),
            (content("to", "c5", "b2", "k2"), columns(&[])),
        ]);
        assert_eq!(outcome.tables.content_consumption, expected_content);
        let expected_courses = BTreeMap::from([
            (
                ("b1".into(), "to".into()),
                columns(&[("courseid", json!("own")), ("progress", json!(1))]),
            ),
            (("b2".into(), "to".into()), columns(&[("progress", json!(7))])),
            (("b4".into(), "A".into()), columns(&[("progress", json!(4))])),
        ]);
        assert_eq!(outcome.tables.user_courses, expected_courses);

        let courses: Vec<_> = outcome
            .events
            .iter()
            .map(|((to, batch), event)| (&**to, &**batch, event["edata"]["courseId"].as_str()))
            .collect();
        assert_eq!(courses, [("to", "b1", Some("own")), ("to", "b2", Some("k2"))]);
        assert_eq!(outcome.events[&("to".into(), "b1".into())]["object"]["id"], "b1_to");

        let content = outcome.content_consumption;
        assert_eq!((content.source_rows, content.copied), (5, 2));
        assert_eq!((content.merged, content.unchanged, content.deleted), (2, 1, 5));
        let courses = outcome.user_courses;
        assert_eq!((courses.source_rows, courses.copied, courses.unchanged), (2, 1, 1));
        assert_eq!((outcome.absent_sources, outcome.absent_survivors), (1, 0));
    }

    #[test]
    fn no_event_where_nothing_changed_or_nobody_is_enrolled() {
        let mut before = Tables::default();
        for user in ["from", "to"] {
            let status = columns(&[("status", json!(2))]);
            before.content_consumption.insert(content(user, "c", "same", "k"), status);
            before.user_courses.insert(("same".into(), user.into()), columns(&[]));
        }
        before.content_consumption.insert(content("from", "c", "alone", "k"), columns(&[]));
        let outcome = apply(&pairs(&[("from", "to")]), &before);
        assert_eq!(outcome.events, BTreeMap::new());
        assert_eq!(outcome.tables.content_consumption.len(), 2);
        assert_eq!(outcome.tables.user_courses.len(), 1);
    }
}
