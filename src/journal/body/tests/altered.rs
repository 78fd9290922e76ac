//! Bodies that were written for other tables than those that there are.

use super::*;
use crate::journal::Journal;
use crate::journal::body::Layout;

fn things(schema: &mut Schema) -> &mut Vec<ColumnSchema> {
    &mut schema.tables.get_mut("things").unwrap().columns
}

fn column(name: &str, cql_type: &str) -> ColumnSchema {
    let cql_type = CqlType::parse(cql_type);
    ColumnSchema { name: name.into(), cql_type, kind: ColumnKind::Regular }
}

/// One row of `things` with these cells beside its key.
fn slice(spec: &Spec, cells: &[(&str, &'static str)]) -> Slice {
    let table = &spec.tables[0];
    let mut row = Row::new(vec![None; table.columns.len()]);
    for (name, value) in [("owner", "from"), ("place", "p"), ("room", "r")].iter().chain(cells) {
        row.cells[table.position(name).unwrap()] = Some(Bytes::from_static(value.as_bytes()));
    }
    let set = cells
        .iter()
        .map(|(name, value)| (table.position(name).unwrap(), Bytes::from_static(value.as_bytes())));
    let mut set: Vec<_> = set.collect();
    set.sort_by_key(|(column, _)| *column);
    let entry = Entry { sources: vec![(0, row)], write: Write::Copy { set }, ..Entry::new(0) };
    Slice { entries: vec![entry], completion: None }
}

/// Writes with one specification, reads with another.
fn across(then: &Spec, now: &Spec, cells: &[(&str, &'static str)]) -> Result<Slice, String> {
    let journal = MemoryJournal::default();
    let body = Codec::open(then, &journal).unwrap().encode(&slice(then, cells));
    Codec::open(now, &journal).unwrap().decode(&body.into())
}

#[test]
fn columns_are_found_by_name_wherever_they_are() {
    let cells = [("name", "n"), ("big", ""), ("tags", "t")];
    let moved = altered(|schema| things(schema)[5..].reverse());
    let added = altered(|schema| {
        let new = [column("before", "text"), column("kind_of", "blob")];
        things(schema).splice(5..5, new);
    });
    assert_ne!(moved.tables[0].position("name"), spec().tables[0].position("name"));
    assert_ne!(added.tables[0].position("name"), spec().tables[0].position("name"));
    for (then, now) in [(spec(), moved.clone()), (moved, added.clone()), (spec(), added)] {
        assert_eq!(across(&then, &now, &cells), Ok(slice(&now, &cells)));
    }
}

/// A column that is gone cannot be written to nor compared with; one of its name and another type is another column.
#[test]
fn a_column_that_is_gone_takes_nothing_else_with_it() {
    let gone = altered(|schema| things(schema).retain(|column| column.name != "name"));
    let other = altered(|schema| {
        for column in things(schema).iter_mut().filter(|column| column.name == "name") {
            column.cql_type = CqlType::parse("blob");
        }
    });
    for now in [gone, other] {
        let read = across(&spec(), &now, &[("name", "n"), ("big", "b")]);
        assert_eq!(read, Ok(slice(&now, &[("big", "b")])));
    }
}

#[test]
fn what_has_no_place_any_more_is_named() {
    let mut other_key = spec();
    let key = std::mem::replace(&mut other_key.tables[0].columns[0].name, "spot".into());
    let error = across(&spec(), &other_key, &[]).unwrap_err();
    assert!(error.starts_with("the primary key of things has no column "), "{error}");
    assert!(error.contains(&key), "{error}");

    let journal = MemoryJournal::default();
    let mut then = spec();
    then.tables[0].slim_len = then.tables[0].columns.len();
    let mut slice = slice(&then, &[("raw", "r")]);
    slice.entries[0].target = Some(slice.entries[0].sources[0].1.clone());
    let body = Bytes::from(Codec::open(&then, &journal).unwrap().encode(&slice));
    let error = codec_of(&spec(), &journal).decode(&body).unwrap_err();
    assert_eq!(error, "things.raw does not belong here");
    let mut now = spec();
    now.tables[0].name = "others".into();
    let error = codec_of(&now, &journal).decode(&body).unwrap_err();
    assert_eq!(error, "the merge specification knows no table things");
}

fn codec_of(spec: &Spec, journal: &MemoryJournal) -> Codec {
    Codec::open(spec, journal).unwrap()
}

#[test]
fn events_need_a_specification_that_has_them() {
    let journal = MemoryJournal::default();
    let scope = Scope::from(Bytes::from_static(b"r"));
    let quoted = vec![Some(Bytes::from_static(b"t")), None];
    let completion =
        Completion { deletes: Vec::new(), events: vec![Announced { left: None, scope, quoted }] };
    let slice = Slice { entries: Vec::new(), completion: Some(completion) };
    let body = Bytes::from(codec_of(&spec(), &journal).encode(&slice));
    let mut now = spec();
    now.event.as_mut().unwrap().columns.reverse();
    let read = codec_of(&now, &journal).decode(&body).unwrap();
    assert_eq!(read.completion.unwrap().events[0].quoted, [None, Some(Bytes::from_static(b"t"))]);
    now.event.as_mut().unwrap().columns.pop();
    let error = codec_of(&now, &journal).decode(&body).unwrap_err();
    assert!(error.starts_with("events do not quote the column"), "{error}");
    now.event = None;
    let error = codec_of(&now, &journal).decode(&body).unwrap_err();
    assert!(error.contains("events that the merge specification does not have"), "{error}");
}

#[test]
fn a_layout_is_kept_once() {
    let journal = MemoryJournal::default();
    let moved = altered(|schema| things(schema)[5..].reverse());
    for spec in [&spec(), &spec(), &moved, &spec(), &moved] {
        codec_of(spec, &journal);
    }
    assert_eq!(Layout::all(&journal).unwrap(), [Layout::of(&spec()), Layout::of(&moved)]);
    let text = journal.meta("layout_2").unwrap().unwrap();
    for (damage, expected) in [
        ("{".to_owned(), "EOF"),
        (text.replace("\"slim\":", "\"slim\":9"), "it names columns that it does not have"),
        (text.replace("\"table\":2", "\"table\":3"), "it names columns that it does not have"),
    ] {
        journal.set_meta("layout_2", &damage).unwrap();
        let error = Codec::open(&spec(), &journal).unwrap_err().to_string();
        assert!(error.starts_with("the journal layout_2 ") && error.contains(expected), "{error}");
    }
}
