//! What reaches Cassandra, as a witness on the wire sees it: consistency, batches, order, and what
//! becomes of a run when the wire misbehaves.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::data::{self, Data};
use crate::frames::{
    Form, INVALID, LOCAL_QUORUM, OVERLOADED, READ_TIMEOUT, Request, Statement, UNAVAILABLE,
    WRITE_TIMEOUT,
};
use crate::model::{self, Outcome};
use crate::process::Call;
use crate::proxy::{Fate, Proxy, Seen};
use crate::world::{World, to_csv};

/// A world of some colliding groups, loaded, and what a run must leave.
fn world(name: &str, worlds: u64) -> (World, Data, Outcome) {
    let world = World::new(name);
    let mut data = Data::new(21);
    for n in 0..worlds {
        data::small(n, &mut data);
    }
    world.load(&data.tables);
    let before = data::without_empty_maps(data.tables.clone());
    let expected = model::apply(&data.lines, &before);
    assert!(expected.plan.groups.len() > 10 && expected.user_courses.copied > 10);
    (world, data, expected)
}

fn through(proxy: &Proxy, world: &World, data: &Data) -> Call {
    let pairs = world.file("pairs.csv", to_csv(&data.lines));
    world.apply(&pairs, &world.run_dir()).with("--hosts", &proxy.hosts)
}

/// All that must be true of every request of every run.
#[track_caller]
fn assert_proper(seen: &[Seen]) {
    for Seen { request, .. } in seen {
        if request.is_of_register() {
            // The lease is read and written at SERIAL, and what is noted has no time of its own.
            let is_bound = |one: &Statement| one.partition.iter().all(|value| value.is_some());
            let is_proper = |one: &Statement| one.prepared && is_bound(one);
            assert!(request.statements.iter().all(is_proper), "{request:?}");
            continue;
        }
        assert_eq!(request.consistency, LOCAL_QUORUM, "not LOCAL_QUORUM: {request:?}");
        assert_ne!(request.form, Form::Unprepared, "unprepared: {request:?}");
        if request.form == Form::Batch {
            const UNLOGGED: u8 = 1;
            assert_eq!(request.batch_type, UNLOGGED, "not unlogged: {request:?}");
        }
        let partitions: BTreeSet<_> = request
            .statements
            .iter()
            .map(|statement| (statement.table(), statement.partition.clone()))
            .collect();
        assert_eq!(partitions.len(), 1, "not of one partition: {request:?}");
        for statement in &request.statements {
            assert!(statement.prepared, "unprepared: {statement:?}");
            let bound = !statement.partition.is_empty()
                && statement.partition.iter().all(|value| value.is_some());
            // Several accounts are read at once, but no more than the first rows of each.
            let is_bounded = statement.is("SELECT")
                && ["1", "?"].iter().any(|limit| {
                    statement.query.ends_with(&format!("IN ? PER PARTITION LIMIT {limit}"))
                });
            // Write times alone are read of whole partitions, page by page.
            let is_bounded = is_bounded
                || statement.query.starts_with("SELECT WRITETIME(")
                    && statement.query.ends_with("WHERE \"userid\" IN ?");
            // Partitions are deleted several at a time, at one write time.
            let is_bounded = is_bounded
                || statement.is("DELETE")
                    && statement.query.ends_with("USING TIMESTAMP ? WHERE \"userid\" IN ?");
            assert!(bound || is_bounded, "not of a partition that is bound: {statement:?}");
            if !statement.is("SELECT") {
                let query = statement.query.to_uppercase();
                assert!(query.contains("USING TIMESTAMP ?"), "no write time: {statement:?}");
            }
        }
    }
}

