//! What a body says is read back as it was written.

#[cfg(test)]
mod altered;
#[cfg(test)]
mod shown;

use bytes::Bytes;
use proptest::prelude::*;

use crate::journal::fixtures::{altered, spec};
use crate::journal::memory::MemoryJournal;
use crate::merge::{
    Announced, Completion, Entry, PartitionDelete, Set, Slice, SweepSlice, Swept, SweptCell, Write,
};
use crate::model::{Cell, ColumnIndex, CqlType, Row, Scope, TimedRow, WriteTimes};
use crate::spec::schema::{ColumnKind, ColumnSchema, Schema};
use crate::spec::{Spec, Table};

use super::{Apart, CellAhead, Codec, Disputed, KeptCell, LeftAlone, UndoSlice};

fn codec(spec: &Spec) -> Codec {
    Codec::open(spec, &MemoryJournal::default()).unwrap()
}

/// More columns than fit into a number.
fn widened(schema: &mut Schema) {
    let columns = (0..90).map(|n| ColumnSchema {
        name: format!("c{n}"),
        cql_type: CqlType::Blob,
        kind: ColumnKind::Regular,
    });
    schema.tables.get_mut("things").unwrap().columns.extend(columns);
}

fn value() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..20),
        // So few that rows repeat them.
        4 => prop::sample::select(vec![vec![], vec![0], vec![1, 2, 3]]),
        1 => (any::<u8>(), 65_500..65_600_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
    .prop_map(Bytes::from)
}

fn cell() -> impl Strategy<Value = Cell> {
    prop::option::of(value())
}

fn row(table: &Table, width: usize) -> impl Strategy<Value = Row> + use<> {
    let moments = || prop::collection::vec((0..width, any::<i64>()), 0..3);
    let (has_ttls, has_times) = (table.carries_ttls, table.by_time().next().is_some());
    let cells = prop::collection::vec(cell(), width);
    (cells, moments(), moments()).prop_map(move |(cells, expires, written)| Row {
        cells,
        expires: expires.into_iter().filter(|_| has_ttls).collect(),
        written: written.into_iter().filter(|_| has_times).collect(),
    })
}

/// With tables of which when cells expire is journaled, or when they were written, and others.
fn with_moments(mut spec: Spec) -> Spec {
    spec.tables[1].carries_ttls = true;
    spec.tables[0].survivorship[0].policy = crate::spec::policy("latest").unwrap();
    spec
}

fn values(count: usize) -> impl Strategy<Value = Vec<Bytes>> {
    prop::collection::vec(value(), count)
}

fn scope(table: &Table) -> impl Strategy<Value = Scope> + use<> {
    values(table.scope_columns().count()).prop_map(Scope::new)
}

fn set(table: &Table) -> impl Strategy<Value = Vec<Set>> + use<> {
    let columns: Vec<ColumnIndex> = (table.key_len..table.columns.len()).collect();
    let (some, has_ttls) = (0..columns.len(), table.carries_ttls);
    prop::sample::subsequence(columns, some).prop_flat_map(move |columns| {
        let expires = prop::option::of(any::<i64>()).prop_map(move |at| at.filter(|_| has_ttls));
        let cells = prop::collection::vec((cell(), expires), columns.len());
        cells.prop_map(move |cells| {
            let set = columns.iter().zip(cells);
            set.map(|(column, (value, expires))| Set { column: *column, value, expires }).collect()
        })
    })
}

/// Something of one of the tables.
fn of_table<T: std::fmt::Debug>(
    spec: &Spec,
    of: impl Fn(usize, &Table) -> BoxedStrategy<T>,
) -> impl Strategy<Value = T> {
    let tables = spec.tables.iter().enumerate();
    prop::strategy::Union::new(tables.map(|(index, table)| of(index, table)))
}

fn entry(spec: &Spec) -> impl Strategy<Value = Entry> {
    of_table(spec, |index, table| {
        let target = prop::option::of(row(table, table.slim_len));
        let sources = prop::collection::vec((0..600_usize, row(table, table.columns.len())), 0..3);
        let write = prop_oneof![
            Just(Write::Nothing),
            set(table).prop_map(|set| Write::Copy { set }),
            set(table).prop_map(|set| Write::Update { set }),
            (0..3_usize).prop_map(|with| Write::Replace { with }),
        ];
        let parts = (target, sources, write);
        let entry = move |(target, sources, mut write): (_, Vec<_>, _)| {
            if matches!(write, Write::Replace { with } if with >= sources.len()) {
                write = Write::Nothing;
            }
            Entry { target, sources, write, ..Entry::new(index) }
        };
        parts.prop_map(entry).boxed()
    })
}

fn events(spec: &Spec) -> impl Strategy<Value = Vec<Announced>> + use<> {
    let event = spec.event.as_ref().unwrap();
    let quoted = prop::collection::vec(cell(), event.columns.len());
    let announced = (prop::option::of(0..600_usize), scope(&spec.tables[event.table]), quoted);
    let announced = announced.prop_map(|(left, scope, quoted)| Announced { left, scope, quoted });
    prop::collection::vec(announced, 0..3)
}

