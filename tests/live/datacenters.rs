//! Law 7: what was acknowledged in another datacenter, and has not arrived in ours, is not deleted unseen.

use std::sync::Arc;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;

use crate::data::{self, Data};
use crate::model::{self, Line, Tables};
use crate::process::Call;
use crate::services::{Instance, shared};
use crate::tables;
use crate::world::{World, runtime, to_csv};

/// A session of which every request is carried out at a level.
fn session(hosts: &str, level: Consistency) -> Arc<Session> {
    let profile = ExecutionProfile::builder().consistency(level).build();
    let builder = SessionBuilder::new().known_nodes(hosts.split(','));
    let builder = builder.default_execution_profile_handle(profile.into_handle());
    let session = runtime().block_on(builder.build());
    Arc::new(session.expect("the nodes can be reached"))
}

/// Two datacenters with a node each. What the application writes in the second while the first is away never arrives there
/// by itself: no hints are kept.
#[test]
#[ignore = "long: scripts/test --full"]
fn what_another_datacenter_acknowledged_is_merged() {
    let options = [
        "--cassandra-only",
        "--nodes",
        "2",
        "--datacenters",
        "2",
        "--set",
        "hinted_handoff_enabled=false",
    ];
    let nodes = Instance::start("datacenters", &options);
    let hosts = nodes.addresses.hosts.clone();
    let (here, there) = hosts.split_once(',').expect("there are two");
    let mut addresses = shared().clone();
    addresses.hosts = here.to_owned();
    let everywhere = session(&hosts, Consistency::All);
    let world = World::replicated("dcs", addresses, everywhere, "'dc1': 1, 'dc2': 1").with_tables();
    let mut early = Data::new(3);
    for user in ["seen", "overlooked"] {
        early.study(user, "c1", "b1");
        early.pair(user, &format!("{user}-to"));
    }
    world.load(&early.tables);

    nodes.kill("cassandra-1");
    let mut late = Data::new(4);
    for user in ["seen", "overlooked"] {
        late.study(user, "c2", "b2");
    }
    let application = session(there, Consistency::LocalQuorum);
    runtime().block_on(tables::load(&application, &world.keyspace, &late.tables, None));
    nodes.again();

    let apply = |line: &Line| {
        let pairs = world.file("pairs.csv", to_csv(std::slice::from_ref(line)));
        let run = world.run_dir();
        (world.apply(&pairs, &run).with("--local-dc", "dc1"), run)
    };
    let (call, run) = apply(&early.lines[0]);
    call.run().exits(0);
    let log = std::fs::read_to_string(run.join("run.log")).expect("a run has a log");
    assert!(log.contains("in the datacenters dc1, dc2: it is read at EACH_QUORUM"), "{log}");
    // Whoever says that nobody writes elsewhere is believed.
    let (call, _) = apply(&early.lines[1]);
    call.flag("--single-writer-dc")
        .run()
        .exits(0)
        .names("in another than dc1 may be deleted unseen");

    let all = |first: Tables, second: Tables| {
        let Tables { mut user_courses, mut content_consumption } = first;
        user_courses.extend(second.user_courses);
        content_consumption.extend(second.content_consumption);
        data::without_empty_maps(Tables { user_courses, content_consumption })
    };
    let before = all(early.tables, late.tables);
    let mut expected = model::apply(&early.lines, &before).tables;
    // Its content is deleted unseen, and so is what led to its enrolment, which stays.
    let is_overlooked = |user: &str, batch: &str| user == "overlooked-to" && batch == "b2";
    expected.content_consumption.retain(|key, _| !is_overlooked(&key.0, &key.2));
    expected.user_courses.retain(|key, _| !is_overlooked(&key.1, &key.0));
    let enrolment = ("b2".to_owned(), "overlooked".to_owned());
    expected.user_courses.insert(enrolment.clone(), before.user_courses[&enrolment].clone());
    world.assert_tables(&expected);

    // Who works in the other datacenter knows of both runs.
    let runs = Call::new(&["runs", "--json", "--hosts", there, "--local-dc", "dc2"])
        .with("--keyspace", &world.keyspace);
    let known = runs.run().exits(0).json();
    assert_eq!(known["runs"].as_array().map(Vec::len), Some(2), "{known}");
    let run = run.to_str().expect("the tests use UTF-8");
    for command in ["verify", "undo"] {
        Call::new(&[command, run, "--hosts", here]).run().exits(0);
    }
    let own = world.dump();
    assert!(own.content_consumption.keys().any(|key| key.0 == "seen" && key.2 == "b2"), "{own:?}");
}
