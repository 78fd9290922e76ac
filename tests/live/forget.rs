//! What is kept of an account is erased where the law asks for it, and the rest goes on.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::Call;
use crate::runs::{assert_rows, id, pairs, world};
use crate::world::World;

fn forget(world: &World, account: &str, runs: &[&Path]) -> Call {
    let runs = runs.iter().map(|run| run.to_str().expect("the tests use UTF-8"));
    let words: Vec<&str> = ["forget", account].into_iter().chain(runs).collect();
    Call::new(&words)
        .with("--hosts", &world.addresses.hosts)
        .with("--keyspace", &world.keyspace)
        .flag("--json")
}

/// Files of a folder in which a text stands.
fn naming(folder: &Path, text: &str) -> Vec<String> {
    let names = |path: &Path| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    };
    let files = fs::read_dir(folder).expect("it is there").flatten();
    let files = files.filter(|file| names(&file.path()));
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn an_account_is_erased_and_what_was_merged_beside_it_stays() {
    let world = world("forget");
    let (gone, kept) = ("forgotten-person", "other-person");
    for (user, content) in [(gone, "do2"), (kept, "do3")] {
        world.cql(&format!(
            "INSERT INTO content_consumption (userid, contentid, batchid, courseid, status, progress, score) \
             VALUES ('{user}', '{content}', 'b1', 'c1', 2, 7, 'secret-of-{user}')"
        ));
    }
    let r1 = world.run_dir();
    let list = world.file("list.csv", format!("from,to\n{gone},x\n{kept},y\n"));
    world.apply(&list, &r1).run().exits(0);
    let r2 = world.run_dir();
    world.apply(&pairs(&world, "x,z"), &r2).run().exits(0);
    world.over("verify", &r1).run();
    assert!(!naming(&r1, gone).is_empty());

    // A run that is not over needs it.
    let open = world.run_dir();
    let call = world.apply(&pairs(&world, "z,last"), &open).environment("TRIBUTARY_LEASE", "1");
    call.environment("TRIBUTARY_FAILPOINT", "copied").run().was_killed();
    let refused = crate::busy::once_free(|| forget(&world, "z", &[]));
    refused.exits(1).names("has not ended with the account").names(&id(&open));
    forget(&world, "z", &[&open]).run().exits(1).names("is not over");
    world.over("resume", &open).run().exits(0);

    let erased = forget(&world, gone, &[&r1]).run().exits(0).json();
    assert_eq!(erased["register_rows"], 1, "{erased:#}");
    assert_eq!(
        (&erased["erased_in"][0]["run"], &erased["erased_in"][0]["groups"]),
        (&json!(id(&r1)), &json!(1))
    );
    assert_eq!(erased["still_in"], json!([]), "{erased:#}");
    assert_eq!(naming(&r1, gone), Vec::<String>::new());
    assert!(naming(&r1, kept).contains(&"pairs.csv".to_owned()));
    let lookup = Call::new(&["lookup", gone]).with("--hosts", &world.addresses.hosts);
    lookup.with("--keyspace", &world.keyspace).run().exits(1).names("is in no run");
    // The survivor is named by two runs, one of whose directories is not given.
    let survivor = forget(&world, "x", &[&r1]).run().exits(0).json();
    assert_eq!(survivor["still_in"][0]["run"], id(&r2), "{survivor:#}");
    assert_eq!(survivor["still_in"][0]["run_dir"], json!(r2), "{survivor:#}");

    let verified = world.over("verify", &r1).run().exits(3).json();
    assert_eq!((&verified["groups"]["compared"], &verified["differences"]), (&json!(1), &json!(0)));
    world.over("resume", &r1).run().exits(2).names("was forgotten");
    // What was forgotten stays merged, and is not taken for something that was never written.
    let undone = world.over("undo", &r1).run().exits(4).json();
    let groups = &undone["groups"];
    assert_eq!((&groups["erased"], &groups["untouched"]), (&json!(1), &json!(0)), "{undone:#}");
    let row = |user: &'static str, progress: u32, score: Value| (user, json!(progress), score);
    let a = row("a", 100, Value::Null);
    let (last, other) = (json!(format!("secret-of-{gone}")), json!(format!("secret-of-{kept}")));
    assert_rows(&world, &[a, row("last", 7, last), row("other-person", 7, other)], &["a"]);
    // Who asks for others hears nothing of it, and who asks for it is told why it is not known.
    let undo = |list: &str| world.over("undo", &r1).with("--pairs", pairs(&world, list)).run();
    let again = undo(&format!("{kept},y")).exits(0).json();
    assert_eq!(
        (&again["groups"]["undone_before"], &again["groups"]["erased"]),
        (&json!(1), &json!(0))
    );
    undo(&format!("{gone},x")).exits(2).names("erased by forget");
    assert_eq!(forget(&world, "nobody", &[]).run().exits(0).json()["register_rows"], 0);
}
