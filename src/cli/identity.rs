//! What a journal was written for, kept in the journal itself: it is good for nothing else.

use anyhow::anyhow;

use super::{Failure, MergeSettings};
use crate::journal::body::{Layout, TableLayout};
use crate::journal::{Codec, Journal};
use crate::model::AccountType;
use crate::plan::Plan;
use crate::run::RunRecord;
use crate::spec::{RawSpec, Spec};

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
    pub(super) fn new(record: &RunRecord, settings: &MergeSettings, plan: &Plan) -> Self {
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

/// Refuses tables that were altered since the run began: the journal's rows have other columns.
pub(super) fn check_columns(journal: &dyn Journal, spec: &Spec) -> Result<(), Failure> {
    let (first, now) = (Layout::all(journal)?.into_iter().next(), Layout::of(spec));
    let then = first.ok_or_else(|| missing("layout"))?.tables;
    let now_of = |name: &str| now.tables.iter().find(|table| table.name == name);
    let altered = |then: &TableLayout| {
        let now = now_of(&then.name).map_or(&[][..], |now| &now.columns);
        altered(&then.name, &then.columns, now)
    };
    match then.iter().find_map(altered) {
        None => Ok(()),
        Some(what) => Err(Failure::failed(anyhow!(
            "{what} since the run began, and what was journaled does not fit any more; take that back, or \
             apply the run's copy of the pairs as a new run (what is done stays done)"
        ))),
    }
}

fn altered(table: &str, then: &[(String, String)], now: &[(String, String)]) -> Option<String> {
    let find = |columns: &[(String, String)], name: &str| {
        columns.iter().find(|(known, _)| known == name).map(|(_, cql_type)| cql_type.clone())
    };
    let gone_or_changed = then.iter().find_map(|(name, was)| match find(now, name) {
        None => Some(format!("table {table} has lost the column {name}")),
        Some(is) if is != *was => {
            Some(format!("table {table} has had the type of {name} changed from {was} to {is}"))
        }
        Some(_) => None,
    });
    let added = || {
        let new = now.iter().find(|(name, _)| find(then, name).is_none());
        new.map(|(name, _)| format!("table {table} has got the column {name}"))
    };
    let moved = || {
        (then != now).then(|| format!("table {table} has had its columns put into another order"))
    };
    gone_or_changed.or_else(added).or_else(moved)
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
        let check = |said: Option<&str>, kept: Option<&str>| {
            let settings = said.map_or(json!({}), |name| json!({ ACCOUNTS: name }));
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
        for (said, kept) in
            [(Some("uuid"), None), (None, Some("uuid")), (Some("int"), Some("uuid"))]
        {
            let error = check(said, kept).unwrap_err();
            assert!(error.contains("of type") && error.contains("original files"), "{error}");
        }
    }

    #[test]
    fn what_was_altered_is_named() {
        let columns = |text: &str| -> Vec<(String, String)> {
            let pairs = text.split_whitespace().map(|column| column.split_once(':').unwrap());
            pairs.map(|(name, cql_type)| (name.to_owned(), cql_type.to_owned())).collect()
        };
        let then = columns("id:text n:int s:text");
        let says = |now: &str| altered("t", &then, &columns(now)).unwrap_or_default();
        assert_eq!(says("id:text n:int s:text"), "");
        assert_eq!(says("id:text s:text"), "table t has lost the column n");
        assert_eq!(
            says("id:text n:bigint"),
            "table t has had the type of n changed from int to bigint"
        );
        assert_eq!(says("id:text a:int n:int s:text"), "table t has got the column a");
        assert!(says("id:text s:text n:int").ends_with("another order"));
        assert_eq!(altered("t", &then, &[]).unwrap(), "table t has lost the column id");
    }
}
