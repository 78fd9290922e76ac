//! Three nodes, each row on all of them: one is held, then one is killed and started again, under load.

use std::time::Duration;

use super::*;
use crate::process::Running;
use crate::services::Instance;
use crate::world::connect;

/// Waits until the run has done some more groups.
fn goes_on(running: &mut Running, run: &Path, groups: u64) {
    let (from, began) = (groups_done(run), Instant::now());
    wait_until("it goes on", || {
        assert!(!running.has_ended(), "the run was over too soon");
        groups_done(run) >= from + groups
    });
    println!("{groups} groups in {:.1} s", began.elapsed().as_secs_f64());
}

#[test]
#[ignore = "long: scripts/test --full"]
fn a_node_may_hang_and_another_may_die() {
    let nodes = Instance::start("nodes", &["--nodes", "3"]);
    let session = connect(&nodes.addresses.hosts, None);
    let world = World::replicated("nodes", nodes.addresses.clone(), session, "'datacenter1': 3")
        .with_tables();
    let scenario = Scenario::on(world, crowd(71, 4_000));

    let call = scenario.session().with("--in-flight", "4");
    let mut running = call.start().within(Duration::from_secs(900));
    wait_until("groups are done", || groups_done(&scenario.run) > 100);

    let held = nodes.freeze("cassandra-2");
    goes_on(&mut running, &scenario.run, 100);
    drop(held);
    goes_on(&mut running, &scenario.run, 100);
    nodes.kill("cassandra-3");
    goes_on(&mut running, &scenario.run, 100);
    nodes.again();
    assert!(!running.has_ended(), "the run was over before the node was back");

    let finished = running.wait().exits(0);
    let report = finished.json();
    println!("{} requests were tried again in {} s", report["retries"], report["elapsed_s"]);
    assert_eq!(report["groups"]["failed"], 0);
    assert_eq!(scenario.assert_whole(&finished, &BTreeSet::new()), 0, "events sent again");
}
