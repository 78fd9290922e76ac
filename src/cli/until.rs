//! `--until` and `--for`: a session that ends by the clock.
//!
//! When the time has come the run is stopped as by Ctrl-C. It belongs to one call: the time of the night that it was
//! said for is over when the run goes on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Days, Local, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use tokio::sync::watch;

use super::args::UntilArgs;
use super::layers::SettingsError;
use crate::moment::Moment;

/// How long is slept at most without a look at the clock: one that is set, or a machine that was asleep, is noticed.
const LOOK: Duration = Duration::from_secs(10);

/// How a time of day may be written.
const TIMES: [&str; 2] = ["%H:%M", "%H:%M:%S"];

/// When a session ends. Clones share whether it has.
#[derive(Clone, Debug)]
pub struct Until {
    /// As it was given, with its flag.
    given: String,
    at: SystemTime,
    /// When the time that was given as a duration is over, however the wall clock is set.
    after: Option<Instant>,
    has_come: Arc<AtomicBool>,
}

impl Until {
    /// What the flags say, as seen now.
    pub(super) fn of(args: &UntilArgs) -> Result<Option<Self>, SettingsError> {
        let wrong = |flag: &str, text: &str, wrong: String| {
            SettingsError::new(format!("{flag}: '{text}' {wrong}"))
        };
        let (given, at, after) = if let Some(text) = &args.until {
            let at = time(text, &Local::now()).map_err(|why| wrong("--until", text, why))?;
            (format!("--until {text}"), at, None)
        } else if let Some(text) = &args.duration {
            let long = duration(text).map_err(|why| wrong("--for", text, why))?;
            let at = SystemTime::now().checked_add(long);
            let after = Instant::now().checked_add(long);
            let (Some(at), Some(_)) = (at, after) else {
                return Err(wrong("--for", text, TOO_LONG.to_owned()));
            };
            (format!("--for {text}"), at, after)
        } else {
            return Ok(None);
        };
        Ok(Some(Self { given, at, after, has_come: Arc::default() }))
    }

    /// When it is.
    pub(super) fn moment(&self) -> Moment {
        self.at.into()
    }

    /// Stops the run when the time has come, unless it is stopped before.
    pub(super) async fn stop(self, stop: watch::Sender<bool>) {
        loop {
            let left = match self.after {
                Some(after) => after.saturating_duration_since(Instant::now()),
                None => self.at.duration_since(SystemTime::now()).unwrap_or_default(),
            };
            if left.is_zero() {
                break;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
        if !stop.send_replace(true) {
            self.has_come.store(true, Ordering::Relaxed);
            tracing::warn!("{self}: finishing the groups in flight; no other is begun");
        }
    }

    /// Whether it has stopped the run.
    pub(super) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Relaxed)
    }

    /// The time of day, with the day where it is not within one from now.
    pub(super) fn shown(&self) -> String {
        let at = DateTime::<Local>::from(self.at);
        let is_near = at - Local::now() < TimeDelta::days(1);
        at.format(if is_near { "%H:%M" } else { "%m-%d %H:%M" }).to_string()
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

const TOO_LONG: &str = "is too long";

/// The next time of day that is so written, or the moment of an RFC 3339 text, which must be to come.
fn time<Z: TimeZone>(text: &str, now: &DateTime<Z>) -> Result<SystemTime, String> {
    if let Some(time) = TIMES.iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok()) {
        let days = (0..=2).filter_map(|days| now.date_naive().checked_add_days(Days::new(days)));
        let found = days.filter_map(|day| on_the_clock(day.and_time(time), now)).next();
        return found.map(SystemTime::from).ok_or_else(|| TOO_LONG.to_owned());
    }
    let Ok(at) = DateTime::parse_from_rfc3339(text) else {
        return Err("is neither a time of day such as 06:00 nor a moment such as \
                    2026-11-29T06:00:00+01:00 (RFC 3339, with its offset)"
            .to_owned());
    };
    if at <= *now {
        let now = now.with_timezone(at.offset()).format("%Y-%m-%dT%H:%M:%S%:z");
        return Err(format!("is over: it is {now} now"));
    }
    Ok(at.into())
}

/// When a clock shows that, the first time after now. What clocks skip in spring is an hour later.
fn on_the_clock<Z: TimeZone>(shown: NaiveDateTime, now: &DateTime<Z>) -> Option<DateTime<Z>> {
    let zone = now.timezone();
    let of = |shown: &NaiveDateTime| zone.from_local_datetime(shown);
    let at = match of(&shown) {
        chrono::LocalResult::None => of(&(shown + TimeDelta::hours(1))),
        at => at,
    };
    [at.clone().earliest(), at.latest()].into_iter().flatten().find(|at| at > now)
}

/// `4h`, `90s`, `1h30m`: numbers with units, one after the other.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        "is not a duration: use numbers with the units d, h, m and s, as in 4h or 1h30m".to_owned()
    };
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[digits] {
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(wrong()),
        };
        let more = number.checked_mul(unit).and_then(|more| seconds.checked_add(more));
        seconds = more.ok_or(TOO_LONG)?;
        rest = &rest[digits + 1..];
    }
    if seconds == 0 { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn durations_add_up() {
        for (text, seconds) in
            [("4h", 14_400), ("90s", 90), ("1h30m", 5_400), ("1d2h3m4s", 93_784), ("0h2s", 2)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "4", "h", "0s", "-1s", "1.5h", "4 h", "1h30", "4w", "4hé", "é"] {
            assert!(duration(text).unwrap_err().contains("1h30m"), "{text}");
        }
        assert_eq!(duration("999999999999999999d").unwrap_err(), TOO_LONG);
    }

    #[test]
    fn a_time_of_day_is_the_next_one_and_a_moment_is_to_come() {
        let zone = FixedOffset::east_opt(2 * 3_600).unwrap();
        let now = zone.with_ymd_and_hms(2026, 11, 28, 22, 15, 0).unwrap();
        let at =
            |text: &str| time(text, &now).map(|at| DateTime::<chrono::Utc>::from(at).to_rfc3339());
        for (text, utc) in [
            ("06:00", "2026-11-29T04:00:00+00:00"),
            ("22:15", "2026-11-29T20:15:00+00:00"),
            ("22:15:01", "2026-11-28T20:15:01+00:00"),
            ("2026-11-28T20:16:00Z", "2026-11-28T20:16:00+00:00"),
            ("2026-12-24T18:00:00+01:00", "2026-12-24T17:00:00+00:00"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(utc), "{text}");
        }
        assert_eq!(
            at("2026-11-28T20:15:00Z").unwrap_err(),
            "is over: it is 2026-11-28T20:15:00+00:00 now"
        );
        for text in ["24:00", "6", "6am", "tomorrow", "2026-11-29T06:00:00", ""] {
            assert!(at(text).unwrap_err().contains("RFC 3339"), "{text}");
        }
    }

    #[tokio::test]
    async fn it_stops_a_run_once_and_says_so() {
        let args = |duration: &str| UntilArgs { until: None, duration: Some(duration.to_owned()) };
        let (stop, stopped) = watch::channel(false);
        let mut until = Until::of(&args("1h")).unwrap().unwrap();
        assert_eq!(until.to_string(), "--for 1h");
        until.after = Some(Instant::now());
        until.clone().stop(stop.clone()).await;
        assert!(*stopped.borrow() && until.has_come());
        // Whatever stopped it before is why it ends.
        let mut other = Until::of(&args("1h")).unwrap().unwrap();
        other.after = Some(Instant::now());
        other.clone().stop(stop).await;
        assert!(!other.has_come());
    }
}
