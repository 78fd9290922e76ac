//! What a plan says of tables without an index by account: what each way of finding their rows misses or costs.

use serde::Serialize;

/// The ways in which rows of tables without an index by account can be found: what one of them does not see, and
/// what the other costs.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Discovery {
    /// The tables, each with what leads to its partitions.
    pub tables: Vec<LedTo>,
    /// Those to which nothing leads: they are scanned in any case.
    pub(crate) scanned: Vec<String>,
    /// What `--discover content` does not see of the former.
    pub(crate) content_misses: Option<String>,
    /// What `--discover scan` costs.
    pub(crate) scan_costs: Option<String>,
}

/// A table whose partitions are found through another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LedTo {
    pub table: String,
    /// What leads there, as `table.column`.
    pub through: String,
}

impl Discovery {
    /// Of a specification's tables, those to which others lead and those that are scanned; `None` if all are found by
    /// account.
    pub(crate) fn of(tables: Vec<LedTo>, scanned: Vec<String>) -> Option<Self> {
        let is_led = !tables.is_empty();
        let names: Vec<_> = tables.iter().map(|led| led.table.as_str()).collect();
        let misses = tables.iter().map(|LedTo { table, through }| {
            format!("a row of {table} stays under its source where no {through} of the group's sources leads to it")
        });
        let content_misses = misses.collect::<Vec<_>>().join("; ");
        let scan_costs = format!("finds them all; it {}", scan_of(&names));
        (is_led || !scanned.is_empty()).then(|| Self {
            content_misses: is_led.then_some(content_misses),
            scan_costs: is_led.then_some(scan_costs),
            tables,
            scanned,
        })
    }
}

/// What a scan of tables does, in words that continue a sentence.
pub(crate) fn scan_of<T: AsRef<str>>(tables: &[T]) -> String {
    let names: Vec<_> = tables.iter().map(AsRef::as_ref).collect();
    format!(
        "reads every key of {} twice: before the first group, and in the sweep (keys only, by token ranges, in parallel)",
        names.join(", ")
    )
}
