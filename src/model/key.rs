//! Keys without the account in them: what the rows of several accounts have in common.

use std::fmt;

use bytes::Bytes;

/// A partition key without the account's column: the values of the other columns, in key order.
///
/// Where the account is the whole partition key, the scope is empty; of `((tenant, user), …)` it is the tenant; where
/// the account is a clustering column, it is the whole partition key.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Vec<Bytes>);

impl Scope {
    /// A scope of these values.
    pub fn new(values: impl IntoIterator<Item = Bytes>) -> Self {
        Self(values.into_iter().collect())
    }

    /// The values, in key order.
    pub fn values(&self) -> &[Bytes] {
        &self.0
    }

    /// The same, copied out of the page that it was read in, which would otherwise live as long.
    pub(crate) fn detached(&self) -> Self {
        Self(self.0.iter().map(|value| Bytes::copy_from_slice(value)).collect())
    }

    /// One value for all: the only one as it is; of several, each behind its length.
    pub(crate) fn joined(&self) -> Bytes {
        match self.0.as_slice() {
            [only] => only.clone(),
            values => {
                let mut joined = Vec::new();
                for value in values {
                    joined.extend_from_slice(&(value.len() as u64).to_be_bytes());
                    joined.extend_from_slice(value);
                }
                joined.into()
            }
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl From<Bytes> for Scope {
    /// The scope of a table with one such column.
    fn from(value: Bytes) -> Self {
        Self(vec![value])
    }
}
