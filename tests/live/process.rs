//! Runs the tool as an operator does: arguments and environment in; exit code, output and files out.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::services::signal;

/// Nothing that the tests run takes as long as this; a run that does hangs.
const DEADLINE: Duration = Duration::from_secs(300);

/// A call of the tool that is being put together.
pub(crate) struct Call {
    positional: Vec<String>,
    options: BTreeMap<String, String>,
    flags: Vec<String>,
    stdin: Vec<u8>,
    environment: Vec<(String, String)>,
    folder: Option<PathBuf>,
    open_files: Option<u32>,
    on_terminal: bool,
    typed: Option<String>,
}

impl Call {
    pub(crate) fn new(positional: &[&str]) -> Self {
        Self {
            positional: positional.iter().map(|argument| (*argument).to_owned()).collect(),
            options: BTreeMap::new(),
            flags: Vec::new(),
            stdin: Vec::new(),
            environment: Vec::new(),
            folder: None,
            open_files: None,
            on_terminal: false,
            typed: None,
        }
    }

    /// A line as an operator pastes it into a shell.
    pub(crate) fn typed(line: &str) -> Self {
        Self { typed: Some(line.to_owned()), ..Self::new(&[]) }
    }

    /// Sets an option, in place of what it was set to before.
    pub(crate) fn with(mut self, option: &str, value: impl AsRef<OsStr>) -> Self {
        let value = value.as_ref().to_str().expect("the tests use UTF-8").to_owned();
        self.options.insert(option.to_owned(), value);
        self
    }

    pub(crate) fn without(mut self, option: &str) -> Self {
        self.options.remove(option);
        self.flags.retain(|flag| flag != option);
        self
    }

    /// Takes the argument after the command away.
    pub(crate) fn without_pairs(mut self) -> Self {
        self.positional.truncate(1);
        self
    }

    /// Adds an argument as it is.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it in a folder of its own.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Lets it have so many files and connections at once.
    pub(crate) fn open_files(mut self, most: u32) -> Self {
        self.open_files = Some(most);
        self
    }

    /// Gives it a terminal, which is gone when the call is killed.
    pub(crate) fn on_terminal(mut self) -> Self {
        self.on_terminal = true;
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    pub(crate) fn start(self) -> Running {
        let mut command = self.command();
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRIBUTARY_")) {
            command.env_remove(name);
        }
        // So many groups to a window as requests at once: of a small world many windows, some of which overlap.
        let window = self.options.get("--in-flight").filter(|number| number.parse::<u32>().is_ok());
        command.env("TRIBUTARY_WINDOW", window.map_or("4", String::as_str));
        command.envs(self.environment).args(self.positional);
        for (option, value) in self.options {
            command.arg(option).arg(value);
        }
        command.args(self.flags);
        if let Some(folder) = self.folder {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = format!("{command:?}");
        let mut child = command.spawn().expect("the tool can be started");
        let mut stdin = child.stdin.take().expect("it is piped");
        // A tool that does not read its input closes it, and that is not for us to judge.
        std::thread::spawn(move || _ = stdin.write_all(&self.stdin));
        let stdout = collect(child.stdout.take().expect("it is piped"));
        let stderr = collect(child.stderr.take().expect("it is piped"));
        Running { line, child, stdout, stderr, deadline: DEADLINE, peak_kib: 0 }
    }

    /// The tool, or what starts it.
    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_tributary");
        if let Some(line) = &self.typed {
            let folder = Path::new(program).parent().expect("it is in a folder").display();
            let mut command = Command::new("bash");
            command.args(["-c", &format!("PATH={folder}:$PATH; {line}")]);
            return command;
        }
        if let Some(most) = self.open_files {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), program]);
            return command;
        }
        if self.on_terminal {
            // What it is to run is one text; `sh` makes it of the arguments that follow.
            let mut command = Command::new("sh");
            let quoted = "for word; do all=\"$all '$word'\"; done; exec env --default-signal=HUP script -qefc \"$all\" /dev/null";
            command.args(["-c", quoted, "sh", program]);
            return command;
        }
        // Whoever runs the tests may have told them to outlive a terminal (nohup), which would be inherited.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", program]);
        command
    }

    pub(crate) fn run(self) -> Finished {
        self.start().wait()
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8(bytes).expect("the tool writes UTF-8")
    })
}

