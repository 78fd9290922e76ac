//! Verify, on worlds in memory.

mod again;
mod planted;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::watch;
use tributary::events::EventSink;
use tributary::pipeline::{Context, GroupCounts};
use tributary::storage::memory::MemoryStorage;
use tributary::verify::{Options, Verified, verify};

use super::model::{Events, World};
use super::preset::spec;
use super::world::{events_of, group, load};
use super::{block_on, context_of, run};

/// A line of diff.csv: verdict, account, key and column.
type Line = (String, String, String, String);

/// The lines of diff.csv.
fn lines(path: &Path) -> Vec<Line> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.headers().unwrap().len(), 11);
    let lines = reader.records().map(|record| {
        let record = record.unwrap();
        [0, 2, 3, 4].map(|field| record[field].to_owned()).into()
    });
    lines.collect()
}

pub fn diff(folder: &TempDir) -> PathBuf {
    folder.path().join("diff.csv")
}

pub fn verified(context: &Arc<Context<MemoryStorage>>, options: Options, diff: &Path) -> Verified {
    let (_stop, stopped) = watch::channel(false);
    verified_until(context, options, diff, stopped)
}

fn verified_until(
    context: &Arc<Context<MemoryStorage>>,
    options: Options,
    diff: &Path,
    stop: watch::Receiver<bool>,
) -> Verified {
    block_on(verify(context, options, &BTreeSet::new(), diff, &GroupCounts::default(), stop))
        .unwrap()
}

/// Writes what is missing or worse again.
fn repair() -> Options {
    Options { repair: true, ..Options::default() }
}

/// A world after its group is merged.
fn merged(world: &World, to: &str, sources: &[String]) -> Arc<Context<MemoryStorage>> {
    let storage = MemoryStorage::new(spec());
    load(world, &spec(), &storage);
    // Long ago, so that groups are dated by the clock.
    let mut context = context_of(8, storage, Arc::default(), 1_000_000);
    Arc::get_mut(&mut context).unwrap().slice_bytes = 60;
    run(&context, &group(to, sources)).0.unwrap();
    context
}

fn announced(context: &Context<MemoryStorage>) -> Events {
    let EventSink::Memory(events) = &context.event_sink else { unreachable!() };
    events_of(&std::mem::take(&mut *events.lock().unwrap()))
}
