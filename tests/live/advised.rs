//! Advice is safe: whatever command is printed in whatever state, it can be pasted into a shell at once, after another run
//! over the same accounts, and while another run goes on; no value is lost or stands twice, and following the list of
//! runs ends each of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::busy::once_free;
use crate::frames::INVALID;
use crate::process::{Call, Finished};
use crate::proxy::{Fate, Proxy};
use crate::runs::id;
use crate::world::World;

/// One state, with accounts of its own: in a keyspace there is room for many.
struct Stage<'w> {
    world: &'w World,
    name: String,
    /// What refuses the writes of `a` until its cause is mended.
    refusing: Option<(Proxy, Arc<AtomicBool>)>,
}

/// A run in a state, and what its content row must hold, wherever it is.
struct Met {
    run: PathBuf,
    /// What is printed there.
    commands: Vec<String>,
    progress: i64,
    score: Option<&'static str>,
}

impl Stage<'_> {
    /// Pairs of accounts of this stage.
    fn pairs(&self, list: &str) -> PathBuf {
        let line = |pair: &str| {
            let (from, to) = pair.split_once(',').expect("a pair");
            let of = |account: &str| format!("{}-{account}", self.name);
            format!("{},{}\n", of(from), of(to))
        };
        let text: String = list.split(' ').map(line).collect();
        let file = format!("{}-{}.csv", self.name, list.replace([',', ' '], "-"));
        self.world.file(&file, format!("from,to\n{text}"))
    }

    fn apply(&self, list: &str) -> (PathBuf, Call) {
        let run = self.world.run_dir();
        (run.clone(), self.world.apply(&self.pairs(list), &run))
    }

    /// `a` was merged into `b`.
    fn merged(&self) -> PathBuf {
        let (run, call) = self.apply("a,b");
        call.run().exits(0);
        run
    }

    /// Sets a column of the content row of an account.
    fn set(&self, account: &str, column: &str, value: &str) {
        let name = &self.name;
        self.world.cql(&format!(
            "UPDATE content_consumption SET {column} = {value} WHERE userid = '{name}-{account}' AND \
             contentid = '{name}' AND batchid = 'b1' AND courseid = 'c1'"
        ));
    }

    /// The list of runs.
    fn runs(&self) -> Value {
        let call = Call::new(&["runs"]).with("--hosts", &self.world.addresses.hosts);
        call.with("--keyspace", &self.world.keyspace).flag("--json").run().exits(0).json()
    }

    /// What the list of runs advises for one of them.
    fn listed(&self, run: &Path) -> Vec<String> {
        let own = run.display().to_string();
        let is_of = |command: &String| command.split(' ').any(|word| word == own);
        commands(&self.runs()).into_iter().filter(is_of).collect()
    }

    /// How a run stands by the register.
    fn state(&self, run: &Path) -> String {
        let (listed, own) = (self.runs(), id(run));
        let runs = listed["runs"].as_array().expect("a list");
        let known = runs.iter().find(|known| known["run"] == *own).expect("it is listed");
        known["state"].as_str().expect("a state").to_owned()
    }

    /// Who has the content row, with its progress and score.
    fn rows(&self) -> Vec<Vec<Value>> {
        let rows =
            self.world.rows("SELECT contentid, userid, progress, score FROM content_consumption");
        let rows =
            rows.into_iter().map(|row| row.into_iter().map(Option::unwrap_or_default).collect());
        let mut rows: Vec<Vec<Value>> =
            rows.filter(|row: &Vec<Value>| row[0] == *self.name).collect();
        rows.sort_by_key(|row| row[1].to_string());
        rows
    }

    /// Pastes a command; every value stands afterwards, and none twice. What only looks changes nothing, also of what is
    /// half merged.
    #[track_caller]
    fn follow(&self, met: &Met, command: &str) -> Finished {
        let before = self.rows();
        let done = once_free(|| self.paste(command));
        match is_looking(command) {
            true => assert_eq!(self.rows(), before, "{done}"),
            false => self.assert_once(met, &done),
        }
        done
    }

    #[track_caller]
    fn assert_once(&self, met: &Met, after: &Finished) {
        let rows = self.rows();
        let holders =
            |column: usize, value: Value| rows.iter().filter(|row| row[column] == value).count();
        assert_eq!(holders(2, json!(met.progress)), 1, "{}: {rows:?} after {after}", self.name);
        if let Some(score) = met.score {
            assert_eq!(holders(3, json!(score)), 1, "{}: {rows:?} after {after}", self.name);
        }
    }

    /// A command, as it is pasted; what only the operator knows is filled in.
    fn paste(&self, command: &str) -> Call {
        let World { keyspace, topic, addresses, .. } = self.world;
        let line = command.replace("KEYSPACE", keyspace).replace("TOPIC", topic);
        Call::typed(&format!("{line} --json"))
            .in_folder(&self.world.path(""))
            .environment("TRIBUTARY_HOSTS", &addresses.hosts)
            .environment("TRIBUTARY_BROKERS", &addresses.brokers)
            .environment("TRIBUTARY_SETTLE", "50ms")
    }
}

