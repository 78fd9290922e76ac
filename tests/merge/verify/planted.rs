//! Verify finds what was planted and nothing else, says rightly what it is, and repairs it.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use tempfile::TempDir;
use tributary::model::{Change, now_us};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::Options;

use super::super::model::World;
use super::super::preset::spec;
use super::super::sweep;
use super::super::world::{CONTENT, ENROLMENTS, dump, to_row, world_and_group};
use super::{Line, announced, diff, lines, merged, repair, verified};

/// A row of the survivor at a key that a source had.
#[derive(Clone, Debug)]
struct SurvivorRow {
    table: usize,
    key: Vec<Bytes>,
    shown: String,
    /// The enrolment that belongs to it.
    batch: String,
    is_copy: bool,
    status: Option<i32>,
    grade: Option<String>,
}

/// Every key that a source had, as the merge has left it.
fn targets(world: &World, after: &World, to: &str, sources: &[String]) -> Vec<SurvivorRow> {
    let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
    let account = Bytes::copy_from_slice(to.as_bytes());
    let ours: Vec<_> = world.content.keys().filter(|key| sources.contains(&key.0)).collect();
    let keys: BTreeSet<_> = ours.iter().map(|key| (&key.1, &key.2, &key.3)).collect();
    let content = keys.into_iter().map(|(content, batch, course)| {
        let key = (to.to_owned(), content.clone(), batch.clone(), course.clone());
        let row = &after.content[&key];
        let shown =
            serde_json::json!({ "contentid": content, "batchid": batch, "courseid": course });
        SurvivorRow {
            table: CONTENT,
            key: vec![account.clone(), bytes(content), bytes(batch), bytes(course)],
            shown: shown.to_string(),
            batch: batch.clone(),
            is_copy: !world.content.contains_key(&key),
            status: row.get("status").map(|status| status.parse().unwrap()),
            grade: row.get("grade").cloned(),
        }
    });
    let batches: BTreeSet<&String> = ours.iter().map(|key| &key.2).collect();
    let batches = batches.into_iter().filter(|batch| {
        sources.iter().any(|s| world.enrolments.contains_key(&((*batch).clone(), s.clone())))
    });
    let enrolments = batches.map(|batch| {
        let key = (batch.clone(), to.to_owned());
        SurvivorRow {
            table: ENROLMENTS,
            key: vec![bytes(batch), account.clone()],
            shown: serde_json::json!({ "batchid": batch }).to_string(),
            batch: batch.clone(),
            is_copy: !world.enrolments.contains_key(&key),
            // The policy is that of content only.
            status: None,
            grade: after.enrolments[&key].get("grade").cloned(),
        }
    });
    content.chain(enrolments).collect()
}

/// What is planted at a row: first what was lost, of which nothing tells; then what somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Planted {
    LostRow,
    LostStatus,
    /// What it was before can be seen again.
    OlderStatus,
    LostGrade,
    DeletedRow,
    LowerStatus,
    DeletedStatus,
    HigherStatus,
    DeletedGrade,
    OtherGrade,
    /// Of the same time as the run's, and greater.
    OtherGradeThen,
}

fn planted() -> impl Strategy<Value = Planted> {
    prop::sample::select(vec![
        Planted::LostRow,
        Planted::LostStatus,
        Planted::OlderStatus,
        Planted::LostGrade,
        Planted::DeletedRow,
        Planted::LowerStatus,
        Planted::DeletedStatus,
        Planted::HigherStatus,
        Planted::DeletedGrade,
        Planted::OtherGrade,
        Planted::OtherGradeThen,
    ])
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// It is as the run left it.
    Repaired,
    /// It is written, and hidden by what somebody did.
    Hidden,
    /// It is not written.
    Left,
}

