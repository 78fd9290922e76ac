//! Logins that may not see or do all that a merge has to: that is said before the first write.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::data::{self, Data};
use crate::model;
use crate::process::Call;
use crate::services::{self, Instance};
use crate::stops::wait_until;
use crate::world::{World, connect, to_csv};

fn create(world: &World, role: &str) {
    world.cql(&format!("CREATE ROLE {role} WITH PASSWORD = 'pass-phrase' AND LOGIN = true"));
}

/// A call by somebody.
fn by(user: &str, call: Call) -> Call {
    call.with("--username", user).environment("TRIBUTARY_PASSWORD", "pass-phrase")
}

#[test]
fn what_a_role_may_not_see_or_do_is_refused() {
    let options = ["--cassandra-only", "--auth", "--set", "dynamic_data_masking_enabled=true"];
    let (_cassandra, world) = World::with_logins("masked", &options);
    a_masked_column_is_refused_unless_its_values_are_seen(&world);
    let (addresses, session) = (world.addresses.clone(), Arc::clone(world.session()));
    let world = World::on("rights", addresses, session).with_tables();
    privileges_that_are_missing_are_named_with_what_gives_them(&world);
}

/// What is asked of the broker for that is never taken by it, whoever asks.
#[test]
fn a_topic_that_may_not_be_written_to_is_found_before_the_first_group() {
    let kafka = Instance::start(
        "acl",
        &[
            "--kafka-only",
            "--set",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "--set",
            "allow.everyone.if.no.acl.found=true",
        ],
    );
    let mut addresses = services::shared().clone();
    addresses.brokers.clone_from(&kafka.addresses.brokers);
    let session = connect(&addresses.hosts, None);
    let world = World::on("acl", addresses, session).with_tables();
    let mut data = Data::new(5);
    data.study("a", "c1", "b1");
    data.pair("a", "b");
    world.load(&data.tables);
    let before = world.dump();
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let (closed, brokers) = (format!("{}.closed", world.topic), &world.addresses.brokers);
    crate::kafka::create_topic(brokers, &closed, ("retention.ms", "600000"));
    crate::kafka::deny_writes(brokers, &closed);
    let messages = || crate::kafka::consume(brokers, &closed).len();
    let (run, count) = (world.run_dir(), messages());
    let refused = world.apply(&pairs, &run).with("--topic", &closed).run().exits(1);
    let refused = refused.names(&format!("topic '{closed}' may not be written to"));
    refused.names("Nothing was written").names("--operation Write");
    assert!(!run.exists());
    assert_eq!(messages(), count);
    world.assert_tables(&before);

    world.apply(&pairs, &run).run().exits(0);
    world.assert_is(&model::apply(&data.lines, &data::without_empty_maps(data.tables)));
}

/// What a plan says that its user lacks.
fn planned(world: &World, pairs: &Path, user: Option<&str>) -> Value {
    let call = Call::new(&["plan", pairs.to_str().expect("UTF-8")]).flag("--inspect");
    let call = call.with("--hosts", &world.addresses.hosts).with("--keyspace", &world.keyspace);
    let call = call.with("--run-dir", world.run_dir()).flag("--json");
    let call = match user {
        Some(user) => by(user, call),
        None => call.with("--username", "cassandra").environment("TRIBUTARY_PASSWORD", "cassandra"),
    };
    call.run().exits(0).json()["inspection"]["surroundings"]["lacking"].clone()
}

