//! The partitions with the most deletes, what they mean for the server, and what to do.

use super::{Deletes, HotPartition, Met};
use crate::report::document::{Block, Fact, Table, Tone};
use crate::report::words::{Figure, Text, code, count, counted, say};

/// Says it; `root` is where the JSON has the deletes, `in_terminal` how many partitions a terminal names.
pub(in crate::report) fn deletes(
    root: &str,
    deletes: &Deletes,
    is_exact: bool,
    in_terminal: usize,
) -> Vec<Block> {
    if deletes.hottest.is_empty() {
        return Vec::new();
    }
    let is_traced = deletes.hottest.iter().any(|hot| hot.there.is_some());
    let mut table = Table::new(["Partition", "table", "deletes"]).in_terminal(in_terminal);
    if is_traced {
        table.columns.extend(["tombstones now", "rows now"].map(str::to_owned));
    }
    for (index, hot) in deletes.hottest.iter().enumerate() {
        let at = format!("{root}/hottest/{index}");
        let number = count(hot.deletes).about(is_exact).at(format!("{at}/deletes"));
        let mut row = vec![code(&hot.partition), code(&hot.table), number.into()];
        if is_traced {
            row.extend(met(hot.there, &at));
        }
        table.push(row);
    }
    let facts = if in_terminal > 0 { meaning(root, deletes) } else { Vec::new() };
    [table.into()].into_iter().chain(facts.into_iter().map(Block::from)).collect()
}

/// What was met: tombstones, and rows.
fn met(there: Option<Met>, at: &str) -> [Text; 2] {
    let Some(Met { rows, tombstones, is_whole }) = there else { return [say!("?"), say!("?")] };
    let number = |n: u64, field: &str| {
        let number = count(n).at(format!("{at}/there/{field}"));
        Text::from(if is_whole { number } else { number.at_least() })
    };
    match tombstones {
        Some(tombstones) => [number(tombstones, "tombstones"), number(rows, "rows")],
        None => [say!("too many"), say!("?")],
    }
}

fn meaning(root: &str, deletes: &Deletes) -> Vec<Fact> {
    let Deletes { warn, fail, is_reported, over_warn, over_fail, hottest } = deletes;
    let warn_at = || count(*warn).at(format!("{root}/warn"));
    let fail_at = || count(*fail).at(format!("{root}/fail"));
    let origin = match is_reported {
        true => say!("this server's"),
        false => say!("Cassandra's defaults; this one does not tell its own"),
    };
    let limits = say!(
        "the server warns of a read that meets {} tombstones, and fails one at {} ({})",
        warn_at(),
        fail_at(),
        origin
    );
    let mut facts = vec![Fact::new("Tombstones", limits)];
    let mut add = |tone, sentence: Text| facts.push(Fact::new("Tombstones", sentence).toned(tone));
    if hottest.iter().any(|hot| hot.there.is_some_and(|there| there.tombstones.is_none())) {
        add(
            Tone::Bad,
            say!(
                "a partition cannot be read in whole even now: compact it before anything is deleted there"
            ),
        );
    }
    let worst = hottest.iter().map(HotPartition::tombstones).max().unwrap_or_default();
    if worst >= *fail {
        add(
            Tone::Bad,
            say!(
                "{} over {}: the application cannot read such a partition in whole until its tombstones are dropped, \
                 gc_grace_seconds later (10 days by default) and by a compaction. Before the merge: lower \
                 gc_grace_seconds of the table (to no less than it takes to repair it), or raise tombstone_failure_threshold on the servers; or merge the pairs \
                 in several runs, with a compaction between them",
                partitions(
                    counted(*over_fail, "partition").at(format!("{root}/over_fail")),
                    *over_fail
                ),
                fail_at(),
            ),
        );
    } else if worst >= *warn {
        add(
            Tone::Good,
            say!(
                "{} over {}: reads of a whole partition become slower and are logged as a warning by the server, until a \
                 compaction after gc_grace_seconds; single rows are read as before",
                partitions(
                    counted(*over_warn, "partition").at(format!("{root}/over_warn")),
                    *over_warn
                ),
                warn_at(),
            ),
        );
    }
    facts
}

fn partitions(figure: Figure, n: u64) -> Text {
    match n {
        0 => say!("With what is there already, some partitions are"),
        1 => say!("{} is", figure),
        _ => say!("{} are", figure),
    }
}
