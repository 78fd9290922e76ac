//! What a journal was written for, kept in the journal itself: it is good for nothing else.

use std::collections::BTreeSet;

use anyhow::anyhow;

use super::{Failure, RunSettings};
use crate::advice::Advice;
use crate::journal::body::{Layout, TableLayout};
use crate::journal::{Codec, Journal};
use crate::model::AccountType;
use crate::plan::Plan;
use crate::run::RunRecord;
use crate::spec::{Alteration, RawSpec, Spec};

/// The version that wrote the journal.
const VERSION: &str = "version_of_tributary";
const RUN: &str = "run";
const INPUT: &str = "input_sha256";
const KEYSPACE: &str = "keyspace";
const SPEC: &str = "spec_sha256";
/// What a journal was created for, and what run.json calls it. Neither has it from an earlier version.
const ACCOUNTS: &str = "account_type";
/// How many groups the plan has.
pub(super) const GROUPS: &str = "groups";

/// What a run is, as far as its journal depends on it. The columns of the tables, which come with the cluster, are the
/// journal's first layout.
pub(super) struct Identity {
    run: String,
    input_sha256: String,
    keyspace: String,
    spec_sha256: String,
    account_type: String,
    /// None where the plan has not been made again.
    groups: Option<usize>,
}

impl Identity {
    pub(super) fn new(record: &RunRecord, settings: &RunSettings, plan: &Plan) -> Self {
        let keyspace = &settings.cluster.keyspace;
        Self { groups: Some(plan.len()), ..Self::without_plan(record, keyspace, &settings.spec) }
    }

    /// Of a run whose plan is not needed.
    pub(super) fn without_plan(record: &RunRecord, keyspace: &str, spec: &RawSpec) -> Self {
        Self {
            run: record.id.to_string(),
            input_sha256: record.input.sha256.clone(),
            keyspace: keyspace.to_owned(),
            spec_sha256: spec.sha256(),
            account_type: type_or_text(record.settings[ACCOUNTS].as_str()),
            groups: None,
        }
    }

    /// Writes it into a new journal.
    pub(super) fn keep(&self, journal: &dyn Journal, spec: &Spec) -> Result<(), Failure> {
        Codec::open(spec, journal)?;
        let kept: [(&str, &str); 6] = [
            (VERSION, env!("CARGO_PKG_VERSION")),
            (RUN, &self.run),
            (INPUT, &self.input_sha256),
            (KEYSPACE, &self.keyspace),
            (SPEC, &self.spec_sha256),
            (GROUPS, &self.groups.unwrap_or_default().to_string()),
        ];
        kept.into_iter().try_for_each(|(name, value)| journal.set_meta(name, value))?;
        Ok(())
    }

    /// Refuses a journal that was written for something else; no cluster is needed.
    pub(super) fn check(&self, journal: &dyn Journal) -> Result<(), Failure> {
        for (name, own) in [
            (RUN, &self.run),
            (INPUT, &self.input_sha256),
            (KEYSPACE, &self.keyspace),
            (SPEC, &self.spec_sha256),
        ] {
            let kept = meta(journal, name)?;
            if kept != *own {
                return Err(Failure::failed(anyhow!(
                    "the journal does not belong to this run: its {name} is '{kept}', that of run.json \
                     is '{own}'; put the original files back"
                )));
            }
        }
        let kept = type_or_text(journal.meta(ACCOUNTS)?.as_deref());
        if kept != self.account_type {
            return Err(Failure::failed(anyhow!(
                "the journal does not belong to this run: its accounts are of type {kept}, those of run.json of type \
                 {}; put the original files back",
                self.account_type
            )));
        }
        let Some(groups) = self.groups else { return Ok(()) };
        let kept = meta(journal, GROUPS)?;
        if kept != groups.to_string() {
            return Err(Failure::failed(anyhow!(
                "the journal was written for {kept} groups by version {} of tributary, and this version \
                 makes {groups} groups of the same pairs: resume with that version",
                meta(journal, VERSION)?,
            )));
        }
        Ok(())
    }
}

