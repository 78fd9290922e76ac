//! `max` and `min` of text that is a date: the later and the earlier one, by a pattern. Text that is none counts as no
//! value, so that any date beats it.

use bytes::Bytes;
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::Policy;
use crate::model::{Cell, CqlType};

/// Which of two dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extreme {
    Later,
    Earlier,
}

/// The later or the earlier date of a pattern.
#[derive(Debug)]
pub(super) struct Dates {
    extreme: Extreme,
    format: String,
    name: String,
}

impl Dates {
    /// Dates of a pattern, which says the day at least.
    ///
    /// # Errors
    /// The pattern is none.
    pub(super) fn new(extreme: Extreme, format: &str) -> Result<Self, String> {
        let word = if extreme == Extreme::Later { "max" } else { "min" };
        let name = format!("{word} by {format}");
        let dates = Self { extreme, format: format.to_owned(), name };
        let is_known = !StrftimeItems::new(format).any(|item| matches!(item, Item::Error));
        let example = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let is_read = || dates.moment(example.format(format).to_string().as_bytes()).is_some();
        match is_known && is_read() {
            true => Ok(dates),
            false => Err(format!(
                "format {format:?} is no pattern of a date, such as \"%Y-%m-%d %H:%M:%S:%3f%z\" (as of strftime; %3f are \
                 milliseconds)"
            )),
        }
    }

    /// When a date is, in nanoseconds; without a time zone as if it were UTC.
    fn moment(&self, text: &[u8]) -> Option<i128> {
        let text = std::str::from_utf8(text).ok()?;
        let zoned = DateTime::parse_from_str(text, &self.format).map(|zoned| zoned.naive_utc());
        let local = || NaiveDateTime::parse_from_str(text, &self.format);
        let day = || {
            let day = NaiveDate::parse_from_str(text, &self.format);
            day.map(|day| day.and_time(NaiveTime::MIN))
        };
        let utc = zoned.or_else(|_| local()).or_else(|_| day()).ok()?.and_utc();
        Some(i128::from(utc.timestamp()) * 1_000_000_000 + i128::from(utc.timestamp_subsec_nanos()))
    }
}

impl Policy for Dates {
    fn name(&self) -> &str {
        &self.name
    }

    fn outcome(&self, column: &str) -> String {
        match self.extreme {
            Extreme::Later => format!("the later {column}"),
            Extreme::Earlier => format!("the earlier {column}"),
        }
    }

    fn wants(&self, of: &CqlType) -> Option<&'static str> {
        (!of.is_text()).then_some("text, for a format says how it is read")
    }

    fn combine(&self, _: &CqlType, kept: &Cell, offered: &Cell) -> Option<Bytes> {
        let moment = |cell: &Cell| self.moment(cell.as_ref()?);
        let new = moment(offered);
        let is_better = match (moment(kept), new) {
            // Of what is no date the first stays.
            (None, None) => kept.is_none(),
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some(kept), Some(new)) => match self.extreme {
                Extreme::Later => new > kept,
                Extreme::Earlier => new < kept,
            },
        };
        if is_better { offered.clone() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Standing;
    use super::*;

    const SUNBIRD: &str = "%Y-%m-%d %H:%M:%S:%3f%z";

    fn text(text: &'static str) -> Cell {
        Some(Bytes::from_static(text.as_bytes()))
    }

    #[track_caller]
    fn check(extreme: Extreme, format: &str, kept: &Cell, offered: &Cell, is_taken: bool) {
        let dates = Dates::new(extreme, format).unwrap();
        let combined = dates.combine(&CqlType::Text, kept, offered);
        assert_eq!(combined.is_some(), is_taken);
        assert!(combined.is_none() || combined == *offered);
        let after = if is_taken { offered } else { kept };
        assert_eq!(dates.combine(&CqlType::Text, after, offered), None, "once more");
        assert_eq!(dates.check(&CqlType::Text, after, after), Standing::AsLeft);
    }

    #[test]
    fn dates_are_compared_as_moments_and_not_as_text() {
        use Extreme::{Earlier, Later};
        // The same day, later by the clock of another zone and earlier in truth.
        let (early, late) =
            (text("2020-01-02 06:00:00:000+0530"), text("2020-01-02 03:00:00:000+0000"));
        check(Later, SUNBIRD, &early, &late, true);
        check(Later, SUNBIRD, &late, &early, false);
        check(Earlier, SUNBIRD, &late, &early, true);
        let (second, tenth) = (text("2.1.2020"), text("10.1.2020"));
        check(Later, "%d.%m.%Y", &second, &tenth, true);
        check(Earlier, "%d.%m.%Y", &tenth, &second, true);
        let (nine, ten) = (text("2020-01-02 09:59"), text("2020-01-02 10:00"));
        check(Later, "%Y-%m-%d %H:%M", &nine, &ten, true);
    }

    #[test]
    fn what_is_no_date_gives_way_to_one_and_stays_before_another() {
        let (date, soon) = (text("2020-01-02"), text("soon"));
        for extreme in [Extreme::Later, Extreme::Earlier] {
            let check = |kept: &Cell, offered: &Cell, is_taken| {
                check(extreme, "%Y-%m-%d", kept, offered, is_taken);
            };
            check(&soon, &date, true);
            check(&None, &date, true);
            check(&date, &soon, false);
            check(&date, &None, false);
            check(&soon, &text("later"), false);
            check(&None, &soon, true);
            check(&None, &None, false);
        }
    }

    #[test]
    fn a_pattern_says_the_day() {
        for format in ["%Y-%m-%d", SUNBIRD, "%s", "%d/%m/%y %H.%M"] {
            assert!(Dates::new(Extreme::Later, format).is_ok(), "{format}");
        }
        for format in ["%H:%M", "%Q", "yyyy-MM-dd", "%Y-%m", ""] {
            let error = Dates::new(Extreme::Later, format).unwrap_err();
            assert!(error.contains("is no pattern of a date"), "{error}");
        }
        let dates = Dates::new(Extreme::Later, SUNBIRD).unwrap();
        assert!(dates.wants(&CqlType::Timestamp).is_some());
        assert_eq!(dates.wants(&CqlType::Ascii), None);
    }
}
