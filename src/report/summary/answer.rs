//! What `plan`, `apply` and `resume` say.

use super::{FAILED, Summary, applied};
use crate::advice::Advice;
use crate::plan::{FollowedTarget, FollowedTargets};
use crate::report::common::{adds_up, contradictions, input, session, settings, sum};
use crate::report::discovery::scan_of;
use crate::report::document::{Block, Fact, Kept, Outcome, Report, Section, Tone};
use crate::report::figures::plural;
use crate::report::words::{Text, bytes, code, count, counted, decimal, say, seconds};
use crate::report::{Answer, findings, inspection};
use crate::run::{files, plan_lacks};

impl Answer for Summary {
    fn report(&self) -> Report {
        let kept = Kept::new(&self.run_dir, files::REPORT_PAGE, files::REPORT);
        let mut report = Report::new(&self.command, &self.run, kept);
        report.equations = self.equations();
        report.outcome = self.outcome(report.equations.iter().all(|equation| equation.holds()));
        report.facts.push(session(self.started_at, self.finished_at, self.exit_code));
        report.facts.push(self.lines());
        report.facts.extend(self.part());
        report.facts.extend(findings::facts(&self.plan, self.command != "resume"));
        report.facts.extend(self.followed());
        report.add(self.funnel());
        match &self.applied {
            None => self.planned(&mut report),
            Some(of_run) => applied::add(self, of_run, &mut report),
        }
        report.facts.extend(contradictions(&report.equations));
        for section in findings::sections(&self.plan, &self.reject_examples) {
            report.add(section);
        }
        report.add(adds_up(&report.equations));
        report.add(settings(&self.settings));
        report
    }
}

impl Summary {
    fn outcome(&self, adds_up: bool) -> Outcome {
        let took = seconds(self.elapsed_s).at("/elapsed_s");
        let stopped = self.applied.as_ref().is_some_and(|applied| applied.stopped.is_some());
        let failed = self.applied.as_ref().is_some_and(|applied| applied.groups.failed > 0);
        let is_busy = self.applied.as_ref().is_some_and(|applied| applied.groups.busy > 0);
        let left = self.applied.as_ref().is_some_and(super::Applied::has_left);
        let is_plan = self.applied.is_none();
        let (tone, word) = match self.exit_code {
            _ if !adds_up => (Tone::Bad, say!("the counters do not add up")),
            _ if stopped => (Tone::Warning, say!("stopped")),
            0 if self.inspection.is_some() => (Tone::Good, say!("planned and inspected")),
            0 if is_plan => (Tone::Good, say!("planned")),
            0 => (Tone::Good, say!("finished")),
            FAILED => (Tone::Bad, say!("failed")),
            _ if failed => (Tone::Warning, say!("finished, with failures")),
            _ if is_busy => {
                (Tone::Warning, say!("finished, but for what other runs are busy with"))
            }
            _ if left => (Tone::Warning, say!("finished, with something left")),
            _ if self.plan.rejected_lines() > 0 && is_plan => {
                (Tone::Warning, say!("planned, with rejected lines"))
            }
            _ if self.plan.rejected_lines() > 0 => {
                (Tone::Warning, say!("finished, with rejected lines"))
            }
            _ => (Tone::Warning, say!("planned, but not all could be read")),
        };
        let took = if stopped { say!("after {}", took) } else { say!("in {}", took) };
        Outcome { tone, word, took }
    }

    fn lines(&self) -> Fact {
        let size = bytes(self.input.bytes).at("/input/bytes");
        let fact = Fact::new("Input", say!("{}, {}", input(&self.input.path), size));
        let plan = &self.plan;
        let of = |n: u64, field: &str| count(n).at(format!("/plan/{field}"));
        let parts = [
            (of(plan.pairs, "pairs"), plural(plan.pairs, ["pair", "pairs"])),
            (of(plan.blank, "blank"), "blank"),
            (count(plan.rejected_lines()), "rejected"),
            (
                of(plan.duplicates, "duplicates"),
                plural(plan.duplicates, ["duplicate", "duplicates"]),
            ),
            (of(plan.other_parts, "other_parts"), "of other parts"),
        ];
        match self.equations().first() {
            Some(lines) if lines.holds() => {
                let sentence = sum(count(plan.lines).at("/plan/lines"), parts);
                fact.with(say!("every line accounted for: {}", sentence))
            }
            _ => fact,
        }
    }

    /// Which part of the plan it is.
    fn part(&self) -> Option<Fact> {
        let part = self.part?;
        let of_input = match part.is_first() {
            true => {
                say!(
                    "blank, repeated and rejected lines of the input are told here, and by no other part"
                )
            }
            false => say!("blank, repeated and rejected lines of the input are told by part 1"),
        };
        Some(Fact::new("Part", say!("{} of one plan", part.to_string().as_str())).with(of_input))
    }