/// The assertions above find what they are there for.
#[test]
fn improper_requests_are_found() {
    let statement = |query: &str, key: &str| Statement {
        query: query.to_owned(),
        prepared: true,
        values: vec![Some(key.into())],
        partition: vec![Some(key.into())],
    };
    let write = |key: &str| statement("DELETE FROM user_courses USING TIMESTAMP ? WHERE …", key);
    let request = |form: Form, statements: Vec<Statement>| Request {
        form,
        consistency: LOCAL_QUORUM,
        batch_type: 1,
        statements,
    };
    let is_proper = |request: Request| {
        let seen = Seen { request, fate: Fate::Pass, sent: 0, answered: None, bytes: 0 };
        std::panic::catch_unwind(|| assert_proper(&[seen])).is_ok()
    };
    assert!(is_proper(request(Form::Batch, vec![write("a"), write("a")])));
    assert!(is_proper(request(Form::Prepared, vec![statement("SELECT * FROM user_courses", "a")])));

    assert!(!is_proper(request(Form::Batch, vec![write("a"), write("b")])), "two partitions");
    assert!(!is_proper(request(Form::Unprepared, vec![write("a")])), "unprepared");
    let unprepared = Statement { prepared: false, ..write("a") };
    assert!(!is_proper(request(Form::Batch, vec![unprepared])), "unprepared in a batch");
    let whole_table = Statement { partition: Vec::new(), ..write("a") };
    assert!(!is_proper(request(Form::Prepared, vec![whole_table])), "of no partition");
    let look = |query: &str| Statement { partition: Vec::new(), ..statement(query, "a") };
    let one_each = look("SELECT a FROM user_courses WHERE a IN ? PER PARTITION LIMIT 1");
    assert!(is_proper(request(Form::Prepared, vec![one_each])));
    let all_rows = look("SELECT a FROM user_courses WHERE a IN ?");
    assert!(!is_proper(request(Form::Prepared, vec![all_rows])), "of several partitions");
    let undated = statement("DELETE FROM user_courses WHERE …", "a");
    assert!(!is_proper(request(Form::Prepared, vec![undated])), "no write time");
    let one = Request { consistency: 1, ..request(Form::Prepared, vec![write("a")]) };
    assert!(!is_proper(one), "another consistency");
    let logged = Request { batch_type: 0, ..request(Form::Batch, vec![write("a")]) };
    assert!(!is_proper(logged), "a logged batch");
}

#[test]
fn every_request_is_prepared_of_one_partition_and_at_local_quorum() {
    let (world, data, expected) = world("wire", 60);
    let proxy = Proxy::new(&world.addresses.hosts);
    through(&proxy, &world, &data).run().exits(3);
    world.assert_is(&expected);

    let seen = proxy.seen();
    assert_proper(&seen);
    let of = |form: Form| seen.iter().filter(move |seen| seen.request.form == form);
    assert!(of(Form::Prepared).count() > 0 && of(Form::Batch).count() > 0);
    // A copied enrolment and its source go in one batch, for they share a partition.
    let moved = of(Form::Batch).filter(|seen| {
        let is = |word: &str| seen.request.statements.iter().any(|statement| statement.is(word));
        is("INSERT") && is("DELETE")
    });
    assert!(moved.count() > 0);
}

#[test]
fn another_consistency_is_used_for_everything_too() {
    let (world, data, expected) = world("wire_one", 40);
    let proxy = Proxy::new(&world.addresses.hosts);
    through(&proxy, &world, &data).with("--consistency", "ONE").run().exits(3);
    world.assert_is(&expected);
    const ONE: u16 = 0x0001;
    assert!(proxy.seen().iter().all(|seen| seen.request.consistency == ONE));
}

