//! B13: nodes that say an address of themselves which cannot be reached from here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use scylla::client::session_builder::SessionBuilder;

use crate::data::{self, Data};
use crate::model;
use crate::services::{Instance, shared};
use crate::world::{World, runtime, to_csv};

#[test]
#[ignore = "long: scripts/test --full"]
fn an_address_that_nodes_advertise_can_be_mapped() {
    let options = ["--cassandra-only", "--set", "broadcast_rpc_address=192.0.2.7"];
    let cassandra = Instance::start("addresses", &options);
    let mut addresses = shared().clone();
    addresses.hosts.clone_from(&cassandra.addresses.hosts);
    let reached: SocketAddr = addresses.hosts.parse().expect("it is one node");
    let advertised = SocketAddr::new([192, 0, 2, 7].into(), reached.port());
    let map = HashMap::from([(advertised, reached)]);
    let builder = SessionBuilder::new().known_node(&addresses.hosts);
    let session = runtime().block_on(builder.address_translator(Arc::new(map)).build());
    let session = Arc::new(session.expect("the node can be reached by the map"));
    let world = World::on("addresses", addresses, session).with_tables();
    let mut data = Data::new(7);
    for n in 0..20 {
        let from = format!("from-{n}");
        data.study(&from, "c", "b1");
        data.pair(&from, &format!("to-{n}"));
    }
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables));
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    let run = world.run_dir();
    let refused = world.apply(&pairs, &run).run().exits(1);
    let advice = format!("--address-map {advertised}=HOST:PORT");
    let refused = refused.names(&world.addresses.hosts).names("broadcast_rpc_address");
    refused.names(&advice);
    // A name may stand in the map, and a run keeps to it.
    let rule = format!("{advertised}=localhost:{}", reached.port());
    let call = world.apply(&pairs, &run).with("--address-map", &rule);
    call.with("--limit", "5").run().exits(0);
    world.resume(&run).with("--limit", "all").run().exits(0);
    world.assert_is(&expected);
}
