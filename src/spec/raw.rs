//! A merge specification as written: TOML, checked for what the text alone can tell.
//!
//! Whether the tables and columns exist, and whether the policies fit their types, is for
//! [`check`](super::check) to say, which has the live schema.

mod alone;
mod read;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::event::RawEvent;
use super::fault::{At, Faults};
use super::policy::Policy;
use super::schema::Schema;
use crate::model::{AccountType, CqlType};

/// The specification that is used when none is named.
const COURSE_BATCH: &str = include_str!("course-batch.toml");

/// The built-in specifications by their names.
static PRESETS: [(&str, &str); 2] =
    [("course-batch", COURSE_BATCH), ("sunbird-lern", include_str!("sunbird-lern.toml"))];

/// A merge specification as written.
#[derive(Clone, Debug)]
pub struct RawSpec {
    /// The name that reports call it by.
    pub name: String,
    /// The tables, in the order in which they are written.
    pub tables: Vec<RawTable>,
    /// The event that a changed row produces, if any.
    pub event: Option<RawEvent>,
    /// The text itself, so that a run can keep what it went by.
    pub text: String,
    /// What errors call it: a file.
    pub(super) origin: String,
}

/// One table. Where an entry could not be understood, that is a fault of the text, and there is nothing here.
#[derive(Clone, Debug)]
pub struct RawTable {
    /// The table's name.
    pub name: At<String>,
    /// The line of its heading.
    pub(super) line: usize,
    /// The column that holds the account.
    pub(super) account: Option<At<String>>,
    /// How the rows of an account are found.
    pub(super) find: Option<At<RawFind>>,
    /// The columns that get another value than the survivor's where both accounts hold the same key.
    pub(super) policies: BTreeMap<String, At<Arc<dyn Policy>>>,
    /// The rule for whole rows, where there is one.
    pub(super) rows: RawRows,
    /// Whether the source's rows are deleted once they are safe.
    pub(super) delete_source: bool,
    /// The columns beside the key that hold accounts: where a row of anybody's *mentions* one.
    pub(super) mentions: Vec<At<String>>,
    /// The column of the key that is never to name the survivor as well.
    pub(super) drop_oneself: Option<At<String>>,
    /// The line that says that cells expire where they are copied as they would have where they were.
    pub(super) carries_ttls: Option<usize>,
    /// The types that live columns must have; a column that is not named may have any.
    pub columns: BTreeMap<String, At<CqlType>>,
}

/// The rule for whole rows.
#[derive(Clone, Debug, Default)]
pub(super) enum RawRows {
    /// There is none: columns go by their policies.
    #[default]
    Stay,
    /// The columns by which the higher row survives.
    Higher(Vec<At<String>>),
    /// The source's row survives; on this line.
    Source(usize),
}

impl RawRows {
    /// The columns by which rows rank.
    pub(super) fn ranking(&self) -> &[At<String>] {
        match self {
            Self::Higher(by) => by,
            Self::Stay | Self::Source(_) => &[],
        }
    }

    /// Where it stands, if there is one.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Stay => None,
            Self::Higher(by) => by.first().map(|first| first.line),
            Self::Source(line) => Some(*line),
        }
    }
}

/// How the rows of an account are found: where the values of the partition key beside the account come from.
#[derive(Clone, Debug)]
pub(super) enum RawFind {
    /// `"partition"`: the account is the whole partition key.
    Partition,
    /// The partition key is one column, and not the account's: its values are those of `table.column` in the
    /// sources' rows.
    Clustering {
        /// `table.column`.
        partitions_from: At<ColumnPath>,
    },
    /// `"scan"`: nothing leads to the rows; every key of the table is read.
    Scan,
    /// Each column of the partition key but the account's, by name.
    Parts {
        /// Where their values come from.
        partition: BTreeMap<String, At<RawPart>>,
    },
}

/// Where the value of a column of the partition key comes from.
#[derive(Clone, Debug)]
pub(super) enum RawPart {
    /// A constant: text, a whole number or true or false, as the column's type has it.
    Constant(toml::Value),
    /// The values that a column holds in the sources' rows.
    Column(At<ColumnPath>),
}

/// `table.column`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnPath {
    pub table: String,
    pub column: String,
}

impl TryFrom<&str> for ColumnPath {
    type Error = String;

