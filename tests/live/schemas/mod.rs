//! Random schemas: tables, types, policies, rows and pairs are drawn; they are merged, killed, gone on with, written to,
//! swept, compared and undone, and each time held against a plain model.
//!
//! `TRIBUTARY_TEST_SEED=N TRIBUTARY_TEST_WORLDS=M` draws M worlds from the N-th on.

mod draw;
mod events;
mod model;
mod rows;
mod values;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::data::Random;
use crate::model::{Group, Line, resolve};
use crate::process::{Call, Finished};
use crate::world::{World, runtime, to_csv};

use draw::{ACCOUNTS, Draw, Policy, Table};
use events::Announced;
use model::Model;

/// A world of drawn tables in a keyspace that has others beside it.
struct Scene<'a> {
    world: &'a World,
    random: Random,
    account: &'static str,
    tables: Vec<Table>,
    /// The one table, whose key names two accounts, as it is merged by each.
    halves: Option<[Table; 2]>,
    /// What is announced, and of which table.
    event: Option<Announced>,
    lines: Vec<Line>,
    groups: Vec<Group>,
    /// All accounts, as literals: sources and survivors, then others.
    accounts: Vec<String>,
    spec: PathBuf,
    pairs: PathBuf,
    run: PathBuf,
}

/// What of a world is said when it fails.
fn described(scene: &Scene<'_>) -> String {
    let tables = scene.tables.iter().map(|table| table.create("ks", scene.account));
    let tables: Vec<String> = tables.collect();
    format!(
        "{}\n{}\n{}",
        tables.join("\n"),
        scene.written(),
        String::from_utf8_lossy(&to_csv(&scene.lines))
    )
}

impl<'a> Scene<'a> {
    fn new(world: &'a World, seed: u64) -> Self {
        let mut random = Random::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(77));
        let account = *random.one_of(&ACCOUNTS);
        let is_followed = random.chance(12);
        let (dates_lists, prefix) = (dates_elements(world), format!("t{seed}"));
        let draw = Draw { random: &mut random, dates_lists, prefix, tables: Vec::new() };
        let (tables, halves) = match is_followed {
            true => {
                let halves = draw.followers();
                (vec![halves[0].clone()], Some(halves))
            }
            false => (draw.tables(), None),
        };
        let mut scene = Self {
            spec: PathBuf::new(),
            pairs: PathBuf::new(),
            run: world.run_dir(),
            world,
            random,
            account,
            tables,
            halves,
            event: None,
            lines: Vec::new(),
            groups: Vec::new(),
            accounts: Vec::new(),
        };
        scene.draw_pairs();
        if scene.halves.is_none() {
            scene.event = scene.draw_event();
        }
        scene.spec = world.file(&format!("{seed}.toml"), scene.written());
        scene.pairs = world.file(&format!("{seed}.csv"), to_csv(&scene.lines));
        for table in &scene.tables {
            world.schema(&table.create(&world.keyspace, account));
        }
        scene
    }

    /// Groups with fan-in and chains.
    fn draw_pairs(&mut self) {
        for _ in 0..2 + self.random.below(3) {
            let to = self.new_account();
            let sources: Vec<String> =
                (0..=self.random.below(3)).map(|_| self.new_account()).collect();
            for (n, from) in sources.iter().enumerate() {
                let target = match n > 0 && self.random.chance(40) {
                    true => &sources[self.random.below(n as u64) as usize],
                    false => &to,
                };
                self.lines.push(Line::Pair(from.clone(), target.clone()));
            }
        }
        let plan = resolve(&self.lines);
        assert!(plan.rejected.is_empty(), "{:?}", self.lines);
        let literal = |id: &String| self.literal(id);
        self.groups = plan
            .groups
            .iter()
            .map(|group| Group {
                survivor: literal(&group.survivor),
                sources: group.sources.iter().map(literal).collect(),
            })
            .collect();
        for group in &self.groups {
            self.accounts.extend(group.sources.iter().chain([&group.survivor]).cloned());
        }
        for _ in 0..2 {
            let other = self.new_account();
            self.accounts.push(self.literal(&other));
        }
    }

    fn literal(&self, id: &str) -> String {
        match self.account {
            "text" | "ascii" => values::quote(id),
            _ => id.to_owned(),
        }
    }

    fn new_account(&mut self) -> String {
        let random = &mut self.random;
        let bits = (u128::from(random.below(u64::MAX)) << 64) | u128::from(random.below(u64::MAX));
        let hex = format!("{bits:032x}");
        let uuid = |version: u8| {
            format!(
                "{}-{}-{version}{}-8{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[13..16],
                &hex[17..20],
                &hex[20..]
            )
        };
        match self.account {
            "text" => format!("{} {}", random.one_of(&["a", "o'neil", "ünï 東", "x,y"]), &hex[..8]),
            "ascii" => format!("{}{}", random.one_of(&["a", "o'neil", "\"q\""]), &hex[..8]),
            "uuid" => uuid(4),
            "timeuuid" => uuid(1),
            "int" => (bits as i32).to_string(),
            "bigint" => (bits as i64).to_string(),
            _ => (bits as i128 >> random.below(90)).to_string(),
        }
    }

    /// The specification.
    fn written(&self) -> String {
        let event = self.event.as_ref().map(|event| event.spec(&self.tables));
        draw::spec(&self.tables) + &event.unwrap_or_default()
    }

    fn has(&self, policy: Policy) -> bool {
        self.tables.iter().any(|table| table.policies.iter().any(|(_, known)| *known == policy))
    }

    fn call(&self, command: &str) -> Call {
        self.world.over(command, &self.run)
    }
}

