//! What every journal does, tried on each.

use futures::executor::block_on;
use strum::VariantArray;

use crate::model::{AccountType, Amount, Tally, TokenRange};

use super::fixtures::{intent, tally};
use super::memory::MemoryJournal;
use super::{
    GroupRecord, Intent, Journal, Note, Scan, ScanRecord, SliceKind, SliceRecord, SqliteJournal,
    State,
};

/// All that a journal says, but for the time.
#[derive(Debug, PartialEq)]
struct Contents {
    states: Vec<(usize, State)>,
    groups: Vec<Option<GroupRecord>>,
    slices: Vec<Vec<SliceRecord>>,
    bodies: Vec<String>,
    merges: Vec<SliceRecord>,
    sweeps: Vec<SliceRecord>,
    all: Tally,
    done: Tally,
    scans: Vec<ScanRecord>,
    found: Vec<String>,
    meta: [Option<String>; 2],
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn contents(journal: &dyn Journal) -> Contents {
    let timeless = |group: GroupRecord| {
        assert!(group.changed_at_ms > 1_500_000_000_000, "{group:?}");
        GroupRecord { changed_at_ms: 0, ..group }
    };
    let slices: Vec<_> = (0..10).map(|group| journal.slices(group).unwrap()).collect();
    let ids = slices.iter().flatten().map(|slice| slice.id);
    let states = State::VARIANTS;
    Contents {
        states: journal.states().unwrap(),
        groups: (0..10).map(|group| journal.group(group).unwrap().map(timeless)).collect(),
        bodies: ids.map(|id| text(&journal.body(id).unwrap())).collect(),
        slices,
        merges: journal.slices_between(SliceKind::Merge, 2, usize::MAX).unwrap(),
        sweeps: journal.slices_between(SliceKind::Sweep, 0, 7).unwrap(),
        all: journal.tally(states).unwrap(),
        done: journal.tally(&[State::Done, State::Undone]).unwrap(),
        scans: journal.scans().unwrap(),
        found: (1..3).map(|id| text(&journal.found(id).unwrap())).collect(),
        meta: [journal.meta("groups").unwrap(), journal.meta("none").unwrap()],
    }
}

fn note(group: usize, state: State) -> Note {
    Note { group, state, reason: None, known_as: None }
}

/// A range at either end of the ring.
fn scan(table: &str, after: i64, to: i64, found: &str) -> Scan {
    let range = TokenRange { after, to };
    Scan { table: table.into(), range, rows: 7, clustered_rows: 2, found: found.into() }
}

/// A run of six groups: 7 in two slices, swept; 2 failed after its intent; 3 failed before it; 6 failed and
/// was taken up again; 5 written; 4 only planned.
fn play(journal: &dyn Journal) {
    let intend = |intent: Intent| block_on(journal.intend(vec![intent])).unwrap();
    let incomplete = Intent { completes: false, scopes: Vec::new(), ..intent(7) };
    intend(incomplete);
    intend(intent(2));
    intend(Intent { t: 5, body: b"incompressible".to_vec(), ..intent(7) });
    intend(Intent { body: Vec::new(), ..intent(5) });
    journal.note(note(7, State::Written)).unwrap();
    journal.note(note(7, State::Done)).unwrap();
    journal.note(note(4, State::Done)).unwrap();
    let failed = |group| Note { reason: Some("no \"luck\"".into()), ..note(group, State::Failed) };
    journal.note(failed(2)).unwrap();
    let Intent { survivor, pairs, .. } = intent(3);
    journal.note(Note { known_as: Some((survivor, pairs)), ..failed(3) }).unwrap();
    let Intent { survivor, pairs, .. } = intent(6);
    journal.note(Note { known_as: Some((survivor, pairs)), ..failed(6) }).unwrap();
    let Intent { survivor, pairs, .. } = intent(5);
    let known_as = Some((survivor, pairs[..1].to_vec()));
    journal.note(Note { known_as, ..note(5, State::Written) }).unwrap();
    intend(Intent {
        kind: SliceKind::Sweep,
        state: State::Done,
        t: 9,
        tally: Tally::default(),
        ..intent(7)
    });
    intend(intent(6));
    for scan in [scan("places", i64::MIN, -1, "[]"), scan("rooms", 0, i64::MAX, "[[7,[1,2]]]")] {
        block_on(journal.keep_scan(scan)).unwrap();
    }
    journal.set_meta("groups", "5").unwrap();
    journal.set_meta("groups", "6").unwrap();
    block_on(journal.flush()).unwrap();
}

fn check(contents: &Contents) {
    use State::{Done, Failed, Intended, Written};
    let states = [(2, Failed), (3, Failed), (5, Written), (6, Intended), (7, Done)];
    assert_eq!(contents.states, states);
    let group = |group: usize| contents.groups[group].clone().unwrap();
    let record = |of: Intent, state, reason: Option<&str>, t| GroupRecord {
        group: of.group,
        survivor: of.survivor,
        pairs: of.pairs,
        t,
        state,
        reason: reason.map(Into::into),
        changed_at_ms: 0,
    };
    assert_eq!(group(7), record(intent(7), Done, None, Some(5)));
    assert_eq!(group(2), record(intent(2), Failed, Some("no \"luck\""), Some(1_002)));
    assert_eq!(group(3), record(intent(3), Failed, Some("no \"luck\""), None));
    assert_eq!(group(5), record(intent(5), Written, None, Some(1_005)));
    assert_eq!(group(6), record(intent(6), Intended, None, Some(1_006)));
    assert_eq!(contents.groups[4], None, "what is not known cannot be noted");
    let of_7: Vec<_> =
        contents.slices[7].iter().map(|s| (s.id, s.kind, s.t, s.completes)).collect();
    let merge = SliceKind::Merge;
    assert_eq!(
        of_7,
        [(1, merge, 1_007, false), (3, merge, 5, true), (5, SliceKind::Sweep, 9, true)]
    );
    assert_eq!(contents.slices[7][0].scopes, "");
    assert_eq!(contents.slices[7][1].scopes, "scopes 7");
    assert_eq!(contents.slices[7][1].tally, tally(7));
    assert_eq!(contents.bodies[1], "");
    assert_eq!(contents.bodies[3].as_bytes(), intent(7).body);
    assert_eq!(contents.bodies[4], "incompressible");
    let merges: Vec<_> = contents.merges.iter().map(|slice| (slice.group, slice.id)).collect();
    assert_eq!(merges, [(2, 2), (5, 4), (6, 6), (7, 1), (7, 3)]);
    assert_eq!(contents.sweeps, [], "the end is not part of it");
    let sum = |parts: &[u64]| {
        let mut sum = Tally::default();
        parts.iter().for_each(|part| sum.add(&tally(*part)));
        sum
    };
    assert_eq!(contents.done, sum(&[7, 7]));
    assert_eq!(contents.all, sum(&[7, 7, 2, 5, 6]));
    let scans: Vec<_> =
        contents.scans.iter().map(|scan| (scan.id, &*scan.table, scan.range)).collect();
    let [low, high] = [(i64::MIN, -1), (0, i64::MAX)].map(|(after, to)| TokenRange { after, to });
    assert_eq!(scans, [(1, "places", low), (2, "rooms", high)]);
    assert!(contents.scans.iter().all(|scan| (scan.rows, scan.clustered_rows) == (7, 2)));
    assert_eq!(contents.found, ["[]", "[[7,[1,2]]]"]);
    assert_eq!(contents.meta, [Some("6".into()), None]);
}

#[test]
fn journals_say_what_they_were_told() {
    let memory = MemoryJournal::default();
    play(&memory);
    let expected = contents(&memory);
    check(&expected);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    SqliteJournal::create(&path, AccountType::Text).unwrap();
    let file = SqliteJournal::open(&path).unwrap();
    play(&file);
    assert_eq!(contents(&file), expected);
    assert!(file.size_bytes() > 10_000);
    let beside = SqliteJournal::open_read_only(&path).unwrap();
    assert_eq!(contents(&beside), expected, "read beside a run");
    drop(beside);
    drop(file);
    assert_eq!(contents(&SqliteJournal::open(&path).unwrap()), expected, "opened again");
    assert_eq!(contents(&SqliteJournal::open_read_only(&path).unwrap()), expected, "only read");
}

#[test]
fn a_slice_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.sqlite");
    SqliteJournal::create(&path, AccountType::Text).unwrap();
    let journals: [Box<dyn Journal>; 2] =
        [Box::<MemoryJournal>::default(), Box::new(SqliteJournal::open(&path).unwrap())];
    for journal in journals {
        let error = journal.body(3).unwrap_err().to_string();
        assert!(error.contains("there is no slice 3"), "{error}");
        let error = journal.found(3).unwrap_err().to_string();
        assert!(error.contains("there is no scan 3"), "{error}");
        assert_eq!(journal.tally(&[State::Done]).unwrap(), Tally::default());
        assert_eq!(journal.states().unwrap(), []);
    }
}

#[test]
fn a_memory_journal_fails_on_demand_and_for_good() {
    let journal = MemoryJournal::failing(|intent| (intent.group == 2).then(|| "no room".into()));
    block_on(journal.intend(vec![intent(1)])).unwrap();
    for _ in 0..2 {
        let error = block_on(journal.intend(vec![intent(2)])).unwrap_err().to_string();
        assert!(error.contains("the journal in memory cannot be written: no room"), "{error}");
    }
    assert!(block_on(journal.intend(vec![intent(3)])).is_err());
    assert!(journal.note(note(1, State::Done)).is_err());
    assert!(block_on(journal.flush()).is_err());
    assert!(block_on(journal.keep_scan(scan("places", 0, 1, "[]"))).is_err());
    assert!(journal.set_meta("a", "b").is_err());
    assert_eq!(journal.states().unwrap(), [(1, State::Intended)]);
    assert_eq!(journal.recorded().len(), 1);
    assert_eq!(journal.groups().len(), 1);
}
