//! Bodies as JSON.

use super::*;
use crate::journal::SliceKind;
use crate::journal::body::json;

fn text(value: &'static str) -> Cell {
    Some(Bytes::from_static(value.as_bytes()))
}

fn bytes<const N: usize>(value: [u8; N]) -> Cell {
    Some(Bytes::copy_from_slice(&value))
}

/// A row of `things`: its key, and what else is given.
fn thing(owner: &'static str, width: usize, others: &[(&str, Cell)]) -> Row {
    let spec = spec();
    let mut cells = vec![None; spec.tables[0].columns.len()];
    cells[..3].clone_from_slice(&[text(owner), bytes(7_i32.to_be_bytes()), text("r")]);
    for (name, cell) in others {
        cells[spec.tables[0].position(name).unwrap()] = cell.clone();
    }
    cells.truncate(width);
    Row::new(cells)
}

#[track_caller]
fn check(kind: SliceKind, write: impl FnOnce(&Codec) -> Vec<u8>, expected: &str) {
    let journal = MemoryJournal::default();
    let body = write(&Codec::open(&spec(), &journal).unwrap());
    let shown = Codec::as_written(&journal).unwrap().show(kind, &body.into()).unwrap();
    assert_eq!(String::from_utf8(shown).unwrap(), expected);
}

