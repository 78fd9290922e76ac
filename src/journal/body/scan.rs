//! What a scan has found in a token range: table, `(scope, groups)…`.

use bytes::Bytes;

use crate::model::{Scope, TableIndex};

use super::{Codec, read_scope, write_scope};

/// A scope, and the groups of whose sources it holds a row.
pub(crate) type FoundIn = (Scope, Vec<u32>);

impl Codec {
    /// What was found in a range of a table.
    pub(crate) fn encode_found(&self, table: TableIndex, found: &[FoundIn]) -> Vec<u8> {
        let mut out = self.begin(64);
        out.number(table);
        out.list(found, |out, (scope, groups)| {
            write_scope(out, scope);
            out.list(groups, |out, group| out.number(*group as usize));
        });
        out.finish()
    }

    /// What was found, with its table.
    ///
    /// # Errors
    /// As with [`decode`](Self::decode).
    pub(crate) fn decode_found(&self, found: &Bytes) -> Result<(TableIndex, Vec<FoundIn>), String> {
        self.read(found, |reader, present| {
            let table = present.table(reader.number()?)?;
            let found = reader.list(|reader| {
                let scope = read_scope(reader, table)?;
                let groups = reader.list(|reader| {
                    let group = reader.number()?;
                    u32::try_from(group).map_err(|_| format!("{group} is no group"))
                })?;
                Ok((scope, groups))
            })?;
            Ok((table.index, found))
        })
    }
}