/// Plants something, and gives the verdict and column that it calls for, if any, and what a repair makes of it.
fn plant(
    storage: &MemoryStorage,
    target: &SurvivorRow,
    planted: Planted,
    t: i64,
) -> Option<(&'static str, &'static str, Becomes)> {
    use Becomes::{Hidden, Left, Repaired};
    let column = |name| spec().tables[target.table].position(name).unwrap();
    let now = now_us();
    let set = |name, value: Option<&[u8]>, t| {
        let set = vec![(column(name), value.map(Bytes::copy_from_slice))];
        storage.apply(target.table, t, &Change::update(target.key.clone(), set));
    };
    let delete_row =
        || storage.apply(target.table, now, &Change::DeleteRow { key: target.key.clone() });
    let if_copy = |becomes| if target.is_copy { becomes } else { Left };
    match (planted, target.status, &target.grade) {
        (Planted::LostRow, ..) => {
            delete_row();
            storage.compact();
            Some(("row-missing", "", if_copy(Repaired)))
        }
        (Planted::LostStatus, Some(_), _) => {
            set("status", None, now);
            storage.compact();
            Some(("value-missing", "status", Repaired))
        }
        (Planted::OlderStatus, Some(status), _) => {
            set("status", None, now);
            storage.compact();
            set("status", Some(&(status - 1).to_be_bytes()), t - 1);
            Some(("value-worse", "status", Repaired))
        }
        (Planted::LostGrade, _, Some(_)) => {
            set("grade", None, now);
            storage.compact();
            target.is_copy.then_some(("value-missing", "grade", Repaired))
        }
        (Planted::DeletedRow, ..) => {
            delete_row();
            Some(("row-missing", "", if_copy(Hidden)))
        }
        (Planted::LowerStatus, Some(status), _) => {
            set("status", Some(&(status - 1).to_be_bytes()), now);
            Some(("value-worse", "status", Left))
        }
        (Planted::DeletedStatus, Some(_), _) => {
            set("status", None, now);
            Some(("value-missing", "status", Hidden))
        }
        (Planted::HigherStatus, status, _) if target.table == CONTENT => {
            set("status", Some(&(status.unwrap_or(0) + 1).to_be_bytes()), now);
            Some(("changed-since", "status", Left))
        }
        (Planted::DeletedGrade, _, Some(_)) => {
            set("grade", None, now);
            target.is_copy.then_some(("value-missing", "grade", Hidden))
        }
        (Planted::OtherGrade, ..) => {
            set("grade", Some(b"other"), now);
            target.is_copy.then_some(("changed-since", "grade", Left))
        }
        (Planted::OtherGradeThen, _, Some(_)) if target.is_copy => {
            set("grade", Some("\u{10ffff}".as_bytes()), t);
            Some(("value-differs", "grade", Repaired))
        }
        _ => None,
    }
}

