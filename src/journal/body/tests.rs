use std::str;

use bytes::Bytes;
use proptest::prelude::*;

use crate::journal::fixtures::spec;
use crate::merge::{Announced, Entry, Findings, PartitionDelete, Seal, Slice, Write};
use crate::model::{Cell, ColumnIndex, CqlType, Row, Scope};
use crate::spec::{Spec, Table};

use super::{decode, encode, json, read_scopes, scopes};

/// Values of a column: some of its type, some that only look like it, and some of no type at all.
fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::sample::select(vec![1_usize, 2, 4, 8])
            .prop_flat_map(|width| prop::collection::vec(any::<u8>(), width)),
        prop::sample::select(vec![
            vec![],
            vec![0],
            vec![1],
            vec![2],
            vec![0x80, 0, 0, 0, 0, 0, 0, 0]
        ]),
        any::<String>().prop_map(String::into_bytes),
        "[\"\\\\\u{0}-\u{1f}\u{7f}\u{2028}é😀{}:,a]{0,12}".prop_map(String::into_bytes),
    ]
    .prop_map(Bytes::from)
}

fn row(width: usize) -> impl Strategy<Value = Row> {
    prop::collection::vec(prop::option::of(value()), width).prop_map(|cells| Row { cells })
}

fn set(table: &Table) -> impl Strategy<Value = Vec<(ColumnIndex, Bytes)>> + use<> {
    let columns: Vec<ColumnIndex> = (table.key_len..table.columns.len()).collect();
    let some = 0..columns.len();
    prop::sample::subsequence(columns, some).prop_flat_map(|columns| {
        let values = prop::collection::vec(value(), columns.len());
        values.prop_map(move |values| columns.iter().copied().zip(values).collect())
    })
}

fn entry(spec: &Spec) -> impl Strategy<Value = Entry> + use<> {
    let entries = spec.tables.iter().enumerate().map(|(index, table)| {
        let target = prop::option::of(row(table.slim_len));
        let sources = prop::collection::vec((0..600_usize, row(table.columns.len())), 0..3);
        let write = prop_oneof![
            Just(Write::Nothing),
            set(table).prop_map(|set| Write::Copy { set }),
            set(table).prop_map(|set| Write::Update { set }),
        ];
        (target, sources, write)
            .prop_map(move |(target, sources, write)| Entry {
                table: index,
                target,
                sources,
                write,
            })
            .boxed()
    });
    prop::strategy::Union::new(entries)
}

fn seal(spec: &Spec) -> impl Strategy<Value = Seal> + use<> {
    let scopes: Vec<usize> =
        spec.tables.iter().map(|table| table.scope_columns().count()).collect();
    let delete = (0..spec.tables.len(), 0..600_usize).prop_flat_map(move |(table, source)| {
        let scope = prop::collection::vec(value(), scopes[table]).prop_map(Scope::new);
        scope.prop_map(move |scope| PartitionDelete { table, source, scope })
    });
    let deletes = prop::collection::vec(delete, 0..3);
    let quoted = prop::collection::vec(prop::option::of(value()), 2);
    let announced =
        (value(), quoted).prop_map(|(of, quoted)| Announced { scope: Scope::from(of), quoted });
    let events = prop::collection::vec(announced, 0..3);
    (deletes, events).prop_map(|(deletes, events)| Seal { deletes, events })
}

