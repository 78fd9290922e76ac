//! How groups are merged, and how far: the rows of its settings, and what they make.
//!
//! A new one is a row, a field and a line of [`WorkSettings::of`] and of the others that take it, and its use: all of it is in the
//! [`Context`](super::Context) that groups run in.

use std::time::Duration;

use strum::VariantNames;

use super::{Discover, ErrorLimit, Limits};
use crate::pace::PaceSettings;
use crate::setting::Command::{Apply, Plan, Resume};
use crate::setting::{Layers, Setting, SettingsError, ValueKind, plain, settings, text, values};

settings! {
    /// How groups are merged, and how far.
    pub(crate) WORK: "Merging", &[Apply, Resume];

    /// How rows are found in whose keys the account does not come first: content or scan
    ///
    /// `content` looks in the partitions that the sources' rows in other tables lead to; a row in a partition to which
    /// none leads is not seen. `scan` reads every key of the table once before the first group is merged, and once more
    /// at the end, and sees them all. A run keeps to what it began with. With --inspect, `scan` also says how many rows
    /// `content` would miss.
    DISCOVER: Discover = Setting::new("discover", ValueKind::Text, "WAY", discover)
        .default("content").example("scan").taken_by(&[Plan, Apply, Resume]).recorded(text).pinned();

    /// How far before its first read a group is merged as of: 2s, 500ms, 1m
    ///
    /// Writes of the application that are stamped before that instant must have arrived by the time
    /// a group is read. The run waits that long once, at its start.
    SETTLE: Duration = Setting::new("settle", ValueKind::Number, "DURATION", settle)
        .default("2s").example("500ms").recorded_at(
        "settle_ms",
        |long| plain(&u64::try_from(long.as_millis()).unwrap_or(u64::MAX)),
        |ms| Some(format!("{}ms", ms.as_u64()?)),
    );

    /// Refuse tables that keep their tombstones (gc_grace_seconds) for less than this; `none` refuses none
    ///
    /// A replica that missed a delete, and a hint that arrives late, bring rows back once the tombstone is gone.
    MIN_GC_GRACE: Duration = Setting::new("min_gc_grace", ValueKind::Number, "DURATION", min_gc_grace)
        .default("1h").example("10m").recorded_at(
        "min_gc_grace_s",
        |long| plain(&long.as_secs()),
        |s| match s.as_u64()? {
            0 => Some("none".to_owned()),
            s => Some(format!("{s}s")),
        },
    );

    /// Only the first N groups of the plan; `all` lifts a limit that was set elsewhere
    LIMIT: usize = Setting::new("limit", ValueKind::Number, "N|all", limit)
        .default("all").example("100").recorded(|groups| plain(&(*groups < usize::MAX).then_some(groups)));

    /// Stop when more groups than this have failed: a number, or a share such as 5%
    MAX_ERRORS: ErrorLimit = Setting::new("max_errors", ValueKind::Number, "N|N%", max_errors)
        .default("1000").example("5%").recorded(|limit| match limit {
            ErrorLimit::Groups(groups) => plain(groups),
            ErrorLimit::Percent(percent) => format!("{percent}%").into(),
        });

    /// Do not look at the sources again at the end
    ///
    /// What the application writes to a source while it is merged then stays under the source, until a
    /// `resume` without this flag.
    // Each session is told anew.
    NO_SWEEP: bool = Setting::switch("no_sweep").recorded_at("sweep", |not| (!not).into(), |_| None);
}

/// How groups are worked on.
#[derive(Clone, Copy, Debug)]
pub struct WorkSettings {
    /// How clustered rows are found.
    pub discover: Discover,
    /// How fast.
    pub(crate) pace: PaceSettings,
    /// How far before its first read a group is merged as of.
    pub(crate) settle: Duration,
    /// So long tombstones must be kept at least.
    pub(crate) min_gc_grace: Duration,
    /// When to stop early.
    pub(crate) limits: Limits,
    /// Whether the sources are looked at again at the end.
    pub(crate) sweep: bool,
}

impl WorkSettings {
    /// What the settings say of a merge.
    ///
    /// # Errors
    /// A setting has no value that it may have, or is not what the run began with.
    pub(crate) fn of(layers: &Layers) -> Result<Self, SettingsError> {
        Ok(Self {
            discover: layers.get(&DISCOVER)?,
            pace: PaceSettings::of(layers)?,
            settle: layers.get(&SETTLE)?,
            min_gc_grace: layers.get(&MIN_GC_GRACE)?,
            limits: Limits { groups: layers.get(&LIMIT)?, errors: layers.get(&MAX_ERRORS)? },
            sweep: !layers.get(&NO_SWEEP)?,
        })
    }

