//! Bodies that were written for other tables than those that there are.

use super::*;
use crate::journal::Journal;
use crate::journal::body::wire::Out;
use crate::journal::body::{Layout, Width, write_row};

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
    let set = cells.iter().map(|(name, value)| {
        Set::to(table.position(name).unwrap(), Bytes::from_static(value.as_bytes()))
    });
    let mut set: Vec<_> = set.collect();
    set.sort_by_key(|set| set.column);
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

/// Until it could be null, what was set said nothing of when it expires: with the longest of those that were the same.
#[test]
fn what_was_set_before_it_could_be_null_is_still_read() {
    let spec = with_moments(spec());
    let mut then = Layout::of(&spec);
    then.tables.iter_mut().for_each(|table| table.sets_cells = false);
    let journal = MemoryJournal::default();
    journal.set_meta("layout_1", &serde_json::to_string(&then).unwrap()).unwrap();
    let value = Bytes::from_static(b"v");
    let mut row = Row::new(vec![Some(value.clone()); spec.tables[1].columns.len()]);
    row.expires.set(2, Some(7));
    let mut longer = row.clone();
    longer.expires.set(2, Some(9));
    let sources = vec![(0, row), (1, longer)];
    let mut out = Out::with_room(0);
    out.number(0);
    out.list([()], |out, ()| {
        out.number(1);
        out.number(2);
        out.list(&sources, |out, (source, row)| {
            out.number(*source);
            write_row(out, Width::Full.kind(1), row, &then.tables[1]);
        });
        out.list([&value], |out, value| {
            out.number(2);
            out.value(value);
        });
    });
    out.option(None, |_, ()| {});
    let set = vec![Set { column: 2, value: Some(value.clone()), expires: Some(9) }];
    let expected = Entry { sources: sources.clone(), write: Write::Copy { set }, ..Entry::new(1) };
    let codec = codec_of(&spec, &journal);
    let read = codec.decode(&Bytes::from(out.finish())).unwrap();
    assert_eq!(read.entries, [expected]);
    assert!(journal.meta("layout_2").unwrap().is_some(), "what is written is of another");
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
