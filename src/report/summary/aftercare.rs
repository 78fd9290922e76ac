//! What whoever runs the servers does after a run.

use serde::Serialize;

use crate::moment::Moment;
use crate::report::document::{Fact, Section};
use crate::report::figures;
use crate::report::words::{Text, code, say, seconds};

/// The tables in which a run has left tombstones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Aftercare {
    /// Their keyspace.
    pub(crate) keyspace: String,
    /// Their names.
    pub(crate) tables: Vec<String>,
    /// How long the first of them keeps its tombstones, in seconds.
    pub(crate) gc_grace_s: u64,
    /// When the run's first tombstones may be dropped.
    pub(crate) repair_before: Moment,
}

/// What to do, and until when.
pub(super) fn section(care: &Aftercare) -> Section {
    // Words of their own, so that the terminal breaks the command between them and cuts none.
    let words = ["nodetool", "repair", &care.keyspace].into_iter();
    let repair = words.chain(care.tables.iter().map(String::as_str)).map(code);
    let repair = say!(
        "{} until {} UTC, on each node: then gc_grace_seconds ({}) end for the first deletes, and a replica that has \
         missed one would bring its rows back",
        Text::join(repair, " "),
        figures::moment(care.repair_before),
        seconds(care.gc_grace_s as f64).at("/aftercare/gc_grace_s"),
    );
    let compaction = say!(
        "deleted rows take disk space until that moment and the next compaction behind it; until then reads of partitions \
         with many deletes are slower. {} of such a table hurries it, for as much free space as the table takes",
        code("nodetool compact"),
    );
    let snapshots: Text = say!(
        "snapshots and backups from before the run still hold the rows under their old accounts, and so does the run \
         directory, which undo needs: keep both until nobody will want it back, then delete them. A table that is \
         restored from before the run has to be merged again"
    );
    Section::new("On the servers, afterwards")
        .with(Fact::new("Repair", repair))
        .with(Fact::new("Compaction", compaction))
        .with(Fact::new("Snapshots", snapshots))
}
