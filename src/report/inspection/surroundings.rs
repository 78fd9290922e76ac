//! What stands around the tables, and what it means for a merge.

use super::{InspectedTable, Inspection, LeftOut};
use crate::model::{Surroundings, TableSurroundings, written};
use crate::report::document::{Fact, Section, Table, Tone};
use crate::report::figures::Number;
use crate::report::words::{Text, bytes, code, count, counted, estimate, say, seconds};

/// From so many seconds on, tombstones are kept long enough to be trusted.
const SHORT_GC_GRACE_S: u64 = 3_600;

/// What no client of a cluster is told.
const BEYOND_CQL: &str = "no client is told of free disk space, compactions that wait, running repairs or snapshots: ask \
                          nodetool (status, compactionstats, tpstats, listsnapshots) and df on each node";

/// Says it.
pub(super) fn surroundings(inspection: &Inspection) -> Section {
    let found = &inspection.surroundings;
    Section::new("Around the tables")
        .about("As of now, and as far as the cluster tells it to a client.")
        .with(table(found, &inspection.tables))
        .with_all(left_out(&inspection.left_out))
        .with_all(facts(found))
}

/// Tables that may name accounts, and go on naming the sources.
fn left_out(tables: &[LeftOut]) -> Option<Fact> {
    if tables.is_empty() {
        return None;
    }
    let of = |LeftOut { table, columns }: &LeftOut| {
        say!("{} ({})", code(table), Text::join(columns.iter().map(code), ", "))
    };
    let message = say!(
        "columns of other tables are named like those of the accounts: {}. The specification does not name these tables, \
         so their rows go on naming the sources. See what they hold, and add those that should be merged",
        Text::join(tables.iter().map(of), ", "),
    );
    Some(Fact::new("Left out", message).toned(Tone::Warning))
}

fn table(found: &Surroundings, tables: &[InspectedTable]) -> Table {
    let mut table = Table::new(["Table", "on disk", "to write", "new tombstones", "gc_grace"]);
    for (index, (around, merged)) in found.tables.iter().zip(tables).enumerate() {
        let at = |field: &str| format!("/inspection/surroundings/tables/{index}/{field}");
        let of = |field: &str| format!("/inspection/tables/{index}/{field}");
        let on_disk = match around.disk_bytes {
            Some(on_disk) => bytes(on_disk).at(at("disk_bytes")).into(),
            None => say!("?"),
        };
        table.push([
            code(&around.table),
            on_disk,
            estimate(merged.written_bytes, Number::Bytes).at(of("written_bytes")).into(),
            estimate(merged.tombstones, Number::Count).at(of("tombstones")).into(),
            seconds(around.gc_grace_s as f64).at(at("gc_grace_s")).into(),
        ]);
    }
    table
}

/// The names of what hangs on a table.
type Names = fn(&TableSurroundings) -> &[String];

fn facts(found: &Surroundings) -> Vec<Fact> {
    let mut facts = vec![nodes(found)];
    facts.extend(hints(found));
    facts.extend(rights(found));
    facts.extend(not_durable(found));
    facts.extend(gc_grace(found));
    facts.extend(guardrails(found));
    let kinds: [(_, Names, _); 3] = [
        (
            "Indexes",
            |table| &table.indexes,
            "each write and delete of a merge goes through them as well, so it takes longer; an index refuses values that \
             are too large for it, and such a row fails by name",
        ),
        (
            "Views",
            |table| &table.views,
            "the servers carry each write and delete over by themselves, behind the merge's back: it takes several times \
             longer, and a view that has fallen behind is mended by nodetool repair of the view alone",
        ),
        (
            "Triggers",
            |table| &table.triggers,
            "they run for each write and delete of a merge, copies included, and may change what is written: ask whoever \
             wrote them whether a moved row should look like a new one",
        ),
    ];
    for (label, names, meaning) in kinds {
        facts.extend(hanging(found, label, names, meaning));
    }
    let kept: Vec<_> = found.tables.iter().filter(|table| table.cdc).map(named).collect();
    if !kept.is_empty() {
        let message = say!(
            "changes of {} are kept for a consumer (cdc): it sees a merge as deletes and inserts, and when it does not \
             free its space in time, the servers refuse all writes to the table until it has",
            Text::join(kept, ", "),
        );
        facts.push(Fact::new("CDC", message).toned(Tone::Warning));
    }
    let untold = found.untold.iter().map(|what| say!("not told: {}", what));
    facts.push(Fact { more: untold.collect(), ..Fact::new("Not known", say!("{}", BEYOND_CQL)) });
    facts
}

fn named(table: &TableSurroundings) -> Text {
    code(&table.table)
}

fn nodes(found: &Surroundings) -> Fact {
    let all = counted(found.nodes, "node").at("/inspection/surroundings/nodes");
    if found.nodes_down.is_empty() {
        return Fact::new("Nodes", say!("{}, none of them down", all));
    }
    let message = say!(
        "{}, of which {} cannot be reached from here: {}. What is written meanwhile waits for a node that is down as \
         hints, for three hours by default; one that stays away for longer has to be repaired before gc_grace_seconds \
         are over, or it brings deleted rows back. Better wait until it is there",
        all,
        count(found.nodes_down.len() as u64),
        Text::join(found.nodes_down.iter().map(code), ", "),
    );
    Fact::new("Nodes", message).toned(Tone::Bad)
}

