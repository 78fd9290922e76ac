//! What is merged.

use crate::model::Part;
use crate::pairs;
use crate::setting::Command::{Apply, Plan, Resume, SpecShow};
use crate::setting::{Described, Layer, Setting, ValueKind, plain, settings, values};

settings! {
    pub(in crate::cli) MERGING: "Merging", &[Apply, Resume];

    /// A merge specification: course-batch or sunbird-lern, which are built in, or a file [default: course-batch]
    SPEC: String = Setting::new("spec", ValueKind::Text, "FILE", values::any)
        .example("spec.toml").taken_by(&[Plan, Apply, Resume, SpecShow]);

    /// Merge into where a target is now, if an earlier run has merged it into another account
    ///
    /// Otherwise such a pair is rejected as merged-earlier. The register of runs says where the target is now, before
    /// groups are built.
    FOLLOW: bool = Setting::switch("follow").taken_by(&[Plan, Apply]).recorded(plain);

    /// Merge one part of the plan, as in 2/3; other processes, on other machines perhaps, merge the others meanwhile
    ///
    /// A group belongs to a part by the CRC-32 of its survivor. Each part is given the same pairs and settings, and has
    /// a run directory of its own.
    SHARD: Part = Setting::new("shard", ValueKind::Text, "I/N", str::parse)
        .example("2/3").only(&[Layer::Flag, Layer::Environment]).taken_by(&[Apply]).recorded(plain);
}

/// The settings by which groups are built: with others, the same pairs are another plan.
pub(in crate::cli) fn of_groups() -> impl Iterator<Item = &'static dyn Described> {
    let of_merging: [&'static dyn Described; 2] = [&FOLLOW, &SHARD];
    pairs::settings().chain(of_merging)
}
