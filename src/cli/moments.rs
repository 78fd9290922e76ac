//! How a time of day and a moment are written.
//!
//! Each function takes text and returns the value, or what is wrong in words that continue "'abc' …".

use std::time::SystemTime;

use chrono::{DateTime, Days, Local, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};

/// How a time of day may be written.
const TIMES: [&str; 2] = ["%H:%M", "%H:%M:%S"];

pub(super) const TOO_LONG: &str = "is too long";

/// The next time of day by the clock of this machine, or a moment that is to come.
pub(super) fn next(text: &str) -> Result<SystemTime, String> {
    time(text, &Local::now())
}

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

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

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
}
