//! A run directory in the making: hidden, beside its path, gone if it is not committed.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Failures, RunDir, RunError, RunId, create, files, lock, sync_dir};

/// A leftover is taken away only if nobody touched it for this long: the process ids of another
/// container that shares the directory mean nothing here.
const LEFTOVER_AGE: Duration = Duration::from_secs(60 * 60);

/// A run directory that is being prepared. Dropped without [`Prepared::commit`] it leaves no trace.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Where the files are now.
    staging: PathBuf,
    /// Where they will be.
    target: PathBuf,
    /// Parents that had to be made, deepest first.
    made: Vec<PathBuf>,
    committed: bool,
}

impl Prepared {
    pub(super) fn beside(dir: &Path) -> Result<Self, RunError> {
        let target = suitable(dir)?;
        let parent = target.parent().unwrap_or(Path::new("/")).to_path_buf();
        let name = target.file_name().unwrap_or(OsStr::new("run")).to_string_lossy().into_owned();
        let made = missing_parents(&parent);
        // Nothing of it has to be kept if it fails half way.
        let mut prepared = Self { staging: PathBuf::new(), target, made, committed: false };
        fs::create_dir_all(&parent).map_err(|cause| prepared.not_created(cause))?;
        clear_leftovers(&parent, &name);
        for attempt in 0.. {
            let suffix = if attempt == 0 { String::new() } else { format!("-{attempt}") };
            let staging = parent.join(format!(".{name}.partial-{}{suffix}", process::id()));
            match DirBuilder::new().mode(0o700).create(&staging) {
                Ok(()) => {
                    prepared.staging = staging;
                    break;
                }
                // Left by a killed process that had our id, as happens in containers.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 100 => {}
                Err(cause) => return Err(prepared.not_created(cause)),
            }
        }
        Ok(prepared)
    }

    /// Where the run directory will be.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The path of one of its files for now; after the commit ask [`RunDir::file`].
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.staging.join(name)
    }

    /// Makes one of its files. The handle stays valid after the commit.
    pub(crate) fn create(&self, name: &str) -> Result<File, RunError> {
        create(&self.file(name)).map_err(|cause| self.not_written(name, cause))
    }

    /// Makes one of its files with this content.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), RunError> {
        self.create(name)?.write_all(content).map_err(|cause| self.not_written(name, cause))
    }

    /// Makes one of its files with this value as JSON.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        let mut json = serde_json::to_vec_pretty(value)
            .map_err(|error| self.not_written(name, error.into()))?;
        json.push(b'\n');
        self.write(name, &json)
    }

    /// Begins failures.csv.
    pub(crate) fn failures(&self) -> Result<Failures, RunError> {
        Failures::begin(self.create(files::FAILURES)?, self.target.join(files::FAILURES))
    }

    /// Makes everything durable and moves it into place.
    pub(crate) fn commit(mut self) -> Result<RunDir, RunError> {
        let path = self.target.clone();
        // Before anybody can see the run; a lock goes with the file, not with its name.
        let lock = lock(&self.staging, &path)?;
        self.sync().map_err(|cause| RunError::Write { path: path.clone(), cause })?;
        fs::rename(&self.staging, &path).map_err(|cause| match cause.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => {
                RunError::Exists { path: path.clone() }
            }
            _ => self.not_created(cause),
        })?;
        self.committed = true;
        let parents = self.made.iter().map(PathBuf::as_path).chain([path.as_path()]);
        parents
            .filter_map(Path::parent)
            .try_for_each(sync_dir)
            .map_err(|cause| RunError::Write { path: path.clone(), cause })?;
        Ok(RunDir { path, _lock: lock })
    }

    fn sync(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.staging)? {
            File::open(entry?.path())?.sync_all()?;
        }
        sync_dir(&self.staging)
    }

    fn not_created(&self, cause: io::Error) -> RunError {
        RunError::Create { path: self.target.clone(), cause }
    }

    /// The error names the file where the operator expects it.
    fn not_written(&self, name: &str, cause: io::Error) -> RunError {
        RunError::Write { path: self.target.join(name), cause }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // Nothing can be done about an error here, and the directory says by its name what it is.
        if !self.staging.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.staging);
        }
        for parent in &self.made {
            let _ = fs::remove_dir(parent);
        }
    }
}

