//! The plan of a run, made again: from its copy of the pairs, and from what other runs had to do with them when it began.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::anyhow;

use super::Failure;
use crate::model::Part;
use crate::pairs::{self, Followed};
use crate::plan::{self, Plan, Refusal};
use crate::run::files;

/// Makes the plan of a run again; of a part, that part.
pub(super) fn replan(
    run: &Path,
    copy: &Path,
    format: &pairs::Format,
    part: Option<Part>,
) -> Result<Plan, Failure> {
    let followed = followed(run, format)?;
    let list = pairs::open(copy).and_then(|text| pairs::read_followed(text, format, &followed));
    let list =
        list.map_err(|error| Failure::failed(anyhow!(error).context(copy.display().to_string())))?;
    let refusals = kept(&run.join(files::REFUSED), Refusal::read)?;
    let plan = plan::resolve(list);
    let plan = match part {
        Some(part) => plan.of_part(part),
        None => plan,
    };
    Ok(plan.without(&refusals))
}

/// The targets that were followed when a run began.
pub(super) fn followed(run: &Path, format: &pairs::Format) -> Result<Vec<Followed>, Failure> {
    kept(&run.join(files::FOLLOWED), |file| Followed::read(file, format.accounts))
}

/// What a run has kept for making the same plan again; nothing where there was nothing to be kept.
fn kept<T>(
    path: &Path,
    read: impl FnOnce(File) -> Result<Vec<T>, String>,
) -> Result<Vec<T>, Failure> {
    let shown = path.display();
    match File::open(path) {
        Ok(file) => read(file).map_err(|wrong| {
            Failure::failed(anyhow!("{shown} is damaged: {wrong}; put the original back"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::failed(anyhow!("cannot read {shown}: {error}"))),
    }
}
