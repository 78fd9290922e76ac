//! What must stand, said of values alone: each value that the application wrote is told apart from all others, and is
//! followed. What it wrote last to a row must stand somewhere, once, unless the application itself has taken it away or
//! a policy prefers another; and what it has taken away stands nowhere. How the tool works is not known here.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use tributary::model::TimestampUs;

use super::tables::{Place, Seen, Values, times};

/// A value that the application wrote.
#[derive(Clone, Debug)]
struct Written {
    place: Place,
    value: Value,
    /// The row that it belongs to, wherever that is taken.
    row: usize,
    at: TimestampUs,
    by: String,
    /// Its account did not hold the row any more.
    is_late: bool,
    /// When the application wrote over it.
    is_replaced: bool,
    /// When the application took its last copy away.
    gone: Option<TimestampUs>,
    /// It did so by writing over it.
    is_written_over: bool,
    /// When another account was last seen to have a row in the same place, before the application did something there.
    had_rival: Option<TimestampUs>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Status(i32),
    /// That the n-th write was counted.
    Count(i32),
    /// It gives way to that of a source, or to none.
    Zone(String),
    /// It gives way to that which was written later.
    Zoom(String),
    Note(String),
}

/// What was listed excuses some of it.
#[derive(Clone, Copy, Debug)]
pub struct Excuses {
    /// A value may stand twice.
    pub may_double: bool,
    /// A lost run may have left a row at both accounts, and another run merge one of them for a row of its own.
    pub is_any_lost: bool,
    /// A computed value may be what the application wrote.
    pub is_anew: bool,
    /// A count may be what the application wrote, which may have counted on from the sum of all accounts.
    pub is_counted_on: bool,
    /// A late row with a number has stayed with its source: what it was written over stands under the survivor, and another
    /// run may take that number for one that was never merged.
    pub has_stayed: bool,
    /// Without the register something was undone: a row that was deleted meanwhile may stay with the survivor, and a late
    /// value may lose to what was given back.
    pub may_stay: bool,
    /// A late row has stayed with its source because its new place was deleted, by nobody knows whom.
    pub is_left: bool,
}

#[derive(Default)]
pub struct Oracle {
    written: Vec<Written>,
    /// The row that the application means by an account's place.
    rows: BTreeMap<(String, Place), usize>,
    /// When rows were deleted, by their numbers.
    deleted: BTreeMap<usize, TimestampUs>,
    /// Every delete, whether anything was there or not.
    deletes: Vec<(String, Place, TimestampUs)>,
    /// Sources of runs, with the times at which these began to merge them.
    merged: BTreeMap<(usize, String), TimestampUs>,
    /// When they had merged them, or were interrupted.
    merged_until: BTreeMap<(usize, String), TimestampUs>,
    /// Whether a run is under way.
    pub is_at_work: bool,
    next_row: usize,
}

type Standing = BTreeMap<(Place, Value), BTreeSet<String>>;

fn values(values: &Values) -> impl Iterator<Item = Value> {
    let note = values.note.clone().map(Value::Note);
    let counts = times(values.views.unwrap_or_default()).map(|(write, _)| Value::Count(write));
    let zone = values.zone.clone().map(Value::Zone);
    let zoom = values.zoom.clone().map(Value::Zoom);
    // The note comes last.
    values.status.map(Value::Status).into_iter().chain(counts).chain(zone).chain(zoom).chain(note)
}

fn standing(seen: &Seen) -> Standing {
    let mut standing = Standing::new();
    for ((account, place), row) in seen {
        for value in values(row) {
            standing.entry((*place, value)).or_default().insert(account.clone());
        }
        let twice = times(row.views.unwrap_or_default()).filter(|(_, times)| *times > 1);
        for (write, times) in twice {
            let at = standing.entry((*place, Value::Count(write))).or_default();
            at.insert(format!("{account}, {times} times"));
        }
    }
    standing
}

impl Oracle {
    /// The row that a write of an account to a place belongs to, and whether it begins one.
    pub fn row_of(&mut self, seen: &Seen, account: &str, place: Place) -> (usize, bool) {
        let at = (account.to_owned(), place);
        let seen = seen.get(&at).and_then(|row| {
            let of =
                |value: Value| self.written.iter().find(|w| w.value == value && w.place == place);
            // A status may be another row's, which the policy has preferred, and so may a count; a note is its own.
            values(row).filter_map(of).last().map(|written| written.row)
        });
        let known = seen.or_else(|| self.rows.get(&at).copied());
        let row = known.unwrap_or(self.next_row);
        self.next_row += usize::from(known.is_none());
        self.rows.insert(at, row);
        (row, known.is_none())
    }

