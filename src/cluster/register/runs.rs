//! The runs of a keyspace, each with who began it, where it is, and how it stands.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::now_us;
use crate::register::{Run, RunState};
use crate::storage::StorageError;

use super::{ClusterRegister, Holder, RegisterReader};

/// The columns of a run, in the order in which they are read and written.
pub(super) const COLUMNS: &str = "run, place, user_name, version, began, ended, input_sha256, spec_sha256, tables, state, groups";

/// A run, as it is read.
type Row = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<BTreeSet<String>>,
    Option<String>,
    Option<BTreeMap<String, i64>>,
);

fn run(row: Row) -> Run {
    let (id, location, user, version, began, ended, input, spec, tables, state, groups) = row;
    Run {
        id,
        location: location.unwrap_or_default(),
        user: user.unwrap_or_default(),
        version: version.unwrap_or_default(),
        began: began.unwrap_or_default(),
        ended,
        hashes: [input, spec].map(Option::unwrap_or_default),
        tables: tables.unwrap_or_default(),
        state: state.as_deref().map(RunState::of).unwrap_or_default(),
        groups: groups.unwrap_or_default(),
    }
}

impl RegisterReader {
    /// All runs of the keyspace, in the order in which they began (ids say it to the second only).
    ///
    /// # Errors
    /// The register cannot be read.
    pub(crate) async fn runs(&self) -> Result<Vec<Run>, StorageError> {
        let rows: Vec<Row> = self.ask("reading the runs of", &self.runs, (&*self.merged,)).await?;
        let mut runs: Vec<Run> = rows.into_iter().map(run).collect();
        runs.sort_by(|one, other| (one.began, &one.id).cmp(&(other.began, &other.id)));
        Ok(runs)
    }

    pub(super) async fn run_of(&self, id: &str) -> Result<Option<Run>, StorageError> {
        let values = (&*self.merged, id);
        let rows: Vec<Row> = self.ask("reading a run of", &self.run, values).await?;
        Ok(rows.into_iter().next().map(run))
    }
}

impl ClusterRegister {
    /// Adds a run, or what is known of it now.
    ///
    /// # Errors
    /// The register cannot be written.
    pub(crate) async fn add_run(&self, run: &Run) -> Result<(), StorageError> {
        let Run { id, location, user, version, began, ended, hashes, tables, state, groups } = run;
        let [input, spec] = hashes;
        let location = format!("{}:{location}", self.holder.host);
        let values = (
            &*self.reader.merged,
            id,
            location,
            user,
            version,
            *began,
            *ended,
            input,
            spec,
            tables,
            state.name(),
            groups,
        );
        self.tell("adding a run to", &self.statements.add_run, values).await
    }

    /// Notes what a command that begins now does with the run, and in which directory.
    ///
    /// # Errors
    /// The register cannot be written.
    pub(crate) async fn begin_state(
        &self,
        run_dir: &str,
        state: RunState,
    ) -> Result<(), StorageError> {
        let Holder { run, host, .. } = &self.holder;
        let values = (&*self.reader.merged, run, format!("{host}:{run_dir}"), state.name());
        self.tell("noting the state of a run in", &self.statements.begin_state, values).await
    }

    /// Notes how a run stands, now that a command has ended.
    ///
    /// # Errors
    /// The register cannot be written.
    pub(crate) async fn set_state(
        &self,
        run: &str,
        state: RunState,
        groups: &BTreeMap<String, i64>,
    ) -> Result<(), StorageError> {
        let values = (&*self.reader.merged, run, state.name(), now_us(), groups);
        self.tell("noting the state of a run in", &self.statements.set_state, values).await
    }
}
