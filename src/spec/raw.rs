//! A merge specification as written: TOML, checked for what the text alone can tell.
//!
//! Whether the tables and columns exist, and whether the policies fit their types, is for
//! [`check`](super::check) to say, which has the live schema.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::SpecError;

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
    pub find: RawFind,
    /// What happens when both accounts hold the same key.
    #[serde(default)]
    pub on_conflict: RawConflict,
    /// Whether the source's rows are deleted once they are safe.
    #[serde(default = "yes")]
    pub delete_source: bool,
    /// The types that live columns must have; a column that is not named may have any.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

/// How the rows of an account are found.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "find is either \"partition\" or { partitions_from = \"table.column\" }"
)]
pub enum RawFind {
    /// `"partition"`: the account is the whole partition key.
    Partition(PartitionWord),
    /// The account is a clustering column; the partitions are the values of `table.column` in the
    /// sources' rows.
    Clustering {
        /// `table.column`.
        partitions_from: ColumnPath,
    },
}

/// The word `partition`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionWord {
    /// The only value.
    Partition,
}

/// `table.column`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ColumnPath {
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
pub enum RawConflict {
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
    pub columns: BTreeMap<String, RawEventColumn>,
    /// The message value: JSON, written as TOML, with placeholders in its strings.
    pub value: toml::Table,
}

/// A column that an event quotes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEventColumn {
    /// Where the surviving row holds null: the smallest value of this column among the survivor's rows
    /// of the table that leads to the partition.
    pub else_min: Option<ColumnPath>,
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

    /// The SHA-256 of the text, in hexadecimal: specifications with the same text merge alike.
    pub fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(&self.text))
    }
}

impl RawTable {
    /// The columns that `on_conflict` names, each with its policy; `keep-target` is none.
    pub(super) fn policies(&self) -> impl Iterator<Item = (&str, Option<Policy>)> {
        let columns = match &self.on_conflict {
            RawConflict::Whole(_) => None,
            RawConflict::Columns(columns) => Some(columns),
        };
        // Words that are no policies were refused when the text was read.
        let columns = columns.into_iter().flatten();
        columns.map(|(column, word)| (column.as_str(), Policy::parse(word).unwrap_or_default()))
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
                    Policy::parse(policy).err().map(|why| format!("column {column}: {why}"))
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

/// Which of two values survives, for one column; `keep-target` is the absence of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The higher value; null counts as lowest.
    Max,
    /// The lower value; null counts as no value, so that any value beats it.
    Min,
}

impl Policy {
    fn parse(word: &str) -> Result<Option<Self>, String> {
        match word {
            "keep-target" => Ok(None),
            "max" => Ok(Some(Self::Max)),
            "min" => Ok(Some(Self::Min)),
            "keep-source" | "sum" | "union" | "latest" => Err(format!(
                "the policy \"{word}\" is not available in this version: use keep-target, max or min"
            )),
            _ => Err(format!("\"{word}\" is not a policy: use keep-target, max or min")),
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Max => "max",
            Self::Min => "min",
        })
    }
}