    /// A run begins to merge these sources. Where one of them has come back to life, what it holds is any source's row for
    /// it.
    pub fn merges(&mut self, run: usize, sources: impl Iterator<Item = String>, at: TimestampUs) {
        self.merged.extend(sources.map(|source| ((run, source), at)));
    }

    /// A command of a run is over.
    pub fn has_merged(&mut self, run: usize, at: TimestampUs) {
        for (source, began) in self.merged.iter().filter(|((of, _), _)| *of == run) {
            let until = self.merged_until.entry(source.clone()).or_insert(at);
            // It was begun by this command, not by an earlier one.
            if *until < *began {
                *until = at;
            }
        }
    }

    /// The application wrote to a row.
    pub fn wrote(
        &mut self,
        (account, place): (&str, Place),
        row: usize,
        new: &Values,
        [before, after]: [&Seen; 2],
        at: TimestampUs,
    ) {
        let cell = (account.to_owned(), place);
        let old = before.get(&cell);
        let is_over = |value: &Value| match value {
            Value::Status(_) => new.status.is_some(),
            // It counts on.
            Value::Count(_) => false,
            Value::Zone(_) => new.zone.is_some(),
            Value::Zoom(_) => new.zoom.is_some(),
            Value::Note(_) => new.note.is_some(),
        };
        let replaced: Vec<Value> = old.into_iter().flat_map(values).filter(is_over).collect();
        for written in self.written.iter_mut().filter(|written| written.place == place) {
            written.is_replaced |= replaced.contains(&written.value);
        }
        if old.is_some() {
            self.gave_way(place, before, |value| {
                matches!(value, Value::Status(_)) && is_over(value)
            });
        }
        // What would have given way to the survivor's own, and stands on its source until that is deleted, is gone with that
        // as well: whether the run had come so far nobody can tell.
        if let Some(own) = old.and_then(|row| row.status).filter(|_| self.is_at_work) {
            let here = self.written.iter_mut().filter(|written| written.place == place);
            let lower = here.filter(|w| matches!(w.value, Value::Status(status) if status <= own));
            lower.for_each(|written| written.is_replaced |= new.status.is_some());
        }
        self.went([before, after], (account, place), at);
        let by = account.to_owned();
        // What is written to a late row is as late.
        let old: Vec<Value> = old.into_iter().flat_map(values).collect();
        let mut known = self.written.iter().filter(|w| w.place == place);
        let is_late = old.is_empty() || known.any(|w| w.is_late && old.contains(&w.value));
        self.written.extend(values(new).map(|value| Written {
            place,
            value,
            row,
            at,
            by: by.clone(),
            is_late,
            is_replaced: false,
            gone: None,
            is_written_over: false,
            had_rival: None,
        }));
    }

    /// The application deleted a row.
    pub fn deleted(
        &mut self,
        (account, place): (&str, Place),
        [before, after]: [&Seen; 2],
        at: TimestampUs,
    ) {
        let cell = (account.to_owned(), place);
        if before.contains_key(&cell) {
            self.gave_way(place, before, |_| true);
        }
        for value in before.get(&cell).into_iter().flat_map(values) {
            let known = self.written.iter().find(|w| w.value == value && w.place == place);
            self.deleted.extend(known.map(|written| (written.row, at)));
        }
        self.rows.remove(&cell);
        self.deletes.push((account.to_owned(), place, at));
        self.went([before, after], (account, place), at);
    }

    /// What a policy has dropped for a row is gone with that when the application deletes it or writes over it.
    fn gave_way(&mut self, place: Place, before: &Seen, of: impl Fn(&Value) -> bool) {
        let standing = standing(before);
        let here = self.written.iter_mut().filter(|written| written.place == place);
        for written in here.filter(|written| of(&written.value)) {
            let stands = standing.contains_key(&(place, written.value.clone()));
            written.is_replaced |= !stands && written.gone.is_none();
        }
    }

    /// What stands nowhere any more, by the application's doing.
    fn went(
        &mut self,
        [before, after]: [&Seen; 2],
        (account, place): (&str, Place),
        at: TimestampUs,
    ) {
        let is_written_over = after.contains_key(&(account.to_owned(), place));
        let accounts = before.keys().filter(|(_, its)| *its == place).map(|(own, _)| own.clone());
        let accounts: BTreeSet<String> = accounts.collect();
        let [before, after] = [standing(before), standing(after)];
        for written in &mut self.written {
            let value = (written.place, written.value.clone());
            let Some(at_accounts) = before.get(&value) else { continue };
            if written.place == place && !accounts.is_subset(at_accounts) {
                written.had_rival = Some(at);
            }
            if !after.contains_key(&value) {
                (written.gone, written.is_written_over) = (Some(at), is_written_over);
            }
        }
    }

