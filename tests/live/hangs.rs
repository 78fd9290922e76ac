//! Commands that are interrupted while Cassandra or Kafka hangs: each ends, says how to go on, and can be resumed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::model::Outcome;
use crate::process::{Call, Finished, Running};
use crate::proxy::{Fate, Proxy};
use crate::services::{Instance, shared};
use crate::stops::{groups, wait_until, world};
use crate::world::{World, connect, to_csv};

/// A server that answers until it is told to hang; from then on every request is swallowed.
struct Hanging {
    proxy: Proxy,
    hangs: Arc<AtomicBool>,
}

impl Hanging {
    fn new(world: &World) -> Self {
        let hangs = Arc::<AtomicBool>::default();
        let asked = Arc::clone(&hangs);
        let fate = move || match asked.load(Ordering::SeqCst) {
            true => Fate::Delay(Duration::from_secs(3_600)),
            // Slowly, so that it is still going on then.
            false => Fate::Delay(Duration::from_millis(20)),
        };
        Self { proxy: Proxy::with(&world.addresses.hosts, move |_, _| fate()), hangs }
    }

    /// Starts a command, lets the server hang in the midst of it, and interrupts it.
    fn interrupted(&self, call: Call, after: usize) -> Running {
        let running = call.with("--hosts", &self.proxy.hosts).start();
        wait_until("it is under way", || self.proxy.count() > after);
        self.hangs.store(true, Ordering::SeqCst);
        let seen = self.proxy.count();
        wait_until("a request is swallowed", || self.proxy.count() > seen);
        running.interrupt();
        running
    }
}

struct Case {
    world: World,
    expected: Outcome,
    pairs: std::path::PathBuf,
    run: std::path::PathBuf,
}

impl Case {
    fn new(name: &str) -> Self {
        let (world, lines, expected) = world(name, 60);
        let (pairs, run) = (world.file("pairs.csv", to_csv(&lines)), world.run_dir());
        Self { world, expected, pairs, run }
    }

    fn applied(name: &str) -> Self {
        let case = Self::new(name);
        case.apply().run().exits(0);
        case
    }

    fn apply(&self) -> Call {
        self.world.apply(&self.pairs, &self.run)
    }

    fn walk(&self, command: &str) -> Call {
        let run = self.run.to_str().expect("the tests use UTF-8");
        let call = Call::new(&[command, run]).flag("--json");
        call.with("--hosts", &self.world.addresses.hosts)
    }
}

/// It says which command goes on.
#[track_caller]
fn assert_names(finished: &Finished, command: &str) {
    let again = finished.json()["again"].as_str().unwrap_or_default().to_owned();
    assert!(again.contains(&format!("tributary {command} ")), "{again:?}: {finished}");
}

/// All at the same time, because each takes its half minute.
#[test]
fn an_interrupt_ends_every_command_though_cassandra_hangs() {
    let apply = Case::new("hangs_apply");
    let [sweep, verify, undo] =
        ["sweep", "verify", "undo"].map(|name| Case::applied(&format!("hangs_{name}")));
    let inspect = Case::new("hangs_inspect");
    let hanging = [&apply, &sweep, &verify, &undo, &inspect].map(|case| Hanging::new(&case.world));
    let look =
        Call::new(&["plan", inspect.pairs.to_str().expect("UTF-8")]).with("--inspect", "all");
    let look = look.with("--keyspace", &inspect.world.keyspace).with("--run-dir", &inspect.run);
    let running = [
        hanging[0].interrupted(apply.apply().with("--in-flight", "4"), 60),
        hanging[1].interrupted(sweep.world.resume(&sweep.run).with("--in-flight", "1"), 0),
        hanging[2].interrupted(verify.walk("verify").with("--in-flight", "1"), 10),
        hanging[3].interrupted(undo.walk("undo").with("--in-flight", "1"), 10),
        hanging[4].interrupted(look.with("--in-flight", "1"), 10),
    ];
    let [applied, swept, verified, undone, inspected] =
        running.map(|running| running.within(Duration::from_secs(60)).wait().exits(130));
    drop(hanging);

    assert_names(&applied, "resume");
    let counted = groups(&applied.json());
    assert!(counted.left > 0 && counted.failed == 0, "{applied}");
    apply.world.resume(&apply.run).run().exits(0);
    apply.world.assert_is(&apply.expected);

    assert_names(&swept, "resume");
    assert_eq!(groups(&swept.json()).done, 60, "{swept}");
    sweep.world.resume(&sweep.run).run().exits(0);
    sweep.world.assert_is(&sweep.expected);

    assert_names(&verified, "verify");
    let finished = verify.walk("verify").run().exits(0);
    assert_eq!(finished.json()["groups"]["compared"], 60, "{finished}");

    assert_names(&undone, "undo");
    let finished = undo.walk("undo").run().exits(0);
    let count = |name: &str| finished.json()["groups"][name].as_u64().unwrap_or_default();
    assert_eq!(count("undone") + count("undone_before"), 60, "{finished}");

    inspected.names("nothing was changed");
    assert!(!inspect.run.exists(), "a plan that was not finished is none");
}

/// Groups whose writes are acknowledged and whose events are not are left to `resume`.
#[test]
fn an_interrupt_ends_a_run_though_kafka_hangs() {
    let kafka = Instance::start("hangs", &["--kafka-only"]);
    let mut addresses = shared().clone();
    addresses.brokers.clone_from(&kafka.addresses.brokers);
    let session = connect(&addresses.hosts, None);
    let world = World::on("hangs_kafka", addresses, session).with_tables();
    let (other, lines, expected) = crate::stops::world("hangs_data", 60);
    world.load(&other.dump());

    let proxy = Proxy::with(&world.addresses.hosts, |_, _| Fate::Delay(Duration::from_millis(10)));
    let run = world.run_dir();
    let call = world.apply(&world.file("pairs.csv", to_csv(&lines)), &run);
    let running = call.with("--hosts", &proxy.hosts).with("--in-flight", "4").start();
    wait_until("groups are under way", || proxy.count() > 20);
    let held = kafka.freeze("kafka");
    // Until all that is under way waits for the broker.
    let mut seen = 0;
    wait_until("nothing gets on any more", || {
        std::thread::sleep(Duration::from_secs(1));
        std::mem::replace(&mut seen, proxy.count()) == proxy.count()
    });
    running.interrupt();
    let finished = running.within(Duration::from_secs(60)).wait().exits(130);
    drop(held);
    assert_names(&finished, "resume");
    let counted = groups(&finished.json());
    assert!(counted.left > 0 && counted.failed == 0, "{finished}");
    let report = finished.json();
    let events = |name: &str| report["events"][name].as_u64().unwrap_or_default();
    assert!(events("left") > 0, "{finished}");
    assert_eq!(events("produced"), events("acknowledged") + events("left"));
    world.resume(&run).run().exits(0);
    world.assert_tables(&expected.tables);
    let announced: std::collections::BTreeSet<_> =
        world.messages().into_iter().map(|(object, _)| object).collect();
    // Some of them twice, perhaps, and with the same id: nobody heard that they had arrived.
    assert_eq!(announced, expected.events.keys().cloned().collect());
}
