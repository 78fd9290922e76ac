//! diff.csv: everything that is not as the run left it, one line each.
//!
//! Lines of a group are written together when it ends; only a group of very many writes some before.
//! [`Checkpoint`](super::progress) remembers up to where the file belongs to groups that are over, so that
//! whatever a killed process wrote beyond that is cut off by the next.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::{CqlType, Group, TableIndex};
use crate::readable;
use crate::spec::{Spec, Table};

use super::judge::{Judgement, Value};

/// The columns of a line that is about a cell, behind its verdict.
pub(crate) const CELL_COLUMNS: [&str; 10] = [
    "table",
    "account",
    "key",
    "column",
    "expected",
    "found",
    "found_written_at",
    "from",
    "to",
    "line",
];

/// The file.
#[derive(Debug)]
pub(super) struct Diff {
    path: PathBuf,
    file: File,
    bytes: u64,
}

/// It cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {cause}", path.display())]
pub struct DiffError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub(crate) cause: io::Error,
}

impl Diff {
    /// Begins the file anew.
    pub(super) fn begin(path: &Path) -> Result<Self, DiffError> {
        let mut header = Vec::new();
        record(&mut header, ["verdict"].into_iter().chain(CELL_COLUMNS));
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = file.map_err(|cause| DiffError { path: path.to_owned(), cause })?;
        let mut diff = Self { path: path.to_owned(), file, bytes: 0 };
        diff.append(&header)?;
        Ok(diff)
    }

    /// Goes on behind the first `bytes` bytes; what stands behind them is cut off. `None` if the file does not
    /// have as many.
    pub(super) fn resume(path: &Path, bytes: u64) -> Result<Option<Self>, DiffError> {
        let of = |cause| DiffError { path: path.to_owned(), cause };
        let mut file = match OpenOptions::new().write(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(of)?,
        };
        if file.metadata().map_err(of)?.len() < bytes {
            return Ok(None);
        }
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(of)?;
        Ok(Some(Self { path: path.to_owned(), file, bytes }))
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), DiffError> {
        self.bytes += lines.len() as u64;
        self.file.write_all(lines).map_err(|cause| self.error(cause))
    }

    /// Makes what was appended durable; gives the file's length in bytes.
    pub(super) fn sync(&mut self) -> Result<u64, DiffError> {
        self.file.sync_all().map_err(|cause| self.error(cause))?;
        Ok(self.bytes)
    }

    fn error(&self, cause: io::Error) -> DiffError {
        DiffError { path: self.path.clone(), cause }
    }
}

/// Appends the line of one finding.
pub(super) fn line(
    lines: &mut Vec<u8>,
    spec: &Spec,
    group: &Group,
    (index, key): (TableIndex, &[bytes::Bytes]),
    finding: &Judgement,
    first_source: usize,
) {
    let table = &spec.tables[index];
    let pair = &group.pairs[finding.source.unwrap_or(first_source)];
    let account = match finding.source {
        Some(_) => &pair.from,
        None => &group.survivor,
    };
    let column = match (finding.column, &finding.element) {
        (None, _) => String::new(),
        (Some(column), None) => table.columns[column].name.clone(),
        (Some(column), Some(element)) => {
            let column = &table.columns[column];
            format!("{}[{}]", column.name, readable::element(&column.cql_type, element))
        }
    };
    let fields = [
        &*finding.verdict.to_string(),
        &table.label(),
        &*account.text(),
        &readable::key(table, key),
        &column,
        &shown(table, finding, &finding.expected),
        &shown(table, finding, &finding.found),
        &finding.found_at.map(readable::write_time).unwrap_or_default(),
        &pair.from.text(),
        &pair.into.text(),
        &pair.line.to_string(),
    ];
    record(lines, fields);
}

fn shown(table: &Table, finding: &Judgement, value: &Value) -> String {
    let cql_type = finding.column.map_or(&CqlType::Blob, |column| &table.columns[column].cql_type);
    match value {
        Value::Nothing => String::new(),
        Value::Row(row) => readable::row(table, row),
        Value::OwnRow => "a row of its own".into(),
        Value::BareRow => "only its key".into(),
        Value::Cell(cell) => readable::cell(cql_type, cell),
        Value::Element(None) => "in the set".into(),
        Value::Element(Some(value)) => readable::value_in(cql_type, value),
    }
}

fn record<'a>(lines: &mut Vec<u8>, fields: impl IntoIterator<Item = &'a str>) {
    let mut writer = csv::Writer::from_writer(lines);
    // Memory can always be written.
    let _ = writer.write_record(fields);
    let _ = writer.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_wrote_beyond_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("diff.csv");
        let mut diff = Diff::begin(&path).unwrap();
        diff.append(b"one\n").unwrap();
        let bytes = diff.sync().unwrap();
        diff.append(b"two\n").unwrap();
        drop(diff);
        let mut diff = Diff::resume(&path, bytes).unwrap().unwrap();
        diff.append(b"three\n").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("verdict,table,") && text.ends_with("\none\nthree\n"), "{text}");
        assert!(Diff::resume(&path, bytes + 100).unwrap().is_none(), "it is not that file");
        assert!(Diff::resume(&folder.path().join("none"), 0).unwrap().is_none());
    }
}
