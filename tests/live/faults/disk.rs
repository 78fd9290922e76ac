//! A disk that fills up under the journal, and one that cannot be written: nothing is changed that the
//! journal does not cover, and with room again the run goes on.

use std::process::Command;

use super::*;
use crate::model::Tables;

/// Asserts that every group that changed in any way has a slice in the journal, and that not all have one.
#[track_caller]
fn assert_covered(scenario: &Scenario, before: &Tables) {
    let journaled = journaled(&scenario.run);
    let groups = &scenario.expected.plan.groups;
    assert!(!journaled.is_empty() && journaled.len() < groups.len(), "{}", journaled.len());
    let accounts: BTreeSet<&String> = groups
        .iter()
        .filter(|group| !journaled.contains(&group.survivor))
        .flat_map(|group| group.sources.iter().chain([&group.survivor]))
        .collect();
    let of_them = |mut tables: Tables| {
        tables.user_courses.retain(|key, _| accounts.contains(&key.1));
        tables.content_consumption.retain(|key, _| accounts.contains(&key.0));
        tables
    };
    let (before, now) = (of_them(before.clone()), of_them(scenario.world.dump()));
    assert_same("untouched enrolment", &before.user_courses, &now.user_courses);
    assert_same("untouched content", &before.content_consumption, &now.content_consumption);
}

/// The survivors of all groups that have a slice in the journal.
fn journaled(run: &Path) -> BTreeSet<String> {
    let journal = rusqlite::Connection::open(run.join("journal.sqlite")).expect("there is one");
    let query = "SELECT DISTINCT survivor FROM groups JOIN slices ON group_number = number";
    let mut query = journal.prepare(query).expect("it has these tables");
    let survivors = query.query_map([], |row| row.get(0)).expect("it can be read");
    survivors.map(|survivor| survivor.expect("it is text")).collect()
}

#[test]
fn a_journal_that_has_no_room_stops_the_run_before_the_write() {
    let scenario = Scenario::new("no_room", crowd(61, 120));
    let before = scenario.world.dump();
    for pages in ["16", "24"] {
        let call = scenario.session().environment("TRIBUTARY_JOURNAL_MAX_PAGES", pages);
        let finished = call.run().exits(1).names("journal.sqlite").names("full");
        finished.names("make room").names("tributary resume");
        assert_covered(&scenario, &before);
    }
    scenario.assert_whole(&scenario.finish(), &BTreeSet::new());
}

/// A file system of a test's own; it is gone when this is dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None` where mounting is not allowed.
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        std::fs::create_dir(&at).expect("a folder can be made");
        let arguments = ["-t", "tmpfs", "-o", options, "tributary-test"];
        let mount = Command::new("mount").args(arguments).arg(&at).output();
        mount.is_ok_and(|mount| mount.status.success()).then_some(Self(at))
    }

    fn again(&self, options: &str) {
        let options = format!("remount,{options}");
        let mount = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(mount.is_ok_and(|status| status.success()), "{options}");
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// A disk for run directories, where mounting is allowed: as a rule, root may.
fn disk(world: &World, options: &str) -> Option<Mount> {
    let disk = Mount::new(world.path("disk"), options);
    if disk.is_none() {
        println!("mounting is not allowed here: not tried on a real disk");
    }
    disk
}

#[test]
fn a_disk_that_fills_up_stops_the_run_before_the_write() {
    let mut scenario = Scenario::new("full_disk", crowd(62, 120));
    let Some(disk) = disk(&scenario.world, "size=1m") else { return };
    scenario.run = disk.0.join("run");
    let before = scenario.world.dump();
    scenario.session().run().exits(1).names("journal.sqlite").names("make room");
    assert_covered(&scenario, &before);
    scenario.session().run().exits(1); // still full
    assert_covered(&scenario, &before);
    disk.again("size=64m");
    scenario.assert_whole(&scenario.finish(), &BTreeSet::new());
}

#[test]
fn a_run_directory_that_is_read_only_is_refused() {
    let mut scenario = Scenario::new("read_only", crowd(63, 10));
    let Some(disk) = disk(&scenario.world, "size=64m") else { return };
    scenario.run = disk.0.join("run");
    let before = scenario.world.dump();
    disk.again("ro");
    scenario.session().run().exits(1).names("read-only");
    disk.again("rw");
    scenario.session().environment("TRIBUTARY_FAILPOINT", "intended").run().was_killed();
    disk.again("ro");
    scenario.session().run().exits(1).names("read-only");
    scenario.world.assert_tables(&before);
    disk.again("rw");
    scenario.assert_whole(&scenario.finish(), &BTreeSet::new());
}