/// Compares the tables with those that the run began with. A table that is another one is refused, with what would `close`
/// the run; columns that came or went are told, and of both nothing is lost: what came is the application's alone in the
/// rows that the run has merged, and what went stays in the journal.
pub(super) fn check_tables(
    journal: &dyn Journal,
    spec: &Spec,
    close: Option<&Advice>,
) -> Result<(), Failure> {
    let (layouts, now) = (Layout::all(journal)?, Layout::of(spec));
    let first = layouts.first().ok_or_else(|| missing("layout"))?;
    let now_of = |name: &str| now.tables.iter().find(|table| table.name == name);
    for then in &first.tables {
        let Some(now) = now_of(&then.name) else { continue };
        if let Some(renamed) = renamed(then, now) {
            return Err(Failure::failed(anyhow!(
                "columns of the primary key of table {name} were renamed since the run began ({}), and the run knows \
                 its rows by the names of before: give them back (ALTER TABLE {name} RENAME …), repeat the command, and \
                 rename them when the run is over",
                renamed.join(", "),
                name = then.name,
            )));
        }
        if let Some(what) = is_another(then, now) {
            let end = close.map_or_else(String::new, |close| {
                format!(
                    ". If nothing that it did counts any more (topic safety of the manual), this ends it, and its copy of the \
                     pairs can be applied as a new run: {close}"
                )
            });
            return Err(Failure::failed(anyhow!(
                "table {} {what} since the run began. What the run left is not there, and what it journaled would not \
                 belong there, so nothing is compared or written{end}",
                then.name
            )));
        }
    }
    let since = layouts.iter().enumerate().flat_map(|(number, layout)| {
        let tables = layout.tables.iter().filter_map(|then| Some((then, now_of(&then.name)?)));
        tables.flat_map(move |(then, now)| {
            let all = Alteration::of_columns(&then.columns, &now.columns).into_iter();
            // What a later session has met is known to it.
            let all = all.filter(move |what| number == 0 || matches!(what, Alteration::Lost(_)));
            all.map(|what| described(&then.name, &what))
        })
    });
    since.collect::<BTreeSet<_>>().iter().for_each(|what| tracing::warn!("{what}"));
    Ok(())
}

/// The columns of the primary key that have other names in what is the same table. Of a primary key nothing else can be
/// altered.
fn renamed(then: &TableLayout, now: &TableLayout) -> Option<Vec<String>> {
    let is_same = then.id.is_some() && then.id == now.id && then.key == now.key;
    let keys = [then, now].map(|table| table.columns.iter().take(table.key));
    let [then, now] = keys;
    let pairs = then.zip(now).filter(|(then, now)| then != now);
    let renamed: Vec<_> = pairs.map(|((then, _), (now, _))| format!("{then} is {now}")).collect();
    (is_same && !renamed.is_empty()).then_some(renamed)
}

/// Whether a table of the same name is another one.
fn is_another(then: &TableLayout, now: &TableLayout) -> Option<String> {
    if then.id.is_some() && now.id.is_some() && then.id != now.id {
        return Some(Alteration::Recreated.to_string());
    }
    let keys = [then, now].map(|table| &table.columns[..table.key]);
    (keys[0] != keys[1]).then(|| {
        let [then, now] = keys.map(|key| {
            let names: Vec<_> = key.iter().map(|(name, of)| format!("{name} {of}")).collect();
            names.join(", ")
        });
        format!("has got another primary key ({now}; it was {then})")
    })
}

fn described(table: &str, what: &Alteration) -> String {
    let then = match what {
        Alteration::Lost(_) => {
            "what the journal has of it is neither compared nor written (the command record shows it)"
        }
        _ => {
            "groups that are not begun take it along; in rows that are merged it is the application's, which no undo \
             overrides unless it is told to"
        }
    };
    format!("table {table} {what} since the run began: {then}")
}

