//! How fast groups are worked on: the rows of its settings, and what they make.
//!
//! A new one is a row, a field and a line of [`PaceSettings::of`], and its use.

use std::time::Duration;

use serde_json::Value;

use super::InFlight;
use crate::setting::Command::{Apply, Plan, Resume, Undo, Verify};
use crate::setting::{Layers, Setting, SettingsError, ValueKind, plain, settings, text, values};

settings! {
    /// How fast groups are worked on.
    pub(crate) PACE: "Pace", &[Plan, Apply, Resume, Verify, Undo];

    /// Requests to the cluster at once: a number, or auto
    ///
    /// A request reads or writes for many groups. `auto` takes the fewest that bring nine tenths of what is within
    /// reach, from 4 to 256.
    IN_FLIGHT: InFlight = Setting::new("in_flight", ValueKind::Number, "N", in_flight)
        .default("auto").example("32").recorded(|requests| match requests {
            InFlight::Fixed(requests) => plain(requests),
            InFlight::Auto => text(requests),
        });

    /// Groups per second, at most, or none [default: as many as the cluster can take]
    RATE: Option<f64> = Setting::new("rate", ValueKind::Number, "N", rate).default("none").example("50").recorded(plain);

    /// Fewer requests at once while reads take longer than this: 20ms, or none
    ///
    /// A small read of a merged account is made a hundred times a second; all but one in a hundred should take no
    /// longer. --in-flight is then the most that is taken.
    MAX_LATENCY: Option<Duration> = Setting::new("max_latency", ValueKind::Number, "DURATION", max_latency)
        .default("none").example("20ms").recorded_at("max_latency_us", microseconds, |us| {
            Some(format!("{}ms", us.as_u64()? as f64 / 1e3))
        });
}

/// How fast groups are worked on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PaceSettings {
    /// Requests at once, at most.
    pub(crate) in_flight: InFlight,
    /// Groups per second, at most; none where there is no limit.
    pub(crate) rate: Option<f64>,
    /// How long a read may take while the run goes on; none where that is not bounded.
    pub(crate) max_latency: Option<Duration>,
}

impl PaceSettings {
    /// What the settings say of it.
    ///
    /// # Errors
    /// A setting has no value that it may have.
    pub(crate) fn of(layers: &Layers) -> Result<Self, SettingsError> {
        Ok(Self {
            in_flight: layers.get(&IN_FLIGHT)?,
            rate: layers.get(&RATE)?,
            max_latency: layers.get(&MAX_LATENCY)?,
        })
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
    fn rates_and_latencies_are_checked() {
        let rates = ["0.5", "1_000", "none"].map(|text| rate(text).unwrap());
        assert_eq!(rates, [Some(0.5), Some(1_000.0), None]);
        assert!(["0", "-1", "inf", "NaN", "fast"].iter().all(|text| rate(text).is_err()));
        let latencies = ["20ms", "1.5s", "none"].map(|text| max_latency(text).unwrap());
        assert_eq!(
            latencies.map(|long| long.map(|long| long.as_millis())),
            [Some(20), Some(1_500), None]
        );
        assert!(["20", "0ms", "2m", "quick", ""].iter().all(|text| max_latency(text).is_err()));
    }
}
