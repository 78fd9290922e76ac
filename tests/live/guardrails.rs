//! A server that forbids what every merge needs is refused by name before the first write.

use crate::data::Data;
use crate::world::{World, to_csv};

#[test]
fn write_times_that_are_forbidden_are_found_before_the_first_write() {
    let options = ["--cassandra-only", "--auth", "--set", "user_timestamps_enabled=false"];
    // Guardrails are not for superusers: the rows can be loaded with times of their own.
    let (_cassandra, world) = World::with_logins("guarded", &options);
    world.cql("CREATE ROLE merger WITH PASSWORD = 'pass-phrase' AND LOGIN = true");
    world.admit("merger");
    let mut data = Data::new(3);
    data.study("source", "c1", "b1");
    data.pair("source", "target");
    world.load(&data.tables);
    let before = world.dump();
    let pairs = world.file("pairs.csv", to_csv(&data.lines));

    let run = world.run_dir();
    let merge = |user: &str, password: &str| {
        let call = world.apply(&pairs, &run).with("--username", user);
        call.environment("TRIBUTARY_PASSWORD", password).run()
    };
    merge("merger", "pass-phrase")
        .exits(1)
        .names("does not allow writes with a time of their own (USING TIMESTAMP)")
        .names("Nothing was written");
    assert!(!run.exists());
    world.assert_tables(&before);
    // The same server takes them from somebody else.
    merge("cassandra", "cassandra").exits(0);
    assert_ne!(world.dump(), before);
}