    /// What the application took away since a moment stands again, rightly: a merge that was under way is as of a time
    /// before that, and a delete on a source is not taken along. So does what it wrote over since the run began: what it wrote
    /// then is late, and can be gone from the source before it is taken along.
    pub fn came_back(&mut self, seen: &Seen, since: TimestampUs, began: TimestampUs) {
        // What its account writes to a place that it does not hold any more belongs to the row that it held.
        for (at, row) in seen {
            let of = |value: Value| {
                self.written.iter().find(|w| w.value == value && w.place == at.1).map(|w| w.row)
            };
            if let Some(row) = row.note.clone().map(Value::Note).and_then(of) {
                self.rows.insert(at.clone(), row);
            }
        }
        let standing = standing(seen);
        for written in &mut self.written {
            let stands = standing.contains_key(&(written.place, written.value.clone()));
            let since = if written.is_written_over { began } else { since };
            if stands && written.gone.is_some_and(|gone| gone >= since) {
                written.gone = None;
            }
        }
    }

    /// A merge is undone. Of a row that gave way to another while it was interrupted, it cannot be told who deleted it, the
    /// run or the application: it is given back.
    pub fn was_given_back(&mut self, seen: &Seen, since: TimestampUs) {
        let standing = standing(seen);
        let had_rival = |written: &&mut Written| written.had_rival.is_some_and(|at| at >= since);
        for written in self.written.iter_mut().filter(had_rival) {
            let stands = standing.contains_key(&(written.place, written.value.clone()));
            if stands && written.gone.is_some_and(|gone| gone >= since) {
                written.gone = None;
            }
        }
    }

    /// A merge into this account is undone: what it held only as a copy is not its row any more.
    pub fn has_no_copies(&mut self, seen: &Seen, survivor: &str) {
        let standing = standing(seen);
        let stands_elsewhere = |row: usize| {
            self.written.iter().any(|written| {
                written.row == row && standing.contains_key(&(written.place, written.value.clone()))
            })
        };
        self.rows
            .retain(|at, row| at.0 != survivor || seen.contains_key(at) || !stands_elsewhere(*row));
    }

    /// What is wrong in the end; `person` says who an account belongs to by now.
    pub fn judge(
        &self,
        seen: &Seen,
        person: impl Fn(&str) -> usize,
        excuses: Excuses,
    ) -> Vec<String> {
        let standing = standing(seen);
        let mut wrong = Vec::new();
        for written in &self.written {
            let Written { place, value, row, by, .. } = written;
            let at: Vec<&String> =
                standing.get(&(*place, value.clone())).into_iter().flatten().collect();
            if written.gone.is_some() {
                let is_known = !excuses.has_stayed && !excuses.is_left;
                let is_excused = !is_known || !matches!(value, Value::Note(_));
                if !at.is_empty() && !is_excused {
                    wrong.push(format!(
                        "{value:?} of {by} at {place:?} was deleted, and stands at {at:?}"
                    ));
                }
                continue;
            }
            let may_double = match value {
                Value::Count(_) => {
                    excuses.may_double || excuses.has_stayed || excuses.is_counted_on
                }
                _ => excuses.may_double,
            };
            if at.len() > 1 && !may_double {
                wrong.push(format!("{value:?} of {by} at {place:?} stands at {at:?}"));
            }
            if may_double || excuses.may_stay {
                // Whose copy it is cannot be said then.
            } else if let Some(stranger) = at.iter().find(|account| person(account) != person(by)) {
                wrong.push(format!(
                    "{value:?} of {by} at {place:?} stands at the stranger {stranger}"
                ));
            }
            // It may lose to an older value that the undo of a run gives back, of which its own knows nothing.
            let may_lose = excuses.may_stay && written.is_late;
            let is_excused = match value {
                Value::Status(_) => excuses.is_anew || may_lose,
                Value::Count(_) => excuses.is_counted_on,
                Value::Zone(_) | Value::Zoom(_) | Value::Note(_) => may_lose,
            };
            let gave_way = || excuses.is_any_lost && self.is_second(written, seen, &person);
            let is_excused = is_excused || gave_way();
            if at.is_empty() && !is_excused && !self.may_be_missing(written, seen, &person) {
                wrong.push(format!("{value:?} of {by} (row {row}) at {place:?} is lost"));
            }
        }
        wrong
    }

