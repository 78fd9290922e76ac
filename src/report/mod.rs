//! What a command has to say when it is over: data in, bytes out.
//!
//! An [`Answer`] is a value: the numbers of a plan, a run, a verification, an undo, a look into the cluster or into the
//! runs. What it says of them is one [`Report`](document::Report), built once, that [`export`] shows in a terminal, as JSON
//! and as a page for a browser. So a new sentence is written once, in the file of its answer; how numbers look is up to
//! [`figures`] alone. An answer also carries the equations that must hold between its counters, so that a line or a
//! group that was lost would be seen: the report says of itself whether it adds up.
//!
//! Deliberately absent: printing, files, and any judgement about exit codes (they are handed in).
//!
//! May use `model`, `moment`, `estimate`, `wrap`, `advice`, `plan`, `journal`, `latency`, `verify` and `run`; may be used by
//! `cli`.

mod common;
mod config;
mod counts;
mod discovery;
mod document;
mod equation;
mod escaped;
mod export;
mod failures;
mod figures;
mod findings;
mod forgotten;
mod inspection;
mod leased;
mod listing;
mod lookup;
pub mod plot;
mod pruned;
mod runs;
mod summary;
mod timeline;
mod traced;
mod undo;
mod verify;
mod words;

pub(crate) use config::{Configuration, SettingFacts, SettingOrigin, config_json, config_text};
pub(crate) use discovery::{Discovery, LedTo};
pub(crate) use document::Tone;
pub(crate) use equation::Equation;
pub(crate) use failures::FailureReasons;
pub(crate) use forgotten::{ErasedRun, Forgotten, StillNamed};
pub(crate) use inspection::{
    AbsentAccounts, ConflictColumn, ConflictExample, Coverage, Deletes, DurationEstimate,
    HotPartition, InspectedTable, Inspection, LargestAccount, LeftOut, Met, Missed, NamedAccount,
    Speed, volatile,
};
pub(crate) use leased::{AtWork, Leased};
pub(crate) use listing::Listing;
pub(crate) use lookup::{AccountGroup, KnownGroup, Lookup, Unreadable};
pub(crate) use pruned::PrunedRuns;
pub(crate) use runs::{ListedRun, Runs};
pub use summary::Throughput;
pub(crate) use summary::{
    Aftercare, Applied, BusyPartition, BusyRun, EventFacts, ExamplePair, FailureReason, Fates,
    Resumed, Summary, TruncatedTable,
};
pub use timeline::Interval;
pub(crate) use timeline::Timeline;
pub(crate) use traced::{Traced, TracedStay};
pub(crate) use undo::{Undoing, UndoneGroups, UndoneTable};
pub(crate) use verify::{Verification, VerifiedGroups, VerifiedTable};

/// What a command has found out, and what it says of it.
pub(crate) trait Answer: serde::Serialize {
    /// What it says; the answer itself, serialised, is what programs read.
    fn report(&self) -> document::Report;
}

/// An answer in every format.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    /// For a terminal of 80 columns: what matters first, what to do next last.
    pub text: String,
    /// For programs, with a line feed at its end.
    pub json: String,
    /// For a browser: a page that stands alone.
    pub(crate) html: String,
    kept: Option<document::Kept>,
}

impl Rendered {
    /// An answer in every format.
    ///
    /// # Errors
    /// It holds what JSON has no way to write.
    pub(crate) fn of(answer: &impl Answer) -> serde_json::Result<Self> {
        let report = answer.report();
        let json = export::json(answer, &report)?;
        let (text, html) = (export::text(&report), export::html(&report));
        Ok(Self { text, json, html, kept: report.kept })
    }

    /// The files of the run directory in which it is kept, by name.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let kept = self.kept.as_ref();
        kept.into_iter().flat_map(|kept| [(kept.json, &*self.json), (kept.page, &*self.html)])
    }
}

#[cfg(test)]
mod tests;
