//! The first step of every command: the pairs are read, copied into the run directory, and resolved
//! into a plan. Nothing here can reach a cluster.

use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::{self, Path, PathBuf};

use tokio::sync::watch;

use super::{Console, Exit, Failure, InputSettings, InputSource, listen, register};
use crate::model::{AccountType, Part};
use crate::moment::Moment;
use crate::pairs::{self, CopiedInput, Followed, Format, InputCopy, PairList, PairsError};
use crate::plan::{self, Plan, Refusal};
use crate::register::{Archive, RunTimes};
use crate::run::{InputRecord, Prepared, RunDir, RunId, files};
use crate::spec::Spec;

/// A command that has begun: its input is open and its run directory is being prepared.
pub(super) struct Begun {
    pub(super) stop: watch::Receiver<bool>,
    pub(super) started: Moment,
    pub(super) id: RunId,
    pub(super) pairs: Box<dyn Read + Send>,
    pub(super) prepared: Prepared,
}

/// Begins a command. The input is opened first, so that a wrong path is told before anything is made.
pub(super) fn begin(
    settings: &InputSettings,
    (run_dir, part): (Option<&Path>, Option<Part>),
    console: &Console,
) -> Result<Begun, Failure> {
    let stop = listen(console).map_err(Failure::failed)?;
    let started = Moment::now();
    let id = RunId::new(started);
    let id = match part {
        Some(part) => id.of(part),
        None => id,
    };
    let pairs = open(settings)?;
    let prepared = RunDir::prepare(run_dir, &id)?;
    console.run_log.attach(prepared.create(files::LOG)?).map_err(Failure::failed)?;
    Ok(Begun { stop, started, id, pairs, prepared })
}

/// What earlier runs may have done to the accounts of a plan.
pub(super) struct Earlier<'a> {
    /// Where that is known, if it is.
    pub(super) archive: Option<&'a dyn Archive>,
    pub(super) spec: &'a Spec,
    /// Whether pairs go to where their targets are now.
    pub(super) follow: bool,
}

/// The pairs of a run, resolved.
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// When runs have written to its accounts, as far as that is known.
    pub(super) run_times: RunTimes,
    pub(super) record: InputRecord,
    /// How they were read.
    pub(super) format: Format,
    /// The copy of them, while the run directory is being prepared.
    copy: PathBuf,
}

fn open(settings: &InputSettings) -> Result<Box<dyn Read + Send>, PairsError> {
    match &settings.source {
        InputSource::File(path) => Ok(Box::new(pairs::open_raw(path)?)),
        InputSource::Stdin => Ok(Box::new(io::stdin())),
    }
}

/// Reads and resolves the pairs and writes rejects.csv.
///
/// # Errors
/// Those of the input and of the copy, and an interrupt.
pub(super) async fn plan(
    input: Box<dyn Read + Send>,
    settings: &InputSettings,
    prepared: &Prepared,
    stop: &mut watch::Receiver<bool>,
) -> Result<Planned, Failure> {
    let directory = prepared.file("");
    let rejects = prepared.create(files::REJECTS)?;
    let format = settings.format.clone();
    let resolving = move || {
        let mut input_copy = InputCopy::start(input, &directory)?;
        let list = pairs::read(&mut input_copy, &format)?;
        let copy = input_copy.finish()?;
        Ok((resolve(list, &format, &copy.path, rejects)?, copy))
    };
    let (plan, copy): (Plan, CopiedInput) = unless_stopped(resolving, settings, stop).await?;
    let file = match &settings.source {
        InputSource::File(path) => Some(path::absolute(path).unwrap_or(path.clone())),
        InputSource::Stdin => None,
    };
    let record = InputRecord {
        path: settings.source.to_string(),
        file: file.map(|file| file.to_string_lossy().into_owned()),
        sha256: copy.sha256,
        bytes: copy.bytes,
    };
    let (run_times, format) = (RunTimes::default(), settings.format.clone());
    Ok(Planned { plan, run_times, record, format, copy: copy.path })
}

impl Planned {
    /// The same pairs with accounts of the type that the cluster's tables have. That is where it is known: what the
    /// pairs were read by before is what the specification says, or text if it says nothing.
    ///
    /// # Errors
    /// As of [`plan`].
    pub(super) async fn with_accounts(
        self,
        accounts: AccountType,
        settings: &InputSettings,
        prepared: &Prepared,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        if self.format.accounts == accounts {
            return Ok(self);
        }
        tracing::info!("accounts are of type {accounts}: the pairs are read again");
        let format = Format { accounts, ..self.format.clone() };
        Self { format, ..self }.read_again(Vec::new(), settings, prepared, stop).await
    }

    /// The part of it that is merged here, before the register is asked: what that says may change between one part's
    /// beginning and another's.
    ///
    /// # Errors
    /// As of [`plan`].
    pub(super) fn of_part(self, part: Option<Part>, prepared: &Prepared) -> Result<Self, Failure> {
        let Some(part) = part else { return Ok(self) };
        let planned = Self { plan: self.plan.of_part(part), ..self };
        planned.list_rejects(prepared)?;
        Ok(planned)
    }

    fn list_rejects(&self, prepared: &Prepared) -> Result<(), Failure> {
        let Self { plan, format, copy, .. } = self;
        let out = BufWriter::new(prepared.create(files::REJECTS)?);
        let listed =
            pairs::write_rejects(&copy.as_path(), format, plan.rejects(), plan.accounts(), out);
        Ok(listed?)
    }