fn hints(found: &Surroundings) -> Option<Fact> {
    let hints = found.hints.as_ref()?;
    if hints.is_empty() {
        return Some(Fact::new("Hints", say!("no node keeps any for another")));
    }
    let waiting = hints.iter().enumerate().map(|(index, hints)| {
        let at = format!("/inspection/surroundings/hints/{index}/files");
        say!("{} ({})", code(&hints.node), counted(hints.files, "file").at(at))
    });
    let message = say!(
        "writes of the application still wait for {}: wait until they are delivered, or merge at a consistency that asks \
         enough replicas (LOCAL_QUORUM does)",
        Text::join(waiting, ", "),
    );
    Some(Fact::new("Hints", message).toned(Tone::Warning))
}

/// What the user lacks; where it is not known, that is said with all else that is not.
fn rights(found: &Surroundings) -> Option<Fact> {
    let lacking = found.lacking.as_ref()?;
    if lacking.is_empty() {
        let message = "this user may do what apply does in the cluster; of where events go, apply asks before its first group";
        return Some(Fact::new("Rights", say!("{}", message)));
    }
    // Whole, for it is to be pasted.
    let message = say!(
        "this user lacks {}, so apply is refused before its first write. Whoever administers the roles can run:",
        Text::join(lacking.iter().map(|one| say!("{}", &one.what)), ", "),
    );
    let more = lacking.iter().map(|one| say!("{};", &one.grant)).collect();
    Some(Fact { more, ..Fact::new("Rights", message) }.toned(Tone::Bad))
}

fn not_durable(found: &Surroundings) -> Option<Fact> {
    if found.not_durable.is_empty() {
        return None;
    }
    Some(Fact::new("Durability", say!("{}", volatile(&found.not_durable))).toned(Tone::Bad))
}

/// What it means that nodes keep no commit log of some keyspaces.
pub(crate) fn volatile(keyspaces: &[String]) -> String {
    let alter =
        |name: &String| format!("ALTER KEYSPACE {} WITH durable_writes = true", written(name));
    format!(
        "nodes keep no commit log of keyspace {} (durable_writes = false): one that is killed forgets what it acknowledged \
         and had not flushed, and a row that was moved may then be on neither account. Before a merge: {}",
        keyspaces.join(", "),
        keyspaces.iter().map(alter).collect::<Vec<_>>().join("; "),
    )
}

fn gc_grace(found: &Surroundings) -> Option<Fact> {
    let short = |table: &&TableSurroundings| table.gc_grace_s < SHORT_GC_GRACE_S;
    let short: Vec<_> = found.tables.iter().filter(short).map(named).collect();
    if short.is_empty() {
        return None;
    }
    let message = say!(
        "tombstones of {} are kept for less than an hour: a hint or a node that comes later brings back rows that the \
         merge has moved, so apply refuses it. Raise gc_grace_seconds, or accept it with --min-gc-grace",
        Text::join(short, ", "),
    );
    Some(Fact::new("gc_grace", message).toned(Tone::Bad))
}

fn guardrails(found: &Surroundings) -> Option<Fact> {
    let all = found
        .guardrails
        .iter()
        .map(|(name, value)| say!("{} = {}: {}", code(name), code(value), meaning(name)));
    let all: Vec<_> = all.collect();
    let message = say!("the servers refuse some requests; superusers are let through");
    let fact = Fact { more: all, ..Fact::new("Guardrails", message) };
    (!fact.more.is_empty()).then(|| fact.toned(Tone::Warning))
}

/// What a guardrail means for a merge.
fn meaning(name: &str) -> &'static str {
    match name {
        "user_timestamps_enabled" => {
            "every write of a merge has a time of its own, so apply is refused"
        }
        "minimum_timestamp_fail_threshold" | "maximum_timestamp_fail_threshold" => {
            "a merge writes at times of its own, a resumed one at those it began with; apply asks before it begins"
        }
        "partition_keys_in_select_fail_threshold"
        | "in_select_cartesian_product_fail_threshold"
        | "page_size_fail_threshold" => "less is asked for at once, which takes longer",
        "data_disk_usage_percentage_fail_threshold" => {
            "from then on all writes are refused: look how full the disks are"
        }
        "read_consistency_levels_disallowed" | "write_consistency_levels_disallowed" => {
            "--consistency has to be another"
        }
        _ => "a row beyond it cannot be moved: its group fails, and is named",
    }
}

fn hanging(
    found: &Surroundings,
    label: &'static str,
    names: fn(&TableSurroundings) -> &[String],
    meaning: &'static str,
) -> Option<Fact> {
    let of = |table: &TableSurroundings| {
        let names = names(table);
        let all = Text::join(names.iter().map(code), ", ");
        (!names.is_empty()).then(|| say!("{} on {}", all, code(&table.table)))
    };
    let all: Vec<_> = found.tables.iter().filter_map(of).collect();
    if all.is_empty() {
        return None;
    }
    let message = say!("{}: {}", Text::join(all, "; "), meaning);
    Some(Fact::new(label, message).toned(Tone::Warning))
}
