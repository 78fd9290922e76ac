//! A register that is dropped or emptied while a run is not over: what it does not know any more is not taken for never
//! written, and the command that is printed leads to an end.

use std::path::{Path, PathBuf};

use crate::model::{Line, Outcome, Tables};
use crate::process::Call;
use crate::proxy::Proxy;
use crate::stops::{self, wait_until};
use crate::world::{World, to_csv};

const PAIRS: usize = 60;

/// A world with a register of its own.
struct Own {
    world: World,
    register: String,
    lines: Vec<Line>,
    before: Tables,
    expected: Outcome,
}

impl Own {
    fn new(name: &str) -> Self {
        let (world, lines, expected) = stops::world(name, PAIRS);
        let (register, before) = (format!("{}_register", world.keyspace), world.dump());
        Self { world, register, lines, before, expected }
    }

    fn apply(&self, run: &Path) -> Call {
        let pairs = self.world.file("pairs.csv", to_csv(&self.lines));
        self.world.apply(&pairs, run).with("--register", &self.register)
    }

    /// A run that was killed when some of its groups were done and others half merged.
    fn killed(&self) -> PathBuf {
        let run = self.world.run_dir();
        let call = self.apply(&run).environment("TRIBUTARY_LEASE", "1");
        call.environment("TRIBUTARY_FAILPOINT", "batch:70").run().was_killed();
        run
    }

    fn over(&self, command: &str, run: &Path) -> Call {
        let call = self.world.over(command, run);
        call.with("--register", &self.register).environment("TRIBUTARY_LEASE", "1")
    }

    fn cql(&self, statement: &str) {
        self.world.cql(&statement.replace("REGISTER", &self.register));
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.cql("DROP KEYSPACE IF EXISTS REGISTER");
    }
}

/// What is refused prints the command that goes on.
#[track_caller]
fn goes_on(call: Call) {
    let refused =
        call.run().exits(2).names("has lost what it knew of run").names("Nothing was written");
    let (_, command) = refused.stderr.rsplit_once("listed: ").expect("it prints a command");
    let command = command.lines().next().expect("on one line");
    assert!(command.ends_with(" --no-register"), "{command}");
    Call::typed(command).run().exits(0);
}

#[test]
fn a_run_whose_register_is_gone_is_resumed_or_undone_without() {
    let own = Own::new("register_gone");
    for lost in
        ["DROP KEYSPACE REGISTER", "DROP TABLE REGISTER.accounts", "TRUNCATE REGISTER.accounts"]
    {
        let half = own.killed();
        let (merged, undone) = (own.world.dump(), own.before.clone());
        own.cql(lost);
        for command in ["resume", "undo"] {
            let refused = own.over(command, &half).run().exits(2);
            refused.names(if lost.starts_with("DROP") { "dropped" } else { "truncated" });
        }
        own.world.assert_tables(&merged);
        own.over("verify", &half).run();
        goes_on(own.over("resume", &half));
        own.world.assert_tables(&own.expected.tables);
        goes_on(own.over("undo", &half));
        own.world.assert_tables(&undone);
        // Half merged, and straight back.
        let half = own.killed();
        own.cql("DROP KEYSPACE REGISTER");
        goes_on(own.over("undo", &half));
        own.world.assert_tables(&undone);
    }
}

#[test]
fn a_register_that_is_dropped_under_a_run_stops_it() {
    let own = Own::new("register_dropped");
    let (proxy, run) = (Proxy::new(&own.world.addresses.hosts), own.world.run_dir());
    let call = own.apply(&run).with("--hosts", &proxy.hosts).with("--rate", stops::SLOWLY);
    let running = call.start();
    wait_until("a few groups are done", || proxy.count() > 20);
    own.cql("DROP KEYSPACE REGISTER");
    let finished = running.wait().exits(1);
    let report = finished.json();
    let groups = stops::groups(&report);
    assert!(groups.left > 0 && groups.failed == 0, "{finished}");
    let stopped = report["stopped"].as_str().expect("it says why");
    assert!(stopped.contains("the register") && stopped.contains(&own.register), "{stopped}");
    goes_on(own.over("resume", &run).with("--rate", "none"));
    own.world.assert_tables(&own.expected.tables);
}

/// A table is named by the schema a moment before it can be read.
#[test]
fn whoever_looks_while_the_register_is_made_is_answered() {
    let own = Own::new("register_made");
    for _ in 0..3 {
        let run = own.world.run_dir();
        let mut making = own.apply(&run).with("--limit", "1").start();
        let mut looks = 0;
        while !making.has_ended() || looks == 0 {
            let runs = Call::new(&["runs"]).with("--hosts", &own.world.addresses.hosts);
            let runs = runs.with("--keyspace", &own.world.keyspace);
            let looked = runs.with("--register", &own.register).flag("--json").run();
            if !looked.has_exited(0) {
                looked.exits(1).names("there is no register");
            }
            looks += 1;
        }
        making.wait().exits(0);
        own.cql("DROP KEYSPACE REGISTER");
    }
}

/// Runs of two registers would not know of each other: a late row of the one would be lost to the deletes of the other.
#[test]
fn a_register_beside_the_one_that_knows_the_keyspace_is_refused() {
    let own = Own::new("register_beside");
    let run = own.world.run_dir();
    own.apply(&run).with("--limit", "1").run().exits(0);
    let beside = format!("{}_beside", own.world.keyspace);
    let pairs = own.world.file("later.csv", "from,to\nx,y\n");
    let is_refused = |call: Call| {
        let name = format!("--register {}", own.register);
        call.with("--register", &beside).run().exits(1).names(&own.register).names(&name);
    };
    is_refused(own.world.apply(&pairs, &own.world.run_dir()));
    let hosts = &own.world.addresses.hosts;
    let of_cluster =
        |call: Call| call.with("--hosts", hosts).with("--keyspace", &own.world.keyspace);
    is_refused(of_cluster(Call::new(&["runs"])));
    is_refused(of_cluster(Call::new(&["lookup", "x"])));
    // Nothing was made there, and the run goes on with its own.
    own.over("resume", &run).with("--limit", "all").run().exits(0);
    own.world.assert_tables(&own.expected.tables);
    own.cql("DROP KEYSPACE REGISTER");
    let made = own.world.apply(&pairs, &own.world.run_dir()).with("--register", &beside);
    made.run().exits(0);
    own.world.cql(&format!("DROP KEYSPACE {beside}"));
}

/// It may be kept on other nodes than what is merged.
#[test]
fn a_register_that_asks_for_more_nodes_than_there_are_is_named() {
    let own = Own::new("register_replicas");
    let run = own.world.run_dir();
    own.apply(&run).with("--limit", "1").run().exits(0);
    own.cql(
        "ALTER KEYSPACE REGISTER WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}",
    );
    let refused = own.over("resume", &run).run().exits(1);
    refused.names(&format!("reading the register {}", own.register)).names("ALTER KEYSPACE");
}
