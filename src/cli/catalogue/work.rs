//! What is merged, how fast, and when to stop.

use std::time::Duration;

use serde_json::Value;
use strum::VariantNames;

use crate::pace::InFlight;
use crate::pipeline::{Discover, ErrorLimit};
use crate::setting::Command::{Apply, Plan, Resume, SpecShow, Undo, Verify};
use crate::setting::{Kind, Setting, plain, settings, text, values};

settings! {
    /// What is merged, and how far.
    pub(in crate::cli) MERGING: "Merging", &[Apply, Resume];

    /// A merge specification: course-batch or sunbird-lern, which are built in, or a file [default: course-batch]
    SPEC: String = Setting::new("spec", Kind::Text, "FILE", values::any)
        .example("spec.toml").taken_by(&[Plan, Apply, Resume, SpecShow]);

    /// How enrolments are found: content or scan
    ///
    /// `content` looks in the batches that the content rows of the sources name; an enrolment in a batch for
    /// which a source has no content row is not seen. `scan` reads every key of the table once before the first
    /// group is merged, and once more at the end, and sees them all. A run keeps to what it began with. With --inspect,
    /// `scan` also says how many enrolments `content` would miss.
    DISCOVER: Discover = Setting::new("discover", Kind::Text, "WAY", discover)
        .default("content").example("scan").taken_by(&[Plan, Apply, Resume]).recorded(text).pinned();

    /// Merge into where a target is now, if an earlier run has merged it into another account
    ///
    /// Otherwise such a pair is rejected as merged-earlier. The register of runs says where the target is now, before
    /// groups are built.
    FOLLOW: bool = Setting::switch("follow").taken_by(&[Plan, Apply]).recorded(plain);

    /// How far before its first read a group is merged as of: 2s, 500ms, 1m
    ///
    /// Writes of the application that are stamped before that instant must have arrived by the time
    /// a group is read. The run waits that long once, at its start.
    SETTLE: Duration = Setting::new("settle", Kind::Number, "DURATION", settle)
        .default("2s").example("500ms").recorded_at(
        "settle_ms",
        |long| plain(&u64::try_from(long.as_millis()).unwrap_or(u64::MAX)),
        |ms| Some(format!("{}ms", ms.as_u64()?)),
    );

    /// Refuse tables that keep their tombstones (gc_grace_seconds) for less than this; `none` refuses none
    ///
    /// A replica that missed a delete, and a hint that arrives late, bring rows back once the tombstone is gone.
    MIN_GC_GRACE: Duration = Setting::new("min_gc_grace", Kind::Number, "DURATION", min_gc_grace)
        .default("1h").example("10m").recorded_at(
        "min_gc_grace_s",
        |long| plain(&long.as_secs()),
        |s| match s.as_u64()? {
            0 => Some("none".to_owned()),
            s => Some(format!("{s}s")),
        },
    );

    /// Only the first N groups of the plan; `all` lifts a limit that was set elsewhere
    LIMIT: usize = Setting::new("limit", Kind::Number, "N|all", limit)
        .default("all").example("100").recorded(|groups| plain(&(*groups < usize::MAX).then_some(groups)));

    /// Stop when more groups than this have failed: a number, or a share such as 5%
    MAX_ERRORS: ErrorLimit = Setting::new("max_errors", Kind::Number, "N|N%", max_errors)
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

settings! {
    /// How fast groups are worked on.
    pub(in crate::cli) PACE: "Pace", &[Plan, Apply, Resume, Verify, Undo];

    /// Requests to the cluster at once: a number, or auto
    ///
    /// A request reads or writes for many groups. `auto` takes the fewest that bring nine tenths of what is within
    /// reach, from 4 to 256.
    IN_FLIGHT: InFlight = Setting::new("in_flight", Kind::Number, "N", in_flight)
        .default("auto").example("32").recorded(|requests| match requests {
            InFlight::Fixed(requests) => plain(requests),
            InFlight::Auto => text(requests),
        });

    /// Groups per second, at most, or none [default: as many as the cluster can take]
    RATE: Option<f64> = Setting::new("rate", Kind::Number, "N", rate).default("none").example("50").recorded(plain);

    /// Fewer requests at once while reads take longer than this: 20ms, or none
    ///
    /// A small read of a merged account is made a hundred times a second; all but one in a hundred should take no
    /// longer. --in-flight is then the most that is taken.
    MAX_LATENCY: Option<Duration> = Setting::new("max_latency", Kind::Number, "DURATION", max_latency)
        .default("none").example("20ms").recorded_at("max_latency_us", microseconds, |us| {
            Some(format!("{}ms", us.as_u64()? as f64 / 1e3))
        });
}

/// A way in which clustered rows are found, by its name.
fn discover(text: &str) -> Result<Discover, String> {
    let names = Discover::VARIANTS.join(" or ");
    text.parse().map_err(|_| format!("is not a way to discover enrolments: use {names}"))
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

/// The most groups at once: more would only fill the memory.
const MAX_IN_FLIGHT: usize = 65_536;

/// A number of groups, or `auto`.
fn in_flight(text: &str) -> Result<InFlight, String> {
    match text.parse() {
        Ok(requests @ (InFlight::Fixed(1..=MAX_IN_FLIGHT) | InFlight::Auto)) => Ok(requests),
        _ => Err(format!("is neither auto nor a whole number from 1 to {MAX_IN_FLIGHT}")),
    }
}

/// So many per second, or `none` for as many as there are.
fn rate(text: &str) -> Result<Option<f64>, String> {
    match text.replace('_', "").parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.001 => Ok(Some(rate)),
        _ if text == "none" => Ok(None),
        _ => Err("is not a rate: use a number of groups per second, from 0.001 on, or none".into()),
    }
}

/// The shortest and the longest time that a read may be asked to take.
const LATENCIES: [Duration; 2] = [Duration::from_millis(1), Duration::from_secs(60)];

/// `20ms`, or `none`. Without a unit it would be seconds, which nobody means here.
fn max_latency(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    match values::duration(text) {
        Ok(long) if has_unit && (LATENCIES[0]..=LATENCIES[1]).contains(&long) => Ok(Some(long)),
        _ => {
            Err("is not a time for a read: use one from 1ms to 60s, with its unit, or none".into())
        }
    }
}

fn microseconds(long: &Option<Duration>) -> Value {
    plain(&long.map(|long| u64::try_from(long.as_micros()).unwrap_or(u64::MAX)))
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
        let latencies = ["20ms", "1.5s", "none"].map(|text| max_latency(text).unwrap());
        assert_eq!(
            latencies.map(|long| long.map(|long| long.as_millis())),
            [Some(20), Some(1_500), None]
        );
        assert!(["20", "0ms", "2m", "quick", ""].iter().all(|text| max_latency(text).is_err()));
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
        let rates = ["0.5", "1_000", "none"].map(|text| rate(text).unwrap());
        assert_eq!(rates, [Some(0.5), Some(1_000.0), None]);
        assert!(["0", "-1", "inf", "NaN", "fast"].iter().all(|text| rate(text).is_err()));
        assert_eq!(discover("scan"), Ok(Discover::Scan));
        assert!(discover("all").unwrap_err().ends_with("use content or scan"));
    }
}
