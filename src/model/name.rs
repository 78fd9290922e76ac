//! Names in CQL: of keyspaces, tables, columns, types and roles.

/// Whether a name can be written without quotes.
pub(super) fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}

/// A name as stored, whatever its case.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as somebody writes it in CQL.
pub(crate) fn written(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { quoted(name) }
}