fn slice(spec: &Spec) -> impl Strategy<Value = Slice> {
    let delete = of_table(spec, |table, shape| {
        let delete = move |(source, scope)| PartitionDelete { table, source, scope };
        (0..600_usize, scope(shape)).prop_map(delete).boxed()
    });
    let completion = (prop::collection::vec(delete, 0..3), events(spec));
    let completion = completion.prop_map(|(deletes, events)| Completion { deletes, events });
    let slice = (prop::collection::vec(entry(spec), 0..4), prop::option::of(completion));
    slice.prop_map(|(entries, completion)| Slice { entries, completion })
}

fn times(columns: usize) -> impl Strategy<Value = Vec<WriteTimes>> {
    let times = prop_oneof![
        Just(WriteTimes::None),
        Just(WriteTimes::Unknown),
        any::<i64>().prop_map(WriteTimes::Cell),
        prop::collection::vec(any::<i64>(), 0..3).prop_map(WriteTimes::Elements),
    ];
    prop::collection::vec(times, columns)
}

fn sweep(spec: &Spec) -> impl Strategy<Value = SweepSlice> {
    let swept = of_table(spec, |table, shape| {
        let columns = shape.columns.len();
        let moments = (any::<i64>(), any::<Option<i64>>(), any::<Option<i64>>());
        let has_ttls = shape.carries_ttls;
        let has_mentions = !shape.is_mention() && !shape.mentions.is_empty();
        let cells = (0..columns, cell(), cell(), moments);
        let cells = cells.prop_map(move |(column, element, value, (t, moved_at, expires))| {
            let expires = expires.filter(|_| has_ttls);
            let names = element.clone().filter(|_| has_mentions);
            SweptCell { column, element, value, t, moved_at, expires, names }
        });
        let target =
            (row(shape, columns), times(columns)).prop_map(|(row, times)| TimedRow { row, times });
        let parts = (
            0..600_usize,
            values(shape.key_len),
            prop::collection::vec(cells, 0..3),
            prop::option::of(target),
            any::<Option<i64>>(),
        );
        let swept = move |(source, key, cells, target, settled)| Swept {
            table,
            source,
            key,
            cells,
            target,
            settled,
        };
        parts.prop_map(swept).boxed()
    });
    let slice = (prop::collection::vec(swept, 0..3), events(spec));
    slice.prop_map(|(rows, events)| SweepSlice { rows, events })
}

