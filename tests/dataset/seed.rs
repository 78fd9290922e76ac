//! The program as a whole. It is here, too, that cargo builds it where tests run: the tool's own live tests call it.

use std::path::Path;
use std::process::Command;
use std::{array, fs};

/// The files of a small data set with all the awkward cases.
fn made(name: &str, seed: &str) -> [Vec<u8>; 3] {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let ended = Command::new(env!("CARGO_BIN_EXE_tributary-dataset"))
        .args(["generate", "--pairs", "20", "--rows", "5", "--overlap", "0.5", "--batches", "7"])
        .args(["--linked", "0.5", "--skew", "0.1:10", "--awkward", "--seed", seed, "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let files = ["pairs.csv", "user_courses.jsonl", "content_consumption.jsonl"];
    let read = array::from_fn(|file| fs::read(out.join(files[file])).unwrap());
    fs::remove_dir_all(&out).unwrap();
    read
}

#[test]
fn the_seed_decides_everything() {
    assert_eq!(made("a", "1"), made("b", "1"));
    assert_ne!(made("c", "1"), made("d", "2"));
}
