//! What is merged.

use crate::setting::Command::{Apply, Plan, Resume, SpecShow};
use crate::setting::{Kind, Setting, plain, settings, values};

settings! {
    pub(in crate::cli) MERGING: "Merging", &[Apply, Resume];

    /// A merge specification: course-batch or sunbird-lern, which are built in, or a file [default: course-batch]
    SPEC: String = Setting::new("spec", Kind::Text, "FILE", values::any)
        .example("spec.toml").taken_by(&[Plan, Apply, Resume, SpecShow]);

    /// Merge into where a target is now, if an earlier run has merged it into another account
    ///
    /// Otherwise such a pair is rejected as merged-earlier. The register of runs says where the target is now, before
    /// groups are built.
    FOLLOW: bool = Setting::switch("follow").taken_by(&[Plan, Apply]).recorded(plain);
}
