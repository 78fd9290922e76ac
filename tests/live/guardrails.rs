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

#[test]
fn a_masked_column_is_refused_unless_its_values_are_seen() {
    let options = ["--cassandra-only", "--auth", "--set", "dynamic_data_masking_enabled=true"];
    let (_cassandra, world) = World::with_logins("masked", &options);
    for role in ["merger", "reader"] {
        world.cql(&format!("CREATE ROLE {role} WITH PASSWORD = 'pass-phrase' AND LOGIN = true"));
        world.admit(role);
    }
    // By way of another role.
    world.cql("CREATE ROLE seer");
    world.cql(&format!("GRANT UNMASK ON KEYSPACE {} TO seer", world.keyspace));
    world.cql("GRANT seer TO reader");
    let mut data = Data::new(3);
    for n in 0..40 {
        let (from, to) = (format!("from-{n}"), format!("to-{n}"));
        data.study(&from, "c1", "b1");
        data.pair(&from, &to);
    }
    world.load(&data.tables);
    let before = world.dump();
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let call = |user: &str, run: &std::path::Path| {
        let call = world.apply(&pairs, run).with("--username", user);
        call.environment("TRIBUTARY_PASSWORD", "pass-phrase")
    };

    // Under a run.
    let run = world.run_dir();
    let running = call("merger", &run).with("--rate", "4").start();
    crate::stops::wait_until("it has begun", || {
        std::fs::read_to_string(run.join("latency.csv"))
            .is_ok_and(|lines| lines.lines().count() > 1)
            || world.dump() != before
    });
    world.cql("ALTER TABLE content_consumption ALTER grade MASKED WITH mask_inner(0, 0)");
    running.wait().exits(1).names("table content_consumption has had its column grade masked");
    // Before a run.
    let resume = |user: &str| {
        let call = world.resume(&run).with("--username", user);
        call.environment("TRIBUTARY_PASSWORD", "pass-phrase").run()
    };
    resume("merger").exits(1).names("column grade is masked").names("GRANT UNMASK ON TABLE");
    resume("reader").exits(0);
    let expected = crate::model::apply(&data.lines, &crate::data::without_empty_maps(data.tables));
    world.assert_tables(&expected.tables);
}
