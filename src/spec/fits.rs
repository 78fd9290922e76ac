//! Which types fit what a specification does with a column, whoever says the type: the text, or the live schema.

use strum::VariantNames;

use super::fault::At;
use super::raw::ColumnPath;
use super::schema::{ColumnKind, ColumnSchema};
use super::{Column, Policy};
use crate::model::{AccountType, CqlType};

/// Why a policy does not fit a column of this type, if it does not.
pub(super) fn misfit(policy: &dyn Policy, column: &str, of: &CqlType) -> Option<String> {
    let wanted = policy.wants(of)?;
    Some(format!(
        "the policy \"{}\" does not fit column {column} of type {of}: it needs {wanted}; {} would do",
        policy.name(),
        super::policy::fitting(of)
            .map(|fits| format!("{:?}", fits.name()))
            .collect::<Vec<_>>()
            .join(" or "),
    ))
}

/// Why a column of the primary key can have no policy.
pub(super) fn in_key(column: &str) -> String {
    format!(
        "column {column} is part of the primary key, which a policy cannot change: leave it out"
    )
}

/// Why a column cannot name the account a second time, beside the one that does and of its type.
pub(super) fn not_named_twice(
    found: &ColumnSchema,
    (account, of): (&At<String>, AccountType),
) -> Option<String> {
    match found.kind {
        _ if found.name == **account => Some(
            "is the account itself: the other column of the key that names one is meant".into(),
        ),
        ColumnKind::Regular | ColumnKind::Static => Some(
            "is no part of the primary key: it is about rows whose key names two accounts".into(),
        ),
        _ if AccountType::of(&found.cql_type) != Some(of) => {
            Some(format!("is of type {}, and not of the account's", found.cql_type))
        }
        _ => None,
    }
}

/// The type of accounts that a column holds.
///
/// # Errors
/// It can hold none.
pub(super) fn account_type(column: &str, of: &CqlType) -> Result<AccountType, String> {
    AccountType::of(of).ok_or_else(|| {
        format!(
            "the account column {column} is of type {of}; accounts can be of type {}",
            AccountType::VARIANTS.join(", ")
        )
    })
}

/// Why a column cannot get the values of another table's column, if it cannot; `whose` is that one, and what it is to this one.
pub(super) fn other_type(
    column: &Column,
    (path, whose): (&ColumnPath, &str),
    theirs: &CqlType,
) -> Option<String> {
    let (own, name) = (&column.cql_type, &column.name);
    let differs = || format!("{name} is of type {own}, but {path}, {whose}, is of type {theirs}");
    (own != theirs).then(differs)
}

/// An account is one value in all tables, of the stricter of two types that hold the same bytes.
#[derive(Debug, Default)]
pub(super) struct OneType<'a>(Option<(AccountType, &'a str)>);

impl<'a> OneType<'a> {
    /// A further table, whose accounts are of this type.
    ///
    /// # Errors
    /// Those of a table before are of another one.
    pub(super) fn add(&mut self, of: AccountType, table: &'a str) -> Result<(), String> {
        use AccountType::{Ascii, Text, TimeUuid, Uuid};
        let Some((known, first)) = self.0 else {
            self.0 = Some((of, table));
            return Ok(());
        };
        match (known, of) {
            (Text | Ascii, Ascii) | (Uuid | TimeUuid, TimeUuid) => self.0 = Some((of, table)),
            (Ascii, Text) | (TimeUuid, Uuid) => {}
            _ if known == of => {}
            _ => {
                return Err(format!(
                    "its account column is of type {of}, but that of {first} is of type {known}; an account has to \
                     be one value in all tables of a specification"
                ));
            }
        }
        Ok(())
    }

    /// The type; text where there was no table.
    pub(super) fn get(&self) -> AccountType {
        self.0.map_or_else(AccountType::default, |(of, _)| of)
    }
}
