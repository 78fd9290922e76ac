//! Which groups are undone: all of a run that it began, or those of some pairs.

use std::collections::HashMap;

use thiserror::Error;

use crate::journal::{Journal, JournalError, State};
use crate::model::{AccountId, Pair};

/// Pairs that an error names.
const NAMED: usize = 10;

/// The groups to undo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// By number, newest first.
    pub groups: Vec<usize>,
    /// Groups that are undone already.
    pub(crate) undone_before: u64,
    /// Groups that failed, or were rejected, before anything was written.
    pub untouched: u64,
    /// Groups of which the journal knows nothing any more, where all are asked for.
    pub(crate) erased: u64,
}

/// Why nothing is undone.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Pairs that the run has not merged.
    #[error("the run merged no such pair: {}{}", named(pairs), but_for(*erased))]
    Foreign {
        /// The pairs, with their lines in the file that names them.
        pairs: Vec<Pair>,
        /// Groups whose pairs are not known any more.
        erased: u64,
    },
    /// Pairs of a group are named, others of it are not.
    #[error(
        "accounts that were merged together are taken back together; name these pairs too: {}",
        named(missing)
    )]
    Partial {
        /// The pairs that are missing, with their lines in the run's input.
        missing: Vec<Pair>,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

fn but_for(erased: u64) -> String {
    match erased {
        0 => String::new(),
        n => format!(
            "; but {n} of its groups were erased by forget: they stay merged and cannot be taken back"
        ),
    }
}

fn named(pairs: &[Pair]) -> String {
    let shown = pairs.iter().take(NAMED);
    let shown = shown.map(|pair| format!("{:?} → {:?} (line {})", pair.from, pair.into, pair.line));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if pairs.len() > NAMED {
        text.push_str(&format!(" and {} more", pairs.len() - NAMED));
    }
    text
}

/// Selects the groups that a run has begun, or those of them whose pairs are `wanted`. Groups that are only
/// planned are not known to the journal, and there is nothing to undo.
///
/// # Errors
/// Pairs are wanted that are not the run's, or that are not all of their group.
pub fn select(journal: &dyn Journal, wanted: Option<&[Pair]>) -> Result<Selected, SelectError> {
    let mut selected = Selected::default();
    let mut wanted = wanted.map(Wanted::new);
    let mut erased = 0;
    let mut states = journal.states()?;
    states.sort_unstable_by_key(|(group, _)| std::cmp::Reverse(*group));
    for (group, state) in states {
        if state == State::Erased {
            erased += 1;
            continue;
        }
        // The record says what the states do not: the pairs, and whether anything was intended.
        let record = match wanted.is_some() || state == State::Failed {
            true => journal.group(group)?,
            false => None,
        };
        if let (Some(wanted), Some(record)) = (&mut wanted, &record)
            && !wanted.take(&record.pairs)
        {
            continue;
        }
        match state {
            State::Undone => selected.undone_before += 1,
            State::Rejected => selected.untouched += 1,
            State::Failed if record.is_none_or(|record| record.t.is_none()) => {
                selected.untouched += 1;
            }
            _ => selected.groups.push(group),
        }
    }
    match wanted {
        Some(wanted) => wanted.finish(erased)?,
        None => selected.erased = erased,
    }
    Ok(selected)
}

/// The pairs that are asked for.
struct Wanted {
    /// By source, which a run has in one pair only; the pair, and whether the run has it.
    pairs: HashMap<AccountId, Vec<(Pair, bool)>>,
    missing: Vec<Pair>,
}

impl Wanted {
    fn new(pairs: &[Pair]) -> Self {
        let mut wanted = Self { pairs: HashMap::new(), missing: Vec::new() };
        for pair in pairs {
            let of_source = wanted.pairs.entry(pair.from.clone()).or_default();
            if !of_source.iter().any(|(known, _)| known.into == pair.into) {
                of_source.push((pair.clone(), false));
            }
        }
        wanted
    }

    /// Whether a group is wanted; what is not named of it is noted.
    fn take(&mut self, pairs: &[Pair]) -> bool {
        let mut missing = Vec::new();
        for pair in pairs {
            let of_source = self.pairs.get_mut(&pair.from);
            match of_source
                .and_then(|all| all.iter_mut().find(|(known, _)| known.into == pair.into))
            {
                Some((_, is_known)) => *is_known = true,
                None => missing.push(pair.clone()),
            }
        }
        let is_wanted = missing.len() < pairs.len();
        if is_wanted {
            self.missing.append(&mut missing);
        }
        is_wanted
    }

    fn finish(self, erased: u64) -> Result<(), SelectError> {
        let foreign = self.pairs.into_values().flatten().filter(|(_, is_known)| !is_known);
        let mut pairs: Vec<Pair> = foreign.map(|(pair, _)| pair).collect();
        pairs.sort_by_key(|pair| pair.line);
        if !pairs.is_empty() {
            return Err(SelectError::Foreign { pairs, erased });
        }
        let mut missing = self.missing;
        missing.sort_by_key(|pair| pair.line);
        if missing.is_empty() { Ok(()) } else { Err(SelectError::Partial { missing }) }
    }
}