    /// The targets that are others by now.
    fn followed(&self) -> Option<Fact> {
        let FollowedTargets { targets, first } = &self.plan.followed;
        let named = first.iter().map(|FollowedTarget { account, now }| {
            say!("'{}' is '{}' now", code(account), code(now))
        });
        let more = targets.saturating_sub(first.len() as u64);
        let sentence = say!(
            "{} that earlier runs have merged: {}",
            counted(*targets, "target").at("/plan/followed/targets"),
            Text::join(named, ", ")
        );
        let sentence = sentence.and_if(more > 0, || say!(", and {} more", count(more)));
        (*targets > 0).then(|| {
            let file = say!("their pairs go to where they are now; {} has them", files::FOLLOWED);
            Fact::new("Followed", sentence).with(file)
        })
    }

    /// From the lines of the input to what is done.
    fn funnel(&self) -> Section {
        let plan = &self.plan;
        let part = |n: u64| if plan.lines == 0 { 0.0 } else { n as f64 / plan.lines as f64 };
        let bar = |name: Text, n: u64, at: &str| (name, count(n).at(at), part(n));
        let mut bars = vec![
            bar(say!("Lines of the input"), plan.lines, "/plan/lines"),
            bar(say!("Pairs"), plan.pairs, "/plan/pairs"),
        ];
        if let Some(applied) = &self.applied {
            bars.push(bar(say!("Pairs done"), applied.pairs.done, "/pairs/done"));
        }
        Section::new("From lines to done").with(Block::Bars(bars))
    }

    fn planned(&self, report: &mut Report) {
        let plan = &self.plan;
        if plan.pairs == 0 {
            report.facts.push(Fact::new("Groups", say!("none: there is nothing to merge")));
            return;
        }
        let at = |n: u64, field: &str| count(n).at(format!("/plan/{field}"));
        let counted = |n, noun, field: &str| counted(n, noun).at(format!("/plan/{field}"));
        let mean = plan.accounts as f64 / plan.groups.max(1) as f64;
        let groups = say!(
            "{} with {} ({} on average), the largest with {}",
            at(plan.groups, "groups"),
            counted(plan.accounts, "account", "accounts"),
            decimal(mean, 2).named("accounts_per_group"),
            counted(plan.largest_group, "source", "largest_group")
        );
        let chains = match plan.chains {
            0 => say!("none"),
            chains => say!(
                "{}, the longest with {}",
                at(chains, "chains"),
                counted(plan.longest_chain, "pair", "longest_chain")
            ),
        };
        let named = if plan.fan_ins == 1 { say!("is named") } else { say!("are named") };
        let fan_ins = match plan.fan_ins {
            0 => say!("none"),
            fan_ins => say!(
                "{} {} by several sources, at most by {}",
                counted(fan_ins, "account", "fan_ins"),
                named,
                at(plan.largest_fan_in, "largest_fan_in")
            ),
        };
        let facts = [("Groups", groups), ("Chains", chains), ("Fan-in", fan_ins)];
        report.facts.extend(facts.map(|(label, sentence)| Fact::new(label, sentence)));
        if !plan.largest.is_empty() {
            report.facts.push(Fact::new("Largest", findings::largest(plan)));
        }
        if self.inspection.is_none() {
            let sentence = say!("not asked: --inspect asks what other runs did to these accounts");
            report.facts.push(Fact::new("History", sentence));
        }
        match (&self.inspection, &self.discovery) {
            (Some(inspection), _) => inspection::add(inspection, report),
            (None, Some(discovery)) => {
                let of_led = discovery.content_misses.iter().zip(&discovery.scan_costs);
                report.facts.extend(of_led.map(|(misses, costs)| {
                    let content = say!("--discover content (the default): {}", misses.as_str());
                    Fact::new("Discovery", content)
                        .with(say!("--discover scan: {}", costs.as_str()))
                }));
                if !discovery.scanned.is_empty() {
                    let scan = scan_of(&discovery.scanned);
                    report.facts.push(Fact::new(
                        "Scan",
                        say!("nothing leads to rows of sources: it {}", scan),
                    ));
                }
            }
            (None, None) => {}
        }
        let (to, advice) = self.to_merge();
        report.advise(to, advice);
    }

    /// What merges what was planned.
    fn to_merge(&self) -> (Text, Advice) {
        let with = plan_lacks(&self.settings);
        let plan = self.run_dir.clone();
        (say!("To merge this, and nothing else"), Advice::ApplyPlan { plan, with })
    }
}