fn without_verdict(lines: &[Line], verdict: &str) -> BTreeSet<Line> {
    lines.iter().filter(|line| line.0 != verdict).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_is_planted_is_found_and_repaired(
        (world, to, sources) in world_and_group(),
        mut plants in prop::collection::vec((any::<prop::sample::Index>(), planted()), 0..8),
    ) {
        let context = merged(&world, &to, &sources);
        let folder = TempDir::new().unwrap();
        let clean = verified(&context, Options::default(), &diff(&folder));
        prop_assert_eq!((clean.counts.differences(), lines(&diff(&folder))), (0, Vec::new()));

        let after = dump(&spec(), &context.storage);
        let targets = targets(&world, &after, &to, &sources);
        let rows: u64 = clean.counts.tables.iter().map(|table| table.rows).sum();
        prop_assert_eq!(rows, targets.len() as u64);
        if targets.is_empty() {
            return Ok(());
        }
        let t = context.journal.group(0).unwrap().unwrap().t.unwrap();
        let (mut expected, mut remaining) = (BTreeSet::new(), BTreeSet::new());
        let (mut missing_own, mut written_in, mut repairs) = (0, BTreeSet::new(), 0);
        let mut is_hidden = false;
        // A loss leaves no trace, also of what was deleted before.
        plants.sort_by_key(|(_, planted)| *planted);
        let mut taken = BTreeSet::new();
        for (index, planted) in plants {
            let target = index.get(&targets);
            if !taken.insert(&target.shown) {
                continue;
            }
            let Some((verdict, column, becomes)) =
                plant(&context.storage, target, planted, t) else { continue };
            let line = |verdict: &str| -> Line {
                (verdict.into(), to.clone(), target.shown.clone(), column.into())
            };
            expected.insert(line(verdict));
            if becomes != Becomes::Left {
                written_in.insert(target.batch.clone());
            }
            repairs += usize::from(becomes == Becomes::Repaired);
            is_hidden |= becomes == Becomes::Hidden;
            if verdict == "row-missing" && !target.is_copy {
                missing_own += 1;
                remaining.insert(line(verdict));
            } else if becomes != Becomes::Repaired {
                remaining.insert(line("changed-since"));
            }
        }
        let planted = dump(&spec(), &context.storage);

        // It is found, and looking changes nothing.
        let found = verified(&context, Options::default(), &diff(&folder));
        let seen = lines(&diff(&folder));
        prop_assert_eq!(seen.len(), expected.len());
        prop_assert_eq!(&without_verdict(&seen, ""), &expected);
        let differences = expected.iter().filter(|line| line.0 != "changed-since").count();
        prop_assert_eq!(found.counts.differences(), differences as u64);
        prop_assert_eq!(dump(&spec(), &context.storage), planted);

        // It is repaired, but for rows of which the run knows too little.
        announced(&context);
        let repaired = verified(&context, repair(), &diff(&folder));
        prop_assert_eq!(repaired.counts.differences(), missing_own);
        let repaired_rows: u64 = repaired.counts.tables.iter().map(|table| table.repaired).sum();
        prop_assert_eq!(repaired_rows as usize, repairs);
        prop_assert_eq!(&without_verdict(&lines(&diff(&folder)), "repaired"), &remaining);
        let now = dump(&spec(), &context.storage);
        check_repaired((&world, &after, &now), &targets, &remaining)?;
        let events = announced(&context);
        let enrolled = dump(&spec(), &context.storage).enrolments;
        let batches: BTreeSet<String> = events.into_keys().map(|(_, batch)| batch).collect();
        let due = written_in.into_iter().filter(|batch| enrolled.contains_key(&(batch.clone(), to.clone())));
        prop_assert_eq!(batches, due.collect::<BTreeSet<_>>());

        // What is repaired is so for good, with nothing more to announce; what is hidden stays so.
        let journaled = context.journal.slices(0).unwrap().len();
        verified(&context, repair(), &diff(&folder));
        prop_assert_eq!(without_verdict(&lines(&diff(&folder)), ""), remaining);
        prop_assert_eq!(dump(&spec(), &context.storage), now);
        if !is_hidden {
            prop_assert!(announced(&context).is_empty());
            prop_assert_eq!(context.journal.slices(0).unwrap().len(), journaled);
        }
    }

    /// Nothing that a sweep has moved to the survivor's row is a difference.
    #[test]
    fn what_was_swept_is_as_it_should_be(
        (world, to, sources) in world_and_group(),
        later in prop::collection::vec((0..4_usize, 1..5_u8, 1..4_u8, 0..4_i32, any::<bool>()), 1..5),
    ) {
        let context = merged(&world, &to, &sources);
        let t = context.journal.group(0).unwrap().unwrap().t.unwrap();
        for (n, (source, content, batch, status, in_content)) in later.into_iter().enumerate() {
            let source = &sources[source % sources.len()];
            let (content, batch) = (format!("c{content}"), format!("b{batch}"));
            let (table, mut columns) = match in_content {
                true => (CONTENT, vec![("contentid", content), ("courseid", "k1".to_owned())]),
                false => (ENROLMENTS, Vec::new()),
            };
            columns.extend([("userid", source.clone()), ("batchid", batch)]);
            columns.extend([("status", status.to_string()), ("grade", format!("later {n}"))]);
            let columns = columns.into_iter().map(|(name, value)| (name.to_owned(), value));
            let row = to_row(&spec(), table, &columns.collect());
            context.storage.put(table, row, t + 1 + n as i64);
        }
        let plan = sweep::plan_of(&to, &sources);
        let (context, _, left) = sweep::sweep(context, &plan);
        // A later row may lead to an old enrolment that has only its key, which the sweep leaves.
        prop_assume!(left.is_empty());
        let folder = TempDir::new().unwrap();
        let found = verified(&context, Options::default(), &diff(&folder));
        prop_assert_eq!((found.counts.differences(), lines(&diff(&folder))), (0, Vec::new()));
    }
}

/// What was repaired holds what the merge had left; nothing else has changed.
fn check_repaired(
    (before, after, now): (&World, &World, &World),
    targets: &[SurvivorRow],
    remaining: &BTreeSet<Line>,
) -> Result<(), TestCaseError> {
    let gone = |line: &&Line| line.3.is_empty();
    let rows = after.content.len() + after.enrolments.len();
    let gone = remaining.iter().filter(gone).count();
    prop_assert_eq!(now.content.len() + now.enrolments.len(), rows - gone);
    let changed = |key: &[&String], column: &str| {
        let is_of = |target: &&SurvivorRow| {
            target.table == CONTENT
                && target.key.iter().zip(key).all(|(own, text)| own == text.as_bytes())
        };
        let shown = targets.iter().find(is_of).map(|target| &target.shown);
        shown.is_some_and(|shown| remaining.iter().any(|line| line.2 == *shown && line.3 == column))
    };
    for (key, row) in &now.content {
        let (mut was, mut row) = (after.content[key].clone(), row.clone());
        for column in ["grade", "status"] {
            // The grade of a row of the survivor's own is nobody's business.
            let is_own = column == "grade" && before.content.contains_key(key);
            if is_own || changed(&[&key.0, &key.1, &key.2, &key.3], column) {
                row.remove(column);
                was.remove(column);
            }
        }
        prop_assert_eq!(row, was);
    }
    Ok(())
}