    fn try_from(path: &str) -> Result<Self, String> {
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

impl RawSpec {
    /// A specification of these tables that nobody has written.
    pub(super) fn of(tables: Vec<RawTable>) -> Self {
        let (name, text, origin) = (String::new(), String::new(), String::new());
        Self { name, tables, event: None, text, origin }
    }

    /// The built-in specification `course-batch`.
    pub fn course_batch() -> Result<Self, Faults> {
        Self::parse(COURSE_BATCH, "the built-in course-batch")
    }

    /// A column in which values of several accounts are added up, as `table.column`.
    pub(crate) fn sum(&self) -> Option<String> {
        let tables = self.tables.iter();
        let mut sums = tables.flat_map(|table| {
            let sums = table.policies.iter().filter(|(_, policy)| policy.adds());
            sums.map(|(column, _)| format!("{}.{column}", *table.name))
        });
        sums.next()
    }

    /// The text of the built-in specification of this name, if there is one.
    pub fn preset(name: &str) -> Option<&'static str> {
        PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// The names of the specifications that are built in.
    pub(crate) fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// Reads a specification; `origin` names it in errors.
    ///
    /// # Errors
    /// All that is wrong with it, as far as the text alone can tell.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Faults> {
        let (spec, faults) = Self::read(text, origin);
        faults.or(spec)
    }

    /// The same, with what could be understood of a text that has faults.
    pub(crate) fn read(text: &str, origin: &str) -> (Self, Faults) {
        read::read(text, origin)
    }

    /// The same, for a run that has begun with it: a column that a table has lost since is named no more, for its values
    /// are gone, and all the others can still be compared and given back.
    pub fn without_lost_columns(&self, schema: &Schema) -> Self {
        let mut spec = self.clone();
        for table in &mut spec.tables {
            let Some(live) = schema.tables.get(&*table.name) else { continue };
            let account = table.account.as_ref().map(|account| (**account).clone());
            let stays =
                |name: &String| account.as_ref() == Some(name) || live.column(name).is_some();
            table.mentions.retain(|name| stays(name));
            table.columns.retain(|name, _| stays(name));
            table.policies.retain(|name, _| stays(name));
            if let RawRows::Higher(by) = &mut table.rows {
                by.retain(|name| stays(name));
            }
        }
        spec
    }

    /// The type of accounts, as far as the text alone says it: that of the first account column whose type is given,
    /// else text.
    pub fn accounts(&self) -> AccountType {
        self.tables.iter().find_map(RawTable::account_type).unwrap_or_default()
    }

    /// Whether the text alone says the type of an account column.
    pub(crate) fn gives_account_type(&self) -> bool {
        self.tables.iter().any(|table| table.account_type().is_some())
    }

    /// The first column beside a key that mentions accounts, as `table.column`, if there is one.
    pub(crate) fn mentions(&self) -> Option<String> {
        let named =
            |table: &RawTable| Some(format!("{}.{}", *table.name, **table.mentions.first()?));
        self.tables.iter().find_map(named)
    }

    /// The tables to which rows of others lead, each with the columns by which they do.
    pub(crate) fn led(&self) -> impl Iterator<Item = (&str, Vec<&ColumnPath>)> {
        self.tables.iter().filter_map(|table| {
            let columns = table.find.as_ref()?.columns().map(|path| &**path);
            let columns: Vec<&ColumnPath> = columns.collect();
            (!columns.is_empty()).then(|| (table.name.as_str(), columns))
        })
    }

    /// The tables to which nothing leads.
    pub(crate) fn scanned(&self) -> impl Iterator<Item = &str> {
        let is_scanned = |table: &&RawTable| matches!(table.find.as_deref(), Some(RawFind::Scan));
        self.tables.iter().filter(is_scanned).map(|table| table.name.as_str())
    }

    /// The SHA-256 of the text, in hexadecimal: specifications with the same text merge alike.
    pub(crate) fn sha256(&self) -> String {
        format!("{:x}", Sha256::digest(&self.text))
    }
}

impl RawTable {
    /// The type that the specification says the account's column has, or one that mentions accounts, if it says so.
    fn account_type(&self) -> Option<AccountType> {
        let mentions = self.mentions.iter().filter_map(|name| self.columns.get(&**name));
        let of = self.account_column().map(|(_, of)| of).into_iter().chain(mentions).next()?;
        AccountType::of(of)
    }

    /// Whether its rows are nobody's, and only mention accounts.
    pub(super) fn only_mentions(&self) -> bool {
        self.account.is_none() && !self.mentions.is_empty()
    }

    /// The account's column and the type that the specification says it has, if it says so.
    pub(super) fn account_column(&self) -> Option<(&At<String>, &At<CqlType>)> {
        let account = self.account.as_ref()?;
        Some((account, self.columns.get(&**account)?))
    }

    /// Something that is wrong with the table, as messages have it.
    pub(super) fn problem(&self, problem: impl fmt::Display) -> String {
        format!("table {}: {problem}", self.name)
    }
}

#[cfg(test)]
mod tests;