    /// What `plan --inspect` is told: as a merge is, as far as it looks at anything.
    ///
    /// # Errors
    /// As of [`of`](Self::of).
    pub(crate) fn of_inspection(layers: &Layers) -> Result<Self, SettingsError> {
        let (discover, pace) = (layers.get(&DISCOVER)?, PaceSettings::of(layers)?);
        Ok(Self { discover, pace, ..Self::default() })
    }

    /// What `verify` is told. What was merged may be compared, whatever a merge is told today.
    ///
    /// # Errors
    /// As of [`of`](Self::of).
    pub(crate) fn of_verification(layers: &Layers) -> Result<Self, SettingsError> {
        let Self { discover, settle, min_gc_grace, limits, sweep, .. } = Self::default();
        let pace = PaceSettings::of(layers)?;
        Ok(Self { discover, pace, settle, min_gc_grace, limits, sweep })
    }

    /// What `undo` is told: it dates what it writes, as a merge does.
    ///
    /// # Errors
    /// As of [`of`](Self::of).
    pub(crate) fn of_undo(layers: &Layers) -> Result<Self, SettingsError> {
        let Self { discover, pace, min_gc_grace, limits, sweep, .. } =
            Self::of_verification(layers)?;
        let settle = layers.get(&SETTLE)?;
        Ok(Self { discover, pace, settle, min_gc_grace, limits, sweep })
    }
}

/// Nothing is waited for, and nothing refused.
impl Default for WorkSettings {
    fn default() -> Self {
        Self {
            discover: Discover::default(),
            pace: PaceSettings::default(),
            settle: Duration::ZERO,
            min_gc_grace: Duration::ZERO,
            limits: Limits::default(),
            sweep: true,
        }
    }
}

/// A way in which clustered rows are found, by its name.
fn discover(text: &str) -> Result<Discover, String> {
    let names = Discover::VARIANTS.join(" or ");
    text.parse().map_err(|_| format!("is not a way to find rows: use {names}"))
}

/// `1h`, `10m`, or `none`.
fn min_gc_grace(text: &str) -> Result<Duration, String> {
    match text {
        "none" => Ok(Duration::ZERO),
        _ => values::time_span(text).map_err(|wrong| format!("{wrong}, or none")),
    }
}

/// The longest time to settle.
const MAX_SETTLE: Duration = Duration::from_secs(60 * 60);

fn settle(text: &str) -> Result<Duration, String> {
    let duration = values::duration(text)?;
    if duration > MAX_SETTLE { Err("is too long: at most 60m".to_owned()) } else { Ok(duration) }
}

/// A number of groups, or `all`.
fn limit(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => {
            values::count(text, 1, usize::MAX).map_err(|wrong| format!("{wrong}, nor the word all"))
        }
    }
}

/// `100` or `5%`.
fn max_errors(text: &str) -> Result<ErrorLimit, String> {
    let wrong = || "is neither a number of groups nor a share from 0% to 100%".to_owned();
    match text.strip_suffix('%') {
        None => text.parse().map(ErrorLimit::Groups).map_err(|_| wrong()),
        Some(share) => match share.trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(ErrorLimit::Percent(percent)),
            _ => Err(wrong()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let ms = ["2s", "500ms", "1m", "3", "0.5", "1.5 s", "0", "60m"].map(|t| settle(t).unwrap());
        assert_eq!(
            ms.map(|d| d.as_millis()),
            [2_000, 500, 60_000, 3_000, 500, 1_500, 0, 3_600_000]
        );
        for wrong in ["", "s", "2h", "-1s", "2 weeks", "NaN", "inf", "61m", "1e400", "2sé"] {
            settle(wrong).unwrap_err();
        }
    }

    #[test]
    fn error_limits_are_numbers_or_shares() {
        assert_eq!(max_errors("0").unwrap(), ErrorLimit::Groups(0));
        assert_eq!(max_errors("2.5%").unwrap(), ErrorLimit::Percent(2.5));
        for wrong in ["", "%", "-1", "101%", "1.5", "NaN%"] {
            max_errors(wrong).unwrap_err();
        }
    }

    #[test]
    fn words_and_numbers_are_checked() {
        assert_eq!((limit("7"), limit("all")), (Ok(7), Ok(usize::MAX)));
        assert!(limit("0").unwrap_err().ends_with("from 1 on, nor the word all"));
        assert_eq!(discover("scan"), Ok(Discover::Scan));
        assert!(discover("all").unwrap_err().ends_with("use content or scan"));
    }
}