fn undo(spec: &Spec) -> impl Strategy<Value = UndoSlice> {
    let apart = of_table(spec, move |table, shape| {
        let ahead = (0..shape.columns.len(), any::<i64>());
        let ahead = ahead.prop_map(|(column, t)| CellAhead { column, t });
        let ahead = prop::collection::vec(ahead, 0..3);
        let elements = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..3);
        let kept = (0..600_usize, 0..shape.columns.len(), elements);
        let kept = kept.prop_map(|(source, column, elements)| KeptCell {
            source,
            column,
            elements: elements.into_iter().map(Bytes::from).collect(),
        });
        let kept = prop::collection::vec(kept, 0..3);
        let apart = move |(key, ahead, keeps_survivor, kept)| Apart {
            key,
            table,
            ahead,
            keeps_survivor,
            kept,
        };
        (0..600_usize, ahead, any::<bool>(), kept).prop_map(apart).boxed()
    });
    let left_alone = of_table(spec, move |table, shape| {
        let conflict = (0..shape.columns.len(), cell(), cell(), any::<Option<i64>>());
        let conflict = conflict.prop_map(|(column, expected, found, t)| Disputed {
            column,
            expected,
            found,
            found_written_at: t,
        });
        let parts = (0..600_usize, 0..600_usize, values(shape.key_len));
        let left =
            move |((key, pair, row), conflicts)| LeftAlone { key, table, pair, row, conflicts };
        (parts, prop::collection::vec(conflict, 0..3)).prop_map(left).boxed()
    });
    let only = prop::option::of(prop::collection::btree_set(0..600_usize, 0..5));
    let parts = (
        any::<usize>(),
        only,
        prop::collection::vec(apart, 0..3),
        prop::collection::vec(left_alone, 0..3),
    );
    parts.prop_map(|(keys, only, apart, left_alone)| UndoSlice { keys, only, apart, left_alone })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn slices_come_back_as_they_were(slice in slice(&with_moments(altered(widened)))) {
        let codec = codec(&with_moments(altered(widened)));
        let body = Bytes::from(codec.encode(&slice));
        prop_assert_eq!(codec.decode(&body), Ok(slice));
    }

    #[test]
    fn sweeps_come_back_as_they_were(slice in sweep(&with_moments(spec()))) {
        let codec = codec(&with_moments(spec()));
        prop_assert_eq!(codec.decode_sweep(&codec.encode_sweep(&slice).into()), Ok(slice));
    }

    #[test]
    fn undos_come_back_as_they_were(slice in undo(&spec())) {
        let codec = codec(&spec());
        prop_assert_eq!(codec.decode_undo(&codec.encode_undo(&slice).into()), Ok(slice));
    }

    #[test]
    fn scopes_come_back_as_they_were(
        found in prop::collection::vec((values(1), prop::collection::vec(any::<u32>(), 0..4)), 0..4),
    ) {
        let codec = codec(&spec());
        let found: Vec<_> =
            found.into_iter().map(|(scope, groups)| (Scope::new(scope), groups)).collect();
        let scopes: Vec<Scope> = found.iter().map(|(scope, _)| scope.clone()).collect();
        let read = codec.decode_found(&codec.encode_found(1, &found).into());
        prop_assert_eq!(read, Ok((1, found)));
        let written = codec.encode_scopes(&[(2, scopes.clone()), (1, scopes.clone())]);
        let of = |table| scopes.iter().map(move |scope| (table, scope.clone()));
        prop_assert_eq!(written.is_empty(), scopes.is_empty());
        prop_assert_eq!(codec.decode_scopes(&written.into()), Ok(of(1).chain(of(2)).collect()));
    }

    /// Whatever is damaged is an error, or another slice: never a panic, and never more memory than what is there is
    /// worth. What is cut off is no slice.
    #[test]
    fn damage_is_an_error_and_no_panic(
        slice in slice(&spec()),
        sweep in sweep(&spec()),
        undo in undo(&spec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let codec = codec(&spec());
        let readers: [fn(&Codec, &Bytes) -> bool; 3] = [
            |codec, body| codec.decode(body).is_ok(),
            |codec, body| codec.decode_sweep(body).is_ok(),
            |codec, body| codec.decode_undo(body).is_ok(),
        ];
        let bodies = [codec.encode(&slice), codec.encode_sweep(&sweep), codec.encode_undo(&undo)];
        for (body, read) in bodies.into_iter().zip(readers) {
            let whole = Bytes::from(body.clone());
            prop_assert!(read(&codec, &whole));
            // Inside of a long value, one byte is like the next.
            let step = 1 + whole.len() / 500;
            for cut in (0..whole.len()).step_by(step) {
                prop_assert!(!read(&codec, &whole.slice(..cut)), "cut at {}", cut);
            }
            let mut longer = body.clone();
            longer.push(0);
            prop_assert!(!read(&codec, &longer.into()));
            let mut damaged = body;
            for (at, byte) in &damage {
                let at = at.index(damaged.len());
                damaged[at] ^= byte;
                read(&codec, &damaged.clone().into());
            }
        }
    }

    #[test]
    fn noise_is_an_error_and_no_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let codec = codec(&spec());
        let mut body = vec![0];
        body.extend(noise);
        let body = Bytes::from(body);
        let _ = codec.decode(&body);
        let _ = codec.decode_sweep(&body);
        let _ = codec.decode_undo(&body);
        let _ = codec.decode_found(&body);
        let _ = codec.decode_scopes(&body);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let codec = codec(&spec());
    // Layout 0, an entry of table 0 without target.
    for (body, expected) in [
        (&[][..], "it ends early, at byte 0"),
        (&[7, 0, 0], "the journal has no layout of number 7"),
        (&[0, 0], "it ends early, at byte 2"),
        (&[0, 0, 0, 0], "1 bytes too many"),
        (&[0, 0, 2], "2 stands for yes or no at byte 2"),
        (&[0, 1, 9, 0], "there is no table 9"),
        (&[0, 1, 0, 16, 0, 0], "an entry of things has the flags 16"),
        (&[0, 1, 0, 8, 0, 0], "an entry of things has no row 0"),
        (&[0, 1, 0, 4, 0, 1, 99, 0], "table things has no column 99"),
        (&[0, 1, 0, 1, 2, 2], "column 1 repeats nothing"),
        (&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "there is no number"),
        (&[0, 0, 1, 1, 1, 0, 0], "a scope of places has 0 values, and not 1"),
    ] {
        let error = codec.decode(&Bytes::copy_from_slice(body)).unwrap_err();
        assert!(error.contains(expected), "{body:?}: {error}");
    }
    let sweep = Bytes::from_static(&[0, 1, 0, 0, 1, 0]);
    let error = codec.decode_sweep(&sweep).unwrap_err();
    assert_eq!(error, "a key of things has 1 values, and not 3");
    let found = Bytes::from_static(&[0, 1, 1, 1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0]);
    assert_eq!(codec.decode_found(&found).unwrap_err(), "34359738367 is no group");
}

/// Values are parts of the body.
#[test]
fn nothing_is_copied() {
    let codec = codec(&spec());
    let row = Row::new(vec![Some(Bytes::from_static(b"value")); spec().tables[0].columns.len()]);
    let entries = vec![Entry { sources: vec![(0, row)], ..Entry::new(0) }];
    let body = Bytes::from(codec.encode(&Slice { entries, completion: None }));
    let slice = codec.decode(&body).unwrap();
    let value = slice.entries[0].sources[0].1.cells[3].as_ref().unwrap();
    assert!(body.as_ptr_range().contains(&value.as_ptr()));
}