/// What `apply` will be refused for is said by a plan, which has no statement that could write.
fn a_plan_says_what_apply_would_be_refused_for(world: &World, pairs: &Path) {
    let keyspace = &world.keyspace;
    let lacks = |user: &str| {
        let lacking = planned(world, pairs, Some(user));
        let all = lacking.as_array().expect("it is known").iter();
        all.map(|one| one["what"].as_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let of_table = |table: &str| format!("MODIFY on table {keyspace}.{table}");
    let tables = ["content_consumption", "user_courses"].map(of_table);
    let register = "MODIFY on keyspace tributary".to_owned();
    assert_eq!(lacks("looker"), [register, tables[0].clone(), tables[1].clone()]);
    assert_eq!(lacks("half"), tables[..1]);
    assert!(lacks("merger").is_empty());
    // A role's role counts, and a superuser needs no grant.
    create(world, "heir");
    world.cql("GRANT merger TO heir");
    assert!(lacks("heir").is_empty());
    assert_eq!(planned(world, pairs, None), json!([]));
    let lacking = planned(world, pairs, Some("half"));
    assert_eq!(
        lacking[0]["grant"],
        format!("GRANT MODIFY ON TABLE {keyspace}.content_consumption TO half")
    );
}

/// The role `merger` may do everything, and has made the register before.
fn privileges_that_are_missing_are_named_with_what_gives_them(world: &World) {
    world.admit("merger");
    let keyspace = &world.keyspace;
    for role in ["looker", "half", "stranger"] {
        create(world, role);
        world.cql(&format!("GRANT SELECT ON KEYSPACE {keyspace} TO {role}"));
    }
    world.cql("GRANT SELECT ON KEYSPACE tributary TO looker");
    world.cql("GRANT ALL PERMISSIONS ON KEYSPACE tributary TO half");
    world.cql(&format!("GRANT MODIFY ON TABLE {keyspace}.user_courses TO half"));
    world.cql(&format!("GRANT MODIFY ON KEYSPACE {keyspace} TO stranger"));
    let mut data = Data::new(5);
    for (from, to) in [("a", "b"), ("c", "d")] {
        data.study(from, "c1", "b1");
        data.pair(from, to);
    }
    world.load(&data.tables);
    let before = world.dump();
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    a_plan_says_what_apply_would_be_refused_for(world, &pairs);
    let refused = |user: &str, call: Call, lacking: &[String]| {
        let mut finished = by(user, call).run().exits(1);
        for one in lacking {
            finished = finished.names(one);
        }
        let finished = finished.names(&format!("role {user} lacks")).names("Nothing was written");
        assert_eq!(finished.stderr.trim().lines().count(), 1, "{finished}");
        finished
    };
    let (of_table, of_register) = (
        |table: &str| format!("MODIFY on table {keyspace}.{table}"),
        |what: &str| format!("{what} on keyspace tributary"),
    );
    let tables = ["content_consumption", "user_courses"].map(of_table);
    let run = world.run_dir();
    let apply = || world.apply(&pairs, &run);
    refused("looker", apply(), &tables);
    refused("stranger", apply(), &["SELECT", "MODIFY"].map(of_register));
    let half = refused("half", apply(), &tables[..1]);
    assert!(!half.stderr.contains("user_courses"), "{half}");
    assert!(!run.exists());
    world.assert_tables(&before);

    // What is advised is enough; the server may take a moment to notice.
    let (_, grants) = half.stderr.trim().split_once("can run: ").expect("it says how");
    grants.split("; ").for_each(|grant| world.cql(grant));
    wait_until("the grant counts", || by("half", apply()).run().has_exited(0));
    let merged = world.dump();
    assert_ne!(merged, before);

    // Whoever only reads may look, and nothing else.
    let of_run = |name: &str| {
        Call::new(&[name, run.to_str().expect("UTF-8")]).with("--hosts", &world.addresses.hosts)
    };
    by("looker", of_run("verify")).run().exits(0);
    for call in [of_run("resume"), of_run("undo"), of_run("verify").flag("--repair")] {
        refused("looker", call, &tables);
    }
    world.assert_tables(&merged);
}

fn a_masked_column_is_refused_unless_its_values_are_seen(world: &World) {
    for role in ["merger", "reader"] {
        create(world, role);
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
    let call = |user: &str, run: &Path| by(user, world.apply(&pairs, run));

    // Under a run.
    let run = world.run_dir();
    let running = call("merger", &run).with("--rate", "1").start();
    wait_until("it has begun", || {
        fs::read_to_string(run.join("latency.csv")).is_ok_and(|lines| lines.lines().count() > 1)
            || world.dump() != before
    });
    world.cql("ALTER TABLE content_consumption ALTER grade MASKED WITH mask_inner(0, 0)");
    running.wait().exits(1).names("table content_consumption has had its column grade masked");
    // Before a run.
    let resume = |user: &str| by(user, world.resume(&run)).run();
    resume("merger").exits(1).names("column grade is masked").names("GRANT UNMASK ON TABLE");
    resume("reader").exits(0);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    world.assert_tables(&expected.tables);
}
