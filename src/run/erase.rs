//! What a run directory says of one account, taken out of its files.

use std::fs;
use std::io::ErrorKind;

use super::{RunDir, RunError, files, sync_dir};

/// Files of lines, each of which is about one pair or one event.
const OF_LINES: [&str; 8] = [
    files::REJECTS,
    files::REFUSED,
    files::FOLLOWED,
    files::FAILURES,
    files::SWEEP,
    files::DIFF,
    files::CONFLICTS,
    files::LOG,
];

/// Files that can be made again, or done without.
const REPORTS: [&str; 6] = [
    files::REPORT,
    files::REPORT_PAGE,
    files::VERIFY,
    files::VERIFY_PAGE,
    files::UNDO,
    files::UNDO_PAGE,
];

/// What was erased of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErasedFiles {
    /// Lines, over all files.
    pub(crate) lines: u64,
    /// The names of reports that are gone as a whole.
    pub(crate) reports: Vec<String>,
}

impl RunDir {
    /// Takes out every line that names an account in one of its spellings, of all files but the journal and the copy of the
    /// pairs, and every report that does.
    ///
    /// # Errors
    /// A file cannot be read or written; what is done by then stays done.
    pub(crate) fn erase(&self, spellings: &[String]) -> Result<ErasedFiles, RunError> {
        let mut erased = ErasedFiles::default();
        for name in OF_LINES {
            let Some(text) = self.bytes(name)? else { continue };
            let (kept, lines) = without(&text, name.ends_with(".csv"), spellings);
            if lines > 0 {
                self.replace(name, &kept)?;
                erased.lines += lines;
            }
        }
        for name in REPORTS {
            if self.bytes(name)?.is_some_and(|text| names(&text, spellings)) {
                let path = self.file(name);
                let removed = fs::remove_file(&path).and_then(|()| sync_dir(self.path()));
                removed.map_err(|cause| RunError::Write { path, cause })?;
                erased.reports.push(name.to_owned());
            }
        }
        Ok(erased)
    }

    fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, RunError> {
        match fs::read(self.file(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(cause) => {
                let (path, what) = (self.file(name), cause.to_string());
                Err(RunError::Unusable { path, what })
            }
        }
    }
}

/// The records that do not name the account, and how many do. One of a CSV may have line breaks within quotes; elsewhere it is
/// a line.
fn without(text: &[u8], is_csv: bool, spellings: &[String]) -> (Vec<u8>, u64) {
    let mut kept = Vec::with_capacity(text.len());
    let (mut erased, mut is_quoted) = (0, false);
    for line in text.split_inclusive(|byte| {
        is_quoted ^= is_csv && *byte == b'"';
        *byte == b'\n' && !is_quoted
    }) {
        if names(line, spellings) {
            erased += 1;
        } else {
            kept.extend_from_slice(line);
        }
    }
    (kept, erased)
}

/// Whether a text names an account, as a word of its own; the case of letters does not count.
pub(crate) fn names(text: &[u8], spellings: &[String]) -> bool {
    spellings.iter().any(|id| {
        let id = id.as_bytes();
        let mut at = 0;
        while let Some(window) = text.get(at..at + id.len()) {
            if window.eq_ignore_ascii_case(id)
                && !goes_on(text[..at].iter().rev())
                && !goes_on(text[at + id.len()..].iter())
            {
                return true;
            }
            at += 1;
        }
        false
    })
}

/// Whether an id goes on with these bytes, so that it is another one.
fn goes_on<'b>(mut beyond: impl Iterator<Item = &'b u8>) -> bool {
    let is_of_id =
        |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || b"-_@".contains(byte);
    match beyond.next() {
        // A sentence ends with it, too.
        Some(b'.' | b'+') => beyond.next().is_some_and(is_of_id),
        Some(byte) => is_of_id(byte),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::RunId;

    #[test]
    fn lines_go_that_name_the_account_and_no_others() {
        let spellings = ["Ann".to_owned()];
        for (line, is_named) in [
            ("ann,b,2,x", true),
            ("b,\"Ann\",3", true),
            ("merged into 'ann'.", true),
            ("it was ann.", true),
            ("anna,b", false),
            ("ann@x.org,b", false),
            ("ann.smith,b", false),
            ("x-ann,b", false),
        ] {
            assert_eq!(names(line.as_bytes(), &spellings), is_named, "{line}");
        }
    }

    #[test]
    fn all_files_of_a_run_are_looked_through() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let id = RunId::from_text("r1");
        let run = RunDir::prepare(Some(&path), &id).unwrap().commit().unwrap();
        run.replace(files::REJECTS, b"from,to,original\nann,x,\n,,\"y\n\"\"ann\"\"\nz\"\nb,c,\n")
            .unwrap();
        run.replace(files::LOG, b"one\"\ngroup of ann failed\n").unwrap();
        run.replace(files::REPORT, b"{\"from\": \"ann\"}").unwrap();
        run.replace(files::VERIFY, b"{\"from\": \"b\"}").unwrap();
        let erased = run.erase(&["ann".to_owned()]).unwrap();
        assert_eq!(erased, ErasedFiles { lines: 3, reports: vec![files::REPORT.to_owned()] });
        assert_eq!(run.read(files::REJECTS).unwrap(), "from,to,original\nb,c,\n");
        assert!(!run.file(files::REPORT).exists() && run.file(files::VERIFY).exists());
        assert_eq!(run.erase(&["ann".to_owned()]).unwrap(), ErasedFiles::default());
    }
}
