//! What a run directory says of one account, taken out of its files.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{RunDir, RunError, copy_of_pairs, files, sync_dir};

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

/// How the name of a copy ends that came compressed.
const GZIP: &str = "gz";

/// What was erased of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ErasedFiles {
    /// Lines, over all files.
    pub(crate) lines: u64,
    /// The names of reports that are gone as a whole.
    pub(crate) reports: Vec<String>,
}

impl RunDir {
    /// Takes out every line that names an account in one of its spellings, of all files but the journal, and every report
    /// that does.
    ///
    /// # Errors
    /// A file cannot be read or written; what is done by then stays done.
    pub(crate) fn erase(&self, spellings: &[String]) -> Result<ErasedFiles, RunError> {
        let mut erased = ErasedFiles::default();
        for name in OF_LINES {
            let Some(text) = self.bytes(name)? else { continue };
            let (kept, lines) = without(&text, spellings);
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
        erased.lines += self.erase_pairs(spellings)?;
        Ok(erased)
    }

    /// The same of the copy of the pairs, plain or compressed.
    fn erase_pairs(&self, spellings: &[String]) -> Result<u64, RunError> {
        let path = copy_of_pairs(self.path())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let failed = |cause| RunError::Write { path: path.clone(), cause };
        // None, or one: the name of the plain copy ends as well.
        let packing = name.strip_prefix(files::PAIRS).and_then(|ending| ending.strip_prefix('.'));
        let is_packed = packing.is_some();
        if packing.is_some_and(|ending| ending != GZIP) {
            let what = "cannot be looked through, packed as it is: take the lines of the account out by hand".to_owned();
            return Err(RunError::Unusable { path, what });
        }
        let Some(mut text) = self.bytes(&name)? else { return Ok(0) };
        if is_packed {
            let packed = std::mem::take(&mut text);
            MultiGzDecoder::new(&packed[..]).read_to_end(&mut text).map_err(failed)?;
        }
        let (mut kept, lines) = without(&text, spellings);
        if lines > 0 {
            if is_packed {
                kept = packed(&kept).map_err(failed)?;
            }
            self.replace(&name, &kept)?;
        }
        Ok(lines)
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

fn packed(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text)?;
    packed.finish()
}

/// The lines that do not name the account, and how many do.
fn without(text: &[u8], spellings: &[String]) -> (Vec<u8>, u64) {
    let mut kept = Vec::with_capacity(text.len());
    let mut erased = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if names(line, spellings) {
            erased += 1;
        } else {
            kept.extend_from_slice(line);
        }
    }
    (kept, erased)
}

/// Whether a text names an account, as a word of its own; the case of letters does not count.
fn names(text: &[u8], spellings: &[String]) -> bool {
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
        run.replace(files::REJECTS, b"from,to\nann,x\nb,c\n").unwrap();
        run.replace(files::LOG, b"one\ngroup of ann failed\n").unwrap();
        run.replace(files::REPORT, b"{\"from\": \"ann\"}").unwrap();
        run.replace(files::VERIFY, b"{\"from\": \"b\"}").unwrap();
        run.replace("pairs.csv.gz", &packed(b"from,to\nann,x\nb,c\n").unwrap()).unwrap();
        let erased = run.erase(&["ann".to_owned()]).unwrap();
        assert_eq!(erased, ErasedFiles { lines: 3, reports: vec![files::REPORT.to_owned()] });
        assert_eq!(run.read(files::REJECTS).unwrap(), "from,to\nb,c\n");
        assert!(!run.file(files::REPORT).exists() && run.file(files::VERIFY).exists());
        let mut text = String::new();
        let pairs = fs::read(run.file("pairs.csv.gz")).unwrap();
        MultiGzDecoder::new(&pairs[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "from,to\nb,c\n");
        assert_eq!(run.erase(&["ann".to_owned()]).unwrap(), ErasedFiles::default());
        // What cannot be read must not pass for a copy in which nobody is named.
        fs::rename(run.file("pairs.csv.gz"), run.file("pairs.csv.zst")).unwrap();
        let error = run.erase(&["ann".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("pairs.csv.zst") && error.contains("by hand"), "{error}");
    }
}
