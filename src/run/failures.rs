//! failures.csv: the pairs of the groups that failed, in a form that can be applied again.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::model::Pair;

use super::RunError;

/// Appends to failures.csv (`from,to,line,reason`) as groups fail: one row per pair of the group, its
/// accounts in their usual spelling, so that the same groups come out when the file is fed back in.
#[derive(Debug)]
pub(crate) struct Failures {
    out: csv::Writer<File>,
    path: PathBuf,
}

impl Failures {
    /// Begins the file; its header is written at once.
    pub(super) fn begin(file: File, path: PathBuf) -> Result<Self, RunError> {
        let mut failures = Self { out: csv::Writer::from_writer(file), path };
        let begun = failures.out.write_record(["from", "to", "line", "reason"]);
        failures.finish(begun)?;
        Ok(failures)
    }

    /// Appends the pairs of one group and flushes, so that a kill loses nothing that was told.
    pub(crate) fn append(&mut self, pairs: &[Pair], reason: &str) -> Result<(), RunError> {
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let appended = pairs.iter().try_for_each(|pair| {
            let line = pair.line.to_string();
            self.out.write_record([&*pair.from.text(), &*pair.into.text(), &line, &reason])
        });
        self.finish(appended)
    }

    fn finish(&mut self, written: csv::Result<()>) -> Result<(), RunError> {
        written
            .map_err(io::Error::from)
            .and_then(|()| self.out.flush())
            .map_err(|cause| RunError::Write { path: self.path.clone(), cause })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::model::{AccountId, AccountType};
    use crate::moment::Moment;
    use crate::run::{RunDir, RunId, files};

    #[test]
    fn failed_pairs_are_on_disk_at_once_and_quoted_where_needed() {
        let dir = std::env::temp_dir().join(RunId::new(Moment::now()).as_str());
        let prepared = RunDir::prepare(Some(&dir), &RunId::new(Moment::now())).unwrap();
        let mut failures = prepared.failures().unwrap();
        let run = prepared.commit().unwrap();
        let read = || fs::read_to_string(run.file(files::FAILURES)).unwrap();
        assert_eq!(read(), "from,to,line,reason\n");
        let pair = |from: &str, into: &str, line| Pair {
            from: AccountId::new(from),
            into: AccountId::new(into),
            line,
        };
        failures
            .append(&[pair("b", "c", 3), pair("a, \"x\"", "b", 2)], "timed out\n after 3 tries")
            .unwrap();
        assert_eq!(
            read(),
            "from,to,line,reason\nb,c,3,timed out after 3 tries\n\
             \"a, \"\"x\"\"\",b,2,timed out after 3 tries\n"
        );
        let spelt = "{4AA7F1C0-0000-4000-8000-00000000ABCD}";
        let id = |of, id| AccountId::parse(of, id).unwrap();
        for (of, from, into) in
            [(AccountType::Uuid, spelt, spelt), (AccountType::Int, "007", "-07")]
        {
            failures
                .append(&[Pair { from: id(of, from), into: id(of, into), line: 2 }], "x")
                .unwrap();
        }
        assert!(
            read().ends_with(
                "\n4aa7f1c0-0000-4000-8000-00000000abcd,4aa7f1c0-0000-4000-8000-00000000abcd,2,x\n\
                 7,-7,2,x\n"
            ),
            "{}",
            read()
        );
        fs::remove_dir_all(&dir).unwrap();
    }
}
