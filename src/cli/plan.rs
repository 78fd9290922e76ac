//! `plan`: check and resolve the pairs; with --inspect, look at the cluster. Nothing here can write to one.

use super::input::{self, Begun, Earlier};
use super::inspect::{self, Reading};
use super::recorded::with_accounts;
use super::{Console, Exit, Failure, PlanSettings, facts};
use crate::moment::Moment;
use crate::report::{Discovery, LedTo, Rendered, Summary};
use crate::run::{RunRecord, files};
use crate::spec::RawSpec;

pub(crate) async fn run(settings: &PlanSettings, console: &Console) -> Result<Exit, Failure> {
    let Begun { mut stop, started, id, pairs, prepared } =
        input::begin(&settings.input, (settings.run_dir.as_deref(), None), console)?;
    let mut planned = input::plan(pairs, &settings.input, &prepared, &mut stop).await?;
    let mut groups_sha256 = planned.plan.sha256();
    let inspection = match &settings.inspect {
        None => {
            assumptions(&settings.spec)
                .iter()
                .for_each(|assumption| tracing::warn!("{assumption}"));
            None
        }
        Some(own) => {
            let reading = Reading::start_unless(&mut stop, settings, own).await?;
            let accounts = reading.accounts();
            planned =
                planned.with_accounts(accounts, &settings.input, &prepared, &mut stop).await?;
            // A run that is bound to this plan asks the register by itself: what is planned is what the pairs say.
            groups_sha256 = planned.plan.sha256();
            let past =
                Earlier { archive: reading.archive(), spec: reading.spec(), follow: own.follow };
            planned = planned.judged(past, &settings.input, &prepared, &mut stop).await?;
            reading.know_run_times(planned.run_times.clone());
            Some(inspect::run(&reading, own, &planned.plan, console, &mut stop).await?)
        }
    };
    let mut recorded = with_accounts(settings.recorded.clone(), planned.format.accounts);
    recorded["groups_sha256"] = groups_sha256.into();
    let record = RunRecord::new(id, "plan", started, planned.record, recorded);
    let stats = planned.plan.stats().clone();
    let unreadable = inspection.as_ref().is_some_and(|inspection| inspection.unreadable > 0);
    let exit = if stats.rejected_lines() > 0 || unreadable { Exit::Partial } else { Exit::Done };
    let mut summary =
        Summary::new(&record, prepared.target(), Moment::now(), stats, None, exit.code());
    summary.discovery = discovery(&settings.spec);
    summary.inspection = inspection;
    let rejected = summary.plan.rejected.values().filter(|lines| **lines > 0).count();
    summary.reject_examples =
        facts::examples(&prepared.file(files::REJECTS), "reason", Some(rejected));
    prepared.write_json(files::RUN, &record)?;
    prepared.write(files::SPEC, settings.spec.text.as_bytes())?;
    let report = Rendered::of(&summary).map_err(Failure::failed)?;
    for (name, text) in report.files() {
        prepared.write(name, text.as_bytes())?;
    }
    prepared.commit()?;
    console.terminal.report(&report, console.output.json)?;
    Ok(Exit::from_code(summary.exit_code))
}

/// What a plan that asks no cluster takes for granted.
fn assumptions(spec: &RawSpec) -> Option<&'static str> {
    (!spec.gives_account_type()).then_some(
        "ids count as text, because the merge specification does not say the type of its accounts: [table.columns] can, \
         and --inspect asks the cluster",
    )
}

/// How the rows of the specification's tables can be found.
fn discovery(spec: &RawSpec) -> Option<Discovery> {
    let tables = spec.led().map(|(table, columns)| {
        let columns: Vec<String> = columns.into_iter().map(ToString::to_string).collect();
        LedTo { table: table.to_owned(), through: columns.join(", ") }
    });
    Discovery::of(tables.collect(), spec.scanned().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_specification_that_leaves_the_type_open_is_told_that_ids_are_text() {
        assert_eq!(assumptions(&RawSpec::course_batch().unwrap()), None);
        let spec = |columns: &str| {
            let text = format!(
                "name = 's'\n[[table]]\nname = 't'\naccount = 'user'\nfind = 'partition'\n{columns}"
            );
            RawSpec::parse(&text, "a test").unwrap()
        };
        assert!(
            assumptions(&spec("")).is_some_and(|assumption| assumption.contains("count as text"))
        );
        assert!(assumptions(&spec("[table.columns]\nstatus = 'int'\n")).is_some());
        assert_eq!(assumptions(&spec("[table.columns]\nuser = 'uuid'\n")), None);
    }
}
