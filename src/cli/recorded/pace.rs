//! How fast a run is, as run.json keeps it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::settings::PaceSettings;
use crate::pace::InFlight;

/// How fast a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RecordedPace {
    /// A number of requests, or auto.
    pub(super) in_flight: Value,
    /// Groups per second; null where there is no limit.
    #[serde(default)]
    pub(super) rate: Option<f64>,
    /// Null where there is no bound; a run of an earlier version has none.
    #[serde(default)]
    pub(super) max_latency_us: Option<u64>,
}

impl From<PaceSettings> for RecordedPace {
    fn from(PaceSettings { in_flight, rate, max_latency }: PaceSettings) -> Self {
        let in_flight = match in_flight {
            InFlight::Fixed(requests) => requests.into(),
            InFlight::Auto => "auto".into(),
        };
        let us = |long: Duration| u64::try_from(long.as_micros()).unwrap_or(u64::MAX);
        Self { in_flight, rate, max_latency_us: max_latency.map(us) }
    }
}

impl RecordedPace {
    /// The text of --max-latency, as it could be given.
    pub(super) fn max_latency(&self) -> Option<String> {
        self.max_latency_us.map(|us| format!("{}ms", us as f64 / 1e3))
    }
}