/// The absolute path of a directory that is missing or empty.
fn suitable(dir: &Path) -> Result<PathBuf, RunError> {
    let cannot = |cause| RunError::Create { path: dir.to_path_buf(), cause };
    let unsuitable = |what| RunError::Unsuitable { path: dir.to_path_buf(), what };
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if fs::symlink_metadata(dir).is_ok() {
                return Err(unsuitable("a symbolic link that leads nowhere"));
            }
            let path = std::path::absolute(dir).map_err(cannot)?;
            // Without a last component (`x/..`) there is no name to give it.
            return match path.file_name() {
                Some(_) => Ok(path),
                None => Err(unsuitable("not a name for a directory")),
            };
        }
        Err(error) => return Err(cannot(error)),
    };
    if !metadata.is_dir() {
        return Err(unsuitable("not a directory"));
    }
    if fs::read_dir(dir).map_err(cannot)?.next().is_some() {
        return Err(RunError::Exists { path: dir.to_path_buf() });
    }
    let path = fs::canonicalize(dir).map_err(cannot)?;
    let parent = path.parent().ok_or_else(|| unsuitable("the root directory"))?;
    if fs::metadata(parent).map_err(cannot)?.dev() != metadata.dev() {
        return Err(unsuitable("a mount point, which cannot be renamed over"));
    }
    Ok(path)
}

fn missing_parents(parent: &Path) -> Vec<PathBuf> {
    parent.ancestors().take_while(|path| !path.exists()).map(Path::to_path_buf).collect()
}

/// Takes away what killed runs left half prepared beside `name`, if it is clearly ours and old.
fn clear_leftovers(parent: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_leftover(&path, name).unwrap_or(false) && fs::remove_dir_all(&path).is_ok() {
            tracing::info!("removed {}, left by a run that was killed", path.display());
        }
    }
}

