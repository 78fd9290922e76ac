//! `--until` and `--for`: a session that ends by the clock.
//!
//! When the time has come the run is stopped as by Ctrl-C. It belongs to one call: the time of the night that it was
//! said for is over when the run goes on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local, TimeDelta};
use tokio::sync::watch;

use super::catalogue::calls::{FOR, UNTIL};
use super::moments::TOO_LONG;
use crate::model::since_boot;
use crate::moment::Moment;
use crate::setting::{Described, Layers, SettingsError};

/// How long is slept at most without a look at the clock: one that is set, or a machine that was asleep, is noticed.
const LOOK: Duration = Duration::from_secs(10);

/// When a session ends. Clones share whether it has.
#[derive(Clone, Debug)]
pub(crate) struct Until {
    /// As it was given, with its flag.
    given: String,
    at: SystemTime,
    /// When the time that was given as a duration is over, since the machine was started, however the wall clock is set.
    after: Option<Duration>,
    has_come: Arc<AtomicBool>,
}

impl Until {
    /// What the flags say, as seen now.
    pub(super) fn of(layers: &Layers) -> Result<Option<Self>, SettingsError> {
        let (row, at, after) = match (layers.find(&UNTIL)?, layers.find(&FOR)?) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err(SettingsError::new("--for cannot be used with --until"));
            }
            (Some(at), None) => (UNTIL.row(), Some(at), None),
            (None, Some(long)) => {
                let after = since_boot().checked_add(long);
                (FOR.row(), SystemTime::now().checked_add(long).filter(|_| after.is_some()), after)
            }
        };
        let text = layers.written(row).map_or("", |given| &given.text);
        let too_long = || SettingsError::new(format!("{}: '{text}' {TOO_LONG}", row.flag()));
        let (given, at) = (format!("{} {text}", row.flag()), at.ok_or_else(too_long)?);
        Ok(Some(Self { given, at, after, has_come: Arc::default() }))
    }

    pub(super) fn moment(&self) -> Moment {
        self.at.into()
    }

    /// Stops the run when the time has come, unless it is stopped before.
    pub(super) async fn stop(self, stop: watch::Sender<bool>) {
        loop {
            let left = match self.after {
                Some(after) => after.saturating_sub(since_boot()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::{Given, Origin};

    #[tokio::test]
    async fn it_stops_a_run_once_and_says_so() {
        let given = Given {
            key: "for".to_owned(),
            text: "1h".to_owned(),
            origin: Origin::Flag("--for".to_owned()),
        };
        let layers = Layers::default().over([given]);
        let (stop, stopped) = watch::channel(false);
        let mut until = Until::of(&layers).unwrap().unwrap();
        assert_eq!(until.to_string(), "--for 1h");
        until.after = Some(since_boot());
        until.clone().stop(stop.clone()).await;
        assert!(*stopped.borrow() && until.has_come());
        // Whatever stopped it before is why it ends.
        let mut other = Until::of(&layers).unwrap().unwrap();
        other.after = Some(since_boot());
        other.clone().stop(stop).await;
        assert!(!other.has_come());
    }
}