/// The commands that an answer advises.
fn commands(answer: &Value) -> Vec<String> {
    let advice = answer["advice"].as_array().unwrap_or_else(|| panic!("no advice in {answer:#}"));
    advice.iter().map(|next| next["command"].as_str().expect("a command").to_owned()).collect()
}

fn met(run: PathBuf, answer: &Finished) -> Met {
    Met { run, commands: commands(&answer.json()), progress: 100, score: None }
}

/// A process that dies at a point; its lease ends soon after.
fn dies(stage: &Stage<'_>, call: Call, at: &str) {
    let call = call.environment("TRIBUTARY_LEASE", "1").environment("TRIBUTARY_FAILPOINT", at);
    call.run().was_killed();
    crate::stops::wait_until("its lease has ended", || stage.runs()["at_work"] == json!([]));
}

fn planned(stage: &Stage<'_>) -> Met {
    let run = stage.world.run_dir();
    let pairs = stage.pairs("a,b");
    let call = Call::new(&["plan", pairs.to_str().expect("UTF-8")]).with("--run-dir", &run);
    met(run, &call.flag("--json").run().exits(0))
}

fn inspected(stage: &Stage<'_>) -> Met {
    let run = stage.world.run_dir();
    let pairs = stage.pairs("a,b");
    let call = Call::new(&["plan", pairs.to_str().expect("UTF-8"), "--inspect"]);
    let call = call.with("--run-dir", &run).with("--keyspace", &stage.world.keyspace);
    let call = call.with("--hosts", &stage.world.addresses.hosts).flag("--json");
    met(run, &call.run().exits(0))
}

fn limited(stage: &Stage<'_>) -> Met {
    let (run, call) = stage.apply("a,b x,y");
    met(run, &call.with("--limit", "1").run().exits(0))
}

fn rejected(stage: &Stage<'_>) -> Met {
    let (run, call) = stage.apply("a,b x,x");
    met(run, &call.run().exits(3))
}

fn failed(stage: &mut Stage<'_>) -> Met {
    let is_refusing = Arc::new(AtomicBool::new(true));
    let (refuses, account) = (Arc::clone(&is_refusing), format!("{}-a", stage.name));
    let proxy = Proxy::with(&stage.world.addresses.hosts, move |request, _| {
        let is_refused =
            refuses.load(Ordering::SeqCst) && request.writes() && request.binds(&account);
        if is_refused && !request.is_of_register() { Fate::Refuse(INVALID) } else { Fate::Pass }
    });
    let (run, call) = stage.apply("a,b");
    let failed = call.with("--hosts", &proxy.hosts).run().exits(3);
    is_refusing.store(false, Ordering::SeqCst);
    stage.refusing = Some((proxy, is_refusing));
    met(run, &failed)
}

fn killed(stage: &Stage<'_>) -> Met {
    let (run, call) = stage.apply("a,b");
    dies(stage, call, "copied");
    Met { commands: stage.listed(&run), run, progress: 100, score: None }
}

fn late(stage: &Stage<'_>) -> Met {
    let run = stage.merged();
    stage.set("a", "score", "'9'");
    let verified = stage.world.over("verify", &run).run();
    Met { score: Some("9"), ..met(run, &verified) }
}

