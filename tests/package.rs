//! The package for other machines: what `scripts/package` puts into it, and that it runs where nothing else is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Runs the script.
#[track_caller]
fn package(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/package");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn text(output: &[u8]) -> &str {
    str::from_utf8(output).unwrap()
}

/// Every crate that is linked into the program, as `name-version`; what runs in the compiler alone is not.
fn linked() -> BTreeSet<String> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--package", "tributary", "--features", "portable"])
        .args(["--target", &target, "--edges", "normal"])
        .args(["--no-dedupe", "--prefix", "depth", "--format", " {p}"]);
    let output = run(&mut tree, 0);
    let mut linked = BTreeSet::new();
    let mut of_a_macro = usize::MAX;
    for line in text(&output.stdout).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let depth: usize = words[0].parse().unwrap();
        if depth > of_a_macro {
            continue;
        }
        of_a_macro = if words.contains(&"(proc-macro)") { depth } else { usize::MAX };
        if depth > 0 && of_a_macro == usize::MAX {
            linked.insert(format!("{}-{}", words[1], words[2].trim_start_matches('v')));
        }
    }
    linked
}

/// The texts of a folder, with their names.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let text = |entry: fs::DirEntry| {
        let bytes = fs::read(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), String::from_utf8_lossy(&bytes).into_owned())
    };
    entries.map(|entry| text(entry.unwrap())).collect()
}

/// Each crate has its licence, and each library of C.
#[track_caller]
fn check_licences(folder: &Path) {
    let linked = linked();
    assert!(linked.len() > 100, "{linked:?}");
    for name in &linked {
        let texts = texts(&folder.join(name));
        assert!(texts.iter().any(|(_, text)| text.len() > 200), "{name}: {texts:?}");
    }
    let brings = |crate_name: &str, library: &str| {
        let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let ours: Vec<PathBuf> = folders
            .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(crate_name))
            .collect();
        assert_eq!(ours.len(), 1, "{crate_name}");
        let names: Vec<String> = texts(&ours[0]).into_iter().map(|(name, _)| name).collect();
        assert!(names.iter().any(|name| name.starts_with(library)), "{crate_name}: {names:?}");
    };
    brings("openssl-src-", "openssl-LICENSE");
    brings("rdkafka-sys-", "librdkafka-LICENSE");
    brings("zstd-sys-", "zstd-LICENSE");
    brings("libz-sys-", "src-zlib-LICENSE");
    assert!(!texts(&folder.join("rust")).is_empty());
}

#[test]
fn the_licence_of_everything_that_is_linked_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    package(&["--licences", folder.path().to_str().unwrap()]);
    check_licences(folder.path());
}

#[test]
#[ignore = "builds everything anew, optimised at link time"]
fn the_package_runs_where_nothing_else_is() {
    let archive = package(&[]);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut unpack = Command::new("tar");
    run(unpack.args(["-xzf", &archive, "--strip-components=1"]).current_dir(folder), 0);

    let clean = |arguments: &[&str]| {
        let mut command = Command::new(folder.join("bin/tributary"));
        command.env_clear().current_dir(folder).args(arguments);
        command
    };
    let version = run(&mut clean(&["--version"]), 0);
    assert!(text(&version.stdout).starts_with(concat!("tributary ", env!("CARGO_PKG_VERSION"))));
    fs::write(folder.join("pairs.csv"), "from,to\na,b\nb,c\nx,x\n").unwrap();
    let plan = run(&mut clean(&["plan", "pairs.csv", "--json", "--run-dir", "run"]), 3);
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    assert_eq!(plan["plan"]["groups"], 1, "{plan}");
    assert!(fs::read_to_string(folder.join("run/rejects.csv")).unwrap().contains("self-pair"));

    for page in ["man1/tributary.1", "man1/tributary-apply.1", "man7/tributary-safety.7"] {
        let page = fs::read_to_string(folder.join("share/man").join(page)).unwrap();
        assert!(page.contains(".TH "), "{page}");
    }
    let completions = folder.join("share/bash-completion/completions/tributary");
    run(Command::new("bash").arg("-n").arg(&completions), 0);
    for script in [
        "bash-completion/completions/tributary",
        "zsh/site-functions/_tributary",
        "fish/vendor_completions.d/tributary.fish",
    ] {
        let script = fs::read_to_string(folder.join("share").join(script)).unwrap();
        assert!(script.contains("in-flight"), "{script}");
    }
    let documents = folder.join("share/doc/tributary");
    assert!(fs::read_to_string(documents.join("LICENSE")).unwrap().contains("Apache License"));
    check_licences(&documents.join("licences"));
    check_needs(&folder.join("bin/tributary"));
}

/// Of the machine it runs on, the binary needs a C library of 2012, and nothing else.
#[track_caller]
fn check_needs(binary: &Path) {
    let shown =
        run(Command::new("readelf").args(["--wide", "--dynamic", "--version-info"]).arg(binary), 0);
    let shown = text(&shown.stdout);
    let needed = shown.lines().filter(|line| line.contains("(NEEDED)"));
    for line in needed {
        let of_glibc = ["libc", "libm", "libdl", "librt", "libpthread", "libutil", "ld-linux"];
        assert!(of_glibc.iter().any(|library| line.contains(&format!("[{library}"))), "{line}");
    }
    let versions = shown.split("GLIBC_2.").skip(1).map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap()
    });
    let newest = versions.max().unwrap();
    assert!(newest <= 17, "glibc 2.{newest}");
}

#[track_caller]
fn run(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {}", text(&output.stderr));
    output
}