/// How many groups the plan has.
pub(super) fn groups(journal: &dyn Journal) -> Result<u64, Failure> {
    let groups = meta(journal, GROUPS)?;
    groups.parse().map_err(|_| {
        Failure::failed(anyhow!("the journal's number of groups is unreadable: '{groups}'"))
    })
}

/// The name of a type of accounts; an earlier version knew text only, and did not say it.
fn type_or_text(name: Option<&str>) -> String {
    name.map_or_else(|| AccountType::Text.to_string(), str::to_owned)
}

fn meta(journal: &dyn Journal, name: &str) -> Result<String, Failure> {
    journal.meta(name)?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Failure {
    Failure::failed(anyhow!(
        "the journal does not say what it was written for (no {name}); it is damaged, or was not \
         written by this program"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::memory::MemoryJournal;
    use crate::moment::Moment;
    use crate::run::{InputRecord, RunId};

    #[test]
    fn a_journal_of_other_accounts_is_refused() {
        let spec = RawSpec::course_batch().unwrap();
        let check = |given: Option<&str>, kept: Option<&str>| {
            let settings = given.map_or(json!({}), |name| json!({ ACCOUNTS: name }));
            let input = InputRecord { path: "-".into(), file: None, sha256: "ab".into(), bytes: 8 };
            let record =
                RunRecord::new(RunId::from_text("r"), "apply", Moment::now(), input, settings);
            let identity = Identity::without_plan(&record, "k", &spec);
            let journal = MemoryJournal::default();
            let sha256 = spec.sha256();
            for (name, value) in [(RUN, "r"), (INPUT, "ab"), (KEYSPACE, "k"), (SPEC, &*sha256)] {
                journal.set_meta(name, value).unwrap();
            }
            kept.into_iter().for_each(|kept| journal.set_meta(ACCOUNTS, kept).unwrap());
            identity.check(&journal).map_err(|failure| failure.error.to_string())
        };
        for same in [None, Some("text")] {
            assert_eq!(check(same, None), Ok(()));
            assert_eq!(check(None, same), Ok(()));
        }
        assert_eq!(check(Some("uuid"), Some("uuid")), Ok(()));
        for (given, kept) in
            [(Some("uuid"), None), (None, Some("uuid")), (Some("int"), Some("uuid"))]
        {
            let error = check(given, kept).unwrap_err();
            assert!(error.contains("of type") && error.contains("original files"), "{error}");
        }
    }

    #[test]
    fn another_table_is_told_from_one_that_was_altered() {
        let table = |id: Option<&str>, key: usize, columns: &str| {
            let columns = columns.split_whitespace().map(|column| column.split_once(':').unwrap());
            let columns: Vec<_> =
                columns.map(|(name, of)| (name.to_owned(), of.to_owned())).collect();
            let layout = json!({
                "name": "t", "id": id, "columns": columns, "key": key, "slim": key, "scope": [],
            });
            serde_json::from_value::<TableLayout>(layout).unwrap()
        };
        let then = table(Some("1"), 2, "a:text b:text n:int");
        let is = |now| is_another(&then, &now).unwrap_or_default();
        assert_eq!(is(table(Some("1"), 2, "a:text b:text m:int n:bigint")), "");
        assert_eq!(
            is(table(None, 2, "a:text b:text n:int")),
            "",
            "an old journal does not know it"
        );
        assert_eq!(is(table(Some("2"), 2, "a:text b:text")), "has been dropped and created anew");
        let altered = "a:text c:text n:int";
        assert_eq!(renamed(&then, &table(Some("1"), 2, altered)), Some(vec!["b is c".to_owned()]));
        for (id, columns) in [(Some("2"), altered), (None, altered), (Some("1"), "a:text b:text")] {
            assert_eq!(renamed(&then, &table(id, 2, columns)), None, "{id:?} {columns}");
        }
        let other = is(table(None, 2, altered));
        assert!(other.contains("(a text, c text; it was a text, b text)"), "{other}");
    }
}
