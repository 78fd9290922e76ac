//! What must add up in a plan and in a run.

use super::{Applied, Fates, Summary, TableFacts};
use crate::plan::PlanStats;
use crate::report::Equation;
use crate::report::figures::plural;

impl Summary {
    /// What must add up.
    pub(crate) fn equations(&self) -> Vec<Equation> {
        let applied = self.applied.iter().flat_map(|applied| applied.equations(&self.plan));
        [lines(&self.plan)].into_iter().chain(applied).collect()
    }
}

impl Applied {
    fn equations(&self, plan: &PlanStats) -> Vec<Equation> {
        let mut equations = vec![
            Equation::new("groups of the plan", plan.groups, &[("groups", self.groups.planned)]),
            self.groups.equation("groups"),
            Equation::new("pairs of the plan", plan.pairs, &[("pairs", self.pairs.planned)]),
            self.pairs.equation("pairs"),
            self.done(),
        ];
        for TableFacts { table, rows } in &self.tables {
            equations.push(Equation::new(
                &format!("rows of sources in {table}"),
                rows.source_rows,
                &[("copied", rows.copied), ("merged", rows.merged), ("unchanged", rows.unchanged)],
            ));
        }
        // A group that failed may have produced events that nobody waited for to the end.
        if self.groups.failed == 0 && self.events.destination.is_some() {
            equations.push(self.events.equation());
        }
        equations
    }

    /// What the journal says is done is what this session and those before it did.
    fn done(&self) -> Equation {
        let before = self.resumed.map(|resumed| ("before", resumed.groups_done_before));
        let parts: Vec<_> =
            before.into_iter().chain([("in this session", self.groups_done_now)]).collect();
        Equation::new("groups that are done", self.groups.done, &parts)
    }
}

impl Fates {
    /// What became of them: the field, the words for it, and how many.
    pub(super) fn parts(&self) -> [(&'static str, &'static str, u64); 8] {
        [
            ("done", "done", self.done),
            ("failed", "failed", self.failed),
            ("not_started", "not started", self.not_started),
            ("half_merged", "half merged", self.half_merged),
            ("limited", "left out by --limit", self.limited),
            ("taken_back", "taken back", self.undone),
            ("busy", "busy in other runs", self.busy),
            ("rejected", "rejected since the plan", self.rejected),
        ]
    }

    /// Whether something of them was not merged that was to be.
    pub(crate) fn are_kept_out(&self) -> bool {
        self.failed + self.busy + self.rejected > 0
    }

    fn equation(&self, what: &str) -> Equation {
        let parts = self.parts();
        let (usual, rare) = parts.split_at(3);
        let rare = rare.iter().filter(|(.., n)| *n > 0);
        let parts: Vec<_> = usual.iter().chain(rare).map(|(_, what, n)| (*what, *n)).collect();
        Equation::new(what, self.planned, &parts)
    }
}

fn lines(plan: &PlanStats) -> Equation {
    let parts = [
        ("blank", plan.blank),
        ("rejected", plan.rejected_lines()),
        (plural(plan.duplicates, ["duplicate", "duplicates"]), plan.duplicates),
        (plural(plan.pairs, ["pair", "pairs"]), plan.pairs),
        ("of other parts", plan.other_parts),
    ];
    // Most runs are no part of anything.
    let parts = if plan.other_parts > 0 { &parts[..] } else { &parts[..4] };
    Equation::new("lines of the input", plan.lines, parts)
}
