//! What reports show beside their counters: lines of the run's own files, and the partitions that most groups led to.

use std::fs::File;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::anyhow;

use super::Failure;
use crate::cluster::ReadStore;
use crate::journal::{Codec, Journal, SliceKind};
use crate::moment::Moment;
use crate::ranking::{Ranked, Ranking};
use crate::readable;
use crate::report::{BusyPartition, Listing, TruncatedTable};
use crate::spec::Spec;

/// Partitions that a report names.
const HOTTEST: usize = 20;
/// Partitions that are counted apart from each other.
const PARTITIONS: usize = 65_536;
/// Groups whose partitions are read at once.
const WINDOW: usize = 10_000;

/// The tables that were truncated since a run began.
pub(super) async fn truncated(store: &ReadStore, since: Moment) -> Vec<TruncatedTable> {
    let since = since.time().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let tables = store.truncated_since(i64::try_from(since).unwrap_or(i64::MAX)).await;
    let tables = tables.into_iter();
    tables.map(|(table, at)| TruncatedTable { table, at: Moment::from_us(at) }).collect()
}

/// A few lines of each kind of a file of the run. They are a by-product: a report goes without them.
pub(super) fn examples(path: &Path, kind: &str, kinds: Option<usize>) -> Listing {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let listed = File::open(path)
        .map_err(csv::Error::from)
        .and_then(|file| Listing::read(&name, file, kind, kinds));
    listed.unwrap_or_else(|error| {
        tracing::warn!("the report shows no lines of {}: {error}", path.display());
        Listing::default()
    })
}

/// The partitions that most groups of the run led to, as the journal says; with as little memory however many there
/// are.
pub(super) fn hottest(
    journal: &dyn Journal,
    codec: &Codec,
    spec: &Spec,
    groups: usize,
) -> Result<Vec<BusyPartition>, Failure> {
    let mut led = Ranking::new(PARTITIONS);
    if spec.discovered().next().is_none() {
        return Ok(Vec::new());
    }
    for from in (0..groups).step_by(WINDOW) {
        for slice in journal.slices_between(SliceKind::Merge, from, from + WINDOW)? {
            let scopes = codec.decode_scopes(&slice.scopes);
            let scopes = scopes.map_err(|what| Failure::failed(anyhow!(what)))?;
            for scope in scopes {
                led.add(scope, 1);
            }
        }
    }
    let named =
        led.top(HOTTEST).into_iter().map(|Ranked { key: (index, scope), at_least, at_most }| {
            let table = &spec.tables[index];
            let partition = readable::scope(table, &scope);
            let table = table.name.clone();
            BusyPartition { table, partition, groups: at_least, groups_at_most: at_most }
        });
    Ok(named.collect())
}
