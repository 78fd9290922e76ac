//! A merge of composite tables that is killed, at any moment and at each named step, ends as if nothing had happened.

use std::time::Duration;

use super::random::Data;
use super::shape::WORLD;
use super::{Kind, Scene};
use crate::data::Random;
use crate::process::{Call, Finished};

/// `apply`, or `resume` once there is a run.
fn session(scene: &Scene) -> Call {
    if scene.run.exists() { scene.resume() } else { scene.apply() }
}

/// The last session, which nothing disturbs, has merged everything, and it can be checked and undone.
fn assert_whole(scene: &Scene) {
    let expected = scene.expected();
    let at_full_speed = |call: Call| call.with("--rate", "none").run().exits(0);
    let finished = at_full_speed(session(scene));
    scene.assert_tables(&expected.tables);
    at_full_speed(scene.walk("verify"));
    at_full_speed(scene.walk("undo"));
    scene.assert_tables(&scene.before);
    scene.assert_report(&finished.json(), &expected);
}

#[test]
fn killed_at_any_moment() {
    const SEED: u64 = 3;
    const KILLS: usize = 6;
    let scene = Scene::new("composite_killed", &WORLD, &Data::groups(Kind::Text, SEED, &WORLD, 60));
    let mut random = Random::new(SEED);
    let mut killed = 0;
    while killed < KILLS {
        // Groups are held back so that there is much to interrupt; it may be starting still.
        let call = session(&scene).with("--rate", "12").with("--in-flight", "6");
        let call = call.environment("TRIBUTARY_LEASE", "1");
        let mut running = call.start();
        std::thread::sleep(Duration::from_millis(200 + random.below(1_000)));
        running.kill();
        let ended = running.wait();
        if ended.has_exited(0) {
            break; // it was done before
        }
        if !ended.was_kept_out() {
            ended.was_killed();
            killed += 1;
        }
    }
    assert!(killed >= KILLS / 2, "the run ends before it can be killed: {killed} times");
    assert_whole(&scene);
}

#[test]
fn killed_at_each_step() {
    const SEED: u64 = 4;
    let scene = Scene::new("composite_steps", &WORLD, &Data::groups(Kind::Text, SEED, &WORLD, 60));
    let mut random = Random::new(SEED);
    for step in ["intend", "intended", "batch", "batch", "copied", "written", "batch"] {
        let at = format!("{step}:{}", 1 + random.below(25));
        let call = session(&scene).with("--in-flight", "4");
        dies_at(call, &at);
    }
    assert_whole(&scene);
}

/// The undo of a composite run goes on, too.
#[test]
fn an_undo_killed_at_each_step() {
    const SEED: u64 = 5;
    let scene = Scene::new("composite_undo", &WORLD, &Data::groups(Kind::Text, SEED, &WORLD, 50));
    session(&scene).run().exits(0);
    let mut random = Random::new(SEED);
    for step in ["intend", "intended", "batch", "given-back", "restored", "undone"] {
        let at = format!("{step}:{}", 1 + random.below(8));
        dies_at(scene.walk("undo").with("--in-flight", "4"), &at);
    }
    scene.walk("undo").run().exits(0);
    scene.assert_tables(&scene.before);
}

fn dies_at(call: Call, at: &str) -> Finished {
    call.environment("TRIBUTARY_FAILPOINT", at).run().was_killed()
}
