//! A merge specification as written: TOML, checked for what the text alone can tell.
//!
//! Whether the tables and columns exist, and whether the policies fit their types, is for
//! [`check`](super::check) to say, which has the live schema.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::SpecError;
use super::policy::{self, Policy};
use super::schema::Schema;
use crate::model::{AccountType, CqlType};

/// The specification that is used when none is named.
const COURSE_BATCH: &str = include_str!("course-batch.toml");

/// A merge specification as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSpec {
    /// The name that reports call it by.
    pub name: String,
    /// The tables, in the order in which they are merged.
    #[serde(rename = "table", default)]
    pub tables: Vec<RawTable>,
    /// The event that a changed row produces, if any.
    pub event: Option<RawEvent>,
    /// The text itself, so that a run can keep what it went by.
    #[serde(skip)]
    pub text: String,
}

/// One table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTable {
    /// The table's name.
    pub name: String,
    /// The column that holds the account.
    pub account: String,
    /// How the rows of an account are found.
    pub(crate) find: RawFind,
    /// What happens when both accounts hold the same key.
    #[serde(default)]
    pub(crate) on_conflict: RawConflict,
    /// Whether the source's rows are deleted once they are safe.
    #[serde(default = "yes")]
    pub(crate) delete_source: bool,
    /// The types that live columns must have; a column that is not named may have any.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// How the rows of an account are found: where the values of the partition key beside the account come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "find is either \"partition\", { partitions_from = \"table.column\" }, or { partition = { column = \
                 { value = … } or { from = \"table.column\" }, … } }"
)]
pub(crate) enum RawFind {
    /// `"partition"`: the account is the whole partition key.
    Partition(PartitionWord),
    /// The partition key is one column, and not the account's: its values are those of `table.column` in the
    /// sources' rows.
    Clustering {
        /// `table.column`.
        partitions_from: ColumnPath,
    },
    /// Each column of the partition key but the account's, by name.
    Parts {
        /// Where their values come from.
        partition: BTreeMap<String, RawPart>,
    },
}

/// Where the value of a column of the partition key comes from.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "a column of the partition key comes from { value = … } or { from = \"table.column\" }"
)]
pub(crate) enum RawPart {
    /// A constant.
    Constant {
        /// Text, a whole number or true or false, as the column's type has it.
        value: toml::Value,
    },
    /// The values that a column holds in the sources' rows.
    Column {
        /// `table.column`.
        from: ColumnPath,
    },
}

/// The word `partition`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PartitionWord {
    /// The only value.
    Partition,
}

/// `table.column`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ColumnPath {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

impl TryFrom<String> for ColumnPath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        match path.split_once('.') {
            Some((table, column)) if !table.is_empty() && !column.is_empty() => {
                Ok(Self { table: table.into(), column: column.into() })
            }
            _ => Err(format!("'{path}' is not of the form table.column")),
        }
    }
}

impl fmt::Display for ColumnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// What happens when both accounts hold the same key.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "on_conflict is either \"keep-target\" or a table of column = \"policy\""
)]
pub(crate) enum RawConflict {
    /// `"keep-target"`: the survivor's row is left untouched.
    Whole(String),
    /// A policy per column; columns that are not named are left untouched.
    Columns(BTreeMap<String, String>),
}

impl Default for RawConflict {
    fn default() -> Self {
        Self::Columns(BTreeMap::new())
    }
}

/// The event that a changed row produces.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEvent {
    /// The table whose rows are announced.
    pub table: String,
    /// The message key: text with placeholders.
    pub key: String,
    /// Columns of the surviving row that placeholders may name.
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, RawEventColumn>,
    /// The message value: JSON, written as TOML, with placeholders in its strings.
    pub value: toml::Table,
}

/// A column that an event quotes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawEventColumn {
    /// Where the surviving row holds null: the smallest value of this column among the survivor's rows
    /// of the table that leads to the partition.
    pub(crate) else_min: Option<ColumnPath>,
}

impl RawSpec {
    /// The built-in specification `course-batch`.
    pub fn course_batch() -> Result<Self, SpecError> {
        Self::parse(COURSE_BATCH, "the built-in course-batch")
    }

    /// Reads a specification; `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, SpecError> {
        let spec: Self = toml::from_str(text).map_err(|error| SpecError::Syntax {
            origin: origin.into(),
            message: error.to_string().trim_end().into(),
        })?;
        let spec = Self { text: text.to_owned(), ..spec };
        if spec.tables.is_empty() {
            return Err(SpecError::Syntax {
                origin: origin.into(),
                message: "it names no [[table]], so there is nothing to merge".into(),
            });
        }
        for (position, table) in spec.tables.iter().enumerate() {
            table.check_policies()?;
            if spec.tables[..position].iter().any(|earlier| earlier.name == table.name) {
                return Err(SpecError::Table {
                    table: table.name.clone(),
                    problem: "it is named twice".into(),
                });
            }
        }
        Ok(spec)
    }

    /// The same, for a run that has begun with it: a column that a table has lost since is named no more, for its values
    /// are gone, and all the others can still be compared and given back.
    pub fn without_lost_columns(&self, schema: &Schema) -> Self {
        let mut spec = self.clone();
        for table in &mut spec.tables {
            let Some(live) = schema.tables.get(&table.name) else { continue };
            let account = table.account.clone();
            let stays = |name: &String| *name == account || live.column(name).is_some();
            table.columns.retain(|name, _| stays(name));
            if let RawConflict::Columns(columns) = &mut table.on_conflict {
                columns.retain(|name, _| stays(name));
            }
        }
        spec
    }

    /// The type of accounts, as far as the text alone says it: that of the first account column whose type is given,
    /// else text.
    pub fn accounts(&self) -> AccountType {
        self.tables.iter().find_map(RawTable::account_type).unwrap_or_default()
    }

    /// The SHA-256 of the text, in hexadecimal: specifications with the same text merge alike.
    pub(crate) fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(&self.text))
    }
}

impl RawTable {
    /// The columns that `on_conflict` names, each with its policy.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&str, &'static dyn Policy)> {
        let columns = match &self.on_conflict {
            RawConflict::Whole(_) => None,
            RawConflict::Columns(columns) => Some(columns),
        };
        // Words that are no policies were refused when the text was read.
        let columns = columns.into_iter().flatten();
        columns.filter_map(|(column, word)| Some((column.as_str(), policy::parse(word).ok()?)))
    }

    /// The type that the specification says the account's column has, if it says so.
    pub(super) fn account_type(&self) -> Option<AccountType> {
        AccountType::of(&CqlType::parse(self.columns.get(&self.account)?))
    }

    fn check_policies(&self) -> Result<(), SpecError> {
        let problem = match &self.on_conflict {
            RawConflict::Whole(policy) if policy == "keep-target" => return Ok(()),
            RawConflict::Whole(policy) => format!(
                "on_conflict = \"{policy}\" is not known: use \"keep-target\", or a policy per column \
                 such as {{ status = \"max\" }}"
            ),
            RawConflict::Columns(columns) => {
                let wrong = columns.iter().find_map(|(column, policy)| {
                    policy::parse(policy).err().map(|why| format!("column {column}: {why}"))
                });
                match wrong {
                    Some(problem) => problem,
                    None => return Ok(()),
                }
            }
        };
        Err(SpecError::Table { table: self.name.clone(), problem })
    }
}