/// Whether the server tells when elements were written.
fn dates_elements(world: &World) -> bool {
    let asked = world.session().query_unpaged("SELECT WRITETIME(tokens) FROM system.local", ());
    runtime().block_on(asked).is_ok()
}

/// Dies at a named step, if it gets there; gives what came of it.
fn dying(call: Call, random: &mut Random, steps: &[&str]) -> Finished {
    let at = format!("{}:{}", random.one_of(steps), 1 + random.below(5));
    call.environment("TRIBUTARY_FAILPOINT", &at).run()
}

/// Steps at which a merge may die.
const MERGE: [&str; 9] = [
    "scanned",
    "intend",
    "intended",
    "registered",
    "begun",
    "batch",
    "copied",
    "written",
    "mentioned",
];
const SWEEP: [&str; 4] = ["sweep", "placed", "swept", "mentioned"];
const UNDO: [&str; 5] = ["intended", "batch", "given-back", "restored", "undone"];

/// Merges, with some deaths in between.
fn merged(scene: &mut Scene<'_>, apply: Call) -> Finished {
    let mut merged = match scene.random.chance(75) {
        true => dying(apply, &mut scene.random, &MERGE),
        false => apply.run(),
    };
    for dies in [true, true, false] {
        if merged.has_exited(0) {
            break;
        }
        merged.was_killed();
        merged = match dies && scene.random.chance(40) {
            true => dying(scene.call("resume"), &mut scene.random, &MERGE),
            false => scene.call("resume").run(),
        };
    }
    merged.exits(0)
}

/// Undoes, with a death in between.
fn undone(scene: &mut Scene<'_>) {
    if scene.random.chance(50) {
        let undone = dying(scene.call("undo"), &mut scene.random, &UNDO);
        if !undone.has_exited(0) {
            undone.was_killed();
        }
    }
    scene.call("undo").run().exits(0);
}

/// A key that names two accounts: by the one, then by the other, and back.
fn followed_both_ways(scene: &mut Scene<'_>, halves: [Table; 2]) {
    let rows = scene.rows();
    scene.load(&rows);
    let groups = scene.groups.clone();
    let mut before = vec![scene.dump()];
    let mut runs = Vec::new();
    for (half, table) in halves.into_iter().enumerate() {
        scene.tables = vec![table];
        scene.run = scene.world.run_dir();
        runs.push(scene.run.clone());
        let spec = scene.world.file(&format!("half-{half}.toml"), draw::spec(&scene.tables));
        let tables = scene.tables.clone();
        let model = Model { tables: &tables, groups: &groups, before: &before[half], scans: false };
        let expected = model.merge();
        let apply =
            scene.world.apply(&scene.pairs, &scene.run).without("--topic").without("--brokers");
        let merged = merged(scene, apply.with("--spec", &spec));
        scene.assert_rows("merged", &expected.rows, true);
        scene.assert_tallies(&merged.json()["tables"], &expected);
        for run in &runs {
            scene.world.over("verify", run).run().exits(0);
        }
        let mut after = scene.dump();
        Scene::mark_runs(&before[0], &mut after);
        before.push(after);
    }
    for half in [1, 0] {
        scene.run.clone_from(&runs[half]);
        undone(scene);
        scene.assert_rows("undone", &before[half], false);
    }
}