fn missing(stage: &Stage<'_>) -> Met {
    let run = stage.merged();
    stage.set("b", "status", "1");
    stage.set("b", "score", "'9'");
    let verified = stage.world.over("verify", &run).run().exits(4);
    // Whoever takes it back leaves what was changed, and gives a its value.
    Met { score: Some("9"), ..met(run, &verified) }
}

fn disputed(stage: &Stage<'_>) -> Met {
    let run = stage.merged();
    stage.set("b", "progress", "120");
    let undone = stage.world.over("undo", &run).run().exits(4);
    let met = Met { progress: 120, ..met(run, &undone) };
    assert_eq!(met.commands, stage.listed(&met.run));
    met
}

fn half_undone(stage: &Stage<'_>) -> Met {
    let run = stage.merged();
    dies(stage, stage.world.over("undo", &run), "given-back");
    Met { commands: stage.listed(&run), run, progress: 100, score: None }
}

fn some_half_undone(stage: &Stage<'_>) -> Met {
    let (run, call) = stage.apply("x,y a,b");
    call.run().exits(0);
    let some = stage.pairs("x,y");
    dies(stage, stage.world.over("undo", &run).with("--pairs", some), "undone");
    Met { commands: stage.listed(&run), run, progress: 100, score: None }
}

fn refused(stage: &Stage<'_>) -> Met {
    let run = stage.merged();
    let (_, second) = stage.apply("b,c");
    second.run().exits(0);
    met(run.clone(), &stage.world.over("undo", &run).run().exits(4))
}

fn interrupted(stage: &Stage<'_>) -> Met {
    let (run, call) = stage.apply("a,b");
    let slow = call.with("--settle", "3s").start();
    crate::stops::wait_until("the run is there", || run.join("run.json").exists());
    slow.interrupt();
    met(run, &slow.wait().exits(130))
}

/// What `a` is to be merged into is half merged by another run.
fn busy(stage: &Stage<'_>) -> Met {
    let (run, call) = stage.apply("x,y a,b");
    call.with("--limit", "1").run().exits(0);
    dies(stage, stage.apply("b,w").1, "copied");
    met(run.clone(), &stage.world.over("resume", &run).with("--limit", "all").run().exits(3))
}

/// One of two parts of a plan, which died.
fn part(stage: &Stage<'_>) -> Met {
    let of = |part: &str| {
        let (run, call) = stage.apply("a,b");
        let call = call.with("--shard", part).environment("TRIBUTARY_LEASE", "1");
        (run, call.environment("TRIBUTARY_FAILPOINT", "copied").run())
    };
    let parts = [of("1/2"), of("2/2")];
    // The other has nothing to merge.
    let died = |(_, finished): &(PathBuf, Finished)| !finished.has_exited(0);
    let (run, finished) = parts.into_iter().find(died).expect("one of them has the group");
    finished.was_killed();
    crate::stops::wait_until("its lease has ended", || stage.runs()["at_work"] == json!([]));
    Met { commands: stage.listed(&run), run, progress: 100, score: None }
}

/// What `a` got late is left there, for its survivor went on to `c`.
fn left(stage: &Stage<'_>) -> Met {
    let run = stage.merged();
    stage.set("a", "score", "'9'");
    stage.apply("b,c").1.run().exits(0);
    let resumed = stage.world.over("resume", &run).run().exits(3);
    assert_eq!(resumed.json()["swept"]["left"], 1, "{resumed}");
    Met { score: Some("9"), ..met(run, &resumed) }
}

type Build = fn(&mut Stage<'_>) -> Met;

const STATES: [(&str, Build); 16] = [
    ("planned", |stage| planned(stage)),
    ("inspected", |stage| inspected(stage)),
    ("limited", |stage| limited(stage)),
    ("rejected", |stage| rejected(stage)),
    ("failed", failed),
    ("killed", |stage| killed(stage)),
    ("late", |stage| late(stage)),
    ("missing", |stage| missing(stage)),
    ("disputed", |stage| disputed(stage)),
    ("half-undone", |stage| half_undone(stage)),
    ("some-half-undone", |stage| some_half_undone(stage)),
    ("refused", |stage| refused(stage)),
    ("interrupted", |stage| interrupted(stage)),
    ("busy", |stage| busy(stage)),
    ("part", |stage| part(stage)),
    ("left", |stage| left(stage)),
];

/// A stage in a state.
fn staged<'w>(world: &'w World, name: String, build: Build) -> (Stage<'w>, Met) {
    let mut stage = Stage { world, name, refusing: None };
    stage.set("a", "status", "2");
    stage.set("a", "progress", "100");
    let met = build(&mut stage);
    assert!(!met.commands.is_empty(), "nothing is advised in {}", stage.name);
    (stage, met)
}

