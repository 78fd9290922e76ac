//! The plan that a run is bound to: the same pairs, the same specification, the same groups; anything else is refused
//! before a connection is opened.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde::Deserialize;

use super::catalogue::work::FOLLOW;
use super::exit::Failure;
use super::recorded::{format_of, of_pairs, recalled, spec_of};
use crate::advice::Advice;
use crate::cluster::CASSANDRA;
use crate::model::AccountType;
use crate::pairs::Format;
use crate::pipeline::DISCOVER;
use crate::plan::Plan;
use crate::run::{InputRecord, RunDir, RunError, RunId, copy_of_pairs, files};
use crate::setting::{Described, Given};
use crate::spec::RawSpec;

/// What a plan said.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    path: PathBuf,
    id: RunId,
    input: InputRecord,
    format: Format,
    /// Its settings of the pairs and, if it was inspected, of the cluster.
    given: Vec<Given>,
    /// The specification, and where it was read; that is none for the built-in one.
    spec: (RawSpec, Option<String>),
    copy: PathBuf,
    plan: Planned,
}

/// What its run.json says of the groups.
#[derive(Clone, Debug, Deserialize)]
struct Planned {
    /// Of all groups, in order.
    groups_sha256: String,
    /// None without --inspect.
    inspected: Option<Inspected>,
}

#[derive(Clone, Debug, Deserialize)]
struct Inspected {
    #[serde(default)]
    follow: bool,
}

/// The settings of a cluster that is inspected, by which a run that is bound to it goes.
pub(super) fn of_cluster() -> impl Iterator<Item = &'static dyn Described> {
    let of_merging: [&'static dyn Described; 2] = [&DISCOVER, &FOLLOW];
    CASSANDRA.iter().copied().chain(of_merging)
}