/// What one world does, start to end.
fn merged_killed_swept_compared_and_undone(scene: &mut Scene<'_>) {
    let rows = scene.rows();
    scene.load(&rows);
    let before = scene.dump();
    let scans = scene.random.chance(20);
    let registers = scene.has(Policy::Sum) || scene.random.chance(85);
    let groups = scene.groups.clone();
    let tables = scene.tables.clone();
    let model = Model { tables: &tables, groups: &groups, before: &before, scans };
    let mut expected = model.merge();

    let mut apply = scene.world.apply(&scene.pairs, &scene.run).with("--spec", &scene.spec);
    if scene.event.is_none() {
        apply = apply.without("--topic").without("--brokers");
    }
    if scans {
        apply = apply.with("--discover", "scan");
    }
    if !registers {
        apply = apply.flag("--no-register");
    }
    if scene.random.chance(30) {
        apply = apply.with("--in-flight", "1");
    }
    let merged = merged(scene, apply);
    scene.assert_rows("merged", &expected.rows, true);
    scene.assert_tallies(&merged.json()["tables"], &expected);
    if let Some(event) = &scene.event {
        scene.assert_events(event, &before, &expected);
    }
    scene.call("verify").run().exits(0);

    let mut late = Vec::new();
    if registers && scene.random.chance(75) {
        late = scene.late_writes(&before, &expected);
        if scene.random.chance(25) {
            let (own, are_later) = (scene.contested(&late, &expected), scene.random.chance(50));
            let (first, second) = if are_later { (&late, &own) } else { (&own, &late) };
            scene.write(first);
            scene.write(second);
            model.contest(&own, &late, are_later, &mut expected);
            let code = if expected.left > 0 { 3 } else { 0 };
            scene.call("resume").run().exits(code);
            return scene.assert_rows("contested", &expected.rows, true);
        }
        scene.write(&late);
        model.sweep(&late, &mut expected);
        if scene.random.chance(40) {
            let killed = dying(scene.call("resume"), &mut scene.random, &SWEEP);
            if !killed.has_exited(0) && !killed.has_exited(3) {
                killed.was_killed();
            }
        }
        let code = if expected.left > 0 { 3 } else { 0 };
        scene.call("resume").run().exits(code);
        scene.assert_rows("swept", &expected.rows, true);
        if expected.left == 0 {
            scene.call("verify").run().exits(0);
        }
    }

    undone(scene);
    let back = model.undone(&late);
    scene.assert_rows("undone", &back, false);
}

/// One world; whatever is wrong with it is said with its seed.
fn world_of(world: &World, seed: u64) -> Result<(), String> {
    let mut about = String::new();
    let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut scene = Scene::new(world, seed);
        about = described(&scene);
        match scene.halves.take() {
            Some(halves) => followed_both_ways(&mut scene, halves),
            None => merged_killed_swept_compared_and_undone(&mut scene),
        }
    }));
    done.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("TRIBUTARY_TEST_SEED={seed}\n{about}\n{}", text.unwrap_or_default())
    })
}

#[expect(clippy::print_stdout, reason = "shown when the test fails")]
fn worlds(first: u64, count: u64, at_once: usize) {
    let number = |name: &str| std::env::var(name).ok().map(|n| n.parse::<u64>().expect("a number"));
    let first = number("TRIBUTARY_TEST_SEED").unwrap_or(first);
    let count = number("TRIBUTARY_TEST_WORLDS").unwrap_or(count);
    println!("TRIBUTARY_TEST_SEED={first} TRIBUTARY_TEST_WORLDS={count}");
    let next = AtomicU64::new(first);
    let failed: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once)
            .map(|_| {
                scope.spawn(|| {
                    let new_world = || {
                        let world = World::empty("schemas");
                        let fields = "(a int, b text)";
                        world.schema(&format!("CREATE TYPE {}.pair {fields}", world.keyspace));
                        world
                    };
                    let mut world = new_world();
                    let mut failed = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + count {
                            return failed;
                        }
                        if let Err(error) = world_of(&world, seed) {
                            failed.push(error);
                            world = new_world(); // a run that has failed keeps others out
                        }
                    }
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it catches all panics"))
            .collect()
    });
    assert!(failed.is_empty(), "{} of {count} worlds:\n\n{}", failed.len(), failed.join("\n\n"));
}

#[test]
fn random_schemas_are_merged_killed_swept_compared_and_undone() {
    worlds(1, 4, 2);
}

#[test]
#[ignore = "long: many worlds"]
fn many_random_schemas() {
    worlds(1_000, 150, 3);
}
