//! Servers that take less than others: what they refuse for its size is asked for in halves.

use crate::data::{self, Data};
use crate::frames::{Form, INVALID, READ_TIMEOUT, Request};
use crate::model;
use crate::process::Call;
use crate::proxy::{Fate, Proxy};
use crate::world::{World, to_csv};

/// Pairs of which each source has many rows, all in one batch.
fn pairs(pairs: usize, rows: usize) -> Data {
    let mut data = Data::new(5);
    for n in 0..pairs {
        let from = format!("from-{n}");
        for row in 0..rows {
            data.study(&from, &format!("c{row:03}"), "b1");
        }
        data.pair(&from, &format!("to-{n}"));
    }
    data
}

/// In windows of very many groups, so that much is asked for at once.
fn wide(call: Call) -> Call {
    call.environment("TRIBUTARY_WINDOW", "5000")
}

/// As Amazon Keyspaces: thirty statements in a batch.
fn thirty_statements(request: &Request, _: usize) -> Fate {
    let is_too_large = request.form == Form::Batch && request.statements.len() > 30;
    if is_too_large { Fate::Refuse(INVALID) } else { Fate::Pass }
}

#[test]
fn batches_are_cut_to_what_the_server_takes() {
    let world = World::new("statements");
    let data = pairs(30, 40);
    world.load(&data.tables);
    let before = data::without_empty_maps(data.tables.clone());
    let expected = model::apply(&data.lines, &before);
    let proxy = Proxy::with(&world.addresses.hosts, thirty_statements);
    let csv = world.file("pairs.csv", to_csv(&data.lines));
    let run = world.run_dir();
    wide(world.apply(&csv, &run).with("--hosts", &proxy.hosts)).run().exits(0);
    world.assert_is(&expected);
    let refused = || proxy.seen().iter().filter(|seen| seen.fate != Fate::Pass).count();
    // Sixty statements of one batch of courses, forty of each survivor's content; and once more for each.
    assert!((1..=6).contains(&refused()), "{} refusals", refused());

    let refused_before = refused();
    let undo = Call::new(&["undo", run.to_str().expect("the tests use UTF-8")]);
    wide(undo.with("--hosts", &proxy.hosts)).run().exits(0);
    world.assert_tables(&before);
    assert!(refused() - refused_before <= 6, "{} refusals", refused() - refused_before);
}

/// A read of more than a few accounts is not answered in time, whoever asks.
#[test]
fn what_takes_too_long_is_asked_for_in_parts() {
    let world = World::new("late");
    let data = pairs(60, 3);
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables.clone()));
    let proxy = Proxy::with(&world.addresses.hosts, |request, _| {
        // The list is the only value that is longer than a key.
        let is_long = |value: &Vec<u8>| value.len() > 4 * 12;
        let read = request.statements.iter().find(|statement| statement.is("SELECT"));
        let is_long = read.is_some_and(|read| {
            read.query.contains("IN ?") && read.values.iter().flatten().any(is_long)
        });
        if is_long { Fate::Refuse(READ_TIMEOUT) } else { Fate::Pass }
    });
    let csv = world.file("pairs.csv", to_csv(&data.lines));
    wide(world.apply(&csv, &world.run_dir()).with("--hosts", &proxy.hosts)).run().exits(0);
    world.assert_is(&expected);
    let refused = proxy.seen().iter().filter(|seen| seen.fate != Fate::Pass).count();
    assert!((5..=45).contains(&refused), "{refused} of {} timed out", proxy.count());
}

/// The guardrails for `IN`, at 20 partitions and 25 rows; they are not for superusers.
#[test]
fn guardrails_for_lists_are_kept() {
    let options = [
        "--cassandra-only",
        "--auth",
        "--set",
        "partition_keys_in_select_fail_threshold=20",
        "--set",
        "in_select_cartesian_product_fail_threshold=25",
    ];
    let (_cassandra, world) = World::with_logins("lists", &options);
    world.cql("CREATE ROLE merger WITH PASSWORD = 'pass-phrase' AND LOGIN = true");
    world.admit("merger");
    let mut data = pairs(200, 1);
    for n in 0..40 {
        let from = format!("fan-{n}");
        data.study(&from, &format!("c{n}"), "b1");
        data.pair(&from, "fan");
    }
    world.load(&data.tables);
    let expected = model::apply(&data.lines, &data::without_empty_maps(data.tables.clone()));
    let csv = world.file("pairs.csv", to_csv(&data.lines));
    let run = world.run_dir();
    let log_in = |call: Call| {
        let call = call.with("--username", "merger");
        wide(call.environment("TRIBUTARY_PASSWORD", "pass-phrase"))
    };
    let applied = log_in(world.apply(&csv, &run)).run().exits(0).json();
    world.assert_is(&expected);
    assert_eq!(applied["swept"]["sources"], 240, "{applied:#}");
    assert_eq!(applied["swept"]["failed"], 0, "{applied:#}");
    let path = run.to_str().expect("the tests use UTF-8");
    for command in ["verify", "undo"] {
        log_in(Call::new(&[command, path]).with("--hosts", &world.addresses.hosts)).run().exits(0);
    }
    world.assert_tables(&data::without_empty_maps(data.tables));
}