    /// Whether the same person had another row in the place of a zone, or a row that a further run took for one, since what
    /// came late stood beside what had been moved: whichever of them was the source's, its zone stands, or none.
    fn may_give_way(&self, missing: &Written, person: impl Fn(&str) -> usize) -> bool {
        self.written.iter().any(|other| {
            let is_merged_again = || {
                let last = missing.at.max(other.at);
                let is_one = |source: &str| person(source) == person(&missing.by);
                let mut further = self.merged_until.iter().filter(|(_, at)| **at > last);
                let is_late = missing.is_late || other.is_late;
                is_late && further.any(|((_, source), _)| is_one(source))
            };
            other.place == missing.place
                && person(&other.by) == person(&missing.by)
                && (other.row != missing.row || other.at != missing.at && is_merged_again())
        })
    }

    /// Whether a status that was written later, to a source that had been emptied, stands where it was written: the source
    /// was given its row back under it.
    fn is_written_since(&self, missing: &Written, status: i32, account: &str) -> bool {
        self.written.iter().any(|other| {
            let is_before = |at: &TimestampUs| *at < other.at;
            let mut merged = self.merged.iter();
            other.value == Value::Status(status)
                && other.place == missing.place
                && other.by == account
                && other.is_late
                && other.at > missing.at
                && merged.any(|((_, source), at)| source == account && is_before(at))
        })
    }

    /// Whether the same person wrote another zoom later. Where one of several runs came since, its time is that of a run, which
    /// is older than all that the application wrote: then any may stand.
    fn is_earlier(&self, missing: &Written, seen: &Seen, person: impl Fn(&str) -> usize) -> bool {
        let is_rival = |other: &&Written| {
            other.place == missing.place
                && matches!(other.value, Value::Zoom(_))
                && other.value != missing.value
                && person(&other.by) == person(&missing.by)
        };
        let mut rivals = self.written.iter().filter(is_rival);
        let runs: BTreeSet<usize> = self.merged.keys().map(|(run, _)| *run).collect();
        if runs.len() > 1 && self.merged.values().any(|at| *at > missing.at) {
            let standing = standing(seen);
            rivals.any(|other| standing.contains_key(&(other.place, other.value.clone())))
        } else {
            rivals.any(|other| other.at > missing.at)
        }
    }

    /// Whether a note was written to a source of a run whose person has a row in the same place.
    fn is_second(&self, missing: &Written, seen: &Seen, person: impl Fn(&str) -> usize) -> bool {
        let is_note = matches!(missing.value, Value::Note(_));
        let mut merged = self.merged.keys();
        let mut rows = seen.keys().filter(|(_, place)| *place == missing.place);
        is_note
            && merged.any(|(_, source)| *source == missing.by)
            && rows.any(|(account, _)| person(account) == person(&missing.by))
    }

    fn may_be_missing(
        &self,
        missing: &Written,
        seen: &Seen,
        person: impl Fn(&str) -> usize,
    ) -> bool {
        let is_same_column = |value: &Value| {
            !matches!(value, Value::Count(_))
                && mem::discriminant(value) == mem::discriminant(&missing.value)
        };
        let is_later = |other: &Written| {
            other.row == missing.row && is_same_column(&other.value) && other.at > missing.at
        };
        if missing.is_replaced || self.written.iter().any(is_later) {
            return true;
        }
        if self.deleted.get(&missing.row).is_some_and(|at| *at > missing.at) {
            return true;
        }
        let is_deleted = |(account, place, at): &(String, Place, TimestampUs)| {
            *place == missing.place && *at > missing.at && person(account) == person(&missing.by)
        };
        if self.deletes.iter().any(is_deleted) {
            return true;
        }
        if matches!(missing.value, Value::Zone(_)) {
            return self.may_give_way(missing, person);
        }
        if matches!(missing.value, Value::Zoom(_)) {
            return self.is_earlier(missing, seen, person);
        }
        // The policies prefer a row of the same person.
        seen.iter().any(|((account, place), row)| {
            if person(account) != person(&missing.by) || *place != missing.place {
                return false;
            }
            match &missing.value {
                Value::Status(status) => row.status.is_some_and(|own| {
                    own >= *status || self.is_written_since(missing, own, account)
                }),
                Value::Count(_) | Value::Zone(_) | Value::Zoom(_) => false,
                Value::Note(_) => {
                    // A further run of a source takes what it has for any source's row, and what the survivor has for
                    // that account's own.
                    let merged = self.merged.iter();
                    let of_source = merged.filter(|((_, source), _)| *source == missing.by);
                    let is_anew = of_source.clone().any(|(_, at)| *at > missing.at);
                    if missing.is_late && (is_anew || of_source.count() > 1) {
                        return true;
                    }
                    let of = |value: Value| self.written.iter().find(|w| w.value == value);
                    let is_own = |written: &Written| {
                        written.row != missing.row || written.is_late && written.by == *account
                    };
                    values(row).filter_map(of).any(is_own)
                }
            }
        })
    }
}