/// Law 2: a row is deleted no earlier than its copy is acknowledged, and content goes last.
#[test]
fn the_content_of_a_source_is_deleted_after_all_else_is_acknowledged() {
    let (world, data, expected) = world("wire_order", 60);
    // Writes are held back a little, so that a delete which does not wait for them is seen early.
    let proxy = Proxy::with(&world.addresses.hosts, |request, n| {
        if request.writes() {
            Fate::Delay(Duration::from_millis(n as u64 % 40))
        } else {
            Fate::Pass
        }
    });
    through(&proxy, &world, &data).run().exits(3);
    world.assert_is(&expected);

    let seen = proxy.seen();
    let deletes_content = |seen: &&Seen| {
        seen.request.statements.iter().any(|s| s.is("DELETE") && s.table() == "content_consumption")
    };
    let mut checked = 0;
    for group in &expected.plan.groups {
        let accounts = || group.sources.iter().chain([&group.survivor]);
        let of_group: Vec<&Seen> = seen
            .iter()
            .filter(|seen| seen.request.writes() && accounts().any(|a| seen.request.binds(a)))
            .collect();
        for delete in of_group.iter().copied().filter(deletes_content) {
            for other in of_group.iter().filter(|other| !deletes_content(other)) {
                let answered = other.answered.expect("the run is over");
                assert!(answered < delete.sent, "{delete:?}\nwas sent before\n{other:?}");
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} deletes had anything to wait for");
}

/// A large account and a crowded batch: the round trips must stay far below one per row.
#[test]
fn round_trips_are_far_fewer_than_rows() {
    let world = World::new("round_trips");
    let mut data = Data::new(1);
    for n in 0..3_000 {
        let (content, batch) = (format!("c{n:05}"), format!("b{}", n % 3));
        let row = data.content();
        data.consume(["source", &content, &batch, "k"], row);
    }
    data.pair("source", "target");
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data.tables);
    let proxy = Proxy::new(&world.addresses.hosts);
    through(&proxy, &world, &data).run().exits(0);
    world.assert_is(&expected);
    assert_proper(&proxy.seen());
    assert!(proxy.count() < 300, "{} round trips for 3,000 rows", proxy.count());
}

/// Runs a small world while `judge` decides the fate of each request, and expects no trace of it.
#[track_caller]
fn survives(name: &str, judge: impl Fn(&Request, usize) -> Fate + Send + Sync + 'static) {
    let (world, data, expected) = world(name, 40);
    let proxy = Proxy::with(&world.addresses.hosts, judge);
    through(&proxy, &world, &data).run().exits(3);
    world.assert_is(&expected);
    let seen = proxy.seen();
    let faults = seen.iter().filter(|seen| seen.fate != Fate::Pass).count();
    assert!(faults >= 10, "only {faults} faults in {} requests", seen.len());
    assert_proper(&seen);
}

#[test]
fn errors_that_pass_are_retried() {
    for (name, code) in [
        ("overloaded", OVERLOADED),
        ("write_timeout", WRITE_TIMEOUT),
        ("read_timeout", READ_TIMEOUT),
        ("unavailable", UNAVAILABLE),
    ] {
        survives(name, move |request, n| match code {
            WRITE_TIMEOUT if !request.writes() => Fate::Pass,
            READ_TIMEOUT if request.writes() => Fate::Pass,
            _ if n % 5 == 0 => Fate::Refuse(code),
            _ => Fate::Pass,
        });
    }
}

/// The server did what it was asked to and the client is told otherwise: it is done again.
#[test]
fn writes_that_are_repeated_change_nothing() {
    survives("misreported", |request, n| {
        if request.writes() && n % 3 == 0 { Fate::Misreport(WRITE_TIMEOUT) } else { Fate::Pass }
    });
}

#[test]
fn connections_that_are_cut_are_made_again() {
    survives("cut", |_, n| if n % 12 == 11 { Fate::Cut } else { Fate::Pass });
}

#[test]
fn a_slow_cluster_is_waited_for() {
    survives("slow", |_, n| {
        if n % 4 == 0 { Fate::Delay(Duration::from_millis(n as u64 % 300)) } else { Fate::Pass }
    });
}

/// A request whose answer never comes is given up after a while and sent again.
#[test]
fn a_request_that_is_never_answered_is_sent_again() {
    let (world, data, expected) = world("silent", 40);
    let proxy = Proxy::with(&world.addresses.hosts, |_, n| {
        if [7, 57].contains(&n) { Fate::Delay(Duration::from_secs(600)) } else { Fate::Pass }
    });
    through(&proxy, &world, &data).run().exits(3);
    world.assert_is(&expected);
    assert!(proxy.seen().iter().any(|seen| seen.fate != Fate::Pass));
}

/// Nothing is deleted and nothing announced of a group whose copies are refused for good.
#[test]
fn a_refused_write_fails_its_group_and_no_other() {
    let (world, data, expected) = world("refused", 40);
    // One that copies content, so that there is a write of which nothing may be deleted before.
    let failing = expected
        .plan
        .groups
        .iter()
        .find(|group| expected.events.keys().any(|(to, _)| *to == group.survivor))
        .expect("some group changes something")
        .clone();
    let accounts: BTreeSet<String> =
        failing.sources.iter().chain([&failing.survivor]).cloned().collect();
    let refused = accounts.clone();
    let proxy = Proxy::with(&world.addresses.hosts, move |request, _| {
        if request.writes() && refused.iter().any(|account| request.binds(account)) {
            Fate::Refuse(INVALID)
        } else {
            Fate::Pass
        }
    });
    through(&proxy, &world, &data).run().exits(3);

    let before = data::without_empty_maps(data.tables);
    let mut after = expected.tables.clone();
    let is_of = |user: &str| accounts.contains(user);
    after.user_courses.retain(|key, _| !is_of(&key.1));
    after.content_consumption.retain(|key, _| !is_of(&key.0));
    let courses = before.user_courses.iter().filter(|(key, _)| is_of(&key.1));
    after.user_courses.extend(courses.map(|(key, row)| (key.clone(), row.clone())));
    let content = before.content_consumption.iter().filter(|(key, _)| is_of(&key.0));
    after.content_consumption.extend(content.map(|(key, row)| (key.clone(), row.clone())));
    world.assert_tables(&after);

    let announced: BTreeSet<_> = world.events().into_keys().collect();
    let expected: BTreeSet<_> =
        expected.events.into_keys().filter(|(to, _)| *to != failing.survivor).collect();
    assert_eq!(announced, expected);
}
