//! The build script: the version that `--version` shows, with the commit it was built from.
//!
//! Sources without a repository of their own (an archive, even one that lies in somebody else's repository)
//! have the version alone. Cargo runs this again only when HEAD has moved.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=scripts/commit.rs");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let sources = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let commit = own_repository(&sources).and_then(|()| {
        watch_head(&sources);
        git(&sources, &["rev-parse", "--short=10", "HEAD"])
    });
    let shown = commit.map_or(version.clone(), |commit| format!("{version} ({commit})"));
    println!("cargo:rustc-env=TRIBUTARY_VERSION={shown}");
}

/// Whether the sources are the top of a repository.
fn own_repository(sources: &Path) -> Option<()> {
    let top = git(sources, &["rev-parse", "--show-toplevel"])?;
    (Path::new(&top).canonicalize().ok()? == sources.canonicalize().ok()?).then_some(())
}

/// HEAD moves when its file, the file of its branch, or the log of its moves changes. A file that does not
/// exist must not be watched: cargo would run this every time.
fn watch_head(sources: &Path) {
    let branch = git(sources, &["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        let path = git(sources, &["rev-parse", "--git-path", name]).map(|path| sources.join(path));
        if let Some(path) = path.filter(|path| path.exists()) {
            println!("cargo:rerun-if-changed={}", path.display());
        }
    }
}

/// What git answers, if there is one and it does.
fn git(sources: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(sources).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
