//! Runs that exist already: taken up by one process at a time, or only looked at.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::{Failures, RunDir, RunError, RunRecord, create, files, lock, sync_dir};

/// The last line of a log is looked for within this many bytes of its end.
const LAST_LINE_BYTES: u64 = 1 << 20;

impl RunDir {
    /// Takes up a run that was applied, for this process alone.
    ///
    /// # Errors
    /// There is no such run, it was only planned, this version does not understand it, or another
    /// process has it.
    pub(crate) fn open(path: &Path) -> Result<(Self, RunRecord), RunError> {
        let record = Self::record(path)?;
        if record.is_plan() {
            return Err(record.only_planned(path));
        }
        // Absolute, so that the commands that are told work from anywhere.
        let absolute = fs::canonicalize(path).map_err(|cause| unreadable(path, &cause))?;
        let lock = lock(&absolute, path)?;
        Ok((Self { path: absolute, _lock: lock }, record))
    }

    /// What ran, without taking the run up: another process may be working on it.
    pub(crate) fn record(path: &Path) -> Result<RunRecord, RunError> {
        let not_a_run = |what| RunError::NotARun { path: path.to_path_buf(), what };
        match fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(RunError::Missing { path: path.to_path_buf() });
            }
            Err(cause) => return Err(unreadable(path, &cause)),
            Ok(metadata) if !metadata.is_dir() => return Err(not_a_run("it is not a directory")),
            Ok(_) => {}
        }
        let file = path.join(files::RUN);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(not_a_run("it has no run.json"));
            }
            Err(cause) => return Err(unreadable(&file, &cause)),
        };
        RunRecord::read(&text).map_err(|what| RunError::Unusable { path: file, what })
    }

    /// Reads a whole file as text.
    #[cfg(test)]
    pub(crate) fn read(&self, name: &str) -> Result<String, RunError> {
        let path = self.file(name);
        fs::read_to_string(&path).map_err(|cause| unreadable(&path, &cause))
    }

    /// Begins failures.csv anew; until then the one before is there.
    pub(crate) fn failures(&self) -> Result<Failures, RunError> {
        let (path, beside) = (self.file(files::FAILURES), self.beside(files::FAILURES));
        let failed = |cause| RunError::Write { path: path.clone(), cause };
        let failures = Failures::begin(create(&beside).map_err(failed)?, path.clone())?;
        fs::rename(&beside, &path).and_then(|()| sync_dir(&self.path)).map_err(failed)?;
        Ok(failures)
    }

    /// Opens a file of lines to write on at its end. A last line that was cut off is taken away.
    pub(crate) fn append(&self, name: &str) -> Result<File, RunError> {
        let path = self.file(name);
        let opened = create_or_keep(&path).and_then(|mut file| {
            let end = end_of_lines(&mut file)?;
            file.set_len(end)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        });
        opened.map_err(|cause| RunError::Write { path, cause })
    }
}

/// The copy of a run's input, as it came.
pub(crate) fn copy_of_pairs(run: &Path) -> Result<PathBuf, RunError> {
    let plain = run.join(files::PAIRS);
    let entries = fs::read_dir(run).into_iter().flatten().filter_map(Result::ok);
    let is_copy = |name: &str| {
        let ending = name.strip_prefix(files::PAIRS);
        ending.is_some_and(|ending| ending.is_empty() || ending.starts_with('.'))
    };
    let mut copies = entries.filter(|file| file.file_name().to_str().is_some_and(is_copy));
    copies.next().map(|copy| copy.path()).ok_or_else(|| RunError::Unusable {
        path: plain,
        what: "the run's copy of the pairs is gone".to_owned(),
    })
}

fn unreadable(path: &Path, cause: &io::Error) -> RunError {
    RunError::Unusable { path: path.to_path_buf(), what: cause.to_string() }
}