/// Lets somebody else have the lease, or nobody.
fn lease(world: &World, is_held: bool) {
    let (keyspace, until) = (&world.keyspace, if is_held { i64::MAX } else { 0 });
    let take = format!(
        "UPDATE tributary.lease SET run = 'another', host = 'elsewhere', until = {until} \
         WHERE keyspace_name = '{keyspace}' IF EXISTS"
    );
    world.cql(&take);
}

fn is_of_run(command: &str) -> bool {
    ["resume", "verify", "undo"].iter().any(|of| command.starts_with(&format!("tributary {of} ")))
}

fn is_looking(command: &str) -> bool {
    command.contains(" verify ") && !command.contains("--repair")
}

#[test]
fn every_command_that_is_advised_is_safe_at_once() {
    let world = World::new("advised_at_once");
    for (state, build) in STATES {
        let (mut at, mut count) = (0, 1);
        while at < count {
            let (stage, met) = staged(&world, format!("{state}-{at}"), build);
            count = met.commands.len();
            let done = stage.follow(&met, &met.commands[at]);
            assert!([0, 3, 4].iter().any(|code| done.has_exited(*code)), "{state}: {done}");
            at += 1;
            if !is_of_run(&met.commands[0]) {
                continue;
            }
            // What is left of it, and of what it waits for, is ended by what the list of runs advises, one command at a time.
            let mut before = String::new();
            while let Some(command) = commands(&stage.runs()).into_iter().next() {
                assert_ne!(command, before, "{state}: advised twice in a row");
                stage.follow(&met, &command);
                before = command;
            }
            let ended = stage.state(&met.run);
            assert!(["done", "undone"].contains(&&*ended), "{state} after {done}: {ended}");
        }
    }
}

/// Whatever was printed before: b went on to z, unless that was refused.
#[test]
fn every_command_that_was_advised_is_safe_after_another_run() {
    let world = World::new("advised_later");
    for (state, build) in STATES {
        let (mut at, mut commands) = (0, 1);
        while at < commands {
            let (stage, met) = staged(&world, format!("{state}-{at}"), build);
            commands = met.commands.len();
            let other = world.run_dir();
            let pairs = stage.pairs("b,z");
            let other = once_free(|| world.apply(&pairs, &other));
            assert!(other.has_exited(0) || other.has_exited(3), "{state}: {other}");
            let done = stage.follow(&met, &met.commands[at]);
            assert!([0, 3, 4].iter().any(|code| done.has_exited(*code)), "{state}: {done}");
            at += 1;
        }
    }
}

/// Whatever is printed changes nothing while another run has the keyspace, and says so.
#[test]
fn every_command_that_is_advised_waits_for_another_run() {
    let world = World::new("advised_meanwhile");
    let first = Stage { world: &world, name: "first".to_owned(), refusing: None };
    first.apply("a,b").1.run().exits(0);
    for (state, build) in STATES {
        let (stage, met) = staged(&world, state.to_owned(), build);
        let rows = stage.rows();
        lease(&world, true);
        for command in &met.commands {
            let done = stage.paste(command).run();
            if !is_looking(command) {
                let done = done.exits(1);
                assert_eq!(done.json()["busy"]["run"], "another", "{state}: {done}");
            }
            assert_eq!(stage.rows(), rows, "{state}: {command}");
        }
        lease(&world, false);
    }
}