    /// The same without the pairs that other runs stand in the way of; they are written down, as rejects and for making
    /// this plan again.
    ///
    /// # Errors
    /// As of [`plan`], or the register cannot be read.
    pub(super) async fn judged(
        self,
        past: Earlier<'_>,
        settings: &InputSettings,
        prepared: &Prepared,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        let Earlier { archive, spec, follow } = past;
        let Some(register) = archive else { return Ok(self) };
        let (lineage, moved) = if follow {
            let lineage = register::lineage_of_input(register, &self.plan, spec).await?;
            let moved = register::moved(&lineage, self.format.accounts);
            (lineage, moved)
        } else {
            (register::lineage(register, &self.plan, spec, None).await?, Vec::new())
        };
        let planned = match moved.is_empty() {
            true => self,
            false => self.read_again(moved, settings, prepared, stop).await?,
        };
        let (plan, refusals) = register::judged(&lineage, planned.plan);
        let planned = Self { plan, run_times: lineage.times().clone(), ..planned };
        if !refusals.is_empty() {
            planned.list_rejects(prepared)?;
            let refused = prepared.create(files::REFUSED)?;
            Refusal::write(&refusals, BufWriter::new(refused)).map_err(Failure::failed)?;
        }
        Ok(planned)
    }

    /// The same pairs, read once more; what is paired with one of these targets goes to where that is now. Those that
    /// were followed are written down, for making this plan again.
    async fn read_again(
        self,
        moved: Vec<Followed>,
        settings: &InputSettings,
        prepared: &Prepared,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        let Self { plan, run_times, record, format, copy } = self;
        // It makes room for the next.
        drop(plan);
        let rejects = prepared.create(files::REJECTS)?;
        let followed = (!moved.is_empty()).then(|| prepared.create(files::FOLLOWED)).transpose()?;
        let (path, by) = (copy.clone(), format.clone());
        let resolving = move || {
            let list = pairs::read_followed(pairs::open(&path)?, &by, &moved)?;
            drop(moved);
            if let Some(followed) = followed {
                Followed::write(&list.followed, BufWriter::new(followed))?;
            }
            resolve(list, &by, &path, rejects)
        };
        let plan = unless_stopped(resolving, settings, stop).await?;
        Ok(Self { plan, run_times, record, format, copy })
    }
}

/// Reads pairs in the background, unless the operator stops it.
async fn unless_stopped<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, PairsError> + Send + 'static,
    settings: &InputSettings,
    stop: &mut watch::Receiver<bool>,
) -> Result<T, Failure> {
    tokio::select! {
        read = tokio::task::spawn_blocking(read) => {
            read.map_err(Failure::failed)?.map_err(|error| named(error, settings))
        }
        _ = stop.wait_for(|stop| *stop) => {
            let error = anyhow::anyhow!("interrupted while reading the pairs; nothing was changed");
            Err(Failure { exit: Exit::Interrupted, error })
        }
    }
}

/// What is wrong with the content of a file does not say by itself which file it is.
fn named(error: PairsError, settings: &InputSettings) -> Failure {
    let name = match &settings.source {
        InputSource::File(path) => path.display().to_string(),
        InputSource::Stdin => "standard input".to_owned(),
    };
    let Failure { exit, error } = Failure::from(error);
    Failure { exit, error: error.context(name) }
}

/// Resolves pairs and lists those of them that are rejected, from their copy.
fn resolve(
    list: PairList,
    format: &Format,
    copy: &Path,
    rejects: File,
) -> Result<Plan, PairsError> {
    let plan = plan::resolve(list);
    let (rejected, accounts) = (plan.rejects(), plan.accounts());
    pairs::write_rejects(&copy, format, rejected, accounts, BufWriter::new(rejects))?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const UUID: &str = "4aa7f1c0-0000-4000-8000-00000000abcd";

    fn settings(csv: &str, folder: &Path) -> InputSettings {
        let path = folder.join("pairs.csv");
        fs::write(&path, csv).unwrap();
        InputSettings { source: InputSource::File(path), format: Format::default() }
    }

    /// Where the cluster says another type than the specification, the cluster's counts, and nothing of the first
    /// reading is left.
    #[tokio::test]
    async fn the_type_of_the_tables_has_the_last_word() {
        let folder = tempfile::tempdir().unwrap();
        let csv = format!("from,to\n{{{UUID}}},{}\nann,{UUID}\n", UUID.replace('c', "d"));
        let settings = settings(&csv, folder.path());
        let run = folder.path().join("run");
        let prepared = RunDir::prepare(Some(&run), &RunId::new(Moment::now())).unwrap();
        let (_tell, mut stop) = watch::channel(false);
        let pairs = open(&settings).unwrap();
        let planned = plan(pairs, &settings, &prepared, &mut stop).await.unwrap();
        let as_text = planned.plan.sha256();
        assert_eq!((planned.plan.stats().pairs, planned.plan.rejects().len()), (2, 0));
        let same = planned
            .with_accounts(AccountType::Text, &settings, &prepared, &mut stop)
            .await
            .unwrap();
        assert_eq!(same.plan.sha256(), as_text);
        let rejects = || fs::read_to_string(prepared.file(files::REJECTS)).unwrap();
        assert_eq!(rejects().lines().count(), 1);

        let typed =
            same.with_accounts(AccountType::Uuid, &settings, &prepared, &mut stop).await.unwrap();
        assert_eq!(typed.format.accounts, AccountType::Uuid);
        let pairs = typed.plan.group(0).pairs;
        assert_eq!(pairs.iter().map(|pair| pair.from.to_string()).collect::<Vec<_>>(), [UUID]);
        let reason = "invalid-id: from is not a uuid";
        assert!(rejects().contains(&format!("ann,{UUID},3,{reason},\"ann,{UUID}\"\n")));
        assert_eq!(typed.record.bytes, csv.len() as u64);
        let copy = fs::read_to_string(prepared.file(files::PAIRS)).unwrap();
        assert_eq!(copy, csv, "the copy is what was given");
    }
}