impl Bound {
    /// Reads the run directory of a plan.
    ///
    /// # Errors
    /// There is none, it is no plan, or an earlier version wrote it.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let record = RunDir::record(path)?;
        if !record.is_plan() {
            return Err(Failure::unusable(anyhow!(
                "--plan: {} is not a plan but a run of {}; to go on with it: {}",
                path.display(),
                record.command,
                Advice::resume(path)
            )));
        }
        let (format, mut given) = (format_of(path, &record)?, of_pairs(path, &record));
        let spec = spec_of(path, &record)?;
        if let Some(inspected) = record.settings.get("inspected").filter(|own| !own.is_null()) {
            given.extend(recalled(path, inspected, of_cluster()));
        }
        let plan = serde_json::from_value(record.settings).map_err(|_| RunError::Unusable {
            path: path.join(files::RUN),
            what: "it does not say which groups were planned (an earlier version of tributary wrote it, \
                   or it was changed); plan the pairs again"
                .to_owned(),
        })?;
        let (copy, path) = (copy_of_pairs(path)?, path.to_path_buf());
        Ok(Self { path, id: record.id, input: record.input, format, given, spec, copy, plan })
    }

    /// The plan's id.
    pub(super) fn id(&self) -> &RunId {
        &self.id
    }

    /// How the pairs were written.
    pub(super) fn format(&self) -> &Format {
        &self.format
    }

    /// Its specification, and where that was read; none for the built-in one.
    pub(super) fn spec(&self) -> (RawSpec, Option<String>) {
        self.spec.clone()
    }

    /// What it says of the pairs and of the cluster, setting by setting.
    pub(super) fn given(&self) -> &[Given] {
        &self.given
    }

    /// The plan's own copy of the pairs.
    pub(super) fn copy(&self) -> &Path {
        &self.copy
    }

    /// Refuses other rules for which row goes where. What a run is pinned to is checked with its other settings.
    pub(super) fn check_settings(&self, spec: &RawSpec, follow: bool) -> Result<(), Failure> {
        let (planned, own) = (&self.spec.0, spec.sha256());
        if own != planned.sha256() {
            return Err(self.differs(
                "merge specification",
                &format!("'{}' (SHA-256 {})", planned.name, planned.sha256()),
                &format!("'{}' (SHA-256 {own})", spec.name),
            ));
        }
        let inspected = self.plan.inspected.as_ref();
        match inspected.filter(|inspected| inspected.follow != follow) {
            None => Ok(()),
            Some(inspected) => {
                let shown = |follow: bool| follow.to_string();
                Err(self.differs("--follow", &shown(inspected.follow), &shown(follow)))
            }
        }
    }

    /// Refuses other pairs.
    pub(super) fn check_pairs(&self, input: &InputRecord, plan: &Plan) -> Result<(), Failure> {
        if input.sha256 != self.input.sha256 {
            let shown = |input: &InputRecord| format!("SHA-256 {} ({})", input.sha256, input.path);
            return Err(self.differs("input", &shown(&self.input), &shown(input)));
        }
        let own = plan.sha256();
        if own != self.plan.groups_sha256 {
            let then = format!("groups with SHA-256 {}", self.plan.groups_sha256);
            let now = format!("{own}, though the input is the same: how it is read differs");
            return Err(self.differs("resolution", &then, &now));
        }
        Ok(())
    }

    /// Refuses tables whose accounts are of another type than the plan took them for: which ids are one account would
    /// not be what was planned.
    pub(super) fn check_accounts(&self, of: AccountType) -> Result<(), Failure> {
        let planned = self.format.accounts;
        if planned == of {
            return Ok(());
        }
        Err(Failure::unusable(anyhow!(
            "{} was planned for accounts of type {planned}, but those of the tables are of type {of}. Plan anew with \
             --inspect, which asks the cluster, or with a merge specification whose [table.columns] says the type",
            self.path.display(),
        )))
    }

    fn differs(&self, what: &str, then: &str, now: &str) -> Failure {
        Failure::unusable(anyhow!(
            "this is not what {} planned: its {what} is {then}, that of this run is {now}. Give it as it was \
             planned, or plan anew",
            self.path.display(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;
    use crate::run::RunRecord;

    #[test]
    fn a_plan_of_other_accounts_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(files::PAIRS), "from,to\n").unwrap();
        let load = |account_type: Option<&str>| {
            let spec = RawSpec::course_batch().unwrap();
            std::fs::write(folder.path().join(files::SPEC), &spec.text).unwrap();
            let mut settings = serde_json::json!({
                "from_column": "from", "to_column": "to", "delimiter": ",", "trim": false,
                "spec": spec.name, "spec_path": null, "spec_sha256": spec.sha256(), "groups_sha256": "cd",
                "inspected": null,
            });
            if let Some(name) = account_type {
                settings["account_type"] = name.into();
            }
            let input = InputRecord { path: "-".into(), file: None, sha256: "ab".into(), bytes: 8 };
            let id = RunId::from_text("r");
            let record = RunRecord::new(id, "plan", Moment::now(), input, settings);
            let json = serde_json::to_vec(&record).unwrap();
            std::fs::write(folder.path().join(files::RUN), json).unwrap();
            Bound::load(folder.path())
        };
        // An earlier version wrote no type.
        for name in [None, Some("text")] {
            let bound = load(name).unwrap();
            bound.check_accounts(AccountType::Text).unwrap();
            let Failure { exit, error } = bound.check_accounts(AccountType::Uuid).unwrap_err();
            assert_eq!(exit, crate::cli::Exit::Unusable);
            let message = error.to_string();
            assert!(
                message.contains("of type text, but those of the tables are of type uuid"),
                "{message}"
            );
            assert!(
                message.contains("--inspect") && message.contains("[table.columns]"),
                "{message}"
            );
        }
        let bound = load(Some("uuid")).unwrap();
        assert_eq!(bound.format().accounts, AccountType::Uuid);
        bound.check_accounts(AccountType::Uuid).unwrap();
        let error = load(Some("blob")).unwrap_err().error.to_string();
        assert!(error.contains("'blob' is not a type of accounts"), "{error}");
    }
}