/// A run that was declared lost and turns up again is undone, and nothing else: its accounts are not its own any more.
#[test]
fn a_lost_run_is_undone_and_nothing_else() {
    let world = World::new("advised_lost");
    let stage = Stage { world: &world, name: "lost".to_owned(), refusing: None };
    stage.set("a", "progress", "100");
    let met = killed(&stage);
    let lost = Call::new(&["runs", "lost", &id(&met.run)]);
    let lost = lost.with("--hosts", &world.addresses.hosts).with("--keyspace", &world.keyspace);
    lost.run().exits(0);
    assert_eq!(stage.listed(&met.run), Vec::<String>::new());
    let (other, call) = stage.apply("b,z");
    call.run().exits(3);
    crate::runs::assert_rejected(&other, &["lost-run"], &id(&met.run));
    for command in ["resume", "verify"] {
        let call = world.over(command, &met.run);
        let call = if command == "verify" { call.flag("--repair") } else { call };
        let refused = call.run().exits(2).names("was declared lost");
        let undo = after(&refused.stderr, "half merged: ");
        assert_eq!(undo, format!("tributary undo {}", met.run.display()));
    }
    assert_eq!(stage.state(&met.run), "lost");
    stage.follow(&met, &format!("tributary undo {}", met.run.display()));
    assert_eq!(stage.rows()[0][1], json!("lost-a"));
    assert_eq!(stage.state(&met.run), "undone");
}

/// Advice of other kinds than those that are pasted above; none of them writes.
#[test]
fn what_is_advised_beside_runs_can_be_pasted() {
    let world = World::new("advised_beside");
    let stage = Stage { world: &world, name: "beside".to_owned(), refusing: None };
    // Inspect: of what was taken for a value of --inspect.
    let pairs = stage.pairs("a,b");
    let list = pairs.to_str().expect("UTF-8");
    let refused = Call::new(&["plan", "--inspect", list]).run().exits(2);
    let inspect = after(&refused.stderr, "they come first: ");
    stage.paste(&inspect).environment("TRIBUTARY_KEYSPACE", &world.keyspace).run().exits(0);
    // Config: of a setting that there is not.
    let file = world.file("wrong.toml", "zzzzzz = 3\n");
    let refused = Call::new(&["config"]).with("--config", &file).run().exits(2);
    assert!(refused.stderr.contains("`tributary config`"), "{refused}");
    stage.paste("tributary config").run().exits(2).names("--keyspace is missing");
    // Manual: of a topic that there is not.
    let refused = Call::new(&["help", "zzzzzz"]).run().exits(2);
    assert!(refused.stderr.contains("tributary help"), "{refused}");
    Call::typed("tributary help").run().exits(0);
    // CheckSpec: of what was drafted.
    let draft = Call::new(&["spec", "init"]).with("--account", "userid");
    let draft = draft.with("--hosts", &world.addresses.hosts).with("--keyspace", &world.keyspace);
    let draft = draft.run().exits(0);
    let file = world.file("draft.toml", &draft.stdout);
    let check = after(&draft.stderr, "can be checked:\n").replace("FILE", &file.to_string_lossy());
    Call::typed(check.trim()).run();
}

/// Each kind of advice, and the states above in which it is printed, or the reason why it is in none.
const KINDS: [(&str, &str); 12] = [
    ("Inspect", "beside"),
    ("Apply", "planned"),
    ("ApplyPlan", "inspected"),
    ("Resume", "limited, killed, late and more"),
    ("Verify", "limited; missing, with --repair"),
    ("Undo", "limited, half-undone, refused; disputed, with --keep-changed"),
    ("Close", "altered::a_table_that_is_dropped…: nothing of the run counts any more"),
    ("Again", "failed: what was typed, where it is not the command of another kind"),
    ("WithoutRegister", "lost_register: of a run whose register was dropped or emptied"),
    ("CheckSpec", "beside"),
    ("Config", "beside"),
    ("Manual", "beside"),
];

#[test]
fn every_kind_of_advice_is_met() {
    let source = include_str!("../../src/advice.rs");
    let (_, kinds) = source.split_once("enum Advice {\n").expect("it is there");
    let (kinds, _) = kinds.split_once("\n}\n").expect("it ends");
    let kinds = kinds.lines().filter_map(|line| line.strip_prefix("    "));
    let kinds = kinds.filter(|line| line.starts_with(char::is_uppercase));
    let names = kinds.map(|line| line.trim_end_matches([' ', '{', ',', '(']));
    let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.collect::<Vec<_>>(), known);
}

fn after(text: &str, words: &str) -> String {
    let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text}"));
    rest.lines().next().expect("a line").trim_end_matches(['\'', '.']).to_owned()
}
