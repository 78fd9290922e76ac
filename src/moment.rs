//! Points in time as people read them: UTC, RFC 3339, milliseconds.
//!
//! Reports, run ids and run.json all show the same moments, so they share one type. Durations are measured
//! elsewhere with the monotonic clock; this is only for the calendar.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(SystemTime);

impl Moment {
    /// The wall clock's time.
    pub(crate) fn now() -> Self {
        Self(SystemTime::now())
    }

    /// From microseconds since the Unix epoch.
    pub(crate) fn from_us(us: i64) -> Self {
        Self(UNIX_EPOCH + Duration::from_micros(u64::try_from(us).unwrap_or_default()))
    }

    /// In microseconds since the Unix epoch.
    pub(crate) fn us(self) -> i64 {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    /// The moment as the standard library has it.
    pub(crate) fn time(self) -> SystemTime {
        self.0
    }

    /// How long after `earlier` this is; zero if the clock was set back in between.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.duration_since(earlier.0).unwrap_or_default()
    }

    /// Short and sortable, as in `20261123T041455Z`.
    pub(crate) fn compact(self) -> String {
        DateTime::<Utc>::from(self.0).format("%Y%m%dT%H%M%SZ").to_string()
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        Self(time)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&DateTime::<Utc>::from(self.0).to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        Ok(Self(time.into()))
    }
}

/// Milliseconds since the Unix epoch as people read them; `None` beyond the calendar.
pub(crate) fn utc_ms(ms: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(ms)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// Microseconds since the Unix epoch as people read them; `None` beyond the calendar.
pub(crate) fn utc_us(us: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(us)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_utc() {
        let moment =
            Moment::from(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_407_295_042));
        assert_eq!(moment.to_string(), "2026-11-23T04:14:55.042Z");
        assert_eq!(moment.compact(), "20261123T041455Z");
        let json = serde_json::to_string(&moment).unwrap();
        assert_eq!(json, "\"2026-11-23T04:14:55.042Z\"");
        assert_eq!(serde_json::from_str::<Moment>(&json).unwrap(), moment);
        assert_eq!(Moment::from_us(moment.us()), moment);
        serde_json::from_str::<Moment>("\"yesterday\"").unwrap_err();
        assert_eq!(Moment::from(SystemTime::UNIX_EPOCH).since(moment), Duration::ZERO);
    }
}