fn is_leftover(path: &Path, name: &str) -> Option<bool> {
    let file_name = path.file_name()?.to_str()?;
    let (stem, pid) = file_name.strip_prefix('.')?.rsplit_once(".partial-")?;
    let pid: u32 = pid.split('-').next()?.parse().ok()?;
    let dead = Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{pid}")).exists();
    if !dead || !(stem == name || RunId::is_id(stem)) {
        return Some(false);
    }
    let untouched = |metadata: &fs::Metadata| {
        let age = SystemTime::now().duration_since(metadata.modified().ok()?).ok()?;
        Some(age >= LEFTOVER_AGE)
    };
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_dir() || !untouched(&metadata)? {
        return Some(false);
    }
    for entry in fs::read_dir(path).ok()? {
        let entry = entry.ok()?;
        let known = files::ALL.contains(&entry.file_name().to_str()?);
        let metadata = entry.metadata().ok()?;
        if !known || !metadata.is_file() || !untouched(&metadata)? {
            return Some(false);
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::moment::Moment;

    /// A directory of its own for a test, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let name = format!("tributary-{}", RunId::new(Moment::now()));
            let path = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn prepare(dir: &Path) -> Result<Prepared, RunError> {
        RunDir::prepare(Some(dir), &RunId::new(Moment::now()))
    }

    #[test]
    fn a_run_appears_at_once_and_open_files_stay_valid() {
        let scratch = Scratch::new();
        let dir = scratch.0.join("deep/er/run");
        let prepared = prepare(&dir).unwrap();
        let mut log = prepared.create(files::LOG).unwrap();
        log.write_all(b"before\n").unwrap();
        prepared.write_json(files::RUN, &[1]).unwrap();
        assert!(!dir.exists());
        let run = prepared.commit().unwrap();
        log.write_all(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(run.file(files::LOG)).unwrap(), "before\nafter\n");
        run.replace(files::REPORT, b"{}").unwrap();
        run.replace(files::REPORT, b"{\"a\":1}").unwrap();
        assert_eq!(fs::read_to_string(run.file(files::REPORT)).unwrap(), "{\"a\":1}");
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 4);
        assert_eq!(fs::read_dir(dir.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_empty_directory_is_filled_and_a_full_one_refused() {
        let scratch = Scratch::new();
        let dir = scratch.0.join("run");
        fs::create_dir(&dir).unwrap();
        let run = prepare(&dir).unwrap().commit().unwrap();
        let refused = || prepare(&dir).unwrap_err().to_string();
        assert!(refused().contains("run is not empty") && refused().contains("resume"));
        run.replace(files::RUN, b"{}").unwrap();
        assert!(refused().contains("run is a run already; resume goes on"), "{}", refused());
        run.replace(files::JOURNAL, b"").unwrap();
        let command = format!("`tributary resume {}`", dir.display());
        assert!(refused().contains(&command), "{}", refused());
        assert_eq!(scratch.names(), ["run"]);
    }

    #[test]
    fn one_that_was_filled_meanwhile_is_not_touched() {
        let scratch = Scratch::new();
        let dir = scratch.0.join("run");
        let (first, second) = (prepare(&dir).unwrap(), prepare(&dir).unwrap());
        first.write(files::RUN, b"1").unwrap();
        second.write(files::RUN, b"2").unwrap();
        first.commit().unwrap();
        assert!(matches!(second.commit(), Err(RunError::Exists { .. })));
        assert_eq!(fs::read(dir.join(files::RUN)).unwrap(), b"1");
        assert_eq!(scratch.names(), ["run"]);
    }

    #[test]
    fn what_is_not_committed_leaves_no_trace() {
        let scratch = Scratch::new();
        let prepared = prepare(&scratch.0.join("a/b/run")).unwrap();
        prepared.write(files::RUN, b"x").unwrap();
        drop(prepared);
        assert_eq!(scratch.names(), [] as [&str; 0]);
    }

    #[test]
    fn impossible_places_are_named_with_the_cause() {
        let scratch = Scratch::new();
        let file = scratch.0.join("file");
        fs::write(&file, b"").unwrap();
        let under_file = prepare(&file.join("run")).unwrap_err().to_string();
        assert!(under_file.contains("file/run: Not a directory"), "{under_file}");
        let at_file = prepare(&file).unwrap_err().to_string();
        assert!(at_file.contains("it is not a directory"), "{at_file}");
        let in_proc = prepare(Path::new("/proc/nowhere/run")).unwrap_err().to_string();
        assert!(in_proc.contains("/proc/nowhere/run: "), "{in_proc}");
        let link = scratch.0.join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert!(matches!(prepare(&link), Err(RunError::Unsuitable { .. })));
        let root = prepare(Path::new("/")).unwrap_err();
        assert!(root.to_string().starts_with("/ is not empty; "), "{root}");
    }

    #[test]
    fn old_leftovers_of_dead_processes_are_removed_and_nothing_else() {
        let scratch = Scratch::new();
        let old = SystemTime::now() - 2 * LEFTOVER_AGE;
        let leave = |name: &str, file: &str, modified: SystemTime| {
            let dir = scratch.0.join(name);
            fs::create_dir(&dir).unwrap();
            for path in [&dir.join(file), &dir] {
                let opened = if path == &dir { File::open(path) } else { File::create(path) };
                opened.unwrap().set_modified(modified).unwrap();
            }
        };
        leave(".run.partial-4194305", files::RUN, old);
        leave(".20261123T041455Z-3f9a.partial-4194305", files::PAIRS, old);
        let kept = [
            ".other.partial-4194305",
            ".run.partial-1",
            ".run.partial-4194306",
            ".run.partial-4194307",
        ];
        leave(kept[0], files::RUN, old);
        leave(kept[1], files::RUN, old);
        leave(kept[2], "theirs.txt", old);
        leave(kept[3], files::RUN, SystemTime::now());
        prepare(&scratch.0.join("run")).unwrap();
        assert_eq!(scratch.names(), kept);
    }
}
