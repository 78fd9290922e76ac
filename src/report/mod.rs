//! What a command has to say when it is over: data in, bytes out.
//!
//! A [`Summary`] is a value. It can be shown in a terminal, as JSON, or as a [`page`] for a browser, and all show the
//! same numbers. It also carries the equations that must hold between its counters, so that a line or a
//! group that was lost would be seen: the report says of itself whether it adds up.
//!
//! Deliberately absent: printing, files, and any judgement about exit codes (they are handed in).

mod config;
mod discovery;
mod equation;
mod escaped;
mod failures;
mod inspection;
mod listing;
mod lookup;
pub mod page;
pub mod plot;
mod summary;
mod terminal;
mod text;
mod timeline;
mod undo;
mod verify;

pub use config::{Configuration, SettingFacts, SettingOrigin, config_json, config_text};
pub use discovery::{Discovery, LedTo};
pub use equation::Equation;
pub use failures::FailureReasons;
pub use inspection::{
    AbsentAccounts, BothLists, ConflictColumn, ConflictExample, Coverage, Deletes,
    DurationEstimate, HotPartition, InspectedTable, Inspection, LargestAccount, Met, Missed,
    NamedAccount, OnBothLists, Speed,
};
pub use listing::Listing;
pub use lookup::{Found, KnownGroup, Lookup, Role, Unreadable, lookup_json, lookup_text};
pub use summary::{
    Applied, BusyPartition, EventFacts, ExamplePair, FailureReason, Fates, Resumed, ScanFacts,
    Summary, SweepFacts, TableFacts, Throughput,
};
pub use terminal::terminal;
pub use timeline::{Interval, Timeline};
pub use undo::{Undoing, UndoneGroups, UndonePairs, UndoneTable, undo_json, undo_text};
pub use verify::{Verification, VerifiedGroups, VerifiedTable, verify_json, verify_text};

/// The summary as JSON, with a line feed at its end.
pub fn json(summary: &Summary) -> serde_json::Result<String> {
    serde_json::to_string_pretty(summary).map(|json| json + "\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    /// The README names every field at the top of a command's JSON.
    #[track_caller]
    pub(super) fn documented(command: &str, json: &str) {
        let json: Value = serde_json::from_str(json).unwrap();
        let row = format!("| `{command}` |");
        let readme = include_str!("../../README.md");
        let line = readme.lines().find(|line| line.starts_with(&row)).unwrap();
        for field in json.as_object().unwrap().keys() {
            assert!(line.contains(&format!("`{field}`")), "{command}: {field}");
        }
    }
}
