//! A line of a page, in a shell, as a reader would run it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::services::signal;

/// No line of a page takes as long as this here; one that does hangs.
const DEADLINE: Duration = Duration::from_secs(120);

/// A line that runs. It is ended when this is dropped.
pub(crate) struct Job {
    line: String,
    child: Child,
    output: PathBuf,
}

impl Job {
    /// Starts it in a folder, with our programs in the path and nothing set but `environment`.
    pub(crate) fn start(folder: &Path, line: &str, environment: &[(&str, &str)]) -> Self {
        let binaries =
            Path::new(env!("CARGO_BIN_EXE_tributary")).parent().expect("it is in a folder");
        let path = std::env::var("PATH").expect("there is a path");
        let output = tempfile::NamedTempFile::new().expect("a file can be made");
        let (file, output) = output.keep().expect("which stays");
        let mut bash = Command::new("bash");
        // What is not the last of a pipe may fail, too.
        bash.args(["-o", "pipefail", "-c", line]).current_dir(folder).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRIBUTARY_")) {
            bash.env_remove(name);
        }
        bash.env("PATH", format!("{}:{path}", binaries.display()));
        bash.envs(environment.iter().copied());
        bash.stdout(copy(&file)).stderr(copy(&file));
        let child = bash.spawn().expect("the pages are for bash");
        Self { line: line.to_owned(), child, output }
    }

    /// What it has said so far, on both of its outputs.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.output).expect("its output is a file of UTF-8")
    }

    /// As Ctrl-C.
    pub(crate) fn interrupt(&self) {
        signal(&self.child.id().to_string(), "INT");
    }

    /// Waits for its end, which must have this exit code; gives what it has said.
    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> String {
        let line = self.line.clone();
        let (ended, said) = self.ends();
        assert_eq!(ended, Some(code), "{line}\n{said}");
        said
    }

    /// Waits for its end; gives the exit code, and what it has said.
    #[track_caller]
    pub(crate) fn ends(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + DEADLINE;
        let status = loop {
            match self.child.try_wait().expect("our own child can be waited for") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    panic!("{} hangs:\n{}", self.line, self.said())
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        (status.code(), self.said())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // It has ended, unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.output);
    }
}

fn copy(file: &File) -> Stdio {
    file.try_clone().expect("a file can be shared").into()
}
