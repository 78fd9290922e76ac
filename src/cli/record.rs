//! `record`: what the journal of a run has of one group, as JSON. It only reads, and no cluster is needed.

use std::path::Path;

use anyhow::{Context, anyhow};

use super::lookup::planned;
use super::{Exit, Failure, Terminal};
use crate::journal::body::json::{self, Object};
use crate::journal::{Codec, GroupRecord, Journal, JournalError, SliceRecord, SqliteJournal};
use crate::model::{AccountId, Group, Pair};
use crate::run::{RunDir, files};

/// Runs `record`.
pub(super) fn run(run: &Path, id: &str, terminal: &Terminal) -> Result<Exit, Failure> {
    let record = RunDir::record(run).map_err(Failure::unusable)?;
    if record.is_plan() {
        return Err(Failure::unusable(record.only_planned(run)));
    }
    let journal = SqliteJournal::open_read_only(&run.join(files::JOURNAL));
    let journal = journal.map_err(|error| match error {
        JournalError::Missing { .. } => Failure::unusable(error),
        error => error.into(),
    })?;
    let unknown = || {
        let (id, run) = (id.escape_debug(), run.display());
        Failure::unusable(anyhow!("'{id}' is in no group of the run {run}"))
    };
    let account = AccountId::parse(journal.accounts(), id).ok_or_else(unknown)?;
    let print = |text: Vec<u8>| {
        let printed = terminal.print(&String::from_utf8_lossy(&text));
        printed.context("cannot write to standard output").map_err(Failure::failed)
    };
    // No account is in two groups.
    let Some(group) = journal.groups_of(&account)?.into_iter().next() else {
        let group = planned(run, &record, &account)?.ok_or_else(unknown)?;
        print([of_plan(&group), b"[]}\n".to_vec()].concat())?;
        terminal.tell("this group was not begun: nothing is recorded of it");
        return Ok(Exit::Done);
    };
    let slices = journal.slices(group.group)?;
    // Whatever a slice was written with was kept before it.
    let codec = Codec::as_written(&journal)?;
    print(of_journal(&group))?;
    let mut before = "[\n";
    for slice in &slices {
        let shown = show(&journal, &codec, slice)?;
        print([before.as_bytes(), &shown].concat())?;
        before = ",\n";
    }
    print(if slices.is_empty() { b"[]}\n".to_vec() } else { b"\n]}\n".to_vec() })?;
    Ok(Exit::Done)
}

fn of_plan(Group { index, survivor, pairs }: &Group) -> Vec<u8> {
    let mut out = head(*index, survivor, pairs);
    out.text("state", "planned");
    begun(out)
}

fn of_journal(group: &GroupRecord) -> Vec<u8> {
    let mut out = head(group.group, &group.survivor, &group.pairs);
    out.text("state", &group.state.to_string());
    if let Some(reason) = &group.reason {
        out.text("reason", reason);
    }
    if let Some(t) = group.t {
        out.number("t", t);
    }
    begun(out)
}

fn head(group: usize, survivor: &AccountId, pairs: &[Pair]) -> Object {
    let mut out = Object::default();
    out.number("group", group as i64);
    out.text("survivor", &survivor.text());
    out.objects("pairs", pairs, |out, Pair { from, into, line }| {
        out.text("from", &from.text());
        out.text("to", &into.text());
        out.name("line").extend(line.to_string().bytes());
    });
    out
}

/// The beginning of the document, up to its list of slices: they are printed one by one, because a group may have
/// more of them than memory holds.
fn begun(mut out: Object) -> Vec<u8> {
    std::mem::take(out.name("slices"))
}

fn show(journal: &dyn Journal, codec: &Codec, slice: &SliceRecord) -> Result<Vec<u8>, Failure> {
    let wrong = |what| JournalError::Record(format!("slice {}: {what}", slice.id));
    let mut out = Object::default();
    out.text("kind", &slice.kind.to_string());
    out.number("t", slice.t);
    json::flag(out.name("completes"), slice.completes);
    out.name("tally").extend(serde_json::to_vec(&slice.tally).map_err(Failure::failed)?);
    out.name("scopes").extend(codec.show_scopes(&slice.scopes).map_err(wrong)?);
    let body = codec.show(slice.kind, &journal.body(slice.id)?).map_err(wrong)?;
    out.name("body").extend(body);
    Ok(out.end())
}