#[test]
fn a_merge_is_shown_by_name() {
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
    let spec = spec();
    let full = spec.tables[0].columns.len();
    let room = Scope::from(Bytes::from_static(b"r"));
    let slice = Slice {
        entries: vec![Entry {
            target: Some(thing("to", spec.tables[0].slim_len, &[])),
            sources: vec![(1, thing("from", full, &others))],
            write: Write::Update {
                set: vec![
                    Set::to(3, Bytes::copy_from_slice(&[0, 0, 0, 9])),
                    Set { column: 5, value: None, expires: None },
                ],
            },
            ..Entry::new(0)
        }],
        completion: Some(Completion {
            deletes: vec![
                PartitionDelete { table: 0, source: 1, scope: Scope::default() },
                PartitionDelete { table: 2, source: 0, scope: room.clone() },
            ],
            events: vec![Announced { left: None, scope: room, quoted: vec![None, text("n")] }],
        }),
    };
    let expected = concat!(
        r#"{"entries":[{"table":"things","target":{"owner":"to","place":7,"room":"r"},"#,
        r#""from":[{"source":1,"row":{"owner":"from","place":7,"room":"r","rank":-2,"#,
        r#""seen":1700000000123,"name":"a \"b\"\n\u0001","code":{"hex":"ff"},"tiny":-2,"#,
        r#""small":{"hex":""},"big":-9223372036854775808,"flag":true,"#,
        r#""ratio":{"hex":"3fe0000000000000"},"tags":[],"Odd \"na\\me\"":""}}],"#,
        r#""write":"update","set":{"rank":9,"kind":null}}],"#,
        r#""seal":{"deletes":[{"table":"things","source":1,"scope":{}},"#,
        r#"{"table":"Odd \"rooms\"","source":0,"scope":{"room":"r"}}],"#,
        r#""events":[{"scope":{"room":"r"},"quoted":{"title":"n"}}]}}"#
    );
    check(SliceKind::Merge, |codec| codec.encode(&slice), expected);
    check(SliceKind::Repair, |codec| codec.encode(&Slice::default()), r#"{"entries":[]}"#);
}

#[test]
fn a_sweep_is_shown_by_name() {
    let spec = spec();
    let table = &spec.tables[2];
    let column = |name| table.position(name).unwrap();
    let mut row = Row::new(vec![None; table.columns.len()]);
    row.cells[column("title")] = text("A");
    let mut times = vec![WriteTimes::None; table.columns.len()];
    times[column("title")] = WriteTimes::Cell(-5);
    times[column("tags")] = WriteTimes::Elements(vec![1, 2]);
    let cell = |name, element, value, moved_at| SweptCell {
        column: column(name),
        element,
        value,
        t: 17,
        moved_at,
        expires: None,
        names: None,
    };
    let swept = Swept {
        table: 2,
        source: 3,
        key: vec![Bytes::from_static(b"b"), Bytes::from_static(b"x")],
        cells: vec![
            cell("beds", None, bytes([0, 0, 0, 7]), Some(9)),
            cell("tags", text("c"), bytes([0, 0, 0, 1]), None),
        ],
        target: Some(TimedRow { row, times }),
        settled: Some(4),
    };
    let expected = concat!(
        r#"{"rows":[{"table":"Odd \"rooms\"","source":3,"key":{"room":"b","owner":"x"},"#,
        r#""cells":[{"column":"beds","value":7,"t":17,"placed_at":9},"#,
        r#"{"column":"tags","element":"c","value":1,"t":17}],"#,
        r#""target":{"row":{"title":"A"},"times":{"title":-5,"tags":[1,2]}},"settled":4}],"#,
        r#""events":[]}"#
    );
    let slice = SweepSlice { rows: vec![swept], events: Vec::new() };
    check(SliceKind::Sweep, |codec| codec.encode_sweep(&slice), expected);
}

#[test]
fn an_undo_is_shown_by_name() {
    let disputed =
        Disputed { column: 2, expected: None, found: bytes([0, 3]), found_written_at: Some(8) };
    let slice = UndoSlice {
        keys: 9,
        only: Some([3, 7].into()),
        apart: vec![Apart {
            key: 3,
            table: 0,
            ahead: vec![CellAhead { column: 3, t: 5 }],
            keeps_survivor: true,
            kept: vec![KeptCell { source: 0, column: 3, elements: vec![Bytes::from_static(b"c")] }],
        }],
        left_alone: vec![LeftAlone {
            key: 7,
            table: 1,
            pair: 0,
            row: vec![Bytes::copy_from_slice(&[0, 0, 0, 7]), Bytes::from_static(b"to")],
            conflicts: vec![disputed],
        }],
    };
    let expected = concat!(
        r#"{"keys":9,"only":[3,7],"apart":[{"key":3,"table":"things","#,
        r#""ahead":[{"column":"rank","t":5}],"keeps_survivor":true,"#,
        r#""kept":[{"source":0,"column":"rank","elements":[{"hex":"63"}]}]}],"#,
        r#""left_alone":[{"key":7,"table":"places","pair":0,"row":{"place":7,"owner":"to"},"#,
        r#""conflicts":[{"column":"beds","expected":null,"found":3,"#,
        r#""found_written_at":8}]}]}"#
    );
    check(SliceKind::Undo, |codec| codec.encode_undo(&slice), expected);
}

#[test]
fn values_are_shown_by_their_types() {
    for (cql_type, value, expected) in [
        ("tinyint", &[0x80][..], "-128"),
        ("smallint", &[0x7f, 0xff], "32767"),
        ("int", &[0xff, 0xff, 0xff, 0xff], "-1"),
        ("bigint", &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "9223372036854775807"),
        ("timestamp", &[0, 0, 0, 0, 0, 0, 1, 0], "256"),
        ("uuid", &[0x11; 16], "\"11111111-1111-1111-1111-111111111111\""),
        ("timeuuid", &[1, 2], r#"{"hex":"0102"}"#),
        ("set<text>", b"\0\0\0\x02\0\0\0\x01a\0\0\0\x01b", r#"["a","b"]"#),
        ("frozen<list<tinyint>>", b"\0\0\0\x01\0\0\0\x01\xff", "[-1]"),
        ("map<text, boolean>", b"\0\0\0\x01\0\0\0\x01a\0\0\0\x01\x01", r#"[["a",true]]"#),
        ("set<text>", b"\0\0\0\x02\0", r#"{"hex":"0000000200"}"#),
        ("counter", &[0, 0, 0, 0, 0, 0, 1, 0], r#"{"hex":"0000000000000100"}"#),
    ] {
        let mut out = Vec::new();
        json::value(&mut out, &CqlType::parse(cql_type), value);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{cql_type}");
    }
}
