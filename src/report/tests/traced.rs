//! Where an account went, by the register.

use std::path::PathBuf;

use super::*;
use crate::advice::Advice;
use crate::moment::Moment;

/// An account that went on, and was taken back once.
pub(super) fn traced(last: &'static str) -> Traced {
    let stay = |account: &str, run: &str, into: Option<&str>, standing| TracedStay {
        account: account.to_owned(),
        run: run.to_owned(),
        host: Some("h1".to_owned()),
        run_dir: Some(PathBuf::from("/data").join(run)),
        into: into.map(str::to_owned),
        t_us: 1_795_407_295_042_007,
        as_of: Moment::from_us(1_795_407_295_042_007),
        standing,
        end: Some(Advice::resume(&PathBuf::from("/data").join(run))),
    };
    let stays = vec![stay("a", "r1", Some("b"), "done"), stay("b", "r2", Some("c"), last)];
    Traced::new("a", if last == "done" { "c" } else { "b" }, "courses", stays)
}

#[test]
fn who_the_account_is_now_comes_first() {
    let text = rendered(&traced("done")).text;
    assert!(text.starts_with("a: c now (by the register, of keyspace courses)\n"), "{text}");
    let run = "
Run         r2 in h1:/data/r2
Merged      b into c
As of       2026-11-23T04:14:55.042Z
State       done
";
    assert!(text.contains(run) && !text.contains("resume"), "{text}");
    documented("lookup", &rendered(&traced("done")).json);
    let text = rendered(&traced("busy")).text;
    assert!(text.starts_with("a: b now ") && text.contains("State       not ended"), "{text}");
    assert!(text.contains("tributary resume /data/r2"), "{text}");
}