proptest! {
    #[test]
    fn slices_come_back_as_they_were(
        entries in prop::collection::vec(entry(&spec()), 0..4),
        seal in prop::option::of(seal(&spec())),
    ) {
        let slice = Slice { entries, seal };
        let body = encode(&spec(), &slice);
        prop_assert_eq!(decode(&spec(), &body), Ok(slice), "{}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn what_is_cut_off_is_no_slice(entry in entry(&spec()), cut in any::<prop::sample::Index>()) {
        let body = encode(&spec(), &Slice { entries: vec![entry], seal: None });
        prop_assert!(decode(&spec(), &body[..cut.index(body.len())]).is_err());
    }
}

fn text(value: &str) -> Cell {
    Some(Bytes::copy_from_slice(value.as_bytes()))
}

fn bytes<const N: usize>(value: [u8; N]) -> Cell {
    Some(Bytes::copy_from_slice(&value))
}

/// A row of `things`: its key, and what else is given.
fn thing(owner: &str, width: usize, others: &[(&str, Cell)]) -> Row {
    let spec = spec();
    let mut cells = vec![None; spec.tables[0].columns.len()];
    cells[0] = text(owner);
    cells[1] = bytes(7_i32.to_be_bytes());
    cells[2] = text("r");
    for (name, cell) in others {
        cells[spec.tables[0].position(name).unwrap()] = cell.clone();
    }
    cells.truncate(width);
    Row { cells }
}

#[test]
fn an_operator_can_read_it() {
    let spec = spec();
    let others = [
        ("rank", bytes((-2_i32).to_be_bytes())),
        ("seen", bytes(1_700_000_000_123_i64.to_be_bytes())),
        ("name", text("a \"b\"\n\u{1}")),
        ("code", bytes([0xff])),
        ("tiny", bytes([0xfe])),
        ("small", bytes([])),
        ("big", bytes(i64::MIN.to_be_bytes())),
        ("flag", bytes([1])),
        ("ratio", bytes(0.5_f64.to_be_bytes())),
        ("tags", bytes([0, 0, 0, 0])),
        ("Odd \"na\\me\"", text("")),
    ];
    let full = spec.tables[0].columns.len();
    let slice = Slice {
        entries: vec![Entry {
            table: 0,
            target: Some(thing("to", spec.tables[0].slim_len, &[])),
            sources: vec![(1, thing("from", full, &others))],
            write: Write::Update { set: vec![(3, Bytes::copy_from_slice(&[0, 0, 0, 9]))] },
        }],
        seal: Some(Seal {
            deletes: vec![PartitionDelete { table: 0, source: 1, scope: Scope::default() }],
            events: vec![Announced {
                scope: Scope::from(Bytes::from_static(b"r")),
                quoted: vec![None, text("n")],
            }],
        }),
    };
    let expected = concat!(
        r#"{"entries":[{"table":"things","target":{"owner":"to","place":7,"room":"r"},"#,
        r#""from":[{"source":1,"row":{"owner":"from","place":7,"room":"r","rank":-2,"#,
        r#""seen":1700000000123,"name":"a \"b\"\n\u0001","code":{"hex":"ff"},"tiny":-2,"#,
        r#""small":{"hex":""},"big":-9223372036854775808,"flag":true,"#,
        r#""ratio":{"hex":"3fe0000000000000"},"tags":{"hex":"00000000"},"Odd \"na\\me\"":""}}],"#,
        r#""write":"update","set":{"rank":9}}],"#,
        r#""seal":{"deletes":[["things",1]],"events":[{"scope":"r","quoted":{"#,
        r#""title":"n"}}]}}"#
    );
    assert_eq!(str::from_utf8(&encode(&spec, &slice)).unwrap(), expected);
}

#[test]
fn what_does_not_fit_is_named() {
    let entry = |entry: &str| format!(r#"{{"entries":[{{{entry}}}]}}"#);
    let thing = |row: &str| {
        entry(&format!(r#""table":"things","target":{{{row}}},"from":[],"write":"nothing""#))
    };
    let sealed = |event: &str| {
        format!(r#"{{"entries":[],"seal":{{"deletes":[],"events":[{{"scope":"r",{event}}}]}}}}"#)
    };
    for (body, expected) in [
        (
            thing(r#""colour":"red""#),
            "the merge specification knows no column colour of table things",
        ),
        (thing(r#""raw":{"hex":"00"}"#), "things.raw does not belong here"),
        (thing(r#""rank":2147483648"#), "things.rank: 2147483648 is not of type int"),
        (thing(r#""rank":1.5"#), "things.rank: 1.5 is not of type int"),
        (thing(r#""rank":"1""#), "things.rank: \"1\" is not of type int"),
        (thing(r#""kind":null"#), "things.kind: null is not of type text"),
        (thing(r#""kind":{"hex":"0"}"#), "things.kind: \"0\" is not hexadecimal"),
        (thing(r#""kind":{"hex":"+f"}"#), "things.kind: \"+f\" is not hexadecimal"),
        (
            entry(r#""table":"nothings","from":[],"write":"nothing""#),
            "the merge specification knows no table nothings",
        ),
        (
            entry(r#""table":"things","from":[],"write":"nothing","set":{"rank":1}"#),
            "it writes nothing, and yet sets columns",
        ),
        (entry(r#""table":"things","from":[],"write":"move""#), "unknown variant `move`"),
        (entry(r#""table":"things","from":[],"write":"copy","more":1"#), "unknown field `more`"),
        (sealed(r#""quoted":{"at":1}"#), "events do not quote the column at"),
        (sealed(r#""quoted":{},"scope":7"#), "duplicate field `scope`"),
        (sealed(r#""quoted":{"title":1}"#), "rooms\".title: 1 is not of type text"),
        ("[]".into(), "invalid"),
        (String::new(), "EOF"),
    ] {
        let error = decode(&spec(), body.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{body}: {error}");
    }
}

#[test]
fn events_need_a_specification_that_has_them() {
    let mut spec = spec();
    spec.event = None;
    let body = r#"{"entries":[],"seal":{"deletes":[],"events":[{"scope":"r","quoted":{}}]}}"#;
    assert!(decode(&spec, body.as_bytes()).unwrap_err().contains("has none"));
}

#[test]
fn scopes_of_every_table_come_back() {
    let spec = spec();
    let mut findings = Findings::new(&spec, 1);
    for (place, room) in [(7_i32, "b"), (-1, "a \"x\""), (7, "")] {
        let mut row = thing("from", spec.tables[0].columns.len(), &[]);
        row.cells[1] = bytes(place.to_be_bytes());
        row.cells[2] = text(room);
        let (sources, write) = (vec![(0, row)], Write::Copy { set: Vec::new() });
        findings.note(&spec.tables[0], &Entry { table: 0, target: None, sources, write });
    }
    let text = scopes(&spec, &findings);
    assert_eq!(text, r#"{"places":[7,-1],"Odd \"rooms\"":["a \"x\"","b"]}"#);
    let expected: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|table| findings.scopes(table).into_iter().map(move |scope| (table, scope)))
        .collect();
    assert_eq!(read_scopes(&spec, &text), Ok(expected));
    assert_eq!(read_scopes(&spec, ""), Ok(Vec::new()));
    for (text, expected) in [
        (r#"{"things2":[]}"#, "knows no table things2"),
        (r#"{"places":7}"#, "the scopes of places are no list"),
        (r#"{"places":["x"]}"#, "a scope of places: \"x\" is not of type int"),
        ("{", "EOF"),
    ] {
        let error = read_scopes(&spec, text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn numbers_of_every_width_keep_their_sign() {
    for (cql_type, value, expected) in [
        ("tinyint", &[0x80][..], "-128"),
        ("smallint", &[0x7f, 0xff], "32767"),
        ("int", &[0xff, 0xff, 0xff, 0xff], "-1"),
        ("bigint", &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "9223372036854775807"),
        ("timestamp", &[0, 0, 0, 0, 0, 0, 1, 0], "256"),
        ("counter", &[0, 0, 0, 0, 0, 0, 1, 0], r#"{"hex":"0000000000000100"}"#),
    ] {
        let mut out = Vec::new();
        json::value(&mut out, &CqlType::parse(cql_type), value);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{cql_type}");
    }
}