fn create_or_keep(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Where the last whole line ends.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(LAST_LINE_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let end = tail.iter().rposition(|byte| *byte == b'\n').map(|at| start + at as u64 + 1);
    // A longer line is nothing that was cut off.
    Ok(end.unwrap_or(if start == 0 { 0 } else { length }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::moment::Moment;
    use crate::run::{InputRecord, RunId, check_alone};

    fn run(command: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let id = RunId::new(Moment::now());
        let input = InputRecord { path: "-".into(), file: None, sha256: "ab".into(), bytes: 3 };
        let record =
            RunRecord::new(id.clone(), command, Moment::now(), input, serde_json::json!({}));
        let prepared = RunDir::prepare(Some(&path), &id).unwrap();
        prepared.write_json(files::RUN, &record).unwrap();
        prepared.commit().unwrap();
        (folder, path)
    }

    #[test]
    fn a_run_belongs_to_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let prepared = RunDir::prepare(Some(&path), &RunId::new(Moment::now())).unwrap();
        let (_folder, applied) = run("apply");
        fs::copy(applied.join(files::RUN), prepared.file(files::RUN)).unwrap();
        let first = prepared.commit().unwrap();
        let locked = RunDir::open(&path).unwrap_err();
        assert!(matches!(&locked, RunError::Locked { .. }), "{locked}");
        RunDir::record(&path).unwrap();
        drop(first);
        let (second, record) = RunDir::open(&path).unwrap();
        assert_eq!(record.command, "apply");
        assert!(second.path().is_absolute());
    }

    #[test]
    fn a_run_that_is_at_work_elsewhere_is_told_from_one_that_was_moved_copied_or_has_died() {
        let ((_first, original), (_second, other)) = (run("apply"), run("apply"));
        let copied = original.parent().unwrap().join("copied");
        fs::create_dir(&copied).unwrap();
        for name in [files::RUN, files::LOCK] {
            fs::copy(original.join(name), copied.join(name)).unwrap();
        }
        let at_work = RunDir::open(&original).unwrap();
        let of_copy = RunDir::open(&copied).unwrap();
        let elsewhere = check_alone(&copied, &original).unwrap_err();
        assert!(matches!(elsewhere, RunError::LockedElsewhere { .. }), "{elsewhere}");
        // Under another name, too, it is itself; and another run may be at work, as where this one was before.
        check_alone(&original, &original.join("../run")).unwrap();
        check_alone(&other, &original).unwrap();
        check_alone(&original, Path::new("/nowhere")).unwrap();
        drop(at_work);
        check_alone(&copied, &original).unwrap();
        drop(of_copy);
    }

    #[test]
    fn what_is_no_applied_run_is_told_apart() {
        let (folder, planned) = run("plan");
        let message = |path: &Path| RunDir::open(path).unwrap_err().to_string();
        assert!(message(&planned).contains("only planned"), "{}", message(&planned));
        let missing = message(&folder.path().join("nowhere"));
        assert!(missing.starts_with("there is no run directory "), "{missing}");
        assert!(message(folder.path()).ends_with(" is not a run: it has no run.json"));
        assert!(message(&planned.join(files::RUN)).ends_with("it is not a directory"));
        let (_folder, damaged) = run("apply");
        for (text, expected) in [
            ("{", "run.json: it is not what this program writes (EOF"),
            ("{\"version\": 99}", "another version of tributary (format 99"),
            ("{\"version\": 2}", "missing field"),
        ] {
            fs::write(damaged.join(files::RUN), text).unwrap();
            assert!(message(&damaged).contains(expected), "{}", message(&damaged));
        }
    }

    #[test]
    fn files_of_lines_are_written_on_and_failures_begin_anew() {
        let (_folder, path) = run("apply");
        let (run, _) = RunDir::open(&path).unwrap();
        for (before, after) in [("", "x"), ("one\ntwo", "one\nx"), ("one\ntwo\n", "one\ntwo\nx")] {
            fs::write(run.file(files::LATENCY), before).unwrap();
            run.append(files::LATENCY).unwrap().write_all(b"x").unwrap();
            assert_eq!(run.read(files::LATENCY).unwrap(), after);
        }
        for _ in 0..2 {
            let mut failures = run.failures().unwrap();
            failures.append(&[], "nothing").unwrap();
            assert_eq!(run.read(files::FAILURES).unwrap(), "from,to,line,reason\n");
            fs::write(run.file(files::FAILURES), "from,to,line,reason\na,b,2,x\n").unwrap();
        }
        assert!(copy_of_pairs(&path).unwrap_err().to_string().contains("pairs.csv"));
        fs::write(run.file("pairs.csv.gz"), "").unwrap();
        assert_eq!(copy_of_pairs(run.path()).unwrap(), run.file("pairs.csv.gz"));
    }
}