/// A call that has been started.
pub(crate) struct Running {
    line: String,
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    deadline: Duration,
    peak_kib: u64,
}

impl Running {
    pub(crate) fn interrupt(&self) {
        signal(&self.child.id().to_string(), "INT");
    }

    pub(crate) fn terminate(&self) {
        signal(&self.child.id().to_string(), "TERM");
    }

    /// Sends it a signal by its short name.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child.id().to_string(), name);
    }

    /// Whether it is held by SIGSTOP.
    pub(crate) fn is_held(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        status.is_ok_and(|status| status.contains("State:\tT"))
    }

    /// Ends it the hard way, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("our own child can be killed");
    }

    /// Lets it take longer than a call usually may.
    pub(crate) fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.peak_kib = self.peak_kib.max(peak_kib(self.child.id()));
        self.child.try_wait().expect("our own child can be waited for").is_some()
    }

    pub(crate) fn wait(mut self) -> Finished {
        let deadline = Instant::now() + self.deadline;
        while !self.has_ended() {
            if Instant::now() > deadline {
                self.child.kill().expect("our own child can be killed");
                let stderr = self.stderr.join().expect("the reader does not panic");
                panic!("{} hangs; on stderr:\n{stderr}", self.line);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.wait().expect("our own child can be waited for");
        let stdout = self.stdout.join().expect("the reader does not panic");
        let stderr = self.stderr.join().expect("the reader does not panic");
        let (line, code, peak_kib) = (self.line, status.code(), self.peak_kib);
        let finished = Finished { line, code, stdout, stderr, peak_kib };
        assert!(!finished.stderr.contains("panicked"), "{finished}");
        finished
    }
}

/// The most memory that a process has held so far; 0 if it has ended.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// What a call left behind.
pub(crate) struct Finished {
    line: String,
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The most memory that it held, as seen every few milliseconds.
    pub(crate) peak_kib: u64,
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, code, stdout, stderr, .. } = self;
        write!(f, "{line}\nexit code {code:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

impl Finished {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that a signal ended it.
    #[track_caller]
    pub(crate) fn was_killed(self) -> Self {
        assert_eq!(self.code, None, "{self}");
        self
    }

    /// Whether another run's lease kept it out: one that was killed with the lease and before there was a run.
    pub(crate) fn was_kept_out(&self) -> bool {
        self.has_exited(1) && self.stderr.contains("its lease ends by itself")
    }

    /// Whether it ended by itself with this exit code.
    pub(crate) fn has_exited(&self, code: i32) -> bool {
        self.code == Some(code)
    }

    /// Asserts that the message names something (in any case of letters).
    #[track_caller]
    pub(crate) fn names(self, thing: &str) -> Self {
        let message = self.stderr.to_lowercase();
        assert!(message.contains(&thing.to_lowercase()), "no {thing:?} on stderr: {self}");
        self
    }

    /// The JSON on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_str(&self.stdout);
        json.unwrap_or_else(|error| panic!("not JSON on stdout: {error}: {self}"))
    }
}

/// A rejected line: `code: what is wrong with it` and the line itself.
pub(crate) struct Reject {
    pub(crate) code: String,
    pub(crate) original: String,
}

/// The rejected lines of a run by line number.
pub(crate) fn rejects(run: &Path) -> BTreeMap<u64, Reject> {
    let path = run.join("rejects.csv");
    let mut reader = csv::ReaderBuilder::new().from_path(&path).expect("there are rejects.csv");
    let header: Vec<_> = reader.headers().expect("it has a header").iter().collect();
    assert_eq!(header, ["from", "to", "line", "reason", "original"]);
    reader
        .records()
        .map(|record| {
            let record = record.expect("every record has all columns");
            let line = record[2].parse().expect("a line number");
            let code = record[3].split(':').next().unwrap_or_default().to_owned();
            (line, Reject { code, original: record[4].to_owned() })
        })
        .collect()
}

pub(crate) fn read_json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
