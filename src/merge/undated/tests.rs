//! Elements of maps whose write times the server does not tell, swept: never above a later write, never lost.

use super::super::swept::{Horizon, SweepDecision, SweepSlice};
use super::*;
use crate::model::{AccountId, Cell, Change, Collection, Mutation, Row, WriteTimes};
use crate::spec::schema::{Schema, TableSchema};
use crate::spec::{RawSpec, Spec};

/// When the merge has deleted, up to when everything has arrived, and now.
const HORIZON: Horizon = Horizon { deleted: 1_000, settled: 5_000, now: 7_000, forgotten: 0 };

fn spec() -> Spec {
    let text = "name = 'test'\n[[table]]\nname = 'parts'\naccount = 'user'\nfind = 'partition'";
    let columns =
        [("user", "text"), ("k", "text"), ("grade", "text"), ("parts", "map<text, text>")];
    let table = TableSchema::keyed(2, &columns);
    let schema = Schema { keyspace: "k".into(), tables: [("parts".into(), table)].into() };
    RawSpec::parse(text, "the test").unwrap().check(&schema).unwrap()
}

fn text(text: &str) -> Cell {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn map(entries: &[(&str, &str)]) -> Cell {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let entries: Vec<_> = entries.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
    Some(Collection::Map.join(entries.iter().map(|(key, value)| (key, Some(value)))))
}

/// The row of an account, its grade written at 2,000.
fn row(spec: &Spec, user: &str, entries: &[(&str, &str)]) -> TimedRow {
    let at = |name| spec.tables[0].columns.iter().position(|column| column.name == name).unwrap();
    let mut cells = vec![None; 4];
    let mut times = vec![WriteTimes::None; 4];
    (cells[at("user")], cells[at("k")]) = (text(user), text("x"));
    (cells[at("grade")], times[at("grade")]) = (text("late"), WriteTimes::Cell(2_000));
    (cells[at("parts")], times[at("parts")]) = (map(entries), WriteTimes::Unknown);
    TimedRow { row: Row::new(cells), times }
}

/// What is taken of a source's row whose survivor has a copy.
fn taken(spec: &Spec, entries: &[(&str, &str)], horizon: Horizon) -> SweepDecision {
    let (found, copy) = (row(spec, "from", entries), row(spec, "to", &[("a", "1")]));
    SweepDecision::of((0, &spec.tables[0]), 0, &found, Some(copy), true, horizon)
}

fn swept(spec: &Spec, entries: &[(&str, &str)]) -> Swept {
    match taken(spec, entries, HORIZON) {
        SweepDecision::Take(swept, None) => swept,
        other => panic!("{other:?}"),
    }
}

fn deletes(mutations: &[Mutation]) -> Vec<(&'static str, i64)> {
    let kind = |mutation: &Mutation| match mutation.change {
        Change::DeleteRow { .. } => "row",
        Change::RemoveElements { .. } => "elements",
        Change::Update { .. } => "cells",
        _ => panic!("{mutation:?}"),
    };
    mutations.iter().map(|mutation| (kind(mutation), mutation.t)).collect()
}

#[test]
fn an_element_is_moved_just_above_the_delete_and_taken_once_it_stands() {
    let spec = spec();
    let swept = swept(&spec, &[("a", "2"), ("b", "3")]);
    let slice = SweepSlice { rows: vec![swept.clone()], events: Vec::new() };
    let writes = slice.moves(&spec, &AccountId::new("to"));
    let moved: Vec<_> = writes.iter().flatten().flat_map(|batch| &batch.mutations).collect();
    let times: Vec<_> = moved.iter().map(|mutation| mutation.t).collect();
    assert_eq!(times, [1_001, 2_000], "the elements cannot win over any later write");
    let is_delete = |mutation: &&&Mutation| matches!(mutation.change, Change::DeleteRow { .. });
    assert_eq!(moved.iter().filter(is_delete).count(), 0, "nothing goes before it is seen");

    let found = row(&spec, "to", &[("a", "2"), ("b", "3"), ("c", "4")]);
    assert!(swept.hidden(&spec.tables[0], Some(&found)).is_empty());
    let removed = swept.removals(&spec.tables[0], &[]);
    assert_eq!(deletes(&removed), [("row", 5_000)], "what arrives later outlives it");
}

#[test]
fn what_is_hidden_at_the_survivor_stays_and_with_it_the_row() {
    let spec = spec();
    let swept = swept(&spec, &[("a", "2"), ("b", "3")]);
    let table = &spec.tables[0];
    for found in
        [Some(row(&spec, "to", &[("a", "8"), ("b", "3")])), Some(row(&spec, "to", &[("b", "3")]))]
    {
        let hidden: Vec<_> = swept.hidden(table, found.as_ref()).into_iter().cloned().collect();
        let keys: Vec<_> = hidden.iter().map(|cell| cell.element.clone()).collect();
        assert_eq!(keys, [text("a")]);
        let removed = swept.removals(table, &hidden);
        assert_eq!(deletes(&removed), [("cells", 2_001), ("elements", 5_000)]);
    }
    assert_eq!(swept.hidden(table, None).len(), 2, "somebody has deleted the survivor's row");
}

#[test]
fn nothing_is_moved_before_later_writes_can_be_told_from_it() {
    let spec = spec();
    let early = Horizon { deleted: 4_999, ..HORIZON };
    assert_eq!(taken(&spec, &[("a", "2")], early), SweepDecision::Wait);
}
