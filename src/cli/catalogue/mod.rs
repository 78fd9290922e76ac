//! The catalogue: the rows of all settings and flags, in the order of the help.
//!
//! `calls` has the flags that hold for one call, `work` what is merged, `output` how is reported. All others stand with
//! what they are for: those of the input in [`pairs`], of the cluster in [`cluster`], of the events in [`events`], of how
//! groups are worked on in [`pipeline`] and [`pace`], of the other walks in [`verify`] and [`undo`]. A new setting is a row of one of these tables, and its use.

pub(super) mod calls;
pub(super) mod output;
pub(super) mod work;

use crate::setting::{Described, Layer, SettingRow};
use crate::{cluster, events, pace, pairs, pipeline, undo, verify};

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static dyn Described> {
    let before = [calls::CALLS, verify::VERIFY, undo::UNDO]
        .into_iter()
        .chain(pairs::tables())
        .chain([cluster::CASSANDRA]);
    let after = [work::MERGING, pipeline::WORK, pace::PACE, calls::TIMES, output::OUTPUT];
    before.chain(events::tables()).chain(after).flatten().copied()
}

pub(super) fn find(name: &str) -> Option<&'static SettingRow> {
    all().map(Described::row).find(|row| row.name == name)
}

/// The name in the configuration file that somebody may have meant.
pub(super) fn nearest(wrong: &str) -> Option<&'static str> {
    // From there on the two have more in common than not.
    const LIKE: f64 = 0.8;
    let wrong = wrong.to_lowercase().replace('-', "_");
    let rows = all().map(Described::row).filter(|row| row.is_in(Layer::File));
    let rated = rows.map(|row| (strsim::jaro_winkler(row.name, &wrong), row.name));
    let best = rated.max_by(|one, other| one.0.total_cmp(&other.0));
    best.filter(|(likeness, _)| *likeness >= LIKE).map(|(_, name)| name)
}

#[cfg(test)]
mod tests;
