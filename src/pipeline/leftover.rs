//! Rows that were left, with why; and those that no later look comes across again: they are kept in the journal before
//! their group is done, until they have been reported, so that a process that is killed takes none with it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::journal::{Journal, JournalError, LEFT_OF};
use crate::model::{AccountId, Group, TableIndex};
use crate::plan::Plan;

/// A row that was left on a source, or of the survivor and otherwise than the policies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// The source.
    pub account: AccountId,
    /// The surviving account.
    pub survivor: AccountId,
    /// The line of the source's pair in the input.
    pub line: u64,
    /// The table; `None` if the whole sweep of the group failed.
    pub table: Option<TableIndex>,
    /// The key of the row, in column order.
    pub key: Vec<Bytes>,
    /// Why it was left.
    pub why: String,
}

impl Leftover {
    /// A row that a source of a group led to.
    pub(super) fn of(
        group: &Group,
        source: usize,
        (table, key): (TableIndex, Vec<Bytes>),
        why: impl Into<String>,
    ) -> Self {
        let pair = &group.pairs[source];
        Self {
            account: pair.from.clone(),
            survivor: group.survivor.clone(),
            line: pair.line,
            table: Some(table),
            key,
            why: why.into(),
        }
    }

    pub(super) fn of_group(group: &Group, why: &str) -> Self {
        let pair = group.pairs.first();
        Self {
            account: pair.map_or_else(|| group.survivor.clone(), |pair| pair.from.clone()),
            survivor: group.survivor.clone(),
            line: pair.map_or(0, |pair| pair.line),
            table: None,
            key: Vec::new(),
            why: why.to_owned(),
        }
    }
}

/// One of them, as it is kept: its source, table and key, and why.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Kept(usize, Option<TableIndex>, Vec<String>, String);

impl Kept {
    fn of(group: &Group, row: &Leftover) -> Self {
        let source = group.pairs.iter().position(|pair| pair.from == row.account);
        let key = row.key.iter().map(|part| STANDARD.encode(part)).collect();
        Self(source.unwrap_or_default(), row.table, key, row.why.clone())
    }

    fn leftover(self, group: &Group) -> Result<Leftover, JournalError> {
        let Self(source, table, key, why) = self;
        let key = key.iter().map(|part| STANDARD.decode(part).map(Bytes::from));
        let key = key.collect::<Result<_, _>>();
        let key = key.map_err(|error| JournalError::of_group(group.index, error))?;
        if source >= group.pairs.len() {
            let what = format!("it has no source {source}");
            return Err(JournalError::of_group(group.index, what));
        }
        Ok(Leftover { table, ..Leftover::of(group, source, (0, key), why) })
    }
}

/// Keeps rows of a group until they are [reported](reported).
///
/// # Errors
/// They are not kept.
pub(super) fn keep(
    journal: &dyn Journal,
    group: &Group,
    rows: &[Leftover],
) -> Result<(), JournalError> {
    if rows.is_empty() {
        return Ok(());
    }
    let name = format!("{LEFT_OF}{}", group.index);
    let mut kept: Vec<Kept> = match journal.meta(&name)? {
        Some(text) => read(group.index, &text)?,
        None => Vec::new(),
    };
    for row in rows {
        let row = Kept::of(group, row);
        if !kept.contains(&row) {
            kept.push(row);
        }
    }
    let text = serde_json::to_string(&kept);
    let text = text.map_err(|error| JournalError::of_group(group.index, error))?;
    journal.set_meta(&name, &text)
}

/// All rows that are kept.
///
/// # Errors
/// The journal cannot be read.
pub fn kept(journal: &dyn Journal, plan: &Plan) -> Result<Vec<Leftover>, JournalError> {
    let mut rows = Vec::new();
    for (name, text) in journal.metas(LEFT_OF)? {
        let number = name[LEFT_OF.len()..].parse().unwrap_or(usize::MAX);
        let group = (number < plan.len()).then(|| plan.group(number));
        let group = group.ok_or_else(|| JournalError::of_group(number, "it is not planned"))?;
        for row in read(number, &text)? {
            rows.push(row.leftover(&group)?);
        }
    }
    Ok(rows)
}

/// They have been reported, and are not kept any longer.
///
/// # Errors
/// They will be reported again.
pub fn reported(journal: &dyn Journal) -> Result<(), JournalError> {
    let kept = journal.metas(LEFT_OF)?.into_iter().filter(|(_, text)| !text.is_empty());
    kept.into_iter().try_for_each(|(name, _)| journal.set_meta(&name, ""))
}

fn read(group: usize, text: &str) -> Result<Vec<Kept>, JournalError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|error| JournalError::of_group(group, error))
}
