//! What plan and apply say alike: whether targets are followed to where they are now, and what is refused.

use super::*;

/// Only planning follows, and only by the register.
#[test]
fn targets_are_followed_by_plan_and_apply() {
    let common = ["--keyspace", "k", "--no-events", "--follow"];
    let begun = resolve(&common, "", &[]).unwrap();
    assert!(begun.follow && recorded(&begun)["follow"] == true);
    assert_eq!(go_on(&begun, &[], "", &[]).unwrap().run.recorded["follow"], true);
    let none = resolve(&[&common[..], &["--no-register"]].concat(), "", &[]).unwrap_err();
    assert!(none.to_string().starts_with("--follow asks the register"), "{none}");

    let planned = |flags: &[&str]| {
        let layers = layers(&["plan", "pairs.csv"], flags, "keyspace = 'k'\n", &[]).unwrap();
        plan(Path::new("pairs.csv"), &layers)
    };
    let settings = planned(&["--follow", "--inspect"]).unwrap();
    assert!(settings.inspect.unwrap().follow);
    assert_eq!(settings.recorded["inspected"]["follow"], true);
    let alone = planned(&["--follow"]).unwrap_err().to_string();
    assert!(alone.starts_with("--follow: a plan opens no connection unless"), "{alone}");
}

#[test]
fn an_inspection_refuses_what_apply_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("counted.toml");
    let text = "name = 's'\n[[table]]\nname = 't'\naccount = 'user'\nfind = 'partition'\non_conflict = { n = 'sum' }\n";
    fs::write(&spec, text).unwrap();
    let flags = ["--keyspace", "k", "--spec", spec.to_str().unwrap()];
    let planned = |more: &[&str]| {
        let flags = [&flags[..], &["--inspect"], more].concat();
        let layers = layers(&["plan", "pairs.csv"], &flags, "", &[]).unwrap();
        plan(Path::new("pairs.csv"), &layers).map(drop)
    };
    assert!(planned(&[]).is_ok());
    let applied = resolve(&[&flags[..], &["--no-events", "--no-register"]].concat(), "", &[]);
    let refused = applied.unwrap_err().to_string();
    assert!(refused.contains("is added up"), "{refused}");
    assert_eq!(planned(&["--no-register"]).unwrap_err().to_string(), refused);
}
